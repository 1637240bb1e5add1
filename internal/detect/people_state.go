package detect

import "github.com/whosaw/whosaw/internal/snapshot"

// envelopeState walks over which of a detector's envelopes a baseline is learnt by.
func (e *Engine) envelopeState(c *snapshot.Codec, d detector, by *envelope) *envelope {
	all := [...]*envelope{&e.rule[d].envelope, &e.houseDormant, &e.othersDormant}
	which := uint8(0)
	for i, x := range all {
		if !c.Reading() && x == by {
			which = uint8(i)
		}
	}
	if snapshot.Uint(c, &which); int(which) >= len(all) || which > 0 && d != dormant {
		c.Fail("a baseline of no rule")
		which = 0
	}
	return all[which]
}

func (w *waking) state(c *snapshot.Codec) {
	snapshot.Int(c, &w.day)
	snapshot.Int(c, &w.n)
	snapshot.Int(c, &w.hits)
	c.Bool(&w.spoiled)
	snapshot.Slice(c, &w.past, wakeDays, func(d *wakingDay) {
		snapshot.Int(c, &d.n)
		snapshot.Int(c, &d.hits)
	})
	if c.Reading() {
		for _, d := range w.past {
			if d.n < 1 {
				c.Fail("a day on which nobody came")
			}
		}
	}
}

// state writes the shards as they lie: how large they are says when what is old will go.
func (x *history) state(c *snapshot.Codec) {
	for i := range x.shards {
		s := &x.shards[i]
		c.Words(&s.slots, maxAny)
		if !c.Reading() {
			continue
		}
		for _, slot := range s.slots {
			if slot != 0 {
				s.n++
			}
		}
		if s.n > 0 && s.n == len(s.slots) {
			c.Fail("a history has no room to search in")
			s.slots, s.n = nil, 0
		}
		x.n += s.n
	}
}
