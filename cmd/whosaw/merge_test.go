package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/joint"
)

const shopCatalog = "../../examples/shop/catalog.yaml"

// exampleLines are the records of the example weeks, up to a moment; what they say before the first access comes first.
func exampleLines(t *testing.T, until string) (reference, rest []string) {
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
	for line := range strings.Lines(string(all)) {
		_, at, _ := strings.Cut(line, `"time":"`)
		switch {
		case until != "" && at[:len(until)] >= until:
		case strings.HasPrefix(line, `{"type"`) && !strings.HasPrefix(line, `{"type":"access"`):
			reference = append(reference, line)
		default:
			rest = append(rest, line)
		}
	}
	return reference, rest
}

// ledgerOf makes a data directory of lines, and gives it with what it shows alone.
func ledgerOf(t *testing.T, lines ...[]string) (dir string, answer whosaw.Investigation) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "log.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(slices.Concat(lines...), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	answer, _ = investigate(t, "--quiet", "--data", data, "--catalog", shopCatalog, "--source", "shop", file)
	return data, answer
}

func merged(t *testing.T, args ...string) joint.Answer {
	t.Helper()
	stdout, stderr, code := whosawRun(t, append([]string{"merge", "--json", "--quiet"}, args...)...)
	if code != exitOK {
		t.Fatalf("merge %q: exit %d\n%s", args, code, stderr)
	}
	var answer joint.Answer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestMergeFindsWhatNoneDoes: two servers take a shop's requests in turn, and both are told of what is no access. While a thief is at work, neither has
// seen enough of him; what they hold together shows him, exactly as one server that took all would.
func TestMergeFindsWhatNoneDoes(t *testing.T) {
	reference, rest := exampleLines(t, "2026-03-04T14:16")
	// Nobody says which credentials were issued, who held which key, or that a customer is planted: he is noticed by the customers that do not exist.
	reference = slices.DeleteFunc(reference, func(line string) bool {
		for _, kind := range []string{"issuance", "feed", "person", "key"} {
			if strings.HasPrefix(line, `{"type":"`+kind+`"`) {
				return true
			}
		}
		return strings.Contains(line, `"canary"`)
	})
	halves := [2][]string{}
	for i, line := range rest {
		halves[i%2] = append(halves[i%2], line)
	}
	_, one := ledgerOf(t, reference, rest)
	a, aloneA := ledgerOf(t, reference, halves[0])
	b, aloneB := ledgerOf(t, reference, halves[1])
	if len(one.Findings) == 0 || len(aloneA.Findings)+len(aloneB.Findings) > 0 {
		t.Fatalf("one server finds %d, the two find %d and %d: the test shows nothing", len(one.Findings), len(aloneA.Findings), len(aloneB.Findings))
	}
	together := filepath.Join(t.TempDir(), "joint")
	got := merged(t, "--data", together, a, b)
	if d := cmp.Diff(one.Findings, got.Findings, byMoment); d != "" {
		t.Errorf("findings (-one server +merged):\n%s", d)
	}
	if len(got.Attacks) == 0 || len(got.Attacks) != len(one.Scopes) {
		t.Fatalf("%d attacks, one server shows %d", len(got.Attacks), len(one.Scopes))
	}
	for i := range got.Attacks {
		x := &got.Attacks[i]
		if x.First() != nil || x.Joint.Seen == nil || x.Joint.Lost == nil || *x.Joint.Lost > x.Scope.Subjects {
			t.Errorf("attack %d: %+v", i, x)
		}
		if d := cmp.Diff(one.Scopes[i], *x.Scope); d != "" {
			t.Errorf("scope (-one server +merged):\n%s", d)
		}
	}
	if want := one.Read.Accepted; got.Added != want || got.Repeats < int64(len(reference)) || got.Conflicts != 0 || got.Engines != 1 {
		t.Errorf("%d added of %d, %d repeats, %d conflicts, %d engines", got.Added, want, got.Repeats, got.Conflicts, got.Engines)
	}

	// The joint ledger can be asked, and the same again adds nothing.
	stdout, stderr, code := whosawRun(t, "scope", "--data", together, "--key", "backup-2024", "--json")
	if code != exitOK || !strings.Contains(stdout, fmt.Sprintf(`"subjects": %d`, one.Scopes[0].Subjects)) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if again := merged(t, "--data", together, a, b); again.Added != 0 || len(again.Findings) != len(got.Findings) {
		t.Errorf("again: %d added, %d findings", again.Added, len(again.Findings))
	}
	if _, stderr, code := whosawRun(t, "verify", together); code != exitOK {
		t.Errorf("verify: exit %d\n%s", code, stderr)
	}
	text, _, _ := whosawRun(t, "merge", "--quiet", a, b)
	if !strings.Contains(text, "None of them shows it alone.") || !strings.Contains(text, "never") {
		t.Errorf("%s", text)
	}
}

// TestMergeIsOneServer: however the records lie in the directories, by realm or by anything else, and however many sets of detectors share them, what
// they show together is what one server that took all shows, record by record. With issuances here and accesses there, what each shows alone is told apart.
func TestMergeIsOneServer(t *testing.T) {
	reference, rest := exampleLines(t, "2026-03-04T16")
	twice := func(lines []string) (out []string) {
		for _, line := range lines {
			out = append(out, line, strings.Replace(line, `"time":"`, `"realm":"eu","time":"`, 1))
		}
		return out
	}
	all := twice(slices.Concat(reference, rest))
	slices.SortStableFunc(all, func(a, b string) int { return strings.Compare(timeIn(a), timeIn(b)) })
	_, one := ledgerOf(t, all)
	if len(one.Findings) < 6 {
		t.Fatalf("%d findings: the test shows nothing", len(one.Findings))
	}
	for name, of := range map[string]func(i int, line string) int{
		"realm": func(_ int, line string) int { return strings.Count(line, `"realm":"eu"`) },
		"turns": func(i int, _ string) int { return i % 2 },
		"three": func(i int, _ string) int { return i / 700 % 3 },
		"types": func(_ int, line string) int { return strings.Count(line, `{"type":"issuance"`) },
	} {
		t.Run(name, func(t *testing.T) {
			var parts [3][]string
			for i, line := range all {
				parts[of(i, line)] = append(parts[of(i, line)], line)
			}
			var dirs []string
			for _, lines := range parts {
				if len(lines) > 0 {
					dir, _ := ledgerOf(t, lines)
					dirs = append(dirs, dir)
				}
			}
			got := merged(t, dirs...)
			if d := cmp.Diff(one.Findings, got.Findings, byMoment); d != "" {
				t.Errorf("findings (-one server +merged):\n%s", d)
			}
			if len(got.Attacks) != len(one.Scopes) || got.Realms != 2 || got.Added != one.Read.Accepted {
				t.Errorf("%d attacks of %d, %d realms, %d of %d added", len(got.Attacks), len(one.Scopes), got.Realms, got.Added, one.Read.Accepted)
			}
			for _, x := range got.Attacks {
				if name == "realm" && (x.First() == nil || *x.First().Seen != *x.Joint.Seen) {
					t.Errorf("one directory has all of the realm, and alone sees the attack at %v, not at %v", x.First(), x.Joint.Seen)
				}
			}
			if name == "types" && len(got.Alone) == 0 {
				t.Error("nobody told the one directory of log-ins, and it accused nobody for it")
			}
			if name == "realm" && len(got.Alone) > 0 {
				t.Errorf("apart: %v", got.Alone)
			}
		})
	}
}

func timeIn(line string) string {
	_, at, _ := strings.Cut(line, `"time":"`)
	return at[:24]
}

// TestMergeLeavesSourcesAlone: but for the record that it was done, and where it cannot be written not even that.
func TestMergeLeavesSourcesAlone(t *testing.T) {
	reference, rest := exampleLines(t, "2026-02-17")
	a, _ := ledgerOf(t, reference)
	b, _ := ledgerOf(t, rest)
	var before [][]byte
	for _, dir := range []string{a, b} {
		before = append(before, logOf(t, dir))
	}
	merged(t, a, b)
	for i, dir := range []string{a, b} {
		after := logOf(t, dir)
		if !bytes.HasPrefix(after, before[i]) || !bytes.Contains(after[len(before[i]):], []byte("merge")) {
			t.Errorf("%s: %d bytes were there, now %d, that do not begin with them or do not say what was done", dir, len(before[i]), len(after))
		}
		if _, err := os.Stat(filepath.Join(dir, "detect")); err == nil {
			t.Errorf("%s has a state now", dir)
		}
	}
	if os.Getuid() == 0 {
		return // nothing is read-only for root
	}
	if err := os.Chmod(filepath.Join(a, "ledger"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(a, "ledger"), 0o700) })
	if _, stderr, code := whosawRun(t, "merge", "--quiet", a, b); code != exitOK {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// logOf gives the bytes of a small ledger's one log.
func logOf(t *testing.T, dir string) []byte {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "ledger", "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%v: %v", err, logs)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMergeRefuses: what cannot be merged, with the cure, before anything is written.
func TestMergeRefuses(t *testing.T) {
	_, rest := exampleLines(t, "2026-02-16T06")
	a, _ := ledgerOf(t, rest[:len(rest)/2])
	b, _ := ledgerOf(t, rest[len(rest)/2:])
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	refuse := func(code int, says string, args ...string) {
		t.Helper()
		if _, stderr, got := whosawRun(t, append([]string{"merge", "--quiet"}, args...)...); got != code || !strings.Contains(stderr, says) {
			t.Errorf("merge %q: exit %d, not %d, or does not say %q:\n%s", args, got, code, says, stderr)
		}
	}
	refuse(exitUsage, "takes two data directories or more; 1 is given", a)
	refuse(exitUsage, "are one directory: name each once", a, link)
	refuse(exitUsage, "which is merged: name a new directory", "--data", link, a, b)
	refuse(exitFailed, "holds no ledger", a, filepath.Dir(a))
	other, _ := ledgerOf(t, rest)
	refuse(exitUsage, "holds a ledger that no merge began", "--data", other, a, b)
	refuse(exitFailed, "read", "--config", filepath.Join(t.TempDir(), "none.yaml"), a, b)

	rules := filepath.Join(b, "rules.yaml")
	if err := os.WriteFile(rules, []byte("rule: canary\noff: a test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(exitUsage, "keep different rules (rules.yaml): name a configuration whose rules all are judged by, with --config FILE", a, b)
	config := filepath.Join(t.TempDir(), "whosaw.yaml")
	if err := os.WriteFile(config, []byte("rules: "+rules+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	together := filepath.Join(t.TempDir(), "joint")
	merged(t, "--config", config, "--data", together, a, b)
	if kept, err := os.ReadFile(filepath.Join(together, "rules.yaml")); err != nil || !strings.Contains(string(kept), "off: a test") {
		t.Errorf("the joint directory keeps the rules as %q, %v", kept, err)
	}
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	catalog := filepath.Join(b, "catalog.yaml")
	text, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(catalog, append(text, "\n  GET /merge/{id}:\n    fields: [name]\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(exitUsage, "keep different catalogs (catalog.yaml): name the one that all are judged by, with --catalog FILE", a, b)
	merged(t, "--catalog", shopCatalog, a, b)

	startServer(t, b, "")
	refuse(exitFailed, "a server runs on "+b+": merge a copy of it, made while it goes on: whosaw backup --data", a, b)
}

// byMoment puts findings that one record raised in an order.
var byMoment = cmpopts.SortSlices(func(a, b whosaw.Finding) bool { return a.Seen < b.Seen || a.Seen == b.Seen && a.ID < b.ID })
