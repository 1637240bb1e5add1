package detect

import (
	"container/heap"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/near"
)

// held is an access that waits for its issuance, or for its reason.
type held struct {
	due   int64 // event time at which it is judged
	at    int64 // its event time; where nobody agrees with its clock, the sure clock's when it came
	order uint64
	seq   uint64
	d     detector // unissued or unexplained
	class uint64   // of its principal, for unexplained
	realm uint64
	rec   whosaw.Record
}

// hold keeps an access until what it waits for is no longer expected. One that lies far beyond the clock waits an hour more: by then the clock
// has come up to it, for the log had a hole, or its own is wrong, and it must not wait until the year 2099.
func (e *Engine) hold(v *view, d detector, class uint64) {
	h := held{at: v.r.Time, d: d, class: class, seq: v.seq, realm: v.realm, rec: keep(v.r)}
	if h.at > e.sure+hour {
		h.at = e.sure
		h.due = hour
	}
	h.due += e.expected(&h)
	e.queue.push(h)
}

// expected is when what an access waits for is no longer expected.
func (e *Engine) expected(h *held) int64 {
	r := &h.rec
	if h.d == unexplained {
		return e.reasonBy(h.at, e.ref.ReasonFeed(r.Realm, r.Key, r.Client, r.Route, r.Time))
	}
	return e.issuedBy(h.at, e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time))
}

// again puts an access back whose clock was right after all, and whose time has not come.
func (e *Engine) again(h *held) bool {
	if h.at == h.rec.Time || h.rec.Time > e.sure+hour {
		return false
	}
	h.at = h.rec.Time
	if h.due = e.expected(h); h.due <= e.sure {
		return false
	}
	e.queue.leave(h)
	e.queue.push(*h)
	return true
}

// queue orders them by when they are due, then by arrival.
type queue struct {
	heap    []held
	order   uint64
	pending int               // weights of what is in the heap, and waiting in realms
	waiting [nDetectors]int64 // accesses among them, by detector
	weights [nDetectors]int   // and theirs
}

func (q *queue) before(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.due < b.due || a.due == b.due && a.order < b.order
}

func (q *queue) push(h held) {
	q.order++
	q.pending += h.weight()
	q.waiting[h.d]++
	q.weights[h.d] += h.weight()
	h.order = q.order
	q.heap = append(q.heap, h)
	for i := len(q.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if !q.before(i, p) {
			break
		}
		q.heap[i], q.heap[p] = q.heap[p], q.heap[i]
		i = p
	}
}

// full reports whether a detector has as many waiting as it may: each for itself, so that neither starves the other.
func (q *queue) full(d detector, most int) bool { return q.weights[d] >= most }

// leave is told of an access that waits no more.
func (q *queue) leave(h *held) {
	q.pending -= h.weight()
	q.waiting[h.d]--
	q.weights[h.d] -= h.weight()
}

// weight is what an access counts: a list of hundreds holds as much memory as hundreds of accesses.
func (h *held) weight() int { return max(1, len(h.rec.Subjects)) }

// pop takes the first out of the heap; it stays pending until it is judged.
func (q *queue) pop() held {
	h := q.heap[0]
	end := len(q.heap) - 1
	q.heap[0] = q.heap[end]
	q.heap[end] = held{}
	q.heap = q.heap[:end]
	for i := 0; ; {
		c := 2*i + 1
		if c >= end {
			break
		}
		if c+1 < end && q.before(c+1, c) {
			c++
		}
		if !q.before(c, i) {
			break
		}
		q.heap[i], q.heap[c] = q.heap[c], q.heap[i]
		i = c
	}
	return h
}

// waiting holds the accesses of a realm whose feed stands still: a heap by event time. A feed may stand for hours and then catch
// up record by record, so none of these steps may look at all that wait.
type waiting struct {
	heap  []*held
	count uint64
}

func (w *waiting) Len() int           { return len(w.heap) }
func (w *waiting) Less(i, j int) bool { return w.heap[i].at < w.heap[j].at }
func (w *waiting) Swap(i, j int)      { w.heap[i], w.heap[j] = w.heap[j], w.heap[i] }
func (w *waiting) Push(h any)         { w.heap = append(w.heap, h.(*held)) }

func (w *waiting) Pop() any {
	end := len(w.heap) - 1
	h := w.heap[end]
	w.heap[end] = nil
	w.heap = w.heap[:end]
	return h
}

// push adds an access. Its order becomes that of coming here.
func (w *waiting) push(h held) {
	w.count++
	h.order = w.count
	heap.Push(w, &h)
}

// before takes out the accesses from before an event time.
func (w *waiting) before(t int64) (out []*held) {
	for len(w.heap) > 0 && w.heap[0].at < t {
		out = append(out, heap.Pop(w).(*held))
	}
	return out
}

// keep copies what judging an access needs: the caller's record does not outlive the call.
func keep(r *whosaw.Record) whosaw.Record {
	k := whosaw.Record{
		ID: clone(r.ID), Time: r.Time, Realm: clone(r.Realm), Others: r.Others, Route: clone(r.Route), Status: r.Status, Outcome: r.Outcome,
		Principal: clone(r.Principal), Credential: clone(r.Credential), Key: clone(r.Key), Client: clone(r.Client),
		IP: r.IP, Country: clone(r.Country), ASN: r.ASN, Agent: clone(r.Agent), TLS: clone(r.TLS),
	}
	k.Subjects = keepAll(r.Subjects)
	k.Fields, k.Masked = keepAll(r.Fields), keepAll(r.Masked)
	return k
}

// keepAll keeps the difference between nil and empty, which is that between "not said" and "none".
func keepAll(list []string) []string {
	list = slices.Clone(list)
	for i, s := range list {
		list[i] = clone(s)
	}
	return list
}

// memory is a set of hashes that forgets the oldest when it is full, half at a time.
type memory struct{ young, old map[uint64]struct{} }

const memoryHalf = 1 << 20

func newMemory() memory {
	return memory{make(map[uint64]struct{}), nil}
}

// has reports whether the hash is in, and makes it young again.
func (m *memory) has(x uint64) bool {
	if _, ok := m.young[x]; ok {
		return true
	}
	if _, ok := m.old[x]; ok {
		m.add(x)
		return true
	}
	return false
}

func (m *memory) add(x uint64) {
	if len(m.young) >= memoryHalf {
		m.old, m.young = m.young, make(map[uint64]struct{})
	}
	m.young[x] = struct{}{}
}

// bloom is a set of hashes that may hold what was never added, and never lacks what was. It empties itself in two
// generations, the older half at a time, once it is full.
type bloom struct {
	young, old []uint64
	n          int    // in young
	gen        uint32 // of the generations: what was found while it lasts is still in
	words      uint64 `state:"-"` // of a generation, a power of two; 0: bloomBits/64
}

// size is how many words a generation has.
func (b *bloom) size() uint64 {
	if b.words != 0 {
		return b.words
	}
	return bloomBits / 64
}

const (
	// With 16 bits for each and three probes within one cache line, one in 100 is taken for one that was added.
	bloomBits = 1 << 25
	bloomFull = bloomBits / 16
)

// probes gives the line of eight words, of so many words, and the bits within it that a hash stands for.
func probes(x, words uint64) (line uint64, bits [3]uint16) {
	return x & (words/8 - 1) * 8, [3]uint16{uint16(x >> 37 & 511), uint16(x >> 46 & 511), uint16(x >> 55)}
}

// add reports whether the hash was new to the young generation.
func (b *bloom) add(x uint64) bool {
	if b.young == nil {
		b.young = make([]uint64, b.size())
	}
	fresh := false
	line, bits := probes(x, uint64(len(b.young)))
	for _, at := range bits {
		w := &b.young[line+uint64(at>>6)]
		if *w>>(at&63)&1 == 0 {
			fresh = true
			*w |= 1 << (at & 63)
		}
	}
	if fresh {
		if b.n++; b.n >= bloomFull {
			b.old, b.young, b.n = b.young, nil, 0
			b.gen++
		}
	}
	return fresh
}

// bring gathers where a hash lies.
func (b *bloom) bring(x uint64, l *near.Lines) {
	if b.young != nil {
		line, _ := probes(x, uint64(len(b.young)))
		near.Add(l, &b.young[line])
	}
}

// has reports whether the hash was added, and makes it young again.
func (b *bloom) has(x uint64) bool {
	if holds(b.young, x) {
		return true
	}
	if holds(b.old, x) {
		b.add(x)
		return true
	}
	return false
}

func holds(bits []uint64, x uint64) bool {
	if bits == nil {
		return false
	}
	line, three := probes(x, uint64(len(bits)))
	for _, at := range three {
		if bits[line+uint64(at>>6)]>>(at&63)&1 == 0 {
			return false
		}
	}
	return true
}

// daily tells the first use of a credential on a day from later ones. A false "seen" makes an issued credential count
// for nothing; one in 200 does not move a rate.
type daily struct {
	bloom
	day int32
}

// done reports whether what was added in a generation is in without a doubt, so that add would say no and change nothing.
func (d *daily) done(on int32, gen uint32) bool { return gen == d.gen && on <= d.day }

func (d *daily) add(on int32, x uint64) (fresh bool) {
	if on > d.day {
		clear(d.young)
		d.old, d.n, d.day = nil, 0, on
		d.gen++
	}
	if d.old != nil && holds(d.old, x) {
		return false
	}
	return d.bloom.add(x)
}
