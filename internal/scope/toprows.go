package scope

import (
	"slices"
	"sort"

	"github.com/whosaw/whosaw/internal/index"
)

// topBatch is rows that match, looked at together.
type topBatch struct {
	n       int
	code    [batchRows]uint32
	subject [batchRows]uint64
	time    [batchRows]int64
	realm   [batchRows]uint32
	bits    [batchRows]uint8

	who, times [batchRows]uint64
}

// What is told of a row.
const (
	rowFirst   = 1 << iota // it is its access's first
	rowCounted             // it disclosed a subject
	rowPasses              // its shape passes
)

// denseFrom is from how many codes on those that occur are numbered anew: ids of customers may be any numbers.
var denseFrom = 1 << 23

// codes is how many codes there can be.
func (w *topWorker) codes() int {
	if w.dense == nil {
		return w.dim.n
	}
	return len(w.codeOf) + w.b.Rows() + 1
}

// number gives a code of the dimension its number.
func (w *topWorker) number(code uint64) uint32 {
	if w.dense == nil || code == 0 {
		return uint32(code)
	}
	n, ok := w.dense[code]
	if !ok {
		n = uint32(len(w.codeOf))
		w.dense[code], w.codeOf = n, append(w.codeOf, code)
	}
	return n
}

// value gives what a number stands for, "" for missing.
func (w *topWorker) value(number int) (string, error) {
	if w.dense != nil {
		return w.dim.value(int(w.codeOf[number]))
	}
	return w.dim.value(number)
}

// code gives a number its code of the dimension.
func (w *topWorker) codeOfNumber(number uint32) uint32 {
	if w.dense != nil {
		return uint32(w.codeOf[number])
	}
	return number
}

// want gives each of some numbers its place in them, and 1 more, and all others 0. It holds until unwant.
func (w *topWorker) want(numbers []uint32) []int32 {
	if n := w.codes(); n > len(w.places) {
		w.places = make([]int32, n+n/4)
	}
	for i, number := range numbers {
		w.places[number] = int32(i + 1)
	}
	return w.places[:w.codes()]
}

func (w *topWorker) unwant(numbers []uint32) {
	for _, number := range numbers {
		w.places[number] = 0
	}
}

// rows calls fn with the rows that match, batch after batch. numbers, if not nil, are those of the values that are asked for, and wanted
// says so of each number: others may come too. If rows turn out not to be as they were written, err says so, and what came does not count.
func (w *topWorker) rows(numbers []uint32, wanted []int32, fn func(b *topBatch)) {
	one := w.q.terms[0]
	if w.dim.check != nil && (numbers == nil || w.dim.rows == nil) && w.failed(w.dim.check()) {
		return
	}
	if w.masks != nil || w.ranges != nil || len(w.versions) > 1 || len(one.subject) > 0 || one.issued != nil {
		if w.dim.check != nil && w.failed(w.dim.check()) {
			return
		}
		w.slowly(wanted, fn)
		return
	}
	flags := make([]uint8, len(w.versions[0].shapes))
	for i, s := range w.versions[0].shapes {
		if flags[i] = s.rowBits(); s.pass&1 != 0 {
			flags[i] |= rowPasses
		}
	}
	if numbers == nil || w.dim.shapes != nil {
		for _, s := range w.spans {
			w.stretch(s.from, int(w.starts.At(s.from)), int(w.starts.At(s.to)), one, flags, fn)
		}
		return
	}
	codes := make([]uint32, len(numbers))
	for i, number := range numbers {
		codes[i] = w.codeOfNumber(number)
	}
	slices.Sort(codes)
	if w.dim.origins != nil {
		if few, ok := w.dim.few(codes); ok {
			for _, s := range intersect(few, w.spans) {
				w.stretch(s.from, int(w.starts.At(s.from)), int(w.starts.At(s.to)), one, flags, fn)
			}
			return
		}
		for _, s := range w.spans {
			w.wantedOrigins(s, wanted, func(from, lo, hi int) { w.stretch(from, lo, hi, one, flags, fn) })
		}
		return
	}
	if w.dim.rows != nil {
		if w.posted(codes, one, flags, fn) {
			return
		}
		if w.failed(w.dim.check()) {
			return
		}
	}
	w.wantedRuns(codes, wanted, flags, func(lo, hi int) { w.stretch(w.someOrigin(lo), lo, hi, one, flags, fn) })
}

// failed notes an error. It reports whether there was one.
func (w *topWorker) failed(err error) bool {
	if err != nil && w.err == nil {
		w.err = err
	}
	return w.err != nil
}

// few gives the origins of a few codes, in order; ok is false if looking at all is faster.
func (d *blockDim) few(codes []uint32) ([]span32, bool) {
	if d.spans == nil {
		return nil, false
	}
	return d.spans(codes)
}

// someOrigin gives the origin of a row, or any if that does not matter.
func (w *topWorker) someOrigin(row int) int {
	if w.dim.origins == nil && w.realm.Constant() {
		return 0
	}
	return w.originOf(row)
}

// posted is rows by the places of the rows of codes. It reports false if they are not known.
func (w *topWorker) posted(codes []uint32, t *term, flags []uint8, fn func(b *topBatch)) bool {
	b := w.batch
	b.n = 0
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	var within []index.Span // nil: all rows are of origins that match
	if !w.wholly() {
		within = w.rowSpans()
	}
	ok, err := w.dim.rows(codes, func(code uint32, row int) {
		if within != nil {
			at := sort.Search(len(within), func(i int) bool { return within[i].To > row })
			if at == len(within) || within[at].From > row {
				return
			}
		}
		if w.err != nil || w.failed(w.b.CheckRows(row, row+1, true)) {
			return
		}
		who, at := w.who.At(row), w.b.Time(row)
		f := flags[who&low]
		if f&rowPasses == 0 || at < t.from || at >= t.to {
			return
		}
		b.code[b.n], b.subject[b.n], b.time[b.n], b.bits[b.n] = w.number(uint64(code)), who>>shift, at, f
		b.realm[b.n] = w.realmID(w.someOrigin(row))
		if b.n++; b.n == batchRows {
			fn(b)
			b.n = 0
		}
	})
	if !w.failed(err) && b.n > 0 {
		fn(b)
	}
	return ok || w.err != nil
}

// wholly reports whether all origins of the block match.
func (w *topWorker) wholly() bool {
	return len(w.spans) == 1 && w.spans[0].from == 0 && w.spans[0].to == w.b.Origins()
}

// rowSpans gives the rows of the origins that match.
func (w *topWorker) rowSpans() []index.Span {
	out := make([]index.Span, len(w.spans))
	for i, s := range w.spans {
		out[i] = index.Span{From: int(w.starts.At(s.from)), To: int(w.starts.At(s.to))}
	}
	return out
}

func (s *blockShape) rowBits() (bits uint8) {
	if s.shape.First {
		bits |= rowFirst
	}
	if s.disclosed && s.shape.Subject {
		bits |= rowCounted
	}
	return bits
}

// wantedOrigins gives the rows of origins with wanted values, those that follow each other together.
func (w *topWorker) wantedOrigins(s span32, wanted []int32, fn func(from, lo, hi int)) {
	var codes, starts [batchRows]uint64
	begin := -1
	var at int
	for from := s.from; from < s.to; from += batchRows {
		n := min(batchRows, s.to-from)
		w.dim.origins.Fill(codes[:n], from)
		w.starts.Fill(starts[:n], from)
		for i, code := range codes[:n] {
			if w.dim.same != nil {
				code = uint64(w.dim.same[code])
			}
			if want := wanted[code] != 0; want && begin < 0 {
				begin, at = from+i, int(starts[i])
			} else if !want && begin >= 0 {
				fn(begin, at, int(starts[i]))
				begin = -1
			}
		}
	}
	if begin >= 0 {
		fn(begin, at, int(w.starts.At(s.to)))
	}
}

// wantedRuns gives, in order, stretches of rows in which all rows lie whose own values are wanted. Each begins with the first row of
// an access.
func (w *topWorker) wantedRuns(codes []uint32, wanted []int32, flags []uint8, fn func(lo, hi int)) {
	var owned []index.Span // where rows lie whose value is told by their subject
	if w.dim.owned != nil {
		var err error
		if owned, err = w.dim.owned(codes); w.failed(err) {
			return
		}
	}
	for _, s := range w.rowSpans() {
		stretches := w.wholeAccesses(owned, s, flags)
		w.dim.runs.Each(s.From, s.To, func(from, to int, code uint64) {
			if (code != index.PrincipalOwn || w.dim.own == nil) && wanted[w.number(code)] != 0 {
				stretches = append(stretches, index.Span{From: from, To: to})
			}
		})
		for _, x := range merged(stretches) {
			fn(x.From, x.To)
		}
		if w.err != nil {
			return
		}
	}
}

// wholeAccesses gives the parts of stretches that lie in one, widened to whole accesses.
func (w *topWorker) wholeAccesses(stretches []index.Span, in index.Span, flags []uint8) (out []index.Span) {
	low := uint64(1)<<w.b.ShapeBits() - 1
	first := func(row int) bool {
		return w.failed(w.b.CheckRows(row, row+1, false)) || flags[w.who.At(row)&low]&rowFirst != 0
	}
	for _, x := range stretches {
		from, to := max(x.From, in.From), min(x.To, in.To)
		if from >= to {
			continue
		}
		for from > in.From && !first(from) {
			from--
		}
		for to < in.To && !first(to) {
			to++
		}
		out = append(out, index.Span{From: from, To: to})
	}
	return out
}

// merged puts stretches in order, and those together that touch.
func merged(stretches []index.Span) (out []index.Span) {
	slices.SortFunc(stretches, func(x, y index.Span) int { return x.From - y.From })
	for _, s := range stretches {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// stretch gives the matching ones of some rows, the first of which are of an origin.
func (w *topWorker) stretch(o, lo, hi int, t *term, flags []uint8, fn func(b *topBatch)) {
	if w.failed(w.b.CheckRows(lo, hi, true)) {
		return
	}
	b := w.batch
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	who, times := w.b.Who(), w.b.Times()
	least := w.from
	one := w.realm.Constant()
	realm := uint32(0)
	if one {
		realm = w.realmID(o)
	}
	owner := uint64(0)
	for ; lo < hi; lo += batchRows {
		n := min(batchRows, hi-lo)
		who.Fill(b.who[:n], lo)
		times.Fill(b.times[:n], lo)
		o = w.fill(o, lo, n, !one)
		kept := 0
		for i, v := range b.who[:n] {
			shape := v & low
			f := flags[shape]
			code := b.code[i]
			if w.dim.shapes != nil {
				code = w.dim.shapes[shape]
			} else if w.dim.own != nil {
				if f&rowFirst != 0 {
					owner = v >> shift
				}
				if code == index.PrincipalOwn {
					code = w.number(w.dim.own(owner))
				}
			}
			at := least + int64(b.times[i])
			b.code[kept], b.subject[kept], b.time[kept], b.bits[kept] = code, v>>shift, at, f
			if one {
				b.realm[kept] = realm
			} else {
				b.realm[kept] = b.realm[i]
			}
			if f&rowPasses != 0 && at >= t.from && at < t.to {
				kept++
			}
		}
		if b.n = kept; kept > 0 {
			fn(b)
		}
	}
}

// fill gives rows their codes, and their realms where there are several. It returns the origin of the row behind.
func (w *topWorker) fill(o, lo, n int, realms bool) int {
	b := w.batch
	if w.dim.runs != nil {
		w.dim.runs.Each(lo, lo+n, func(from, to int, code uint64) {
			number := uint32(code)
			if code != index.PrincipalOwn || w.dim.own == nil {
				number = w.number(code)
			}
			for i := from; i < to; i++ {
				b.code[i-lo] = number
			}
		})
	}
	if w.dim.origins == nil && !realms {
		return o
	}
	for at := lo; at < lo+n; o++ {
		end := min(int(w.start(o+1)), lo+n)
		if w.dim.origins != nil {
			code := w.code(o)
			if w.dim.same != nil {
				code = w.dim.same[code]
			}
			for i := at; i < end; i++ {
				b.code[i-lo] = code
			}
		}
		if realms {
			realm := w.realmID(o)
			for i := at; i < end; i++ {
				b.realm[i-lo] = realm
			}
		}
		if at = end; at == lo+n && int(w.start(o+1)) > at {
			break // more of its rows follow
		}
	}
	return o
}

// ahead are starts and codes of origins that follow each other, read together.
type ahead struct {
	from   int
	n      int
	values [batchRows]uint64
}

// start gives the row with which an origin begins.
func (w *topWorker) start(o int) uint64 {
	a := &w.startsAhead
	if o < a.from || o >= a.from+a.n {
		a.from, a.n = o, min(batchRows, w.starts.Len()-o)
		w.starts.Fill(a.values[:a.n], o)
	}
	return a.values[o-a.from]
}

// code gives an origin's code.
func (w *topWorker) code(o int) uint32 {
	a := &w.codesAhead
	if o < a.from || o >= a.from+a.n {
		a.from, a.n = o, min(batchRows, w.dim.origins.Len()-o)
		w.dim.origins.Fill(a.values[:a.n], o)
	}
	return uint32(a.values[o-a.from])
}

// slowly is rows for questions that compare each row.
func (w *topWorker) slowly(wanted []int32, fn func(b *topBatch)) {
	b := w.batch
	b.n = 0
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	compares := map[uint64]bool{}
	w.blockReader.each(w.masks, w.spans, func(o, lo, hi int, mask uint64) {
		origin := uint32(0)
		if w.dim.origins != nil {
			if origin = w.code(o); w.dim.same != nil {
				origin = w.dim.same[origin]
			}
			if wanted != nil && wanted[origin] == 0 {
				return
			}
		}
		if w.failed(w.b.CheckRows(lo, hi, true)) {
			return
		}
		compare, ok := compares[mask]
		if !ok {
			compare = w.compares(mask)
			compares[mask] = compare
		}
		v, realm := w.versions[0], w.realmID(o)
		for i := lo; i < hi; i++ {
			who, t := w.who.At(i), w.b.Time(i)
			if compare {
				v = w.at(v, t)
			}
			s := v.shapes[who&low]
			if s.pass&mask == 0 || compare && !w.matches(mask&s.pass, s, i, who>>shift, t) {
				continue
			}
			code := origin
			switch {
			case w.dim.shapes != nil:
				code = w.dim.shapes[who&low]
			case w.dim.runs != nil:
				code = w.codeOfRow(i)
			}
			b.code[b.n], b.subject[b.n], b.time[b.n], b.realm[b.n], b.bits[b.n] = code, who>>shift, t, realm, s.rowBits()
			if b.n++; b.n == batchRows {
				fn(b)
				b.n = 0
			}
		}
	})
	if b.n > 0 {
		fn(b)
	}
}

// codeOfRow gives the code of a dimension that each row has for itself.
func (w *topWorker) codeOfRow(row int) uint32 {
	code := w.dim.runs.At(row)
	if code != index.PrincipalOwn || w.dim.own == nil {
		return w.number(code)
	}
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	for ; row > 0 && !w.versions[0].shapes[w.who.At(row)&low].shape.First; row-- {
	}
	return w.number(w.dim.own(w.who.At(row) >> shift))
}

// largest gives the n numbers with the most of counts, those that have some.
func largest(counts []uint32, n int) []uint32 {
	var list []uint32
	least := uint32(0)
	cut := func() {
		sort.Slice(list, func(i, j int) bool { return counts[list[i]] > counts[list[j]] })
		list = list[:min(n, len(list))]
	}
	for number, k := range counts {
		if k > least && number > 0 {
			if list = append(list, uint32(number)); len(list) >= 8*n {
				cut()
				least = counts[list[n-1]]
			}
		}
	}
	cut()
	return list
}
