package detect_test

import (
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// visit is a customer's look at their own page.
func visit(t int64, c int) whosaw.Record {
	r := get(t, c, true)
	r.Route, r.Principal, r.IP = "GET /me", "customer:"+strconv.Itoa(c), ip(c)
	return r
}

// comers are the customers of some days: mostly the same, and a few hundred a day who had not come before.
func (w *world) comers(days int) {
	for d := range days {
		for range 3000 {
			c := w.customer(40_000)
			w.add(visit(start+int64(d)*day+w.rng.Int64N(day), c))
		}
	}
}

// The thief shares nothing: each customer with an address, a session and an hour of its own. But it is many in few hours.
func TestVolume(t *testing.T) {
	w := newWorld(90)
	w.comers(12)
	for i := range 20_000 {
		r := visit(start+10*day+int64(i)*200, 1_000_000+i*7)
		r.IP = ip(1<<22 + i*256)
		w.attack(r)
	}
	fs := by(caught(t, w, "volume"), "volume")
	if len(fs) != 1 || fs[0].Unit != "route:GET /me" || w.lost(w.sorted(), fs[0]) > 8000 || len(fs[0].Filter[0].Subject) < 40 {
		t.Errorf("after %d customers: %v", w.lost(w.sorted(), fs[0]), fs[0])
	}
}

// A flash sale: everybody who ever came comes within minutes. Nobody of them is new.
func TestHonestFlashSale(t *testing.T) {
	w := newWorld(91)
	w.comers(12)
	for _, r := range w.records[:8000] {
		w.add(visit(start+11*day+w.rng.Int64N(10*minute), mustInt(r.Subjects[0])))
	}
	quiet(t, w)
}

func mustInt(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// A page that showed customers themselves shows them others: each of many customers one other, so that nobody stands out.
func TestOtherParty(t *testing.T) {
	w := newWorld(92)
	w.comers(12)
	for i := range 30 {
		r := visit(start+10*day+int64(i)*minute, w.customer(40_000))
		r.Subjects = []string{strconv.Itoa(w.customer(40_000))}
		if r.Principal == "customer:"+r.Subjects[0] {
			continue
		}
		w.attack(r)
	}
	fs := by(caught(t, w, "field_drift"), "field_drift")
	if len(fs) != 1 || fs[0].Unit != "route:GET /me" || w.lost(w.sorted(), fs[0]) != 3 {
		t.Errorf("findings %v", fs)
	}
}

// A page that always shows some others, and a mix-up now and then, are no news; nor is a page meant for others.
func TestHonestOtherParty(t *testing.T) {
	w := newWorld(93)
	w.comers(12)
	for d := range int64(12) {
		for i := range 1 + d%2 {
			r := visit(start+d*day+i*hour, 4+int(d))
			r.Subjects = []string{strconv.Itoa(100 + int(d)*10 + int(i))}
			w.add(r)
		}
	}
	quiet(t, w)
}

// TestVolumeJudgesAccesses: an access that shows several customers is one access that was judged.
func TestVolumeJudgesAccesses(t *testing.T) {
	e := detect.New(detect.Config{}, nil)
	r := get(start, 0, true)
	r.Subjects, r.Outcome = nil, whosaw.OutcomeDisclosed
	for i := range 30 {
		r.Subjects = append(r.Subjects, strconv.Itoa(i+1))
	}
	e.Observe(1, &r)
	for _, s := range e.Status() {
		if s.Detector == "volume" && (s.Judged != 1 || s.Trials < 2) {
			t.Errorf("one access, of whose customers %d are counted, is said to be %d that were judged", s.Trials, s.Judged)
		}
	}
}
