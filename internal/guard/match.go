package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// candidate is a request as filters see it.
type candidate struct {
	id        *Identity
	route     string
	folds     bool // case does not count in the route
	any       bool // it may be any route
	subjects  []string
	ip        netip.Addr
	country   string
	asn       string
	agent     string
	class     string // found when first asked for
	classed   bool
	tls       string
	explained func() bool
	later     bool // the door asks again when it knows whom the answer shows: terms that go by that wait
	now       int64
}

func (c *candidate) agentClass() string {
	if !c.classed {
		c.class, c.classed = whosaw.AgentClass(c.agent), true
	}
	return c.class
}

// words are the values of one member.
type words struct{ yes, not []string }

func (w *words) given() bool { return len(w.yes)+len(w.not) > 0 }

func (w *words) hold(v string) bool {
	if len(w.yes) > 0 && (v == "" || !slices.Contains(w.yes, v)) {
		return false
	}
	return v == "" || !slices.Contains(w.not, v)
}

func wordsOf(values []string) (w words) {
	for _, v := range values {
		if text, not := whosaw.ParseValue(v); not {
			w.not = append(w.not, text)
		} else {
			w.yes = append(w.yes, text)
		}
	}
	slices.Sort(w.yes)
	return w
}

// networks are the values of the member ip.
type networks struct {
	yes, not []netip.Prefix
	single   map[netip.Addr]struct{} // of yes, those of one address
}

func (n *networks) given() bool { return len(n.yes)+len(n.not)+len(n.single) > 0 }

func (n *networks) hold(a netip.Addr) bool {
	within := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if len(n.yes)+len(n.single) > 0 {
		if _, ok := n.single[a]; !ok && !within(n.yes) {
			return false
		}
	}
	return !a.IsValid() || !within(n.not)
}

func networksOf(values []string) (n networks, err error) {
	for _, v := range values {
		text, not := whosaw.ParseValue(v)
		p, err := whosaw.ParseNetwork(text)
		switch {
		case err != nil:
			return n, fmt.Errorf("ip: %w", err)
		case not:
			n.not = append(n.not, p)
		case p.IsSingleIP():
			if n.single == nil {
				n.single = map[netip.Addr]struct{}{}
			}
			n.single[p.Addr()] = struct{}{}
		default:
			n.yes = append(n.yes, p)
		}
	}
	return n, nil
}

// term is a term of a filter, ready to be held against requests.
type term struct {
	realm, key, credential, principal, client words
	country, asn, agent, class, tls, route    words
	subject                                   words
	ip                                        networks
	issued, explained                         *bool
	from, to                                  int64
}

// ErrFilter says that a filter cannot be held against requests.
var ErrFilter = errors.New("the filter cannot be held against a request")

// compile makes a term ready. Members that only an answer has are refused, but for an outcome that the request may come to.
func compile(f *whosaw.Term) (term, error) {
	for _, x := range []struct {
		name  string
		given bool
	}{{"status", len(f.Status) > 0}, {"field", len(f.Field) > 0}, {"source", len(f.Source) > 0}, {"as_of", f.AsOf != 0}} {
		if x.given {
			return term{}, fmt.Errorf("%w: %s is not known before the answer: leave it out, or name the route instead", ErrFilter, x.name)
		}
	}
	if o := wordsOf(f.Outcome); len(o.yes) > 0 && !slices.Contains(o.yes, whosaw.OutcomeDisclosed.String()) || slices.Contains(o.not, whosaw.OutcomeDisclosed.String()) {
		return term{}, fmt.Errorf("%w: it leaves out what discloses: name outcome disclosed, or no outcome", ErrFilter)
	}
	t := term{
		realm: wordsOf(f.Realm), key: wordsOf(f.Key), credential: wordsOf(f.Credential), principal: wordsOf(f.Principal), client: wordsOf(f.Client),
		country: wordsOf(f.Country), asn: wordsOf(f.ASN), agent: wordsOf(f.Agent), class: wordsOf(f.AgentClass), tls: wordsOf(f.TLS),
		route: wordsOf(f.Route), subject: wordsOf(f.Subject), issued: f.Issued, explained: f.Explained, from: int64(f.From), to: int64(f.To),
	}
	var err error
	t.ip, err = networksOf(f.IP)
	if err != nil {
		return term{}, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	return t, nil
}

// needs lists the members of origin that the term goes by and that not every door tells.
func (t *term) needs() (list []string) {
	for _, x := range []struct {
		name string
		w    *words
	}{{"country", &t.country}, {"asn", &t.asn}, {"tls", &t.tls}} {
		if x.w.given() {
			list = append(list, x.name)
		}
	}
	return list
}

// holds reports whether the term covers the request. Cheap members come first.
func (t *term) holds(c *candidate) bool {
	id := c.id
	if !t.realm.hold(id.Realm) || !t.key.hold(id.Key) || !t.credential.hold(id.Credential) || !t.principal.hold(id.Principal) || !t.client.hold(id.Client) {
		return false
	}
	if t.from != 0 && c.now < t.from || t.to != 0 && c.now >= t.to {
		return false
	}
	if t.ip.given() && !t.ip.hold(c.ip) || !t.holdsRoute(c) || !t.country.hold(c.country) || !t.asn.hold(c.asn) || !t.tls.hold(c.tls) || !t.agent.hold(c.agent) {
		return false
	}
	if t.class.given() && !t.class.hold(c.agentClass()) {
		return false
	}
	if t.issued != nil && *t.issued != id.Issued {
		return false
	}
	if c.later && len(c.subjects) == 0 && (t.subject.given() || t.explained != nil) {
		return false
	}
	if t.subject.given() && !slices.ContainsFunc(c.subjects, t.subject.hold) {
		return false
	}
	return t.explained == nil || *t.explained == c.explained()
}

func (t *term) holdsRoute(c *candidate) bool {
	if c.any || t.route.hold(c.route) {
		return true
	}
	return c.folds && slices.ContainsFunc(t.route.yes, func(v string) bool { return strings.EqualFold(v, c.route) })
}

// anchor is where a term is looked for: by a value that a request it covers must have.
type anchor struct {
	member byte // c credential, p principal, l client, k key; 0: it is held against every request, or looked for by address
	value  string
}

// byAddress reports whether the term is looked for by address.
func (t *term) byAddress() bool {
	return len(t.ip.single) > 0 && len(t.ip.yes) == 0 && len(t.credential.yes)+len(t.principal.yes)+len(t.client.yes) == 0
}

// anchors gives the places of a term.
func (t *term) anchors() (list []anchor) {
	for _, x := range []struct {
		member byte
		w      *words
	}{{'c', &t.credential}, {'p', &t.principal}, {'l', &t.client}} {
		if len(x.w.yes) > 0 {
			for _, v := range x.w.yes {
				list = append(list, anchor{x.member, v})
			}
			return list
		}
	}
	for _, v := range t.key.yes {
		list = append(list, anchor{'k', v})
	}
	if len(list) == 0 {
		list = []anchor{{}}
	}
	return list
}

// index finds the standing decisions that cover a request. It is made anew for each change and never written.
type index struct {
	at map[anchor][]entry
	ip map[netip.Addr][]entry
	n  int

	routes, capitals bool // some go by the route; with capitals in it
}

type entry struct {
	t *term
	s *Standing
}

func newIndex(list []*Standing) *index {
	x := &index{at: map[anchor][]entry{}, ip: map[netip.Addr][]entry{}, n: len(list)}
	for _, s := range list {
		for i := range s.terms {
			t := &s.terms[i]
			for _, v := range t.route.yes {
				_, path, _ := strings.Cut(v, " ")
				x.routes, x.capitals = true, x.capitals || path != strings.ToLower(path)
			}
			x.routes = x.routes || t.route.given()
			if t.byAddress() {
				for a := range t.ip.single {
					x.ip[a] = append(x.ip[a], entry{t, s})
				}
				continue
			}
			for _, a := range t.anchors() {
				x.at[a] = append(x.at[a], entry{t, s})
			}
		}
	}
	return x
}

// find calls fn with each standing decision that covers the request and has not expired.
func (x *index) find(c *candidate, fn func(s *Standing)) {
	if x.n == 0 {
		return
	}
	each := func(list []entry) {
		for _, e := range list {
			if c.now < e.s.Expires && e.t.holds(c) {
				fn(e.s)
			}
		}
	}
	try := func(member byte, value string) {
		if value != "" || member == 0 {
			each(x.at[anchor{member, value}])
		}
	}
	try('c', c.id.Credential)
	try('p', c.id.Principal)
	try('l', c.id.Client)
	try('k', c.id.Key)
	try(0, "")
	if len(x.ip) > 0 {
		each(x.ip[c.ip])
	}
}

func asnText(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}
