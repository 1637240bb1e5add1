package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The rows of a coded column: for each row the code of its value, codes being given in the order
// of first appearance, 0 for missing. What another column tells is not written: a row whose code
// is the one foretold costs a bit or less.
//
// A code is written as 0 if it is the next new one, else as code + 1.

// The ways to foretell the code of a row.
const (
	foretellNothing = 0 // every code is written
	foretellLast    = 1 // as in the row before
	foretellBy      = 2 // as in the last row with the same code in another column
	foretellByTwo   = 3 // as in the last row with the same codes in two other columns
	foretellOwn     = 4 // the row's first subject behind a prefix: customers who look at themselves
)

// foretold names a way and the columns it needs.
type foretold struct {
	way  byte
	a, b column
}

// maxPairs bounds the table of foretellByTwo.
const maxPairs = 1 << 22

// coded is a column whose rows are known as codes.
type coded struct {
	codes []uint32
	size  int // codes are below it
}

// owners is what foretellOwn needs to write a column: for each code the subject that it names
// behind the prefix, as a code of the subject column, or 0.
type owners struct {
	prefix string
	of     []uint32
}

// rowEncoder turns the rows of one column into bytes.
type rowEncoder struct {
	coded
	columns *[columns]coded
	owners  owners
}

// encode writes the rows in the cheapest of the ways. derived tells which codes foretellOwn gives
// by itself, so that the dictionary leaves them out.
func (e *rowEncoder) encode(b []byte, ways []foretold) (out []byte, derived []bool) {
	best := e.choose(ways)
	b = append(b, best.way)
	if best.way == foretellNothing {
		return appendPlanes(b, e.written()), nil
	}
	switch best.way {
	case foretellBy:
		b = append(b, byte(best.a))
	case foretellByTwo:
		b = append(b, byte(best.a), byte(best.b))
	case foretellOwn:
		b = binary.AppendUvarint(b, uint64(len(e.owners.prefix)))
		b = append(b, e.owners.prefix...)
	}
	missed := make([]byte, (len(e.codes)+7)/8)
	var values []uint32
	derived = e.walk(best, func(row int, value uint32) {
		missed[row/8] |= 1 << (row % 8)
		values = append(values, value)
	})
	b = binary.AppendUvarint(b, uint64(len(values)))
	b = append(b, missed...)
	return appendPlanes(b, values), derived
}

// sampleRows is how many rows are tried to choose a way. The first half of them only fills the
// memory of what was seen; costs are counted over the second.
const sampleRows = 1 << 18

// choose gives the way that makes the sample cheapest.
func (e *rowEncoder) choose(ways []foretold) foretold {
	sample := *e
	sample.codes = e.codes[:min(len(e.codes), sampleRows)]
	from := len(sample.codes) / 2
	n := float64(len(sample.codes) - from)
	counts := make([]int, sample.size+1)
	written := sample.written()[from:]
	for _, v := range written {
		counts[v]++
	}
	best, bestBits := foretold{}, entropy(counts, len(written))
	for _, way := range ways {
		if !sample.possible(way) {
			continue
		}
		clear(counts)
		misses := 0
		sample.walk(way, func(row int, value uint32) {
			if row >= from {
				counts[value]++
				misses++
			}
		})
		flags := entropy([]int{misses, int(n) - misses}, int(n))
		if bits := flags + entropy(counts, misses); bits < bestBits {
			best, bestBits = way, bits
		}
	}
	return best
}

// entropy is what total values take in bits, of which there are so many of each.
func entropy(counts []int, total int) float64 {
	bits := 0.0
	for _, c := range counts {
		if c > 0 {
			bits += float64(c) * math.Log2(float64(total)/float64(c))
		}
	}
	return bits
}

// written gives all codes as they are written.
func (e *rowEncoder) written() []uint32 {
	out, next := make([]uint32, len(e.codes)), uint32(1)
	for i, c := range e.codes {
		if c == next {
			next++
		} else {
			out[i] = c + 1
		}
	}
	return out
}

// possible reports whether the columns that a way needs are there.
func (e *rowEncoder) possible(way foretold) bool {
	a, b := e.columns[way.a], e.columns[way.b]
	switch way.way {
	case foretellBy:
		return a.codes != nil
	case foretellByTwo:
		return a.codes != nil && b.codes != nil && a.size*b.size <= maxPairs
	case foretellOwn:
		return e.columns[columnSubject].codes != nil && e.owners.of != nil
	}
	return true
}

// walk goes through the rows as a reader will and calls miss for each that is not foretold, with
// what is written for it.
func (e *rowEncoder) walk(way foretold, miss func(row int, value uint32)) (derived []bool) {
	next := uint32(1)
	write := func(row int, code uint32) {
		if code == next {
			next++
			miss(row, 0)
		} else {
			miss(row, code+1)
		}
	}
	if way.way == foretellOwn {
		subjects := e.columns[columnSubject]
		own := make([]uint32, subjects.size)
		derived = make([]bool, e.size)
		for row, code := range e.codes {
			s := subjects.codes[row]
			switch {
			case code == own[s]: // both 0: no subject, no principal
				if code == 0 && s != 0 {
					write(row, code)
				}
			case s != 0 && own[s] == 0 && code == next && e.owners.of[code] == s:
				own[s], derived[code] = code, true
				next++
			default:
				write(row, code)
			}
		}
		return derived
	}
	key, size := keyOf(way, e.columns)
	past := make([]uint32, size)
	for row, code := range e.codes {
		k := key(row)
		if past[k] != code {
			write(row, code)
			past[k] = code
		}
	}
	return nil
}

// keyOf gives the number under which a way remembers the last code for a row.
func keyOf(way foretold, columns *[columns]coded) (key func(row int) int, size int) {
	switch a, b := columns[way.a], columns[way.b]; way.way {
	case foretellBy:
		return func(row int) int { return int(a.codes[row]) }, a.size
	case foretellByTwo:
		return func(row int) int { return int(a.codes[row])*b.size + int(b.codes[row]) }, a.size * b.size
	}
	return func(int) int { return 0 }, 1
}

var errCodes = errors.New("holds a code that nothing stands for")

// rows reads the rows of a column. need gives the rows of an earlier column. prefix and derived
// are set if the way is foretellOwn: derived lists for each code that was foretold at its first
// appearance the subject's code.
func (d *reader) rows(n int, self column, need func(column) (coded, error)) (c coded, prefix string, derived []uint32) {
	way := foretold{way: d.byte()}
	var known [columns]coded
	ask := func(of column) column {
		if d.err == nil && (of == 0 || of >= self || !of.coded()) {
			d.fail(errCodes)
		}
		if d.err == nil {
			var err error
			if known[of], err = need(of); err != nil {
				d.fail(err)
			}
		}
		return of
	}
	switch way.way {
	case foretellNothing, foretellLast:
	case foretellBy:
		way.a = ask(column(d.byte()))
	case foretellByTwo:
		way.a = ask(column(d.byte()))
		way.b = ask(column(d.byte()))
		if d.err == nil && known[way.a].size*known[way.b].size > maxPairs {
			d.fail(errCodes)
		}
	case foretellOwn:
		prefix = d.take(d.uvarint())
		way.a = ask(columnSubject)
	default:
		d.fail(fmt.Errorf("has rows written in the unknown way %d", way.way))
	}
	missed, count := "", n
	if way.way != foretellNothing {
		count = int(min(d.uvarint(), math.MaxInt32))
		missed = d.take(uint64(n+7) / 8)
	}
	written := planes[uint32](d, count)
	if d.err == nil && len(d.s) > 0 {
		d.fail(errNotCanonical)
	}
	if d.err != nil {
		return coded{}, "", nil
	}
	w := rowDecoder{missed: missed, written: written, next: 1, codes: make([]uint32, n)}
	ok := false
	switch way.way {
	case foretellNothing:
		ok = w.all()
	case foretellOwn:
		derived, ok = w.own(known[columnSubject])
	default:
		ok = w.past(way, &known)
	}
	if !ok || w.used != len(written) {
		d.fail(errCodes)
		return coded{}, "", nil
	}
	return coded{w.codes, int(w.next)}, prefix, derived
}

// rowDecoder is the reading side of rowEncoder.
type rowDecoder struct {
	missed  string
	written []uint32
	used    int
	next    uint32
	codes   []uint32
}

// read takes the next written code.
func (w *rowDecoder) read() (code uint32, ok bool) {
	if w.used >= len(w.written) {
		return 0, false
	}
	v := w.written[w.used]
	w.used++
	if v == 0 {
		w.next++
		return w.next - 1, true
	}
	return v - 1, v <= w.next
}

func (w *rowDecoder) isMissed(row int) bool { return w.missed[row>>3]>>(row&7)&1 == 1 }

func (w *rowDecoder) all() bool {
	for row := range w.codes {
		code, ok := w.read()
		if !ok {
			return false
		}
		w.codes[row] = code
	}
	return true
}

func (w *rowDecoder) past(way foretold, columns *[columns]coded) bool {
	key, size := keyOf(way, columns)
	past := make([]uint32, size)
	for row := range w.codes {
		k := key(row)
		if w.isMissed(row) {
			code, ok := w.read()
			if !ok || code == past[k] {
				return false
			}
			past[k] = code
		}
		w.codes[row] = past[k]
	}
	return true
}

func (w *rowDecoder) own(subjects coded) (derived []uint32, ok bool) {
	own := make([]uint32, subjects.size)
	derived = make([]uint32, 1, len(w.codes)/4+1)
	for row := range w.codes {
		s := subjects.codes[row]
		switch {
		case w.isMissed(row):
			code, ok := w.read()
			if !ok {
				return nil, false
			}
			w.codes[row] = code
			if int(w.next) > len(derived) {
				derived = append(derived, 0)
			}
		case s != 0 && own[s] == 0:
			own[s] = w.next
			w.codes[row] = w.next
			w.next++
			derived = append(derived, s)
		default:
			w.codes[row] = own[s]
		}
	}
	return derived, true
}
