package detect

import "github.com/whosaw/whosaw/internal/snapshot"

// mixture counts a key's accesses that nothing explains, by agent class. A thief who shares a key with everybody often brings a
// program that nobody else has: only this knows whether the key has an honest past with it.
type mixture map[uint64]*program

// program is what a key was met with.
type program struct {
	n     int64
	first int64 // event time
}

const (
	// maxMixture bounds the classes of a key. Of those that came too late nothing is known, and a finding is as narrow as without.
	maxMixture = 256
	// A program is new to a key that met it not a day before the evidence began, after a week without it.
	newProgram = day
	withoutFor = 7 * day
)

// mixed counts an access of a key by its agent class.
func (u *unit) mixed(v *view, since int64) {
	class := v.class.hash
	if class == 0 {
		return
	}
	if u.mix == nil {
		u.mix = mixture{}
	}
	p := u.mix[class]
	if p == nil {
		if len(u.mix) >= maxMixture {
			return
		}
		p = &program{first: since}
		u.mix[class] = p
	}
	p.n++
}

// tells reports whether the key was met with other programs than that of the raising access.
func (u *unit) tells(v *view) bool {
	p := u.mix[v.class.hash]
	return p == nil && u.total > 0 || p != nil && p.n < u.total
}

// wholeClass reports whether more than half of all that is known of the key with the agent class of the raising access is accused; of a new program
// more than a third. Programs are new to a spare key when it is put to use, too: then the honest are many.
func (u *unit) wholeClass(ev []entry, j int, v *view, got evidence) bool {
	p, ok := u.mix[v.class.hash]
	if !ok || u.pastUnknown {
		return false
	}
	here := weigh(ev, j, v, slice{class: true}, nil)
	all, times := got.accesses+max(0, p.n-here.accesses), int64(2)
	if began := ev[0].time; began-p.first < newProgram && p.first-u.first >= withoutFor {
		times = 3 // some of it was his too: a test is at zero while he finds who exists
	}
	return times*got.accused > all
}

func (m *mixture) state(c *snapshot.Codec) {
	snapshot.Map(c, (*map[uint64]*program)(m), maxMixture, c.Hash, pointer(c, func(p *program, c *snapshot.Codec) {
		snapshot.Int(c, &p.n)
		snapshot.Int(c, &p.first)
	}))
}
