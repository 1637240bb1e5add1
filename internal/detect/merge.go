package detect

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/whosaw/whosaw"
)

// Several engines may share a ledger by realms: each observes the records of its own, and passes the others' by. Merged, they hold what one
// engine would that had observed all, and go on as it would: TestMerge. What is bounded for all realms together (units, evidence, pairs, daily findings
// of single credentials) is bounded for each engine until then, so that this holds while no bound is met; the caps learnt from peers, who are of all realms, are each engine's own until then. For parts of one realm see MergePart.

// Pass lets the engine know of a record that another engine observes: only its time counts. It may raise findings of accesses that waited.
func (e *Engine) Pass(seq uint64, r *whosaw.Record) []whosaw.Finding {
	e.count++
	e.findings, e.seq = nil, seq
	if r.Type >= whosaw.TypeVerdict {
		return nil
	}
	if r.Type != whosaw.TypeAccess && r.Type != whosaw.TypeIssuance {
		e.see(r.Time)
		return nil
	}
	e.tick(r.Time)
	e.judgeDue()
	if r.Type == whosaw.TypeAccess {
		e.keyPolicyDue()
	}
	return e.findings
}

// Merge takes over what another engine holds, which must not be used any more. Both must have the same configuration and have been told, by Observe or
// Pass, of the same records.
func (e *Engine) Merge(o *Engine) error {
	switch {
	case e.cfg.Fingerprint() != o.cfg.Fingerprint():
		return errors.New("merge detectors: they have another configuration")
	case e.count != o.count || e.seq != o.seq || e.seen != o.seen || e.sure != o.sure || e.clock != o.clock:
		return fmt.Errorf("merge detectors: one is told of %d records up to %d, the other of %d up to %d", e.count, e.seq, o.count, o.seq)
	case e.policied || o.policied:
		return errors.New("merge detectors: a key policy is of all realms together")
	}
	for id := range o.realms {
		if e.realms[id] != nil {
			return errors.New("merge detectors: both hold a realm; parts of one realm are merged by MergePart")
		}
	}
	if err := e.ref.Merge(o.ref); err != nil {
		return err
	}
	e.mergeUnits(o)
	e.mergeBaselines(o)
	e.mergeQueue(o)
	e.mergeFindings(o)
	e.legacy.merge(&o.legacy)
	e.daily.merge(&o.daily.bloom)
	e.daily.day = max(e.daily.day, o.daily.day)
	for _, set := range []map[uint64]struct{}{o.judged.old, o.judged.young} {
		for _, h := range sortedKeys(set) {
			e.judged.add(h)
		}
	}
	for i := range o.history.shards {
		for _, slot := range o.history.shards[i].slots {
			if slot != 0 {
				e.history.put(historyKey{uint8(i), slot}, e.today, e.cfg.MaxHistory)
			}
		}
	}
	e.archive.Take(&o.archive)
	e.known = known{seed: e.known.seed}
	e.known.begin()
	return nil
}

func (e *Engine) mergeUnits(o *Engine) {
	for _, u := range o.table.list {
		u.place = int32(len(e.table.list))
		e.table.m.put(u)
		e.table.list = append(e.table.list, u)
	}
	e.table.dropped += o.table.dropped
	e.table.folded += o.table.folded
	e.table.ids += o.table.ids
	for d := range e.hot {
		for k := range e.hot[d] {
			e.hot[d][k] += o.hot[d][k]
		}
	}
	e.nosy += o.nosy
	e.evidence += o.evidence
	e.views = max(e.views, o.views)
	maps.Copy(e.spreads, o.spreads)
	maps.Copy(e.owns, o.owns)
	maps.Copy(e.flows, o.flows)
	maps.Copy(e.pages, o.pages)
	clear(e.peerCaps) // peers are of all realms: they are looked at anew
	e.pairs += o.pairs
}

func (e *Engine) mergeBaselines(o *Engine) {
	maps.Copy(e.strata, o.strata)
	e.strataList = append(e.strataList, o.strataList...)
	for _, s := range o.strataList {
		// Its envelope is the other engine's rule, which says the same.
		s.envelope = e.sameEnvelope(o, s.envelope)
	}
	e.networks += o.networks
	e.hourly += o.hourly
	e.netClasses += o.netClasses
	e.knownClasses += o.knownClasses
	e.frozen = append(e.frozen, o.frozen...)
	maps.Copy(e.realms, o.realms)
	e.realmList = append(e.realmList, o.realmList...)
	for _, x := range o.realmList {
		x.wakes.learn(e)
	}
	maps.Copy(e.keys, o.keys)
	e.keyList = append(e.keyList, o.keyList...)
	maps.Copy(e.leavers, o.leavers)
	maps.Copy(e.principals, o.principals)
	maps.Copy(e.scopes, o.scopes)
	e.scopeList = append(e.scopeList, o.scopeList...)
	maps.Copy(e.drifted, o.drifted)
	maps.Copy(e.doors, o.doors)
	e.people, e.canaries = e.people || o.people, e.canaries || o.canaries
	if o.factsDay > e.factsDay {
		e.facts, e.factsDay = 0, o.factsDay
	}
	if o.factsDay == e.factsDay {
		e.facts += o.facts
	}
	for d := range e.stats {
		e.stats[d].merge(&o.stats[d])
	}
}

func (e *Engine) sameEnvelope(o *Engine, by *envelope) *envelope {
	switch by {
	case &o.houseDormant:
		return &e.houseDormant
	case &o.othersDormant:
		return &e.othersDormant
	}
	return &e.rule[by.d].envelope
}

func (s *stat) merge(o *stat) {
	s.accesses += o.accesses
	s.judged += o.judged
	s.trials += o.trials
	s.findings += o.findings
	s.highest = max(s.highest, o.highest)
	for i := range s.reached {
		s.reached[i] += o.reached[i]
	}
	for i := range s.why {
		s.why[i] += o.why[i]
	}
}

// mergeQueue puts what waits in the order in which it came.
func (e *Engine) mergeQueue(o *Engine) {
	q := &e.queue
	all := append(q.heap, o.queue.heap...)
	slices.SortStableFunc(all, func(a, b held) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.order, b.order)) })
	for i := range all {
		all[i].order = uint64(i + 1)
	}
	slices.SortStableFunc(all, func(a, b held) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.order, b.order)) })
	q.heap = all // what is in order is a heap
	q.order = max(q.order+o.queue.order, uint64(len(all)))
	q.pending += o.queue.pending
	for d := range q.waiting {
		q.waiting[d] += o.queue.waiting[d]
		q.weights[d] += o.queue.weights[d]
	}
	for _, x := range o.realmList {
		heap.Init(&x.waiting)
	}
}

func (e *Engine) mergeFindings(o *Engine) {
	for d := range e.opened {
		e.opened[d] += o.opened[d]
	}
	maps.Copy(e.dossiers, o.dossiers)
	e.dossierList = append(e.dossierList, o.dossierList...)
	maps.Copy(e.precedents, o.precedents)
	for k, n := range o.judgedNot {
		e.judgedNot[k] += n
	}
	e.covers = max(e.covers, o.covers)
	if e.climbs == nil {
		e.climbs = make(map[string]Climb)
	}
	maps.Copy(e.climbs, o.climbs)
	e.climbList = append(e.climbList, o.climbList...)
	for n := len(e.climbList) - maxClimbs; n > 0; n-- {
		delete(e.climbs, e.climbList[0])
		e.climbList = e.climbList[1:]
	}
}

// merge takes in what another set holds. It may fill faster than one that took all by itself: it then forgets sooner, and says "new" of what
// it has forgotten.
func (b *bloom) merge(o *bloom) {
	join := func(to *[]uint64, from []uint64) {
		switch {
		case from == nil:
		case *to == nil:
			*to = from
		default:
			for i, w := range from {
				(*to)[i] |= w
			}
		}
	}
	join(&b.young, o.young)
	join(&b.old, o.old)
	b.n += o.n
	b.gen = max(b.gen, o.gen) + 1 // what a cache found in a generation is asked for again
	if b.n >= bloomFull {
		b.old, b.young, b.n = b.young, nil, 0
	}
}
