package scope

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
)

// Subjects that are small integers are counted as bits: one for each subject to whom something was shown, in as many
// bitmaps as there are kinds of what was shown. A table keeps the others.
const (
	pageWords = len(index.Bits{}) // of a page
	pageShift = 16                // of a subject: its page
	// markLimit keeps a bitmap, however few subjects are in it, within 8 MiB.
	markLimit = 1 << 26
	// maxKinds is how many bitmaps a worker makes before it goes over to the table.
	maxKinds = 256
)

// bitmap is a set of subjects. The pages that nothing is in are not there.
type bitmap struct {
	b     *budget
	pages []*index.Bits
}

func (m *bitmap) add(subject uint64) {
	at := subject >> pageShift
	if at >= uint64(len(m.pages)) || m.pages[at] == nil {
		m.grow(int(at))
	}
	m.pages[at][subject>>6&uint64(pageWords-1)] |= 1 << (subject & 63)
}

// reach makes room for some pages.
func (m *bitmap) reach(pages int) {
	if pages > len(m.pages) {
		m.pages = append(m.pages, make([]*index.Bits, pages-len(m.pages))...)
	}
}

func (m *bitmap) grow(at int) {
	m.reach(at + 1)
	m.b.take(pageWords * 8) // a question that has spent its budget is given up soon
	m.pages[at] = new(index.Bits)
}

// kind is what a bitmap's subjects were shown.
type kind struct {
	realm  uint32 // number in the question's realms
	set    uint32 // number in the question's sets
	others int64  // credited to the subject
}

// bitmaps are the bitmaps of one worker.
type bitmaps struct {
	b  *budget
	of map[kind]*bitmap
}

// get gives the bitmap of a kind, nil if there are too many.
func (m *bitmaps) get(k kind) *bitmap {
	b := m.of[k]
	if b == nil && len(m.of) < maxKinds {
		b = &bitmap{b: m.b}
		m.of[k] = b
	}
	return b
}

// marks are what blocks have told about a question: the workers' bitmaps, put together.
type marks struct {
	q     *question
	kinds map[kind][]*bitmap
	sum   *sum // what else was counted

	total   int64
	clear   map[string]int64
	masked  map[string]int64
	credits int64 // others
}

// into adds what blocks told to what the other parts told. The table keeps the subjects that are not
// counted as bits.
func (m *marks) into(s *sum, people *table) {
	if m == nil {
		return
	}
	s.merge(m.sum)
	if len(m.kinds) == 0 {
		return
	}
	if m.many(people) {
		m.unmark(people)
		return
	}
	m.drain(people)
	m.countUp()
}

// drain makes bits of a table's subjects that can be.
func (m *marks) drain(people *table) {
	own := map[kind]*bitmap{}
	people.drain(func(e *entry) bool {
		if uint64(e.key) >= markLimit {
			return false
		}
		k := kind{e.realm, e.set, e.others}
		if own[k] == nil {
			own[k] = &bitmap{b: m.q.budget}
			m.kinds[k] = append(m.kinds[k], own[k])
		}
		own[k].add(uint64(e.key))
		return true
	})
}

// many reports whether a table has so many kinds that bitmaps would take more than entries.
func (m *marks) many(people *table) bool {
	kinds := map[kind]struct{}{}
	for i := range people.shards {
		for j := range people.shards[i].entries {
			e := &people.shards[i].entries[j]
			if uint64(e.key) < markLimit {
				if kinds[kind{e.realm, e.set, e.others}] = struct{}{}; len(kinds) > maxKinds {
					return true
				}
			}
		}
	}
	return false
}

// unmark puts all marks into a table.
func (m *marks) unmark(people *table) {
	w := people.writer()
	for k, maps := range m.kinds {
		for _, b := range maps {
			for at, p := range b.pages {
				if p == nil {
					continue
				}
				for i, word := range p {
					for ; word != 0; word &= word - 1 {
						subject := uint64(at)<<pageShift | uint64(i)<<6 | uint64(bits.TrailingZeros64(word))
						w.add(update{key: subjectKey(subject), others: k.others, set: k.set, realm: k.realm})
					}
				}
			}
		}
	}
	w.flush()
	m.kinds = nil
}

// counter counts the bits of one realm.
type counter struct {
	kinds  []kind // fewest others first
	maps   [][]*bitmap
	fields []fieldCount
	pages  int
}

// fieldCount is a field with the kinds that show it.
type fieldCount struct {
	name          string
	clear, masked []int
	subjects      int64 // shown it in clear
	hidden        int64 // shown it masked only
}

// countUp counts the bits of all realms.
func (m *marks) countUp() {
	m.clear, m.masked = map[string]int64{}, map[string]int64{}
	byRealm := map[uint32][]kind{}
	for k := range m.kinds {
		byRealm[k.realm] = append(byRealm[k.realm], k)
	}
	for _, kinds := range byRealm {
		slices.SortFunc(kinds, func(a, b kind) int { return cmp.Or(cmp.Compare(a.others, b.others), cmp.Compare(a.set, b.set)) })
		c := counter{kinds: kinds}
		fields := map[string]*fieldCount{}
		field := func(name string) *fieldCount {
			f := fields[name]
			if f == nil {
				f = &fieldCount{name: name}
				fields[name] = f
			}
			return f
		}
		for i, k := range kinds {
			c.maps = append(c.maps, m.kinds[k])
			for _, b := range m.kinds[k] {
				c.pages = max(c.pages, len(b.pages))
			}
			set := m.q.sets.list[k.set]
			m.q.sets.each(set.clear, nil, func(name string) { f := field(name); f.clear = append(f.clear, i) })
			m.q.sets.each(set.masked, set.clear, func(name string) { f := field(name); f.masked = append(f.masked, i) })
		}
		for _, f := range fields {
			c.fields = append(c.fields, *f)
		}
		total, credits := c.count(m.q.workers)
		m.total += total
		m.credits = addOthers(m.credits, credits)
		for _, f := range c.fields {
			if f.subjects > 0 {
				m.clear[f.name] += f.subjects
			}
			if f.hidden > 0 {
				m.masked[f.name] += f.hidden
			}
		}
	}
}

// count counts all pages, on all workers.
func (c *counter) count(workers int) (total, credits int64) {
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	none := slices.Clone(c.fields)
	for range max(1, min(workers, c.pages)) {
		own := pageCounter{counter: c, merged: make([]index.Bits, len(c.kinds)), full: make([]bool, len(c.kinds)), fields: slices.Clone(none)}
		wg.Go(func() {
			for at := int(next.Add(1) - 1); at < c.pages; at = int(next.Add(1) - 1) {
				own.page(at)
			}
			mu.Lock()
			defer mu.Unlock()
			total += own.total
			credits = addOthers(credits, own.credits)
			for i := range c.fields {
				c.fields[i].subjects += own.fields[i].subjects
				c.fields[i].hidden += own.fields[i].hidden
			}
		})
	}
	wg.Wait()
	return total, credits
}

// pageCounter is one worker of a counter.
type pageCounter struct {
	*counter
	merged         []index.Bits // by kind
	full           []bool       // merged has something
	fields         []fieldCount
	clear, masked  index.Bits
	total, credits int64
}

func (c *pageCounter) page(at int) {
	any := false
	for i, maps := range c.maps {
		c.full[i] = false
		for _, b := range maps {
			if at >= len(b.pages) || b.pages[at] == nil {
				continue
			}
			if !c.full[i] {
				c.merged[i], c.full[i], any = *b.pages[at], true, true
			} else {
				c.merged[i].Or(b.pages[at])
			}
		}
	}
	if !any {
		return
	}
	// From the most others down: a subject is credited with the most that one access showed.
	c.clear = index.Bits{}
	for i := len(c.kinds) - 1; i >= 0; i-- {
		if c.full[i] {
			c.clear.Or(&c.merged[i])
		}
		if i == 0 || c.kinds[i-1].others != c.kinds[i].others {
			less := int64(0)
			if i > 0 {
				less = c.kinds[i-1].others
			}
			n := c.clear.Count()
			if more := c.kinds[i].others - less; n > 0 && more > 0 {
				c.credits = addOthers(c.credits, n*more)
			}
			if i == 0 {
				c.total += n
			}
		}
	}
	for i := range c.fields {
		f := &c.fields[i]
		c.clear = index.Bits{}
		c.unite(&c.clear, f.clear)
		f.subjects += c.clear.Count()
		if len(f.masked) > 0 {
			c.masked = index.Bits{}
			c.unite(&c.masked, f.masked)
			for w := range c.masked {
				f.hidden += int64(bits.OnesCount64(c.masked[w] &^ c.clear[w]))
			}
		}
	}
}

func (c *pageCounter) unite(p *index.Bits, kinds []int) {
	for _, k := range kinds {
		if c.full[k] {
			p.Or(&c.merged[k])
		}
	}
}

// subjects is how many subjects have marks.
func (m *marks) subjects() int64 {
	if m == nil {
		return 0
	}
	return m.total
}

// count adds what the marks tell to an answer.
func (m *marks) count(a *whosaw.ScopeAnswer) {
	if m == nil {
		return
	}
	a.Others = addOthers(a.Others, m.credits)
	for f, n := range m.clear {
		a.Fields[f] += n
	}
	for f, n := range m.masked {
		a.Masked[f] += n
	}
}
