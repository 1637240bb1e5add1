package scope

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Minute is one of a filter's course in which something matched. Times are whole minutes since 1970.
type Minute struct {
	Time        whosaw.Time
	Accesses    int64 // records that match
	Disclosures int64 // as in a scope
	New         int64 // subjects that the filter's accesses disclosed for the first time, by event time
}

const minutesPerHour = 60

// hourSums are the minutes of an hour.
type hourSums [minutesPerHour]struct{ accesses, disclosures int64 }

// firsts are, by subject, the minutes in which each was disclosed first, and 1 more; 0: it was not.
type firsts struct{ pages []*[linePage]uint32 }

func (f *firsts) at(subject uint64) uint32 {
	if p := subject >> lineShift; p < uint64(len(f.pages)) && f.pages[p] != nil {
		return f.pages[p][subject&(linePage-1)]
	}
	return 0
}

// courseSums are what Course adds up.
type courseSums struct {
	numbering
	series []Minute // without what people adds to New
	firsts map[string]*firsts
	people []entry // subjects that are no small integers
	size   int64
}

func (s *courseSums) bytes() int64 { return s.size }

var memoCourse = memoKind{what: "course", more: courseMore}

// courser is one worker that adds up the course of blocks.
type courser struct {
	blockReader
	hours  map[int64]*hourSums
	firsts map[uint32]*firsts // by realm
	people *writer

	first int64       // the block's first hour
	near  []*hourSums // of hours from that on
	sets  map[uint64][]uint8
	batch rowBatch
}

// maxNear is up to how many hours of a block have a place each.
const maxNear = 1 << 16

// courseMore reads on for Course.
func courseMore(ctx context.Context, q *question, old sums, blocks []int, until time.Time) (sums, []asked, []int, error) {
	people := newTable(q.sets, q.budget)
	had := &courseSums{}
	if old != nil {
		had = old.(*courseSums)
		t := had.numbers(q)
		w := people.writer()
		for i := range had.people {
			e := &had.people[i]
			w.add(update{key: t.key(e.key), time: e.first, realm: t.realms[e.realm]})
		}
		w.flush()
	}
	var workers []*courser
	done, missed, err := q.eachBlock(ctx, blocks, until, func() blockWork {
		c := &courser{blockReader: newBlockReader(q), hours: map[int64]*hourSums{}, firsts: map[uint32]*firsts{}, people: people.writer()}
		workers = append(workers, c)
		return c
	})
	if err != nil {
		return nil, nil, nil, err
	}
	s := &courseSums{numbering: q.numbering(), firsts: maps.Clone(had.firsts)}
	if s.firsts == nil {
		s.firsts = map[string]*firsts{}
	}
	hours := map[int64]*hourSums{}
	own := map[*[linePage]uint32]bool{} // pages that nobody else has
	for _, w := range workers {
		w.people.flush()
		for h, x := range w.hours {
			if hours[h] == nil {
				hours[h] = &hourSums{}
			}
			for i := range x {
				hours[h][i].accesses += x[i].accesses
				hours[h][i].disclosures += x[i].disclosures
			}
		}
		for realm, f := range w.firsts {
			name := q.realms.name(realm)
			s.firsts[name] = earlier(s.firsts[name], f, own)
		}
	}
	if q.budget.spent() {
		return nil, nil, nil, ErrMemory
	}
	if people.len() > maxMemoPeople {
		return nil, nil, nil, ErrNoMemo
	}
	people.each(func(e *entry) { s.people = append(s.people, *e) })
	s.series = joinSeries(had.series, series(hours))
	s.count()
	return s, done, missed, nil
}

// earlier gives the earlier of two for each subject. a is not written, but for pages that are its own.
func earlier(a, b *firsts, own map[*[linePage]uint32]bool) *firsts {
	out := &firsts{}
	if a != nil {
		out.pages = slices.Clone(a.pages)
	}
	if n := len(b.pages) - len(out.pages); n > 0 {
		out.pages = append(out.pages, make([]*[linePage]uint32, n)...)
	}
	for at, p := range b.pages {
		switch {
		case p == nil:
		case out.pages[at] == nil:
			out.pages[at] = p
			own[p] = true
		default:
			x := out.pages[at]
			if !own[x] {
				y := *x
				x = &y
				out.pages[at], own[x] = x, true
			}
			for i, t := range p {
				// Less 1, nobody is behind everybody.
				x[i] = min(x[i]-1, t-1) + 1
			}
		}
	}
	return out
}

// count counts from firsts who is new in which minute, and what all that takes.
func (s *courseSums) count() {
	fresh := map[uint32]int64{}
	s.size = int64(len(s.series))*32 + int64(len(s.people))*(entryBytes+nameBytes)
	for _, f := range s.firsts {
		s.size += int64(len(f.pages)) * 8
		last, n := uint32(0), int64(0)
		for _, p := range f.pages {
			if p == nil {
				continue
			}
			s.size += linePage * 4
			for _, t := range p {
				if t == last || t == 0 {
					n += int64(min(t, 1))
					continue
				}
				fresh[last] += n
				last, n = t, 1
			}
		}
		fresh[last] += n
	}
	for i := range s.series {
		s.series[i].New = fresh[uint32(int64(s.series[i].Time)/minute)+1]
	}
}

// series gives the minutes of hours in which something matched, in order.
func series(hours map[int64]*hourSums) []Minute {
	var out []Minute
	for _, h := range slices.Sorted(maps.Keys(hours)) {
		for i, x := range hours[h] {
			if x.accesses > 0 || x.disclosures > 0 {
				out = append(out, Minute{Time: whosaw.Time((h*minutesPerHour + int64(i)) * minute), Accesses: x.accesses, Disclosures: x.disclosures})
			}
		}
	}
	return out
}

// joinSeries adds up two courses.
func joinSeries(a, b []Minute) []Minute {
	out := make([]Minute, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0].Time, b[0].Time); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Minute{a[0].Time, a[0].Accesses + b[0].Accesses, a[0].Disclosures + b[0].Disclosures, a[0].New + b[0].New})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func (w *courser) reader() *blockReader { return &w.blockReader }

func (w *courser) work(masks []uint64, spans []span32) error {
	w.sets = map[uint64][]uint8{}
	const perHour = minute * minutesPerHour
	w.first, w.near = w.from/perHour, nil
	if n := w.to/perHour - w.first + 1; n <= maxNear {
		w.near = make([]*hourSums, n)
	}
	constant := w.realm.Constant()
	w.groups(masks, spans, func(a, b int) bool { return constant || w.realm.At(a) == w.realm.At(b) }, w.group)
	return nil
}

// hour gives the sums of an hour.
func (w *courser) hour(h int64) *hourSums {
	at := h - w.first
	if w.near != nil && w.near[at] != nil {
		return w.near[at]
	}
	x := w.hours[h]
	if x == nil {
		x = &hourSums{}
		w.hours[h] = x
	}
	if w.near != nil {
		w.near[at] = x
	}
	return x
}

// What a row of a shape adds to a course.
const (
	courseAccess = 1 << iota
	courseShown
	courseSubject
)

func courseBits(s *blockShape) (bits uint8) {
	if s.shape.First {
		bits |= courseAccess
	}
	if s.disclosed {
		if bits |= courseShown; s.shape.Subject {
			bits |= courseSubject
		}
	}
	return bits
}

// shapesOf gives what rows of each shape add if one of the terms matches; nil if that depends on the row.
func (w *courser) shapesOf(mask uint64) []uint8 {
	list, ok := w.sets[mask]
	if ok {
		return list
	}
	if w.border() != nil || !w.compares(mask) {
		list = []uint8{}
		for _, s := range w.versions[0].shapes {
			bits := uint8(0)
			if s.pass&mask != 0 {
				bits = courseBits(s)
			}
			list = append(list, bits)
		}
	}
	w.sets[mask] = list
	return list
}

// group adds the rows of origins of one realm.
func (w *courser) group(j *joined32) {
	shapes, realm := w.shapesOf(j.mask), w.realmID(j.o)
	to := w.firsts[realm]
	if to == nil {
		to = &firsts{}
		w.firsts[realm] = to
	}
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	if shapes == nil {
		v := w.versions[0]
		for i := j.lo; i < j.hi; i++ {
			who, t := w.who.At(i), w.b.Time(i)
			v = w.at(v, t)
			if s := v.shapes[who&low]; w.matches(j.mask&s.pass, s, i, who>>shift, t) {
				w.add(courseBits(s), to, realm, who>>shift, t)
			}
		}
		return
	}
	from, until := w.from, w.to
	asked, issued := false, false
	if x := w.border(); x != nil {
		from, until = max(from, x.from), min(until, x.to-1)
		if asked = x.issued != nil; asked {
			issued = *x.issued
		}
	}
	if from > until {
		return
	}
	// Times are compared as the block has them, less its least.
	least, length := uint64(from-w.from), uint64(until-from)
	times := w.b.Times()
	for lo := j.lo; lo < j.hi; lo += batchRows {
		rows := w.batch.who[:min(batchRows, j.hi-lo)]
		w.who.Fill(rows, lo)
		at := w.batch.times[:len(rows)]
		times.Fill(at, lo)
		for i, who := range rows {
			bits := shapes[who&low]
			if bits == 0 || at[i]-least > length || asked && w.issued.Row(lo+i) != issued {
				continue
			}
			w.add(bits, to, realm, who>>shift, w.from+int64(at[i]))
		}
	}
}

// add adds a row.
func (w *courser) add(bits uint8, to *firsts, realm uint32, subject uint64, t int64) {
	m := uint64(t) / uint64(minute) // times are after 1970
	h := m / minutesPerHour
	x := &w.hour(int64(h))[m-h*minutesPerHour]
	x.accesses += int64(bits & courseAccess)
	x.disclosures += int64(bits & courseShown >> 1)
	if bits&courseSubject == 0 {
		return
	}
	key := w.key(subject)
	if uint64(key) >= markLimit {
		w.people.add(update{key: key, time: t, realm: realm})
		return
	}
	at := uint64(key) >> lineShift
	if at >= uint64(len(to.pages)) || to.pages[at] == nil {
		w.grow(to, int(at))
	}
	p := &to.pages[at][uint64(key)&(linePage-1)]
	*p = min(*p-1, uint32(m)) + 1
}

func (w *courser) grow(to *firsts, at int) {
	if n := at + 1 - len(to.pages); n > 0 {
		to.pages = append(to.pages, make([]*[linePage]uint32, n)...)
	}
	w.q.budget.take(linePage * 4) // a question that has spent its budget is given up soon
	to.pages[at] = new([linePage]uint32)
}

// Course gives the minutes in which accesses matched a filter, in order, with what is kept, or learnt until a time (zero: until all is
// known). What is known of less than all is a part of the course.
func (m *Memo) Course(ctx context.Context, e *Engine, filter whosaw.Filter, until time.Time) ([]Minute, Progress, error) {
	k, err := m.know(ctx, e, filter, memoCourse, until)
	if err != nil {
		return nil, Progress{}, err
	}
	q, err := e.ask(filter)
	if err != nil {
		return nil, Progress{}, err
	}
	defer q.done()
	known := &courseSums{numbering: q.numbering()}
	if k.sums != nil {
		known = k.sums.(*courseSums)
	}
	people := newTable(q.sets, q.budget)
	t := known.numbers(q)
	own := people.writer()
	for i := range known.people {
		e := &known.people[i]
		own.add(update{key: t.key(e.key), time: e.first, realm: t.realms[e.realm]})
	}
	own.flush()
	slices.Sort(k.rest)
	hours, err := q.readCourse(ctx, k.rest, people)
	if err != nil {
		return nil, Progress{}, err
	}
	fresh := map[int64]int64{}
	people.each(func(e *entry) {
		at := e.first / minute
		if uint64(e.key) < markLimit {
			if f := known.firsts[q.realms.name(e.realm)]; f != nil {
				switch was := int64(f.at(uint64(e.key))) - 1; {
				case was >= 0 && was <= at:
					return
				case was >= 0:
					fresh[was]--
				}
			}
		}
		fresh[at]++
	})
	out := joinSeries(known.series, series(hours))
	for at, n := range fresh {
		i, ok := slices.BinarySearchFunc(out, at, func(m Minute, at int64) int { return cmp.Compare(int64(m.Time)/minute, at) })
		if !ok {
			panic("BUG: somebody was disclosed in a minute without accesses")
		}
		out[i].New += n
	}
	return out, k.Progress, nil
}

// readCourse adds up parts that have no block.
func (q *question) readCourse(ctx context.Context, parts []int, people *table) (map[int64]*hourSums, error) {
	all := map[int64]*hourSums{}
	var workers []map[int64]*hourSums
	var writers []*writer
	if parts == nil {
		parts = []int{}
	}
	err := q.scanParts(ctx, q.columns(), parts, func() (work, func(ledger.Part) bool) {
		hours, w := map[int64]*hourSums{}, people.writer()
		workers, writers = append(workers, hours), append(writers, w)
		return func(c *chunk) error {
			return c.hits(0, func(h *hit) {
				t := c.Time[h.row]
				m := t / minute
				x := hours[m/minutesPerHour]
				if x == nil {
					x = &hourSums{}
					hours[m/minutesPerHour] = x
				}
				x[m%minutesPerHour].accesses++
				if !h.disclosed {
					return
				}
				x[m%minutesPerHour].disclosures += max(1, int64(len(h.pairs)))
				realm := c.realm(h.row)
				for i := range h.pairs {
					w.add(update{key: h.pairs[i].key, time: t, realm: realm})
				}
			})
		}, nil
	})
	if err != nil {
		return nil, err
	}
	for i, hours := range workers {
		writers[i].flush()
		for h, x := range hours {
			if all[h] == nil {
				all[h] = &hourSums{}
			}
			for i := range x {
				all[h][i].accesses += x[i].accesses
				all[h][i].disclosures += x[i].disclosures
			}
		}
	}
	if q.budget.spent() {
		return nil, ErrMemory
	}
	return all, nil
}
