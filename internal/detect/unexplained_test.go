package detect_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// reasonRecord explains an access, from a moment before it.
func reasonRecord(t int64, r whosaw.Record) whosaw.Record {
	return whosaw.Record{
		Type: whosaw.TypeReason, Time: t, Principal: r.Principal, Subjects: slices.Clone(r.Subjects),
		Ref: &whosaw.Reference{Kind: "ticket", From: t - second, Until: t + hour},
	}
}

// desk is a help desk with a ticket for what it opens, but for one opening in a hundred. An insider opens one in ten without.
func (w *world) desk(days, agents, calls int, insider bool) {
	for d := range days {
		for a := range agents {
			for i := range calls {
				t := start + int64(d)*day + 9*hour + int64(i)*8*hour/int64(calls) + w.rng.Int64N(minute)
				r := get(t, w.customer(100_000), true)
				r.Route, r.Principal, r.Credential = "GET /desk/customers/{id}", fmt.Sprint("staff:", a), fmt.Sprintf("desk%d-%d", a, d)
				r.Key, r.Client, r.IP, r.Agent = "staff", "desk", ip(5), chrome
				switch {
				case insider && a == 1 && d > 0 && w.rng.IntN(10) == 0:
					w.attack(r)
					continue
				case w.rng.IntN(100) != 0:
					w.add(reasonRecord(t, r))
				}
				w.add(r)
			}
		}
	}
}

func TestUnexplained(t *testing.T) {
	w := newWorld(50)
	w.shop(3, 1000, 50_000, false)
	w.desk(12, 6, 60, true)
	for _, f := range caught(t, w, "unexplained") {
		if f.Unit != "principal:staff:1" {
			t.Errorf("%v: want the insider", f)
		}
		if lost := w.lost(w.sorted(), f); lost > 40 {
			t.Errorf("%d customers lost: %v", lost, f)
		}
	}
}

// A copied key of the staff's signs for many, each of whom opens little.
func TestUnexplainedUnderManyNames(t *testing.T) {
	w := newWorld(51)
	w.desk(12, 6, 60, false)
	for i := range 300 {
		r := get(start+12*day+int64(i)*minute, w.customer(100_000), true)
		r.Route, r.Principal, r.Key, r.IP = "GET /desk/customers/{id}", fmt.Sprint("staff:new", i), "staff", ip(900_000+i*1000)
		w.attack(r)
	}
	r := get(start+13*day, 1, true)
	r.Principal = "staff:1"
	w.add(reasonRecord(start+13*day, r))
	fs := caught(t, w, "unexplained")
	if fs[0].Unit != "key:staff" {
		t.Errorf("%v: want the key", fs[0])
	}
}

// A service with a job reads lists; the same service reads others for which there is none.
func TestUnexplainedLists(t *testing.T) {
	w := newWorld(52)
	list := func(t int64) whosaw.Record {
		r := get(t, w.customer(100_000), true)
		for range 11 {
			r.Subjects = append(r.Subjects, get(0, w.customer(100_000), true).Subjects...)
		}
		r.Route, r.Principal, r.Key, r.IP = "GET /exports/{id}", "service:reports", "jobs", ip(8)
		return r
	}
	for d := range int64(20) {
		for i := range int64(20) {
			r := list(start + d*day + i*minute)
			if i == 0 {
				w.add(whosaw.Record{Type: whosaw.TypeReason, Time: r.Time, Principal: r.Principal, Ref: &whosaw.Reference{Kind: "job", From: r.Time, Until: r.Time + hour}})
			}
			w.add(r)
			if d > 14 {
				w.attack(list(r.Time + 5*hour))
			}
		}
	}
	if fs := caught(t, w, "unexplained"); w.lost(w.sorted(), fs[0]) > 250 {
		t.Errorf("%d customers lost", w.lost(w.sorted(), fs[0]))
	}
}

// Tickets are opened a moment after the agent looks, by a clock that is behind, and some come hours late.
func TestHonestLateReasons(t *testing.T) {
	w := newWorld(53)
	var late []whosaw.Record
	for i := range 20_000 {
		at := start + int64(i)*minute
		if i%60 == 0 {
			for _, r := range late {
				w.add(r)
			}
			late = nil
		}
		r := get(at, w.customer(100_000), true)
		r.Principal, r.Key = fmt.Sprint("staff:", i%7), "staff"
		why := reasonRecord(at, r)
		switch {
		case i%7 == 3: // a clock that is behind
			r.Time -= 2 * minute
		case w.rng.IntN(200) == 0:
			late = append(late, why)
			w.add(r)
			continue
		}
		w.add(r)
		why.Time += w.rng.Int64N(2 * minute)
		w.add(why)
	}
	if _, fs := runArrival(w); len(fs) != 0 {
		t.Errorf("findings where reasons come late: %v", fs)
	}
}

// The tickets stand still for three hours, then all come.
func TestHonestStuckReasons(t *testing.T) {
	w := newWorld(54)
	var late []whosaw.Record
	for i := range 6000 {
		at := start + int64(i)*5*minute
		stuck := at%(3*day) > day && at%(3*day) < day+3*hour
		if !stuck {
			for _, r := range late {
				w.add(r)
			}
			late = nil
		}
		r := get(at, w.customer(100_000), true)
		r.Principal, r.Key = fmt.Sprint("staff:", i%4), "staff"
		if why := reasonRecord(at, r); stuck {
			late = append(late, why)
		} else {
			w.add(why)
		}
		w.add(r)
	}
	e, fs := runArrival(w)
	if len(fs) != 0 {
		t.Errorf("findings where reasons stand still: %v", fs)
	}
	if s := e.Status()[3]; s.Detector != "unexplained" || s.Judged < 5900 {
		t.Errorf("status %+v", s)
	}
}

// Where nobody records reasons, or only for a part, nobody is judged for want of one, and that is said.
func TestHonestWithoutReasons(t *testing.T) {
	for _, part := range []int{0, 3} {
		w := newWorld(55)
		for i := range 20_000 {
			at := start + int64(i)*minute
			r := get(at, w.customer(100_000), true)
			r.Principal, r.Key = fmt.Sprint("partner:", i%7), "partners"
			if part > 0 && w.rng.IntN(part) == 0 {
				w.add(reasonRecord(at, r))
			}
			w.add(r)
		}
		e := quiet(t, w)
		if s := e.Status()[3]; len(s.NotJudged) == 0 {
			t.Errorf("status %+v", s)
		}
	}
}

// A queue that is full judges what it can, and says so.
func TestUnexplainedQueueFull(t *testing.T) {
	w := newWorld(56)
	w.desk(3, 4, 60, false)
	for i := range 500 {
		r := get(start+3*day+int64(i), w.customer(100_000), true)
		r.Route, r.Principal = "GET /desk/customers/{id}", "staff:1"
		w.attack(r)
	}
	e, _ := run(detect.Config{MaxPending: 100}, w.sorted())
	if l := e.Load(); l.Pending > 100 {
		t.Errorf("load %+v", l)
	}
	if s := e.Status()[3]; s.Waiting == 0 || s.Waiting > 100 || len(s.NotJudged) == 0 {
		t.Errorf("status %+v", s)
	}
}

// curious is a customer with a session who counts through others' orders.
func (w *world) curious(from int64, customer, n int) {
	for i := range n {
		r := get(from+int64(i)*20*second, w.customer(50_000), true)
		r.Route, r.Principal, r.Credential, r.Key, r.IP, r.Agent = "GET /me", fmt.Sprint("customer:", customer), "session-x", "main", ip(customer*7), chrome
		w.attack(r)
	}
}

func TestCustomerOpensOthers(t *testing.T) {
	for _, feed := range []bool{true, false} {
		w := newWorld(57)
		w.ownPages(4, 3000)
		for i := range int64(500) { // the thief's own page, which without a feed nothing explains
			r := get(start+i*5*minute, 77, true)
			r.Route, r.Principal, r.Key = "GET /me", "customer:77", "main"
			w.add(r)
		}
		if feed {
			w.add(issuance(start, "session-x", "main", 77))
		}
		w.curious(start+2*day, 77, 60)
		fs := caught(t, w, "unexplained")
		if len(fs) != 1 || fs[0].Unit != "principal:customer:77" || w.lost(w.sorted(), fs[0]) > 20 {
			t.Errorf("findings %v", fs)
		}
	}
}

// ownPages are customers who look at themselves each day.
func (w *world) ownPages(days, customers int) {
	for d := range days {
		for c := 1; c <= customers; c++ {
			r := get(start+int64(d)*day+w.rng.Int64N(day), c, true)
			r.Route, r.Principal, r.Credential, r.Key, r.IP, r.Agent = "GET /me", fmt.Sprint("customer:", c), fmt.Sprint("s", c), "main", ip(c*7), chrome
			w.add(r)
		}
	}
}

// Customers look at friends' wish lists, which are there to be seen, and now and then open a mate's order.
func TestHonestCuriousCustomers(t *testing.T) {
	w := newWorld(58)
	w.ownPages(20, 2000)
	for d := range 20 {
		for c := 1; c <= 2000; c++ {
			r := get(start+int64(d)*day+w.rng.Int64N(day), w.customer(2000), true)
			r.Principal, r.Key, r.IP, r.Agent = fmt.Sprint("customer:", c), "main", ip(c*7), chrome
			r.Route = "GET /wishlists/{id}"
			if w.rng.IntN(20) == 0 {
				r.Route = "GET /me"
			}
			w.add(r)
		}
	}
	e := quiet(t, w)
	if s := e.Status()[3]; s.Judged == 0 || len(s.NotJudged) == 0 {
		t.Errorf("status %+v", s)
	}
}

// Partners fetch their orders at night, each with its reason. By day no reasons are expected, and nobody waits for the next night
// to hear of one who reads on.
func TestUnexplainedBetweenBatches(t *testing.T) {
	w := newWorld(59)
	for d := range int64(8) {
		for i := range int64(300) {
			r := get(start+d*day+2*hour+i*10*second, w.customer(100_000), true)
			r.Route, r.Principal, r.Key, r.IP = "GET /orders/{id}", fmt.Sprint("partner:", i%5), "partners", ip(int(i%5)*1000)
			w.add(reasonRecord(r.Time, r))
			w.add(r)
		}
	}
	for i := range int64(500) {
		r := get(start+7*day+9*hour+i*minute, w.customer(100_000), true)
		r.Route, r.Principal, r.Key, r.IP = "GET /orders/{id}", "partner:2", "partners", ip(2000)
		w.attack(r)
	}
	if fs := caught(t, w, "unexplained"); w.lost(w.sorted(), fs[0]) > 30 {
		t.Errorf("%d customers lost", w.lost(w.sorted(), fs[0]))
	}
}
