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

	last   feedKey // looked up last: origins are sorted by key
	lastOf *blockFeed

	keyCode uint32 // of the origins keyed: those looked at last
	keyed   span32
}

// blockFeed says whether the accesses of a feedKey have a feed.
type blockFeed struct {
	unit               feedUnit
	realm, key, client string
	known              bool
	ask                bool   // time and route decide: ask for each access
	tally              *tally // of those without one; nil: there were none so far
	reach              tally  // of those that all workers found in blocks before
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
	for _, s := range m.versions[0].shapes[:m.shapes.Len()] {
		if !slices.Contains(g.routes, s.shape.Route) {
			g.routes = append(g.routes, s.shape.Route)
		}
	}
	return g, nil
}

// source gives an origin's source. It lies in the block's memory.
func (g *blockGaps) source(o int) string { return g.from.At(int(g.origin.At(o))) }

// keyOf gives the code of an origin's key. Origins are sorted by it.
func (g *blockGaps) keyOf(o int) uint32 {
	if !g.sameKey(o) {
		g.keyCode = uint32(g.key.At(o))
		g.keyed.from, g.keyed.to = g.key.Range(int(g.keyCode))
	}
	return g.keyCode
}

// sameKey reports whether an origin has the key that keyOf gave last.
func (g *blockGaps) sameKey(o int) bool { return o >= g.keyed.from && o < g.keyed.to }

// feed gives what is known of the feed of an origin's accesses; nil if nothing could have been issued to them.
func (g *blockGaps) feed(o int) *blockFeed {
	m := g.m
	code := feedKey{realm: uint32(m.realm.At(o)), key: g.keyOf(o), client: uint32(g.client.At(o))}
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
	f.tally, f.reach = m.sum.gaps.noFeed[f.unit], m.known.unit(f.unit)
	m.feeds[code] = f
	return f
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
