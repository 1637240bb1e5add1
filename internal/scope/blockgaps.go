package scope

import (
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/index"
)

// blockGaps adds a block's accesses to a gapSum.
type blockGaps struct {
	m *marker

	key, client, origin index.Column
	keys, clients, from index.Texts
	credential          index.Column
	routes              []string // of the block's accesses
	one                 int8     // 1: all have one source; -1: not all; 0: not looked at yet

	last   feedKey // looked up last: origins are sorted by key
	lastOf *blockFeed
}

// blockFeed says whether the accesses of a feedKey have a feed.
type blockFeed struct {
	unit               feedUnit
	realm, key, client string
	known              bool
	ask                bool   // time and route decide: ask for each access
	tally              *tally // of those without one; nil: there were none so far
}

// gaps makes ready what gaps look at.
func (m *marker) gaps() (*blockGaps, error) {
	g := &blockGaps{m: m}
	var err error
	if g.key, g.keys, err = m.b.Key(); err != nil {
		return nil, err
	}
	if g.client, g.clients, err = m.b.Client(); err != nil {
		return nil, err
	}
	if g.origin, g.from, err = m.b.Source(); err != nil {
		return nil, err
	}
	if g.credential, err = m.b.Credential(); err != nil {
		return nil, err
	}
	for _, s := range m.versions[0].shapes {
		if !slices.Contains(g.routes, s.shape.Route) {
			g.routes = append(g.routes, s.shape.Route)
		}
	}
	return g, nil
}

// single reports whether all accesses have the same source, or none.
func (g *blockGaps) single() bool {
	if g.one == 0 {
		g.one = 1
		for o := range g.origin.Len() {
			if g.origin.At(o) != g.origin.At(0) {
				g.one = -1
				break
			}
		}
	}
	return g.one > 0
}

// source gives an origin's source. It lies in the block's memory.
func (g *blockGaps) source(o int) string { return g.from.At(int(g.origin.At(o))) }

// feed gives what is known of the feed of an origin's accesses; nil if nothing could have been issued to them.
func (g *blockGaps) feed(o int) *blockFeed {
	m := g.m
	code := feedKey{realm: uint32(m.realm.At(o)), key: uint32(g.key.At(o)), client: uint32(g.client.At(o))}
	if code.key == 0 && g.credential.At(o) == 0 {
		return nil
	}
	if g.lastOf != nil && code == g.last {
		return g.lastOf
	}
	f := m.feeds[code]
	if f != nil {
		g.last, g.lastOf = code, f
		return f
	}
	f = &blockFeed{realm: m.realmOf.At(int(code.realm)), key: g.keys.At(int(code.key)), client: g.clients.At(int(code.client))}
	f.unit = feedUnit{realm: f.realm, key: f.key}
	if f.key == "" {
		f.unit.client = f.client
	}
	for i, route := range g.routes {
		known, same := m.w.index.FeedOver(f.realm, f.key, f.client, route, m.from, m.to)
		if i == 0 {
			f.known = known
		}
		if !same || known != f.known {
			f.known, f.ask = false, true
		}
		if f.ask || !m.w.feeds[f.realm] {
			break
		}
	}
	f.tally = m.sum.gaps.noFeed[f.unit]
	m.feeds[code] = f
	return f
}

// covered reports whether nothing that an origin's accesses add to depends on their times.
func (g *blockGaps) covered(s *maskShapes, f *blockFeed) bool {
	m := g.m
	covers := func(t *tally) bool { return t != nil && t.count > 0 && t.first <= m.from && t.last >= m.to }
	known := func(t *tally) bool { return covers(t) && (t.mixed || g.single() && t.source == g.source(0)) }
	return (!s.disclosed || covers(&m.sum.span)) &&
		(!s.noSubject || known(&m.noSubject)) &&
		(!s.unmatched || known(&m.unmatched)) &&
		(f == nil || f.known || !f.ask && covers(f.tally))
}

// add adds an access.
func (g *blockGaps) add(s *blockShape, f *blockFeed, t int64, source string) {
	if s.disclosed && !s.shape.Subject {
		g.m.noSubjectCount++
	}
	if s.unmatched {
		g.m.unmatchCount++
		g.m.sum.gaps.routes[s.shape.Route]++
	}
	g.shape(s, t, source)
	if f == nil || f.known || f.ask && g.m.w.index.IssuanceFeed(f.realm, f.key, f.client, s.shape.Route, t).Known {
		return
	}
	g.without(f, &tally{count: 1, first: t, last: t, source: source})
}

// shape widens the tallies of an access's shape to its time and source; it is counted apart.
func (g *blockGaps) shape(s *blockShape, t int64, source string) {
	if s.disclosed && !s.shape.Subject {
		g.m.noSubject.add(t, g.keep(&g.m.noSubject, source))
	}
	if s.unmatched {
		g.m.unmatched.add(t, g.keep(&g.m.unmatched, source))
	}
}

// without adds accesses without a feed.
func (g *blockGaps) without(f *blockFeed, n *tally) {
	if f.tally == nil {
		gaps := g.m.sum.gaps
		f.tally = gaps.unit(feedUnit{realm: strings.Clone(f.unit.realm), key: strings.Clone(f.unit.key), client: strings.Clone(f.unit.client)})
	}
	n.source = g.keep(f.tally, n.source)
	f.tally.merge(n)
}

// keep gives a copy of a source that a tally is about to keep, so that it outlives the block.
func (g *blockGaps) keep(t *tally, source string) string {
	if t.count == 0 {
		return strings.Clone(source)
	}
	return source
}
