package scope

import (
	"sync"

	"github.com/whosaw/whosaw/internal/index"
)

// A hit has the time since lines.base, which is below lineLength, above what it has of its subject and set.
const _ = uint(index.HitTime-lowBits) + uint(lowBits-index.HitTime)

// What a list costs is to find each subject in memory. So hits are not added one by one but dealt out by ranges of subjects, and
// those of a range are added together: its lines lie in the processor's cache by then.
const (
	pieceShift = index.HitSubject // of a subject: its piece
	piecePages = 1 << (pieceShift - lineShift)
	pieceLocks = 64

	dealBytes = 32 << 20 // of hits that wait, for each worker
	dealMost  = 1 << 14  // and for each piece, in hits
	dealLeast = 1 << 7
)

// deal is hits that wait to be added to the lines of one realm. It is one worker's.
type deal struct {
	to     *lines
	pieces []index.Piece
	room   int // hits of each piece
	taken  int // bytes of the question's budget
}

// lock gives what is held while a piece's lines are added to.
func (l *lines) lock(piece uint64) *sync.Mutex { return &l.locks[piece%pieceLocks] }

// dealer gives the deal for some lines, with room for subjects up to one.
func (w *liner) dealer(to *lines, largest uint64) *deal {
	d := w.deals[to]
	if d == nil {
		d = &deal{to: to}
		w.deals[to] = d
	}
	if n := int(largest>>pieceShift) + 1; n > len(d.pieces) {
		d.pieces = append(d.pieces, make([]index.Piece, n-len(d.pieces))...)
		bytes := max(0, int(min(w.budget.left.Load()/16, dealBytes)))
		d.room = max(dealLeast, min(dealMost, bytes/8/n))
	}
	return d
}

// hitRoom has what pieces keep hits in.
var hitRoom sync.Pool

// add deals a hit out. t is counted from the base, set is below 1<<index.HitSet.
func (d *deal) add(w *liner, subject, t, set uint64) {
	p := &d.pieces[subject>>pieceShift]
	if p.N == len(p.Hits) {
		w.full(d, subject>>pieceShift)
	}
	p.Hits[p.N] = t<<index.HitTime | (subject&(1<<pieceShift-1))<<index.HitSet | set
	p.N++
}

// full makes room in a piece: it adds its hits, or gives it its memory.
func (w *liner) full(d *deal, at uint64) {
	p := &d.pieces[at]
	if p.Hits != nil {
		w.settle(d, at)
		return
	}
	w.budget.take(8 * d.room)
	d.taken += 8 * d.room
	if d.room == dealMost {
		p.Hits = w.hitRoom.get(&hitRoom)[:]
	} else {
		p.Hits = make([]uint64, d.room)
	}
}

// settle adds the hits of a piece.
func (w *liner) settle(d *deal, at uint64) {
	p := &d.pieces[at]
	mu := d.to.lock(at)
	mu.Lock()
	defer mu.Unlock()
	first := at << pieceShift
	var of [piecePages]*[linePage]line
	for _, h := range p.Hits[:p.N] {
		subject := h >> index.HitSet & (1<<pieceShift - 1)
		lines := of[subject>>lineShift]
		if lines == nil {
			lines = w.page(d.to, first|subject)
			of[subject>>lineShift] = lines
		}
		x := &lines[subject&(linePage-1)]
		t, set, old := h>>index.HitTime, h&(1<<index.HitSet-1), x.last&low
		// What put does, without branches that nobody can foretell.
		pair := uint64(0)
		if old|set < smallSets {
			pair = uint64(w.pairs[old*smallSets+set])
		}
		accesses := x.first&low + 1
		if pair == 0 || accesses > low {
			w.put(x, t, uint32(set))
			w.paired(uint32(old), uint32(set))
			continue
		}
		x.first = max(x.first>>lowBits, lineLength-1-t)<<lowBits | accesses
		x.last = max(x.last>>lowBits, t)<<lowBits | (pair - 1)
	}
	p.N = 0
}

// paired keeps the union of two sets with small numbers.
func (w *liner) paired(a, b uint32) {
	if a < smallSets && b < smallSets {
		if u := w.union(a, b); u < 1<<16-1 {
			w.pairs[a*smallSets+b] = uint16(u + 1)
		}
	}
}

// settleAll adds what waits, and gives the memory back.
func (w *liner) settleAll() {
	for _, d := range w.deals {
		for at := range d.pieces {
			p := &d.pieces[at]
			if p.N > 0 {
				w.settle(d, uint64(at))
			}
			if len(p.Hits) == dealMost {
				hitRoom.Put((*[dealMost]uint64)(p.Hits))
			}
		}
		w.budget.left.Add(int64(d.taken))
		d.pieces, d.taken = nil, 0
	}
}

// put1 adds one access to the lines of a realm at once. t is counted from the base.
func (w *liner) put1(to *lines, subject, t uint64, set uint32) {
	mu := to.lock(subject >> pieceShift)
	mu.Lock()
	defer mu.Unlock()
	w.put(w.line(to, subject), t, set)
}
