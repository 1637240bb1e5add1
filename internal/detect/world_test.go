package detect_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// start is the first instant of the tests' logs: 2025-04-14, midnight UTC.
const start = int64(1744588800000)

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

const (
	chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/135.0.0.0 Safari/537.36"
	phone  = "ShopApp/5.2 (Android 15)"
	google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

// world collects a log. What is marked as bad is the attack: no detector sees the mark.
type world struct {
	rng     *rand.Rand
	records []whosaw.Record
	bad     map[int64]bool // by position
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 7)), bad: make(map[int64]bool)}
}

func (w *world) add(r whosaw.Record) *whosaw.Record {
	r.Source = "test"
	r.Position = int64(len(w.records))
	w.records = append(w.records, r)
	return &w.records[len(w.records)-1]
}

func (w *world) attack(r whosaw.Record) {
	w.bad[w.add(r).Position] = true
}

// get is an access that opened a subject, or did not find it.
func get(t int64, subject int, found bool) whosaw.Record {
	r := whosaw.Record{Time: t, Route: "GET /customers/{id}", Subjects: []string{strconv.Itoa(subject)}, Outcome: whosaw.OutcomeDisclosed}
	if !found {
		r.Outcome = whosaw.OutcomeAbsent
	}
	return r
}

func issuance(t int64, credential, key string, subject int) whosaw.Record {
	return whosaw.Record{Type: whosaw.TypeIssuance, Time: t, Credential: credential, Key: key, Subjects: []string{strconv.Itoa(subject)}, Ref: &whosaw.Reference{}}
}

func ip(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// exists gives the made-up shop's customers: 43 numbers of 100, as in the case.
func exists(n int) bool { return (uint64(n)*0x9e3779b97f4a7c15>>32)%100 < 43 }

// customer gives an existing number up to limit.
func (w *world) customer(limit int) int {
	for {
		if n := 1 + w.rng.IntN(limit); exists(n) {
			return n
		}
	}
}

// sorted gives the log as an investigation reads it: by time, reference records first.
func (w *world) sorted() []whosaw.Record {
	rs := slices.Clone(w.records)
	sortLog(rs)
	return rs
}

func sortLog(rs []whosaw.Record) {
	slices.SortStableFunc(rs, func(a, b whosaw.Record) int {
		ref := func(r whosaw.Record) int {
			if r.Type == whosaw.TypeAccess {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(ref(a), ref(b)), cmp.Compare(a.Position, b.Position))
	})
}

// run observes records and gives the findings, with the sequence at which each was raised.
func run(cfg detect.Config, rs []whosaw.Record) (*detect.Engine, []raised) {
	e := detect.New(cfg, nil)
	var out []raised
	for i := range rs {
		r := rs[i] // a copy: the engine must not keep it
		for _, f := range e.Observe(uint64(i+1), &r) {
			out = append(out, raised{f, i})
		}
	}
	return e, out
}

type raised struct {
	whosaw.Finding
	at int // index of the record at which it came
}

func by(fs []raised, detector string) []raised {
	return slices.DeleteFunc(slices.Clone(fs), func(f raised) bool { return f.Detector != detector })
}

// quiet fails the test if there is any finding.
func quiet(t *testing.T, w *world) *detect.Engine {
	t.Helper()
	e, fs := run(detect.Config{}, w.sorted())
	for _, f := range fs {
		t.Errorf("finding on honest traffic: %s %s %+v: %s", f.Detector, f.Unit, f.Filter, f.Says)
	}
	return e
}

// caught fails the test if the detector raised nothing, or if a finding's filter matches mostly honest accesses.
func caught(t *testing.T, w *world, detector string) []raised {
	t.Helper()
	rs := w.sorted()
	_, fs := run(detect.Config{}, rs)
	w.checkMajority(t, rs, fs)
	got := by(fs, detector)
	if len(got) == 0 {
		t.Fatalf("%s found nothing; others: %v", detector, fs)
	}
	return got
}

// checkMajority holds every finding against the truth: more than half of what the filter matches, over the whole log and
// up to the finding, is the attack's.
func (w *world) checkMajority(t *testing.T, rs []whosaw.Record, fs []raised) {
	t.Helper()
	facts := newFacts(rs)
	for _, f := range fs {
		if len(f.Filter) == 0 {
			continue // it rests on records, and accuses no access
		}
		for _, part := range []struct {
			name string
			rs   []whosaw.Record
		}{{"up to it", rs[:f.at+1]}, {"over all", rs}} {
			bad, all := 0, 0
			for i := range part.rs {
				if facts.matches(f.Filter, &part.rs[i]) {
					all++
					if w.bad[part.rs[i].Position] {
						bad++
					}
				}
			}
			if 2*bad <= all {
				t.Errorf("%s %s %+v matches %d accesses %s, of which the attack's are %d", f.Detector, f.Unit, f.Filter, all, part.name, bad)
			}
		}
	}
}

// lost counts the attack's distinct disclosed customers up to a finding.
func (w *world) lost(rs []whosaw.Record, f raised) int {
	set := map[string]bool{}
	for i := range rs[:f.at+1] {
		if r := &rs[i]; w.bad[r.Position] && r.Outcome == whosaw.OutcomeDisclosed {
			for _, s := range r.Subjects {
				set[s] = true
			}
		}
	}
	return len(set)
}

// facts answers what filters ask for, by plain maps over the whole log: it shares nothing with the engine.
type facts struct {
	issuances map[string][]whosaw.Record
	reasons   []whosaw.Record
}

func newFacts(rs []whosaw.Record) *facts {
	f := &facts{issuances: map[string][]whosaw.Record{}}
	for _, r := range rs {
		switch r.Type {
		case whosaw.TypeIssuance:
			f.issuances[r.Credential] = append(f.issuances[r.Credential], r)
		case whosaw.TypeReason:
			f.reasons = append(f.reasons, r)
		}
	}
	return f
}

func (f *facts) issued(r *whosaw.Record) bool {
	for _, i := range f.issuances[r.Credential] {
		who := i.Principal
		if who == "" {
			who = "customer:" + i.Subjects[0]
		}
		if (i.Key == "" || r.Key == "" || i.Key == r.Key) && (r.Principal == "" || r.Principal == who) {
			return r.Credential != ""
		}
	}
	return false
}

func (f *facts) explained(r *whosaw.Record) bool {
	if r.Principal == "" || len(r.Subjects) == 0 {
		return false
	}
	for _, s := range r.Subjects {
		ok := r.Principal == "customer:"+s && f.issued(r)
		for _, m := range f.reasons {
			ok = ok || (len(m.Subjects) == 0 || m.Subjects[0] == s) && (m.Principal == "" || m.Principal == r.Principal) &&
				m.Ref.From <= r.Time && (m.Ref.Until == 0 || r.Time < m.Ref.Until)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (f *facts) matches(filter whosaw.Filter, r *whosaw.Record) bool {
	if r.Type != whosaw.TypeAccess {
		return false
	}
	return slices.ContainsFunc(filter, func(t whosaw.Term) bool { return f.matchesTerm(t, r) })
}

func (f *facts) matchesTerm(t whosaw.Term, r *whosaw.Record) bool {
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	if !in(t.Key, r.Key) || !in(t.Client, r.Client) || !in(t.Principal, r.Principal) || !in(t.Credential, r.Credential) ||
		!in(t.Country, r.Country) || !in(t.AgentClass, whosaw.AgentClass(r.Agent)) || !in(t.Realm, r.Realm) ||
		!in(t.ASN, strconv.Itoa(int(r.ASN))) || !in(t.Outcome, r.Outcome.String()) {
		return false
	}
	if len(t.IP) > 0 && !slices.ContainsFunc(t.IP, func(s string) bool {
		if strings.Contains(s, "/") {
			return netip.MustParsePrefix(s).Contains(r.IP)
		}
		return netip.MustParseAddr(s) == r.IP
	}) {
		return false
	}
	if t.Issued != nil && *t.Issued != f.issued(r) || t.Explained != nil && *t.Explained != f.explained(r) {
		return false
	}
	if r.Time < int64(t.From) || t.To != 0 && r.Time >= int64(t.To) {
		return false
	}
	if len(t.Subject) == 1 && strings.HasPrefix(t.Subject[0], "!") && !strings.HasPrefix(t.Subject[0], "!!") {
		return slices.ContainsFunc(r.Subjects, func(s string) bool { return s != t.Subject[0][1:] })
	}
	return len(t.Subject) == 0 || slices.ContainsFunc(r.Subjects, func(s string) bool { return slices.Contains(t.Subject, s) })
}

// checkCut replays the log cut at each finding's seen, and expects the same finding.
func checkCut(t *testing.T, cfg detect.Config, rs []whosaw.Record, fs []raised) {
	t.Helper()
	for _, f := range fs {
		cut := slices.DeleteFunc(slices.Clone(rs), func(r whosaw.Record) bool { return r.Time > int64(f.Seen) })
		_, again := run(cfg, cut)
		same := slices.ContainsFunc(again, func(g raised) bool { return gocmp.Equal(f.Finding, g.Finding) })
		if !same {
			t.Errorf("cut at %d, %s %s is not the same: %v", f.Seen, f.Detector, f.Unit, again)
		}
	}
}

func (f raised) String() string {
	return fmt.Sprintf("%s %s %+v accesses=%d subjects=%d S=%.1f: %s", f.Detector, f.Unit, f.Filter, f.Accesses, f.Subjects, f.Statistic, f.Says)
}

// runArrival observes the log in the order in which it was made.
func runArrival(w *world) (*detect.Engine, []raised) { return run(detect.Config{}, w.records) }

// scribbled gives the record with all its strings cut from one buffer, as a decoder's are, and that buffer.
func scribbled(r whosaw.Record) ([]byte, whosaw.Record) {
	buf := make([]byte, 0, 4096)
	keep := func(s *string) {
		at := len(buf)
		buf = append(buf, *s...)
		if len(*s) > 0 {
			*s = unsafe.String(&buf[at], len(*s))
		}
	}
	list := func(l *[]string) {
		*l = slices.Clone(*l)
		for i := range *l {
			keep(&(*l)[i])
		}
	}
	for _, s := range []*string{&r.ID, &r.Realm, &r.Route, &r.Principal, &r.Credential, &r.Key, &r.Client, &r.Country, &r.Agent} {
		keep(s)
	}
	list(&r.Subjects)
	list(&r.Fields)
	if r.Ref != nil {
		ref := *r.Ref
		for _, s := range []*string{&ref.State, &ref.Kind, &ref.Into, &ref.Person, &ref.Of} {
			keep(s)
		}
		list(&ref.Keys)
		r.Ref = &ref
	}
	return buf, r
}

// statusOf gives a detector's account of itself.
func statusOf(t *testing.T, e *detect.Engine, detector string) detect.Status {
	t.Helper()
	for _, s := range e.Status() {
		if s.Detector == detector {
			return s
		}
	}
	t.Fatalf("no status of %s", detector)
	return detect.Status{}
}
