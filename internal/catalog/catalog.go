package catalog

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/answer"
	"github.com/whosaw/whosaw/internal/hint"
)

// Catalog says which route shows which fields to whom, in versions with a validity. Immutable and safe
// for concurrent use.
type Catalog struct {
	name      string
	versions  []*Version // by From; none overlap
	known     []string
	notes     []string
	suggested bool
}

// Unclassified is the field name the rules use.
const Unclassified = "unclassified"

// SuggestedName is the name of the catalog of [Rules], and of its one version.
const SuggestedName = "suggested"

// Name is the catalog's name: that of its file, or SuggestedName.
func (c *Catalog) Name() string { return c.name }

// Suggested reports whether this is the catalog of Rules.
func (c *Catalog) Suggested() bool { return c.suggested }

// Versions lists the versions by validity, the earliest first. The slice is the catalog's own.
func (c *Catalog) Versions() []*Version { return c.versions }

// Notes are remarks for the catalog's author: times without a version, fields that look misspelt. They
// are not errors.
func (c *Catalog) Notes() []string { return c.notes }

// At gives the version valid at event time t (milliseconds), nil if none is.
func (c *Catalog) At(t int64) *Version {
	for _, v := range c.versions {
		if v.valid(t) {
			return v
		}
	}
	return nil
}

// Known lists the fields any version knows of, sorted: routes' fields and masked fields, and the
// catalog's own list of fields that no route should show. The rules know of none: without a catalog
// nobody can say what was not reached.
func (c *Catalog) Known() []string { return c.known }

// Version is one version of the catalog.
type Version struct {
	Name        string
	From, Until int64 // milliseconds, [From, Until); 0: open

	rules    bool
	tree     *node
	folded   *node // the same for back ends that ignore case; nil: this one does not
	capitals bool  // entries have capitals, so that a request without may be spelled otherwise too
	entries  []*Route
	exact    map[string]*Route // by the text Resolve stores, but for ANY
	methods  map[string]string // that entries name, each to itself
}

func (v *Version) valid(t int64) bool {
	return (v.From == 0 || t >= v.From) && (v.Until == 0 || t < v.Until)
}

// Routes lists the entries, sorted by their text. For the rules, which know every route, it is empty.
func (v *Version) Routes() []*Route { return v.entries }

// Route gives the entry for a stored route, nil if the catalog does not know it. Placeholder names do
// not matter: "GET /a/{x}" finds "GET /a/{id}".
func (v *Version) Route(route string) *Route {
	if v.rules {
		return ruleRoute(route)
	}
	if e := v.exact[route]; e != nil {
		return e
	}
	method, path, ok := strings.Cut(route, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		return nil
	}
	e, bare := v.tree.lookup(method, storedSegments(path))
	if bare {
		return e.bare
	}
	return e
}

// Join says how a subject is found at query time, when the record names none.
type Join uint8

// The joins.
const (
	JoinNone       Join = iota
	JoinPrincipal       // the principal's claim: customer:7 is subject 7
	JoinCredential      // the issuance of the credential
	JoinEither          // the principal's claim; for an access without a principal, the issuance
)

// Claimed reports whether the join reads the principal's claim of an access with this principal, and the
// subject claimed. A principal that is not a customer claims no subject.
func (j Join) Claimed(principal string) (subject string, ok bool) {
	if j != JoinPrincipal && j != JoinEither {
		return "", false
	}
	if subject, ok = strings.CutPrefix(principal, customer); !ok || subject == "" {
		return "", false
	}
	return subject, true
}

// Issued reports whether the join asks for the issuance of the credential of an access with this principal.
func (j Join) Issued(principal string) bool {
	return j == JoinCredential || j == JoinEither && principal == ""
}

// Route is one entry.
type Route struct {
	Route          string
	Fields, Masked []string // sorted, distinct
	Others         int64    // applied where the record has none
	Join           Join
	Answer         *answer.Spec // where a JSON answer has what, for a door that sees it; nil: it is not looked into
	NeedsSubject   bool         // fields and masked fields apply only to accesses with a subject

	tmpl     *template
	stored   string // what Resolve stores for a request with the template's own method
	subject  place
	login    *login
	bare     *Route // this entry for a request whose answer has no body
	statuses map[int]whosaw.Outcome
	classes  [10]whosaw.Outcome // by status / 100
}

// place is where an id stands in a request.
type place struct {
	kind  placeKind
	name  string // of the placeholder or parameter
	index int    // of the placeholder's segment
	list  bool   // several ids, separated by commas
}

type placeKind uint8

const (
	placeNone placeKind = iota
	placePath
	placeQuery
	placeRecord // the record's own member
)

// login says that successful accesses to a route are log-ins.
type login struct {
	credential place
	subject    place // placeNone: the record's principal alone says who
	statuses   map[int]bool
}

// customer is the prefix of a principal that claims to be a customer.
const customer = "customer:"

// newCatalog puts checked versions together.
func newCatalog(name string, versions []*Version, elsewhere []string) *Catalog {
	sort.SliceStable(versions, func(i, j int) bool { return versions[i].From < versions[j].From })
	c := &Catalog{name: name, versions: versions, known: []string{}}
	c.known = append(c.known, elsewhere...)
	for _, v := range versions {
		if !v.rules {
			v.folded, v.capitals = v.fold()
		}
		for _, e := range v.entries {
			c.known = append(append(c.known, e.Fields...), e.Masked...)
		}
	}
	slices.Sort(c.known)
	c.known = slices.Compact(c.known)
	c.notes = append(c.noteGaps(), c.noteFields()...)
	return c
}

// newVersion gives a version without entries.
func newVersion(name string, from, until int64) *Version {
	return &Version{Name: name, From: from, Until: until, tree: &node{}, exact: map[string]*Route{}, methods: map[string]string{}}
}

// add puts an entry in; the one that was there already is given back.
func (v *Version) add(e *Route) *Route {
	if e.tmpl.name != "" {
		if old := v.exact[e.tmpl.name]; old != nil {
			return old
		}
		e.stored = e.tmpl.name
	} else if old := v.tree.insert(e.tmpl, e); old != nil {
		return old
	}
	e.bare = &Route{Route: e.Route, Fields: none, Masked: none, Join: e.Join, NeedsSubject: e.NeedsSubject}
	e.bare.statuses, e.bare.classes = withoutDisclosed(e.statuses), e.classes
	for i, o := range e.bare.classes {
		if o == whosaw.OutcomeDisclosed {
			e.bare.classes[i] = whosaw.OutcomeNone
		}
	}
	i, _ := slices.BinarySearchFunc(v.entries, e, func(a, b *Route) int { return strings.Compare(a.Route, b.Route) })
	v.entries = slices.Insert(v.entries, i, e)
	if e.tmpl.method != "" {
		e.stored = e.tmpl.route(e.tmpl.method)
		v.methods[e.tmpl.method] = e.tmpl.method
	}
	if e.stored != "" {
		v.exact[e.stored] = e
	}
	return nil
}

var none = []string{}

func withoutDisclosed(m map[int]whosaw.Outcome) map[int]whosaw.Outcome {
	out := make(map[int]whosaw.Outcome, len(m))
	for k, o := range m {
		if o == whosaw.OutcomeDisclosed {
			o = whosaw.OutcomeNone
		}
		out[k] = o
	}
	return out
}

// noteGaps says when no version is valid between two that are.
func (c *Catalog) noteGaps() []string {
	var notes []string
	for i := 1; i < len(c.versions); i++ {
		a, b := c.versions[i-1], c.versions[i]
		if a.Until != 0 && a.Until < b.From {
			notes = append(notes, "no version is valid from "+stamp(a.Until)+" to "+stamp(b.From)+
				": accesses of that time show only the fields their records state")
		}
	}
	return notes
}

// noteFields names fields that look like a misspelt well-known one.
func (c *Catalog) noteFields() []string {
	var notes []string
	for _, f := range c.known {
		if f == Unclassified || slices.Contains(wellKnown, f) {
			continue
		}
		if near := hint.Nearest(f, wellKnown); near != "" {
			notes = append(notes, "field \""+f+"\" is not a well-known one: if it is meant to be \""+near+"\", write that")
		}
	}
	return notes
}

// wellKnown are the field names of the contract.
var wellKnown = []string{
	"name", "email", "phone", "address", "door_code", "order_history", "payment", "credential",
	"birth_date", "national_id", "location", "contents",
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// Fingerprint is of all that the catalog says of stored accesses: which route shows which fields, and with which outcome.
func (c *Catalog) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	if c == nil {
		return [sha256.Size]byte{}
	}
	fmt.Fprintf(h, "%t", c.suggested)
	for _, v := range c.versions {
		fmt.Fprintf(h, "\n%q %d %d %t", v.Name, v.From, v.Until, v.rules)
		for _, r := range v.entries {
			r.print(h)
			if r.bare != nil {
				r.bare.print(h)
			}
		}
	}
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

func (r *Route) print(w io.Writer) {
	fmt.Fprintf(w, "\n%q %q %q %d %d %t %v %v", r.Route, r.Fields, r.Masked, r.Others, r.Join, r.NeedsSubject, r.statuses, r.classes)
}
