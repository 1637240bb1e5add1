package joint

import (
	"slices"

	"github.com/whosaw/whosaw"
)

// around is how many accesses and issuances on each side of one say what time it is there.
const around = 4

// astray is how far, in milliseconds, the time of one may lie from theirs until it is not believed.
const astray = 60 * 60 * 1000

// maxAhead bounds the records that wait for accesses behind them.
const maxAhead = 1 << 12

// timed is a record with the time at which it has its turn.
type timed struct {
	r  *whosaw.Record
	at int64
}

// turns gives the records of one source the times of their turns. An access or issuance has its own, unless its clock is far from those around it;
// anything else, which may speak of long ago, stays between its neighbours. In a source that is in the order of its times every record has its own.
type turns struct {
	emit   func(timed)
	wait   []*whosaw.Record // not yet emitted
	coming []int64          // times of the accesses and issuances among them
	past   []int64          // times of the last ones emitted
	last   int64            // the turn of the last record
}

func keepsTime(r *whosaw.Record) bool {
	return r.Type == whosaw.TypeAccess || r.Type == whosaw.TypeIssuance
}

// add takes the next record.
func (t *turns) add(r *whosaw.Record) {
	t.wait = append(t.wait, r)
	if keepsTime(r) {
		t.coming = append(t.coming, r.Time)
	}
	for len(t.coming) > around || len(t.wait) > maxAhead {
		t.next(false)
	}
}

// end emits what still waits.
func (t *turns) end() {
	for len(t.wait) > 0 {
		t.next(true)
	}
}

func (t *turns) next(end bool) {
	r := t.wait[0]
	t.wait[0], t.wait = nil, t.wait[1:]
	switch {
	case keepsTime(r):
		t.last = t.believed()
		t.coming = t.coming[1:]
		if t.past = append(t.past, r.Time); len(t.past) > around {
			t.past = t.past[1:]
		}
	case len(t.coming) > 0:
		t.last = max(t.last, min(r.Time, t.believed()))
	case end:
		t.last = max(t.last, r.Time) // nobody waits behind it
	}
	t.emit(timed{r, t.last})
}

// believed is the own time of the next access or issuance, or the middle of those around it.
func (t *turns) believed() int64 {
	own, coming := t.coming[0], t.coming[1:]
	k := min(len(t.past), len(coming), around)
	times := append(make([]int64, 0, 2*around+1), own)
	times = append(times, t.past[len(t.past)-k:]...)
	times = append(times, coming[:k]...)
	slices.Sort(times)
	if middle := times[k]; own > middle+astray || own < middle-astray {
		return middle
	}
	return own
}
