package index

import (
	"math/rand/v2"
	"testing"
)

// TestNthOne holds the place of a word's ones against looking at its bits one by one.
func TestNthOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := []uint64{1, 1 << 63, ^uint64(0), 0x8080808080808080, 0x0101010101010101, 0xff00000000000000, 255}
	for range 5000 {
		words = append(words, rng.Uint64(), rng.Uint64()&rng.Uint64()&rng.Uint64(), rng.Uint64()|rng.Uint64()|rng.Uint64())
	}
	for _, w := range words {
		n := 0
		for i := range 64 {
			if w>>i&1 == 0 {
				continue
			}
			if got := nthOne(w, n); got != i {
				t.Fatalf("one %d of %#x is said to be at %d, it is at %d", n, w, got, i)
			}
			n++
		}
	}
}
