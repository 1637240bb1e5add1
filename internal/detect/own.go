package detect

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// ownDays are the days of a principal's past that say how often it lacks a reason, leastOwn how many customers a day must
	// have shown it to count, and ownSilence how many hits so much silence could hide: with 99.9 % no more.
	ownDays    = 28
	leastOwn   = 50
	ownSilence = 7
	// ownBits is what tells a day's customers apart: those that fall on the same bit count once, so a day counts few rather than many.
	ownBits = 4096
	// maxOwns bounds the principals with a past of their own, half a kilobyte and a bit each.
	maxOwns = 1 << 14
)

// ownRate is how often one of staff, a partner or a program is shown a customer whom nothing explains, by its own days. Programs
// do not mistype: for one that never lacks a reason, the rate of its route is far above what is honest.
type ownRate struct {
	name    string
	realm   string
	since   int64
	on      int32 // the day that is counted
	hits    int64
	spoiled bool // a finding accuses something of it, or a change was declared: it teaches nothing
	met     [ownBits / 64]uint64
	past    []ownDay // the latest last
	// doubt are days at whose end the test stood above zero: they teach once that is over, and nothing if a finding comes of it. Else two
	// days of a thief would make him usual.
	doubt []ownDay
	p0    float64 // 0: not known
}

// ownDay is one day of it: customers shown, at least so many, and those whom nothing explained.
type ownDay struct{ n, hits int64 }

// own gives a principal's own rate, nil for customers and where no more are held.
func (e *Engine) own(v *view) *ownRate {
	id := v.ids[kindPrincipal]
	if e.ownTest == 0 || v.house == 0 || id == 0 {
		return nil
	}
	o := e.owns[id]
	if o == nil && len(e.owns) < maxOwns {
		o = &ownRate{name: clone(v.principal), realm: clone(v.r.Realm), since: v.at, on: v.on}
		e.owns[id] = o
	}
	return o
}

// shows counts customers that the principal was shown.
func (o *ownRate) shows(e *Engine, v *view, subjects []string, learns bool) {
	o.turn(e, v)
	o.spoiled = o.spoiled || !learns
	for _, name := range subjects {
		h := mix(uint64(subjectOf(name))) % ownBits
		o.met[h/64] |= 1 << (h % 64)
	}
}

// lacks counts customers whom nothing explains, once that is known: of a day that is over, to the one that is counted.
func (o *ownRate) lacks(e *Engine, v *view, subjects []string, learns bool) {
	o.shows(e, v, subjects, learns)
	o.hits += int64(len(subjects))
}

// spoil keeps a day from teaching, and those that were suspected before.
func (o *ownRate) spoil(e *Engine, v *view) {
	o.turn(e, v)
	o.spoiled = true
	o.doubt = nil
}

// turn closes the days that are over.
func (o *ownRate) turn(e *Engine, v *view) {
	on := v.day
	if on <= o.on || on > dayOf(e.sure)+1 { // a wrong clock closes no day
		return
	}
	var n int64
	for _, w := range o.met {
		n += int64(bits.OnesCount64(w))
	}
	if n >= leastOwn && !o.spoiled {
		o.doubt = append(o.doubt, ownDay{n, o.hits})
		if u := e.unit(v, kindPrincipal, false); u == nil || !u.has(unexplained) || u.ex[unexplained].s[e.ownTest] == 0 {
			o.past, o.doubt = append(o.past, o.doubt...), nil
			o.past = o.past[max(0, len(o.past)-ownDays):]
			o.learn(e)
		}
		o.doubt = o.doubt[max(0, len(o.doubt)-ownDays):]
	}
	o.on, o.hits, o.spoiled, o.met = on, 0, false, [ownBits / 64]uint64{}
}

// learn sets p0: so many times the second worst day, and no less than what so much silence could hide. The worst day may be the thief's
// first, or a batch of lost reasons.
func (o *ownRate) learn(e *Engine) {
	if len(o.past) < e.knobs.ownDays {
		return
	}
	var n int64
	worst, second := 0.0, 0.0
	for _, d := range o.past {
		n += d.n
		rate := float64(d.hits) / float64(d.n)
		worst, second = max(worst, rate), max(second, min(worst, rate))
	}
	o.p0 = min(max(e.knobs.ownFloor, e.knobs.ownTimes*second, ownSilence/float64(n)), 0.9)
}

// withOwn adds to the steps of a route the test that looks at a principal by its own rate, where that is known and low enough.
func (e *Engine) withOwn(w *weights, o *ownRate) *weights {
	if o == nil || o.p0 == 0 {
		return w
	}
	j := e.ownTest
	p1 := e.rule[unexplained].bank.p1[j]
	if p1 < 1.4*o.p0 {
		return w
	}
	e.ownWeights = *w
	e.ownWeights.up[j], e.ownWeights.down[j] = math.Log(p1/o.p0), math.Log((1-p1)/(1-o.p0))
	e.ownWeights.use |= 1 << j
	return &e.ownWeights
}

// ownBaselines are of the principals that are judged by their own rate, and of how many are not yet.
func (e *Engine) ownBaselines(out []Baseline) []Baseline {
	if e.ownTest == 0 {
		return out
	}
	waiting := int64(0)
	p1 := e.rule[unexplained].bank.p1[e.ownTest]
	for _, id := range sortedKeys(e.owns) {
		o := e.owns[id]
		if o.p0 == 0 {
			waiting++
			continue
		}
		b := Baseline{
			Detector: detectorNames[unexplained], Realm: o.realm, Unit: kindNames[kindPrincipal] + ":" + o.name, P0: o.p0, Floor: e.knobs.ownFloor, Ceiling: p1 / 1.4,
			Of: "days of its own with " + count(leastOwn, "customer", "customers"), Known: int64(len(o.past)), Needed: int64(e.knobs.ownDays), Since: whosaw.Time(o.since),
			Judged: p1 >= 1.4*o.p0,
			Says:   fmt.Sprintf("its own: %v times its second worst day, and no less than so much silence could hide; beside the rate of its routes", e.knobs.ownTimes),
		}
		if !b.Judged {
			b.Says = "its own rate is too near to what a slow thief adds: judged by the rate of its routes alone"
		}
		out = append(out, b)
	}
	if waiting > 0 {
		out = append(out, Baseline{
			Detector: detectorNames[unexplained], Unit: kindNames[kindPrincipal] + ":*", Floor: e.knobs.ownFloor, Ceiling: p1 / 1.4, Needed: int64(e.knobs.ownDays),
			Of: "days of its own with " + count(leastOwn, "customer", "customers"), Since: whosaw.Time(e.began),
			Says: fmt.Sprintf("cannot judge %s by a past of their own yet: each waits for %d such days; their routes' rate holds", count(waiting, "principal", "principals"), e.knobs.ownDays),
		})
	}
	return out
}

func (e *Engine) ownsState(c *snapshot.Codec) {
	snapshot.Map(c, &e.owns, maxOwns, c.Hash, pointer(c, func(o *ownRate, c *snapshot.Codec) {
		c.String(&o.name)
		c.String(&o.realm)
		snapshot.Int(c, &o.since)
		snapshot.Int(c, &o.on)
		snapshot.Int(c, &o.hits)
		c.Bool(&o.spoiled)
		for i := range o.met {
			c.Hash(&o.met[i])
		}
		for _, list := range []*[]ownDay{&o.past, &o.doubt} {
			snapshot.Slice(c, list, ownDays, func(d *ownDay) {
				snapshot.Int(c, &d.n)
				snapshot.Int(c, &d.hits)
				if d.n <= 0 || d.hits < 0 {
					c.Fail("a day of a principal counts nothing")
					d.n = 1
				}
			})
		}
		c.Float(&o.p0)
	}))
}

// ownSays is what a finding by a principal's own rate adds.
func ownSays(p0 float64) string {
	return fmt.Sprintf("where it lacks a reason for less than %s of them by its own past", strings.TrimSpace(percent(p0)))
}
