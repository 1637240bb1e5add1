package index

import "slices"

// Where a subject's rows are: its number is hashed to a bucket, and each entry of a bucket says that a subject with these
// bits of a hash has rows in this stretch. An entry may be another subject's: whoever asks looks at the rows.
const (
	stretchBits = 10 // of a row's number: its stretch has 1,024 rows
	printBits   = 5  // of a hash, beside the bucket
	bucketRows  = 16 // rows a bucket, on average
)

// placeOf gives a number's bucket and print.
func placeOf(number uint64, buckets int) (bucket int, print uint64) {
	h := number * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	return int(h >> 8 % uint64(buckets)), h & (1<<printBits - 1)
}

func bucketsFor(rows int) int { return max(1, rows/bucketRows) }

// subjectPlaces gives the entries of all buckets, and where each bucket begins. who has the rows in their order.
func subjectPlaces(who []uint64, shapeBits uint, named func(shape uint64) bool) (starts []uint32, entries []uint64) {
	n := bucketsFor(len(who))
	list := make([]uint64, 0, len(who))
	for i, v := range who {
		if !named(v & (1<<shapeBits - 1)) {
			continue
		}
		bucket, print := placeOf(v>>shapeBits, n)
		list = append(list, uint64(bucket)<<32|uint64(i)>>stretchBits<<printBits|print)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	starts = make([]uint32, n+1)
	for i, x := range list {
		starts[x>>32+1]++
		list[i] = x & (1<<32 - 1)
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	return starts, list
}

// Span is rows [From, To).
type Span struct{ From, To int }

// Find gives, in order, stretches of rows in which all rows of a subject's number lie. None: it has no row.
func (b *Block) Find(number uint64) ([]Span, error) {
	bucket, print := placeOf(number, bucketsFor(b.head.rows))
	if err := b.checkNumbers(sectionBuckets, &b.buckets, bucket, bucket+2); err != nil {
		return nil, err
	}
	from, to := int(b.buckets.At(bucket)), int(b.buckets.At(bucket+1))
	if from > to || to > b.places.n {
		return nil, &DamageError{b.name}
	}
	if err := b.checkNumbers(sectionPlaces, &b.places, from, to); err != nil {
		return nil, err
	}
	var out []Span
	for i := from; i < to; i++ {
		x := b.places.At(i)
		if x&(1<<printBits-1) != print {
			continue
		}
		lo := int(x>>printBits) << stretchBits
		hi := min(lo+1<<stretchBits, b.head.rows)
		if n := len(out); n > 0 && out[n-1].To == lo {
			out[n-1].To = hi
		} else {
			out = append(out, Span{lo, hi})
		}
	}
	return out, nil
}

// RowsOf calls fn with the rows of a stretch that have a subject's number, and their shapes. A row without a subject has some number,
// too.
func (b *Block) RowsOf(s Span, number uint64, fn func(row int, shape uint64) error) error {
	if err := b.CheckRows(s.From, s.To, false); err != nil {
		return err
	}
	row := s.From - 1
	for rows := b.Each(s.From, s.To); rows.Next(); {
		if row++; rows.Subject == number {
			if err := fn(row, rows.Shape); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNumbers looks at the checksums of some numbers of a section.
func (b *Block) checkNumbers(s section, p *Packed, lo, hi int) error {
	from, to := p.span(lo, hi)
	return b.check(s, from, to)
}
