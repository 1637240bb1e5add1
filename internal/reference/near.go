package reference

import (
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/near"
)

// Place is where the index knows the text that a record is about: its subject, or of an issuance its credential. The zero value is nowhere.
type Place struct {
	names *names
	lives []life
	slot  uint64
	tag   uint32
}

// Near gathers where a record's text lies, and Place.Near what lies behind it: whoever has many records to come has it brought for all of
// them first, so that the waits for memory overlap.
func (x *Index) Near(r *whosaw.Record, l *near.Lines) Place {
	g := x.realms[r.Realm]
	if g == nil {
		return Place{}
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
			near.Add(l, &g.subjects.table[place(xxhash.Sum64String(subject), uint64(len(g.subjects.table)))])
		}
	case len(r.Subjects) > 0:
		text = r.Subjects[0]
	}
	if text == "" || len(n.table) == 0 {
		return Place{}
	}
	h := xxhash.Sum64String(text)
	p := Place{names: n, slot: place(h, uint64(len(n.table))), tag: uint32(h >> 32)}
	if n == &g.subjects {
		p.lives = g.lives
	}
	near.Add(l, &n.table[p.slot])
	return p
}

// Near reads what Index.Near gathered, and gathers what it leads to. Nothing may be applied between the two.
func (p *Place) Near(l *near.Lines) {
	if p.names == nil {
		return
	}
	e := p.names.table[p.slot]
	if uint32(e>>32) != p.tag || e == 0 {
		return
	}
	id := uint32(e) - 1
	near.Add(l, &p.names.refs[id])
	if int(id) < len(p.lives) {
		near.Add(l, &p.lives[id])
	}
}
