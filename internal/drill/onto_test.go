package drill_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
)

const now = 1795000000000 // November 2026

// open reads a log into a throwaway case, as the command does.
func open(t *testing.T, cat *catalog.Catalog, log string) *pipeline.Case {
	t.Helper()
	opts := ingest.Options{Now: now, Catalog: cat, TempDir: t.TempDir()}
	plan, err := ingest.NewPlan(t.Context(), []string{log}, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	c, err := pipeline.Open(t.Context(), pipeline.Config{TempDir: t.TempDir(), Catalog: cat})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Import(t.Context(), plan, opts, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func onto(t *testing.T, c *pipeline.Case, cat *catalog.Catalog, scenario string) (*drill.OntoAnswer, string) {
	t.Helper()
	temp := t.TempDir()
	a, err := drill.Onto(t.Context(), c, drill.OntoConfig{Scenario: scenario, Seed: 6, Catalog: cat, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("the drill left %v behind (%v)", left, err)
	}
	var b bytes.Buffer
	if err := a.WriteText(&b, []string{"LOG"}, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	checkTrials(t, a)
	checkNulls(t, a)
	return a, b.String()
}

// checkNulls holds an answer to the contract: what is null is a time or a figure that there is none of, never a list.
func checkNulls(t *testing.T, answer any) {
	t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"(\w+)":null`).FindAllStringSubmatch(string(text), -1) {
		switch m[1] {
		case "seen", "after", "lost_median", "lost_worst", "later_median", "later_worst", "after_median_ms", "after_worst_ms", "finding", "first", "from", "to":
		default:
			t.Errorf("%s is null", m[1])
		}
	}
}

// checkTrials holds what must be true of every answer.
func checkTrials(t *testing.T, a *drill.OntoAnswer) {
	t.Helper()
	for _, tr := range append([]drill.Trial{a.AsIs}, a.With...) {
		if tr.Accesses == 0 || tr.Before > tr.Accesses || tr.All.Lost > tr.Customers || tr.All.Noticed != (tr.Before > 0) || tr.All.Noticed != (tr.Day > 0) {
			t.Errorf("%q: %d of %d accesses, %d of %d customers, day %d, noticed %v", tr.With, tr.Before, tr.Accesses, tr.All.Lost, tr.Customers, tr.Day, tr.All.Noticed)
		}
	}
}

func trial(t *testing.T, a *drill.OntoAnswer, with string) drill.Trial {
	t.Helper()
	for _, tr := range a.With {
		if strings.HasPrefix(tr.With, with) {
			return tr
		}
	}
	t.Fatalf("no trial with %q in %+v", with, a.With)
	return drill.Trial{}
}

// TestOntoApache: a real log that names neither customers nor credentials. Nothing could notice, and it says what would have.
func TestOntoApache(t *testing.T) {
	log := filepath.Join("..", "..", "..", "shared", "data", "elastic_apache_logs.log")
	if _, err := os.Stat(log); err != nil {
		t.Skipf("the real Apache log is not here (%v): put elastic_apache_logs.log into ../shared/data beside the project", err)
	}
	cat := catalog.Rules()
	a, text := onto(t, open(t, cat, log), cat, "stolen-key")
	if a.AsIs.All.Noticed || a.AsIs.Alarms != 0 || !a.Stretched || a.Accesses != 9999 || len(a.Already) != 0 {
		t.Errorf("as it is: %+v, %d accesses", a.AsIs, a.Accesses)
	}
	for with, by := range map[string]string{"subject": "nonexistent", "credential and key": "unissued", "all": ""} {
		tr := trial(t, a, with)
		if !tr.All.Noticed || tr.Alarms != 0 || by != "" && tr.All.First != by {
			t.Errorf("with %s: %+v, %d alarms on the honest part", with, tr.All, tr.Alarms)
		}
	}
	for _, want := range []string{
		"You would not have noticed", "`subject`", "`credential` and `key`", "blind to nonexistent, traversal", "whosaw setup nginx",
		"Nothing was sent anywhere",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
}

// withoutFeeds writes the example's log without the records that declare feeds.
func withoutFeeds(t *testing.T) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "examples", "shop", "access.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	left := 0
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(`"type":"feed"`)) {
			left++
			continue
		}
		out = append(out, line...)
	}
	if left == 0 {
		t.Fatal("the example declares no feed")
	}
	path := filepath.Join(t.TempDir(), "undeclared.jsonl")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOntoExample: a log that says everything, and holds a theft of its own, which is left out.
func TestOntoExample(t *testing.T) {
	cat, err := catalog.Load(filepath.Join("..", "..", "examples", "shop", "catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, cat, filepath.Join("..", "..", "examples", "shop", "access.jsonl.gz"))
	before := len(c.Findings())
	a, text := onto(t, c, cat, "stolen-key")
	if before == 0 || len(a.Already) != before || a.LeftOut == 0 || len(c.Findings()) != before {
		t.Errorf("%d findings already, %d of them said, %d accesses left out, %d afterwards", before, len(a.Already), a.LeftOut, len(c.Findings()))
	}
	if !a.AsIs.All.Noticed || a.AsIs.All.Lost > 20 || a.AsIs.Alarms != 0 {
		t.Errorf("as it is: %+v, %d alarms", a.AsIs.All, a.AsIs.Alarms)
	}
	if a.AsIs.All.Lost > 2 || a.AsIs.All.First != "unissued" || slices.ContainsFunc(a.With, func(tr drill.Trial) bool { return strings.Contains(tr.With, "declared complete") }) {
		t.Errorf("the feed is declared: %+v, with %+v", a.AsIs.All, a.With)
	}
	undeclared, _ := onto(t, open(t, cat, withoutFeeds(t)), cat, "stolen-key")
	if tr := trial(t, undeclared, "the issuance feed declared complete"); tr.All.Lost > 1 || tr.All.First != "unissued" {
		t.Errorf("with a complete feed: %+v", tr.All)
	}
	for _, want := range []string{"You would have noticed after", "These records hold 5 findings", "whosaw investigate LOG"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the text does not say %q:\n%s", want, text)
		}
	}
	again, _ := onto(t, c, cat, "stolen-key")
	one, _ := json.Marshal(a)
	two, _ := json.Marshal(again)
	if !bytes.Equal(one, two) {
		t.Errorf("the same drill twice:\n%s\n%s", one, two)
	}
	tenth, err := drill.Onto(t.Context(), c, drill.OntoConfig{Scenario: "stolen-key", Seed: 6, Share: 1000, Catalog: cat})
	if want := a.Accesses * 2 / 3 / 1000; err != nil || tenth.Stretched || tenth.AsIs.Accesses < want-1 || tenth.AsIs.Accesses > want+1 {
		t.Errorf("a share of 0.1 %%: %d accesses of %d, stretched %v, %v", tenth.AsIs.Accesses, a.Accesses, tenth.Stretched, err)
	}
	for _, scenario := range []string{"stolen-key-careful", "one-api"} {
		if a, _ := onto(t, c, cat, scenario); a.AsIs.Customers < 20 {
			t.Errorf("%s was shown %d customers", scenario, a.AsIs.Customers)
		}
	}
}

// TestOntoProxyLog: the example's shop as its proxy logs it. The customers' own pages do not say whose they are, so an attack on them
// is not seen, though the help desk's pages do say it.
func TestOntoProxyLog(t *testing.T) {
	cat := catalog.Rules()
	a, text := onto(t, open(t, cat, filepath.Join("..", "..", "examples", "shop", "nginx-access.log.gz")), cat, "stolen-key")
	if a.AsIs.All.Noticed {
		t.Errorf("noticed as it is: %+v", a.AsIs.All)
	}
	if tr := trial(t, a, "credential and key"); !tr.All.Noticed || tr.All.First != "unissued" || tr.All.Lost > 20 {
		t.Errorf("with credential and key: %+v", tr.All)
	}
	if tr := trial(t, a, "subject"); !tr.All.Noticed {
		t.Errorf("with subject: %+v", tr.All)
	}
	if want := "pages that by the catalog show a customer's data"; !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("the text does not say %q:\n%s", want, text)
	}
}

// TestWovenIsDrawnFromTheLog: nothing an attack shows of itself occurs in the attack alone, but its credentials and absent customers.
func TestWovenIsDrawnFromTheLog(t *testing.T) {
	cat := catalog.Rules()
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf(`{"time":%d,"route":"GET /v%d/me","status":200,"fields":["name"],"subject":"u%04x","principal":"customer:u%04x","credential":"c%d","key":"k%d","client":"app%d","ip":"198.51.%d.%d","country":"KR","asn":%d,"agent":"Agent%d/1.0"}`,
			now-86_400_000*5+i*100_000, i%3, i*17%5000, i*17%5000, i, i%2, i%4, i%50, i%250, 64496+i%5, i%20))
	}
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := open(t, cat, log)
	known := map[string]bool{}
	members := func(r *whosaw.Record) []string {
		return []string{"route " + r.Route, "key " + r.Key, "client " + r.Client, fmt.Sprint("origin ", r.IP, r.Country, r.ASN), "agent " + r.Agent,
			fmt.Sprint("fields ", r.Fields), fmt.Sprint("id ", len(r.Subjects), len(r.Subjects[0]))}
	}
	view, err := c.Ledger().View(0)
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]bool{}
	err = view.Records(t.Context(), 1, func(_ uint64, r *whosaw.Record) error {
		for _, m := range members(r) {
			known[m] = true
		}
		credentials[r.Credential] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	known["fields []"] = true // of what does not exist
	for _, scenario := range drill.Weaves() {
		plain, made, err := drill.Woven(t.Context(), c, drill.OntoConfig{Scenario: scenario, Seed: 7, Catalog: cat}, 400)
		if err != nil || len(plain) != 400 {
			t.Fatalf("%s: %d woven, %v", scenario, len(plain), err)
		}
		absent := 0
		for i := range plain {
			r := &plain[i]
			for _, m := range members(r) {
				if !known[m] {
					t.Fatalf("%s: %s occurs in the attack alone", scenario, m)
				}
			}
			if forged := !credentials[r.Credential]; forged == (scenario == "one-api") {
				t.Fatalf("%s: credential forged: %v", scenario, forged)
			}
			if scenario != "one-api" && r.Principal != "customer:"+r.Subjects[0] {
				t.Fatalf("%s: %s opens %v", scenario, r.Principal, r.Subjects)
			}
			if r.Status == 404 {
				absent++
			}
			if err := r.Validate(now); err != nil {
				t.Fatalf("%s: %v", scenario, err)
			}
			if made[i].Credential != r.Credential || made[i].Subjects[0] != r.Subjects[0] || made[i].Key != r.Key {
				t.Fatalf("%s: what the log has was made up anew: %+v", scenario, made[i])
			}
		}
		if (absent > 0) != (scenario == "stolen-key") {
			t.Errorf("%s: %d absent", scenario, absent)
		}
	}
}

// TestOntoNothingToWeave: records without an answered page.
func TestOntoNothingToWeave(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(`{"time":1794900000000,"route":"GET /me","status":500,"ip":"198.51.100.7"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cat := catalog.Rules()
	_, err := drill.Onto(t.Context(), open(t, cat, log), drill.OntoConfig{Scenario: "stolen-key", Catalog: cat})
	if err == nil || !strings.Contains(err.Error(), "give the log of the shop itself") {
		t.Errorf("error %v", err)
	}
	if _, err := drill.Onto(t.Context(), open(t, cat, log), drill.OntoConfig{Scenario: "courier", Catalog: cat}); err == nil {
		t.Error("a courier cannot be woven in")
	}
}
