package drill

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// Weaves lists the attacks that can be woven into somebody's own records.
func Weaves() []string { return []string{"stolen-key", "stolen-key-careful", "one-api"} }

// woven is one access of the attack. What a log says of it depends on what the log has.
type woven struct {
	time     int64
	subject  string
	number   uint64 // of the subject; 0: its id is none
	exists   bool
	template *whosaw.Record // an honest access that showed something
	from     *whosaw.Record // whose address and agent it borrows
	forged   uint64         // what tells its credential apart; 0: it holds the template's own
}

// weaver makes an attack's accesses.
type weaver struct {
	*profile
	rng        *rand.Rand
	begin, end int64
	n          int // accesses to make
	out        []woven
}

// weave makes about n accesses from begin on, in order of time.
func (p *profile) weave(name string, n int, rng *rand.Rand) []woven {
	// The first third belongs to the shop: nobody's detectors begin with the attack.
	w := &weaver{profile: p, rng: rng, begin: p.from + (p.to-p.from)/3, end: p.to, n: n}
	switch name {
	case "stolen-key":
		w.stolenKey()
	case "stolen-key-careful":
		w.careful()
	case "one-api":
		w.oneAPI()
	}
	slices.SortStableFunc(w.out, func(a, b woven) int { return int(min(1, max(-1, a.time-b.time))) })
	return w.out
}

// stolenKey is the case: forged credentials for one number after the other, from 16 of the visitors' addresses, several pages
// of those who exist.
func (w *weaver) stolenKey() {
	var addresses []*whosaw.Record
	for range 16 {
		addresses = append(addresses, w.people.pick())
	}
	agent := w.people.pick().Agent
	number := 1 + uint64(w.rng.Int64N(int64(max(1, w.top()/2))))
	for i := 0; len(w.out) < w.n; i++ {
		id, n, exists := w.next(number + uint64(i))
		from := *addresses[w.rng.IntN(len(addresses))]
		from.Agent = agent
		views := 1
		if exists {
			views = 1 + w.rng.IntN(8) // 4.4 views of each account in the case
		}
		forged := w.rng.Uint64() | 1
		for range min(views, w.n-len(w.out)) {
			w.add(woven{time: w.steady(), subject: id, number: n, exists: exists, template: w.customerPage(), from: &from, forged: forged})
		}
	}
}

// careful opens only customers who exist, once or twice, when people are awake, each from the address and with the agent of
// another visitor.
func (w *weaver) careful() {
	for len(w.out) < w.n {
		id, n := w.existing()
		from, forged := w.people.pick(), w.rng.Uint64()|1
		for range min(1+w.rng.IntN(2), w.n-len(w.out)) {
			at := w.people.pick().Time
			if at < w.begin {
				at += (w.begin - at + 86_399_999) / 86_400_000 * 86_400_000 // the same hour of a later day
			}
			w.add(woven{time: min(at, w.end), subject: id, number: n, exists: true, template: w.customerPage(), from: from, forged: forged})
		}
	}
}

// oneAPI holds one session that was given out and opens customers who exist with it, at an even pace.
func (w *weaver) oneAPI() {
	template := w.servicePage()
	for len(w.out) < w.n {
		id, n := w.existing()
		w.add(woven{time: w.steady(), subject: id, number: n, exists: true, template: template, from: template})
	}
}

func (w *weaver) add(a woven) { w.out = append(w.out, a) }

// steady is the time of the next access at an even pace.
func (w *weaver) steady() int64 {
	return w.begin + int64(float64(w.end-w.begin)*float64(len(w.out))/float64(w.n))
}

// next is the id that a thief who counts tries. Ids that are no numbers cannot be counted: he makes them up in the form he
// knows, and in 43 of 100 cases has one that exists.
func (w *weaver) next(number uint64) (id string, n uint64, exists bool) {
	if !w.textIDs() {
		number = 1 + (number-1)%w.top()
		return strconv.FormatUint(number, 10), number, w.exists(number)
	}
	id = *w.texts.pick()
	if w.rng.IntN(100) < 43 {
		return id, 0, true
	}
	return w.madeUp(id), 0, false
}

// textIDs reports whether most known customers' ids are no numbers.
func (p *profile) textIDs() bool { return p.texts.seen > int64(len(p.numbers)) }

// existing picks a customer who exists.
func (w *weaver) existing() (id string, n uint64) {
	if w.textIDs() {
		return *w.texts.pick(), 0
	}
	for {
		if n := 1 + uint64(w.rng.Int64N(int64(w.top()))); w.exists(n) {
			return strconv.FormatUint(n, 10), n
		}
	}
}

// madeUp replaces the digits and letters of an id.
func (w *weaver) madeUp(id string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return rune('0' + w.rng.IntN(10))
		case r >= 'a' && r <= 'f':
			return rune('a' + w.rng.IntN(6))
		case r >= 'A' && r <= 'F':
			return rune('A' + w.rng.IntN(6))
		}
		return r
	}, id)
}

// customerPage picks an access that showed a customer's data, as far as can be known, to a customer where customers log in; servicePage one to
// anybody else.
func (w *weaver) customerPage() *whosaw.Record {
	return w.page(func(r *whosaw.Record) bool { return strings.HasPrefix(r.Principal, customerPrefix) })
}

func (w *weaver) servicePage() *whosaw.Record {
	return w.page(func(r *whosaw.Record) bool {
		return !strings.HasPrefix(r.Principal, customerPrefix) && r.Time <= w.begin // its session was given out before
	})
}

func (w *weaver) page(want func(*whosaw.Record) bool) *whosaw.Record {
	pages := &w.bare
	switch {
	case w.has.subject:
		pages = &w.named
	case len(w.mute.list) > 0:
		pages = &w.mute
	}
	var r *whosaw.Record
	for range 64 {
		r = pages.pick()
		if len(r.Subjects) <= 1 && want(r) {
			break
		}
	}
	return r
}
