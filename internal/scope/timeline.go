package scope

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/whosaw/whosaw"
)

// maxBuckets bounds a timeline's length.
const maxBuckets = 100_000

// Bucket is one stretch of a timeline.
type Bucket struct {
	Time        whosaw.Time // its first instant
	Accesses    int64       // records that match
	Disclosures int64       // as in a scope
	Subjects    int64       // distinct subjects disclosed in the bucket
	New         int64       // of those, the ones that the filter's accesses disclosed for the first time, by event time
}

// Timeline gives the course of each filter's accesses over one axis of buckets, from the first access that any
// of them matches to the last, empty buckets included. A bucket of whole days begins at midnight of the engine's zone;
// a shorter one at a multiple of its length since 1970 UTC. The empty answer has no buckets.
func (e *Engine) Timeline(ctx context.Context, filters []whosaw.Filter, bucket time.Duration) ([][]Bucket, error) {
	if bucket < time.Millisecond || bucket%time.Millisecond != 0 {
		return nil, fmt.Errorf("bucket of %v: give a whole number of milliseconds, such as %v", bucket, time.Hour)
	}
	q, err := e.ask(filters...)
	if err != nil {
		return nil, err
	}
	defer q.done()
	t := timeliner{question: q, length: bucket.Milliseconds(), groups: newGroups(), members: newMemberSet(q.budget)}
	for range filters {
		t.people = append(t.people, newTable(q.sets, q.budget))
	}
	var workers []*timeWorker
	err = q.scan(ctx, q.columns(), func() work {
		w := t.worker()
		workers = append(workers, w)
		return w.chunk
	})
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		w.members.flush()
		for _, p := range w.people {
			p.flush()
		}
	}
	if q.budget.spent() {
		return nil, ErrMemory
	}
	return t.buckets(workers)
}

// timeliner is one call of Timeline.
type timeliner struct {
	*question
	length  int64
	groups  *groups
	members *memberSet // by bucket and filter
	people  []*table   // by filter: when each subject was disclosed first
}

type timeWorker struct {
	*timeliner
	zone        days
	accesses    groupTally
	disclosures []int64 // by group
	members     *memberWriter
	people      []*writer
}

func (t *timeliner) worker() *timeWorker {
	w := &timeWorker{
		timeliner: t, zone: days{zone: t.zone}, members: t.members.writer(),
		accesses: groupTally{groups: t.groups, ids: make(map[groupKey]uint32)},
	}
	for _, p := range t.people {
		w.people = append(w.people, p.writer())
	}
	return w
}

// slot gives the bucket of a time.
func (t *timeliner) slot(ms int64, zone *days) int64 {
	if t.length%day == 0 {
		return floorDiv(zone.of(ms), t.length/day)
	}
	return floorDiv(ms, t.length)
}

// start gives the first instant of a bucket.
func (t *timeliner) start(slot int64) whosaw.Time {
	if t.length%day == 0 {
		return whosaw.Time(dayStart(slot*(t.length/day), t.zone))
	}
	return whosaw.Time(slot * t.length)
}

func (w *timeWorker) chunk(c *chunk) error {
	for f := range w.filters {
		err := c.hits(f, func(h *hit) {
			at := c.Time[h.row]
			g := w.accesses.add(groupKey{w.slot(at, &w.zone), uint32(f)})
			if !h.disclosed {
				return
			}
			for len(w.disclosures) <= int(g) {
				w.disclosures = append(w.disclosures, 0)
			}
			w.disclosures[g] += max(1, int64(len(h.pairs)))
			realm := c.realm(h.row)
			for i := range h.pairs {
				w.members.add(g, h.pairs[i].key, realm)
				w.people[f].add(update{key: h.pairs[i].key, realm: realm, time: at})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *timeliner) buckets(workers []*timeWorker) ([][]Bucket, error) {
	out := make([][]Bucket, len(t.filters))
	if len(t.groups.list) == 0 {
		return out, nil
	}
	first, last := t.groups.list[0].slot, t.groups.list[0].slot
	for _, k := range t.groups.list {
		first, last = min(first, k.slot), max(last, k.slot)
	}
	if last-first >= maxBuckets {
		return nil, errors.New("timeline: more than 100000 buckets: give a longer bucket, or filters with from and to")
	}
	axis := make([]Bucket, last-first+1)
	for i := range axis {
		axis[i].Time = t.start(first + int64(i))
	}
	for f := range out {
		out[f] = append([]Bucket{}, axis...)
	}
	at := func(g int) *Bucket {
		k := t.groups.list[g]
		return &out[k.value][k.slot-first]
	}
	for _, w := range workers {
		for g, n := range w.accesses.accesses {
			at(g).Accesses += n
		}
		for g, n := range w.disclosures {
			at(g).Disclosures += n
		}
	}
	for g, n := range t.members.count(len(t.groups.list)) {
		at(g).Subjects = n
	}
	zone := days{zone: t.zone}
	for f, p := range t.people {
		p.each(func(e *entry) { out[f][t.slot(e.first, &zone)-first].New++ })
	}
	return out, nil
}
