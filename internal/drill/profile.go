package drill

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// profile is what an attack on somebody's own shop is drawn from.
type profile struct {
	cat *catalog.Catalog

	accesses       int64
	from, to       int64                 // event times of accesses
	named          sample[whosaw.Record] // accesses that showed the data of somebody whom the log names
	mute           sample[whosaw.Record] // that by the catalog show a customer's, whom the log does not name
	bare           sample[whosaw.Record] // that showed something, or may have
	people         sample[whosaw.Record] // accesses of anybody but crawlers: where they come from and with what
	numbers        map[uint64]bool       // customers whose id is a number
	highest        uint64
	texts          sample[string]  // customers whose id is none
	canaries       map[uint64]bool // planted by subject records
	records        bool            // subject records say who exists
	keys           map[string]int64
	has            members
	issuances      int64
	visitors       map[uint64]struct{}
	feedDeclared   bool
	customerClaims bool // principals that claim to be customers
}

// members are those of the log that detectors need.
type members struct{ subject, credential, key, principal, canary bool }

const (
	sampleSize = 2048
	maxNumbers = 1 << 22
	maxKeys    = 1 << 10
	maxVisitor = 1 << 20
)

func newProfile(cat *catalog.Catalog, rng *rand.Rand) *profile {
	records := func() sample[whosaw.Record] { return sample[whosaw.Record]{rng: rng, keep: (*whosaw.Record).Clone} }
	return &profile{
		cat: cat, numbers: make(map[uint64]bool), canaries: make(map[uint64]bool), keys: make(map[string]int64), visitors: make(map[uint64]struct{}),
		named: records(), mute: records(), bare: records(), people: records(),
		texts: sample[string]{rng: rng, keep: func(s *string) string { return strings.Clone(*s) }},
	}
}

// add looks at one record.
func (p *profile) add(r *whosaw.Record) {
	switch r.Type {
	case whosaw.TypeIssuance:
		p.issuances++
		return
	case whosaw.TypeFeed:
		p.feedDeclared = p.feedDeclared || r.Ref != nil && r.Ref.Of == "issuance"
		return
	case whosaw.TypeSubject:
		p.customer(r)
		return
	case whosaw.TypeAccess:
	default:
		return
	}
	p.accesses++
	if p.from == 0 || r.Time < p.from {
		p.from = r.Time
	}
	p.to = max(p.to, r.Time)
	if len(p.visitors) < maxVisitor {
		p.visitors[visitorOf(r)] = struct{}{}
	}
	p.has.credential = p.has.credential || r.Credential != ""
	p.has.principal = p.has.principal || r.Principal != ""
	subject, outcome := p.look(r)
	if subject != "" && outcome == whosaw.OutcomeDisclosed {
		p.known(subject)
		p.named.offer(r)
		p.customerClaims = p.customerClaims || strings.HasPrefix(r.Principal, customerPrefix)
	}
	if n, ok := p.keys[r.Key]; r.Key != "" && (ok || len(p.keys) < maxKeys) {
		p.has.key = true
		if outcome == whosaw.OutcomeDisclosed {
			n++
		}
		p.keys[strings.Clone(r.Key)] = n
	}
	if p.silent(r, subject) {
		p.mute.offer(r)
	}
	// Of a log whose customers' pages mostly do not say whose they are, the few that do are somebody else's.
	p.has.subject = p.named.seen > 0 && p.named.seen >= p.mute.seen
	if outcome == whosaw.OutcomeDisclosed || r.Status/100 == 2 {
		p.bare.offer(r)
	}
	if !strings.HasPrefix(whosaw.AgentClass(r.Agent), "crawler:") {
		p.people.offer(r)
	}
}

const customerPrefix = "customer:"

// customer takes a subject record.
func (p *profile) customer(r *whosaw.Record) {
	if r.Ref == nil || len(r.Subjects) == 0 {
		return
	}
	switch r.Ref.State {
	case "canary":
		p.has.canary = true
		if n, ok := plainNumber(r.Subjects[0]); ok && len(p.canaries) < maxNumbers {
			p.canaries[n] = true
		}
	case "active", "":
		p.records = true
		p.known(r.Subjects[0])
	}
}

func (p *profile) known(id string) {
	n, ok := plainNumber(id)
	switch {
	case !ok:
		p.texts.offer(&id)
	case len(p.numbers) < maxNumbers:
		p.numbers[n] = true
		p.highest = max(p.highest, n)
	}
}

// plainNumber gives the number that an id is, written plainly.
func plainNumber(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id, 10, 63)
	return n, err == nil && strconv.FormatUint(n, 10) == id
}

// look says whose data an access asked for, as far as the record and the principal's claim tell, and what came of it.
func (p *profile) look(r *whosaw.Record) (subject string, outcome whosaw.Outcome) {
	var rt *catalog.Route
	if v := p.cat.At(r.Time); v != nil {
		rt = v.Route(r.Route)
	}
	if len(r.Subjects) > 0 {
		subject = r.Subjects[0]
	} else if rt != nil {
		subject, _ = rt.Join.Claimed(r.Principal)
	}
	return subject, catalog.Show(rt, r.Fields, r.Masked, r.Status, r.Outcome, r.Others, subject != "").Outcome
}

// silent reports whether an access was answered by a page that shows a customer's data by the catalog, and nobody says whose.
func (p *profile) silent(r *whosaw.Record, subject string) bool {
	if subject != "" || r.Status != 0 && r.Status/100 != 2 || r.Fields != nil && len(r.Fields)+len(r.Masked) == 0 {
		return false
	}
	v := p.cat.At(r.Time)
	if v == nil {
		return false
	}
	rt := v.Route(r.Route)
	return rt != nil && (rt.Join != catalog.JoinNone || !p.cat.Suggested() && len(rt.Fields)+len(rt.Masked) > 0)
}

// mainKey is the one that most of the shop's answers were given under: a thief's forgery hides best there.
func (p *profile) mainKey() string {
	best := ""
	for k, n := range p.keys {
		if best == "" || n > p.keys[best] || n == p.keys[best] && k < best {
			best = k
		}
	}
	return best
}

// sample is a uniform sample of what it is offered.
type sample[T any] struct {
	rng  *rand.Rand
	keep func(*T) T // copies what stays
	list []T
	seen int64
}

func (s *sample[T]) offer(v *T) {
	s.seen++
	if len(s.list) < sampleSize {
		s.list = append(s.list, s.keep(v))
	} else if i := s.rng.Int64N(s.seen); i < sampleSize {
		s.list[i] = s.keep(v)
	}
}

func (s *sample[T]) pick() *T { return &s.list[s.rng.IntN(len(s.list))] }

// share43 says of a number nobody knows whether it is a customer's: 43 of 100, as in the case.
func share43(n uint64) bool { return spread64(n)%100 < 43 }

// spread64 spreads numbers over 64 bits (SplitMix64's finaliser).
func spread64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// visitorOf tells visitors apart: by whom they claim to be, else by address and agent. The hash is FNV-1a.
func visitorOf(r *whosaw.Record) uint64 {
	h := uint64(14695981039346656037)
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	if r.Principal != "" {
		add(r.Principal)
		return h
	}
	address := r.IP.As16()
	add(string(address[:]))
	add(r.Agent)
	return h
}

// top is the highest number that may be a customer's.
func (p *profile) top() uint64 {
	// In the case 43 of 100 numbers tried were somebody's.
	return max(p.highest, uint64(len(p.visitors))*100/43, 100)
}

// exists says whether a number is a customer's: one whose data was shown, or that a subject record names; where no such
// records tell, also 43 of 100 others.
func (p *profile) exists(n uint64) bool {
	return p.numbers[n] || p.canaries[n] || !p.records && share43(n)
}

// planted says whether a number would be a planted customer, where customers are planted for the drill: one in 100 of those
// that nobody asked for.
func (p *profile) planted(n uint64) bool { return !p.numbers[n] && spread64(^n)%100 == 0 }

// own is the customer that a visitor is taken for, where the log does not say.
func (p *profile) own(visitor uint64) string {
	top := p.top()
	n := 1 + visitor%top
	for !p.exists(n) || p.planted(n) {
		n = n%top + 1
	}
	return strconv.FormatUint(n, 10)
}
