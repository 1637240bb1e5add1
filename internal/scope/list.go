package scope

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/whosaw/whosaw"
)

// List calls yield with each subject that the accesses which match a filter disclosed: shorter ids first,
// then bytewise, then by realm. The rows are made one by one out of the sums; a row's Fields must not be
// written. An error of yield ends the list and is returned as it is.
func (e *Engine) List(ctx context.Context, filter whosaw.Filter, yield func(row whosaw.ListRow) error) error {
	q, people, dense, err := e.lines(ctx, filter)
	if err != nil {
		return err
	}
	return q.listed(ctx, people, dense, yield)
}

// lines gives the sums of a filter's list, and the question with whose numbers they are.
func (e *Engine) lines(ctx context.Context, filter whosaw.Filter) (q *question, people *table, dense map[uint32]*lines, err error) {
	err = e.answer([]whosaw.Filter{filter}, func(asked *question) (err error) {
		q = asked
		people, dense, err = q.lines(ctx)
		return err
	})
	return q, people, dense, err
}

// listed calls yield with what was summed.
func (q *question) listed(ctx context.Context, people *table, dense map[uint32]*lines, yield func(row whosaw.ListRow) error) error {
	l := lister{question: q, fields: make(map[uint32][]string)}
	l.sort(people)
	l.dense(dense)
	l.order()
	return l.each(ctx, yield)
}

// each calls yield with the rows.
func (l *lister) each(ctx context.Context, yield func(row whosaw.ListRow) error) error {
	for n := 0; len(l.heap) > 0; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := yield(l.next()); err != nil {
			return err
		}
	}
	return nil
}

// lister merges the shards of a table, each sorted by itself.
type lister struct {
	*question
	heap   []*run // the run with the least head is first
	fields map[uint32][]string
	digits []byte // of ids given out: never written again
}

// run is a sorted shard. Integers are sorted by value, which is the order of their digits; other ids
// stand in a run of their own.
type run struct {
	entries []entry
	order   []ordered

	lines *lines // instead of entries; head is the one at hand
	next  uint64 // subject
	at    entry
}

// ordered is what a run is sorted by: a number, of which equal ones are told apart by looking at the entry.
type ordered struct {
	key subjectKey
	at  uint32
}

// sort sorts every shard, on all workers.
func (l *lister) sort(t *table) {
	runs := make([][2]run, shards)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range l.workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < shards; i = next.Add(1) - 1 {
				runs[i] = l.sortShard(t.shards[i].entries)
			}
		})
	}
	wg.Wait()
	for i := range runs {
		for j := range runs[i] {
			if len(runs[i][j].order) > 0 {
				l.heap = append(l.heap, &runs[i][j])
			}
		}
	}
}

// dense adds the subjects that are lines.
func (l *lister) dense(byRealm map[uint32]*lines) {
	for realm, x := range byRealm {
		r := &run{lines: x, at: entry{realm: realm}}
		if r.advance() {
			l.heap = append(l.heap, r)
		}
	}
}

// order makes the heap one.
func (l *lister) order() {
	for i := len(l.heap)/2 - 1; i >= 0; i-- {
		l.sink(i)
	}
}

// advance goes to the next row of a run; it reports false at the end.
func (r *run) advance() bool {
	if r.lines != nil {
		return r.lines.next(&r.next, &r.at)
	}
	r.order = r.order[1:]
	return len(r.order) > 0
}

func (l *lister) sortShard(entries []entry) [2]run {
	var ints, texts []ordered
	for i := range entries {
		o := ordered{entries[i].key, uint32(i)}
		if o.key&stringKey != 0 {
			texts = append(texts, o)
		} else {
			if ints == nil {
				ints = make([]ordered, 0, len(entries))
			}
			ints = append(ints, o)
		}
	}
	slices.SortFunc(ints, func(a, b ordered) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return l.compareRealm(&entries[a.at], &entries[b.at])
	})
	slices.SortFunc(texts, func(a, b ordered) int {
		if a.key != b.key {
			return compareID(l.ids.subject(a.key), l.ids.subject(b.key))
		}
		return l.compareRealm(&entries[a.at], &entries[b.at])
	})
	return [2]run{{entries: entries, order: ints}, {entries: entries, order: texts}}
}

func (l *lister) compareRealm(a, b *entry) int {
	return strings.Compare(l.realms.name(a.realm), l.realms.name(b.realm))
}

func (r *run) head() *entry {
	if r.lines != nil {
		return &r.at
	}
	return &r.entries[r.order[0].at]
}

func (l *lister) less(a, b *run) bool {
	x, y := a.head(), b.head()
	if x.key == y.key {
		return l.compareRealm(x, y) < 0
	}
	if (x.key|y.key)&stringKey == 0 {
		return x.key < y.key
	}
	return compareID(l.ids.subject(x.key), l.ids.subject(y.key)) < 0
}

// sink moves the run at i to its place in the heap.
func (l *lister) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(l.heap); child++ {
			if l.less(l.heap[child], l.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		l.heap[i], l.heap[least] = l.heap[least], l.heap[i]
		i = least
	}
}

// next takes the least row.
func (l *lister) next() whosaw.ListRow {
	r := l.heap[0]
	e := r.head()
	fields, ok := l.fields[e.set]
	if !ok {
		fields = l.sets.clear(e.set)
		l.fields[e.set] = fields
	}
	id := ""
	if e.key&stringKey != 0 {
		id = l.ids.name(uint32(e.key &^ stringKey))
	} else {
		id = l.decimal(uint64(e.key))
	}
	row := whosaw.ListRow{
		Realm: l.realms.name(e.realm), Subject: id, First: whosaw.Time(e.first), Last: whosaw.Time(e.last),
		Accesses: e.accesses, Fields: fields,
	}
	if !r.advance() {
		last := len(l.heap) - 1
		l.heap[0] = l.heap[last]
		l.heap = l.heap[:last]
	}
	l.sink(0)
	return row
}

// decimal gives the digits of an id. Many lie in one piece of memory.
func (l *lister) decimal(id uint64) string {
	if cap(l.digits)-len(l.digits) < 20 {
		l.digits = make([]byte, 0, 4096)
	}
	from := len(l.digits)
	l.digits = strconv.AppendUint(l.digits, id, 10)
	return unsafe.String(&l.digits[from], len(l.digits)-from)
}
