package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/whosaw/whosaw"
)

const (
	maxSuggestShapes = 20000   // beyond, paths are counted only
	maxDistinct      = 1 << 16 // values that one place is counted exactly to
	maxDistinctAll   = 1 << 20 // values that all places together are
	maxParams        = 4       // of one shape
)

// Suggester counts the raw paths of a log and finds their templates. It is for people: what it finds by
// statistics decides nothing about accesses. Its memory is bounded whatever the log holds. Not safe for
// concurrent use.
type Suggester struct {
	target  target
	reading reading
	shapes  map[string]*shapeCount
	values  int // in all distinct sets
	total   Suggestion
}

// shapeCount is what was seen of one shape.
type shapeCount struct {
	segs      []string
	hits      int64
	status    [6]int64
	absent    int64
	customers int64 // accesses whose principal is a customer
	sessions  int64 // accesses with a credential
	named     int64 // accesses whose record names its subject
	asset     bool
	holes     []holeCount
	params    []holeCount
}

// holeCount counts what stood at one place.
type holeCount struct {
	name    string
	segment int
	label   string
	seen    map[uint64]struct{}
	more    bool // there were more than could be counted
	own     bool // seen belongs to a suggestion being made, not to the suggester
}

// NewSuggester gives an empty suggester.
func NewSuggester() *Suggester { return &Suggester{shapes: map[string]*shapeCount{}} }

// Add counts an access. It reads the raw method and path, so it comes before [Resolver.Resolve]; a record
// that has only a route is counted by that. Other records are ignored.
func (g *Suggester) Add(r *whosaw.Record) {
	if r.Type != whosaw.TypeAccess {
		return
	}
	g.total.Accesses++
	method, text := "", r.Path
	if known, ok := methods[r.Method]; ok && r.Method+r.Path != "" {
		method = known
	} else if m, path, ok := strings.Cut(r.Route, " "); ok && r.Path == "" && strings.HasPrefix(path, "/") {
		method, text = m, path
	}
	if method != "" {
		g.target.parse(text)
	}
	if method == "" || !g.target.ok || len(method) > 64 {
		g.total.NoPath++
		return
	}
	var shape []byte
	if r.Path == "" {
		shape = append(append(append(g.reading.shape[:0], method...), ' '), text...)
		g.reading.shape, g.reading.holes = shape, g.reading.holes[:0]
		g.reading.asset = false
	} else {
		g.reading.read(method, &g.target)
		shape = g.reading.shape
	}
	c := g.shapes[string(shape)]
	if c == nil {
		if len(g.shapes) >= maxSuggestShapes {
			g.total.Uncounted++
			return
		}
		c = g.newShape(string(shape))
		g.shapes[string(shape)] = c
	}
	c.count(r)
	for i := range c.holes {
		if h := &c.holes[i]; i < len(g.reading.holes) {
			g.note(h, g.reading.holes[i].text)
		}
	}
	if r.Path != "" && g.target.query != "" {
		g.noteParams(c)
	}
}

func (g *Suggester) newShape(shape string) *shapeCount {
	_, path, _ := strings.Cut(shape, " ")
	c := &shapeCount{asset: g.reading.asset}
	for seg := range strings.SplitSeq(path, "/") {
		if seg != "" {
			c.segs = append(c.segs, seg)
		}
	}
	for _, h := range g.reading.holes {
		c.holes = append(c.holes, holeCount{segment: h.segment, label: h.label})
	}
	return c
}

func (c *shapeCount) count(r *whosaw.Record) {
	c.hits++
	if class := r.Status / 100; class >= 0 && class < len(c.status) {
		c.status[class]++
	}
	if r.Status == 404 || r.Status == 410 {
		c.absent++
	}
	if strings.HasPrefix(r.Principal, customer) {
		c.customers++
	}
	if r.Credential != "" {
		c.sessions++
	}
	if len(r.Subjects) > 0 {
		c.named++
	}
}

// note counts a value at a place.
func (g *Suggester) note(h *holeCount, value string) {
	k := xxhash.Sum64String(value)
	if _, ok := h.seen[k]; ok {
		return
	}
	if len(h.seen) >= maxDistinct || g.values >= maxDistinctAll {
		h.more = true
		return
	}
	if h.seen == nil {
		h.seen = map[uint64]struct{}{}
	}
	h.seen[k] = struct{}{}
	g.values++
}

// noteParams counts the parameters that the rules would take for a customer's id. Others are not looked at:
// their names may be anything.
func (g *Suggester) noteParams(c *shapeCount) {
	eachParam(g.target.query, func(name, value string) bool {
		if _, ok := personParams[plainName(name)]; !ok || value == "" {
			return true
		}
		for i := range c.params {
			if c.params[i].name == name {
				g.note(&c.params[i], value)
				return true
			}
		}
		if len(c.params) < maxParams {
			c.params = append(c.params, holeCount{name: strings.Clone(name)})
			g.note(&c.params[len(c.params)-1], value)
		}
		return true
	})
}

// Suggestion is what a log's paths look like.
type Suggestion struct {
	Accesses  int64 // counted
	NoPath    int64 // of them without a path or a route that is one
	Uncounted int64 // of them with a path beyond the number of shapes that are kept apart
	Templates []Template
	Failed    int64 // accesses to paths that never succeeded: scanners, mostly
	FailedOn  int   // such paths
	Assets    int64 // accesses to files that are the same for everybody
	AssetsOn  int   // such paths
}

// Template is one route found.
type Template struct {
	Route   string // "GET /users/{user}/orders"
	Hits    int64
	Status  [6]int64 // by the status's first digit; [0]: without a status
	Absent  int64    // answered 404 or 410
	Places  []Place  // where ids stand
	Subject string   // the guess, as a catalog writes it: path.user, query.customer_id, principal, …; "none": the records say; "": not found
	Why     string   // of the guess, or why there is none
	Login   bool     // looks like the log's own log-in
	Useable bool     // of a log-in: credentials and customers are in its records
}

// Place is one place of a template where ids stand.
type Place struct {
	Name     string // of the placeholder or parameter
	In       string // "path" or "query"
	Distinct int64
	AtLeast  bool // there were more, which could not be counted
}

// Suggestion gives what was found so far: the templates with most accesses first.
func (g *Suggester) Suggestion() Suggestion {
	s := g.total
	trees := map[string]*branch{}
	for shape, c := range g.shapes {
		if c.asset {
			s.Assets += c.hits
			s.AssetsOn++
			continue
		}
		method, _, _ := strings.Cut(shape, " ")
		if trees[method] == nil {
			trees[method] = &branch{}
		}
		trees[method].insert(c.segs, c)
	}
	for method, tree := range trees {
		tree.fold(0)
		tree.templates(method, nil, nil, &s)
	}
	slices.SortFunc(s.Templates, func(a, b Template) int {
		return cmp.Or(cmp.Compare(b.Hits, a.Hits), strings.Compare(a.Route, b.Route))
	})
	return s
}
