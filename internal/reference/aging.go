package reference

import (
	"math"

	"github.com/whosaw/whosaw"
)

// An index that ages lets issuances go whose credentials have ended, so that it holds those in use and not all there ever were. Issuances lie in
// generations: of those that live about as long and were given out about the same time, all are gone when the last has ended.

const (
	// endGrace is how long after its end an issuance still counts: clocks of verifiers disagree.
	endGrace = 5 * 60_000
	// Lives are told apart by powers of four from an hour on; who lives longer than the last of these is kept for good.
	leastLife   = int64(3_600_000)
	lifeClasses = 8
	// A generation is open for a quarter of the longest life of its class, so nothing is held for much more than twice its life.
	openPart = 4

	minuteMillis = 60_000
)

// generation is what was given out in a stretch of time with lives of one class.
type generation struct {
	issuances
	from  int64 // by the index's clock
	until int64 // when the last of it ends
	class int
}

// aging are a realm's generations.
type aging struct {
	all  []*generation
	open [lifeClasses]*generation
}

// Age makes the index let go of what has ended by a time, which moves forward only. Called first before Apply, it ages from the beginning.
func (x *Index) Age(now int64) {
	x.now = max(x.now, now)
	for _, g := range x.realms {
		g.aged.letGo(x.now)
	}
}

// Longest says how long a credential lives whose issuance says no end; 0: for good, and its issuance is held as long. Called before Apply.
func (x *Index) Longest(life int64) { x.longest = life }

func (a *aging) letGo(now int64) {
	kept := a.all[:0]
	for _, x := range a.all {
		if x.until > now {
			kept = append(kept, x)
		} else if a.open[x.class] == x {
			a.open[x.class] = nil
		}
	}
	clear(a.all[len(kept):])
	a.all = kept
}

// place gives where an issuance belongs, and its end in minutes; nil: it has ended already.
func (g *realm) place(r *whosaw.Record, x *Index) (l *issuances, ends uint32) {
	now, end := x.now, int64(0)
	switch {
	case r.Ref != nil && r.Ref.Expires != 0:
		end = r.Ref.Expires + endGrace
	case x.longest > 0:
		end = r.Time + x.longest + endGrace
	}
	if now == 0 || end == 0 {
		return &g.late, 0
	}
	if end <= now {
		return nil, 0
	}
	class, longest := 0, leastLife
	for ; class < lifeClasses && end-r.Time > longest; class++ {
		longest *= 4
	}
	ends64 := (end + minuteMillis - 1) / minuteMillis
	if class == lifeClasses || ends64 > math.MaxUint32 {
		return &g.late, 0
	}
	a := g.aged.open[class]
	if a == nil || now-a.from >= longest/openPart {
		a = &generation{from: now, class: class}
		g.aged.open[class] = a
		g.aged.all = append(g.aged.all, a)
	}
	a.until = max(a.until, ends64*minuteMillis)
	return &a.issuances, uint32(ends64)
}

// ended reports whether the issuance counts no more.
func (i issuance) ended(now int64) bool { return i.ends != 0 && int64(i.ends)*minuteMillis <= now }

// Held gives how many issuances the index holds.
func (x *Index) Held() (n int) {
	for _, g := range x.realms {
		n += g.late.size + g.early.size
		for _, a := range g.aged.all {
			n += a.size
		}
	}
	return n
}
