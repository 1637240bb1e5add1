package detect_test

import (
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// member writes the subject record of a customer.
func (w *world) member(c int, back int64) {
	w.add(whosaw.Record{
		Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c)},
		Ref: &whosaw.Reference{State: "active", Since: start - 900*day, LastLogin: start - back},
	})
}

// session is what a customer's session shows, with nobody's log-in on record.
func session(t int64, c int, credential string, from int, page string) whosaw.Record {
	r := get(t, c, true)
	r.Principal, r.Credential, r.Key, r.Client, r.IP, r.Agent = "customer:"+strconv.Itoa(c), credential, "main", "web", ip(from), chrome
	if r.Route = page; page == "GET /search" {
		r.Subjects, r.Outcome = nil, whosaw.OutcomeNone
	}
	return r
}

// home is where a customer is: forty to a network.
func home(c int) int { return c/40<<8 + c%40 + 1 }

// members is a shop that keeps no log-ins: of 4,000 customers every fourth has not come for a year, and of the others some hundred come
// each day, mostly from home, search, and look at their data.
func (w *world) members(days int) {
	for c := range 4000 {
		back := 9 * day
		if c%4 == 0 {
			back = 400 * day
		}
		w.member(c, back)
	}
	for d := range days {
		for n := range 400 {
			c := (w.rng.IntN(300) + 1) * 4
			c += 1 + c/4%3 // never one of the dormant
			t, from := start+int64(d)*day+w.rng.Int64N(23*hour), home(c)
			if w.rng.IntN(12) == 0 {
				from = home(w.rng.IntN(1200)) // at somebody else's
			}
			credential := "s" + strconv.Itoa(d*1000+n)
			for k := range 5 {
				page := []string{"GET /search", "GET /me", "GET /search", "GET /me/orders", "GET /me/addresses"}[(k+n%3)%5]
				w.add(session(t+int64(k)*30*second, c, credential, from, page))
			}
		}
	}
}

// thief opens the pages of one customer after the other, each with a credential made for it.
func (w *world) memberThief(from int64, n int, page func(i int) string, where func(i int) int) {
	for i := range n {
		c := w.rng.IntN(4000)
		t := from + int64(i)*5*minute
		for k := range 3 {
			r := session(t+int64(k)*second, c, "f"+strconv.Itoa(i), where(i), page(k))
			w.attack(r)
		}
	}
}

// Nobody's log-ins are on record, and the thief has the key, other people's addresses, and a search before each page.
func TestDormant(t *testing.T) {
	w := newWorld(80)
	w.members(18)
	w.memberThief(start+15*day, 500, func(k int) string { return []string{"GET /search", "GET /me", "GET /search"}[k] }, func(i int) int { return home(i * 7 % 1200) })
	fs := by(caught(t, w, "dormant"), "dormant")
	if lost := w.lost(w.sorted(), fs[0]); lost > 60 {
		t.Errorf("after %d customers: %v", lost, fs[0])
	}
}

// From one address the whole of it is accused, and not only the dormant.
func TestDormantFromOneAddress(t *testing.T) {
	w := newWorld(81)
	w.members(18)
	w.memberThief(start+15*day, 300, func(int) string { return "GET /me" }, func(int) int { return 9_999_999 })
	fs := by(caught(t, w, "dormant"), "dormant")
	if f := fs[0].Filter[0]; len(f.Subject) > 0 {
		t.Errorf("findings %v", fs)
	}
}

// A declared campaign wakes the dormant; the same undeclared is what the detector cannot tell from a thief.
func TestHonestDormantCampaign(t *testing.T) {
	for _, declared := range []bool{true, false} {
		w := newWorld(82)
		w.members(18)
		if declared {
			w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start + 14*day, Ref: &whosaw.Reference{Kind: "campaign", From: start + 14*day, Until: start + 17*day}})
		}
		for i := range 300 {
			c := w.rng.IntN(1000) * 4
			for k, page := range []string{"GET /search", "GET /me"} {
				w.add(session(start+14*day+int64(i)*14*minute+int64(k)*second, c, "c"+strconv.Itoa(i), home(c), page))
			}
		}
		_, fs := run(detect.Config{}, w.sorted())
		if got := len(by(fs, "dormant")); declared == (got > 0) {
			t.Errorf("declared %v: %d findings: %v", declared, got, fs)
		}
	}
}

// Without subject records dormancy is known from the log-ins seen, once half a year of them is on record.
func TestDormantFromHistory(t *testing.T) {
	w := newWorld(83)
	log := func(d, c int) {
		at := start + int64(d)*day + w.rng.Int64N(23*hour)
		id := strconv.Itoa(d*10_000 + c)
		w.add(issuance(at, "s"+id, "main", c))
		r := session(at+second, c, "s"+id, c<<8, "GET /me")
		w.add(r)
	}
	for d := range 230 {
		for range 60 {
			log(d, 1001+w.rng.IntN(250)) // those who stay
		}
		if d < 5 {
			for c := range 200 {
				log(d, 1+c) // those who do not come again
			}
		}
	}
	for i := range 120 {
		r := session(start+225*day+int64(i)*10*minute, 1+i*7%200, "", 77<<8, "GET /me")
		r.Principal, r.Credential = "partner:x", "p" // whose log-in is on record, and no reason
		w.attack(r)
	}
	for d := range 220 {
		for i := range 12 {
			r := session(start+int64(d)*day+int64(i)*hour, 1001+w.rng.IntN(250), "", 78<<8, "GET /me")
			r.Principal, r.Credential = "partner:x", "p"
			w.add(r)
		}
	}
	caught(t, w, "dormant")
}

// Sessions of known customers, all from one host, at human pace, with pages that show nothing between.
func TestStranger(t *testing.T) {
	w := newWorld(84)
	w.members(20)
	for i := range 150 {
		c := (w.rng.IntN(300) + 1) * 4
		c += 1 + c/4%3
		for k, page := range []string{"GET /search", "GET /me"} {
			r := session(start+17*day+int64(i)*9*minute+int64(k)*second, c, "f"+strconv.Itoa(i), 8_000_000+i%40, page)
			r.Agent = "curl/8.0"
			w.attack(r)
		}
	}
	fs := by(caught(t, w, "stranger"), "stranger")
	if lost := w.lost(w.sorted(), fs[0]); lost > 40 {
		t.Errorf("after %d customers: %v", lost, fs[0])
	}
}

// A release gives everybody a new device, and the office moves: declared, nothing of that is news.
func TestHonestNewDevices(t *testing.T) {
	w := newWorld(85)
	w.members(24)
	w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start + 17*day, Ref: &whosaw.Reference{Kind: "release", From: start + 17*day, Until: start + 24*day}})
	for i := range w.records {
		if r := &w.records[i]; r.Type == whosaw.TypeAccess && r.Time > start+17*day {
			r.Agent = phone
		}
	}
	quiet(t, w)
}

func TestMonotone(t *testing.T) {
	w := newWorld(86)
	w.members(14)
	w.memberThief(start+10*day, 200, func(k int) string { return []string{"GET /me", "GET /me/addresses", "GET /me/orders"}[k] }, func(i int) int { return 8_000_000 + i%16*256 })
	fs := by(caught(t, w, "monotone"), "monotone")
	if lost := w.lost(w.sorted(), fs[0]); lost > 30 {
		t.Errorf("after %d customers: %v", lost, fs[0])
	}
}

// Half a dozen accounts of quality assurance show nothing but data, every hour for weeks.
func TestHonestTestAccounts(t *testing.T) {
	w := newWorld(87)
	w.members(14)
	for h := range 14 * 24 {
		for a := range 6 {
			for k, page := range []string{"GET /me", "GET /me/addresses", "GET /me/orders"} {
				w.add(session(start+int64(h)*hour+int64(a*10+k)*second, 1+a*300, "q"+strconv.Itoa(h*10+a), 7, page))
			}
		}
	}
	quiet(t, w)
}

// A shop whose people come as they do is quiet, and each of the three judges it.
func TestHonestMembers(t *testing.T) {
	w := newWorld(88)
	w.members(24)
	e := quiet(t, w)
	for _, d := range []string{"dormant", "stranger", "monotone"} {
		if s := statusOf(t, e, d); s.Judged == 0 {
			t.Errorf("%s judged nothing: %+v", d, s)
		}
	}
}

// peopleStreams are Bernoulli streams for the three, as in TestFalseAlarmBound.
var peopleStreams = map[string]func(w *world){
	"dormant": func(w *world) {
		for c := range 90_000 {
			back := 9 * day
			if w.rng.IntN(100) == 0 {
				back = 400 * day
			}
			w.member(c, back)
		}
		for c := range 90_000 {
			w.add(session(start+int64(c)*86*second, c, "s"+strconv.Itoa(c), w.rng.IntN(3000)<<8, "GET /me"))
			w.records[len(w.records)-1].Key, w.records[len(w.records)-1].Client, w.records[len(w.records)-1].Agent = "", "", ""
		}
	},
	"stranger": func(w *world) {
		// Each time that a customer is elsewhere it is a network of its own, so what counts them up is the key.
		for i := range 120_000 {
			c := i % 3000
			r := session(start+int64(i)*28*second, c, "s"+strconv.Itoa(i), home(c), "GET /me")
			if r.Client, r.Agent = "", ""; w.rng.IntN(10) == 0 {
				r.IP = ip(1<<22 + i<<8)
			}
			w.add(r)
		}
	},
	"monotone": func(w *world) {
		for i := range 60_000 {
			pages := []string{"GET /search", "GET /me", "GET /me/orders"}
			if w.rng.IntN(25) == 0 {
				pages[0] = "GET /me/addresses"
			}
			for k, page := range pages {
				r := session(start+int64(i)*minute+int64(k)*second, i, "s"+strconv.Itoa(i), i%60<<8, page)
				r.Key, r.Client, r.Agent = "", "", ""
				w.add(r)
			}
		}
	},
}
