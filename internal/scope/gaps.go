package scope

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

const (
	// gapsPerKind is how many gaps of one kind are told apart; the rest are one gap, so that an attacker who
	// makes up keys cannot bury an answer.
	gapsPerKind = 200
	// routesNamed is how many routes a gap names.
	routesNamed = 3
)

// gapSum is what accesses add to gaps.
type gapSum struct {
	noSubject tally
	noFeed    map[feedUnit]*tally
	unmatched tally
	routes    map[string]int64 // of unmatched
}

// feedUnit is what a feed of issuances would cover: a key, else a client, else a realm.
type feedUnit struct{ realm, key, client string }

func newGapSum() *gapSum {
	return &gapSum{noFeed: make(map[feedUnit]*tally), routes: make(map[string]int64)}
}

func (g *gapSum) merge(o *gapSum) {
	g.noSubject.merge(&o.noSubject)
	g.unmatched.merge(&o.unmatched)
	for unit, t := range o.noFeed {
		g.unit(unit).merge(t)
	}
	for route, n := range o.routes {
		g.routes[route] += n
	}
}

func (g *gapSum) unit(u feedUnit) *tally {
	t := g.noFeed[u]
	if t == nil {
		t = &tally{}
		g.noFeed[u] = t
	}
	return t
}

// chunkGaps adds a chunk's accesses to a gapSum. What depends on dictionary entries alone is looked up once.
type chunkGaps struct {
	*gapSum
	feeds map[feedKey]feedView
}

// feedKey has codes, and the world.
type feedKey struct {
	world              int
	realm, key, client uint32
}

// feedView says whether the accesses of a feedKey have a feed.
type feedView struct {
	known bool
	ask   bool   // time and route decide: ask for each access
	unit  *tally // of the accesses without one
}

func (g *gapSum) chunk(c *chunk) *chunkGaps {
	return &chunkGaps{gapSum: g, feeds: make(map[feedKey]feedView)}
}

func (g *chunkGaps) add(c *chunk, h *hit) {
	row, source := int(h.row), c.Source.At(int(h.row))
	if h.disclosed && len(h.pairs) == 0 {
		g.noSubject.add(c.Time[row], source)
	}
	if h.shape.unmatched {
		g.unmatched.add(c.Time[row], source)
		g.gapSum.routes[c.Route.At(row)]++
	}
	if c.Credential.Codes[row] == 0 && c.Key.Codes[row] == 0 {
		return // nothing that could have been issued
	}
	key := feedKey{h.world, c.Realm.Codes[row], c.Key.Codes[row], c.Client.Codes[row]}
	view, ok := g.feeds[key]
	if !ok {
		view = g.view(c, h)
		g.feeds[key] = view
	}
	if view.ask {
		view.known = g.covered(c, h)
	}
	if !view.known {
		if view.unit == nil {
			view.unit = g.unitOf(c, row)
			g.feeds[key] = view
		}
		view.unit.add(c.Time[row], source)
	}
}

// view looks a feedKey up. Issuances that are in the ledger cover every time and route, so only a feed record's word
// can differ from access to access.
func (g *chunkGaps) view(c *chunk, h *hit) feedView {
	w := c.world(h.world)
	realm := c.Realm.At(int(h.row))
	if w.feeds[realm] {
		return feedView{ask: true}
	}
	return feedView{known: g.covered(c, h)}
}

func (g *chunkGaps) covered(c *chunk, h *hit) bool {
	row := int(h.row)
	return c.world(h.world).index.IssuanceFeed(c.Realm.At(row), c.Key.At(row), c.Client.At(row), c.Route.At(row), c.Time[row]).Known
}

func (g *chunkGaps) unitOf(c *chunk, row int) *tally {
	u := feedUnit{realm: strings.Clone(c.Realm.At(row)), key: strings.Clone(c.Key.At(row))}
	if u.key == "" {
		u.client = strings.Clone(c.Client.At(row))
	}
	return g.gapSum.unit(u)
}

// gaps lists what the records cannot tell about the question's first filter: by kind, then by time.
func (q *question) gaps(ctx context.Context, s *sum) ([]whosaw.Gap, error) {
	out := []whosaw.Gap{}
	if len(q.terms) > 0 {
		w, err := q.at(ctx, q.latest())
		if err != nil {
			return nil, err
		}
		quiet, err := q.silences(ctx, w, q.asOf[q.latest()])
		if err != nil {
			return nil, err
		}
		var gaps []whosaw.Gap
		for _, x := range quiet {
			if q.touches(x.source, x.from, x.to, true) && !q.removed(x.source, x.from, x.to) {
				gaps = append(gaps, silentGap(x))
			}
		}
		out = append(out, limitGaps(gaps, "silent stretches of sources")...)
		gaps = nil
		for source, r := range w.rejected {
			count, from, until := r.all()
			if count > 0 && (from == 0 && until == 0 && q.touchesSource(source) || q.touches(source, from, until, false)) {
				gaps = append(gaps, rejectedGap(source, count, from, until))
			}
			if r.lost > 0 && q.touches(source, r.lostFrom, r.lostUntil, false) {
				gaps = append(gaps, lostGap(source, r.lost, r.lostFrom, r.lostUntil))
			}
		}
		sortGaps(gaps)
		out = append(out, limitGaps(gaps, "sources with rejected lines")...)
	}
	if t := &s.gaps.noSubject; t.count > 0 {
		out = append(out, gap(whosaw.GapNoSubject, t, numbered(t.count, "disclosed access does", "disclosed accesses do")+
			" not say whose data was shown, so those customers are missing from the counts and the list. Log the customer's id, or let the "+
			"catalog join it; whosaw doctor shows how"))
	}
	var gaps []whosaw.Gap
	for unit, t := range s.gaps.noFeed {
		gaps = append(gaps, gap(whosaw.GapNoFeed, t, unit.says(t.count)))
	}
	sortGaps(gaps)
	out = append(out, limitGaps(gaps, "keys and clients without a feed")...)
	if len(q.terms) > 0 {
		out = append(out, q.purgedGaps()...)
	}
	if t := &s.gaps.unmatched; t.count > 0 {
		out = append(out, gap(whosaw.GapUnmatched, t, s.gaps.saysUnmatched()))
	}
	return out, nil
}

// touches reports whether a term looks at a stretch of time of a source; of one that is open, both ends
// are outside.
func (q *question) touches(source string, from, to int64, open bool) bool {
	if open {
		from, to = from+1, to-1
	}
	return slices.ContainsFunc(q.terms, func(t *term) bool { return t.touches(source, from, to) })
}

func (q *question) touchesSource(source string) bool {
	return slices.ContainsFunc(q.terms, func(t *term) bool { return t.sources == nil || t.sources.accept(source) })
}

func gap(kind whosaw.GapKind, t *tally, says string) whosaw.Gap {
	return whosaw.Gap{Kind: kind, From: t.from(), To: t.to(), Source: t.origin(), Count: t.count, Says: says}
}

func silentGap(s silence) whosaw.Gap {
	return whosaw.Gap{
		Kind: whosaw.GapSilent, From: stamp(s.from), To: stamp(s.to), Source: s.source, Count: 1,
		Says: "no records for " + length(s.to-s.from) + ", over 10 times this source's usual spacing: what happened then is not " +
			"in this answer. Look for the missing part of the log, or find out whether the site was down",
	}
}

func rejectedGap(source string, count, from, until int64) whosaw.Gap {
	g := whosaw.Gap{
		Kind: whosaw.GapRejected, Source: source, Count: count,
		Says: numbered(count, "line of source "+source+" was", "lines of source "+source+" were") +
			" rejected and not counted. Each stands with its reason in the reject file: --rejects FILE of whosaw investigate, DIR/rejects.jsonl of a server",
	}
	if from != 0 || until != 0 {
		g.From, g.To = stamp(from), stamp(until)
	}
	return g
}

func lostGap(source string, count, from, until int64) whosaw.Gap {
	return whosaw.Gap{
		Kind: whosaw.GapRejected, Source: source, From: stamp(from), To: stamp(until), Count: count,
		Says: numbered(count, "record of source "+source+" was", "records of source "+source+" were") +
			" lost by the sender before they came: what they said is not in this answer. The sender's own log says when, and why",
	}
}

func (u feedUnit) says(n int64) string {
	in := ""
	if u.realm != "" {
		in = " in realm " + u.realm
	}
	what, cure := "credentials without key and client"+in, "Send issuance records"
	switch {
	case u.key != "":
		what = "key " + u.key + in
	case u.client != "":
		what = "client " + u.client + in
	}
	return "no feed of issuances for " + what + ": whether a log-in issued the credentials of " +
		numbered(n, "access", "accesses") + " cannot be told, so they count as not issued. " + cure + ", or name the log-in route in the catalog"
}

func (g *gapSum) saysUnmatched() string {
	type row struct {
		route string
		n     int64
	}
	var rows []row
	for r, n := range g.routes {
		rows = append(rows, row{r, n})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.route, b.route)) })
	var list []string
	for i, r := range rows {
		if i == routesNamed {
			list = append(list, strconv.Itoa(len(rows)-i)+" more")
			break
		}
		if r.route == "" {
			r.route = "(no route)"
		}
		list = append(list, r.route)
	}
	return numbered(g.unmatched.count, "access", "accesses") + " on routes that the catalog does not know, and the records do not say what was shown: " +
		strings.Join(list, ", ") + ". Add them to the catalog: their fields follow at once; ids in their paths only when the log is read again into a new data directory"
}

func sortGaps(gaps []whosaw.Gap) {
	at := func(t *whosaw.Time) whosaw.Time {
		if t == nil {
			return 0
		}
		return *t
	}
	slices.SortFunc(gaps, func(a, b whosaw.Gap) int {
		return cmp.Or(cmp.Compare(at(a.From), at(b.From)), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Says, b.Says))
	})
}

// limitGaps makes one gap of those beyond gapsPerKind, which keep their count and range.
func limitGaps(gaps []whosaw.Gap, what string) []whosaw.Gap {
	if len(gaps) <= gapsPerKind {
		return gaps
	}
	rest := gaps[gapsPerKind-1:]
	one := whosaw.Gap{Kind: rest[0].Kind, Says: strconv.Itoa(len(rest)) + " further " + what + ", together. Narrow the filter to see each"}
	for _, g := range rest {
		one.Count += g.Count
		if g.From != nil && (one.From == nil || *g.From < *one.From) {
			one.From = g.From
		}
		if g.To != nil && (one.To == nil || *g.To > *one.To) {
			one.To = g.To
		}
	}
	return append(slices.Clone(gaps[:gapsPerKind-1]), one)
}

func numbered(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// length gives a span of milliseconds for people: "2 h 13 min", "3 d 4 h".
func length(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
