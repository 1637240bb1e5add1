// Package draw is a counter-based generator of numbers: the same numbers on any machine and with any
// version of Go, in whatever order they are asked for.
//
// Invariants:
//  1. A sequence depends on its seed, purpose, actor and day alone: days and actors can be made in any
//     order, by any number of goroutines.
//  2. Integers only, and no state outside the [Draw] itself.
package draw

import "math/bits"

// Draw is a sequence of numbers for one purpose, one actor and one day: Philox 2x64 with ten rounds (Salmon, Moraes,
// Dror, Shaw 2011) in counter mode.
type Draw struct {
	key, who, counter uint64
	spare             uint64
	hasSpare          bool
}

// New begins a sequence. Up to 2^40 numbers of it do not meet those of another day.
func New(seed, purpose uint64, who, day int) Draw {
	return Draw{key: Mix(seed ^ Mix(purpose)), who: uint64(who), counter: uint64(day+1<<20) << 40}
}

// Skip leaves out 2n numbers.
func (d *Draw) Skip(n int) { d.counter += uint64(n) }

// Next gives 64 bits.
func (d *Draw) Next() uint64 {
	if d.hasSpare {
		d.hasSpare = false
		return d.spare
	}
	var a uint64
	a, d.spare = philox(d.counter, d.who, d.key)
	d.hasSpare = true
	d.counter++
	return a
}

// Below gives a number from 0 to n-1. The bias of the multiplication, n/2^64, is of no matter here.
func (d *Draw) Below(n int) int {
	hi, _ := bits.Mul64(d.Next(), uint64(n))
	return int(hi)
}

// Between gives a number from lo to hi, both included.
func (d *Draw) Between(lo, hi int) int { return lo + d.Below(hi-lo+1) }

// OneIn is true once in n times.
func (d *Draw) OneIn(n int) bool { return d.Below(n) == 0 }

// Permille is true in p of 1,000 cases.
func (d *Draw) Permille(p int) bool { return d.Below(1000) < p }

// Pick gives an index with the probability of its weight.
func (d *Draw) Pick(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := d.Below(sum)
	for i, w := range weights {
		if at < w {
			return i
		}
		at -= w
	}
	panic("BUG: pick ran past its weights")
}

// philox is Philox 2x64-10 of the counter (x0, x1) under key.
func philox(x0, x1, key uint64) (uint64, uint64) {
	for round := 0; ; round++ {
		hi, lo := bits.Mul64(0xD2B74407B1CE6E93, x0)
		x0, x1 = hi^key^x1, lo
		if round == 9 {
			return x0, x1
		}
		key += 0x9E3779B97F4A7C15
	}
}

// Mix is the finaliser of SplitMix64: it spreads small numbers over 64 bits, and no two to the same.
func Mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
