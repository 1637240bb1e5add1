package joint_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/joint"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// example gives the records of the example weeks, each realm's own copy.
func example(t *testing.T, realms ...string) (out []whosaw.Record) {
	t.Helper()
	f, err := os.Open("../../examples/shop/access.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	var d whosaw.Decoder
	n := int64(0)
	for line := range strings.Lines(string(all)) {
		for _, realm := range realms {
			var r whosaw.Record
			if err := d.Decode([]byte(line), 1<<62, &r); err != nil {
				t.Fatal(err)
			}
			if r.Time >= 1_772_640_000_000 { // 2026-03-04T16
				continue
			}
			n++
			r.Realm, r.Source, r.Position = realm, "shop", n
			out = append(out, r)
		}
	}
	return out
}

func openCase(t *testing.T, dir string) *pipeline.Case {
	t.Helper()
	c, err := pipeline.Open(t.Context(), pipeline.Config{Dir: dir, TempDir: t.TempDir(), Catalog: catalog.Rules()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sourceOf gives a ledger of records.
func sourceOf(t *testing.T, name string, records []whosaw.Record) joint.Source {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := led.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(view.Close(), led.Close()); err != nil {
			t.Error(err)
		}
	})
	return joint.Source{Name: name, View: view}
}

// size is how many records a case holds.
func size(t *testing.T, c *pipeline.Case) int64 {
	t.Helper()
	view, err := c.Ledger().View(0)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(view.Last())
	if err := view.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func act(n int64) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeAct, Time: 1_795_000_000_000 + n, Source: "operator", Position: n, Ref: &whosaw.Reference{Kind: "merge"}}
}

// TestJudge: two realms that lie in both of two ledgers are shared by two engines, and the findings are those of one; what is broken off at any place is
// completed by the next run, and what came since is added by the one after that.
func TestJudge(t *testing.T) {
	records := example(t, "", "eu")
	one := openCase(t, "")
	feed := one.Feed(t.Context())
	if _, err := feed.Close(feed.Take(records)); err != nil {
		t.Fatal(err)
	}
	want, unique := one.Findings(), size(t, one) // some records are in the log twice
	if len(want) < 6 {
		t.Fatalf("%d findings: the test shows nothing", len(want))
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	early := len(records) / 2
	var halves [2][]whosaw.Record
	for i := range records {
		halves[i/3%2] = append(halves[i/3%2], records[i])
	}
	sources := []joint.Source{sourceOf(t, "a", halves[0]), sourceOf(t, "b", halves[1])}
	judge := func(ctx context.Context, c *pipeline.Case, n int64, sources []joint.Source, progress func(float64)) (*joint.Answer, error) {
		return joint.Judge(ctx, joint.Config{Sources: sources, Case: c, Catalog: catalog.Rules(), First: act(n), Engines: 2, Progress: progress})
	}

	c := openCase(t, "")
	got, err := judge(t.Context(), c, 1, sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Engines != 2 || got.Realms != 2 || got.Added != unique || size(t, c) != unique+1 {
		t.Errorf("%d engines, %d realms, %d of %d added", got.Engines, got.Realms, got.Added, unique)
	}
	if d := cmp.Diff(want, got.Findings, byMoment); d != "" {
		t.Errorf("findings (-one +merged):\n%s", d)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(t.TempDir(), "joint")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c = openCase(t, dir)
	if _, err := judge(ctx, c, 2, sources, func(done float64) {
		if done > 0.6 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("broken off: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCase(t, dir)
	if got, err = judge(t.Context(), c, 3, sources, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.Findings, byMoment); d != "" || got.Repeats == 0 || got.Added == 0 || size(t, c) != unique+2 || got.Engines != 1 {
		t.Errorf("%d repeats, %d added, %d engines; findings (-one +completed):\n%s", got.Repeats, got.Added, got.Engines, d)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = openCase(t, filepath.Join(t.TempDir(), "grows"))
	if _, err = judge(t.Context(), c, 4, []joint.Source{sourceOf(t, "a", records[:early/2]), sourceOf(t, "b", records[early/2:early])}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err = judge(t.Context(), c, 5, sources, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.Findings, byMoment); d != "" || got.Repeats == 0 || got.Added == 0 || size(t, c) != unique+2 || got.Conflicts != 0 {
		t.Errorf("%d repeats, %d conflicts; findings (-one +grown):\n%s", got.Repeats, got.Conflicts, d)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJudgeKeepsWhatIsMissing: what operators did stays where they did it, but what says that lines are missing comes along; a key policy is of all realms,
// so one engine judges.
func TestJudgeKeepsWhatIsMissing(t *testing.T) {
	records := example(t, "", "eu")[:2000]
	acts := []whosaw.Record{
		{Type: whosaw.TypeAct, Time: records[1999].Time, Source: "whosaw", Position: 1, ID: "rejected:7 of 90:shop", Ref: &whosaw.Reference{Kind: "rejected", Of: "shop", Count: 7, Note: "lines 90"}},
		{Type: whosaw.TypeAct, Time: records[1999].Time, Source: "operator", Position: 2, Ref: &whosaw.Reference{Kind: "scope", Note: "{}"}},
		{Type: whosaw.TypeAct, Time: records[1999].Time, Source: "operator", Position: 3, Ref: &whosaw.Reference{Kind: ledger.ActHold, Of: "1"}},
		{Type: whosaw.TypeAct, Time: records[1999].Time, Source: "operator", Position: 4, Ref: &whosaw.Reference{Kind: "key_policy", Note: "{}"}},
	}
	c := openCase(t, "")
	got, err := joint.Judge(t.Context(), joint.Config{
		Sources: []joint.Source{sourceOf(t, "a", append(records[:1000:1000], acts...)), sourceOf(t, "b", records[900:])},
		Case:    c, Catalog: catalog.Rules(), First: act(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Engines != 1 || got.Directories[0].LeftOut != 2 || got.Added != 2002 || got.Repeats != 100 {
		t.Errorf("%d engines, %d left out, %d added, %d repeats", got.Engines, got.Directories[0].LeftOut, got.Added, got.Repeats)
	}
	view, err := c.Ledger().View(0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := ""
	if err := view.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct {
			kinds += r.Ref.Kind + " "
		}
		return nil
	}); err != nil || kinds != "merge rejected key_policy " {
		t.Errorf("%q, %v", kinds, err)
	}
	if err := errors.Join(view.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// byMoment puts findings that one record raised in an order.
var byMoment = cmpopts.SortSlices(func(a, b whosaw.Finding) bool { return a.Seen < b.Seen || a.Seen == b.Seen && a.ID < b.ID })
