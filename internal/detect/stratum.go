package detect

const (
	// floorAbsent is the least p0 of nonexistent, and the one of a route that has no baseline yet: mistyped numbers, stale links
	// and closed accounts stay under 2 % of the distinct customers an honest actor asks for in a day.
	floorAbsent = 0.02
	// ceilingAbsent: where the median network meets a tenth of absent customers, asking for them is what the route is for
	// (is this address taken?), and the question says nothing.
	ceilingAbsent = 0.2
	// A network counts from enoughTrials on; the median counts from enoughNetworks on.
	enoughTrials   = 10
	enoughNetworks = 20
	// Per stratum, and for all together. The first networks met are the sample.
	maxNetworks    = 4096
	maxNetworksAll = 1 << 20
	maxStrata      = 20_000

	rateSteps = 200 // rates are counted in steps of half a per cent
)

// stratum is a route's honest rate of absent subjects: an upper envelope over networks, so that a network that asks a
// million times weighs as much as one that asks ten times.
type stratum struct {
	route    string // for the doctor
	networks map[uint64]*tried
	rates    [rateSteps + 1]int32 // networks with enough trials, by rate
	enough   int32
	stale    int32 // changes of rates since w was made
	w        weights
	over     int64 // accesses not judged because p0 was over the ceiling
}

// tried is what a network asked for.
type tried struct {
	n, hits uint32
	step    int16 // in rates; -1: too few trials
}

func (e *Engine) stratum(v *view) *stratum {
	id := mix(v.realm^v.route()) | 1
	s := e.strata[id]
	if s == nil {
		if len(e.strata) >= maxStrata {
			id = 0 // what comes after the first twenty thousand routes shares one stratum
			if s = e.strata[id]; s != nil {
				return s
			}
		}
		s = &stratum{networks: make(map[uint64]*tried), w: banks[nonexistent].weights(floorAbsent)}
		if id != 0 {
			s.route = clone(v.r.Route)
		}
		e.strata[id] = s
		e.strataList = append(e.strataList, s)
	}
	return s
}

// learn adds a trial to the baseline of the access's network.
func (e *Engine) learn(s *stratum, v *view, hit bool) {
	id := v.ids[kindNetwork]
	if id == 0 {
		return
	}
	t := s.networks[id]
	if t == nil {
		if len(s.networks) >= maxNetworks || e.networks >= maxNetworksAll {
			return
		}
		t = &tried{step: -1}
		s.networks[id] = t
		e.networks++
	}
	t.n++
	if hit {
		t.hits++
	}
	if t.n < enoughTrials {
		return
	}
	step := int16(uint64(t.hits) * rateSteps / uint64(t.n))
	if step == t.step {
		return
	}
	if t.step >= 0 {
		s.rates[t.step]--
	} else {
		s.enough++
	}
	s.rates[step]++
	t.step = step
	s.stale++
	// The median moves slowly; a baseline that is made anew at every trial would cost more than it says.
	if s.stale > s.enough/8 {
		s.stale = 0
		if p0 := s.envelope(); p0 != s.w.p0 {
			s.w = banks[nonexistent].weights(p0)
		}
	}
}

// envelope is twice the median over networks, at least the floor.
func (s *stratum) envelope() float64 {
	if s.enough < enoughNetworks {
		return floorAbsent
	}
	var below int32
	for step, n := range s.rates {
		if below += n; 2*below > s.enough {
			// The upper end of the step; rate 0 is its own step.
			median := float64(step) / rateSteps
			if step > 0 {
				median = float64(step+1) / rateSteps
			}
			return max(floorAbsent, min(2*median, 0.9))
		}
	}
	return floorAbsent
}
