package detect_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

func verdict(t int64, id, kind string) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeVerdict, Time: t, Ref: &whosaw.Reference{Kind: kind, Of: id, Person: "kim", Note: "looked at it"}}
}

// twoThefts is a shop with one key that is stolen twice, three weeks apart, and the first finding.
func twoThefts(t *testing.T) (before, after []whosaw.Record, first whosaw.Finding) {
	t.Helper()
	w := newWorld(31)
	w.add(feedRecord(start, 0, 0))
	w.shop(2, 500, 50_000, true)
	w.theft(start+day, 1, 60, 3, second)
	cut := start + 2*day
	w.theft(start+23*day, 500, 40, 3, second)
	rs := w.sorted()
	at := slices.IndexFunc(rs, func(r whosaw.Record) bool { return r.Time >= cut })
	_, fs := run(detect.Config{}, rs[:at])
	if fs = by(fs, "unissued"); len(fs) != 1 {
		t.Fatalf("findings of the first theft: %v", fs)
	}
	return rs[:at], rs[at:], fs[0].Finding
}

func TestVerdicts(t *testing.T) {
	before, after, first := twoThefts(t)
	for _, c := range []struct {
		verdicts []string
		again    bool
	}{
		{nil, false}, {[]string{"harvest"}, false}, {[]string{"false"}, true}, {[]string{"explained"}, true},
		{[]string{"false", "harvest"}, false}, {[]string{"harvest", "false"}, true}, {[]string{"nonsense"}, false},
	} {
		rs := slices.Clone(before)
		for i, kind := range c.verdicts {
			rs = append(rs, verdict(start+2*day+int64(i), first.ID, kind))
		}
		rs = append(rs, after...)
		e, fs := run(detect.Config{}, rs)
		fs = by(fs, "unissued")
		if len(fs) != map[bool]int{false: 1, true: 2}[c.again] {
			t.Errorf("judged %q: %d findings: %v", c.verdicts, len(fs), fs)
			continue
		}
		if d := gocmp.Diff(first, fs[0].Finding); d != "" {
			t.Errorf("judged %q: the finding is another (-before +after):\n%s", c.verdicts, d)
		}
		g, ok := e.Growth(first.ID)
		if want := map[bool]int64{false: 100, true: 60}[c.again]; !ok || g.Accesses != want {
			t.Errorf("judged %q: %d accesses, want %d", c.verdicts, g.Accesses, want)
		}
		steps := e.Grown()
		told := slices.ContainsFunc(steps, func(s detect.GrowthStep) bool { return s.Kind == "again" && s.ID == first.ID })
		if told == c.again {
			t.Errorf("judged %q: steps %+v", c.verdicts, steps)
		}
		if c.again && fs[1].Says == first.Says {
			t.Errorf("the second finding does not say that the first was judged away: %s", fs[1].Says)
		}
	}
}

// thiefIn adds 40 tries from one network, most of which do not exist.
func (w *world) thiefIn(from int64, network int, agent, tls, credential string) {
	for i := range 60 {
		c := 700_000 + w.rng.IntN(200_000)
		r := get(from+int64(i)*minute, c, i%3 == 0)
		r.IP, r.ASN, r.Country, r.Agent, r.TLS, r.Credential = ip(network<<8+i%4), uint32(64_000+network%100), "DE", agent, tls, credential
		if credential != "" {
			r.Credential = fmt.Sprint(credential, i%30)
		}
		w.attack(r)
	}
}

func TestOneAttackIsOneFinding(t *testing.T) {
	const ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"
	for _, c := range []struct {
		name   string
		second func(w *world)
		by     string // "": a finding of its own
	}{
		{"the same credential", func(w *world) { w.thiefIn(start+2*day, 901, phone, "", "stolen") }, "credential"},
		{"the same fingerprint", func(w *world) { w.thiefIn(start+2*day, 901, chrome, ja4, "") }, "fingerprint"},
		{"somebody else", func(w *world) { w.thiefIn(start+2*day, 901, phone, "", "") }, ""},
		{"another fingerprint", func(w *world) { w.thiefIn(start+2*day, 901, chrome, "t13d1516h2_000000000000_e5627efa2ab1", "") }, ""},
	} {
		w := newWorld(32)
		w.shop(3, 300, 50_000, false)
		w.thiefIn(start+day, 800, chrome, ja4, "stolen")
		c.second(w)
		rs := w.sorted()
		e, all := run(detect.Config{}, rs)
		steps := e.Grown()
		fs := by(all, "nonexistent")
		w.checkMajority(t, rs, fs)
		checkCut(t, detect.Config{}, rs, fs)
		if c.by == "" {
			if len(fs) != 2 {
				t.Errorf("%s: %v, steps %+v", c.name, fs, steps)
			}
			continue
		}
		if len(fs) != 1 {
			t.Errorf("%s: %d findings: %v", c.name, len(fs), fs)
			continue
		}
		i := slices.IndexFunc(steps, func(s detect.GrowthStep) bool { return s.Kind == c.by })
		if i < 0 || steps[i].ID != fs[0].ID || steps[i].Sequence == 0 || rs[steps[i].Sequence-1].Time != int64(steps[i].Time) {
			t.Errorf("%s: steps %+v", c.name, steps)
			continue
		}
		grown, _ := e.Growth(fs[0].ID)
		facts, in, of := newFacts(rs), 0, 0
		for k := range rs {
			if r := &rs[k]; w.bad[r.Position] {
				of++
				if facts.matches(grown.Filter, r) {
					in++
				}
			}
		}
		if 10*in < 9*of {
			t.Errorf("%s: the grown filter %+v matches %d of %d accesses of the attack", c.name, grown.Filter, in, of)
		}
		if grown.Accesses < int64(in)*8/10 || grown.Accesses > int64(in) || grown.Subjects == 0 || grown.Last != rs[len(rs)-1].Time && grown.Last < start+2*day {
			t.Errorf("%s: grown %+v, the filter matches %d", c.name, grown, in)
		}
	}
}

// A thief who is named one customer at a time makes one finding that grows by their names.
func TestNarrowFindingsGrow(t *testing.T) {
	w := newWorld(33)
	w.add(feedRecord(start, 0, 0))
	w.shop(1, 200, 50_000, true)
	for i := range 30 { // pages without any credential are not issued either
		r := get(start+hour+int64(i), 60_000+i, true)
		r.Key, r.IP = "main", ip(7)
		w.add(r)
	}
	for i := range 10 {
		w.forge(start+2*hour+int64(i)*minute, 1+i, 2)
	}
	rs := w.sorted()
	e, all := run(detect.Config{}, rs)
	fs := by(all, "unissued")
	if len(fs) != 1 {
		t.Fatalf("findings %v", fs)
	}
	grown, _ := e.Growth(fs[0].ID)
	if len(grown.Filter) != 1 || len(grown.Filter[0].Credential) != 10 || len(fs[0].Filter[0].Credential) != 1 {
		t.Errorf("raised with %+v, grown to %+v", fs[0].Filter, grown.Filter)
	}
	if err := grown.Filter.Validate(); err != nil {
		t.Error(err)
	}
}

// judged puts verdicts on some of a log's findings into it, each at some record after the one that raised it.
func judged(rng *rand.Rand, cfg detect.Config, rs []whosaw.Record) []whosaw.Record {
	out := slices.Clone(rs)
	for range 3 {
		_, fs := run(cfg, out)
		if len(fs) == 0 {
			break
		}
		f := fs[rng.IntN(len(fs))]
		at := f.at + 1 + rng.IntN(len(out)-f.at)
		out = slices.Insert(out, at, verdict(int64(f.Seen)+rng.Int64N(day), f.ID, []string{"harvest", "explained", "false"}[rng.IntN(3)]))
	}
	return out
}

// Findings, steps and growth are the same one by one and in any batches, with verdicts between.
func TestGrowthInBatches(t *testing.T) {
	steps, verdicts := 0, 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 3))
		cfg := detect.Config{MaxUnits: 2000, Budgets: []detect.Budget{{Of: "principal:staff", Day: 40}, {Of: "client:partner", Month: 100}}}
		plain := mixed(seed).sorted()
		records := judged(rng, cfg, plain)
		verdicts += len(records) - len(plain)
		one, want := run(cfg, records)
		wantSteps := one.Grown()
		steps += len(wantSteps)
		e := detect.New(cfg, nil)
		var got []raised
		var gotSteps []detect.GrowthStep
		for at := 0; at < len(records); {
			n := min(1+rng.IntN(300), len(records)-at)
			e.ObserveBatch(slices.Clone(records[at:at+n]), func(i int) uint64 { return uint64(at + i + 1) },
				func(i int, f whosaw.Finding) { got = append(got, raised{f, at + i}) })
			gotSteps = append(gotSteps, e.Grown()...)
			at += n
		}
		if d := gocmp.Diff(want, got, gocmp.AllowUnexported(raised{})); d != "" {
			t.Errorf("findings (-one by one +in batches):\n%s", d)
		}
		if d := gocmp.Diff(wantSteps, gotSteps); d != "" {
			t.Errorf("steps (-one by one +in batches):\n%s", d)
		}
		for _, f := range want {
			a, _ := one.Growth(f.ID)
			b, ok := e.Growth(f.ID)
			if d := gocmp.Diff(a, b); d != "" || !ok {
				t.Errorf("growth (-one by one +in batches):\n%s", d)
			}
			if a.Accesses < f.Accesses || a.Subjects < f.Subjects || a.Last < int64(f.Time) {
				t.Errorf("%v shrank to %+v", f, a)
			}
		}
	}
	if steps < 10 || verdicts < 10 {
		t.Errorf("only %d steps and %d verdicts", steps, verdicts)
	}
}

// What a finding covered teaches the baseline once somebody says that it was none: a door that refuses everybody is then
// known to.
func TestFalseFindingTeaches(t *testing.T) {
	log := func(kind string) (rs []whosaw.Record) {
		w := newWorld(34)
		w.shop(1, 300, 50_000, false)
		for n := range 60 { // a page that half of all networks ask in vain, behind one client
			for i := range 30 {
				r := get(start+day+int64(i*60+n)*second, 800_000+w.rng.IntN(100_000), i%2 == 0)
				r.Route, r.IP, r.Client = "GET /taken/{id}", ip((2000+n)<<8), "form"
				w.add(r)
			}
		}
		rs = w.sorted()
		_, fs := run(detect.Config{}, rs)
		if fs = by(fs, "nonexistent"); len(fs) != 1 {
			t.Fatalf("findings %v", fs)
		}
		if kind != "" {
			rs = append(rs, verdict(start+2*day, fs[0].ID, kind))
		}
		for i := range 200 {
			r := get(start+3*day+int64(i)*second, 800_000+w.rng.IntN(100_000), i%2 == 0)
			r.Route, r.IP, r.Client = "GET /taken/{id}", ip((2000+i%60)<<8), "form"
			rs = append(rs, r)
		}
		return rs
	}
	_, fs := run(detect.Config{}, log("false"))
	if fs = by(fs, "nonexistent"); len(fs) != 1 {
		t.Errorf("the same again after it was judged false: %v", fs)
	}
	e, _ := run(detect.Config{}, log("false"))
	over := false
	for _, s := range e.Status() {
		for _, x := range s.Strata {
			over = over || x.Route == "GET /taken/{id}"
		}
	}
	if !over {
		t.Error("the route is not known to be one that is not judged")
	}
}

func TestDossierFilterIsValid(t *testing.T) {
	for seed := range uint64(6) {
		e, fs := run(detect.Config{}, mixed(seed).sorted())
		for _, f := range fs {
			g, ok := e.Growth(f.ID)
			if !ok {
				t.Fatalf("no growth of %v", f)
			}
			if err := g.Filter.Validate(); err != nil {
				t.Errorf("filter of %s: %v", fmt.Sprint(f), err)
			}
		}
		for _, s := range e.Grown() {
			if s.Kind != "address" && s.Spreads() == (s.Statistic == 0) || s.Unit == "" || s.Accesses < 1 || s.Sequence == 0 {
				t.Errorf("step %+v", s)
			}
		}
	}
	if _, ok := detect.New(detect.Config{}, nil).Growth(strconv.Itoa(1)); ok {
		t.Error("growth of a finding that was never raised")
	}
}
