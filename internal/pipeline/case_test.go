package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

const now = 1795000000000 // November 2026

// shop gives record lines of a week in which log-ins issue credentials and customers open their own pages.
func shop() []string {
	var lines []string
	for i := range 1500 {
		minute := i * 6
		at := fmt.Sprintf("2026-03-%02dT%02d:%02d", 2+minute/1440, minute/60%24, minute%60)
		id := 1 + (i*7919)%3000
		lines = append(lines,
			fmt.Sprintf(`{"type":"issuance","time":"%s:00Z","credential":"c%d","key":"main","subject":%d}`, at, i, id),
			fmt.Sprintf(`{"time":"%s:30Z","route":"GET /me","status":200,"fields":["name"],"subject":%d,"principal":"customer:%d","credential":"c%d","key":"main","ip":"198.18.%d.%d"}`, at, id, id, i, id/250, id%250))
	}
	return lines
}

// theft gives forged accesses with one key from one address: customers in order, every second one does not exist.
func theft(key, ip string, day, from, n int) []string {
	var lines []string
	for i := range n {
		status, fields := 200, `"fields":["name"],`
		if i%2 == 0 {
			status, fields = 404, ""
		}
		lines = append(lines, fmt.Sprintf(`{"time":"2026-03-%02dT03:%02d:%02dZ","route":"GET /me","status":%d,%s"subject":%d,"principal":"customer:%d","credential":"%s-%d","key":"%s","ip":"%s"}`,
			day, i/60, i%60, status, fields, from+i, from+i, key, i, key, ip))
	}
	return lines
}

func read(t *testing.T, c *pipeline.Case, lines []string, source string) pipeline.Read {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := ingest.Options{Now: now, Source: source}
	plan, err := ingest.NewPlan(t.Context(), []string{log}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	got, err := c.Import(t.Context(), plan, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func open(t *testing.T, dir string) *pipeline.Case {
	t.Helper()
	c, err := pipeline.Open(t.Context(), pipeline.Config{Dir: dir, TempDir: t.TempDir(), Catalog: catalog.Rules()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func investigate(t *testing.T, c *pipeline.Case) pipeline.Result {
	t.Helper()
	result, err := c.Investigate(t.Context(), scope.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestHonestShopIsSilent(t *testing.T) {
	c := open(t, "")
	read(t, c, shop(), "log")
	if result := investigate(t, c); len(result.Findings) != 0 || len(result.Scopes) != 0 {
		t.Errorf("%d findings in an honest week: %+v", len(result.Findings), result.Findings)
	}
}

// TestOneAttackIsOneScope: however many detectors saw it; and two thieves with two keys are two.
func TestOneAttackIsOneScope(t *testing.T) {
	c := open(t, "")
	read(t, c, append(append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), theft("old", "192.0.2.77", 7, 1000, 300)...), "log")
	result := investigate(t, c)
	if len(result.Scopes) != 2 {
		t.Fatalf("%d scopes for two thefts: %+v", len(result.Scopes), result.Investigation.Scopes)
	}
	detectors := map[string]bool{}
	in := map[string]int{}
	for _, f := range result.Findings {
		detectors[f.Detector] = true
	}
	for i, want := range []int64{200, 150} {
		got := result.Scopes[i]
		if got.Scope.Subjects != want || got.Scope.Accesses != 2*want || got.Absent != want {
			t.Errorf("scope %d: %d subjects in %d accesses, %d absent; truth %d in %d, %d: %+v",
				i, got.Scope.Subjects, got.Scope.Accesses, got.Absent, want, 2*want, want, got.Scope.Filter)
		}
		for _, id := range got.Scope.Findings {
			in[id]++
		}
	}
	if len(detectors) < 2 {
		t.Errorf("only %v saw it: the test shows nothing", detectors)
	}
	for _, f := range result.Findings {
		if in[f.ID] != 1 {
			t.Errorf("finding %s on %s is in %d scopes", f.Detector, f.Unit, in[f.ID])
		}
	}
}

// TestCountsAddUp: accepted, repeated and conflicting lines, over a reopening.
func TestCountsAddUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	lines := shop()[:40]
	c := open(t, dir)
	first := read(t, c, lines, "log")
	if a := first.Answer(); a.Lines != 40 || a.Accepted != 40 || a.Duplicates != 0 || a.Rejected != 0 || a.From == nil {
		t.Errorf("first reading %+v", a)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	changed := append([]string(nil), lines...)
	changed[1] = strings.Replace(changed[1], `"status":200`, `"status":500`, 1) // same length: positions stay
	changed = append(changed, `{"time":"2026-03-02T23:00:00Z","route":"GET /me","status":200}`, "not a record")
	second := read(t, c, changed, "log")
	if a := second.Answer(); a.Lines != 42 || a.Accepted != 1 || a.Duplicates != 39 || a.Rejected != 2 {
		t.Errorf("second reading %+v", a)
	}
	if second.Conflicts != 1 || second.FirstConflict.Source != "log" || second.FirstConflict.Position != int64(len(lines[0])+1) {
		t.Errorf("conflict %d at %+v", second.Conflicts, second.FirstConflict)
	}
	result := investigate(t, c)
	if result.All.Scope.Accesses != 21 {
		t.Errorf("%d accesses, want the first reading's 20 and the new one", result.All.Scope.Accesses)
	}
	if n := rejected(result); n != 2 {
		t.Errorf("the gap of rejected lines has %d, want the one that is no record and the conflict", n)
	}
	// The writer has finished its last line, and somebody put the changed one right.
	whole := append(append([]string(nil), lines...), changed[40], `{"time":"2026-03-02T23:01:00Z","route":"GET /me","status":200}`)
	if a := read(t, c, whole, "log"); a.Answer().Rejected != 0 || a.Answer().Accepted != 1 {
		t.Errorf("third reading %+v", a.Answer())
	}
	if n := rejected(investigate(t, c)); n != 0 {
		t.Errorf("all lines are in the ledger, and a gap still has %d of them", n)
	}
}

func rejected(result pipeline.Result) int64 {
	var n int64
	for _, g := range result.All.Scope.Gaps {
		if g.Kind == "rejected" {
			n += g.Count
		}
	}
	return n
}

const completeFeed = `{"type":"feed","time":"2026-03-01T00:00:00Z","of":"issuance","client":"web","from":"2026-03-01T00:00:00Z","lost":0,"lag":60}`

// people are customers in no order.
var people = rand.New(rand.NewPCG(1, 2)).Perm(5000)

// session gives a log-in and a page behind it.
func session(minute, id int, key string) []string {
	at := fmt.Sprintf("2026-03-%02dT%02d:%02d", 2+minute/1440, minute/60%24, minute%60)
	return []string{
		fmt.Sprintf(`{"type":"issuance","time":"%s:20Z","credential":"s%d","client":"web","subject":%d}`, at, minute, id),
		fmt.Sprintf(`{"time":"%s:00Z","route":"GET /me","status":200,"fields":["name"],"subject":%d,"principal":"customer:%d","credential":"s%d","client":"web","ip":"198.18.0.%d"%s}`, at, id, id, minute, id%200, key),
	}
}

// TestOneForgedAmongAnonymous: accesses without any credential are not issued either. They must not be counted with the
// one that is forged.
func TestOneForgedAmongAnonymous(t *testing.T) {
	c := open(t, "")
	lines := []string{completeFeed}
	for i := range 400 {
		lines = append(lines, session(5*i, people[i], "")...)
		lines = append(lines, fmt.Sprintf(`{"time":"2026-03-%02dT%02d:%02d:40Z","route":"GET /track/{id}","status":200,"fields":["address"],"subject":%d,"client":"web","ip":"198.18.1.%d"}`,
			2+5*i/1440, 5*i/60%24, 5*i%60, people[2000+i], i%200))
	}
	lines = append(lines, `{"time":"2026-03-02T20:02:00Z","route":"GET /me","status":200,"fields":["name"],"subject":77,"principal":"customer:77","credential":"forged","client":"web","ip":"203.0.113.5"}`)
	read(t, c, lines, "log")
	result := investigate(t, c)
	if len(result.Scopes) != 1 || result.Scopes[0].Scope.Accesses != 1 || result.Scopes[0].Scope.Subjects != 1 {
		t.Errorf("one forged access gives %d scopes: %+v", len(result.Scopes), result.Investigation.Scopes)
	}
}

// TestInventedKeys: a forger who makes up a key for each token is one attack, and costs no more than another.
func TestInventedKeys(t *testing.T) {
	c := open(t, "")
	lines := []string{completeFeed}
	for i := range 200 {
		lines = append(lines, session(10*i, people[i], "")...)
	}
	for i := range 1500 {
		lines = append(lines, fmt.Sprintf(`{"time":"2026-03-02T%02d:%02d:%02dZ","route":"GET /me","status":200,"fields":["name"],"subject":%d,"principal":"customer:%d","credential":"f%d","key":"k%d","client":"web","ip":"203.0.113.5"}`,
			10+i/3600, i/60%60, i%60, 9000+3*i, 9000+3*i, i, i))
	}
	read(t, c, lines, "log")
	result := investigate(t, c)
	if len(result.Findings) > 20 || len(result.Scopes) != 1 || result.Scopes[0].Scope.Subjects != 1500 {
		t.Errorf("%d findings, %d scopes: %+v", len(result.Findings), len(result.Scopes), result.Investigation.Scopes)
	}
}

// TestOneFastClock: one record that lies a day ahead must not make everybody's issuance overdue.
func TestOneFastClock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	c := open(t, dir)
	lines := []string{completeFeed, `{"time":"2026-03-03T08:00:00Z","route":"GET /","status":200,"fields":[],"client":"web"}`}
	for i := range 100 {
		lines = append(lines, session(5*i, people[i], "")...)
	}
	read(t, c, lines, "one")
	lines = nil
	for i := range 100 {
		lines = append(lines, session(600+5*i, people[1000+i], "")...)
	}
	read(t, c, lines, "two")
	if result := investigate(t, c); len(result.Findings) != 0 {
		t.Errorf("honest sessions are accused: %+v", result.Findings)
	}
}

// TestReplayGivesTheSameFindings: what is found while reading is found again when the ledger is opened.
func TestReplayGivesTheSameFindings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	c := open(t, dir)
	read(t, c, append(shop(), theft("backup", "203.0.113.9", 5, 1, 400)...), "log")
	live := investigate(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := investigate(t, open(t, dir))
	if d := cmp.Diff(live.Findings, again.Findings); d != "" || len(live.Findings) == 0 {
		t.Errorf("%d findings (-live +replayed):\n%s", len(live.Findings), d)
	}
}

func TestThrowawayIsRemoved(t *testing.T) {
	temp := t.TempDir()
	c, err := pipeline.Open(t.Context(), pipeline.Config{TempDir: temp, Catalog: catalog.Rules()})
	if err != nil {
		t.Fatal(err)
	}
	read(t, c, shop()[:10], "log")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("%d entries left of a throwaway ledger", len(left))
	}
}

func TestCancelledImport(t *testing.T) {
	c := open(t, "")
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(strings.Join(shop(), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := ingest.Options{Now: now}
	ctx, cancel := context.WithCancel(t.Context())
	plan, err := ingest.NewPlan(ctx, []string{log}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	cancel()
	if _, err := c.Import(ctx, plan, opts, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled import: %v", err)
	}
}
