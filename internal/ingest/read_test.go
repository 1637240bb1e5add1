package ingest_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
)

func TestCancelWhileReading(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	// Standard input that never ends and never gives more: a terminal.
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte(recs(0, 20_000)))
	o := ingest.Options{Now: testNow, Stdin: r, Source: "s"}
	p, err := ingest.NewPlan(ctx, []string{"-"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o.Observe = func(r *whosaw.Record) {
		if r.Subjects[0] == "100" {
			cancel()
		}
	}
	s, err := ingest.Read(ctx, p, o, func([]whosaw.Record) error { return nil })
	if !errors.Is(err, context.Canceled) || s.Accepted == 0 || s.Emitted != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := ingest.NewPlan(ctx, []string{file(t, "log", rec(1))}, ingest.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("plan after the end: %v", err)
	}
}

func TestCancelWhilePlanning(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	defer w.Close()
	go func() {
		w.Write([]byte(rec(1)[:10]))
		cancel()
	}()
	if _, err := ingest.NewPlan(ctx, []string{"-"}, ingest.Options{Stdin: r}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestProgress(t *testing.T) {
	text := recs(0, 20_000)
	path := file(t, "log.gz", gz(text))
	size, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.UnixMilli(testNow)
	var all []ingest.Progress
	o := ingest.Options{
		Clock:    func() time.Time { clock = clock.Add(30 * time.Millisecond); return clock },
		Progress: func(p ingest.Progress) { all = append(all, p) },
	}
	got := read(t, o, path)
	last := ingest.Progress{}
	phases := 0
	for i, p := range all {
		if p.Phase != last.Phase {
			phases++
		}
		if p.BytesRead < last.BytesRead || p.Lines < last.Lines || p.Emitted < last.Emitted || p.BytesRead > p.BytesTotal {
			t.Errorf("progress %d goes back: %+v after %+v", i, p, last)
		}
		last = p
	}
	if phases != 2 || last.Phase != ingest.PhaseEmit || last.BytesRead != size.Size() || last.Lines != 20_000 || last.Emitted != got.Emitted || last.Records != got.Emitted {
		t.Errorf("%d phases, at last %+v", phases, last)
	}
	if n := len(all); n < 3 || n > 15 {
		t.Errorf("told %d times", n)
	}
}

func TestRejectFile(t *testing.T) {
	dir := t.TempDir()
	bad := "{\"time\": 1}\nnot \xff text\n<b>&\"\n" + strings.Repeat("z", 50_000) + "\n" + recs(0, 5)
	log := dir + "/log"
	write(t, log, recs(0, 5)+bad)
	path := dir + "/out/rejects.jsonl"
	if err := os.Mkdir(dir+"/out", 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run replaces what the first left
		got := read(t, ingest.Options{RejectFile: path}, log)
		if got.Rejected != 4 || got.rejects[2].Raw != `<b>&"` || string(got.rejects[1].Base64) != "not \xff text" || !got.rejects[3].Cut || len(got.rejects[3].Raw) > 20_000 {
			t.Fatalf("%+v", got.rejects)
		}
		for i, r := range got.rejects {
			if r.Line != int64(6+i) || r.File != log || r.Source == "" || r.Reason == "" {
				t.Errorf("%+v", r.Reject)
			}
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// Nothing rejected: no file, and none of the run before.
	clean := dir + "/clean"
	write(t, clean, recs(0, 5))
	read(t, ingest.Options{RejectFile: path}, clean)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old reject file is left: %v", err)
	}
	// Full: the rest is counted and said.
	got := read(t, ingest.Options{RejectFile: path, RejectBytes: 300}, log)
	if len(got.rejects) != 1 || got.Unkept != 3 || !strings.Contains(strings.Join(got.Notes, " "), "3 more rejected lines") {
		t.Errorf("%d kept, %d not, %q", len(got.rejects), got.Unkept, got.Notes)
	}
	// What is not a reject file is not touched.
	for _, other := range []string{log, dir} {
		o := ingest.Options{Now: testNow, RejectFile: other}
		p, err := ingest.NewPlan(context.Background(), []string{log}, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ingest.Read(context.Background(), p, o, nil); err == nil || !strings.Contains(err.Error(), "name another") {
			t.Errorf("%s: %v", other, err)
		}
	}
	// A reject that cannot be written stops the run: it would be lost.
	o := ingest.Options{Now: testNow, RejectFile: dir + "/none/rejects"}
	p, err := ingest.NewPlan(context.Background(), []string{log}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Read(context.Background(), p, o, nil); err == nil || !strings.Contains(err.Error(), "make reject file") {
		t.Errorf("error %v", err)
	}
}

// TestNothingOfTheLineIsShown: summaries hold no part of a line.
func TestNothingOfTheLineIsShown(t *testing.T) {
	const secret = "s3cr3t"
	text := rec(1) + "\n"
	for _, line := range []string{
		`{"time":"` + secret + `"}`, `{"time":1779012303000,"ip":"` + secret + `"}`, `{"time":1779012303000,"status":"` + secret + `"}`, secret,
		`{"type":"` + secret + `"}`, `{"time":1779012303000,"outcome":"` + secret + `"}`, `{"time":1779012303000,"subject":"` + strings.Repeat(secret, 99) + `"}`,
	} {
		text += line + "\n"
	}
	got := read(t, ingest.Options{}, file(t, "log", text))
	if got.Rejected != 7 {
		t.Errorf("%d rejected", got.Rejected)
	}
	for _, r := range got.Rejects {
		if strings.Contains(r.Reason+r.Hint, secret) {
			t.Errorf("%+v", r)
		}
	}
}

func TestRejectCounts(t *testing.T) {
	got := read(t, ingest.Options{}, file(t, "log", rec(1)+"\nx\n{\"time\":\nx\nx\n"))
	if len(got.Rejects) != 1 && got.Rejects[0].Count < got.Rejects[1].Count || got.Rejects[0].First.Line != 2 {
		t.Errorf("%+v", got.Rejects)
	}
}

// TestOneSourceForManyFiles is allowed, and said.
func TestOneSourceForManyFiles(t *testing.T) {
	got := read(t, ingest.Options{Source: "gw"}, file(t, "a", recs(0, 3)), file(t, "b", recs(3, 6)))
	if got.Accepted != 6 || got.records[5].Source != "gw" || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "share the source gw") {
		t.Errorf("%+v", got.Summary)
	}
	if same := read(t, ingest.Options{Source: "gw"}, file(t, "a", recs(0, 3)), file(t, "b", recs(0, 3))); len(same.Notes) != 0 {
		t.Errorf("%q", same.Notes)
	}
}

// TestDerivedIssuances come from a log's own log-in route.
func TestDerivedIssuances(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/catalog.yaml", loginCatalog)
	cat, err := catalog.Load(dir + "/catalog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	line := `{"time":1779012303000,"method":"POST","path":"/login","status":200,"principal":"customer:7","credential":"s-1"}` + "\n"
	got := read(t, ingest.Options{Catalog: cat}, file(t, "log", "\n"+line))
	if got.Lines != 1 || got.Accepted != 1 || got.Derived != 1 || len(got.records) != 2 {
		t.Fatalf("%+v", got.Summary)
	}
	iss, access := &got.records[0], &got.records[1]
	if iss.Type != whosaw.TypeIssuance || !ingest.Derived(iss) || iss.Position != 1 || iss.Credential != "s-1" || iss.Source != access.Source+"#issuance" || ingest.Derived(access) {
		t.Errorf("%+v\n%+v", iss, access)
	}
}

// TestVanishedFile is gone between the plan and the reading: the rest is read, and it is counted.
func TestVanishedFile(t *testing.T) {
	a, b := file(t, "a", recs(0, 3)), file(t, "b", recs(3, 6))
	o := ingest.Options{Now: testNow, RejectFile: filepath.Join(t.TempDir(), "r")}
	p, err := ingest.NewPlan(context.Background(), []string{a, b}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	got := readPlan(t, p, o)
	if got.Accepted != 3 || got.Rejected != 1 || !got.Inputs[0].Truncated || !strings.Contains(got.rejects[0].Reason, "gone") {
		t.Errorf("%+v", got.Summary)
	}
}

const loginCatalog = `
routes:
  POST /login: {login: {credential: record}}
  GET /me: [name]
`
