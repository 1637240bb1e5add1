package guard

import (
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/presented"
)

// asked is what a request asks for, as far as that is known before it is answered. What the service makes of a path that is spelled oddly, or of a
// header that names another method, is not known here: such a request is judged as the strictest of what it could mean.
type asked struct {
	route    string
	plain    string   // the route as the path plainly says; route, unless only another reading is in the catalog
	subjects []string // whose data
	others   []catalog.Reading
	unclear  bool // it could mean any route
	twofold  bool // another route than the plain one has something to say
}

// own makes what outlives the request its own.
func (a *asked) own() {
	clone := func(list []string) []string {
		list = slices.Clone(list)
		for i := range list {
			list[i] = strings.Clone(list[i])
		}
		return list
	}
	a.subjects, a.others = clone(a.subjects), slices.Clone(a.others)
	for i := range a.others {
		a.others[i].Subjects = clone(a.others[i].Subjects)
	}
}

// show says whose data an answer shows, whatever route it was.
func (a *asked) show(subjects []string) {
	a.subjects = subjects
	for i := range a.others {
		a.others[i].Subjects = subjects
	}
}

// resolve finds what a request asks for. A route that the door names is believed.
func (g *Guard) resolve(q *Request, now int64) (a asked) {
	if q.Route != "" && (q.Path == "" || len(q.Subjects) > 0) {
		return asked{route: q.Route, plain: q.Route, subjects: q.Subjects}
	}
	s := g.resolver.Get().(*catalog.Resolver)
	defer g.resolver.Put(s)
	r := whosaw.Record{Time: now, Method: q.Method, Path: q.Path, Route: q.Route, Subjects: q.Subjects}
	s.Resolve(&r)
	a.route, a.plain, a.subjects = r.Route, r.Route, r.Subjects
	if q.Route != "" {
		return a
	}
	index, methods := g.book.index.Load(), q.Methods
	if more := presented.Parameters(q.Path); more != nil {
		methods = slices.Concat(methods, more)
	}
	all := s.Readings(q.Method, q.Path, catalog.Ask{
		At: now, Methods: methods, Fold: g.capitals || index.capitals, Unknown: len(g.policies) > 1 || index.routes,
	})
	a.others, a.unclear, a.twofold = all.Others, all.Unclear, all.Unclear
	if len(a.others) == 0 {
		return a
	}
	for i := range a.others {
		x := &a.others[i]
		if len(q.Subjects) > 0 { // the door knows whose
			x.Subjects = q.Subjects
		}
		if !x.Known {
			p := g.explicit(x)
			a.twofold = a.twofold || p != nil && p != g.policy(a.route)
		} else if !x.Same {
			a.twofold = true
		}
	}
	// What no entry of the catalog matches shows nothing, as far as anybody knows: it is called by the route that it could be.
	if i := slices.IndexFunc(a.others, func(x catalog.Reading) bool { return x.Known }); i >= 0 && !all.Known {
		x := &a.others[i]
		plain := catalog.Reading{Method: q.Method, Route: a.route, Subjects: a.subjects}
		a.route, a.subjects = x.Route, x.Subjects
		*x = plain
	}
	return a
}

// policy gives what holds on a route.
func (g *Guard) policy(route string) *Policy {
	for i := range g.policies {
		if p := &g.policies[i]; p.pattern.matches(route) {
			return &p.Policy
		}
	}
	return &g.policies[len(g.policies)-1].Policy
}

// explicit gives the policy that the configuration has for a path that is not in the catalog; nil: none of its own.
func (g *Guard) explicit(x *catalog.Reading) *Policy {
	for i := range len(g.policies) - 1 {
		p := &g.policies[i]
		if p.pattern.matches(x.Route) || x.Path != "" && (x.Fold && p.pattern.folds(x.Method, x.Path) || p.pattern.matches(x.Method+" "+x.Path)) {
			return &p.Policy
		}
	}
	return nil
}

// policyOf gives the policy that a request is judged by: the strictest of the routes that it could mean. A reading that neither the catalog nor the
// configuration knows adds nothing: there is nothing to see there.
func (g *Guard) policyOf(a *asked) *Policy {
	p := g.policy(a.route)
	if !a.twofold {
		return p
	}
	strict := *p
	strict.strictest(g.policy(a.plain))
	if a.unclear {
		for i := range g.policies {
			strict.strictest(&g.policies[i].Policy)
		}
	}
	for i := range a.others {
		x := &a.others[i]
		if x.Known {
			strict.strictest(g.policy(x.Route))
		} else if other := g.explicit(x); other != nil {
			strict.strictest(other)
		}
	}
	return &strict
}

// look finds the facts about a credential. A feed may be of a route: the one that is most complete counts.
func (g *Guard) look(id *Identity, a *asked, now int64) facts {
	f := g.state.look(id, a.route, now)
	for i := range a.others {
		if f.feed.Known && f.feed.Complete() {
			break
		}
		if o := g.state.look(id, a.others[i].Route, now); o.feed.Known && (!f.feed.Known || o.feed.Complete()) {
			f.feed = o.feed
		}
	}
	return f
}

// judgeReadings weighs the standing decisions that cover what the request could mean beside its plain reading.
func (g *Guard) judgeReadings(c candidate, a *asked, p *Policy, d *Decision) {
	for i := range a.others {
		other := c
		other.route, other.subjects, other.folds = a.others[i].Route, a.others[i].Subjects, a.others[i].Fold
		g.judgeStanding(&other, p, d)
	}
	if a.unclear {
		other := c
		other.any = true
		g.judgeStanding(&other, p, d)
	}
}

// judgeAmbiguous says that a request could mean another route, and refuses it where the policy does.
func (g *Guard) judgeAmbiguous(a *asked, p *Policy, d *Decision) {
	if !a.twofold {
		return
	}
	g.count.ambiguous.Add(1)
	d.TTL = 0
	d.weigh(max(p.Ambiguous, Allow), Reason{Code: CodeAmbiguous, Says: says[CodeAmbiguous]})
}
