package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/sim"
)

const example = "../../examples/shop/access.jsonl.gz"

// exampleTruth reads what the generator knows: the counts, and whose data the attack saw, in order.
func exampleTruth(t *testing.T) (truth sim.Truth, disclosed []string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/shop/truth.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, line := range readLines(t, "../../examples/shop/truth.jsonl.gz") {
		var access struct {
			Subjects  []string
			Disclosed bool
		}
		if err := json.Unmarshal([]byte(line), &access); err != nil {
			t.Fatal(err)
		}
		for _, s := range access.Subjects {
			if n, err := strconv.Atoi(s); err != nil {
				t.Fatal(err)
			} else if access.Disclosed {
				seen[n] = true
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		disclosed = append(disclosed, strconv.Itoa(n))
	}
	return truth, disclosed
}

// TestExamplePages holds the pages that tell of the example to its truth.
func TestExamplePages(t *testing.T) {
	truth, _ := exampleTruth(t)
	lines, people := figure.Int(truth.Lines)+" lines", figure.Int(truth.Attack.Subjects)+" customers"
	for page, figures := range map[string][]string{
		"README.md":          {lines, people, figure.Int(int64(truth.Customers)) + " customers"},
		"examples/README.md": {lines, people, figure.Int(int64(truth.Customers)) + " customers"},
		"docs/quickstart.md": {lines, people},
		"docs/BENCHMARKS.md": {lines},
	} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range figures {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not say %q", page, want)
			}
		}
	}
}

// TestExample compares every count of README's example with the truth.
func TestExample(t *testing.T) {
	truth, disclosed := exampleTruth(t)
	data := filepath.Join(t.TempDir(), "case")
	got, _ := investigate(t, "--data", data, example)
	if r := got.Read; r.Lines != truth.Lines || r.Duplicates != truth.Duplicates || r.Rejected != 0 || r.Accepted != truth.Lines-truth.Duplicates {
		t.Errorf("read %+v, truth has %d lines, %d of them twice", r, truth.Lines, truth.Duplicates)
	}
	if len(got.Scopes) != 1 {
		t.Fatalf("%d scopes, the truth is one attack", len(got.Scopes))
	}
	scope, want := got.Scopes[0], truth.Attack
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"accesses", scope.Accesses, want.Accesses},
		{"disclosures", scope.Disclosures, want.Disclosures},
		{"subjects", scope.Subjects, want.Subjects},
		{"others", scope.Others, want.Others},
		{"fields", scope.Fields, want.Fields},
		{"masked", scope.Masked, want.Masked},
		{"first", scope.First.String(), want.First},
		{"last", scope.Last.String(), want.Last},
		{"gaps", len(scope.Gaps), 0},
		{"findings of the scope", len(scope.Findings), len(got.Findings)},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s (-truth +whosaw):\n%s", c.name, d)
		}
	}
	detectors := map[string]bool{}
	for _, f := range got.Findings {
		detectors[f.Detector] = true
	}
	for _, d := range []string{"unissued", "nonexistent", "traversal", "canary", "key_state"} {
		if !detectors[d] {
			t.Errorf("detector %s found nothing in the example", d)
		}
	}

	// The list, and the same scope asked by hand.
	filter := filepath.Join(t.TempDir(), "filter.json")
	if err := os.WriteFile(filter, []byte(`{"key": ["backup-2024"], "issued": false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := whosawRun(t, "scope", "--data", data, "--filter", filter, "--list", "csv")
	if code != exitOK {
		t.Fatalf("scope --list: exit %d\n%s", code, stderr)
	}
	var listed []string
	for i, line := range strings.Split(strings.TrimSuffix(stdout, "\n"), "\n") {
		if i == 0 {
			if line != "subject,first,last,accesses,fields" {
				t.Errorf("header %q", line)
			}
			continue
		}
		id, _, _ := strings.Cut(line, ",")
		listed = append(listed, id)
	}
	if d := cmp.Diff(disclosed, listed); d != "" {
		t.Errorf("people (-truth +list):\n%s", d)
	}
}

// TestFailOnFinding is what scripts rely on.
func TestFailOnFinding(t *testing.T) {
	if _, stderr, code := whosawRun(t, "investigate", "--json", "--fail-on-finding", example); code != exitFinding {
		t.Errorf("with a finding: exit %d, want %d\n%s", code, exitFinding, stderr)
	}
	calm := writeLines(t, []string{good(1) + "\n", good(90) + "\n"})
	if _, stderr, code := whosawRun(t, "investigate", "--json", "--fail-on-finding", calm); code != exitOK {
		t.Errorf("without: exit %d, want %d\n%s", code, exitOK, stderr)
	}
}

// TestCut cuts the input right after each finding's `seen`: the same finding comes out.
func TestCut(t *testing.T) {
	for _, c := range []struct{ name, log string }{
		{"records", example},
		{"records without reference records", withoutReferences(t, example)},
		{"combined, out of order, without catalog", combinedAttack(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole, _ := investigate(t, c.log)
			if len(whole.Findings) == 0 {
				t.Fatal("no finding to cut at")
			}
			for _, want := range whole.Findings {
				cut := cutAt(t, c.log, want.Seen)
				got, _ := investigate(t, cut)
				found := false
				for _, f := range got.Findings {
					if f.ID == want.ID {
						found = true
						if d := cmp.Diff(want, f); d != "" {
							t.Errorf("finding %s (-whole +cut):\n%s", want.ID, d)
						}
					}
				}
				if !found {
					t.Errorf("finding %s (%s on %s) is gone when the input is cut at %s", want.ID, want.Detector, want.Unit, want.Seen)
				}
			}
		})
	}
}

// combinedAttack is a combined log in which many customers open their own pages, and one address tries customer
// numbers in order, of which half do not exist. Lines come out of order, as they do from several workers.
func combinedAttack(t *testing.T) string {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var lines []string
	add := func(at time.Time, ip string, id, status int) {
		lines = append(lines, fmt.Sprintf("%s - - [%s] \"GET /users/%d/orders HTTP/1.1\" %d 512 \"-\" \"Mozilla/5.0 Firefox/147.0\"\n",
			ip, at.Format("02/Jan/2006:15:04:05 -0700"), id, status))
	}
	for range 4000 {
		id := 1 + 2*random.IntN(1500)
		add(start.Add(time.Duration(random.IntN(36*3600))*time.Second), fmt.Sprintf("198.18.%d.%d", id/250, id%250), id, 200)
	}
	for i := range 600 {
		add(start.Add(20*time.Hour+time.Duration(i*3)*time.Second), "203.0.113.9", 1+i, map[bool]int{true: 200, false: 404}[i%2 == 0])
	}
	for i := range lines {
		j := min(len(lines)-1, i+random.IntN(20))
		lines[i], lines[j] = lines[j], lines[i]
	}
	return writeLines(t, lines)
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
}

func writeLines(t *testing.T, lines []string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// cutAt writes the lines whose time is not after seen. The first 4 KiB, which name the source, must stay.
func cutAt(t *testing.T, log string, seen whosaw.Time) string {
	t.Helper()
	var kept []string
	for _, line := range readLines(t, log) {
		var at time.Time
		if strings.HasPrefix(line, "{") {
			var r struct{ Time time.Time }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			at = r.Time
		} else {
			_, rest, _ := strings.Cut(line, "[")
			stamp, _, _ := strings.Cut(rest, "]")
			var err error
			if at, err = time.Parse("02/Jan/2006:15:04:05 -0700", stamp); err != nil {
				t.Fatal(err)
			}
		}
		if at.UnixMilli() <= int64(seen) {
			kept = append(kept, line)
		}
	}
	return writeLines(t, kept)
}

// withoutReferences leaves the accesses alone: a log as most shops have it.
func withoutReferences(t *testing.T, log string) string {
	t.Helper()
	var kept []string
	for _, line := range readLines(t, log) {
		if !bytes.Contains([]byte(line), []byte(`"type":`)) {
			kept = append(kept, line)
		}
	}
	return writeLines(t, kept)
}
