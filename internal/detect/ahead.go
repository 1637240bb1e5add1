package detect

import "github.com/whosaw/whosaw"

// An engine waits for memory most of its time: each access touches the state of its credential, and if nothing explains it of
// up to seven units, which lie anywhere in some hundred megabytes. Of records that come together those places are known
// before: they are touched side by side first, so that the waits overlap. Nothing is changed by it but what
// lies in the processor's caches.

// ahead is how many records are looked at before the first of them is judged.
const ahead = 32

// expected is what was worked out of a record that comes soon.
type expected struct {
	hash uint64 // in known; 0: not worked out
	identity
	units [nKinds]*unit
}

// ObserveBatch observes records that follow each other, as Observe would one by one, and with the same findings however
// they are batched. sequence gives the sequence of a record by its index, 0 to leave it out: a repeat; it is called for each
// just before the record is observed. raised is called for each finding with the index of its record.
func (e *Engine) ObserveBatch(records []whosaw.Record, sequence func(i int) uint64, raised func(i int, f whosaw.Finding)) {
	for from := 0; from < len(records); from += ahead {
		chunk := records[from:min(from+ahead, len(records))]
		e.expect(chunk)
		for i := range chunk {
			seq := sequence(from + i)
			if seq == 0 {
				continue
			}
			for _, f := range e.observe(seq, &chunk[i], &e.batch[i]) {
				raised(from+i, f)
			}
		}
	}
}

// expect touches what the records will need.
func (e *Engine) expect(records []whosaw.Record) {
	warm := e.warm
	for i := range records {
		r, x := &records[i], &e.batch[i]
		x.hash, x.named = 0, false
		if r.Type != whosaw.TypeAccess {
			continue
		}
		if e.known.sets != nil && r.Credential != "" {
			x.hash = e.known.hash(r)
			warm ^= e.known.sets[x.hash%knownSets].hashes[0]
		}
		// Most accesses to one's own data are explained, and need no units.
		if x.hash == 0 || len(r.Subjects) == 0 {
			e.name(&x.identity, r, text(r.Realm))
			if x.hash == 0 {
				realm := text(r.Realm)
				for _, s := range r.Subjects[:min(len(r.Subjects), 1)] {
					warm ^= e.history.near(historyHome(realm, subjectOf(s)))
				}
				warm ^= e.history.near(e.sessionKey(realm, &x.identity))
			}
			for k, id := range x.ids {
				if x.units[k] = nil; id != 0 {
					x.units[k] = e.table.m.get(id)
				}
			}
		}
	}
	for i := range records {
		if x := &e.batch[i]; x.named {
			for _, u := range x.units {
				if u != nil {
					warm ^= u.last ^ uint64(u.ids.n)
				}
			}
		}
	}
	e.warm = warm
}
