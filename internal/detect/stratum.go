package detect

import "math/bits"

const (
	// enoughTrials is from when on a network counts.
	enoughTrials = 10
	// Per stratum, and for all together. The first networks met are the sample.
	maxNetworks    = 4096
	maxNetworksAll = 1 << 20
	maxStrata      = 20_000

	rateSteps = 200 // rates are counted in steps of half a per cent
	noStep    = uint8(255)
)

// envelope says how a detector's honest rate is learnt.
type envelope struct {
	d       detector
	bank    *bank
	young   float64 // p0 until enough units are known
	floor   float64 // and the least from then on
	ceiling float64 // above it nobody is judged
	times   float64 // of the median
	units   int32   // that are enough
	byNet   bool    // units are networks, which are of classes
}

// stratum is the honest rate of hits on a route: an upper envelope over units, so that one that asks a million times weighs
// as much as one that asks ten times. The units are networks; for unexplained, a principal's days.
type stratum struct {
	*envelope
	id       uint64
	route    string // for the doctor
	realm    string
	class    string // of principals, for unexplained
	since    int64  // event time of its first access
	untaught int64  // accesses that taught nothing
	frozenBy string // why not, the last time
	networks sample
	rates    [rateSteps + 1]int32 // networks with enough trials, by rate
	enough   int32
	stale    int32 // changes of rates since w was made
	w        weights
	over     int64 // accesses not judged because p0 was over the ceiling
	n, hits  int64 // trials while young

	nets   []netRate           // classes of networks met
	raised map[uint64]*weights `state:"-"` // the steps of those with a higher rate, worked out from them; nil: none has

	net       uint64                     `state:"-"` // class of the network that the access in hand comes from; 0: nothing says it
	hour      int32                      `state:"-"` // of the access in hand, since 1970
	byHour    *hourly                    // nil: nothing is known by the hour
	hourSteps [len(hourBuckets)]*weights `state:"-"` // can be worked out again
}

// stratum gives the stratum of an access's route, and of the class of principals that asks (0: of all).
func (e *Engine) stratum(v *view, by *envelope, class uint64) *stratum {
	id := stratumID(v, class)
	s := e.stratumOf(id)
	if s == nil {
		rest := len(e.strata) >= maxStrata
		if rest {
			id = uint64(by.d) << 1 // what comes after the first twenty thousand routes shares one stratum
			if s = e.strata[id]; s != nil {
				return e.at(s, v)
			}
		}
		s = &stratum{envelope: by, id: id, w: by.bank.weights(by.young)}
		if s.since = v.at; !rest {
			s.route, s.realm = clone(v.r.Route), clone(v.r.Realm)
			if by.d == unexplained || by.d == dormant && v.house != 0 {
				s.class = clone(classWord(v.principal))
			}
		}
		e.strata[id] = s
		e.strataList = append(e.strataList, s)
	}
	return e.at(s, v)
}

// at notes when, and from where, the access in hand comes: what a stratum's rate hangs on.
func (e *Engine) at(s *stratum, v *view) *stratum {
	s.hour = int32(v.at / hour)
	if s.byNet {
		s.net = e.netClass(v)
	}
	if e.probing() {
		e.probe.rates[s.d] = e.rateName(s)
	}
	return s
}

// stratumOf gives the stratum of an id, nil if there is none: those asked for all the time lie in one cache line each.
func (e *Engine) stratumOf(id uint64) *stratum {
	front := &e.strataFront[id>>8%uint64(len(e.strataFront))]
	if *front != nil && (*front).id == id {
		return *front
	}
	s := e.strata[id]
	if s != nil {
		*front = s
	}
	return s
}

func stratumID(v *view, class uint64) uint64 {
	return stratumOn(v.realm, v.route, class)
}

func stratumOn(realm, route, class uint64) uint64 {
	return mix(realm^route^bits.RotateLeft64(class, 17)) | 1
}

func rateID(realm, class uint64) uint64 {
	return mix(realm^bits.RotateLeft64(class, 41)+0x5851f42d4c957f2d) | 1
}

// rateOf gives the stratum of a question that asks about no route.
func (e *Engine) rateOf(v *view, class uint64, by *envelope, name func(*view) string) *stratum {
	id := rateID(v.realm, class)
	s := e.stratumOf(id)
	if s == nil {
		s = &stratum{envelope: by, id: id, since: v.at, realm: clone(v.r.Realm), route: name(v), w: by.bank.weights(by.young)}
		e.strata[id] = s
		e.strataList = append(e.strataList, s)
	}
	return e.at(s, v)
}

// learn adds a trial of a unit to the baseline.
func (e *Engine) learn(s *stratum, id uint64, hit bool) {
	if id == 0 {
		return
	}
	if s.young != s.floor && s.enough < s.units {
		s.n++
		if hit {
			s.hits++
		}
	}
	t := s.networks.get(id)
	if t == nil {
		if s.networks.n >= maxNetworks || e.networks >= maxNetworksAll {
			return
		}
		t = s.networks.put(id)
		e.networks++
	}
	if s.byNet {
		e.classify(s, t)
	}
	if hit {
		t.add(1, 1)
	} else {
		t.add(1, 0)
	}
	e.rate(s, t)
	e.byHour(s, t, hit)
}

// learnMany adds trials that were kept back while a finding covered them.
func (e *Engine) learnMany(s *stratum, id uint64, l lessons) {
	if l.n == 0 {
		return
	}
	s.hour, s.net = -1, 0 // of no hour, and from no network, that is known
	e.learn(s, id, l.hits > 0)
	t := s.networks.get(id)
	if t == nil {
		return
	}
	first := uint32(0)
	if l.hits > 0 {
		first = 1
	}
	t.add(l.n-1, l.hits-first)
	e.rate(s, t)
}

// rate moves a unit to its rate.
func (e *Engine) rate(s *stratum, t *tried) {
	if t.n < enoughTrials {
		return
	}
	step, was := uint8(uint64(t.hits)*rateSteps/uint64(t.n)), t.step
	if step == was {
		return
	}
	if was != noStep {
		s.rates[was]--
	} else {
		s.enough++
	}
	s.rates[step]++
	t.step = step
	if t.class != noClass && t.class != otherClass {
		e.classGains(s, t.class, was, step)
	}
	s.stale++
	// The median moves slowly; a baseline that is made anew at every trial would cost more than it says.
	if s.stale > s.enough/8 {
		s.stale = 0
		if p0 := s.honest(); p0 != s.w.p0 {
			s.w = s.bank.weights(p0)
			s.raise()
		}
	}
}

// honest is so many times the median over units, at least the floor.
func (s *stratum) honest() float64 {
	if s.enough < s.units {
		return s.young
	}
	var below int32
	for step, n := range s.rates {
		if below += n; 2*below > s.enough {
			return max(s.floor, min(s.times*upperEnd(uint8(step)), 0.9))
		}
	}
	return s.floor
}

// upperEnd is that of a step; rate 0 is its own.
func upperEnd(step uint8) float64 {
	if step == 0 {
		return 0
	}
	return float64(step+1) / rateSteps
}
