package detect

import (
	"math/bits"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/near"
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
	unlikely uint8 // bit per kind: there will be no unit of it
	units    [nKinds]*unit
	subject  subject         // the first
	place    reference.Place // of the subject, or of what the record is about
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

// expect has what the records will need brought near, in four rounds: what a round finds says where the next one looks.
func (e *Engine) expect(records []whosaw.Record) {
	l := &e.lines
	for i := range records {
		e.expectOne(&records[i], &e.batch[i])
	}
	l.Fetch()
	for i := range records {
		x := &e.batch[i]
		x.place.Near(l)
		if !x.named {
			continue
		}
		for k, id := range x.ids {
			if x.units[k] = nil; id != 0 && x.unlikely>>k&1 == 0 {
				if u := e.table.m.get(id); u != nil {
					x.units[k] = u
					near.Add(l, u)
					near.Add(l, &u.ex)
				}
			}
		}
	}
	l.Fetch()
	for i := range records {
		x := &e.batch[i]
		if !x.named {
			continue
		}
		n, ok := x.subject.number()
		ok = ok && len(records[i].Subjects) > 0
		for _, u := range x.units {
			if u == nil {
				continue
			}
			for held := u.held; held != 0; held &= held - 1 {
				x := u.ex[bits.TrailingZeros16(held)]
				near.Add(l, x)
				near.Add(l, &x.ev)
			}
			if ok {
				u.ids.bring(n, l)
			}
		}
	}
	l.Fetch()
	for i := range records {
		if x := &e.batch[i]; x.named {
			for _, u := range x.units {
				if u != nil && u.held != 0 {
					u.evidence(l)
				}
			}
		}
	}
	l.Fetch()
}

// expectOne gathers where the search for what a record needs begins.
func (e *Engine) expectOne(r *whosaw.Record, x *expected) {
	l := &e.lines
	x.hash, x.named, x.unlikely = 0, false, 0
	if r.Type != whosaw.TypeAccess {
		x.place = e.ref.Near(r, l)
		return
	}
	x.place = reference.Place{}
	if e.known.sets != nil && r.Credential != "" {
		x.hash = e.known.hash(r)
		near.Add(l, e.known.set(x.hash))
		// Most accesses to one's own data are explained, and need no units.
		if len(r.Subjects) > 0 && isCustomer(r.Principal) {
			return
		}
	}
	realm := text(r.Realm)
	e.name(&x.identity, r, realm)
	if opensOwn(r) {
		x.unlikely = 1<<kindPrincipal | 1<<kindCredential // see suspects
	}
	for k, id := range x.ids {
		if id != 0 && x.unlikely>>k&1 == 0 {
			e.table.m.bring(id, l)
		}
	}
	if x.hash == 0 {
		e.history.bring(e.sessionKey(realm, &x.identity), l)
		e.legacy.bring(x.ids[kindCredential], l)
	}
	if len(r.Subjects) > 0 {
		x.subject = subjectOf(r.Subjects[0])
		e.history.bring(historyHome(realm, x.subject), l)
		e.expectRates(r, x, realm)
		x.place = e.ref.Near(r, l)
	}
}

// opensOwn reports whether an access claims to be the one customer it opens.
func opensOwn(r *whosaw.Record) bool {
	return len(r.Subjects) == 1 && isCustomer(r.Principal) && r.Principal[len(customerPrefix):] == r.Subjects[0]
}

// expectRates gathers where the baselines that an access teaches keep its network.
func (e *Engine) expectRates(r *whosaw.Record, x *expected, realm uint64) {
	network := x.ids[kindNetwork]
	if network == 0 {
		return
	}
	for _, id := range [...]uint64{stratumOn(realm, text(r.Route)|1, 0), rateID(realm, monotoneClass^x.client<<8)} {
		if s := e.strataFront[id>>8%uint64(len(e.strataFront))]; s != nil && s.id == id {
			s.networks.bring(network, &e.lines)
		}
	}
	if last := &e.realmLast; last.x != nil && last.id == realm && last.x.strangers.network != nil {
		last.x.strangers.network.networks.bring(network, &e.lines)
		last.x.strangers.device.networks.bring(network, &e.lines)
	}
}

// evidence gathers where the evidence of a unit's excursions ends, which is where more is added.
func (u *unit) evidence(l *near.Lines) {
	for held := u.held; held != 0; held &= held - 1 {
		if ev := u.ex[bits.TrailingZeros16(held)].ev; len(ev) < cap(ev) {
			next := &ev[:len(ev)+1][len(ev)]
			near.Add(l, next)
			near.Add(l, &next.hits) // it may lie in two lines
		}
	}
}
