package index_test

import (
	"testing"

	"github.com/whosaw/whosaw/internal/index"
)

// TestMark holds the bits and counts of stretches of rows against the rows one by one, pages missing included.
func TestMark(t *testing.T) {
	dir, v := sealed(t, records(11, 250, false))
	s := store(t, dir, v)
	parts := v.Parts()
	b := s.Block(&parts[0])
	if b == nil {
		t.Fatal("there is no block")
	}
	if err := b.CheckRows(0, b.Rows(), true); err != nil {
		t.Fatal(err)
	}
	shapes := 1 << b.ShapeBits()
	for lo := 0; lo < b.Rows(); lo += 7 {
		hi := min(lo+lo%50, b.Rows())
		to, counts, want := make([][]*index.Bits, shapes), [2][]uint32{}, make([]uint32, shapes)
		set := map[[2]uint64]bool{}
		for i := range counts {
			counts[i] = make([]uint32, shapes)
		}
		for i := range to {
			to[i] = make([]*index.Bits, b.LargestSubject()>>16+1)
		}
		for rows := b.Each(lo, hi); rows.Next(); {
			want[rows.Shape]++
			set[[2]uint64{rows.Shape, rows.Subject}] = true
		}
		for at := lo; at < hi; {
			if at = b.Mark(at, hi, to, &counts); at < hi {
				subject, shape, err := b.WhoOf(at)
				if err != nil || to[shape][subject>>16] != nil {
					t.Fatalf("it stopped at row %d: %v", at, err)
				}
				to[shape][subject>>16] = new(index.Bits)
			}
		}
		bits := int64(0)
		for shape := range to {
			if got := counts[0][shape] + counts[1][shape]; got != want[shape] {
				t.Fatalf("rows %d to %d: %d of shape %d, want %d", lo, hi, got, shape, want[shape])
			}
			for _, page := range to[shape] {
				if page != nil {
					bits += page.Count()
				}
			}
		}
		for k := range set {
			if page := to[k[0]][k[1]>>16]; page == nil || page[k[1]>>6&1023]>>(k[1]&63)&1 == 0 {
				t.Fatalf("rows %d to %d: no bit of shape %d for subject %d", lo, hi, k[0], k[1])
			}
		}
		if bits != int64(len(set)) {
			t.Fatalf("rows %d to %d: %d bits, want %d", lo, hi, bits, len(set))
		}
	}
}
