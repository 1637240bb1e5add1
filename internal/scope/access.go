package scope

import (
	"context"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// chunk is a part's accesses with what a question needs to judge them. It is used by one worker.
type chunk struct {
	*ledger.Chunk
	q    *question
	ctx  context.Context
	part int
	rows [][]uint32 // candidates of each of the question's terms

	version     *catalog.Version // the one found last; valid if versionAt
	views       []*versionView
	shapes      map[shapeKey]*shape
	recent      [256]*shape        // by a hash of the key
	joined      []string           // subjects found by joins, numbered after SubjectStrings
	byPrincipal []ledger.SubjectID // what joins have found for each principal
	keys        []subjectKey
	keyed       []bool
	realms      []uint32 // the question's number + 1 of each entry of the realm dictionary
	worlds      []*chunkWorld
	one         [1]ledger.SubjectID
	alone       bool  // no side table is asked
	err         error // the first one met while judging; hits returns it
}

// versionView is a version of the catalog, nil for none, with its routes by the chunk's route codes.
type versionView struct {
	version *catalog.Version
	number  uint32
	routes  []*catalog.Route
	known   []bool // routes[code] was looked up
}

// shapeKey is all that decides what an access showed, but for the number of others it states.
type shapeKey struct {
	version, route, fields, masked uint32
	status                         uint16
	outcome                        uint8
	subject                        bool
}

// shape is what accesses with one key showed.
type shape struct {
	key       shapeKey
	outcome   whosaw.Outcome
	set       uint32 // number in the question's sets
	others    int64  // where the access states none
	unmatched bool   // no version knows the route, and the access does not say what it showed
	version   *catalog.Version
	pass      []bool // by term: its members field and outcome hold
}

// chunkWorld is a world with what was looked up in it for a chunk.
type chunkWorld struct {
	*world
	known        *reference.Index // all records; nil: not asked for yet
	some         *reference.Index // see issuances
	why          *reference.Index // see reasons
	table        []bool           // see there
	looked       bool             // for the table
	byCredential []ledger.SubjectID
	realmOf      []uint32 // the realm code for which byCredential was looked up

	issued []issuedMemo // by credential code
}

// issuedMemo is the last answer for a credential: a session's accesses mostly name one key and one principal.
type issuedMemo struct {
	realm, key, principal uint32
	asked, yes            bool
}

// What a join has found for a dictionary entry, beside an id.
const (
	joinUnknown = ^ledger.SubjectID(0)     // not looked up yet
	joinNobody  = ^ledger.SubjectID(0) - 1 // no subject
)

func newChunk(ctx context.Context, q *question, part int, c *ledger.Chunk, rows [][]uint32) *chunk {
	return &chunk{
		Chunk: c, q: q, ctx: ctx, part: part, rows: rows,
		shapes: make(map[shapeKey]*shape), worlds: make([]*chunkWorld, len(q.asOf)),
	}
}

// world gives one of the question's worlds. After an error it is an empty one, and hits will return
// the error.
func (c *chunk) world(i int) *chunkWorld {
	if w := c.worlds[i]; w != nil {
		return w
	}
	w, err := c.q.at(c.ctx, i)
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		w = emptyWorld()
	}
	c.worlds[i] = &chunkWorld{world: w}
	return c.worlds[i]
}

// whole gives the index of all records of a world.
func (c *chunk) whole(w *chunkWorld) *reference.Index {
	if w.known == nil {
		all, err := c.q.whole(c.ctx, w.world)
		if err != nil {
			if c.err == nil {
				c.err = err
			}
			all = reference.New()
		}
		w.known = all
	}
	return w.known
}

// own gives the subjects that the record itself names.
func (c *chunk) own(row uint32) []ledger.SubjectID {
	return c.SubjectIDs[c.SubjectStart[row]:c.SubjectStart[row+1]]
}

// look works out, in a world, whose data an access asked for and what it showed. The ids are valid until
// the next look.
func (c *chunk) look(row uint32, world int) ([]ledger.SubjectID, *shape) {
	view := c.versionAt(c.Time[row])
	route := view.route(c.Route.Dict, c.Route.Codes[row])
	ids := c.own(row)
	if len(ids) == 0 && route != nil && route.Join != catalog.JoinNone {
		if id := c.join(row, route.Join, world); id != joinNobody {
			c.one[0] = id
			ids = c.one[:]
		}
	}
	key := shapeKey{
		version: view.number, route: c.Route.Codes[row], fields: c.Fields.Codes[row], masked: c.Masked.Codes[row],
		status: c.Status[row], outcome: c.Outcome[row], subject: len(ids) > 0,
	}
	return ids, c.shape(key, view.version, route)
}

func (c *chunk) versionAt(t int64) *versionView {
	if len(c.views) > 0 && c.version != nil && within(c.version, t) {
		// Versions do not overlap, so the one that covers t is the one valid at t.
		return c.views[0]
	}
	var v *catalog.Version
	if c.q.cat != nil {
		v = c.q.cat.At(t)
	}
	c.version = v
	for i, view := range c.views {
		if view.version == v {
			c.views[0], c.views[i] = c.views[i], c.views[0]
			return view
		}
	}
	view := &versionView{version: v, number: uint32(len(c.views))}
	if v != nil {
		view.routes = make([]*catalog.Route, len(c.Route.Dict))
		view.known = make([]bool, len(c.Route.Dict))
	}
	c.views = append(c.views, view)
	last := len(c.views) - 1
	c.views[0], c.views[last] = c.views[last], c.views[0]
	return view
}

func within(v *catalog.Version, t int64) bool {
	return (v.From == 0 || t >= v.From) && (v.Until == 0 || t < v.Until)
}

func (v *versionView) route(dict []string, code uint32) *catalog.Route {
	if v.version == nil {
		return nil
	}
	if !v.known[code] {
		v.routes[code], v.known[code] = v.version.Route(dict[code]), true
	}
	return v.routes[code]
}

// join finds the subject of an access that names none.
func (c *chunk) join(row uint32, how catalog.Join, world int) ledger.SubjectID {
	code := c.Principal.Codes[row]
	principal := c.Principal.Dict[code]
	if how.Issued(principal) {
		return c.issuedTo(row, world)
	}
	if c.byPrincipal == nil {
		c.byPrincipal = unknown(len(c.Principal.Dict))
	}
	if c.byPrincipal[code] == joinUnknown {
		// A join that does not ask for the issuance reads the claim, whichever join it is.
		subject, ok := how.Claimed(principal)
		c.byPrincipal[code] = c.number(subject, ok)
	}
	return c.byPrincipal[code]
}

// issuedTo finds the subject to whom an access's credential was issued.
func (c *chunk) issuedTo(row uint32, world int) ledger.SubjectID {
	code, realm := c.Credential.Codes[row], c.Realm.Codes[row]
	if code == 0 {
		return joinNobody
	}
	w := c.world(world)
	if w.byCredential == nil {
		w.byCredential = unknown(len(c.Credential.Dict))
		w.realmOf = make([]uint32, len(c.Credential.Dict))
	}
	if w.byCredential[code] == joinUnknown || w.realmOf[code] != realm {
		subject, ok := c.issuances(w).SubjectOf(c.Realm.Dict[realm], c.Credential.Dict[code])
		w.byCredential[code], w.realmOf[code] = c.number(subject, ok), realm
	}
	return w.byCredential[code]
}

func unknown(n int) []ledger.SubjectID {
	ids := make([]ledger.SubjectID, n)
	for i := range ids {
		ids[i] = joinUnknown
	}
	return ids
}

// number gives a joined subject an id within the chunk.
func (c *chunk) number(subject string, ok bool) ledger.SubjectID {
	if !ok || subject == "" {
		return joinNobody
	}
	if k, ok := integerID(subject); ok {
		return ledger.SubjectID(k)
	}
	c.joined = append(c.joined, subject)
	return ledger.SubjectString | ledger.SubjectID(len(c.SubjectStrings)+len(c.joined)-1)
}

// text gives a subject that is no integer.
func (c *chunk) text(id ledger.SubjectID) string {
	i := int(id &^ ledger.SubjectString)
	if i < len(c.SubjectStrings) {
		return c.SubjectStrings[i]
	}
	return c.joined[i-len(c.SubjectStrings)]
}

// key gives a subject's key within the question.
func (c *chunk) key(id ledger.SubjectID) subjectKey {
	if id&ledger.SubjectString == 0 {
		return subjectKey(id)
	}
	i := int(id &^ ledger.SubjectString)
	for len(c.keys) <= i {
		n := max(i+1, len(c.SubjectStrings))
		c.keys = append(c.keys, make([]subjectKey, n-len(c.keys))...)
		c.keyed = append(c.keyed, make([]bool, n-len(c.keyed))...)
	}
	if !c.keyed[i] {
		c.keys[i], c.keyed[i] = c.q.ids.key(c.text(id)), true
	}
	return c.keys[i]
}

// realm gives the number of an access's realm within the question.
func (c *chunk) realm(row uint32) uint32 {
	code := c.Realm.Codes[row]
	if c.realms == nil {
		c.realms = make([]uint32, len(c.Realm.Dict))
	}
	if c.realms[code] == 0 {
		c.realms[code] = c.q.realms.id(c.Realm.Dict[code]) + 1
	}
	return c.realms[code] - 1
}

func (c *chunk) shape(key shapeKey, version *catalog.Version, route *catalog.Route) *shape {
	h := (key.route*31+key.fields)*31 + key.masked*17 + uint32(key.status)*7 + uint32(key.outcome)*3 + key.version*101
	if key.subject {
		h++
	}
	slot := &c.recent[(h*0x9e3779b1)>>24]
	if s := *slot; s != nil && s.key == key {
		return s
	}
	s := c.shapes[key]
	if s == nil {
		s = c.makeShape(key, version, route)
		c.shapes[key] = s
	}
	*slot = s
	return s
}

func (c *chunk) makeShape(key shapeKey, version *catalog.Version, route *catalog.Route) *shape {
	fields, masked := c.Fields.Dict[key.fields], c.Masked.Dict[key.masked]
	shown := catalog.Show(route, fields, masked, int(key.status), whosaw.Outcome(key.outcome), 0, key.subject)
	s := &shape{
		key: key, outcome: shown.Outcome, set: c.q.sets.id(shown.Fields, shown.Masked), others: shown.Others,
		unmatched: !shown.Matched, version: version, pass: make([]bool, len(c.q.terms)),
	}
	for i, t := range c.q.terms {
		s.pass[i] = (t.field == nil || t.field.acceptSet(shown.Fields)) &&
			(t.outcome == nil || t.outcome.accept(shown.Outcome.String()))
	}
	return s
}

// keeps reports whether a term keeps a subject.
func (c *chunk) keeps(t *term, id ledger.SubjectID) bool {
	for _, m := range t.subject {
		if id&ledger.SubjectString != 0 {
			if !m.keepsText(c.text(id)) {
				return false
			}
		} else if !m.keepsInt(subjectKey(id)) {
			return false
		}
	}
	return true
}

// holds reports whether a candidate of a term matches it, given whose data it asked for and what it showed in
// the term's world.
func (c *chunk) holds(t *term, row uint32, ids []ledger.SubjectID, s *shape) bool {
	if !s.pass[t.index] {
		return false
	}
	if len(t.subject) > 0 && !c.keepsAny(t, ids) {
		return false
	}
	if t.issued != nil && *t.issued != c.issued(row, t.world) {
		return false
	}
	return t.expl == nil || *t.expl == c.explained(row, t.world, ids)
}

// keepsAny reports whether a term keeps one of the subjects. An access without subjects passes unless one is
// asked for.
func (c *chunk) keepsAny(t *term, ids []ledger.SubjectID) bool {
	for _, id := range ids {
		if c.keeps(t, id) {
			return true
		}
	}
	if len(ids) > 0 {
		return false
	}
	for _, m := range t.subject {
		if m.positive {
			return false
		}
	}
	return true
}

func (c *chunk) issued(row uint32, world int) bool {
	code := c.Credential.Codes[row]
	if code == 0 {
		return false
	}
	w := c.world(world)
	if table := c.table(w); table != nil {
		return table[row]
	}
	if w.issued == nil {
		w.issued = make([]issuedMemo, len(c.Credential.Dict))
	}
	ask := issuedMemo{realm: c.Realm.Codes[row], key: c.Key.Codes[row], principal: c.Principal.Codes[row], asked: true}
	memo := &w.issued[code]
	if ask.yes = memo.yes; *memo != ask {
		ask.yes = c.issuances(w).Issued(c.Realm.At(int(row)), c.Credential.Dict[code], c.Key.At(int(row)), c.Principal.At(int(row)))
		*memo = ask
	}
	return ask.yes
}

// explained reports whether every subject of an access is explained. Of an access that names no subject, or of which nobody
// can say who made it, nobody can say why it was made: it is not.
func (c *chunk) explained(row uint32, world int, ids []ledger.SubjectID) bool {
	if len(ids) == 0 {
		return false
	}
	w, realm := c.world(world), c.Realm.At(int(row))
	issued := c.issued(row, world)
	principal := c.Principal.At(int(row))
	if principal == "" && issued {
		principal = c.issuances(w).Claimant(realm, c.Credential.At(int(row)), "", true)
	}
	if principal == "" {
		return false
	}
	for _, id := range ids {
		subject := ""
		if id&ledger.SubjectString != 0 {
			subject = c.text(id)
		} else {
			subject = strconv.FormatUint(uint64(id), 10)
		}
		if !c.reasons(w).Explained(realm, principal, subject, c.Time[row], issued) {
			return false
		}
	}
	return true
}

func (s *shape) disclosed() bool { return s.outcome == whosaw.OutcomeDisclosed }

// others gives how many entries of non-customers an access showed.
func (c *chunk) others(row uint32, s *shape) int64 {
	if n := c.Others[row]; n != 0 {
		return n
	}
	return s.others
}
