package draw

import "testing"

// The known answers of Random123's kat_vectors for philox2x64 with ten rounds.
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, tt := range []struct{ x0, x1, key, want0, want1 uint64 }{
		{0, 0, 0, 0xca00a0459843d731, 0x66c24222c9a845b5},
		{^uint64(0), ^uint64(0), ^uint64(0), 0x65b021d60cd8310f, 0x4d02f3222f86df20},
		{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x0a5e742c2997341c, 0xb0f883d38000de5d},
	} {
		a, b := philox(tt.x0, tt.x1, tt.key)
		if a != tt.want0 || b != tt.want1 {
			t.Errorf("philox(%#x, %#x, %#x) = %#x, %#x, want %#x, %#x", tt.x0, tt.x1, tt.key, a, b, tt.want0, tt.want1)
		}
	}
}

func TestDrawStaysInRange(t *testing.T) {
	d := New(7, 4, 3, -29)
	seen := make(map[int]int)
	for range 30_000 {
		v := d.Between(-2, 3)
		if v < -2 || v > 3 {
			t.Fatalf("between(-2, 3) gave %d", v)
		}
		seen[v]++
		if i := d.Pick([]int{1, 0, 5}); i == 1 || i > 2 {
			t.Fatalf("pick took index %d, which has no weight", i)
		}
	}
	for v, n := range seen {
		if n < 4_500 || n > 5_500 {
			t.Errorf("%d came %d times of 30000, want about 5000", v, n)
		}
	}
}
