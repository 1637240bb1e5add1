package detect

import "github.com/whosaw/whosaw"

// aheadAgree is how many records in a row move the clock by more than a stride: one machine's wrong clock must not make everybody's issuance
// overdue, nor close a day for everybody.
const aheadAgree = 8

// atFirst is how many records may still put right what the first of them said: its clock may be the wrong one.
const atFirst = 2 * aheadAgree

const (
	// farAhead is how far beyond the clock an access may lie and count on its own day: a log may have a hole so long. What lies further
	// comes from a wrong clock, and counts as of now.
	farAhead = 31 * day
	// farBehind is the same for what comes late: what is older was forgotten anyway.
	farBehind = historyDays * day
)

// sortedAfter is how many accesses and issuances must come in the order of their times for the log to be taken for one that somebody sorted: of
// those that come as they happen, one in some thousands is late.
const sortedAfter = 1 << 14

// sorted reports whether the log stands in the order of its times, as investigate reads it, and not of arrival. Then a clock that is wrong puts
// what came after before what it came from.
func (e *Engine) sorted() bool { return e.timed-e.backward >= sortedAfter }

// tick moves the clocks by an access or an issuance.
func (e *Engine) tick(t int64) {
	before := e.sure
	e.confirm(t)
	if e.clock == 0 {
		e.began, before = e.sure, 0
	}
	e.clock = max(e.clock, e.around(t))
	if e.sure != before {
		e.advance(before)
	}
	e.see(t)
}

// see notes the event time of a record. What lay farther beyond the clock than one record may is forgotten with the next one that does not agree, so
// that a wrong clock of a machine, or at the beginning of the log, dates no finding of others.
func (e *Engine) see(t int64) {
	if e.sure != 0 && e.ahead <= 0 && e.seen > e.sure+e.stride() {
		e.seen = e.sure
	}
	e.seen = max(e.seen, e.around(t))
}

// seenBy is when a finding could be raised that an access raises: the greatest event time so far that may be right. That access may have waited, and what
// it says of itself counts as long as it may be right.
func (e *Engine) seenBy(v *view) whosaw.Time { return whosaw.Time(max(e.seen, e.around(v.r.Time))) }

// stride is how far one record alone may move the sure clock: where few come, as far as so many of them do, for a log with an access every six hours
// has no eight in a row within an hour.
func (e *Engine) stride() int64 { return max(hour, min(aheadAgree*e.pace, 7*day)) }

// confirm moves the sure clock: forwards by a stride with any record, by more when enough of them agree; back only at the beginning, when
// as many agree that the first was wrong.
func (e *Engine) confirm(t int64) {
	if e.timed++; t < e.sure {
		e.backward = e.timed
	}
	switch {
	case e.sure == 0:
		e.sure = t
	case t > e.sure+e.stride():
		if e.ahead <= 0 {
			e.ahead, e.next = 0, t
		}
		e.next = min(e.next, t)
		if e.ahead++; e.ahead == aheadAgree {
			e.pace = min((t-e.sure)/aheadAgree, day)
			e.turnTo(e.next)
		}
	case t < e.sure-hour && e.timed <= atFirst:
		if e.ahead >= 0 {
			e.ahead, e.next = 0, t
		}
		e.next = max(e.next, t)
		if e.ahead--; e.ahead == -aheadAgree {
			e.turnTo(e.next)
		}
	default:
		e.pace += (max(t-e.sure, 0) - e.pace) / aheadAgree
		e.sure = max(e.sure, t)
		e.ahead = 0
	}
}

// turnTo sets the sure clock to what the latest records agree on. What came before them at the beginning, if it lies far off, was no beginning.
func (e *Engine) turnTo(t int64) {
	if e.timed <= atFirst && (t < e.sure || t > e.sure+farAhead) {
		e.clock = 0
		e.forgetDays()
	}
	e.sure, e.ahead = t, 0
}

// forgetDays forgets what a handful of records said of days that never were.
func (e *Engine) forgetDays() {
	e.history, e.daily, e.pairs = history{}, daily{}, 0
	clear(e.spreads)
	clear(e.owns)
	clear(e.flows)
	clear(e.pages)
	clear(e.peerCaps)
	for _, x := range e.realmList {
		x.wakes = waking{}
	}
	for _, u := range e.table.list {
		e.table.ids -= u.ids.blocks()
		u.ids.reset()
		u.day, u.quiet = 0, [nDetectors]int32{}
		for _, x := range u.ex {
			if x != nil {
				x.seenOn = 0
			}
		}
	}
}

// advance closes hours and days by the sure clock.
func (e *Engine) advance(before int64) {
	t := e.sure
	days := (t-e.began)/day - (max(before, e.began)-e.began)/day
	if t/hour != before/hour || days > 0 {
		for _, x := range e.realms { // each is changed alone: their order does not matter
			for k := range x.frontiers {
				x.frontiers[k].hourOver(t-e.began < day, days)
			}
			if x.early == 0 && t-e.began >= 7*day {
				x.early = x.frontiers[kindNetwork].now.second
			}
		}
	}
	e.today = dayOf(t)
}

// around bounds an event time to what the clock can have been, so that one record from the year 2099 closes no day, and one from 1970 is no past.
func (e *Engine) around(t int64) int64 {
	switch {
	case e.sure == 0:
		return t
	case t > e.sure+farAhead:
		return e.sure
	}
	return max(t, e.sure-farBehind)
}

// until bounds it by the clock too: what closes the day, or the hour, of all must not be said by one.
func (e *Engine) until(t int64) int64 {
	if e.sure == 0 {
		return t
	}
	return min(e.around(t), e.sure)
}

func dayOf(t int64) int32 { return int32(t / day) }
