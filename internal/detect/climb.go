package detect

// Step is one piece of evidence: a subject of an access, and what it did to the statistic.
type Step struct {
	Time      int64
	Subject   uint64 // its number, where the id is one
	Numbered  bool
	Disclosed bool
	Absent    bool
	Hit       bool
	Trial     bool    // false: it was tried before that day, and added nothing
	Adds      float64 // to S
	S         float64 // after it
}

// Climb is how a finding's statistic rose to its threshold.
type Climb struct {
	Steps  []Step // the last ones, in order
	Before int64  // pieces of evidence before the first of them that are not held
	Start  float64
	Rate   float64 // p1: of hits if it is an attack
}

const (
	maxSteps  = 240
	maxClimbs = 512
)

// Climb gives how the statistic of a finding rose; false for facts, and for findings of long ago.
func (e *Engine) Climb(id string) (Climb, bool) {
	c, ok := e.climbs[id]
	return c, ok
}

// climb reads the evidence of a unit that is about to be accused.
func (e *Engine) climb(d detector, u *unit) (c Climb, ok bool) {
	x := u.ex[d]
	if x == nil {
		return c, false
	}
	b := &e.rule[d].bank
	j := x.crossedTest(e.rule[d].h, b.n)
	if j < 0 {
		return c, false
	}
	ev := x.ev[x.start[j]:]
	c.Rate = b.p1[j]
	steps := make([]Step, 0, len(ev))
	sum := 0.0
	for i := range ev {
		en := &ev[i]
		s := Step{Time: en.time, Disclosed: en.flags&entDisclosed != 0, Absent: en.flags&entOpened != 0 && en.flags&entDisclosed == 0, Trial: en.flags&entTrial != 0}
		s.Subject, s.Numbered = en.subject.number()
		if s.Hit = en.hits>>j&1 == 1; s.Trial && en.p0 > 0 {
			w := b.weights(float64(en.p0))
			s.Adds = w.down[j]
			if s.Hit {
				s.Adds = w.up[j]
			}
		}
		sum += s.Adds
		steps = append(steps, s)
	}
	// What the excursion no longer holds stands in the first sum.
	c.Start = x.s[j] - sum
	if c.Start < 1e-3 {
		c.Start = 0
	}
	at := c.Start
	for i := range steps {
		at = max(0, at+steps[i].Adds)
		steps[i].S = at
	}
	if n := len(steps) - maxSteps; n > 0 {
		c.Before, c.Start = int64(n), steps[n-1].S
		steps = steps[n:]
	}
	c.Steps = steps
	return c, true
}

func (e *Engine) keepClimb(id string, c Climb) {
	if e.climbs == nil {
		e.climbs = map[string]Climb{}
	}
	if len(e.climbList) >= maxClimbs {
		delete(e.climbs, e.climbList[0])
		e.climbList = e.climbList[1:]
	}
	if _, ok := e.climbs[id]; !ok {
		e.climbList = append(e.climbList, id)
	}
	e.climbs[id] = c
}
