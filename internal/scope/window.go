package scope

// window gives numbers of a long list to those who ask for them mostly one after the other, and reads some at a time.
type window struct {
	fill func(dst []uint64, from int)
	n    int // numbers there are

	b          [64]uint64
	from, have int
}

// at gives a number. Where the one before lies near, more are read ahead.
func (w *window) at(i int) uint64 {
	if k := i - w.from; uint(k) < uint(w.have) {
		return w.b[k]
	}
	some := 8
	if i >= w.from && i < w.from+2*len(w.b) {
		some = len(w.b)
	}
	w.from, w.have = i, min(some, w.n-i)
	w.fill(w.b[:w.have], i)
	return w.b[0]
}
