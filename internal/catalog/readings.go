package catalog

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// Reading is a way in which a back end could take a request, other than the one that [Resolver.Resolve] goes by.
type Reading struct {
	Method   string
	Path     string // decoded, without dot segments and parameters, as this back end would have it
	Route    string
	Subjects []string // whose data it then asks for
	Known    bool     // the catalog has an entry of it
	Same     bool     // Route is that of the plain reading: only the subjects differ
	Fold     bool     // the back end ignores case

	entry *Route
}

// Readings are the ways in which back ends could take a request.
type Readings struct {
	Known   bool      // the catalog has an entry of the plain reading
	Others  []Reading // distinct; those that no entry matches are given where Unknown was asked for
	Unclear bool      // there are more than are looked at: it may mean any route
}

// Ask says which readings are wanted.
type Ask struct {
	At      int64    // event time
	Methods []string // that headers or parameters name beside the request's own
	Fold    bool     // look for other cases of a path in small letters too; one with capitals is always looked at
	Unknown bool     // give readings that no entry matches
}

// Bounds of what is looked at. Nobody honest comes near them.
const (
	maxReadingBytes = 32 << 10 // readings x bytes of the path
	maxDecodings    = 3
	maxOverrides    = 4
)

// how says what a back end makes of a path.
type how struct {
	decode  int  // how often escapes are decoded; plain: once
	params  byte // where ";x=1" ends a segment: 'r' before decoding (plain), 'd' after, 0 nowhere
	slash   bool // what decodes to "/" divides segments
	back    bool // "\" divides segments
	cut     bool // what decodes to NUL, "?" or "#" ends the path
	tail    bool // dots, blanks and control characters at the end of a segment do not count
	ext     bool // the ending of the last segment names a format (".json")
	empties bool // "//" is a segment, for the ".." behind it
	dots    bool // ".." is a segment like any other
}

var plainHow = how{decode: 1, params: 'r'}

// Readings finds the other ways to take a request, and what routes they lead to: other numbers of decodings, escaped and backward slashes, path
// parameters kept or cut, dots and blanks at the end, a format's ending, another case, another method. A request whose spelling is plain has none, and
// costs nothing but a look at its bytes.
func (s *Resolver) Readings(method, path string, ask Ask) (out Readings) {
	v := s.c.At(ask.At)
	folds := v != nil && v.folded != nil
	fold := ask.Fold || folds && v.capitals
	flooded := ask.Unknown && len(s.shapes) >= maxShapes // a path without a shape of its own is still told by its text
	if !fold && !flooded && len(ask.Methods) == 0 && !odd(path) && !lower(method) {
		return out
	}
	f := s.found(method, path, ask)
	out.Known = f.entry != nil
	if cut := strings.IndexAny(path, "?#"); cut >= 0 {
		path = path[:cut]
	}
	if path != "" && path[0] != '/' {
		path = afterHost(path)
	}
	if path == "" || len(ask.Methods) > maxOverrides {
		out.Unclear = path != ""
		return out
	}
	list, deep, ok := spellings(path)
	ways := len(list) * (1 + len(f.methods))
	if !ok || ways*len(path) > maxReadingBytes {
		out.Unclear = true
		return out
	}
	fold = fold || folds || ask.Unknown
	for i, m := range append([]string{s.method(method)}, f.methods...) {
		for _, h := range list {
			s.alt.readAs(path, h)
			s.alt.query = s.target.query
			if h != plainHow || i > 0 || deep || flooded {
				s.take(&out, &f, m, h, false)
			}
			if fold {
				s.take(&out, &f, m, h, true)
			}
		}
	}
	return out
}

// plainly is the plain reading.
type plainly struct {
	v        *Version
	entry    *Route
	route    string
	subjects []string
	methods  []string // the others
	ask      Ask
}

func (s *Resolver) found(method, path string, ask Ask) plainly {
	f := plainly{v: s.c.At(ask.At), ask: ask}
	s.target.parse(path)
	m := s.method(method)
	if !s.c.suggested {
		if e, _, _ := s.match(ask.At, m); e != nil {
			f.entry, f.subjects = e, s.subjects(e.subject, e)
		}
	}
	names := slices.Clone(ask.Methods)
	if m == oddMethod {
		names = append(names, method)
	}
	for _, named := range names {
		if named = s.method(strings.ToUpper(strings.TrimSpace(named))); named != m && !slices.Contains(f.methods, named) {
			f.methods = append(f.methods, named)
		}
	}
	f.route = s.route(m, f.entry)
	return f
}

// take adds what one reading leads to.
func (s *Resolver) take(out *Readings, f *plainly, method string, h how, fold bool) {
	saved := s.target
	s.target = s.alt
	defer func() { s.target = saved }()
	r := Reading{Method: method, Fold: fold}
	var e *Route
	if !s.c.suggested {
		if fold {
			if f.v != nil && f.v.folded != nil {
				e = f.v.folded.findFold(method, &s.target, 0, &s.low)
			}
		} else {
			e, _, _ = s.match(f.ask.At, method)
		}
	}
	if e == nil {
		// A format's ending is looked at where the catalog knows the page without it: every picture has an ending.
		if !f.ask.Unknown || h.ext {
			return
		}
		r.Path = s.target.text()
		if fold {
			r.Path = folded(r.Path)
			s.target.parse(escaped(r.Path))
		}
		if r.Route = s.route(method, nil); r.Route == f.route && !strings.HasSuffix(r.Route, otherPath) && !(fold && f.ask.Fold) {
			return
		}
	} else {
		r.Known, r.entry, r.Route, r.Subjects = true, e, s.route(method, e), s.subjects(e.subject, e)
		if r.Same = r.Route == f.route; r.Same && (fold || slices.Equal(r.Subjects, f.subjects)) {
			return
		}
		r.Path = s.target.text()
	}
	for i := range out.Others {
		x := &out.Others[i]
		if x.entry == e && x.Route == r.Route && (e != nil && slices.Equal(x.Subjects, r.Subjects) || e == nil && x.Path == r.Path && x.Fold == fold) {
			return
		}
	}
	out.Others = append(out.Others, r)
}

// odd reports whether a path could be spelled otherwise. Every byte is looked at once.
func odd(path string) bool {
	dot, last := false, byte('/')
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '?' || c == '#':
			return last == '.' || dot && formatOf(path[:i]) > 0
		case 'A' <= c && c <= 'Z', c == '%', c == ';', c == '\\', c <= ' ', c >= 0x7f:
			return true
		case c == '/':
			if last == '.' {
				return true // a dot segment, or a dot at a segment's end
			}
		case c == '.':
			dot = true
		}
		last = c
	}
	return last == '.' || dot && formatOf(path) > 0
}

// lower reports whether a method has small letters: some services take "get" for GET.
func lower(method string) bool {
	for i := range len(method) {
		if 'a' <= method[i] && method[i] <= 'z' {
			return true
		}
	}
	return false
}

// formats are the endings with which frameworks answer the same page as data.
var formats = []string{".json", ".xml", ".csv", ".yaml", ".yml", ".xls", ".xlsx", ".pdf"}

// formatOf gives where the ending of a path that names a format begins; 0: it has none.
func formatOf(path string) int {
	i := strings.LastIndexByte(path, '.')
	if i <= 0 || path[i-1] == '/' {
		return 0
	}
	for _, f := range formats {
		if strings.EqualFold(path[i:], f) {
			return i
		}
	}
	return 0
}

// spellings lists the ways to read a path, the plain one first. deep: the plain parser gives up before it is at the end. ok is false if the path
// goes on being encoded.
func spellings(path string) (list []how, deep, ok bool) {
	full, levels := path, 0
	for ; strings.IndexByte(full, '%') >= 0; levels++ {
		next := decodeBytes(full)
		if next == full {
			break
		}
		if levels == maxDecodings {
			return nil, false, false
		}
		full = next
	}
	list = []how{plainHow}
	vary := func(is bool, change func(h *how)) {
		if is {
			for _, h := range list[:len(list):len(list)] {
				change(&h)
				list = append(list, h)
			}
		}
	}
	up := strings.Contains(full, "..")
	n := len(list)
	for level := 0; level <= levels; level++ {
		if level != 1 {
			for _, h := range list[:n:n] {
				h.decode = level
				list = append(list, h)
			}
		}
	}
	if levels == 0 { // nothing to decode: not decoding is the same
		list = list[:1]
	}
	if strings.IndexByte(full, ';') >= 0 {
		n := len(list)
		for _, at := range []byte{0, 'd'} {
			for _, h := range list[:n:n] {
				h.params = at
				list = append(list, h)
			}
		}
	}
	vary(strings.Count(full, "/") > strings.Count(path, "/"), func(h *how) { h.slash = true })
	vary(strings.IndexByte(full, '\\') >= 0, func(h *how) { h.back = true })
	vary(strings.ContainsAny(full, "\x00?#"), func(h *how) { h.cut = true })
	vary(trailing(full), func(h *how) { h.tail = true })
	vary(hasFormat(full), func(h *how) { h.ext = true })
	n = len(list)
	for _, h := range list[:n:n] {
		if up && (strings.Contains(full, "//") || strings.ContainsAny(full, "\\;")) {
			h.empties = true
			list = append(list, h)
		}
		if up {
			h.empties, h.dots = false, true
			list = append(list, h)
		}
	}
	// What is not decoded holds nothing that decoding would bring out.
	list = slices.DeleteFunc(list, func(h how) bool { return h.decode == 0 && (h.slash || h.cut || h.params == 'd') })
	return list, up && strings.Count(full, "/")+strings.Count(full, "\\") > maxSegments, true
}

// trailing reports whether a segment ends with what lenient file systems and servers leave out.
func trailing(s string) bool {
	for i := range len(s) {
		if !(s[i] == '.' || s[i] <= ' ') {
			continue
		}
		if i+1 == len(s) || strings.IndexByte("/\\;?#\x00", s[i+1]) >= 0 {
			return true
		}
	}
	return false
}

// hasFormat reports whether the last segment, with or without what may be cut from it, ends as a format does.
func hasFormat(full string) bool {
	low := strings.ToLower(full)
	return slices.ContainsFunc(formats, func(f string) bool { return strings.Contains(low, f) })
}

// decodeBytes decodes escapes once, whatever comes of it.
func decodeBytes(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// readAs takes a path apart as a back end would.
func (t *target) readAs(path string, h how) {
	t.segs, t.query, t.ok, t.long = t.segs[:0], "", true, false
	for raw := range strings.SplitSeq(path[1:], "/") {
		if h.params == 'r' {
			raw, _, _ = strings.Cut(raw, ";")
		}
		text := raw
		for range h.decode {
			text = unescape(text, false)
		}
		end := -1
		if h.cut {
			if end = strings.IndexAny(text, "\x00?#"); end >= 0 {
				text = text[:end]
			}
		}
		t.divide(text, h)
		if end >= 0 {
			break
		}
	}
	if n := len(t.segs); h.ext && n > 0 {
		if i := formatOf(t.segs[n-1].text); i > 0 {
			t.segs[n-1].text = t.segs[n-1].text[:i]
		}
	}
	t.segs = slices.DeleteFunc(t.segs, func(g segment) bool { return g.text == "" })
	if len(t.segs) > maxSegments {
		t.segs, t.long = t.segs[:maxSegments], true
	}
}

// divide takes a segment, or the segments that it holds.
func (t *target) divide(text string, h how) {
	for text != "" || h.empties {
		i := -1
		for k := range len(text) {
			if c := text[k]; h.slash && c == '/' || h.back && c == '\\' {
				i = k
				break
			}
		}
		part, rest := text, ""
		if i >= 0 {
			part, rest = text[:i], text[i+1:]
		}
		t.push(part, h)
		if i < 0 {
			return
		}
		text = rest
	}
}

func (t *target) push(part string, h how) {
	if h.params == 'd' {
		part, _, _ = strings.Cut(part, ";")
	}
	if h.tail {
		if part = strings.TrimRightFunc(part, func(r rune) bool { return r <= ' ' }); part != "." && part != ".." {
			part = strings.TrimRightFunc(part, func(r rune) bool { return r == '.' || r <= ' ' })
		}
	}
	switch {
	case part == "" && !h.empties, part == ".":
	case part == ".." && !h.dots:
		if len(t.segs) > 0 {
			t.segs = t.segs[:len(t.segs)-1]
		}
	default:
		t.segs = append(t.segs, segment{part, part})
	}
}

// text gives the path again.
func (t *target) text() string {
	if len(t.segs) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, g := range t.segs {
		b.WriteByte('/')
		b.WriteString(g.text)
	}
	return b.String()
}

// escaped keeps what was decoded from being decoded again.
func escaped(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", ";", "%3B").Replace(path)
}

// folded gives a text as one that ignores case compares it.
func folded(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] < utf8.RuneSelf && !('A' <= s[i] && s[i] <= 'Z')
	}
	if plain {
		return s
	}
	return string(appendFold(nil, s))
}

func appendFold(b []byte, s string) []byte {
	for _, r := range s {
		if r >= utf8.RuneSelf {
			least := r
			for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
				least = min(least, x)
			}
			r = least
		}
		if 'A' <= r && r <= 'Z' {
			r |= 0x20
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}

// fold gives the tree of a version for back ends that ignore case; nil where two of its entries differ in nothing else, so that its back end does not.
func (v *Version) fold() (tree *node, capitals bool) {
	tree = &node{}
	for _, e := range v.entries {
		if e.tmpl.name != "" {
			continue
		}
		t := *e.tmpl
		t.segs = slices.Clone(t.segs)
		for i := range t.segs {
			g := &t.segs[i]
			prefix, suffix := folded(g.prefix), folded(g.suffix)
			capitals = capitals || prefix != g.prefix || suffix != g.suffix
			g.prefix, g.suffix = prefix, suffix
		}
		if tree.insert(&t, e) != nil {
			return nil, false
		}
	}
	return tree, capitals
}

// findFold is find in a folded tree. low is memory to fold a segment in.
func (n *node) findFold(method string, t *target, i int, low *[]byte) *Route {
	if i == len(t.segs) {
		if !t.long {
			if e, _ := n.leaf.pick(method); e != nil {
				return e
			}
		}
		e, _ := n.rest.pick(method)
		return e
	}
	*low = appendFold((*low)[:0], t.segs[i].text)
	if c := n.static[string(*low)]; c != nil {
		if e := c.findFold(method, t, i+1, low); e != nil {
			return e
		}
	}
	for _, p := range n.partial {
		*low = appendFold((*low)[:0], t.segs[i].text)
		text := string(*low)
		if len(text) > len(p.prefix)+len(p.suffix) && strings.HasPrefix(text, p.prefix) && strings.HasSuffix(text, p.suffix) {
			if e := p.node.findFold(method, t, i+1, low); e != nil {
				return e
			}
		}
	}
	if n.any != nil {
		if e := n.any.findFold(method, t, i+1, low); e != nil {
			return e
		}
	}
	e, _ := n.rest.pick(method)
	return e
}

// served reports whether the service answered an access with something.
func served(r *whosaw.Record) bool {
	if r.Outcome != whosaw.OutcomeUnstated {
		return r.Outcome == whosaw.OutcomeDisclosed
	}
	return r.Status/100 == 2 || r.Status == 0 && len(r.Fields)+len(r.Masked) > 0
}
