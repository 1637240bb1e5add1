package index

import (
	"encoding/binary"
	"slices"
)

// findsOf gives where the subjects of rows are, as keys for a finder: the hash of a subject over the stretch of its row, sorted. who has
// the rows in their order.
func (b *builder) findsOf(subjects *subjectTable, who []uint64, shapeBits uint) []uint64 {
	keys := make([]uint64, 0, len(who))
	for row, v := range who {
		if b.blobs[v&(1<<shapeBits-1)][0]&shapeSubject != 0 {
			keys = append(keys, subjects.hash(v>>shapeBits)<<keyStretch|uint64(row)>>stretchBits)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// hash gives the hash of a subject's number.
func (t *subjectTable) hash(number uint64) uint64 {
	switch {
	case !t.coded:
		return hashOfInt(number)
	case number < uint64(len(t.ints)):
		return hashOfInt(t.ints[number])
	}
	return hashOfText(t.texts[number-uint64(len(t.ints))])
}

// finds is findsOf from a block that was written before.
func (b *Block) finds() ([]uint64, error) {
	subjects, err := b.Subjects()
	if err != nil {
		return nil, err
	}
	shapes, err := b.Shapes()
	if err == nil {
		err = b.whole(sectionWho)
	}
	if err != nil {
		return nil, err
	}
	named := make([]bool, shapes.Len())
	for i := range named {
		text := shapes.At(i + 1)
		if text == "" {
			return nil, &DamageError{b.name}
		}
		named[i] = NamesSubject(text)
	}
	keys := make([]uint64, 0, b.head.rows)
	row := -1
	for rows := b.Each(0, b.head.rows); rows.Next(); {
		if row++; rows.Shape >= uint64(len(named)) {
			return nil, &DamageError{b.name}
		}
		if !named[rows.Shape] {
			continue
		}
		n, text, isText := subjects.Get(rows.Subject)
		hash := hashOfInt(n)
		if isText {
			hash = hashOfText(text)
		}
		keys = append(keys, hash<<keyStretch|uint64(row)>>stretchBits)
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// RowsOf calls fn with the rows of a stretch that have a subject's number, and their shapes. A row without a subject has some number,
// too.
func (b *Reader) RowsOf(s Span, number uint64, fn func(row int, shape uint64) error) error {
	for s.To = min(s.To, b.head.rows); s.From < s.To; {
		to := min(s.To, s.From&^(rowsAtOnce-1)+rowsAtOnce)
		if err := b.rowsOf(s.From, to, number, fn); err != nil {
			return err
		}
		s.From = to
	}
	return nil
}

// rowsAtOnce is how many rows are read together.
const rowsAtOnce = 1 << stretchBits

func (b *Reader) rowsOf(lo, hi int, number uint64, fn func(row int, shape uint64) error) error {
	from, to := b.who.span(lo, hi)
	in, err := b.read(sectionWho, from, min(to, b.extents[sectionWho].size))
	if err != nil {
		return err
	}
	width, mask, shift := b.who.width, b.who.mask, b.head.shapeBits
	bit := uint(lo)*width - uint(from)*8
	var hits [rowsAtOnce]uint64 // what fn does may read other bytes in the place of these
	n := 0
	for row := lo; row < hi; row++ {
		v := binary.LittleEndian.Uint64(in[bit>>3:]) >> (bit & 7) & mask
		bit += width
		if v>>shift == number {
			hits[n] = uint64(row-lo)<<32 | v&b.mask
			n++
		}
	}
	for _, x := range hits[:n] {
		if err := fn(lo+int(x>>32), x&(1<<32-1)); err != nil {
			return err
		}
	}
	return nil
}

// checkNumbers looks at the checksums of some numbers of a section.
func (b *Block) checkNumbers(s section, p *Packed, lo, hi int) error {
	from, to := p.span(lo, hi)
	return b.check(s, from, to)
}
