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
	one                 bool     // all have one source
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
	g.one = g.from.Len() == 0
	if g.from.Len() == 1 {
		// One text, but some accesses may have none.
		g.one = true
		for o := range g.origin.Len() {
			if g.origin.At(o) == 0 {
				g.one = false
				break
			}
		}
	}
	for _, s := range m.versions[0].shapes {
		if !slices.Contains(g.routes, s.shape.Route) {
			g.routes = append(g.routes, s.shape.Route)
		}
	}
	return g, nil
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
	f := m.feeds[code]
	if f != nil {
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
	known := func(t *tally) bool { return covers(t) && (t.mixed || g.one && t.source == g.source(0)) }
	return (!s.disclosed || covers(&m.sum.span)) &&
		(!s.noSubject || known(&m.sum.gaps.noSubject)) &&
		(!s.unmatched || known(&m.sum.gaps.unmatched)) &&
		(f == nil || f.known || !f.ask && covers(f.tally))
}

// add adds an access.
func (g *blockGaps) add(s *blockShape, f *blockFeed, t int64, source string) {
	gaps := g.m.sum.gaps
	if s.disclosed && !s.shape.Subject {
		gaps.noSubject.add(t, g.keep(&gaps.noSubject, source))
	}
	if s.unmatched {
		gaps.unmatched.add(t, g.keep(&gaps.unmatched, source))
		gaps.routes[s.shape.Route]++
	}
	if f == nil || f.known || f.ask && g.m.w.index.IssuanceFeed(f.realm, f.key, f.client, s.shape.Route, t).Known {
		return
	}
	if f.tally == nil {
		u := feedUnit{realm: strings.Clone(f.unit.realm), key: strings.Clone(f.unit.key), client: strings.Clone(f.unit.client)}
		f.tally = gaps.unit(u)
	}
	f.tally.add(t, g.keep(f.tally, source))
}

// keep gives a copy of a source that a tally is about to keep, so that it outlives the block.
func (g *blockGaps) keep(t *tally, source string) string {
	if t.count == 0 {
		return strings.Clone(source)
	}
	return source
}

// widen adds n accesses whose times and source a tally knows already.
func widen(t *tally, n int64) { t.count += n }
