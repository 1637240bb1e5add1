package detect

import (
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// volumeSample is of how many customers one is counted: what volume looks for is thousands.
	volumeSample = 8
	// volumeDays are the days whose hours are held.
	volumeDays = 28
	// maxFlows bounds the routes counted: pages that show customers are tens.
	maxFlows    = 1 << 10
	volumeClass = 8
)

// flow is how many new customers a route has shown, hour by hour: of the sample, those it had not shown in the 90 days before.
type flow struct {
	id    uint64
	realm string
	route string
	since int64
	days  [volumeDays]flowDay
	names []string // of the hour counted last, at most maxNamed
	from  int64    // least event time of them
	hour  int64
}

type flowDay struct {
	on     int32
	frozen bool // a finding came on it, or a change was on: it teaches nothing
	hours  [24]int32
}

// volume counts the new customers that an access shows, and asks whether that is more than at that hour on other days. It is the
// backstop: who shares nothing that another detector could add up still shows customers whom this page has not shown.
func (e *Engine) volume(v *view) {
	judged := false
	for _, name := range v.subjects {
		s := subjectOf(name)
		if mix(uint64(s)+volumeClass)%volumeSample != 0 {
			continue
		}
		judged = e.shownBy(v, name, s) || judged
	}
	if judged {
		e.stats[volume].judged++
	}
}

// shownBy counts a customer whom an access shows, and reports whether it could be judged.
func (e *Engine) shownBy(v *view, name string, s subject) (judged bool) {
	st := &e.stats[volume]
	st.trials++
	slot, before := e.metOn(historyID(metRoute, v.realm, s, v.route), v.day)
	if slot == nil {
		st.skip(whyHistoryFull)
		return false
	}
	if before {
		since := sinceDay(slot, v.day)
		if since > 0 {
			meet(slot, v.day)
		}
		if since <= shownDays {
			return false
		}
	}
	f := e.flow(v)
	if f == nil {
		st.skip(whyFields)
		return false
	}
	day := f.day(v.day, dayOf(e.sure))
	if day == nil {
		st.skip(whyLate)
		return false
	}
	h := v.r.Time / hour
	if h != f.hour {
		f.hour, f.names, f.from = h, f.names[:0], v.r.Time
	}
	f.from = min(f.from, v.r.Time)
	if len(f.names) < maxNamed {
		f.names = append(f.names, clone(name))
	}
	n := &day.hours[h%24]
	*n++
	if e.changing(v) {
		day.frozen = true
		st.skip(whyChange)
		return true
	}
	if day.frozen {
		return true
	}
	most, ok := e.usualVolume(f, v.day, int(h%24))
	switch {
	case !ok:
		st.skip(whyNoWakes)
	case int64(*n) > most:
		day.frozen = true
		e.flood(v, f, int64(*n), most)
	}
	return true
}

// flow gives the counts of an access's route, nil if no more routes are counted.
func (e *Engine) flow(v *view) *flow {
	id := mix(v.realm^v.route) | 1
	f := e.flows[id]
	if f == nil && len(e.flows) < maxFlows {
		f = &flow{id: id, realm: clone(v.r.Realm), route: clone(v.r.Route), since: v.r.Time}
		e.flows[id] = f
	}
	return f
}

// day gives the counts of a day, nil if it is too long ago, or not yet.
func (f *flow) day(on, today int32) *flowDay {
	if on < today-1 || on > today+1 {
		return nil
	}
	d := &f.days[on%volumeDays]
	if d.on != on {
		*d = flowDay{on: on}
	}
	return d
}

// usualVolume is the cap at an hour: several times the busiest such hour, or one beside it, of the days before. ok is false until there are enough of
// them.
func (e *Engine) usualVolume(f *flow, on int32, h int) (most int64, ok bool) {
	days, busiest := 0, int32(0)
	for i := range f.days {
		d := &f.days[i]
		if d.on >= on || d.on <= on-volumeDays || d.on == 0 || d.frozen {
			continue
		}
		days++
		busiest = max(busiest, d.hours[h], d.hours[(h+1)%24], d.hours[(h+23)%24])
	}
	return max(e.knobs.leastVolume/volumeSample, e.knobs.timesVolume*int64(busiest)), days >= e.knobs.volumeDays
}

// flood raises an hour in which a route showed too many new customers. Which of them are honest nobody can say, so they are named.
func (e *Engine) flood(v *view, f *flow, n, most int64) {
	a := e.fact(volume, kindKey, "route:"+f.route, v)
	a.narrow, a.alone = true, true
	a.statistic, a.threshold = float64(n*volumeSample), float64(most*volumeSample)
	a.term = whosaw.Term{Route: literal(f.route), Outcome: []string{whosaw.OutcomeDisclosed.String()}, From: whosaw.Time(f.from)}
	if f.realm != "" {
		a.term.Realm = literal(f.realm)
	}
	for _, s := range f.names {
		a.term.Subject = append(a.term.Subject, literal(s)...)
	}
	a.accesses, a.subjects, a.first = n, int64(len(f.names)), f.from
	a.trials = n
	e.describe(a, v)
	e.raise(a, v)
}

func volumeSays(a *accusation, v *view) string {
	return fmt.Sprintf("%s has shown some %d customers in this hour whom it had not shown in the 90 days before; at this hour of other days %d would be many. One in eight is counted and named here. Nothing else tells who they were opened by: look at what these accesses share. A campaign looks the same, unless a change record declares it.",
		quote(v.r.Route), int64(a.statistic), int64(a.threshold))
}

func (e *Engine) volumeState(c *snapshot.Codec) {
	snapshot.Map(c, &e.flows, maxFlows, c.Hash, pointer(c, func(f *flow, c *snapshot.Codec) {
		c.Hash(&f.id)
		c.String(&f.realm)
		c.String(&f.route)
		snapshot.Int(c, &f.since)
		for i := range f.days {
			d := &f.days[i]
			snapshot.Int(c, &d.on)
			c.Bool(&d.frozen)
			for h := range d.hours {
				snapshot.Int(c, &d.hours[h])
			}
		}
		c.Strings(&f.names, maxNamed)
		snapshot.Int(c, &f.from)
		snapshot.Int(c, &f.hour)
	}))
}

// flowsByName lists the routes counted, for people.
func (e *Engine) flowsByName() []*flow {
	out := make([]*flow, 0, len(e.flows))
	for _, id := range sortedKeys(e.flows) {
		out = append(out, e.flows[id])
	}
	slices.SortStableFunc(out, func(a, b *flow) int {
		if a.route < b.route {
			return -1
		}
		if a.route > b.route {
			return 1
		}
		return 0
	})
	return out
}
