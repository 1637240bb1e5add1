package index

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestMonotone holds every number, stretches of them, and the search against a plain list.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]uint64{0, 1, 7, 300, 1 << 20, 1 << 32, 1 << 45}).Draw(t, "most")
		list := rapid.SliceOfN(rapid.Uint64Range(0, most), 0, rapid.SampledFrom([]int{3, 255, 256, 257, 3000}).Draw(t, "n")).Draw(t, "list")
		slices.Sort(list)
		largest := rapid.Uint64Range(slices.Max(append(list, 0)), most).Draw(t, "largest")
		b, width := appendMonotone(nil, list, largest)
		m, ok := newMonotone(b, len(list), width)
		if !ok {
			t.Fatalf("%d numbers do not read", len(list))
		}
		got := make([]uint64, len(list))
		for i := range list {
			got[i] = m.At(i)
		}
		if !slices.Equal(got, list) {
			t.Fatalf("At gives %v, want %v", got, list)
		}
		if len(list) > 0 {
			from := rapid.IntRange(0, len(list)-1).Draw(t, "from")
			got := make([]uint64, rapid.IntRange(0, len(list)-from).Draw(t, "length"))
			if m.Fill(got, from); !slices.Equal(got, list[from:from+len(got)]) {
				t.Fatalf("Fill from %d gives %v, want %v", from, got, list[from:from+len(got)])
			}
		}
		for _, x := range append(rapid.SliceOfN(rapid.Uint64Range(0, most+1), 0, 20).Draw(t, "asked"), append(list, 0, largest, largest+1, math.MaxUint64)...) {
			want, _ := slices.BinarySearch(list, x)
			if at := m.Search(x); at != want {
				t.Fatalf("%d is at %d, want %d", x, at, want)
			}
			end := want
			for end < len(list) && list[end] == x {
				end++
			}
			if from, to := m.Equal(x); from != want || to != end {
				t.Fatalf("those equal to %d are %d to %d, want %d to %d", x, from, to, want, end)
			}
		}
	})
}

// FuzzMonotone reads what was never written: it may give any number up to the largest, and must not panic.
func FuzzMonotone(f *testing.F) {
	b, width := appendMonotone(nil, []uint64{1, 5, 5, 900}, 1000)
	f.Add(b, 4, uint8(width))
	f.Fuzz(func(t *testing.T, b []byte, n int, width uint8) {
		if n < 0 || n > 1<<20 || width > maxWidth {
			return
		}
		m, ok := newMonotone(b, n, uint(width))
		if !ok {
			return
		}
		all := make([]uint64, n)
		if n > 0 {
			m.Fill(all, 0)
		}
		for i := range n {
			if at := m.At(i); at > m.Largest() || all[i] > m.Largest() {
				t.Fatalf("number %d is %d or %d, above %d", i, at, all[i], m.Largest())
			}
			if at := m.Search(all[i]); at < 0 || at > n {
				t.Fatalf("a search gives %d of %d", at, n)
			}
			if from, to := m.Equal(all[i]); from < 0 || from > to || to > n {
				t.Fatalf("a search gives %d to %d of %d", from, to, n)
			}
		}
	})
}
