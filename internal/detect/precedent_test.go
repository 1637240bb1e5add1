package detect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// nights is a house whose programs have an order for whom they open, but for one that begins on the tenth night to read n customers whom
// nothing explains.
func nights(days, n int) *world {
	w := newWorld(80)
	for d := range int64(days) {
		for i := range int64(240) {
			r := get(start+d*day+i*6*minute, w.customer(1_000_000), true)
			r.Route, r.Principal, r.Key, r.IP = "GET /members/{id}", "service:points", "jobs", ip(9)
			w.add(reasonRecord(r.Time, r))
			w.add(r)
		}
		if d >= 10 {
			w.night(start+d*day+2*hour, n, 8)
		}
	}
	return w
}

// night is one of its runs.
func (w *world) night(from int64, n, network int) {
	for i := range int64(n) {
		r := get(from+i*10*second, w.customer(1_000_000), true)
		r.Route, r.Principal, r.Credential, r.Key, r.IP, r.Agent = "GET /members/{id}", "service:night", "night-job", "jobs", ip(network<<8), "job/1.0 (batch)"
		w.attack(r)
	}
}

// judgedNights gives the log with a verdict on the first finding, on the morning after it.
func judgedNights(t *testing.T, w *world, verdicts ...string) (first raised, fs []raised, e *detect.Engine) {
	t.Helper()
	rs := w.sorted()
	_, fs = run(detect.Config{}, rs)
	if len(fs) == 0 || fs[0].Unit != "principal:service:night" || fs[0].Detector != "unexplained" {
		t.Fatalf("findings %v", fs)
	}
	first = fs[0]
	at, _ := slices.BinarySearchFunc(rs, start+10*day+9*hour, func(r whosaw.Record, t int64) int { return int(r.Time - t) })
	var judged []whosaw.Record
	for i, kind := range verdicts {
		judged = append(judged, verdict(start+10*day+9*hour+int64(i), first.ID, kind))
	}
	e, fs = run(detect.Config{}, slices.Insert(rs, at, judged...))
	return first, fs, e
}

// A job that was judged to be none of a thief's is silent the next nights: what was said of it is remembered.
func TestVerdictSpeaksForTheSameJob(t *testing.T) {
	for _, kind := range []string{"false", "explained"} {
		_, fs, e := judgedNights(t, nights(16, 150), kind)
		if len(fs) != 1 {
			t.Errorf("judged %s: %d findings: %v", kind, len(fs), fs)
		}
		said := slices.ContainsFunc(e.Baselines(), func(b detect.Baseline) bool {
			return b.Unit == "principal:service:night" && b.Known == 150 && strings.Contains(b.Says, "judged explained or false")
		})
		if !said {
			t.Errorf("judged %s: the baselines do not list it: %+v", kind, e.Baselines())
		}
	}
	if _, fs, _ := judgedNights(t, nights(16, 150), "false", "harvest"); len(fs) != 1 {
		t.Errorf("judged a harvest after all, so it is covered: %v", fs)
	}
}

// Who sits in the place of such a job has no more than the job had, at its hours and from its network.
func TestVerdictIsNoThiefsPass(t *testing.T) {
	for _, c := range []struct {
		name  string
		thief func(w *world)
		found bool
		most  int // customers beyond the 150 of the job, lost before the finding: reasons are waited for five minutes, or thirty customers
	}{
		{"elsewhere", func(w *world) { w.night(start+13*day+2*hour, 150, 77) }, true, 20},
		{"by day", func(w *world) { w.night(start+13*day+14*hour, 150, 8) }, true, 40},
		{"beside it", func(w *world) { w.night(start+13*day+2*hour+30*minute, 300, 8) }, true, 115},
		{"a little beside it", func(w *world) { w.night(start+13*day+2*hour+30*minute, 50, 8) }, false, 0},
	} {
		w := nights(15, 150)
		c.thief(w)
		first, fs, _ := judgedNights(t, w, "false")
		if len(fs) > 0 && fs[0].ID == first.ID {
			fs = fs[1:]
		}
		if (len(fs) > 0) != c.found {
			t.Errorf("%s: findings %v", c.name, fs)
			continue
		}
		if !c.found {
			continue
		}
		if !strings.Contains(fs[0].Says, "judged explained or false before") {
			t.Errorf("%s: it does not say what was judged before: %s", c.name, fs[0].Says)
		}
		rs := w.sorted()
		lost := 0
		for i := range rs {
			r := &rs[i]
			if w.bad[r.Position] && r.Time >= start+13*day && r.Time <= int64(fs[0].Seen) {
				lost++
			}
		}
		if lost > 150+c.most {
			t.Errorf("%s: %d customers of that day before the finding", c.name, lost)
		}
	}
}

// A verdict does not speak for ever.
func TestVerdictGrowsOld(t *testing.T) {
	w := nights(11, 150)
	for d := int64(11); d < 104; d++ {
		for i := range int64(24) { // reasons go on
			r := get(start+d*day+i*hour, w.customer(1_000_000), true)
			r.Route, r.Principal, r.Key, r.IP = "GET /members/{id}", "service:points", "jobs", ip(9)
			w.add(reasonRecord(r.Time, r))
			w.add(r)
		}
	}
	w.night(start+95*day+2*hour, 100, 8)
	w.night(start+102*day+2*hour, 100, 8)
	_, fs, _ := judgedNights(t, w, "false")
	if len(fs) != 2 || int64(fs[1].Time) < start+102*day {
		t.Errorf("findings %v", fs)
	}
}

// What a verdict speaks for outlives a restart, in the middle of a night too.
func TestPrecedentState(t *testing.T) {
	w := nights(14, 150)
	for i := range w.records {
		w.records[i].Realm = "shop"
		if w.records[i].Type == whosaw.TypeAccess {
			w.records[i].TLS = "t13d1516h2_8daaf6152771_e5627efa2ab1"
		}
	}
	rs := w.sorted()
	_, fs := run(detect.Config{}, rs)
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(rs, t, func(r whosaw.Record, t int64) int { return int(r.Time - t) })
		return i
	}
	rs = slices.Insert(rs, at(start+10*day+9*hour), verdict(start+10*day+9*hour, fs[0].ID, "false"))
	cut := at(start + 12*day + 2*hour + 15*minute)
	whole, fs := run(detect.Config{}, rs[:cut])
	if len(fs) != 1 {
		t.Fatalf("findings %v", fs)
	}
	met := detect.Met{}
	met.Look(whole)
	for _, name := range []string{"precedent.on", "precedent.used", "precedent.realm", "precedent.prints"} {
		if !met[name] {
			t.Errorf("%s holds nothing: the test shows nothing", name)
		}
	}
	again := detect.New(detect.Config{}, nil)
	if err := detect.LoadState(again, detect.SaveState(t, whole)); err != nil {
		t.Fatal(err)
	}
	if d := detect.DiffStates(whole, again); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	for i := range rs[cut:] {
		r := rs[cut+i]
		if fs := again.Observe(uint64(cut+i+1), &r); len(fs) != 0 {
			t.Fatalf("findings after a restart: %v", fs)
		}
	}
}
