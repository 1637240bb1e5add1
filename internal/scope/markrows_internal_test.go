package scope

import (
	"math/rand/v2"
	"testing"
)

// TestClassSpans gives rows of random classes and times, a class often for the first time inside of what others have covered, and looks for the
// earliest and the latest of each bit row by row.
func TestClassSpans(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for range 3000 {
		class := make([]uint8, 1+rng.IntN(4))
		for i := range class {
			class[i] = uint8(rng.IntN(classes))
		}
		var span classSpans
		span.begin(class)
		type reach struct {
			from, to int64
			ok       bool
		}
		want := map[int]reach{}
		for range 1 + rng.IntN(3) {
			who, times := make([]uint64, rng.IntN(30)), make([]uint64, 30)
			for i := range who {
				shape, at := rng.IntN(len(class)), rng.Uint64N(40)
				who[i], times[i] = uint64(shape)|rng.Uint64N(9)<<2, at
				for bit := 1; bit < classes; bit <<= 1 {
					if int(class[shape])&bit == 0 {
						continue
					}
					x, now := want[bit], 1000+int64(at)
					if !x.ok {
						x = reach{now, now, true}
					}
					want[bit] = reach{min(x.from, now), max(x.to, now), true}
				}
			}
			span.add(class, who, times[:len(who)], 3)
		}
		for bit := 1; bit < classes; bit <<= 1 {
			from, to, ok := span.of(bit, 1000)
			if x := want[bit]; ok != x.ok || ok && (from != x.from || to != x.to) {
				t.Fatalf("classes %v, bit %d: from %d to %d (%v), want %v", class, bit, from, to, ok, x)
			}
		}
	}
}
