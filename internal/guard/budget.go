package guard

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// budgets counts the new customers of capped actors. Those who count by answers and those who count by access records add to
// the same sets, so that one customer of one actor counts once however it is told.
//
// Memory: an actor for each staff member, partner, client or key that a configured budget names, and some 20 bytes for each pair of an actor
// and a customer, at most maxPairs. Beyond it pairs are not kept and each sight counts as new: stricter, never laxer.
type budgets struct {
	list []Budget
	seed maphash.Seed // collisions cannot be made from outside

	mu     sync.RWMutex
	actors map[actorKey]*actor
	pairs  int // over all actors; of mu
}

type actorKey struct{ realm, of string }

const (
	maxPairs  = 1 << 22
	maxActors = 1 << 18
	newAfter  = 90 // days
	monthDays = 30
)

// actor is what one actor was shown.
type actor struct {
	mu    sync.Mutex
	seen  map[uint64]uint16 // customer to the last day
	day   uint16            // of counts[0]
	count [monthDays]uint32 // new customers by day, today first
	open  []opened          // those counted, whom a reason that comes later may yet explain; at most maxOpen
	swept time.Time         // when they were last asked about
}

// opened is a customer that was counted.
type opened struct {
	subject string
	day     uint16
	at      int64 // milliseconds
}

const (
	maxOpen   = 4096        // beyond it a reason that comes late gives nothing back
	sweepEach = time.Second // at most, where the budget is spent
)

// refund gives back what reasons have explained since. Tickets and orders are often written after the page was opened. mu must be held.
func (a *actor) refund(explained func(subject string, at int64) bool, now time.Time) {
	if now.Sub(a.swept) < sweepEach && !a.swept.IsZero() {
		return
	}
	a.swept = now
	kept := a.open[:0]
	for _, o := range a.open {
		back := max(0, int(a.day)-int(o.day)) // before 0: the clock was put back, and it counts today
		switch {
		case back >= monthDays:
		case explained(o.subject, o.at):
			a.count[back] -= min(a.count[back], 1)
		default:
			kept = append(kept, o)
		}
	}
	clear(a.open[len(kept):])
	a.open = kept
}

func newBudgets(list []Budget) *budgets {
	return &budgets{list: list, seed: maphash.MakeSeed(), actors: map[actorKey]*actor{}}
}

func (b *budgets) any() bool { return len(b.list) > 0 }

func (b *budgets) hash(subject string) uint64 { return maphash.String(b.seed, subject) }

func dayOf(t time.Time) uint16 { return uint16(t.Unix() / 86400) }

// caps gives the actor that a budget caps, if the identity is one.
func (b *Budget) caps(id *Identity) (actorKey, bool) {
	what, name, _ := strings.Cut(b.Of, ":")
	switch what {
	case "principal":
		if class, _, ok := strings.Cut(id.Principal, ":"); ok && class == name {
			return actorKey{id.Realm, id.Principal}, true
		}
	case "client":
		if id.Client == name {
			return actorKey{id.Realm, "client " + name}, true
		}
	case "key":
		if id.Key == name {
			return actorKey{id.Realm, "key " + name}, true
		}
	}
	return actorKey{}, false
}

// each calls fn with each budget that caps the identity.
func (b *budgets) each(id *Identity, fn func(b *Budget, a *actor)) {
	for i := range b.list {
		if k, ok := b.list[i].caps(id); ok {
			fn(&b.list[i], b.actor(k))
		}
	}
}

// actor gives the actor of a key, made if need be. When there are as many as may be, further ones share one.
func (b *budgets) actor(k actorKey) *actor {
	b.mu.RLock()
	a := b.actors[k]
	b.mu.RUnlock()
	if a != nil {
		return a
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a = b.actors[k]; a != nil {
		return a
	}
	k = actorKey{strings.Clone(k.realm), strings.Clone(k.of)}
	if len(b.actors) >= maxActors {
		k = actorKey{"", "\x00others"}
		if a = b.actors[k]; a != nil {
			return a
		}
	}
	a = &actor{seen: map[uint64]uint16{}}
	b.actors[k] = a
	return a
}

// turn moves the counts to today. A request that began before midnight may come after one of the new day, whose count it joins; a clock that was
// put back further takes the days that have not come with it, for what was counted on them was shown already. mu must be held.
func (a *actor) turn(today uint16) {
	switch d := int(today) - int(a.day); {
	case d < -1:
		first := min(-d, monthDays-1)
		for i := range first {
			a.count[first] += a.count[i]
		}
		copy(a.count[:], a.count[first:])
		clear(a.count[monthDays-first:])
		a.day = today
	case d <= 0:
	case d >= monthDays:
		a.count = [monthDays]uint32{}
		a.day = today
	default:
		copy(a.count[d:], a.count[:monthDays-d])
		clear(a.count[:d])
		a.day = today
	}
}

// left gives how many new customers are left. mu must be held.
func (a *actor) left(b *Budget) int64 {
	left := int64(1 << 62)
	if b.Day > 0 {
		left = b.Day - int64(a.count[0])
	}
	if b.Month > 0 {
		sum := int64(0)
		for _, n := range a.count {
			sum += int64(n)
		}
		left = min(left, b.Month-sum)
	}
	return max(0, left)
}

func (a *actor) over(b *Budget, explained func(string, int64) bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(dayOf(now))
	if a.left(b) > 0 {
		return false
	}
	a.refund(explained, now)
	return a.left(b) == 0
}

// fresh reports whether a customer would be new.
func (a *actor) fresh(subject uint64, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isNew(subject, dayOf(now))
}

func (a *actor) isNew(subject uint64, today uint16) bool {
	last, ok := a.seen[subject]
	return !ok || int(today)-int(last) > newAfter
}

// spend reports whether the budget allows all of the new customers, and adds them if they are to be taken.
func (a *actor) spend(all *budgets, b *Budget, subjects []string, explained func(string, int64) bool, now time.Time, take bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(dayOf(now))
	today := a.day
	n := int64(0)
	for _, s := range subjects {
		if a.isNew(all.hash(s), today) {
			n++
		}
	}
	if n > a.left(b) {
		if a.refund(explained, now); n > a.left(b) {
			return false
		}
	}
	if take {
		for _, s := range subjects {
			a.add(all, s, today, now.UnixMilli())
		}
	}
	return true
}

// add notes that the actor was shown a customer on a day; one that has not come, by the clock of whoever says so, is today. mu must be held.
func (a *actor) add(all *budgets, name string, day uint16, at int64) {
	subject, day := all.hash(name), min(day, a.day)
	if a.isNew(subject, day) {
		if back := int(a.day) - int(day); back < monthDays {
			a.count[back]++
			if len(a.open) < maxOpen {
				a.open = append(a.open, opened{strings.Clone(name), day, at})
			}
		}
	}
	if last, ok := a.seen[subject]; ok {
		a.seen[subject] = max(last, day)
		return
	}
	if all.room(1) {
		a.seen[subject] = day
	}
}

func (b *budgets) room(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pairs+n > maxPairs {
		return false
	}
	b.pairs += n
	return true
}

// see adds what an access record says was shown.
func (b *budgets) see(id *Identity, subjects []string, at, now time.Time) {
	if now.Sub(at) > newAfter*24*time.Hour {
		return
	}
	b.each(id, func(_ *Budget, a *actor) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.turn(dayOf(now))
		for _, s := range subjects {
			a.add(b, s, dayOf(at), at.UnixMilli())
		}
	})
}

// forget drops what is older than what makes a customer new.
func (b *budgets) forget(now time.Time) {
	b.mu.RLock()
	actors := make([]*actor, 0, len(b.actors))
	for _, a := range b.actors {
		actors = append(actors, a)
	}
	b.mu.RUnlock()
	today, n := dayOf(now), 0
	for _, a := range actors {
		a.mu.Lock()
		for s, last := range a.seen {
			if int(today)-int(last) > newAfter {
				delete(a.seen, s)
				n++
			}
		}
		a.mu.Unlock()
	}
	b.mu.Lock()
	b.pairs -= n
	b.mu.Unlock()
}
