package retention_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/retention"
	"github.com/whosaw/whosaw/internal/scope"
)

const (
	start = int64(1_760_000_000_000)
	hour  = int64(3_600_000)
)

// shop makes a ledger of three segments of 100 hours: an access each minute from two sources in turn; the first segment
// has issuances too.
func shop(t *testing.T) (*retention.Keeper, string) {
	t.Helper()
	dir := t.TempDir()
	led, err := ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	blocks := index.Attach(led, true)
	t.Cleanup(func() { led.Close(); blocks.Close() })
	for part := range 3 {
		var records []whosaw.Record
		for i := range 6000 {
			at := start + int64(part)*100*hour + int64(i)*60_000
			records = append(records, whosaw.Record{
				Time: at, Source: "gw-" + strconv.Itoa(i%2), Position: at, Subjects: []string{strconv.Itoa(i % 50)}, Fields: []string{"name"},
				Status: 200, Key: "k1", Credential: "c" + strconv.Itoa(i%10),
			})
		}
		if part == 0 {
			for i := range 10 {
				records = append(records, whosaw.Record{
					Type: whosaw.TypeIssuance, Time: start, Source: "login", Position: int64(i), Key: "k1", Credential: "c" + strconv.Itoa(i), Ref: &whosaw.Reference{},
				})
			}
		}
		if _, err := led.Append(context.Background(), records); err != nil {
			t.Fatal(err)
		}
		if err := led.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	now := start + 1000*hour
	return &retention.Keeper{Ledger: led, Index: blocks, Who: "staff:kim", Now: func() time.Time { now++; return time.UnixMilli(now) }}, dir
}

func count(t *testing.T, k *retention.Keeper, term whosaw.Term) (a whosaw.ScopeAnswer, purged []whosaw.Gap) {
	t.Helper()
	view, err := k.Ledger.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	engine := scope.New(view, nil, scope.Config{Index: k.Index})
	a, err = engine.Count(t.Context(), whosaw.Filter{term})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range a.Gaps {
		switch g.Kind {
		case whosaw.GapPurged:
			purged = append(purged, g)
		case whosaw.GapSilent:
			t.Errorf("a source is called silent: %s", g.Says)
		}
	}
	// What is told of one subject, and of the largest, lacks the same.
	one, err := engine.Subject(t.Context(), nil, "7", whosaw.Filter{term}, 5, "")
	if err != nil {
		t.Fatal(err)
	}
	top, err := engine.Purged(whosaw.Filter{term})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(one.Gaps, purged, sameGap) || !slices.EqualFunc(top, purged, sameGap) {
		t.Errorf("the count says %v, a subject %v, the largest %v", purged, one.Gaps, top)
	}
	return a, purged
}

func sameGap(x, y whosaw.Gap) bool { return x.Kind == y.Kind && x.Count == y.Count && x.Says == y.Says }

// TestGaps removes the first and then, with the middle one held, the last segment: an answer that they touch says so,
// and no other.
func TestGaps(t *testing.T) {
	k, dir := shop(t)
	no := false
	count(t, k, whosaw.Term{Issued: &no}) // makes tables of what was issued
	if made, err := filepath.Glob(filepath.Join(dir, index.Dir, "00000000000000000001.*")); err != nil || len(made) != 3 {
		t.Fatalf("the index of a segment is %v, %v", made, err)
	}
	if _, gaps := count(t, k, whosaw.Term{}); len(gaps) != 0 {
		t.Fatalf("before: %v", gaps)
	}
	if _, err := k.Hold(t.Context(), start+150*hour, start+151*hour, "case 17"); err != nil {
		t.Fatal(err)
	}
	gone, err := k.Remove(t.Context(), start+100*hour)
	if err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, index.Dir, "00000000000000000001.*")); err != nil || len(left) > 0 {
		t.Errorf("the index of what is gone is there: %v, %v", left, err)
	}
	end := whosaw.Time(start + 100*hour)
	for name, c := range map[string]struct {
		term     whosaw.Term
		gaps     int
		accesses int64
	}{
		"all":                     {whosaw.Term{}, 1, 12_000},
		"up to its last record":   {whosaw.Term{To: end}, 1, 0},
		"from behind it":          {whosaw.Term{From: end}, 0, 12_000},
		"behind its last record":  {whosaw.Term{From: end - 9000, To: end - 8000}, 0, 0},
		"a source of it":          {whosaw.Term{Source: []string{"gw-1"}}, 1, 6000},
		"no source of it":         {whosaw.Term{Source: []string{"gw-9"}}, 0, 0},
		"issued, at another time": {whosaw.Term{From: end, Issued: &no}, 1, 12_000},
		"as of before it":         {whosaw.Term{AsOf: 1}, 1, 0},
	} {
		a, gaps := count(t, k, c.term)
		if len(gaps) != c.gaps || a.Accesses != c.accesses {
			t.Errorf("%s: %d accesses and gaps %v; want %d and %d", name, a.Accesses, gaps, c.accesses, c.gaps)
		}
		if len(gaps) == 1 && (gaps[0].Count != 6000 || int64(*gaps[0].From) != start || int64(*gaps[0].To) != start+100*hour-60_000) {
			t.Errorf("%s: %+v", name, gaps[0])
		}
	}
	// The last one goes, the middle one is held: the hole is not silence of the sources.
	if _, err := k.Ledger.Append(t.Context(), []whosaw.Record{{Time: start + 301*hour, Source: "gw-0", Position: 1, Subjects: []string{"1"}, Fields: []string{"name"}, Status: 200}}); err != nil {
		t.Fatal(err)
	}
	gone, err = k.Remove(t.Context(), start+300*hour)
	if err != nil || len(gone) != 1 || gone[0].MinTime != start+200*hour {
		t.Fatal(gone, err)
	}
	if a, gaps := count(t, k, whosaw.Term{}); len(gaps) != 2 || a.Accesses != 6001 {
		t.Errorf("%d accesses, gaps %v", a.Accesses, gaps)
	}
	// Without the hold what is left goes, and three that follow each other are one gap.
	if _, err := k.Release(t.Context(), 1, "closed"); err != nil {
		t.Fatal(err)
	}
	if gone, err = k.Remove(t.Context(), start+300*hour); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if _, gaps := count(t, k, whosaw.Term{}); len(gaps) != 1 || gaps[0].Count != 18_000 {
		t.Errorf("gaps %v", gaps)
	}
}

// TestLostHolds loses the file of holds, or has an older one: nothing is removed, and verifying names it.
func TestLostHolds(t *testing.T) {
	k, dir := shop(t)
	for range 2 {
		if _, err := k.Hold(t.Context(), start, start+hour, "case 17"); err != nil {
			t.Fatal(err)
		}
	}
	older, err := os.ReadFile(filepath.Join(dir, "ledger", "holds"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Hold(t.Context(), start, start+hour, "case 18"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Release(t.Context(), 1, "closed"); err != nil {
		t.Fatal(err)
	}
	if err := k.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Verify(t.Context(), ledger.VerifyConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ledger", "holds")
	for how, lose := range map[string]func() error{
		"lost":  func() error { return os.Remove(name) },
		"older": func() error { return os.WriteFile(name, older, 0o600) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		var damage *ledger.DamageError
		if _, err := ledger.Verify(t.Context(), ledger.VerifyConfig{Dir: dir}); !errors.As(err, &damage) || damage.File != name {
			t.Errorf("%s: verify says %v", how, err)
		}
		led, err := ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
		if err != nil {
			t.Fatal(err)
		}
		again := &retention.Keeper{Ledger: led, Index: k.Index, Who: k.Who, Now: k.Now}
		if gone, err := again.Remove(t.Context(), start+200*hour); err == nil || len(gone) != 0 {
			t.Errorf("%s: %d segments were removed, %v", how, len(gone), err)
		}
		if err := led.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestActs holds that everything is on record, by whom.
func TestActs(t *testing.T) {
	k, _ := shop(t)
	if _, err := k.Hold(t.Context(), start, start+hour, "case 17"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Remove(t.Context(), start+200*hour); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Release(t.Context(), 1, "closed"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Release(t.Context(), 2, "closed"); !errors.Is(err, ledger.ErrNoHold) {
		t.Errorf("releasing none: %v", err)
	}
	view, err := k.Ledger.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var kinds []string
	err = view.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct {
			kinds = append(kinds, r.Ref.Kind)
			if r.Principal != "staff:kim" || r.Ref.Kind == "retention" && (r.Ref.Count != 6000 || r.Ref.Until != start+200*hour) {
				t.Errorf("%+v, %+v", r, r.Ref)
			}
		}
		return nil
	})
	if err != nil || len(kinds) != 3 || kinds[0] != "hold" || kinds[1] != "retention" || kinds[2] != "hold_release" {
		t.Errorf("%v, %v", kinds, err)
	}
}
