package detect

import (
	"math/bits"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

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
	units   [nKinds]*unit
	subject subject         // the first
	place   reference.Place // of the subject, or of what the record is about
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

// expect touches what the records will need, in four rounds: what a round finds says where the next one looks.
func (e *Engine) expect(records []whosaw.Record) {
	warm := e.warm
	for i := range records {
		r, x := &records[i], &e.batch[i]
		x.hash, x.named = 0, false
		if r.Type != whosaw.TypeAccess {
			x.place, warm = e.ref.Near(r, warm)
			continue
		}
		x.place = reference.Place{}
		if e.known.sets != nil && r.Credential != "" {
			x.hash = e.known.hash(r)
			warm ^= e.known.sets[x.hash&uint64(len(e.known.sets)-1)].hashes[0]
			// Most accesses to one's own data are explained, and need no units.
			if len(r.Subjects) > 0 && isCustomer(r.Principal) {
				continue
			}
		}
		realm := text(r.Realm)
		e.name(&x.identity, r, realm)
		for _, id := range x.ids {
			if id != 0 {
				warm ^= e.table.m.near(id)
			}
		}
		if x.hash == 0 {
			warm ^= e.history.near(e.sessionKey(realm, &x.identity)) ^ e.legacy.near(x.ids[kindCredential])
		}
		if len(r.Subjects) > 0 {
			x.subject = subjectOf(r.Subjects[0])
			warm ^= e.history.near(historyHome(realm, x.subject))
			x.place, warm = e.ref.Near(r, warm)
		}
	}
	for i := range records {
		x := &e.batch[i]
		warm = x.place.Near(warm)
		if !x.named {
			continue
		}
		for k, id := range x.ids {
			if x.units[k] = nil; id != 0 {
				if u := e.table.m.get(id); u != nil {
					x.units[k] = u
					warm ^= u.last
				}
			}
		}
	}
	for i := range records {
		x := &e.batch[i]
		if !x.named {
			continue
		}
		n, ok := x.subject.number()
		for _, u := range x.units {
			switch {
			case u == nil:
			case u.held != 0:
				warm = u.excursions(warm)
				fallthrough
			case ok && len(records[i].Subjects) > 0:
				warm ^= u.ids.nearby(n)
			}
		}
	}
	for i := range records {
		if x := &e.batch[i]; x.named {
			for _, u := range x.units {
				if u != nil && u.held != 0 {
					warm = u.evidence(warm)
				}
			}
		}
	}
	e.warm = warm
}

// excursions reads where a unit's excursions lie.
func (u *unit) excursions(warm uint64) uint64 {
	for held := u.held; held != 0; held &= held - 1 {
		x := u.ex[bits.TrailingZeros16(held)]
		warm ^= x.record ^ uint64(len(x.ev))
	}
	return warm
}

// evidence reads where their evidence ends, which is where more is added.
func (u *unit) evidence(warm uint64) uint64 {
	for held := u.held; held != 0; held &= held - 1 {
		if ev := u.ex[bits.TrailingZeros16(held)].ev; len(ev) > 0 {
			warm ^= uint64(ev[len(ev)-1].time)
		}
	}
	return warm
}
