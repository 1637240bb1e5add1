package sim

import "math/bits"

// purpose keeps the draws for one thing apart from those for another.
type purpose uint64

const (
	forNumbers purpose = 1 + iota
	forCustomer
	forDay
	forToken
	forAgent
	forCourier
	forGuest
	forCrawler
	forJob
	forStale
	forStorm
	forDelay
	forAttack
	forSize
)

// draw is a sequence of numbers for one purpose, one actor and one day: Philox 2x64 with ten rounds
// (Salmon, Moraes, Dror, Shaw 2011) in counter mode. There is no state to carry from one actor to the
// next, so days and customers can be made in any order.
type draw struct {
	key, who, counter uint64
	spare             uint64
	hasSpare          bool
}

// newDraw begins a sequence. Up to 2^40 numbers of it do not meet those of another day.
func newDraw(seed uint64, what purpose, who int, day int) draw {
	return draw{key: mix(seed ^ mix(uint64(what))), who: uint64(who), counter: uint64(day+1<<20) << 40}
}

func (d *draw) next() uint64 {
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

// below gives a number from 0 to n-1. The bias of the multiplication, n/2^64, is of no matter here.
func (d *draw) below(n int) int {
	hi, _ := bits.Mul64(d.next(), uint64(n))
	return int(hi)
}

// between gives a number from lo to hi, both included.
func (d *draw) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

// oneIn is true once in n times.
func (d *draw) oneIn(n int) bool { return d.below(n) == 0 }

// permille is true in p of 1,000 cases.
func (d *draw) permille(p int) bool { return d.below(1000) < p }

// pick gives an index with the probability of its weight.
func (d *draw) pick(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := d.below(sum)
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

// mix is the finaliser of SplitMix64: it spreads small numbers over 64 bits.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
