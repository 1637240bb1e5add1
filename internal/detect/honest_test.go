package detect_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
)

func TestHonestShop(t *testing.T) {
	for _, feed := range []bool{true, false} {
		w := newWorld(20)
		w.shop(8, 1500, 20_000, feed)
		quiet(t, w)
	}
}

func TestHonestCarrierNAT(t *testing.T) {
	w := newWorld(21)
	for i := range 30_000 {
		c := w.customer(30_000)
		r := get(start+int64(i)*5*second, c, w.rng.IntN(150) != 0)
		r.Principal, r.Key, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", ip(77), 4766, phone
		w.add(r)
	}
	quiet(t, w)
}

func TestHonestCallCentre(t *testing.T) {
	for _, reasons := range []bool{true, false} {
		w := newWorld(22)
		w.callCentre(15, 12, 60, reasons)
		quiet(t, w)
	}
}

// New customers come in order of their numbers, from everywhere, and open their own page at once and again later.
func TestHonestSignUps(t *testing.T) {
	w := newWorld(23)
	w.shop(6, 2000, 100_000, false)
	for i := range 15_000 {
		at := start + int64(i)*30*second
		for visit := range 3 {
			c := 100_000 + i
			r := get(at+int64(visit)*int64(1+w.rng.IntN(20))*minute, c, true)
			r.Principal, r.Key, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", ip(c*7919%65_536), uint32(4760+c%3), []string{chrome, phone}[c%2]
			w.add(r)
		}
	}
	quiet(t, w)
}

// An app that cannot let go: one absent id, from one phone, and from very many.
func TestHonestRetryStorm(t *testing.T) {
	w := newWorld(24)
	w.shop(3, 3000, 50_000, false)
	for i := range 20_000 {
		r := get(start+day+int64(i)*2*second, 60_001, false)
		r.Principal, r.Key, r.IP, r.Agent = "customer:60001", "main", ip(9), phone
		w.add(r)
		r.Position, r.IP = 0, ip(100_000+i)
		w.add(r)
	}
	quiet(t, w)
}

// A link in an old mail: each reader asks for one of many customers who are gone.
func TestHonestStaleLinks(t *testing.T) {
	w := newWorld(25)
	for i := range 30_000 {
		c := w.customer(50_000)
		r := get(start+int64(i)*5*second, c, true)
		r.IP, r.ASN, r.Agent = ip(c%4000), uint32(4760+c%5), chrome
		if w.rng.IntN(70) == 0 {
			r.Subjects, r.Outcome = []string{strconv.Itoa(200_000 + w.rng.IntN(5000))}, whosaw.OutcomeAbsent
		}
		w.add(r)
	}
	quiet(t, w)
}

// On a route where a third of what is asked for does not exist, once that is known, nobody is judged by it; and the doctor
// is told.
func TestHonestLookUpRoute(t *testing.T) {
	w := newWorld(26)
	w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{Kind: "release", From: start - day, Until: start}})
	for i := range 30_000 {
		at := start + int64(i)*20*second
		r := get(at, 1+w.rng.IntN(900_000), i < 3000 || w.rng.IntN(3) != 0)
		if i < 3000 { // every network in turn, so that all are known
			r.IP = ip(i % 100 << 8)
			r.Outcome = whosaw.OutcomeDisclosed
			if i/100%10 == 9 || i/100%10 == 4 {
				r.Outcome = whosaw.OutcomeAbsent
			}
		} else {
			r.IP = ip(w.rng.IntN(100) << 8)
		}
		w.add(r)
	}
	e := quiet(t, w)
	if s := e.Status()[1].Strata; len(s) != 1 || s[0].Route != "GET /customers/{id}" || s[0].Accesses == 0 {
		t.Errorf("strata %+v", s)
	}
}

func TestHonestCrawler(t *testing.T) {
	w := newWorld(27)
	w.shop(3, 3000, 50_000, false)
	for i := range 9000 {
		r := get(start+int64(i)*20*second, 1+w.rng.IntN(50_000), w.rng.IntN(3) != 0)
		r.IP, r.ASN, r.Agent = ip(8<<16+w.rng.IntN(40)), 15169, google
		w.add(r)
	}
	quiet(t, w)
}

// Members who closed or merged their accounts are absent, and known.
func TestHonestMergedMembers(t *testing.T) {
	w := newWorld(28)
	for c := range 3000 {
		state := "withdrawn"
		if c%2 == 0 {
			state = "merged"
		}
		w.add(whosaw.Record{Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c + 1)}, Ref: &whosaw.Reference{State: state, Into: "9"}})
	}
	for i := range 5000 {
		r := get(start+int64(i)*30*second, 1+w.rng.IntN(3000), false)
		r.IP, r.Agent, r.Key = ip(i%3), phone, "main"
		w.add(r)
	}
	quiet(t, w)
}

// Lists come sorted from the server: their order is not the reader's.
func TestHonestSortedLists(t *testing.T) {
	w := newWorld(29)
	for i := range 4000 {
		r := get(start+int64(i)*minute, 1, true)
		r.Subjects = nil
		for n := range 30 {
			r.Subjects = append(r.Subjects, strconv.Itoa(1+w.rng.IntN(400)*1000/400+n*1000))
		}
		r.Principal, r.Credential, r.Key, r.IP = "staff:1", fmt.Sprint("t", i/480), "staff", ip(5)
		w.add(r)
	}
	quiet(t, w)
}

// A nightly job goes through everybody in order. A reason record of kind job explains it.
func TestHonestJob(t *testing.T) {
	for _, explained := range []bool{true, false} {
		w := newWorld(30)
		w.shop(3, 2000, 50_000, false)
		if explained {
			w.add(whosaw.Record{Type: whosaw.TypeReason, Time: start, Principal: "service:invoices", Ref: &whosaw.Reference{Kind: "job", From: start}})
		}
		for i := range 2000 {
			r := get(start+2*day+int64(i)*second, 1+i, true)
			r.Principal, r.Credential, r.Key, r.IP = "service:invoices", "job1", "jobs", ip(4)
			w.attack(r)
		}
		if explained {
			quiet(t, w)
		} else {
			caught(t, w, "traversal")
		}
	}
}

// Issuances arrive up to half a minute after their use, out of order.
func TestHonestLateFeed(t *testing.T) {
	w := newWorld(31)
	for i := range 12_000 {
		c := w.customer(30_000)
		at := start + int64(i)*20*second
		r := get(at, c, true)
		r.Principal, r.Key, r.Credential, r.IP = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", i), ip(c)
		w.add(r)
		w.add(issuance(at+w.rng.Int64N(30*second), r.Credential, "main", c))
	}
	quiet(t, w)
}

// The issuances stand still for three hours and then come all at once: they were late, not lost.
func TestHonestStuckFeed(t *testing.T) { stuckFeed(t, false) }

// One issuer's clock is half a day ahead: that the others stand still is seen all the same.
func TestHonestStuckFeedBesideAWrongClock(t *testing.T) { stuckFeed(t, true) }

func stuckFeed(t *testing.T, wrongClock bool) {
	w := newWorld(32)
	var late []whosaw.Record
	for i := range 20_000 {
		c := w.customer(30_000)
		at := start + int64(i)*10*second
		stuck := at > start+day && at < start+day+3*hour
		if !stuck && late != nil && at > start+day {
			for _, r := range late {
				w.add(r)
			}
			late = nil
		}
		iss := issuance(at-second, fmt.Sprint("s", i), "main", c)
		if wrongClock && at == start+day-hour {
			w.add(issuance(at+12*hour, "ahead", "main", c))
		}
		if stuck {
			late = append(late, iss)
		} else {
			w.add(iss)
		}
		r := get(at, c, true)
		r.Principal, r.Key, r.Credential, r.IP = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", i), ip(c)
		w.add(r)
	}
	_, fs := runArrival(w)
	if len(fs) != 0 {
		t.Errorf("findings on a late feed: %v", fs)
	}
}

// The feed begins in the middle of the log; sessions live for days, and many were given out before.
func TestHonestFeedBeginsLate(t *testing.T) {
	for _, declared := range []bool{false, true} {
		w := newWorld(33)
		if declared {
			w.add(feedRecord(start+3*day+5*day, 1e-5, 60))
		}
		for c := 1; c <= 1500; c++ {
			// Each customer logs in every five days and looks in often in between.
			for in := start - w.rng.Int64N(5*day); in < start+14*day; in += 5 * day {
				session := fmt.Sprintf("s%d-%d", c, in/day)
				if in >= start+3*day {
					w.add(issuance(in, session, "main", c))
				}
				for at := in; at < in+5*day; at += 1 + w.rng.Int64N(3*day) {
					if at < start {
						continue
					}
					r := get(at, c, true)
					r.Principal, r.Key, r.Credential, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", session, ip(c*300), uint32(4760+c%5), phone
					w.add(r)
				}
			}
		}
		quiet(t, w)
	}
}

func TestHonestLossyFeed(t *testing.T) {
	for _, declared := range []bool{true, false} {
		w := newWorld(34)
		lost := 1000 // one in 1000 where it is declared, else the one in 100,000 met in life, rounded up to one in 10,000
		if !declared {
			lost = 10_000
		} else {
			w.add(feedRecord(start, 1e-3, 5))
		}
		for i := range 10_000 {
			c := w.customer(30_000)
			at := start + int64(i)*minute
			r := get(at, c, true)
			r.Principal, r.Key, r.Credential, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", i), ip(c), uint32(4760+c%5), phone
			if w.rng.IntN(lost) != 0 {
				w.add(issuance(at-second, r.Credential, "main", c))
			}
			for n := range 4 { // the session whose issuance was lost is used for days
				r.Time = at + int64(n)*day
				w.add(r)
			}
		}
		quiet(t, w)
	}
}

// The old key's credentials live on after its retirement; the new key takes over.
func TestHonestKeyRotation(t *testing.T) {
	w := newWorld(35)
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start + 2*day, Key: "k1", Ref: &whosaw.Reference{State: "retired", Since: start + 2*day}})
	for i := range 8_000 {
		c := w.customer(30_000)
		at := start + int64(i)*75*second
		key := "k1"
		if at >= start+2*day {
			key = "k2"
		}
		w.add(issuance(at-second, fmt.Sprint("s", i), key, c))
		for n := range 3 {
			r := get(at+int64(n)*day, c, true)
			r.Principal, r.Key, r.Credential, r.IP = "customer:"+strconv.Itoa(c), key, fmt.Sprint("s", i), ip(c)
			w.add(r)
		}
	}
	quiet(t, w)
}

// The issuance of one session was lost, as one in many is. Its key is rotated; it is used on, days after.
func TestHonestLostIssuanceOfARetiredKey(t *testing.T) {
	w := newWorld(38)
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start + 2*day, Key: "k1", Ref: &whosaw.Reference{State: "retired", Since: start + 2*day}})
	for i := range 8_000 {
		c := w.customer(30_000)
		at := start + int64(i)*75*second
		key := "k1"
		if at >= start+2*day {
			key = "k2"
		}
		if i != 2_000 { // the second day
			w.add(issuance(at-second, fmt.Sprint("s", i), key, c))
		}
		for n := range 4 {
			r := get(at+int64(n)*day, c, true)
			r.Principal, r.Key, r.Credential, r.IP = "customer:"+strconv.Itoa(c), key, fmt.Sprint("s", i), ip(c)
			w.add(r)
		}
	}
	quiet(t, w)
}

// A mail goes out to everybody in order of their numbers, and wakes those who had not looked in for long: they come in
// roughly that order, for two days.
func TestHonestCampaign(t *testing.T) {
	w := newWorld(36)
	w.shop(2, 2000, 60_000, false)
	for c := 1; c <= 60_000; c++ {
		if !exists(c) || w.rng.IntN(4) != 0 {
			continue
		}
		r := get(start+day+int64(c)*20+int64(w.rng.ExpFloat64()*float64(hour)), c, true)
		r.Principal, r.Key, r.IP, r.ASN, r.Agent = "customer:"+r.Subjects[0], "main", ip(c*7919%(1<<22)), uint32(4760+c%3), phone
		w.add(r)
	}
	quiet(t, w)
}

// A partner reads its customers' pages in batches, in no order, from one address.
func TestHonestPartnerBatches(t *testing.T) {
	w := newWorld(37)
	w.shop(3, 2000, 60_000, false)
	for d := range 3 {
		for i := range 4000 {
			r := get(start+int64(d)*day+2*hour+int64(i)*second/4, w.customer(60_000), w.rng.IntN(200) != 0)
			r.Principal, r.Client, r.Credential, r.IP, r.Agent = "partner:acme", "acme", fmt.Sprint("batch", d), ip(77_000), "okhttp/4.9"
			w.add(r)
		}
	}
	quiet(t, w)
}

// A small shop writes to its new customers the day after they signed up, and they look in: in the order of their numbers.
func TestHonestWelcomeMails(t *testing.T) {
	w := newWorld(38)
	w.shop(40, 60, 20_000, false)
	for i := range 400 {
		c := 20_000 + i
		for visit := range 3 {
			r := get(start+int64(i)*2*hour+int64(visit)*(day+w.rng.Int64N(hour)), c, true)
			r.Principal, r.Key, r.IP, r.ASN, r.Agent = "customer:"+r.Subjects[0], "main", ip(c*7919%(1<<22)), uint32(4760+c%2), phone
			w.add(r)
		}
	}
	quiet(t, w)
}

// The clock of the pages is two minutes behind that of the log-ins. A log that stands in the order of its times, as an investigation reads it,
// has each session before its log-in then; one that stands as it came does not, and there the log-in may be half a minute late.
func TestHonestSlowClock(t *testing.T) {
	for _, declared := range []bool{true, false} {
		w := newWorld(39)
		if declared {
			w.add(feedRecord(start, 1e-5, 60))
		}
		slow := int64(0)
		for i := range 9_000 {
			if i == 6_000 {
				slow = 2 * minute
			}
			c := w.customer(30_000)
			at := start + int64(i)*15*second
			iss := issuance(at, fmt.Sprint("s", i), "main", c)
			late := i%3 == 0 && len(w.records) > 1
			if !late {
				w.add(iss)
			}
			r := get(at+second-slow, c, true)
			r.Principal, r.Key, r.Credential, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", i), ip(c), uint32(4760+c%5), phone
			w.add(r)
			other := get(at+2*second, w.customer(30_000), true) // a page of another server, whose clock is right
			other.Route = "GET /products/{id}"
			other.Subjects, other.IP, other.Agent = nil, ip(c), phone
			w.add(other)
			if late {
				w.add(iss)
			}
		}
		quiet(t, w)
		if _, fs := runArrival(w); len(fs) != 0 {
			t.Errorf("as it came, declared %v: %v", declared, fs)
		}
	}
}

// TestCompleteFeedInOrder: one server that sends everything in the order of its times is not told of a forged token later than others, where its
// feed is declared complete.
func TestCompleteFeedInOrder(t *testing.T) {
	w := newWorld(40)
	w.add(feedRecord(start, 0, 0))
	at := start
	for i := range 10_000 {
		at += second
		c := w.customer(30_000)
		w.add(issuance(at, fmt.Sprint("s", i), "main", c))
		r := get(at+100, c, true)
		r.Principal, r.Key, r.Credential, r.IP, r.Agent = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", i), ip(c), phone
		w.add(r)
	}
	for i := range 3 {
		at += second
		r := get(at, w.customer(30_000), true)
		r.Key, r.Credential, r.IP, r.Agent = "main", fmt.Sprint("forged", i), ip(i), phone
		w.add(r)
	}
	last := get(at+1, w.customer(30_000), true)
	last.Route, last.Subjects, last.Agent = "GET /products/{id}", nil, phone
	w.add(last)
	if _, fs := runArrival(w); len(by(fs, "unissued")) == 0 {
		t.Errorf("a forged token in traffic that is in order: %v", fs)
	}
}
