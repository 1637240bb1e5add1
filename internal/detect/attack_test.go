package detect_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// shop adds days of honest traffic: customers who open their own pages, each from home, with a session a day. With a
// feed each session has its issuance.
func (w *world) shop(days, perDay, limit int, feed bool) {
	for d := range days {
		w.shopDay(d, perDay, limit, feed)
	}
}

func (w *world) shopDay(d, perDay, limit int, feed bool) {
	for i := range perDay {
		c := w.customer(limit)
		t := start + int64(d)*day + w.rng.Int64N(day)
		r := get(t, c, true)
		r.Principal, r.Key, r.Credential = "customer:"+strconv.Itoa(c), "main", fmt.Sprintf("s%d-%d-%d", c, d, i)
		r.IP, r.ASN, r.Country = ip(c), uint32(4760+c%5), "KR"
		r.Agent = []string{chrome, phone}[c%2]
		if feed {
			w.add(issuance(t-2*second, r.Credential, r.Key, c))
		} else if w.rng.IntN(300) == 0 {
			r.Outcome = whosaw.OutcomeAbsent // somebody closed the account a moment ago
		}
		w.add(r)
	}
}

// theft walks through the numbers, a forged credential each, from addresses of a foreign host.
func (w *world) theft(from int64, first, n, addresses int, every int64) {
	for i := range n {
		w.forge(from+int64(i)*every, first+i, addresses)
	}
}

func (w *world) forge(t int64, c, addresses int) {
	r := get(t, c, exists(c))
	r.Principal, r.Key, r.Credential = "customer:"+strconv.Itoa(c), "main", fmt.Sprintf("forged%d", c)
	r.IP, r.ASN, r.Country, r.Agent = ip(1<<20+w.rng.IntN(addresses)*977), 64500, "DE", chrome
	w.attack(r)
}

func feedRecord(t int64, lost, lag float64) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeFeed, Time: t, Ref: &whosaw.Reference{Of: "issuance", HasLost: true, Lost: lost, Lag: lag}}
}

// Once the key is accused of credentials that were never issued, what else is found of them says so too: its filter takes no honest access that
// merely lacks a reason.
func TestFurtherFindingsOfAForgedKey(t *testing.T) {
	w := newWorld(40)
	w.add(feedRecord(start, 0, 0))
	w.shop(3, 2000, 100_000, true)
	for i := range 100 { // the house reads with the same key, and no reason is on record
		at := start + int64(i)*40*minute
		r := get(at, w.customer(100_000), true)
		r.Principal, r.Key, r.Credential, r.IP, r.ASN, r.Country, r.Agent = "service:mail", "backup", fmt.Sprint("mail", i/24), ip(5), 4760, "KR", chrome
		w.add(whosaw.Record{Type: whosaw.TypeIssuance, Time: at - second, Credential: r.Credential, Key: "backup", Principal: r.Principal, Ref: &whosaw.Reference{}})
		w.add(r)
	}
	for i := range 1000 {
		r := get(start+2*day+int64(i)*100, 1+i, exists(1+i))
		r.Principal, r.Key, r.Credential = "customer:"+strconv.Itoa(1+i), "backup", fmt.Sprint("forged", i)
		r.IP, r.ASN, r.Country, r.Agent = ip(1<<20+i*977), uint32(64500+i%90), "DE", chrome
		w.attack(r)
	}
	rs := w.sorted()
	facts := newFacts(rs)
	for _, detector := range []string{"nonexistent", "traversal"} {
		for _, f := range caught(t, w, detector) {
			if t := f.Filter[0]; len(t.Key) == 0 {
				continue // of an address or network: what it says of the key is for others
			}
			missed, honest := 0, 0
			for i := range rs {
				switch matches, bad := facts.matches(f.Filter, &rs[i]), w.bad[rs[i].Position]; {
				case bad && !matches:
					missed++
				case matches && !bad:
					honest++
				}
			}
			if missed > 0 || honest > 0 {
				t.Errorf("%s %+v misses %d, and takes %d honest accesses", f.Detector, f.Filter, missed, honest)
			}
		}
	}
}

func TestTheCaseWithoutFeed(t *testing.T) {
	for _, addresses := range []int{1, 16, 2313} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			w := newWorld(1)
			w.shop(3, 2000, 100_000, false)
			w.theft(start+2*day, 1, 1000, addresses, 100)
			rs := w.sorted()
			for _, detector := range []string{"nonexistent", "traversal"} {
				fs := caught(t, w, detector)
				if n := w.lost(rs, fs[0]); detector == "nonexistent" && n > 20 {
					t.Errorf("lost %d customers before %v", n, fs[0])
				}
				if len(fs) > 3 {
					t.Errorf("one attack, %d findings: %v", len(fs), fs)
				}
			}
		})
	}
}

// One try every 40 minutes, in no order, one in 750 of the traffic: only the origin is common to them.
func TestPatientRandomThief(t *testing.T) {
	w := newWorld(2)
	w.shop(3, 12_000, 1_000_000, false)
	for i := range 48 {
		w.forge(start+day+int64(i)*40*minute, 1+w.rng.IntN(1_000_000), 2313)
	}
	fs := caught(t, w, "nonexistent")
	if n := w.lost(w.sorted(), fs[0]); n > 20 {
		t.Errorf("lost %d customers before %v", n, fs[0])
	}
}

func TestForgedWithCompleteFeed(t *testing.T) {
	w := newWorld(3)
	w.add(feedRecord(start, 0, 0))
	w.shop(2, 2000, 50_000, true)
	w.theft(start+day, 1, 500, 16, 100)
	rs := w.sorted()
	fs := caught(t, w, "unissued")
	if n := w.lost(rs, fs[0]); n > 1 || len(fs) != 1 {
		t.Errorf("lost %d customers, findings %v", n, fs)
	}
	f := fs[0]
	if f.Unit != "key:main" || len(f.Filter) != 1 || f.Filter[0].Issued == nil || *f.Filter[0].Issued || f.Filter[0].From != 0 ||
		f.Statistic != 1 || f.Threshold != 1 || f.Accesses != 1 || f.Technique != "T1606" {
		t.Errorf("finding %v", f)
	}
}

func TestForgedWithInferredFeed(t *testing.T) {
	w := newWorld(4)
	w.shop(3, 3000, 50_000, true)
	w.theft(start+2*day, 1, 800, 16, second)
	fs := caught(t, w, "unissued")
	if len(fs) != 1 || fs[0].Unit != "key:main" && !strings.HasPrefix(fs[0].Unit, "cell:") {
		t.Errorf("findings %v", fs)
	}
	if fs[0].Seen < fs[0].Time+whosaw.Time(minute) {
		t.Errorf("seen %d, before the lag of %d has passed", fs[0].Seen, fs[0].Time)
	}
}

// A key that is hardly used otherwise: six forged credentials are enough, and the filter takes all of them.
func TestForgedWithBackupKey(t *testing.T) {
	w := newWorld(5)
	w.shop(3, 1500, 50_000, true)
	for i := range 12 {
		r := get(start+hour+int64(i)*minute, 60_000+i, true)
		r.Key, r.Principal, r.Credential, r.IP, r.Agent = "backup", "customer:"+r.Subjects[0], fmt.Sprint("b", i), ip(i), chrome
		w.add(issuance(r.Time-second, r.Credential, "backup", 60_000+i))
		w.add(r)
	}
	for i := range 40 {
		w.forge(start+2*day+int64(i)*second, 1+i, 4)
		w.records[len(w.records)-1].Key = "backup"
	}
	fs := caught(t, w, "unissued")
	f := fs[0]
	if len(fs) != 1 || f.Unit != "key:backup" || f.Filter[0].From != 0 || f.Accesses > 8 {
		t.Errorf("findings %v", fs)
	}
	rs := w.sorted()
	facts, n := newFacts(rs), 0
	for i := range rs {
		if facts.matches(f.Filter, &rs[i]) {
			n++
		}
	}
	if n != 40 {
		t.Errorf("the filter matches %d accesses, forged are 40", n)
	}
}

// The thief sits behind a carrier's address with thousands of customers.
func TestThiefBehindCarrierNAT(t *testing.T) {
	for _, rate := range []int64{100, 20_000} { // milliseconds between his requests
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			w := newWorld(6)
			for d := range 4 {
				for range 4000 {
					c := w.customer(200_000)
					r := get(start+int64(d)*day+w.rng.Int64N(day), c, true)
					r.Principal, r.Key, r.Credential = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("s", c)
					r.IP, r.ASN, r.Country, r.Agent = ip(77), 4766, "KR", phone
					w.add(r)
				}
			}
			for i := range 600 {
				c := 500 + i
				r := get(start+2*day+int64(i)*rate, c, exists(c))
				r.Principal, r.Key, r.Credential = "customer:"+strconv.Itoa(c), "main", fmt.Sprint("f", c)
				r.IP, r.ASN, r.Country, r.Agent = ip(77), 4766, "KR", phone
				w.attack(r)
			}
			caught(t, w, "nonexistent")
			caught(t, w, "traversal")
		})
	}
}

func TestDescendingTraversal(t *testing.T) {
	w := newWorld(7)
	w.shop(2, 3000, 100_000, false)
	for i := range 120 {
		r := get(start+day+int64(i)*minute, 40_000-i*2, true)
		r.Principal, r.Credential, r.IP = "partner:acme", "p1", ip(9)
		w.attack(r)
	}
	fs := caught(t, w, "traversal")
	if fs[0].Unit != "principal:partner:acme" || !strings.Contains(fs[0].Says, "descending") {
		t.Errorf("findings %v", fs)
	}
}

// An insider whose work is explained, and who also walks through customers that nothing explains.
func TestInsiderAmongExplainedWork(t *testing.T) {
	w := newWorld(8)
	w.callCentre(5, 10, 60, true)
	for i := range 90 {
		r := get(start+3*day+9*hour+int64(i)*minute, 70_000+i, true)
		r.Principal, r.Credential, r.Key, r.IP, r.Agent = "staff:3", "staff3-3", "staff", ip(5), chrome
		w.attack(r)
	}
	for _, f := range caught(t, w, "traversal") {
		if f.Filter[0].Explained == nil || *f.Filter[0].Explained {
			t.Errorf("explained work is accused: %v", f)
		}
	}
}

// callCentre adds days of a desk behind one address: agents open customers who call, mistyping one in 60.
func (w *world) callCentre(days, agents, calls int, reasons bool) {
	for d := range days {
		for a := range agents {
			for range calls {
				t := start + int64(d)*day + 9*hour + w.rng.Int64N(8*hour)
				c := w.customer(100_000)
				r := get(t, c, w.rng.IntN(60) != 0)
				if r.Outcome == whosaw.OutcomeAbsent {
					r.Subjects = []string{strconv.Itoa(200_000 + w.rng.IntN(100_000))}
				} else if reasons {
					w.add(whosaw.Record{Type: whosaw.TypeReason, Time: t, Subjects: r.Subjects, Principal: "staff:" + strconv.Itoa(a),
						Ref: &whosaw.Reference{Kind: "ticket", From: t - minute, Until: t + hour}})
				}
				r.Principal, r.Credential, r.Key, r.IP, r.Agent = "staff:"+strconv.Itoa(a), fmt.Sprintf("staff%d-%d", a, d), "staff", ip(5), chrome
				w.add(r)
			}
		}
	}
}

func canaryRecord(c int) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c)}, Ref: &whosaw.Reference{State: "canary"}}
}

func TestCanary(t *testing.T) {
	w := newWorld(9)
	for c := range 20_000 {
		if exists(c) && c%50 != 0 {
			w.add(whosaw.Record{Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c)}, Ref: &whosaw.Reference{State: "active"}})
		}
	}
	for c := 100_000; c < 100_200; c++ {
		w.add(canaryRecord(c))
	}
	w.shop(2, 2000, 20_000, false)
	for i := range 300 {
		r := get(start+day+int64(i)*minute, []int{100_000 + i, w.customer(20_000)}[min(1, i%60)], true)
		r.IP, r.Agent, r.Key = ip(3<<16), "curl/8.0", "main"
		w.attack(r)
	}
	fs := caught(t, w, "canary")
	if len(fs) > 2 {
		t.Errorf("one attack, %d findings: %v", len(fs), fs)
	}
	for _, f := range fs {
		if f.Statistic != 1 || f.Threshold != 1 || f.Subjects != 1 {
			t.Errorf("finding %v", f)
		}
	}
}

// One canary opened from an address that thousands use says nothing of the others.
func TestCanaryBehindCarrierNAT(t *testing.T) {
	w := newWorld(10)
	for c := range 3000 {
		w.add(whosaw.Record{Type: whosaw.TypeSubject, Time: start, Subjects: []string{strconv.Itoa(c)}, Ref: &whosaw.Reference{State: "active"}})
	}
	for c := 100_000; c < 100_030; c++ {
		w.add(canaryRecord(c))
	}
	for i := range 9000 {
		r := get(start+int64(i)*10*second, 1+w.rng.IntN(2999), true)
		r.Principal, r.IP, r.Agent, r.Key = "customer:"+r.Subjects[0], ip(77), phone, "main"
		w.add(r)
	}
	r := get(start+12*hour, 100_003, true)
	r.Principal, r.IP, r.Agent, r.Key = "customer:100003", ip(77), phone, "main"
	w.attack(r)
	fs := caught(t, w, "canary")
	if len(fs) != 1 || !slices.Equal(fs[0].Filter[0].Subject, []string{"100003"}) {
		t.Errorf("findings %v", fs)
	}
}

func TestKeyStates(t *testing.T) {
	key := func(state string, since, until int64) whosaw.Record {
		return whosaw.Record{Type: whosaw.TypeKey, Time: start, Key: "old", Ref: &whosaw.Reference{State: state, Since: since, Until: until}}
	}
	retired := start + day
	for _, c := range []struct {
		name  string
		key   whosaw.Record
		first int64 // the earliest access that is accused
	}{
		{"retired", key("retired", retired, 0), retired + day},
		{"revoked", key("revoked", retired, 0), retired + 5*minute},
		{"expired", key("active", start-day, retired), retired + 5*minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(11)
			w.add(c.key)
			for i := range 200 {
				at := start + int64(i)*30*minute
				r := get(at, 1+i*7919%20_000, true)
				r.Key, r.Credential, r.Principal, r.IP = "old", fmt.Sprint("c", i), "customer:"+r.Subjects[0], ip(i*7919)
				if i%3 == 0 {
					r.Outcome = whosaw.OutcomeRefused
				}
				if at >= c.first && r.Outcome != whosaw.OutcomeRefused {
					w.attack(r)
				} else {
					w.add(r)
				}
			}
			fs := caught(t, w, "key_state")
			f := fs[0]
			if len(fs) != 1 || f.Time < whosaw.Time(c.first) || f.Time > whosaw.Time(c.first+90*minute) || f.Unit != "key:old" ||
				!strings.Contains(f.Says, "2025-04-15") || f.Technique != "T1552.004" {
				t.Errorf("findings %v", fs)
			}
		})
	}
}

// The sessions that a retired key gave out live on, but not beyond the end of its validity.
func TestRetiredKeyExpires(t *testing.T) {
	w := newWorld(12)
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start, Key: "old", Ref: &whosaw.Reference{State: "active", Since: start, Until: start + 4*day}})
	w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start, Key: "old", Ref: &whosaw.Reference{State: "retired", Since: start + day}})
	for i := range 200 {
		c := 1 + i*7919%20_000
		w.add(issuance(start+hour, fmt.Sprint("c", i), "old", c))
		r := get(start+int64(i+2)*hour, c, true)
		r.Key, r.Credential, r.Principal, r.IP = "old", fmt.Sprint("c", i), "customer:"+r.Subjects[0], ip(c)
		if r.Time >= start+4*day+5*minute {
			w.attack(r)
		} else {
			w.add(r)
		}
	}
	fs := caught(t, w, "key_state")
	if len(fs) != 1 || fs[0].Time != whosaw.Time(start+4*day+hour) || !strings.Contains(fs[0].Says, "valid until 2025-04-18") {
		t.Errorf("findings %v", fs)
	}
}

// The person who could read the key has left; with the feed, what is signed without a log-in is pinned to the key.
func TestLeaversKey(t *testing.T) {
	w := newWorld(12)
	w.add(whosaw.Record{Type: whosaw.TypePerson, Time: start, Ref: &whosaw.Reference{Person: "kim", State: "left", Since: start + hour, Keys: []string{"main"}}})
	w.add(feedRecord(start, 0, 0))
	w.shop(2, 1000, 20_000, true)
	e, fs := run(detect.Config{}, w.sorted())
	if len(fs) != 0 {
		t.Fatalf("a key merely in use is no finding: %v", fs)
	}
	leavers := statusOf(t, e, "key_state").Leavers
	if len(leavers) != 1 || leavers[0].Key != "main" || leavers[0].Accesses == 0 || leavers[0].Since != whosaw.Time(start+hour) {
		t.Errorf("leavers %+v", leavers)
	}
	w.theft(start+day, 1, 50, 4, second)
	ks := caught(t, w, "key_state")
	if len(ks) != 1 || ks[0].Filter[0].From != whosaw.Time(start+hour) || ks[0].Filter[0].Issued == nil || strings.Contains(ks[0].Says, "kim") {
		t.Errorf("findings %v", ks)
	}
}

// A key that somebody has a copy of is replaced. The copy is used no more, but an honest session lives on whose issuance was lost, as one in many
// is: it is no evidence. Nor is the second; one who goes on with the copy is found after the third, though the feed loses some.
func TestReplacedKeyOfAThief(t *testing.T) {
	retired := start + 2*day
	for _, goesOn := range []bool{false, true} {
		w := newWorld(40)
		w.add(feedRecord(start-day, 1e-5, 60))
		w.add(whosaw.Record{Type: whosaw.TypeKey, Time: start - day, Key: "main", Ref: &whosaw.Reference{State: "active", Since: start - day}})
		w.add(whosaw.Record{Type: whosaw.TypeKey, Time: retired, Key: "main", Ref: &whosaw.Reference{State: "retired", Since: retired}})
		use := func(at int64, credential string, c int) whosaw.Record {
			r := get(at, c, true)
			r.Principal, r.Key, r.Credential, r.IP, r.ASN, r.Agent = "customer:"+strconv.Itoa(c), "main", credential, ip(c), uint32(4760+c%5), phone
			return r
		}
		for i := range 4_000 {
			at, c := start+int64(i)*40*second, w.customer(30_000)
			if i != 100 && i != 3_000 { // lost
				w.add(issuance(at-second, fmt.Sprint("s", i), "main", c))
			}
			for n := range 4 {
				w.add(use(at+int64(n)*day, fmt.Sprint("s", i), c))
			}
		}
		for i := range 12 { // he takes a few before, and is found by that
			w.attack(use(start+day+int64(i)*minute, fmt.Sprint("forged", i), w.customer(30_000)))
		}
		if goesOn {
			for i := range 12 {
				w.attack(use(retired+30*hour+int64(i)*minute, fmt.Sprint("again", i), w.customer(30_000)))
			}
		}
		_, fs := run(detect.Config{}, w.sorted())
		w.checkMajority(t, w.sorted(), fs)
		if len(by(fs, "unissued")) == 0 {
			t.Fatalf("nobody was found before: %v", fs)
		}
		fs = by(fs, "key_state")
		switch {
		case !goesOn && len(fs) != 0:
			t.Errorf("a lost issuance is taken for a thief's: %v", fs)
		case goesOn && (len(fs) != 1 || fs[0].Accesses > 4 || fs[0].Subjects != fs[0].Accesses || fs[0].Time > whosaw.Time(retired+30*hour+4*minute)):
			t.Errorf("the thief who goes on: %v", fs)
		}
	}
}
