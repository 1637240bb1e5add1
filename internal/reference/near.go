package reference

import (
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/whosaw/whosaw"
)

// Place is where the index knows the text that a record is about: its subject, or of an issuance its credential. The zero value is nowhere.
type Place struct {
	names *names
	lives []life
	slot  uint64
	tag   uint32
}

// Near reads where a record's text lies, and Place.Near what lies behind it: whoever has many records to come reads for all of them
// first, so that the waits for memory overlap. warm takes what was read, so that the compiler does not leave it out.
func (x *Index) Near(r *whosaw.Record, warm uint64) (Place, uint64) {
	g := x.realms[r.Realm]
	if g == nil {
		return Place{}, warm
	}
	n, text := &g.subjects, ""
	switch {
	case r.Type == whosaw.TypeIssuance:
		n, text = &g.late.credentials, r.Credential
		subject := strings.TrimPrefix(r.Principal, customer)
		if len(r.Subjects) > 0 {
			subject = r.Subjects[0]
		}
		if subject != "" && len(g.subjects.table) > 0 {
			warm ^= g.subjects.table[place(xxhash.Sum64String(subject), uint64(len(g.subjects.table)))]
		}
	case len(r.Subjects) > 0:
		text = r.Subjects[0]
	}
	if text == "" || len(n.table) == 0 {
		return Place{}, warm
	}
	h := xxhash.Sum64String(text)
	p := Place{names: n, slot: place(h, uint64(len(n.table))), tag: uint32(h >> 32)}
	if n == &g.subjects {
		p.lives = g.lives
	}
	return p, warm ^ n.table[p.slot]
}

// Near reads on from where Index.Near looked. Nothing may be applied between the two.
func (p *Place) Near(warm uint64) uint64 {
	if p.names == nil {
		return warm
	}
	e := p.names.table[p.slot]
	if uint32(e>>32) != p.tag || e == 0 {
		return warm
	}
	id := uint32(e) - 1
	warm ^= p.names.refs[id]
	if int(id) < len(p.lives) {
		warm ^= uint64(p.lives[id].since)
	}
	return warm
}
