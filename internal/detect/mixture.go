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
	// A program that a key met not a day before the evidence began, after a week without it, has no honest past there.
	newProgram = day
	withoutFor = 7 * day
)

// mixed counts an access of a key by its agent class.
func (u *unit) mixed(v *view) {
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
		p = &program{first: v.r.Time}
		u.mix[class] = p
	}
	p.n++
}

// tells reports whether the key was met with other programs than that of the raising access.
func (u *unit) tells(v *view) bool {
	p := u.mix[v.class.hash]
	return p == nil && u.total > 0 || p != nil && p.n < u.total
}

// wholeClass reports whether more than half of all that is known of the key with the agent class of the raising access is accused, but for what
// a new program did before the test left zero.
func (u *unit) wholeClass(ev []entry, j int, v *view, got evidence) bool {
	p, ok := u.mix[v.class.hash]
	if !ok || u.pastUnknown {
		return false
	}
	if began := ev[0].time; began-p.first < newProgram && p.first-u.first >= withoutFor {
		return true
	}
	here := weigh(ev, j, v, slice{class: true}, nil)
	return 2*got.accused > got.accesses+max(0, p.n-here.accesses)
}

func (m *mixture) state(c *snapshot.Codec) {
	snapshot.Map(c, (*map[uint64]*program)(m), maxMixture, c.Hash, pointer(c, func(p *program, c *snapshot.Codec) {
		snapshot.Int(c, &p.n)
		snapshot.Int(c, &p.first)
	}))
}
