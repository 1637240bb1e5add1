package detect

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Several engines may share one realm's accesses too: each observes some of them and passes the others, and all observe what is no access. What
// is a set or a count is then merged as if one had seen all. A statistic hangs on the order of trials, which is gone: of each test the merged unit
// takes the greater, as fold does. e^max(a,b) <= e^a + e^b, so the bounds of the parts add up to that of all their trials; and no statistic falls by it, so
// of m parts a unit needs at most m times the hits until it crosses. Nothing that a part was suspicious of is forgotten.

// MergePart takes over what another engine holds of the same realms, which must not be used any more. Both must have the same configuration and have been
// told of the same records: of what is no access by Observe both, of each access one by Observe and the other by Pass. Findings that records of reference
// raise are then raised by both, with the same id.
func (e *Engine) MergePart(o *Engine) error {
	switch {
	case e.cfg.Fingerprint() != o.cfg.Fingerprint():
		return errors.New("merge detectors: they have another configuration")
	case e.count != o.count || e.seq != o.seq || e.seen != o.seen || e.sure != o.sure || e.clock != o.clock:
		return fmt.Errorf("merge detectors: one is told of %d records up to %d, the other of %d up to %d", e.count, e.seq, o.count, o.seq)
	}
	for _, y := range o.realmList {
		if x := e.realms[text(y.name)]; x != nil && x.watermark != y.watermark {
			return fmt.Errorf("merge detectors: of realm %q one has been told of other issuances", y.name)
		}
	}
	e.joinRealms(o)
	e.joinStrata(o)
	both := e.joinDossiers(o)
	for _, u := range o.table.list {
		u.open = slices.DeleteFunc(u.open, func(a *accusation) bool { return a.file != nil && both[a.file] })
		u.accused = len(u.open) > 0
		if p := e.table.m.get(u.id); p != nil {
			p.join(u)
			continue
		}
		u.place = int32(len(e.table.list))
		e.table.m.put(u)
		e.table.list = append(e.table.list, u)
	}
	e.table.dropped += o.table.dropped
	e.table.folded += o.table.folded
	e.views = max(e.views, o.views)
	e.recount()
	e.joinActors(o)
	e.joinKeys(o)
	e.mergeQueue(o)
	for _, x := range e.realmList {
		heap.Init(&x.waiting)
		for _, c := range x.classes {
			heap.Init(&c.waiting)
		}
	}
	e.legacy.merge(&o.legacy)
	e.daily.merge(&o.daily.bloom)
	e.daily.day = max(e.daily.day, o.daily.day)
	for _, set := range []map[uint64]struct{}{o.judged.old, o.judged.young} {
		for _, h := range sortedKeys(set) {
			e.judged.add(h)
		}
	}
	e.joinHistory(o)
	e.facts = max(e.facts, o.facts)
	for d := range e.stats {
		e.stats[d].merge(&o.stats[d])
	}
	e.people, e.canaries = e.people || o.people, e.canaries || o.canaries
	e.known = known{seed: e.known.seed}
	e.known.begin()
	return o.Close()
}

// join takes over what a part knows of the same actor.
func (u *unit) join(o *unit) {
	u.last, u.first = max(u.last, o.last), min(u.first, o.first)
	u.total += o.total
	u.bare += o.bare
	u.canaries += o.canaries
	u.customer = u.customer || o.customer
	u.pastUnknown = u.pastUnknown || o.pastUnknown
	for d, on := range o.quiet {
		u.quiet[d] = max(u.quiet[d], on)
	}
	switch {
	case o.day > u.day:
		u.day, u.ids = o.day, o.ids
	case o.day == u.day:
		u.ids.join(&o.ids)
	}
	for class, p := range o.mix {
		if u.mix == nil {
			u.mix = mixture{}
		}
		if mine := u.mix[class]; mine != nil {
			mine.n, mine.first = mine.n+p.n, min(mine.first, p.first)
		} else {
			u.mix[class] = p // a few more than a key has room for, once
		}
	}
	for _, a := range o.open {
		u.cover(a)
	}
	for d, x := range o.ex {
		switch {
		case x == nil:
		case u.ex[d] == nil:
			u.set(detector(d), x)
		default:
			u.ex[d].join(x)
		}
	}
}

// join takes the greater statistic of each test, and the evidence of both by its time.
func (x *excursion) join(o *excursion) {
	from := [2][]entry{x.ev, o.ev}
	var start [maxBank][2]int32 // where a test began, by part and index
	for j := range x.s {
		start[j] = [2]int32{0, x.start[j]}
		if o.s[j] > x.s[j] {
			x.s[j], start[j] = o.s[j], [2]int32{1, o.start[j]}
		}
		x.level[j] = max(x.level[j], o.level[j])
	}
	ev := make([]entry, 0, len(x.ev)+len(o.ev))
	var at [2]int
	x.access = 0
	for at[0] < len(from[0]) || at[1] < len(from[1]) {
		p := 0
		if at[0] == len(from[0]) || at[1] < len(from[1]) && from[1][at[1]].time < from[0][at[0]].time {
			p = 1
		}
		x.access++
		for access := from[p][at[p]].access; at[p] < len(from[p]) && from[p][at[p]].access == access; at[p]++ {
			for j := range start {
				if s := start[j]; int(s[0]) == p && int(s[1]) == at[p] {
					x.start[j] = int32(len(ev))
				}
			}
			en := from[p][at[p]]
			en.access = x.access
			ev = append(ev, en)
		}
	}
	if cut := len(ev) - maxExcursion; cut > 0 {
		ev = ev[:copy(ev, ev[cut:])]
		for j := range x.start {
			x.start[j] = max(0, x.start[j]-int32(cut))
		}
	}
	x.ev, x.record = ev, 0
	switch {
	case o.seenOn > x.seenOn || x.seen == nil:
		x.seen, x.seenOn = o.seen, o.seenOn
	case o.seenOn == x.seenOn:
		maps.Copy(x.seen, o.seen)
	}
	x.creds = append(x.creds, o.creds...)
	x.creds = x.creds[:min(len(x.creds), maxNamed)]
}

// join adds another set's numbers.
func (s *idset) join(o *idset) {
	for b := range o.all() {
		for at := range uint64(64) {
			if b.word>>at&1 == 1 {
				s.add((b.block-1)*64 + at)
			}
		}
	}
}

// all gives the set's blocks, in no order.
func (s *idset) all() iter.Seq[idblock] {
	return func(yield func(idblock) bool) {
		if s.one.block != 0 && !yield(s.one) || s.more == nil {
			return
		}
		for _, b := range s.more.slots {
			if b.block != 0 && !yield(b) {
				return
			}
		}
	}
}

// recount counts anew what all units hold together.
func (e *Engine) recount() {
	e.hot, e.nosy, e.evidence, e.table.ids, e.opened = [nDetectors][nKinds]int{}, 0, 0, 0, [nDetectors]int{}
	for _, u := range e.table.list {
		e.table.ids += u.ids.blocks()
		for _, a := range u.open {
			e.opened[a.d]++
		}
		for d, x := range u.ex {
			if x == nil {
				continue
			}
			e.hot[d][u.kind]++
			e.evidence += len(x.ev)
			if detector(d) == unexplained && u.customer {
				e.nosy++
			}
		}
	}
}

// joinDossiers takes over findings, and gives those that both raised: of a reference record.
func (e *Engine) joinDossiers(o *Engine) map[*dossier]bool {
	both := make(map[*dossier]bool)
	for _, f := range o.dossierList {
		if e.dossiers[f.id] != nil {
			both[f] = true
			continue
		}
		e.dossiers[f.id] = f
		e.dossierList = append(e.dossierList, f)
	}
	for k, p := range o.precedents {
		if e.precedents[k] == nil {
			e.precedents[k] = p
		}
	}
	for k, n := range o.judgedNot {
		e.judgedNot[k] = max(e.judgedNot[k], n) // verdicts are told to both
	}
	e.covers = max(e.covers, o.covers)
	for _, id := range o.climbList {
		if _, ok := e.climbs[id]; !ok {
			e.keepClimb(id, o.climbs[id])
		}
	}
	return both
}

// joinHistory keeps of what both met the later day, and of one day the greater tally.
func (e *Engine) joinHistory(o *Engine) {
	for i := range o.history.shards {
		for _, slot := range o.history.shards[i].slots {
			if slot == 0 {
				continue
			}
			k := historyKey{uint8(i), slot}
			mine := e.history.find(k)
			if mine == nil {
				e.history.put(k, e.today, e.cfg.MaxHistory)
				continue
			}
			if since := sinceDay(mine, int32(slot>>4&0xfff)); since > 0 || since == 0 && slot&mostTally > *mine&mostTally {
				*mine = slot
			}
		}
	}
}

// joinKeys takes over what is known of keys and of people who left.
func (e *Engine) joinKeys(o *Engine) {
	for _, y := range o.keyList {
		id := unitID(kindKey, text(y.realm), text(y.name))
		x := e.keys[id]
		if x == nil {
			e.keys[id] = y
			e.keyList = append(e.keyList, y)
			continue
		}
		x.inUse += y.inUse
		x.lastUse, x.met = max(x.lastUse, y.lastUse), max(x.met, y.met)
		x.leaver, x.forged = x.leaver || y.leaver, x.forged || y.forged
		if x.ended == y.ended {
			x.accused += y.accused
			x.matched += y.matched
			if y.from != 0 {
				x.from = min(cmp.Or(x.from, y.from), y.from)
			}
			x.people = someOf(x.people, y.people)
			x.bare.join(&y.bare)
		}
		x.breaches = allOf(x.breaches, y.breaches)
	}
	for id, y := range o.leavers {
		if x := e.leavers[id]; x == nil {
			e.leavers[id] = y
		} else {
			x.raised = x.raised || y.raised
		}
	}
	e.drifted = allOf(e.drifted, o.drifted)
}

// join takes the greater of each test: see MergePart.
func (b *bareTail) join(o *bareTail) {
	for j := range b.s {
		b.s[j] = max(b.s[j], o.s[j])
	}
	b.tried, b.people = someOf(b.tried, o.tried), someOf(b.people, o.people)
	b.accesses += o.accesses
}

// someOf is allOf up to what an excursion holds.
func someOf(a, b map[uint64]struct{}) map[uint64]struct{} {
	if a == nil {
		return b
	}
	for _, h := range sortedKeys(b) {
		if len(a) < maxExcursion {
			a[h] = struct{}{}
		}
	}
	return a
}

func allOf(a, b map[uint64]struct{}) map[uint64]struct{} {
	if a == nil {
		return b
	}
	maps.Copy(a, b)
	return a
}
