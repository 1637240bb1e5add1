package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/rules"
)

// cases are the least that a rule must carry.
const cases = `
cases:
  - case: tries
    fires: true
    records:
      - {repeat: 40, every: 20s, route: 'GET /c/{id}', subject: <1000+n*7>, outcome: absent, ip: 203.0.113.7}
  - case: quiet
    fires: false
    records:
      - {route: 'GET /c/{id}', subject: 7, outcome: disclosed, ip: 203.0.113.7}
`

// TestFaults: what cannot be meant is refused, and the error names file, line and cure.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":              {"", "r.yaml: empty"},
		"no name":            {"detector: nonexistent" + cases, "give the rule a name"},
		"unknown member":     {"rule: nonexistent\nceilling: 3" + cases, "r.yaml:2: unknown field"},
		"unknown in p0":      {"rule: nonexistent\np0:\n  floor: 0.02\n  cieling: 0.1" + cases, "r.yaml:4: unknown field"},
		"unknown detector":   {"rule: mine\ndetector: nonesuch" + cases, "r.yaml:2: detector: \"nonesuch\" is no detector"},
		"unknown setting":    {"rule: spreader\nsettings:\n  least: 40\n  most: 3" + cases, "r.yaml:4: settings: most is no setting of spreader: give some of days, least"},
		"no settings":        {"rule: nonexistent\nsettings: {most: 3}" + cases, "it has no settings"},
		"bad setting":        {"rule: spreader\nsettings:\n  least: many" + cases, "r.yaml:3: setting \"many\""},
		"unknown unit":       {"rule: refused\nunits: [ip]" + cases, "r.yaml:2: units: refused does not watch \"ip\""},
		"a unit twice":       {"rule: nonexistent\nunits: [key, cell, key]" + cases, "r.yaml:2: units: key stands there twice"},
		"no units":           {"rule: nonexistent\nunits: []" + cases, "r.yaml:2: units: without any nobody is watched"},
		"no unit of time":    {"rule: unexplained\nsettings:\n  tolerance: 300" + cases, "r.yaml:3: settings: tolerance of unexplained is a length of time"},
		"time for a number":  {"rule: spreader\nsettings:\n  days: 7d" + cases, "r.yaml:3: settings: days of spreader is a number"},
		"endless setting":    {"rule: spreader\nsettings:\n  least: .inf" + cases, "r.yaml:3: setting \".inf\""},
		"inf setting":        {"rule: spreader\nsettings:\n  least: 1e300" + cases, "r.yaml:3: setting \"1e300\""},
		"ceiling of nought":  {"rule: nonexistent\np0: {ceiling: 0}" + cases, "r.yaml:2: p0: a ceiling of 0 would judge nobody"},
		"young is no number": {"rule: nonexistent\np0: {young: .nan}" + cases, "r.yaml:2: p0: floor"},
		"p1 below p0":        {"rule: nonexistent\np1: [0.01]" + cases, "r.yaml:2: p1: 0.01"},
		"p1 of a fact":       {"rule: canary\np1: [0.1]" + cases, "runs no sequential tests"},
		"many p1":            {"rule: nonexistent\np1: [0.1, 0.2, 0.5]" + cases, "room for 2"},
		"p0 upside down":     {"rule: nonexistent\np0: {floor: 0.3, ceiling: 0.2}\np1: [0.5]" + cases, "r.yaml:2: p0: floor"},
		"budget of a fact":   {"rule: canary\nalarms_per_month: 2" + cases, "to which the bound does not apply"},
		"bad budget":         {"rule: nonexistent\nalarms_per_month: none" + cases, "r.yaml:2: alarms_per_month"},
		"unknown action":     {"rule: nonexistent\naction: shoot" + cases, "give one of alarm, mask"},
		"no cases":           {"rule: nonexistent", "0 fire and 0 do not"},
		"no silent case":     {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7}", "r.yaml:2: cases: 1 fire and 0 do not"},
		"no firing case":     {"rule: nonexistent\ncases:\n  - case: a\n    fires: false\n    records:\n      - {subject: 7}", "0 fire and 1 do not"},
		"fires not said":     {"rule: nonexistent\ncases:\n  - case: a\n    records:\n      - {subject: 7}", "say fires: true"},
		"no records":         {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records: []", "has no records"},
		"budget of nobody":   {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    budgets: [{of: staff, day: 1}]\n    records:\n      - {subject: 7}", `case "a": budgets: of: "staff"`},
		"unknown in case":    {"rule: nonexistent\ncases:\n  - case: a\n    fire: true\n    records:\n      - {subject: 7}", "r.yaml:4: unknown field"},
		"unknown in a record": {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7}\n      - {subject: 7, colour: red}",
			"r.yaml:7: colour: no record of this type has it"},
		"member of another type": {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - subject: 7\n        lag: 3", "r.yaml:7: lag"},
		"bad value":              {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, ip: nowhere}", "r.yaml:6: case \"a\": member ip"},
		"time":                   {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, time: 5}", "r.yaml:6: time: say at"},
		"bad at":                 {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, at: noon}", "at: \"noon\""},
		"bad sum":                {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: <n/0>}", "division by zero"},
		"too many":               {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, repeat: 1000000}", "give how many times, 1 to 20000"},
		"too many to add up":     {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, repeat: 9000000000000000000}\n      - {subject: 7, repeat: 9000000000000000000}", "give how many times"},
		"too many in all":        {"rule: nonexistent\ncases:\n  - case: a\n    fires: true\n    records:\n      - {subject: 7, repeat: 15000}\n      - {subject: 7, repeat: 15000}", "more than 20000 records"},
		"second document":        {"rule: nonexistent" + cases + "---\nrule: traversal\ncolour: red\n", "r.yaml:13: unknown field"},
	} {
		_, err := rules.Parse("r.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// TestUsersRule: it says what it changes, and the rest is as shipped.
func TestUsersRule(t *testing.T) {
	list, err := rules.Parse("r.yaml", []byte("rule: nonexistent\nunits: [key]\np0: {floor: 0.05}\np1: [0.5]\nalarms_per_month: 0.1"+cases))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d rules, %v", len(list), err)
	}
	r, base := list[0], rules.Shipped().Named("nonexistent")
	if r.P0.Floor != 0.05 || r.P0.Young != 0.05 || r.P0.Ceiling != base.P0.Ceiling || r.P0.Of != base.P0.Of || len(r.Units) != 1 || r.AlarmsPerMonth != 0.1 ||
		r.Text != base.Text || r.Technique() != base.Technique() || !strings.HasPrefix(string(r.Source()), "rule: nonexistent") {
		t.Errorf("rule %+v", r)
	}
	if base.P0.Floor != 0.02 || len(base.Units) != 7 {
		t.Error("the shipped rule was changed")
	}
	records, err := r.Cases[0].Records()
	if err != nil || len(records) != 40 || records[39].Subjects[0] != "1273" || records[39].Time-rules.CaseStart != 39*20_000 {
		t.Errorf("records %v, %v", len(records), err)
	}
}

// TestLoad: a directory is laid over the shipped rules by name.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "rule: nonexistent\np1: [0.5]"+cases+"---\nrule: traversal\noff: our job walks the numbers, OPS-12\n")
	write("readme.txt", "no rule")
	s, err := rules.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Of("nonexistent"); len(r.P1) != 1 || len(s.Rules) != len(rules.Shipped().Rules) {
		t.Errorf("rule %+v of %d", r, len(s.Rules))
	}
	if r := s.Of("traversal"); !strings.Contains(r.Off, "OPS-12") {
		t.Errorf("traversal is on: %+v", r)
	}
	write("b.yaml", "rule: ours\ndetector: nonexistent"+cases)
	if _, err := rules.Load(dir); err == nil || !strings.Contains(err.Error(), "nonexistent has the rule nonexistent already") {
		t.Errorf("two rules of one detector: %v", err)
	}
	write("a.yaml", "rule: nonexistent\noff: ours is used\n")
	if s, err = rules.Load(dir); err != nil || s.Of("nonexistent").Name != "ours" {
		t.Errorf("%v", err)
	}
	write("c.yaml", "rule: ours\ndetector: nonexistent"+cases)
	if _, err := rules.Load(dir); err == nil || !strings.Contains(err.Error(), "stands in") {
		t.Errorf("one name twice: %v", err)
	}
	if _, err := rules.Load(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there")
	}
}

func FuzzParse(f *testing.F) {
	for i := range rules.Shipped().Rules {
		if source := rules.Shipped().Rules[i].Source(); len(source) < 3000 { // short ones: thousands of records say no more
			f.Add(source)
		}
	}
	f.Add([]byte("rule: nonexistent" + cases))
	f.Fuzz(func(_ *testing.T, data []byte) {
		list, err := rules.Parse("r.yaml", data)
		if err != nil {
			return
		}
		for _, r := range list {
			for i := range r.Cases {
				_, _ = r.Cases[i].Records()
			}
		}
	})
}
