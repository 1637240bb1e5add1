package catalog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/answer"
	"github.com/whosaw/whosaw/internal/hint"
)

const (
	maxFile   = 8 << 20
	maxFaults = 10 // of one file that are reported at once
	maxDepth  = 32 // of aliases within aliases
)

// Load reads a catalog file.
func Load(path string) (*Catalog, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open catalog: %w; %s", err, hint.NotThere(path))
	case err != nil:
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a catalog from the contents of a file. Its errors name the file, the line and the cure; it
// reports several faults at once.
func Parse(path string, data []byte) (*Catalog, error) {
	l := &loader{file: path, anchors: map[string]ast.Node{}}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB: this is not a catalog", path, maxFile>>20)
	}
	// A byte order mark is what some editors put in front.
	file, err := parser.ParseBytes([]byte(strings.TrimPrefix(string(data), "\ufeff")), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
			return nil, fmt.Errorf("%s:%d: %s: see docs/formats/catalog.md for an example", path, at.GetToken().Position.Line, at.GetMessage())
		}
		return nil, fmt.Errorf("%s: parse YAML: %w", path, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if body != nil {
			l.fault(doc.Body, "a second document: put everything into one, without a line of ---")
			break
		}
		body = doc.Body
	}
	if body == nil {
		return nil, fmt.Errorf("%s: empty: name at least one route, like\nroutes:\n  GET /me: [name, email]", path)
	}
	c := l.catalog(body)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	return c, nil
}

// loader walks the tree of a YAML file. It goes on after a fault, so that one run shows several.
type loader struct {
	file    string
	faults  []error
	anchors map[string]ast.Node
}

func (l *loader) fault(n ast.Node, format string, args ...any) {
	if len(l.faults) >= maxFaults {
		return
	}
	at := l.file
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		at = fmt.Sprintf("%s:%d", l.file, n.GetToken().Position.Line)
	}
	l.faults = append(l.faults, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func (l *loader) catalog(body ast.Node) *Catalog {
	var versionsNode, routesNode, elsewhereNode, nameNode ast.Node
	for _, p := range l.pairs(body, "the catalog") {
		switch p.key {
		case "catalog":
			if s, ok := l.scalar(p.value); ok && s != "1" {
				l.fault(p.value, "catalog: this program reads catalogs of version 1: write catalog: 1, or update whosaw")
			}
		case "name":
			nameNode = p.value
		case "elsewhere":
			elsewhereNode = p.value
		case "versions":
			versionsNode = p.value
		case "routes":
			routesNode = p.value
		default:
			l.unknown(p, "the catalog", "catalog", "name", "elsewhere", "versions", "routes")
		}
	}
	name := strings.TrimSuffix(filepath.Base(l.file), filepath.Ext(l.file))
	if nameNode != nil {
		if s, ok := l.text(nameNode, "name"); ok {
			name = s
		}
	}
	elsewhere := l.fields(elsewhereNode, "elsewhere")
	switch {
	case versionsNode != nil && routesNode != nil:
		l.fault(routesNode, "routes beside versions: move them into a version")
		return nil
	case versionsNode == nil && routesNode == nil:
		l.fault(body, "no routes: name at least one, like\nroutes:\n  GET /me: [name, email]")
		return nil
	case routesNode != nil:
		v := newVersion(name, 0, 0)
		l.routes(v, routesNode)
		return newCatalog(name, []*Version{v}, elsewhere)
	}
	versions := l.versions(versionsNode)
	if len(l.faults) > 0 {
		return nil
	}
	return newCatalog(name, versions, elsewhere)
}

func (l *loader) versions(n ast.Node) []*Version {
	var versions []*Version
	for i, item := range l.items(n, "versions") {
		v := l.version(item, i)
		for _, o := range versions {
			if o.Name == v.Name {
				l.fault(item, "version %q stands twice: give each its own name: answers say which was used", v.Name)
			}
			if (o.Until == 0 || v.From < o.Until) && (v.Until == 0 || o.From < v.Until) {
				l.fault(item, "versions %q and %q are both valid for some time: end the earlier one with until: where the later begins", o.Name, v.Name)
			}
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 {
		l.fault(n, "versions: write at least one: - name: …")
	}
	return versions
}

func (l *loader) version(n ast.Node, index int) *Version {
	v := newVersion(fmt.Sprintf("version %d", index+1), 0, 0)
	var routes ast.Node
	for _, p := range l.pairs(n, "a version") {
		switch p.key {
		case "name":
			if s, ok := l.text(p.value, "name"); ok {
				v.Name = s
			}
		case "from":
			v.From = l.time(p.value, "from")
		case "until":
			v.Until = l.time(p.value, "until")
		case "routes":
			routes = p.value
		default:
			l.unknown(p, "a version", "name", "from", "until", "routes")
		}
	}
	if v.From != 0 && v.Until != 0 && v.Until <= v.From {
		l.fault(n, "version %q: until is not after from: until is the first moment at which the version no longer holds", v.Name)
	}
	if routes == nil {
		l.fault(n, "version %q: no routes: name at least one", v.Name)
		return v
	}
	l.routes(v, routes)
	return v
}

func (l *loader) routes(v *Version, n ast.Node) {
	pairs := l.pairs(n, "routes")
	if len(pairs) == 0 && len(l.faults) == 0 {
		l.fault(n, "routes: name at least one, like GET /me: [name, email]")
	}
	for _, p := range pairs {
		t, err := parseTemplate(p.key)
		if err != nil {
			l.fault(p.at, "%v", err)
			continue
		}
		e := l.route(t, p)
		if old := v.add(e); old != nil {
			l.fault(p.at, "route %q is the same as %q: names of placeholders do not tell routes apart", e.Route, old.Route)
		}
	}
}

func (l *loader) route(t *template, p pair) *Route {
	e := &Route{Route: routeText(t), Fields: none, Masked: none, tmpl: t}
	if isNull(p.value) {
		return e
	}
	if _, list := p.value.(*ast.SequenceNode); list {
		e.Fields = l.fields(p.value, "fields")
		return e
	}
	var masked, in ast.Node
	for _, m := range l.pairs(p.value, fmt.Sprintf("route %q", p.key)) {
		switch m.key {
		case "fields":
			e.Fields = l.fields(m.value, "fields")
		case "masked":
			masked, e.Masked = m.value, l.fields(m.value, "masked")
		case "others":
			e.Others = l.count(m.value)
		case "subject":
			e.subject, e.Join = l.subject(t, m.value)
		case "outcomes":
			l.outcomes(e, m.value)
		case "login":
			e.login = l.login(t, m.value)
		case "answer":
			in, e.Answer = m.value, &answer.Spec{}
		default:
			l.unknown(m, "a route", "fields", "masked", "others", "subject", "outcomes", "login", "answer")
		}
	}
	if in != nil {
		l.answer(e, in)
	}
	for _, f := range e.Masked {
		if has(e.Fields, f) {
			l.fault(masked, "field %q is in fields and in masked: leave it in fields if any of it is shown in clear", f)
		}
	}
	return e
}

// answer reads {subject: PLACE, others: PLACE, fields: {FIELD: PLACE}}; each place may be a list of them.
func (l *loader) answer(e *Route, n ast.Node) {
	places := func(n ast.Node, what string, add func(place string) error) {
		list := []ast.Node{n}
		if _, ok := l.resolve(n).(*ast.SequenceNode); ok {
			list = l.items(n, what)
		}
		for _, item := range list {
			if s, ok := l.text(item, what); ok {
				if err := add(s); err != nil {
					l.fault(item, "%s: %v", what, err)
				}
			}
		}
	}
	for _, p := range l.pairs(n, "answer") {
		switch p.key {
		case "subject":
			places(p.value, "subject of an answer", e.Answer.AddSubject)
		case "others":
			places(p.value, "others of an answer", e.Answer.AddOthers)
		case "fields":
			for _, f := range l.pairs(p.value, "fields of an answer") {
				if !has(e.Fields, f.key) && !has(e.Masked, f.key) {
					l.fault(f.at, "field %q of the answer is not in fields or masked of the route: name it there too", f.key)
				}
				places(f.value, "field "+f.key, func(place string) error { return e.Answer.AddField(f.key, place) })
			}
		default:
			l.unknown(p, "an answer", "subject", "others", "fields")
		}
	}
}

// routeText writes the template with one space, and ANY for every method.
func routeText(t *template) string {
	switch {
	case t.name != "":
		return t.name
	case t.method == "":
		return t.route("ANY")
	}
	return t.route(t.method)
}

const subjectWays = "path.NAME, query.NAME, principal, credential, either or none"

func (l *loader) subject(t *template, n ast.Node) (place, Join) {
	s, ok := l.text(n, "subject")
	if !ok {
		return place{}, JoinNone
	}
	switch s {
	case "none":
		return place{}, JoinNone
	case "principal":
		return place{}, JoinPrincipal
	case "credential":
		return place{}, JoinCredential
	case "either":
		return place{}, JoinEither
	}
	p, ok := l.place(t, n, s)
	if !ok {
		l.fault(n, "subject %q: write one of %s%s", s, subjectWays, hint.DidYouMean(s, []string{"principal", "credential", "either", "none"}))
	}
	return p, JoinNone
}

// place reads path.NAME or query.NAME; ok is false if s is neither.
func (l *loader) place(t *template, n ast.Node, s string) (p place, ok bool) {
	kind, name, _ := strings.Cut(s, ".")
	if list, cut := strings.CutSuffix(name, "..."); cut {
		name, p.list = list, true
	}
	p.name = name
	switch {
	case kind == "query" && name != "":
		p.kind = placeQuery
		return p, true
	case kind == "path" && name != "":
		p.kind = placePath
		if p.index = t.place(name); p.index >= 0 {
			return p, true
		}
		p.kind = placeNone
		if have := t.places(); len(have) > 0 {
			l.fault(n, "%q: route %q has no placeholder {%s}: it has {%s}", s, routeText(t), name, strings.Join(have, "}, {"))
		} else {
			l.fault(n, "%q: route %q has no placeholders: write {%s} for the segment that holds the id", s, routeText(t), name)
		}
		return p, true
	}
	return place{}, false
}

// login reads {credential: …, subject: …, status: […]}; each has a default, so `login: {}` will do.
func (l *loader) login(t *template, n ast.Node) *login {
	g := &login{credential: place{kind: placeRecord}, statuses: map[int]bool{}}
	if b, ok := n.(*ast.BoolNode); ok && b.Value || isNull(n) {
		return g
	}
	for _, p := range l.pairs(n, "login") {
		switch p.key {
		case "credential":
			if s, ok := l.text(p.value, "credential"); ok && s != "record" && s != "credential" {
				if g.credential, ok = l.place(t, p.value, s); !ok {
					l.fault(p.value, "credential %q: write record (the record's own member), path.NAME or query.NAME", s)
				}
			}
		case "subject":
			s, ok := l.text(p.value, "subject")
			switch {
			case !ok || s == "principal":
			case s == "record":
				g.subject = place{kind: placeRecord}
			default:
				if g.subject, ok = l.place(t, p.value, s); !ok {
					l.fault(p.value, "subject %q of a log-in: write principal, record (the record's own subject), path.NAME or query.NAME", s)
				}
			}
		case "status":
			for _, item := range l.items(p.value, "status") {
				if status, ok := l.status(item); ok {
					g.statuses[status] = true
				}
			}
		default:
			l.unknown(p, "login", "credential", "subject", "status")
		}
	}
	return g
}

func (l *loader) outcomes(e *Route, n ast.Node) {
	e.statuses = map[int]whosaw.Outcome{}
	for _, p := range l.pairs(n, "outcomes") {
		s, ok := l.text(p.value, "outcome")
		if !ok {
			continue
		}
		o, ok := outcomes[s]
		if !ok {
			l.fault(p.value, "outcome %q: write disclosed, absent, refused or none", s)
			continue
		}
		if len(p.key) == 3 && p.key[0] >= '1' && p.key[0] <= '9' && strings.EqualFold(p.key[1:], "xx") {
			e.classes[p.key[0]-'0'] = o
			continue
		}
		status, ok := parseStatus(p.key)
		if !ok {
			l.fault(p.at, "status %q: write a number from 100 to 999, or a class like 4xx", p.key)
			continue
		}
		e.statuses[status] = o
	}
}

var outcomes = map[string]whosaw.Outcome{
	"disclosed": whosaw.OutcomeDisclosed, "absent": whosaw.OutcomeAbsent,
	"refused": whosaw.OutcomeRefused, "none": whosaw.OutcomeNone,
}

// time reads a date (midnight UTC) or an RFC 3339 time, in milliseconds.
func (l *loader) time(n ast.Node, what string) int64 {
	s, ok := l.text(n, what)
	if !ok {
		return 0
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, s)
	}
	if err != nil || t.UnixMilli() < whosaw.MinTime || t.Year() > 9999 {
		l.fault(n, "%s %q: write a date like 2025-03-01 (midnight UTC) or a time like 2025-03-01T09:30:00Z, or leave it out if the version has no such end", what, s)
		return 0
	}
	return t.UnixMilli()
}
