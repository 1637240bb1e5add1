package detect

import (
	"fmt"

	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// weekHours are the hours of a week, from Monday midnight, UTC.
	weekHours = 7 * 24
	// A unit's hour counts from leastOfHour trials on; an hour of the week is known when hourWeeks weeks have had it with as many units'
	// hours in all as the route needs units.
	leastOfHour = 5
	hourWeeks   = 3
	// timesOfRoute is how far above its route's p0 an hour's may lie: few units are met at a quiet hour, so a thief is soon most of them.
	timesOfRoute = 4
	// fullHour is how many units' hours an hour of the week holds; then all count half, so that old weeks fade.
	fullHour = 4096
	// hoursHeld is how late a trial may come and still count to its hour: a unit knows its hour by the last bits.
	hoursHeld = 31 * 24
	// maxHourly bounds the routes that have rates by the hour, 6 kB each.
	maxHourly = 1 << 10
)

// hourBuckets are the upper ends of the rates told apart.
var hourBuckets = [...]float64{0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1}

// hourly is a route's honest rate by the hour of the week: what is rare by day may be usual at night. It only raises p0: a unit's hour holds few trials, so
// the median of such rates errs downwards.
type hourly struct {
	cells [weekHours]hourCell
}

// hourCell is one hour of the week.
type hourCell struct {
	rates [len(hourBuckets)]uint16 // units' hours by rate
	n     uint16
	weeks uint8
	last  int32 // number of the week counted last
	at    uint8 // bucket of the median, once known; else noBucket
}

const noBucket = uint8(len(hourBuckets))

// hourOfWeek gives the hour of the week, and the week, of an hour since 1970 (which began on a Thursday).
func hourOfWeek(h int32) (hour, week int32) {
	h += 3 * 24
	return h % weekHours, h / weekHours
}

// hourName is an hour of the week for people.
func hourName(i int) string {
	return fmt.Sprintf("%s %02d:00", [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[i/24], i%24)
}

// byHour adds a trial of a unit to its hour. What is late is left out.
func (e *Engine) byHour(s *stratum, t *tried, hit bool) {
	if s.hour < 0 || int32(e.sure/hour)-s.hour > hoursHeld {
		return
	}
	switch since := int16(uint16(s.hour) - t.hour); {
	case t.hn == 0:
		t.hour = uint16(s.hour)
	case since < 0:
		return
	case since > 0:
		if t.hn >= leastOfHour {
			e.hourOver(s, t, s.hour-int32(since))
		}
		t.hour, t.hn, t.hhits = uint16(s.hour), 0, 0
	}
	if t.hn < 1<<16-1 {
		t.hn++
		if hit {
			t.hhits++
		}
	}
}

// hourOver counts a unit's hour.
func (e *Engine) hourOver(s *stratum, t *tried, on int32) {
	if s.byHour == nil {
		if e.hourly >= maxHourly {
			return
		}
		e.hourly++
		s.byHour = &hourly{}
		for i := range s.byHour.cells {
			s.byHour.cells[i].at = noBucket
		}
	}
	h, week := hourOfWeek(on)
	c := &s.byHour.cells[h]
	if week > c.last {
		c.last = week
		c.weeks = min(c.weeks+1, hourWeeks)
	}
	rate, at := float64(t.hhits)/float64(t.hn), 0
	for rate > hourBuckets[at] {
		at++
	}
	c.rates[at]++
	c.n++
	if c.n >= fullHour {
		c.n = 0
		for i := range c.rates {
			c.rates[i] /= 2
			c.n += c.rates[i]
		}
	}
	c.median(s.units)
}

// median says in which bucket the median lies, once enough is known.
func (c *hourCell) median(units int32) {
	if c.at = noBucket; c.weeks < hourWeeks || int32(c.n) < units {
		return
	}
	below := uint16(0)
	for i, n := range c.rates {
		if below += n; 2*below > c.n {
			c.at = uint8(i)
			return
		}
	}
}

// hourRate is the honest rate of an hour of the week, at least the route's; ok is false where nothing is known of it.
func (s *stratum) hourRate(h int32) (p0 float64, ok bool) {
	if s.byHour == nil {
		return 0, false
	}
	at := s.byHour.cells[h].at
	if at == noBucket {
		return 0, false
	}
	return max(s.w.p0, min(s.times*hourBuckets[at], timesOfRoute*s.w.p0, 0.9)), true
}

// rateNow gives the steps that hold for the access in hand: the route's, or those of its hour or its class of networks, whichever has the higher rate.
func (s *stratum) rateNow() *weights {
	w := s.hourNow()
	if n := s.netNow(); n.p0 > w.p0 {
		return n
	}
	return w
}

// hourNow gives the steps of a route at the hour of the access in hand.
func (s *stratum) hourNow() *weights {
	if s.byHour == nil {
		return &s.w
	}
	h, _ := hourOfWeek(s.hour)
	p0, ok := s.hourRate(h)
	if !ok || p0 == s.w.p0 {
		return &s.w
	}
	at := s.byHour.cells[h].at
	if w := s.hourSteps[at]; w != nil && w.p0 == p0 {
		return w
	}
	w := s.bank.weights(p0)
	s.hourSteps[at] = &w
	return &w
}

// hoursSay is what a baseline says of a route's hours.
func (s *stratum) hoursSay() string {
	if s.byHour == nil {
		return "; no hour of the week is known by itself yet"
	}
	known, other, most, at := 0, 0, 0.0, 0
	for h := range s.byHour.cells {
		p0, ok := s.hourRate(int32(h))
		if !ok {
			continue
		}
		known++
		if p0 != s.w.p0 {
			other++
			if p0 > most {
				most, at = p0, h
			}
		}
	}
	if known == 0 {
		return "; no hour of the week is known by itself yet"
	}
	text := fmt.Sprintf("; %d of %d hours of the week are known by themselves, the others go by the route", known, weekHours)
	if other > 0 {
		text += fmt.Sprintf("; %d have a higher rate, up to %s on %s", other, percent(most), hourName(at))
	}
	return text
}

func (s *stratum) hoursState(c *snapshot.Codec, e *Engine) {
	has := s.byHour != nil
	if c.Bool(&has); !has {
		return
	}
	if c.Reading() {
		s.byHour = &hourly{}
		e.hourly++
	}
	for i := range s.byHour.cells {
		x := &s.byHour.cells[i]
		for k := range x.rates {
			snapshot.Uint(c, &x.rates[k])
		}
		snapshot.Uint(c, &x.n)
		snapshot.Uint(c, &x.weeks)
		snapshot.Int(c, &x.last)
		snapshot.Uint(c, &x.at)
		if x.at > noBucket {
			c.Fail("an hour has a rate that there is not")
			x.at = noBucket
		}
	}
}
