package catalog

import (
	"fmt"
	"sort"
	"strings"

	"github.com/whosaw/whosaw/internal/hint"
)

// template is a route as a catalog writes it: "GET /me/addresses/{address}". Each segment is static
// text, or holds one placeholder ("{id}", "{id}.json"); the last may be "{rest...}". A route that a source
// names without a path ("sts.amazonaws.com:AssumeRole") is a name and nothing else.
type template struct {
	name   string // "": it has a path
	method string // "" stands for any
	path   string // as written
	segs   []tmplSegment
}

type tmplSegment struct {
	name           string // of the placeholder; "" for static text
	rest           bool
	prefix, suffix string // around the placeholder; the whole text, decoded, in prefix for static text
}

// parseTemplate reads "METHOD /path". The errors say what to write instead.
func parseTemplate(s string) (*template, error) {
	method, path, ok := strings.Cut(strings.TrimSpace(s), " ")
	path = strings.TrimSpace(path)
	if !ok && method != "" && !strings.ContainsAny(method, "/{}") && len(method) <= maxName || strings.HasPrefix(method, "(") {
		return &template{name: strings.TrimSpace(s)}, nil
	}
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("route %q: write a method and a path from the root, like \"GET /me/addresses\", or \"ANY /me\"", s)
	}
	t := &template{method: method, path: path}
	switch {
	case method == "*" || method == "ANY":
		t.method = ""
	case methods[method] != method && !isOperation(method):
		return nil, fmt.Errorf("route %q: method %s is not known%s; ANY stands for every method", s, method, hint.DidYouMean(method, methodNames()))
	}
	if i := strings.IndexAny(path, "?#; "); i >= 0 {
		return nil, fmt.Errorf("route %q: a path has no %q: leave it and what follows out (query parameters are named as subject: query.NAME)", s, path[i])
	}
	for raw := range strings.SplitSeq(path, "/") {
		if raw == "" {
			continue
		}
		if n := len(t.segs); n > 0 && t.segs[n-1].rest {
			return nil, fmt.Errorf("route %q: {%s...} must be the last segment", s, t.segs[n-1].name)
		}
		seg, err := parseSegment(raw)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", s, err)
		}
		if seg.name != "" && t.place(seg.name) >= 0 {
			return nil, fmt.Errorf("route %q: placeholder {%s} stands twice: give each its own name", s, seg.name)
		}
		t.segs = append(t.segs, seg)
	}
	if len(t.segs) >= maxSegments {
		return nil, fmt.Errorf("route %q: more than %d segments: end it with {rest...}", s, maxSegments-1)
	}
	return t, nil
}

func parseSegment(raw string) (tmplSegment, error) {
	open, end := strings.IndexByte(raw, '{'), strings.IndexByte(raw, '}')
	if open < 0 && end < 0 {
		text := unescape(raw, false)
		if text == "." || text == ".." {
			return tmplSegment{}, fmt.Errorf("a path has no %q segments: write the path they lead to", text)
		}
		return tmplSegment{prefix: text}, nil
	}
	if open < 0 || end < open || strings.ContainsAny(raw[open+1:end], "{") || strings.ContainsAny(raw[end+1:], "{}") {
		return tmplSegment{}, fmt.Errorf("segment %q: write at most one placeholder in a segment, like {id} or {id}.json", raw)
	}
	seg := tmplSegment{name: raw[open+1 : end], prefix: unescape(raw[:open], false), suffix: unescape(raw[end+1:], false)}
	if name, ok := strings.CutSuffix(seg.name, "..."); ok {
		seg.name, seg.rest = name, true
		if seg.prefix != "" || seg.suffix != "" {
			return tmplSegment{}, fmt.Errorf("segment %q: {%s...} must be a whole segment", raw, name)
		}
	}
	if !isName(seg.name) {
		return tmplSegment{}, fmt.Errorf("segment %q: name the placeholder with letters, digits, - and _, like {address}", raw)
	}
	return seg, nil
}

// place gives the index of the segment with the placeholder, -1 if there is none.
func (t *template) place(name string) int {
	for i, s := range t.segs {
		if s.name == name {
			return i
		}
	}
	return -1
}

// places names the placeholders, for error texts.
func (t *template) places() []string {
	var names []string
	for _, s := range t.segs {
		if s.name != "" {
			names = append(names, s.name)
		}
	}
	return names
}

// route is the stored text of a request with this method that the template matched.
func (t *template) route(method string) string { return method + " " + t.path }

// node is one position in the tree of a version's templates. A match visits each node at most once, so
// its cost is bounded by the size of the catalog, whatever the path.
type node struct {
	static  map[string]*node
	partial []partial // the longest literal first
	any     *node
	rest    *leaf
	leaf    *leaf
}

// partial is a segment with text around its placeholder.
type partial struct {
	prefix, suffix string
	node           *node
}

// leaf holds the entries of one path, by method.
type leaf struct {
	methods map[string]*Route
	any     *Route // for every method not in methods
}

// insert adds an entry; the entry that was there already is given back.
func (n *node) insert(t *template, e *Route) *Route {
	for _, s := range t.segs {
		if s.rest {
			if n.rest == nil {
				n.rest = &leaf{}
			}
			return n.rest.insert(t.method, e)
		}
		n = n.child(s)
	}
	if n.leaf == nil {
		n.leaf = &leaf{}
	}
	return n.leaf.insert(t.method, e)
}

func (n *node) child(s tmplSegment) *node {
	switch {
	case s.name == "":
		c := n.static[s.prefix]
		if c == nil {
			c = &node{}
			if n.static == nil {
				n.static = map[string]*node{}
			}
			n.static[s.prefix] = c
		}
		return c
	case s.prefix == "" && s.suffix == "":
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	for _, p := range n.partial {
		if p.prefix == s.prefix && p.suffix == s.suffix {
			return p.node
		}
	}
	c := &node{}
	n.partial = append(n.partial, partial{s.prefix, s.suffix, c})
	sort.SliceStable(n.partial, func(i, j int) bool {
		a, b := n.partial[i], n.partial[j]
		if la, lb := len(a.prefix)+len(a.suffix), len(b.prefix)+len(b.suffix); la != lb {
			return la > lb
		}
		if a.prefix != b.prefix {
			return a.prefix < b.prefix
		}
		return a.suffix < b.suffix
	})
	return c
}

func (l *leaf) insert(method string, e *Route) *Route {
	if method == "" {
		old := l.any
		if old == nil {
			l.any = e
		}
		return old
	}
	old := l.methods[method]
	if old == nil {
		if l.methods == nil {
			l.methods = map[string]*Route{}
		}
		l.methods[method] = e
	}
	return old
}

// pick gives the entry for a method. The answers to HEAD and OPTIONS have no body, so where the catalog
// does not name them they are known by the page's entry, which then shows nothing (see [Route.bare]).
func (l *leaf) pick(method string) (e *Route, bare bool) {
	if l == nil {
		return nil, false
	}
	if e = l.methods[method]; e != nil {
		return e, false
	}
	if method == "HEAD" || method == "OPTIONS" {
		if e = l.methods["GET"]; e == nil {
			e = l.any
		}
		return e, e != nil
	}
	return l.any, false
}

// match finds the entry for a request: static text before a placeholder, segment by segment; what has the
// path but not the method gives way to the next.
func (n *node) match(method string, t *target) (e *Route, bare bool) { return n.find(method, t, 0) }

func (n *node) find(method string, t *target, i int) (e *Route, bare bool) {
	if i == len(t.segs) {
		if !t.long {
			if e, bare = n.leaf.pick(method); e != nil {
				return e, bare
			}
		}
		return n.rest.pick(method)
	}
	text := t.segs[i].text
	if c := n.static[text]; c != nil {
		if e, bare = c.find(method, t, i+1); e != nil {
			return e, bare
		}
	}
	for _, p := range n.partial {
		if len(text) > len(p.prefix)+len(p.suffix) && strings.HasPrefix(text, p.prefix) && strings.HasSuffix(text, p.suffix) {
			if e, bare = p.node.find(method, t, i+1); e != nil {
				return e, bare
			}
		}
	}
	if n.any != nil {
		if e, bare = n.any.find(method, t, i+1); e != nil {
			return e, bare
		}
	}
	return n.rest.pick(method)
}

// lookup finds the entry for a stored route. Its placeholders stand for themselves: "{x}" is matched by a
// placeholder of any name and never by static text; other segments match as those of a request do, so that
// a route stored before the catalog knew it is found by the catalog that does.
func (n *node) lookup(method string, segs []tmplSegment) (e *Route, bare bool) {
	if len(segs) == 0 {
		if e, bare = n.leaf.pick(method); e != nil {
			return e, bare
		}
		return n.rest.pick(method)
	}
	s := segs[0]
	if s.rest {
		return n.rest.pick(method)
	}
	if s.name == "" {
		if c := n.static[s.prefix]; c != nil {
			if e, bare = c.lookup(method, segs[1:]); e != nil {
				return e, bare
			}
		}
	}
	for _, p := range n.partial {
		if s.fits(p) {
			if e, bare = p.node.lookup(method, segs[1:]); e != nil {
				return e, bare
			}
		}
	}
	if n.any != nil {
		if e, bare = n.any.lookup(method, segs[1:]); e != nil {
			return e, bare
		}
	}
	return n.rest.pick(method)
}

// fits reports whether every segment that s stands for is matched by p.
func (s tmplSegment) fits(p partial) bool {
	if s.name == "" {
		text := s.prefix
		return len(text) > len(p.prefix)+len(p.suffix) && strings.HasPrefix(text, p.prefix) && strings.HasSuffix(text, p.suffix)
	}
	return strings.HasPrefix(s.prefix, p.prefix) && strings.HasSuffix(s.suffix, p.suffix)
}

// storedSegments takes the path of a stored route apart. It never fails: what is no placeholder is text.
func storedSegments(path string) []tmplSegment {
	var segs []tmplSegment
	for raw := range strings.SplitSeq(path, "/") {
		if raw == "" {
			continue
		}
		seg, err := parseSegment(raw)
		if err != nil {
			seg = tmplSegment{prefix: raw}
		}
		segs = append(segs, seg)
		if seg.rest || len(segs) == maxSegments {
			break
		}
	}
	return segs
}

// maxName is the longest route without a path.
const maxName = 256

// isOperation reports whether s can be the name of an operation that stands where a method does, like
// GetObject. Unlike a method it has small letters, after a capital.
func isOperation(s string) bool {
	if len(s) < 4 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' || s == strings.ToUpper(s) {
		return false
	}
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) {
			return false
		}
	}
	return methods[strings.ToUpper(s)] == ""
}

// isName reports whether s can name a placeholder.
func isName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
