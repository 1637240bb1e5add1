package detect

import "github.com/whosaw/whosaw"

// Shown is what an access showed, as the detectors see it: completed by the catalog and the reference records. It may be used
// during the call only.
type Shown struct {
	Record    *whosaw.Record
	Subjects  []string
	Disclosed bool
	Principal string // whom it is by, as far as is known
	House     bool   // staff, a partner or a program
}

// Watch has fn told of each access once the detectors have looked at it.
func (e *Engine) Watch(fn func(*Shown)) { e.onShown = fn }

// Show tells fn of an access that was observed before, perhaps by another engine, as the detectors see it by what they know now. Nothing else
// comes of it.
func (e *Engine) Show(r *whosaw.Record, fn func(*Shown)) {
	views := e.views
	v := new(view)
	e.look(v, r, nil)
	e.views = views
	fn(&Shown{Record: v.r, Subjects: v.subjects, Disclosed: v.outcome == whosaw.OutcomeDisclosed, Principal: v.principal, House: v.house != 0})
}

func (e *Engine) tellShown() {
	v := &e.now
	e.shown = Shown{Record: v.r, Subjects: v.subjects, Disclosed: v.outcome == whosaw.OutcomeDisclosed, Principal: v.principal, House: v.house != 0}
	e.onShown(&e.shown)
}
