package rules_test

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/rules"
)

// The page names every member, and its example is a rule whose cases do what they say.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/formats/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, name := range append(rules.Members(), rules.Actions()...) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("rules.md does not name %s", name)
		}
	}
	_, example, _ := strings.Cut(page, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	list, err := rules.Parse("rules.md", []byte(example))
	if err != nil || len(list) != 2 {
		t.Fatalf("%d rules, %v", len(list), err)
	}
	set, err := rules.Shipped().With(list...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detect.Config{Rules: set}
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	for _, r := range rehearsal.Test(cfg, list) {
		if !r.OK {
			t.Errorf("case %q: %s", r.Case, r.Says())
		}
	}
}

// TestSilentBelow: the page on detection says under which rate each rule is silent, as the rules have it.
func TestSilentBelow(t *testing.T) {
	data, err := os.ReadFile("../../docs/detection.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rules.Shipped().Rules {
		r := &rules.Shipped().Rules[i]
		if !r.Sequential() {
			if r.SilentBelow() != 0 {
				t.Errorf("%s runs no tests, and is silent below %v", r.Name, r.SilentBelow())
			}
			continue
		}
		_, row, found := strings.Cut(string(data), "\n| "+r.Name+" | ")
		for found { // the table for responders has the same names
			value, rest, _ := strings.Cut(row, " %")
			if p, err := strconv.ParseFloat(value, 64); err == nil {
				near := 0.5 // whole per cent
				if strings.Contains(value, ".") {
					near = 0.05
				}
				if got := 100 * r.SilentBelow(); math.Abs(got-p) > near {
					t.Errorf("%s is silent below %.3g %%, the page says %s", r.Name, got, value)
				}
				break
			}
			_, row, found = strings.Cut(rest, "\n| "+r.Name+" | ")
		}
		if !found {
			t.Errorf("docs/detection.md does not say under which rate %s is silent", r.Name)
		}
	}
}
