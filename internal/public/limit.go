package public

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// limit lets each network do something some times a minute. Its memory is fixed: networks share a place by chance, and whoever floods from many
// networks makes others wait at most for the same time, and never longer.
type limit struct {
	most float64 // at once
	rate float64 // a second
	seed maphash.Seed

	mu     sync.Mutex
	places []place
}

type place struct {
	left float64
	at   time.Time
}

const limitPlaces = 1 << 14

func newLimit(most int, perMinute float64) *limit {
	return &limit{most: float64(most), rate: perMinute / 60, seed: maphash.MakeSeed(), places: make([]place, limitPlaces)}
}

// networkOf is what counts together: an IPv4/24, an IPv6/48.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.WithZone("").Prefix(bits) // of an address, it is one
	return p
}

// take reports whether a network may go on, and if not, when.
func (l *limit) take(network netip.Prefix, now time.Time) (ok bool, wait time.Duration) {
	i := maphash.Comparable(l.seed, network) % limitPlaces
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.places[i]
	if p.at.IsZero() {
		p.left = l.most
	} else if since := now.Sub(p.at).Seconds(); since > 0 {
		p.left = min(l.most, p.left+since*l.rate)
	}
	p.at = now
	if p.left < 1 {
		return false, time.Duration((1 - p.left) / l.rate * float64(time.Second))
	}
	p.left--
	return true, 0
}
