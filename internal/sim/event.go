package sim

import "github.com/whosaw/whosaw/internal/draw"

const (
	second    int64 = 1000
	minute          = 60 * second
	hour            = 60 * minute
	dayMillis       = 24 * hour

	// A day's records are put in order slot by slot.
	slots      = 96
	slotMillis = dayMillis / slots
)

// purpose keeps the draws for one thing apart from those for another.
type purpose uint64

const (
	forNumbers purpose = 1 + iota
	forUse
	forMember
	forOpening
	forDay
	forSale
	forCampaign
	forToken
	forSession
	forCalendar
	forDesk
	forCourier
	forPartner
	forGuest
	forCrawler
	forJob
	forQA
	forStale
	forStorm
	forDelivery
	forFeed
	forAttackPlan
	forAttack
)

// kind is the type of a record.
type kind uint8

const (
	kindAccess kind = iota
	kindIssuance
	kindSubject
	kindPerson
	kindKey
	kindReason
	kindChange
	kindFeed
)

var kindNames = [...]string{"access", "issuance", "subject", "person", "key", "reason", "change", "feed"}

// event is one record on its way out. It holds no pointer: a day has millions, and the collector need not look at them.
type event struct {
	at   int64 // when its line arrives
	time int64 // when it happened; one clock may be wrong

	credential  uint64 // 0: none
	from        place
	since, till int64 // of a reference record
	id          uint64

	subject uint32 // 0: none, or a list
	list    uint32 // where in the sink's lists, …
	listed  uint32 // … and how many
	who     uint32 // number of the principal
	into    uint32 // of a merged subject
	double  int32  // 0, or how many milliseconds later the same line comes again
	others  uint16
	status  uint16

	kind   kind
	page   page
	role   role
	key    key
	client client
	agent  agent
	state  state
	what   what
	attack uint8 // 0: honest, else 1 + index of the attack
}

// shown gives what the answer showed: what the page shows, if it answered 200.
func (e *event) shown() (fields, masked fieldSet) {
	if e.status != 200 {
		return 0, 0
	}
	return pages[e.page].fields, pages[e.page].masked
}

func (e *event) disclosed() bool {
	fields, masked := e.shown()
	return e.kind == kindAccess && fields|masked != 0
}

// sink takes the events that one task makes of one day.
type sink struct {
	run    *run
	day    int
	start  int64 // of the day
	events []event
	lists  []uint32 // subjects of the events that have several
	orders []uint32 // customers, by index, who ordered
	rest   []event  // arrive after the day; none of them has a list

	order    []uint32 // indices of events by slot, …
	starts   [slots + 1]uint32
	accesses int64
	draws    uint64 // of deliveries
}

func (s *sink) reset(r *run, day, task int) {
	s.run, s.day, s.start = r, day, r.begin+int64(day)*dayMillis
	s.events, s.lists, s.orders, s.rest = s.events[:0], s.lists[:0], s.orders[:0], s.rest[:0]
	s.accesses = 0
	s.draws = draw.Mix(r.cfg.Seed ^ uint64(forDelivery)<<56 ^ uint64(task)<<16 ^ uint64(day))
}

// add takes an event that arrives when it happens or, once in thousands, hours later or twice.
func (s *sink) add(e event) {
	p := s.run.params
	if e.at == 0 {
		e.at = e.time
	}
	if e.kind == kindAccess {
		s.accesses++
		h := draw.Mix(s.draws ^ uint64(e.time)<<18 ^ e.credential)
		s.draws++
		switch {
		case h%uint64(p.Delivery.LateOneIn) == 0 && e.listed == 0:
			e.what = whatLate
			e.at += minute * int64(within(p.Delivery.LateMinutes, h>>32))
		case h>>20%uint64(p.Delivery.DoubleOneIn) == 0:
			e.double = int32(second * int64(within(p.Delivery.DoubleSeconds, h>>44)))
			if (e.at-s.start)/slotMillis == (e.at+int64(e.double)-s.start)/slotMillis {
				e.what = whatDoubled
			} else {
				e.double = 0
			}
		}
		if c := &s.run.calendar; e.time >= c.skewFrom && e.time < c.skewUntil && draw.Mix(e.credential^e.from.lo)%uint64(p.Clock.Nodes) == 0 {
			e.time += c.skew
			e.what = whatSkew
		}
	}
	if e.at >= s.start+dayMillis {
		if e.listed > 0 {
			e.at = s.start + dayMillis - 1
		} else {
			s.rest = append(s.rest, e)
			return
		}
	}
	s.events = append(s.events, e)
}

// pass takes an event that the day before left.
func (s *sink) pass(e *event) {
	if e.at >= s.start+dayMillis {
		s.rest = append(s.rest, *e)
		return
	}
	s.events = append(s.events, *e)
}

// addList adds an event about several subjects.
func (s *sink) addList(e event, subjects []uint32) {
	if len(subjects) == 1 {
		e.subject, e.listed = subjects[0], 0
	} else {
		e.subject, e.list, e.listed = 0, uint32(len(s.lists)), uint32(len(subjects))
		s.lists = append(s.lists, subjects...)
	}
	s.add(e)
}

// subjects gives the subjects of one of the sink's events. The one-element buffer saves an allocation.
func (s *sink) subjects(e *event, one *[1]uint32) []uint32 {
	if e.listed > 0 {
		return s.lists[e.list : e.list+e.listed]
	}
	if e.subject == 0 {
		return nil
	}
	one[0] = e.subject
	return one[:]
}

// arrange sorts the day's events into slots.
func (s *sink) arrange() {
	clear(s.starts[:])
	for i := range s.events {
		s.starts[s.slot(&s.events[i])+1]++
	}
	for k := range slots {
		s.starts[k+1] += s.starts[k]
	}
	next := s.starts
	if cap(s.order) < len(s.events) {
		s.order = make([]uint32, len(s.events), len(s.events)+len(s.events)/8)
	}
	s.order = s.order[:len(s.events)]
	for i := range s.events {
		k := s.slot(&s.events[i])
		s.order[next[k]] = uint32(i)
		next[k]++
	}
}

// slot is where in the day an event arrives.
func (s *sink) slot(e *event) int { return int((e.at - s.start) / slotMillis) }

// within spreads a hash over a range.
func within(r span, h uint64) int { return r[0] + int(h%uint64(r[1]-r[0]+1)) }

// from draws from a range.
func (r span) from(d *draw.Draw) int { return d.Between(r[0], r[1]) }
