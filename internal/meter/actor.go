package meter

import (
	"cmp"
	"slices"
)

const window = 60 // minutes that an actor's subjects are counted over

// actor is somebody or something that was shown subjects.
type actor struct {
	kind, name string
	ring       [window + 1]int32 // distinct subjects by the minute they were last shown, so that their sum is of distinct ones
	minute     int64             // the ring's newest
	sum        int64
	tops       [pastDays + 1]int64 // the highest sum of each day
	day        int64               // the newest of tops
	since      int64               // its first minute
	network    string
	networks   map[string]bool // nil beyond many
}

// move turns the ring to a minute, and gives the sum.
func (a *actor) move(minute int64) int64 {
	if minute > a.minute {
		for m := max(a.minute+1, minute-window); m <= minute; m++ {
			at := &a.ring[m%(window+1)]
			a.sum -= int64(*at)
			*at = 0
		}
		a.minute = minute
		// The slot of the minute that has just left the window is the one that the next minute takes.
		if left := &a.ring[(minute+1)%(window+1)]; *left != 0 {
			a.sum -= int64(*left)
			*left = 0
		}
	}
	return a.sum
}

// show counts a subject that was last shown at another minute, 0: not within the window.
func (a *actor) show(minute, before int64) {
	a.move(minute)
	if minute <= a.minute-window {
		return
	}
	if before > a.minute-window && before <= a.minute {
		if at := &a.ring[before%(window+1)]; *at > 0 {
			*at--
			a.sum--
		}
	}
	a.ring[max(before, minute)%(window+1)]++
	a.sum++
	day := minute / dayLong
	for ; a.day < day; a.day++ {
		a.tops[(a.day+1)%(pastDays+1)] = 0
	}
	top := &a.tops[day%(pastDays+1)]
	*top = max(*top, a.sum)
}

// usual is the middle one of its days' highest hours, of days before today on which it was shown anybody.
func (a *actor) usual(day int64) (most int64, known bool) {
	var past []int64
	for d := day - pastDays; d < day; d++ {
		if d > a.day || d <= a.day-(pastDays+1) {
			continue
		}
		if n := a.tops[((d%(pastDays+1))+(pastDays+1))%(pastDays+1)]; n > 0 {
			past = append(past, n)
		}
	}
	if len(past) < leastPast {
		return 0, false
	}
	slices.Sort(past)
	return past[len(past)/2], true
}

// Actor is one actor's hour.
type Actor struct {
	Kind     string // principal, client, key or network
	Name     string
	Subjects int64 // distinct, in the last 60 minutes
	Usual    int64 // at most on its days before
	Known    bool  // it has days before
	Network  string
	Networks int // 0: too many to count
}

// Actors gives those that were shown most subjects in the last hour.
func (m *Meter) top(minute int64, n int) []Actor {
	var out []Actor
	for _, a := range m.actors {
		if a.minute < minute-window {
			continue
		}
		if sum := a.move(minute); sum > 0 {
			usual, known := a.usual(minute / dayLong)
			out = append(out, Actor{a.kind, a.name, sum, usual, known, a.network, len(a.networks)})
		}
	}
	slices.SortFunc(out, func(a, b Actor) int {
		return cmp.Or(cmp.Compare(b.Subjects, a.Subjects), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(n, len(out))]
}
