package rules_test

import (
	"testing"

	"github.com/whosaw/whosaw/internal/rules"
)

// Every shipped rule can be read, and says what a person needs.
func TestShipped(t *testing.T) {
	s := rules.Shipped()
	if len(s.Rules) < 10 {
		t.Fatalf("%d rules", len(s.Rules))
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Name != r.Detector || r.Off != "" || r.Action != rules.Alarm || r.Technique() == "" || r.File != "shipped/"+r.Name+".yaml" {
			t.Errorf("rule %+v", r)
		}
		for j := range r.Cases {
			records, err := r.Cases[j].Records()
			if err != nil || len(records) == 0 || r.Cases[j].Line == 0 {
				t.Errorf("%s: case %q: %d records, %v", r.Name, r.Cases[j].Name, len(records), err)
			}
		}
	}
}

// BenchmarkParse reads a shipped rule: every engine begins with all of them.
func BenchmarkParse(b *testing.B) {
	data := rules.Shipped().Named("nonexistent").Source()
	for b.Loop() {
		if _, err := rules.Parse("nonexistent.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
