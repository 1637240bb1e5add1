package meter

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/whosaw/whosaw/internal/detect"
)

const (
	maxRoutes = 128
	maxActors = 1 << 14
	// maxPairs bounds the pairs that are remembered, 8 bytes each, once for routes and once for actors.
	maxPairs = 1 << 23
	manyNets = 256
)

// All and Rest stand for all routes together, and for those beyond the first many.
const (
	All  = "(all)"
	Rest = "(other)"
)

// Memory is how far back a meter looks.
const Memory = (pastDays + 1) * 24 * time.Hour

// Meter measures. Its methods are safe for concurrent use.
type Meter struct {
	now func() time.Time

	mu       sync.Mutex
	count    uint64
	minute   int64 // of the caller's clock
	routes   map[string]*route
	shown    *recent // by route
	actors   map[actorKey]*actor
	hour     *recent // by actor
	accesses series
	full     int64 // the last minute in which something could not be counted; 0: none
}

type route struct {
	series
	name string
	id   uint64
}

type actorKey struct{ kind, name string }

// New gives a meter. now is its clock.
func New(now func() time.Time) *Meter {
	return &Meter{
		now: now, minute: now().UnixMilli() / 60_000, routes: map[string]*route{}, shown: newRecent(maxPairs, dayLong),
		actors: map[actorKey]*actor{}, hour: newRecent(maxPairs, window),
	}
}

// Watch takes an access that the detectors have looked at. They call it in the order of the ledger.
func (m *Meter) Watch(s *detect.Shown) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count++; m.count%256 == 1 {
		m.minute = m.now().UnixMilli() / 60_000
	}
	minute := s.Record.Time / 60_000
	if minute <= m.minute-(pastDays+1)*dayLong || minute > m.minute+1 {
		return
	}
	m.accesses.add(minute, 1)
	if !s.Disclosed || len(s.Subjects) == 0 {
		return
	}
	r, all := m.route(s.Record.Route), m.route(All)
	for _, subject := range s.Subjects {
		h := xxhash.Sum64String(subject)
		if s.Record.Realm != "" {
			h ^= mix(xxhash.Sum64String(s.Record.Realm))
		}
		m.fresh(all, h, minute)
		m.fresh(r, h, minute)
		m.act(s, h, minute)
	}
}

// fresh counts a subject as new on a route if it was not shown on it in the 24 hours before.
func (m *Meter) fresh(r *route, h uint64, minute int64) {
	before, ok := m.shown.meet(h^r.id, minute)
	switch {
	case !ok:
		m.full = max(m.full, minute)
	case before == 0:
		r.add(minute, 1)
	}
}

func (m *Meter) route(name string) *route {
	if r := m.routes[name]; r != nil {
		return r
	}
	if len(m.routes) >= maxRoutes && name != All {
		name = Rest
		if r := m.routes[name]; r != nil {
			return r
		}
	}
	name = strings.Clone(name)
	r := &route{name: name, id: mix(xxhash.Sum64String(name) | 1)}
	m.routes[name] = r
	return r
}

// act counts a subject with the actors of an access: who is no customer, the program, the key, the network.
func (m *Meter) act(s *detect.Shown, h uint64, minute int64) {
	r := s.Record
	network := ""
	if r.IP.IsValid() {
		network = networkOf(r.IP.Unmap())
	}
	if s.House {
		m.shows("principal", s.Principal, network, h, minute)
	}
	if r.Client != "" {
		m.shows("client", r.Client, network, h, minute)
	}
	if r.Key != "" {
		m.shows("key", r.Key, network, h, minute)
	}
	if network != "" {
		m.shows("network", network, network, h, minute)
	}
}

func (m *Meter) shows(kind, name, network string, h uint64, minute int64) {
	key := actorKey{kind, name}
	a := m.actors[key]
	if a == nil {
		if len(m.actors) >= maxActors && !m.forget(minute) {
			m.full = max(m.full, minute)
			return
		}
		key.name = strings.Clone(name)
		a = &actor{kind: kind, name: key.name, minute: minute, since: minute, day: minute / dayLong, networks: map[string]bool{}}
		m.actors[key] = a
	}
	if network != a.network {
		a.network = strings.Clone(network)
		if a.networks != nil && kind != "network" {
			if a.networks[a.network] = true; len(a.networks) > manyNets {
				a.networks = nil
			}
		}
	}
	before, ok := m.hour.meet(h^mix(xxhash.Sum64String(name)+uint64(len(kind))), minute)
	if !ok {
		m.full = max(m.full, minute)
		return
	}
	a.show(minute, before)
}

// forget makes room among the actors: those of networks that were quiet for an hour go first, then all that were quiet for a day.
func (m *Meter) forget(minute int64) bool {
	for k, a := range m.actors {
		if quiet := minute - a.minute; quiet > dayLong || quiet > window && (k.kind == "network" || a.since == a.minute) {
			delete(m.actors, k)
		}
	}
	return len(m.actors) < maxActors
}

func networkOf(a netip.Addr) string {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// Strip is one route's course.
type Strip struct {
	Route     string
	Now       int64   // new subjects in the last whole minute
	Low, High int64   // the season's
	Known     bool    // there is a season
	Day       []Point // the last 24 hours in steps of ten minutes, the highest minute of each
	Hour      []Point // the last 60 whole minutes
	DaySum    int64
}

// Point is a count with its season.
type Point struct {
	N, Low, High int64
	Known        bool
}

// Over reports whether the last minute exceeds the season.
func (s *Strip) Over() bool { return s.Known && s.Now > s.High }

// Snapshot is the measure at a time.
type Snapshot struct {
	Time     time.Time
	Minute   time.Time // the last whole minute begins
	Strips   []Strip   // all routes together first, then the routes by what they showed in 24 hours
	More     int       // routes beyond
	Actors   []Actor
	Accesses int64     // in the last whole minute
	Full     time.Time // when something could last not be counted; zero: all was
	Since    time.Time // of the first record counted; zero: there is none
}

// Snapshot gives the measure now, of at most so many routes and actors.
func (m *Meter) Snapshot(routes, actors int) Snapshot {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.minute = now.UnixMilli() / 60_000
	last := m.minute - 1
	out := Snapshot{Time: now, Minute: time.UnixMilli(last * 60_000), Accesses: m.accesses.at(last), Actors: m.top(m.minute, actors)}
	if m.full != 0 {
		out.Full = time.UnixMilli(m.full * 60_000)
	}
	if m.accesses.first != 0 {
		out.Since = time.UnixMilli(m.accesses.first * 60_000)
	}
	var all *Strip
	for _, r := range m.routes {
		s := r.strip(last)
		switch {
		case r.name == All:
			all = &s
		case s.DaySum > 0:
			out.Strips = append(out.Strips, s)
		}
	}
	slices.SortFunc(out.Strips, func(a, b Strip) int { return cmp.Or(cmp.Compare(b.DaySum, a.DaySum), cmp.Compare(a.Route, b.Route)) })
	if len(out.Strips) > routes {
		out.More = len(out.Strips) - routes
		out.Strips = out.Strips[:routes]
	}
	// Their order must not change under the hand: by name.
	slices.SortFunc(out.Strips, func(a, b Strip) int { return cmp.Compare(a.Route, b.Route) })
	if all != nil {
		out.Strips = append([]Strip{*all}, out.Strips...)
	}
	return out
}

const dayStep = 10

func (r *route) strip(last int64) Strip {
	b := r.season(last)
	s := Strip{Route: r.name, Now: r.at(last), Low: b.low, High: b.high, Known: b.known, Hour: make([]Point, 60), Day: make([]Point, dayLong/dayStep)}
	for i := range s.Hour {
		at := last - 59 + int64(i)
		b := r.between(at)
		s.Hour[i] = Point{r.at(at), b.low, b.high, b.known}
	}
	for i := range s.Day {
		from := last - dayLong + 1 + int64(i*dayStep)
		b := r.between(from + dayStep/2)
		p := Point{0, b.low, b.high, b.known}
		for at := from; at < from+dayStep; at++ {
			n := r.at(at)
			s.DaySum += n
			p.N = max(p.N, n)
		}
		s.Day[i] = p
	}
	return s
}

// between draws the season from the middle of one hour to that of the next, so that it has no steps.
func (r *route) between(minute int64) band {
	a, b := r.season(minute-30), r.season(minute+30)
	if !a.known || !b.known {
		return r.season(minute)
	}
	part := (minute - 30) % 60
	mid := func(x, y int64) int64 { return x + (y-x)*part/60 }
	return band{mid(a.low, b.low), mid(a.high, b.high), true}
}
