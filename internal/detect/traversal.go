package detect

import "github.com/whosaw/whosaw"

// nearness is what a unit has met today of a subject and its neighbours.
type nearness struct {
	known        bool // the unit's set of today would hold it
	here         bool
	below, above bool
}

// neighbours looks up a subject in the sets of the access's units.
func (e *Engine) neighbours(v *view, s subject) *[nKinds]nearness {
	out := &e.near
	*out = [nKinds]nearness{}
	n, ok := s.number()
	if !ok {
		e.stats[traversal].skip(whyNoNumber)
		return out
	}
	for k, u := range v.units {
		if u == nil {
			continue
		}
		if u.day != v.on {
			if v.on < u.day {
				e.stats[traversal].skip(whyLate)
				continue
			}
			e.table.ids -= u.ids.blocks()
			u.ids.reset()
			u.day = v.on
		}
		x := &out[k]
		x.known = e.table.ids < e.cfg.MaxIDs
		x.here, x.below, x.above = u.ids.near(n)
	}
	return out
}

// tryOrder asks of a number new to a unit today, which has exactly one neighbour among those met today, whether
// the neighbour is the lower one (ascending) or the higher one (descending).
func (e *Engine) tryOrder(v *view, s subject, en *entry, near *[nKinds]nearness) (tried bool) {
	n, ok := s.number()
	x := e.realm(v.realm, v.r.Realm)
	t := trial{d: traversal, w: &e.orderWeights}
	for _, k := range e.rule[traversal].watched {
		u := v.units[k]
		if u == nil {
			continue
		}
		t.valid, t.hits = 0, 0
		if at := &near[k]; ok && !at.here && at.below != at.above && e.settled(u, x, n) {
			tried = true
			t.valid, t.hits = e.upward|e.downward, e.downward
			if at.below {
				t.hits = e.upward
			}
		}
		if e.drive(u, v, t, en) {
			e.crossed[traversal] |= 1 << k
		}
	}
	if tried {
		e.stats[traversal].trials++
	}
	return tried
}

// settled reports whether a number lies below the frontier where new customers' numbers are given out.
func (e *Engine) settled(u *unit, x *realm, n uint64) bool {
	st := &e.stats[traversal]
	bound, ok := x.frontiers[u.kind].settled.others(u.id)
	switch {
	case !ok && coarse(u.kind):
		st.skip(whyAlone)
		return false
	case ok && n > bound:
		st.skip(whyFrontier)
		return false
	}
	return true
}

// remember adds the access's numbers to its units' sets, after all of them were judged: the order of the entries of a list is
// the server's.
func (e *Engine) remember(v *view) {
	for _, s := range v.subjects {
		n, ok := number(s)
		if !ok {
			continue
		}
		for _, u := range v.units {
			if u == nil || u.day != v.on {
				continue
			}
			if e.table.ids >= e.cfg.MaxIDs {
				e.stats[traversal].skip(whyMemory)
				continue
			}
			was := u.ids.blocks()
			u.ids.add(n)
			e.table.ids += u.ids.blocks() - was
		}
	}
}

// coarse units hold so many actors that new customers come in order of their numbers.
func coarse(k kind) bool { return k == kindKey || k == kindClient || k == kindCell }

// frontier is where new customers' numbers are given out. Those near it come in order: they sign up in order, and the
// welcome mail of the next day goes out in order. A number counts once another unit of the same kind has shown it, or a
// higher one, a week ago; in the log's first week, in its first day; in its first day, in an hour that is over.
type frontier struct {
	now, settled twoHighest
	days         []twoHighest // at the end of each of the last days, the oldest first
}

// frontierDays is how old a customer's number is before it is looked at.
const frontierDays = 7

// hourOver is called when an hour is over, and days whole days since the log began with it.
func (f *frontier) hourOver(first bool, days int64) {
	if first {
		f.settled = f.now
	}
	for range min(days, frontierDays) {
		if len(f.days) == frontierDays {
			f.days = f.days[:copy(f.days, f.days[1:])]
		}
		f.days = append(f.days, f.now)
		f.settled = f.days[0]
	}
}

// twoHighest keeps the highest number shown, and the highest by any other unit.
type twoHighest struct {
	unit, other     uint64 // 0: none
	highest, second uint64
}

// others gives the highest number that units other than this have shown.
func (t *twoHighest) others(unit uint64) (highest uint64, ok bool) {
	if t.unit != unit {
		return t.highest, t.unit != 0
	}
	return t.second, t.other != 0
}

func (t *twoHighest) add(unit, n uint64) {
	switch {
	case unit == t.unit:
		t.highest = max(t.highest, n)
	case t.unit == 0 || n > t.highest:
		t.other, t.second = t.unit, t.highest
		t.unit, t.highest = unit, n
	case unit == t.other:
		t.second = max(t.second, n)
	case t.other == 0 || n > t.second:
		t.other, t.second = unit, n
	}
}

// frontier notes the highest numbers shown, by explained accesses too.
func (e *Engine) frontier(v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	x := e.realm(v.realm, v.r.Realm)
	r := v.r
	present := [nKinds]bool{
		kindKey: r.Key != "", kindClient: r.Client != "", kindPrincipal: r.Principal != "", kindCredential: r.Credential != "",
		kindCell: r.ASN != 0 || r.Country != "" || r.Agent != "", kindNetwork: r.IP.IsValid(), kindIP: r.IP.IsValid(),
	}
	for _, subject := range v.subjects {
		n, ok := number(subject)
		if !ok {
			continue
		}
		for k := range nKinds {
			if f := &x.frontiers[k].now; present[k] && n > f.second {
				if id := e.idOf(v, k); id != 0 {
					f.add(id, n)
				}
			}
		}
	}
}
