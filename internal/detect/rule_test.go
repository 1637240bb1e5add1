package detect_test

import (
	"math"
	"slices"
	"testing"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/rules"
)

// ruled gives a configuration with a user's rules laid over the shipped ones.
func ruled(t *testing.T, text string) detect.Config {
	t.Helper()
	const cases = "\ncases:\n  - case: a\n    fires: true\n    records: [{subject: 7}]\n  - case: b\n    fires: false\n    records: [{subject: 7}]\n"
	list, err := rules.Parse("r.yaml", []byte(text+cases))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Shipped().With(list...)
	if err != nil {
		t.Fatal(err)
	}
	return detect.Config{Rules: set}
}

// An allowance of a rule's own is taken out of the server's, and fewer tests lower the h of all that share.
func TestRulesMakeThresholds(t *testing.T) {
	all := float64(detectTests(t, detect.Config{}))
	for _, c := range []struct {
		rule        string
		own, shared float64
	}{
		{"rule: nonexistent\nalarms_per_month: 0.25", math.Log(14 * 3e9 / 0.25), math.Log((all - 14) * 3e9 / 0.75)},
		{"rule: nonexistent\nunits: [key]\np1: [0.5]", math.Log((all - 13) * 3e9), math.Log((all - 13) * 3e9)},
		{"rule: nonexistent\noff: we look up addresses", 0, math.Log((all - 14) * 3e9)},
	} {
		cfg := ruled(t, c.rule)
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", c.rule, err)
		}
		if h := cfg.Threshold(); math.Abs(h-c.shared) > 1e-9 {
			t.Errorf("%s: shared h %v, want %v", c.rule, h, c.shared)
		}
		for _, s := range detect.New(cfg, nil).Status() {
			want := c.shared
			switch {
			case (s.Off != "") != (s.Detector == "nonexistent" && c.own == 0):
				t.Errorf("%s: %s is off: %q", c.rule, s.Detector, s.Off)
			case s.Detector == "nonexistent":
				want = c.own
			case s.Threshold == 1:
				continue
			}
			if math.Abs(s.Threshold-want) > 1e-9 {
				t.Errorf("%s: h of %s is %v, want %v", c.rule, s.Detector, s.Threshold, want)
			}
		}
	}
	over := ruled(t, "rule: nonexistent\nalarms_per_month: 1")
	if over.Check() == nil {
		t.Error("a rule may use up the allowance of all")
	}
}

// What makes an engine judge otherwise makes another fingerprint; the defaults written out do not.
func TestConfigFingerprint(t *testing.T) {
	base := detect.Config{}.Fingerprint()
	if (detect.Config{Rules: rules.Shipped(), MaxUnits: 1 << 20, AlarmsPerMonth: 1}).Fingerprint() != base {
		t.Error("the defaults written out are another configuration")
	}
	for i, c := range []detect.Config{
		ruled(t, "rule: nonexistent\np1: [0.5]"), ruled(t, "rule: nonexistent\noff: a test"), {MaxUnits: 7}, {AlarmsPerMonth: 2},
		{Budgets: []detect.Budget{{Of: "key:a", Day: 3}}}, {FeedLag: 5},
	} {
		if c.Fingerprint() == base {
			t.Errorf("configuration %d has the fingerprint of the default", i)
		}
	}
}

// Who stays under the rate below which statistics fall is not found by them, however long it takes: docs/detection.md says so, and what
// remains. Above it, they are.
func TestPatientInsider(t *testing.T) {
	for _, c := range []struct {
		oneIn int
		found bool
	}{{50, false}, {20, true}} {
		w := newWorld(77)
		for d := range int64(200) {
			for a := range 3 {
				for i := range 60 {
					at := start + d*day + 9*hour + int64(i)*8*minute
					r := get(at, w.customer(1_000_000), true)
					r.Route, r.Principal, r.IP = "GET /desk/customers/{id}", []string{"staff:a", "staff:b", "staff:c"}[a], ip(5)
					if a == 0 && d > 20 && (int(d)*60+i)%c.oneIn == 0 {
						w.attack(r)
						continue
					}
					w.add(reasonRecord(at, r))
					w.add(r)
				}
			}
		}
		_, fs := run(detect.Config{}, w.sorted())
		fs = by(fs, "unexplained")
		if (len(fs) > 0) != c.found {
			t.Errorf("one in %d: findings %v", c.oneIn, fs)
		}
		if c.found && fs[0].Unit != "principal:staff:a" {
			t.Errorf("%v", fs[0])
		}
		taken := 0
		for range w.bad {
			taken++
		}
		t.Logf("one in %d: %d opened without a reason in 180 days, %d findings", c.oneIn, taken, len(fs))
		if c.found {
			t.Logf("found after %d", w.lost(w.sorted(), fs[0]))
		}
	}
}

// detectTests counts the tests of all sequential rules.
func detectTests(t *testing.T, cfg detect.Config) int {
	t.Helper()
	n := 0
	for _, s := range detect.New(cfg, nil).Status() {
		if s.Threshold > 1 {
			n += s.Tests
		}
	}
	return n
}

// A rule that is off finds nothing; one with other units finds it there.
func TestRulesAreGoneBy(t *testing.T) {
	w := newWorld(1)
	w.shop(2, 300, 20_000, false)
	w.theft(start+day, 1, 300, 1, second)
	rs := w.sorted()
	_, fs := run(detect.Config{}, rs)
	if len(by(fs, "nonexistent")) == 0 {
		t.Fatal("nothing to switch off")
	}
	if _, fs := run(ruled(t, "rule: nonexistent\noff: a test"), rs); len(by(fs, "nonexistent")) != 0 {
		t.Errorf("it is off: %v", fs)
	}
	_, fs = run(ruled(t, "rule: nonexistent\nunits: [ip]"), rs)
	fs = by(fs, "nonexistent")
	if len(fs) == 0 || slices.ContainsFunc(fs, func(f raised) bool { return f.Unit[:3] != "ip:" }) {
		t.Errorf("findings %v", fs)
	}
	if _, fs := run(ruled(t, "rule: nonexistent\np0: {floor: 0.7, ceiling: 0.9}\np1: [0.98]"), rs); len(by(fs, "nonexistent")) != 0 {
		t.Errorf("what it asks for is honest by its rule: %v", fs)
	}
}
