package catalog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// maxShapes is how many shapes of unmatched paths one source may bring; what comes later is "METHOD (other)".
const maxShapes = 10000

const (
	otherPath = "(other)"
	oddMethod = "(odd)"
)

// Resolver turns raw paths into routes while reading one source. Not safe for concurrent use.
type Resolver struct {
	c       *Catalog
	target  target
	alt     target // another reading of the same path
	low     []byte // a segment in small letters
	reading reading
	shapes  map[string]string
	other   map[string]string // by method
	any     map[anyRoute]string
}

// anyRoute is a method that an entry for every method met.
type anyRoute struct {
	method string
	tmpl   *template
}

// Resolver gives a resolver for one source.
func (c *Catalog) Resolver() *Resolver {
	return &Resolver{c: c, shapes: map[string]string{}, other: map[string]string{}, any: map[anyRoute]string{}}
}

// Resolve sets r.Route and, where the catalog says so and the record names none, r.Subjects from the raw
// path or query; then clears r.Method and r.Path. If the route is the log's own log-in, the issuance it
// implies is given in iss and ok is true.
//
// A record that has a Route keeps it; its path then serves only to find the subject. r.Subjects may share
// memory with r.Path. Records of other types than access are left alone, but for Method and Path.
func (s *Resolver) Resolve(r *whosaw.Record) (iss whosaw.Record, ok bool) {
	method, path := r.Method, r.Path
	r.Method, r.Path = "", ""
	if r.Type != whosaw.TypeAccess {
		return whosaw.Record{}, false
	}
	raw := method != "" || path != ""
	if raw {
		s.target.parse(path)
		method = s.method(method)
	}
	if s.c.suggested {
		if raw {
			s.resolveByRules(r, method)
		}
		return whosaw.Record{}, false
	}
	var e *Route
	var bare, found bool
	if raw {
		e, bare, found = s.match(r.Time, method)
		if e == nil && r.Route == "" && s.target.ok && served(r) {
			if other := s.only(r.Time, method, path); other != nil {
				e, bare = other.entry, method == "HEAD" || method == "OPTIONS"
				if len(r.Subjects) == 0 {
					r.Subjects = other.Subjects
				}
			}
		}
	}
	if r.Route == "" && raw {
		r.Route = s.route(method, e)
	} else if r.Route != "" {
		// The source named its route; the path may help only if it leads to the same entry.
		if named := s.named(r.Time, r.Route); named == nil || named != e && (e == nil || named != e.bare) {
			e, bare, found = named, false, false
		}
	}
	if e == nil {
		return whosaw.Record{}, false
	}
	if found && len(r.Subjects) == 0 {
		r.Subjects = s.subjects(e.subject, e)
	}
	if e.login != nil && !bare {
		return s.issuance(r, e, found)
	}
	return whosaw.Record{}, false
}

// only gives the one entry that some back end would find for a path that is spelled otherwise, and that was answered; nil if there is none, or more
// than one. The target is as it was.
func (s *Resolver) only(at int64, method, path string) *Reading {
	all := s.Readings(method, path, Ask{At: at})
	if all.Unclear || len(all.Others) == 0 {
		return nil
	}
	for i := range all.Others {
		if x := &all.Others[i]; x.entry != all.Others[0].entry || !slices.Equal(x.Subjects, all.Others[0].Subjects) {
			return nil
		}
	}
	return &all.Others[0]
}

// match finds the entry for the parsed target: in the version valid at time t, else in any.
func (s *Resolver) match(t int64, method string) (e *Route, bare, found bool) {
	if !s.target.ok {
		return nil, false, false
	}
	now := s.c.At(t)
	if now != nil {
		if e, bare = now.tree.match(method, &s.target); e != nil {
			return e, bare, true
		}
	}
	for _, v := range s.c.versions {
		if v != now {
			if e, bare = v.tree.match(method, &s.target); e != nil {
				return e, bare, true
			}
		}
	}
	return nil, false, false
}

// named finds the entry for a route that the source gave.
func (s *Resolver) named(t int64, route string) *Route {
	now := s.c.At(t)
	if now != nil {
		if e := now.Route(route); e != nil {
			return e
		}
	}
	for _, v := range s.c.versions {
		if v != now {
			if e := v.Route(route); e != nil {
				return e
			}
		}
	}
	return nil
}

// route gives the text to store: the template as written under the request's own method, or a shape.
func (s *Resolver) route(method string, e *Route) string {
	if e == nil {
		s.reading.read(method, &s.target)
		return s.shape(method)
	}
	if e.tmpl.method == method {
		return e.stored
	}
	k := anyRoute{method, e.tmpl}
	route, ok := s.any[k]
	if !ok {
		route = e.tmpl.route(method)
		s.any[k] = route
	}
	return route
}

// shape gives the text for the path just read: one string for equal shapes, within the cap.
func (s *Resolver) shape(method string) string {
	if s.target.ok {
		if shape, ok := s.shapes[string(s.reading.shape)]; ok {
			return shape
		}
		if len(s.shapes) < maxShapes {
			shape := string(s.reading.shape)
			s.shapes[shape] = shape
			return shape
		}
	}
	other, ok := s.other[method]
	if !ok {
		other = method + " " + otherPath
		s.other[method] = other
	}
	return other
}

// resolveByRules is Resolve without a catalog of the user's.
func (s *Resolver) resolveByRules(r *whosaw.Record, method string) {
	s.reading.read(method, &s.target)
	if r.Route == "" {
		r.Route = s.shape(method)
	}
	if found := s.reading.subjects.list; len(r.Subjects) == 0 && len(found) > 0 {
		r.Subjects = append([]string(nil), found...)
	}
}

// subjects takes the ids from the place in the parsed target.
func (s *Resolver) subjects(p place, e *Route) []string {
	var found ids
	switch p.kind {
	case placePath:
		if p.index < len(s.target.segs) { // else an empty {rest...}
			found.addAll(s.fromPath(p, e), p.list)
		}
	case placeQuery:
		eachParam(s.target.query, func(name, value string) bool {
			if name == p.name {
				found.addAll(value, p.list)
			}
			return true
		})
	}
	return found.list
}

// fromPath gives the text that the placeholder stands for.
func (s *Resolver) fromPath(p place, e *Route) string {
	seg := e.tmpl.segs[p.index]
	if !seg.rest {
		text := s.target.segs[p.index].text
		return text[len(seg.prefix) : len(text)-len(seg.suffix)]
	}
	if s.target.long {
		return ""
	}
	var b strings.Builder
	for i, g := range s.target.segs[p.index:] {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(g.text)
	}
	return b.String()
}

// issuance gives the issuance that a successful log-in implies. Its id is made from the access's
// identity, so that reading the log again repeats it and does not double it.
func (s *Resolver) issuance(r *whosaw.Record, e *Route, found bool) (whosaw.Record, bool) {
	if !e.login.succeeded(r) {
		return whosaw.Record{}, false
	}
	iss := whosaw.Record{
		Type: whosaw.TypeIssuance, Time: r.Time, Realm: r.Realm, Source: r.Source, Position: r.Position,
		Principal: r.Principal, Key: r.Key, Client: r.Client, IP: r.IP, Ref: &whosaw.Reference{},
	}
	switch p := e.login.credential; p.kind {
	case placeRecord:
		iss.Credential = r.Credential
	default:
		if found {
			if found := s.subjects(p, e); len(found) == 1 {
				iss.Credential = whosaw.HashCredential(found[0])
			}
		}
	}
	switch p := e.login.subject; p.kind {
	case placeRecord:
		if len(r.Subjects) == 1 {
			iss.Subjects = []string{r.Subjects[0]}
		}
	case placePath, placeQuery:
		if found {
			if found := s.subjects(p, e); len(found) == 1 {
				iss.Subjects = found
			}
		}
	}
	if iss.Credential == "" || iss.Principal == "" && len(iss.Subjects) == 0 {
		return whosaw.Record{}, false
	}
	if iss.ID = "login:" + r.ID; r.ID == "" {
		iss.ID = "login:" + r.Source + ":" + strconv.FormatInt(r.Position, 10)
	}
	return iss, true
}

// succeeded reports whether the access let somebody in.
func (l *login) succeeded(r *whosaw.Record) bool {
	if r.Outcome == whosaw.OutcomeRefused || r.Outcome == whosaw.OutcomeAbsent {
		return false
	}
	if len(l.statuses) > 0 {
		return l.statuses[r.Status]
	}
	return r.Status/100 == 2 || r.Status/100 == 3
}

// method gives the text kept for a method.
func (s *Resolver) method(m string) string {
	if known, ok := methods[m]; ok {
		return known
	}
	for _, v := range s.c.versions {
		if known := v.methods[m]; known != "" {
			return known
		}
	}
	return oddMethod
}
