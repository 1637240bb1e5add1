package rules_test

import (
	"os"
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
