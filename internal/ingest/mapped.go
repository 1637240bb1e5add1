package ingest

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// timeFormat is how a mapping's time is written.
type timeFormat uint8

const (
	timeAuto timeFormat = iota
	timeRFC3339
	timeUnix
	timeUnixMS
	timeApache
	timeLayout
)

// from says where a member of a record comes from: the first of the slots that holds something, with a prefix
// before it; or a constant.
type from struct {
	slots  []int
	prefix string
	value  string
}

// mapping is a compiled mapping: a tree of the log members that are wanted, and what each is for. It is
// not written to after compiling, so parsers share it.
type mapping struct {
	name  string
	tree  path
	names []string // of the log member, by slot

	time       from
	timeFormat timeFormat
	layout     string
	zone       *time.Location

	method, path, line from // line: a whole request line
	status, bytes      from
	ip                 from
	take               int
	agent, request     from
	principal          from
	credential         from
	key, client        from
	subject            from
	fields, masked     from
	others             from
	route              from
	country, asn, tls  from
	realm, id          from
	outcome, reason    from
	jwt                from // its prefix goes before the claim sub
}

// slot gives a log member a place among the captured values.
func (m *mapping) slot(member string) int {
	n := len(m.names)
	m.names = append(m.names, member)
	m.tree.add(member, n)
	return n
}

// src is a source with members in order of preference.
func (m *mapping) src(members ...string) from {
	var f from
	for _, name := range members {
		f.slots = append(f.slots, m.slot(name))
	}
	return f
}

// A mappedParser reads JSON log lines by a mapping.
type mappedParser struct {
	m    *mapping
	vals []value

	timeText string
	time     int64
}

func newMappedParser(m *mapping) *mappedParser {
	return &mappedParser{m: m, vals: make([]value, len(m.names))}
}

func (p *mappedParser) parse(line string, now int64, r *whosaw.Record) error {
	clear(p.vals)
	if twice, err := capture(line, &p.m.tree, p.vals); err != nil {
		return err.fault()
	} else if twice >= 0 {
		return fault(p.m.names[twice], "is there twice", "a JSON object must have each member once")
	}
	m := p.m
	if err := p.setTime(r, now); err != nil {
		return err
	}
	if err := p.setRequest(r); err != nil {
		return err
	}
	if err := p.setOrigin(r); err != nil {
		return err
	}
	if err := p.setNumbers(r); err != nil {
		return err
	}
	if f := p.setToken(r); f != nil {
		return f
	}
	for _, s := range []struct {
		f   *from
		dst *string
	}{
		{&m.principal, &r.Principal}, {&m.credential, &r.Credential}, {&m.key, &r.Key}, {&m.client, &r.Client},
		{&m.request, &r.Request}, {&m.route, &r.Route}, {&m.tls, &r.TLS}, {&m.realm, &r.Realm}, {&m.id, &r.ID},
		{&m.reason, &r.Reason},
	} {
		if err := p.set(s.f, s.dst); err != nil {
			return err
		}
	}
	if err := p.setSubjects(r); err != nil {
		return err
	}
	if err := p.setShown(r); err != nil {
		return err
	}
	return r.Validate(now)
}

// find gives the first value that holds something: not null, not empty, not "-".
func (p *mappedParser) find(f *from) (v value, slot int) {
	for _, slot := range f.slots {
		switch v := p.vals[slot]; v.kind {
		case 0, '0':
		case 's':
			if v.raw != "" && v.raw != "-" {
				return v, slot
			}
		default:
			return v, slot
		}
	}
	return value{}, -1
}

// text gives a member as text: a string, or a number's digits. ok is false if there is none.
func (p *mappedParser) text(f *from) (s string, ok bool, err error) {
	v, slot := p.find(f)
	return p.textOf(v, slot)
}

func (p *mappedParser) textOf(v value, slot int) (s string, ok bool, err error) {
	switch v.kind {
	case 0, '0':
		return "", false, nil
	case 's':
		s, ok = v.text()
		if !ok {
			return "", false, fault(p.m.names[slot], "has an escape that is not JSON's", "write logs with escape=json or the like")
		}
		return s, s != "", nil
	case 'n':
		return v.raw, true, nil
	case 't':
		return "true", true, nil
	case 'f':
		return "false", true, nil
	case '[': // one-element arrays are how some servers write headers
		var one [1]value
		if twice, err := capture(`{"a":`+v.raw+`}`, oneElement, one[:]); err == nil && twice < 0 && one[0].kind == 's' {
			s, ok = one[0].text()
			return s, ok && s != "" && s != "-", nil
		}
	}
	return "", false, fault(p.m.names[slot], "is an object or a list where one value is expected", "map the member inside it, with dots between the names")
}

var oneElement = func() *path {
	var p path
	p.child("a").child("0").slots = []int{0}
	return &p
}()

// set fills an id-like member: exact, or the line is rejected.
func (p *mappedParser) set(f *from, dst *string) error {
	if f.value != "" {
		*dst = f.value
		return nil
	}
	if len(f.slots) == 0 {
		return nil
	}
	s, ok, err := p.text(f)
	if err != nil || !ok {
		return err
	}
	if f.prefix != "" {
		s = f.prefix + s
	}
	*dst = s
	return nil
}

func (p *mappedParser) setTime(r *whosaw.Record, now int64) error {
	m := p.m
	s, ok, err := p.text(&m.time)
	if err != nil {
		return err
	}
	if !ok {
		return fault(m.names[m.time.slots[0]], "is missing: it holds the time", "leave such lines out, or map another member")
	}
	if s != p.timeText {
		ms, ok := m.parseTime(s)
		if !ok {
			return fault("time", "cannot be read", "say its format in the mapping: rfc3339, unix, unix_ms, apache, or a layout")
		}
		p.timeText, p.time = s, ms
	}
	r.Time = p.time
	return whosaw.CheckTime(r.Time, now)
}

func (m *mapping) parseTime(s string) (int64, bool) {
	switch m.timeFormat {
	case timeRFC3339:
		return parseRFC3339(s)
	case timeUnix:
		return parseUnix(s, 1000)
	case timeUnixMS:
		return parseUnix(s, 1)
	case timeApache:
		return parseApacheTime(strings.Trim(s, "[]"))
	case timeLayout:
		t, err := time.ParseInLocation(m.layout, s, m.zone)
		return t.UnixMilli(), err == nil
	}
	return parseAutoTime(s)
}

func (p *mappedParser) setRequest(r *whosaw.Record) error {
	m := p.m
	method, _, err := p.text(&m.method)
	if err != nil {
		return err
	}
	path, ok, err := p.text(&m.path)
	if err != nil {
		return err
	}
	if ok {
		if method != "" && !isMethod(method) {
			r.Route = noRequest
			return nil
		}
		setTarget(r, method, path)
		return nil
	}
	line, ok, err := p.text(&m.line)
	if err != nil {
		return err
	}
	switch {
	case ok:
		setRequest(r, line)
	case len(m.path.slots)+len(m.line.slots) > 0 && len(m.route.slots) == 0:
		r.Route = noRequest
	}
	return nil
}

func (p *mappedParser) setOrigin(r *whosaw.Record) error {
	m := p.m
	if err := p.setIP(r); err != nil {
		return err
	}
	s, ok, err := p.text(&m.agent)
	if err != nil {
		return err
	}
	if ok {
		r.Agent = clean(s)
	}
	if s, ok, err = p.text(&m.country); err != nil {
		return err
	} else if ok {
		r.Country = strings.ToUpper(s)
	}
	if s, ok, err = p.text(&m.asn); err != nil {
		return err
	} else if ok {
		n, err := whosaw.ParseASN(s)
		if err != nil {
			return fault("asn", "is not an AS number", "give it as 4766 or AS4766")
		}
		r.ASN = n
	}
	return nil
}

// setIP picks the caller's address. Members stand in the order of the way: the farthest first, the own connection
// last. The outer rule takes the nearest address that is not one of the house's own networks, because what
// stands before it is only claimed; the other rules take from the first member that holds an address.
func (p *mappedParser) setIP(r *whosaw.Record) error {
	m := p.m
	for i := range m.ip.slots {
		slot := m.ip.slots[i]
		if m.take == takeOuter {
			slot = m.ip.slots[len(m.ip.slots)-1-i]
		}
		s, ok, err := p.textOf(p.vals[slot], slot)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		a, ok := takeAddress(s, m.take)
		if !ok {
			continue
		}
		if m.take != takeOuter || public(a) {
			r.IP = a
			return nil
		}
		if !r.IP.IsValid() {
			r.IP = a
		}
	}
	return nil
}

func (p *mappedParser) setNumbers(r *whosaw.Record) error {
	m := p.m
	s, ok, err := p.text(&m.status)
	if err != nil {
		return err
	}
	if ok && !parseStatus(s, &r.Status) {
		return fault("status", "is not a number of three digits", "map the HTTP status")
	}
	for _, n := range []struct {
		name string
		f    *from
		dst  *int64
	}{{"bytes", &m.bytes, &r.Bytes}, {"others", &m.others, &r.Others}} {
		if len(n.f.slots) == 0 {
			continue
		}
		if s, ok, err = p.text(n.f); err != nil {
			return err
		} else if !ok {
			continue
		}
		whole, frac, _ := strings.Cut(s, ".") // some shippers turn every number into a float
		v, ok := digits(whole)
		if !ok || strings.Trim(frac, "0") != "" {
			return fault(n.name, "is not a whole number", "map a member that holds one")
		}
		*n.dst = v
	}
	if s, ok, err = p.text(&m.outcome); err != nil {
		return err
	} else if ok {
		o, known := whosaw.ParseOutcome(s)
		if !known {
			return fault("outcome", "is not one of disclosed, absent, refused, none", "map a member that holds one, or leave it to status and catalog")
		}
		r.Outcome = o
	}
	return nil
}

// setToken takes the claims of a token that the log holds. The token itself goes no further.
func (p *mappedParser) setToken(r *whosaw.Record) error {
	f := &p.m.jwt
	if len(f.slots) == 0 {
		return nil
	}
	s, ok, err := p.text(f)
	if err != nil || !ok {
		return err
	}
	tokenClaims(s, f.prefix, r)
	return nil
}

func (p *mappedParser) setSubjects(r *whosaw.Record) error {
	f := &p.m.subject
	v, slot := p.find(f)
	if v.kind == '[' {
		list, err := p.list(v, slot)
		if err != nil {
			return err
		}
		r.Subjects = list
		return nil
	}
	s, ok, err := p.text(f)
	if err != nil || !ok {
		return err
	}
	if v.kind == 'n' {
		if !wholeNumber(s) {
			return fault("subject", "is a number with a sign, a fraction or an exponent", "write ids as strings")
		}
	}
	r.Subjects = []string{f.prefix + s}
	return nil
}

// setShown fills fields and masked from a list, or from text with commas. An empty list says that nothing was shown.
func (p *mappedParser) setShown(r *whosaw.Record) error {
	for _, l := range []struct {
		f   *from
		dst *[]string
	}{{&p.m.fields, &r.Fields}, {&p.m.masked, &r.Masked}} {
		v, slot := p.find(l.f)
		switch v.kind {
		case 0:
			continue
		case '[':
			list, err := p.list(v, slot)
			if err != nil {
				return err
			}
			*l.dst = list
		default:
			s, ok, err := p.text(l.f)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			for name := range strings.SplitSeq(s, ",") {
				if name = strings.TrimSpace(name); name != "" {
					*l.dst = append(*l.dst, name)
				}
			}
		}
	}
	return nil
}

// list reads an array of strings or integers.
func (p *mappedParser) list(v value, slot int) ([]string, error) {
	bad := fault(p.m.names[slot], "is a list with something else than text in it", "map a list of strings")
	out := []string{}
	c := scanner{s: v.raw, i: 1}
	c.space()
	if c.s[c.i] == ']' {
		return out, nil
	}
	for {
		e, err := c.value(0)
		if err != nil {
			return nil, bad
		}
		s, ok := e.text()
		if e.kind == 'n' {
			ok = wholeNumber(e.raw)
			s = e.raw
		}
		if !ok {
			return nil, bad
		}
		out = append(out, s)
		more, err := c.next(']')
		if err != nil {
			return nil, bad
		}
		if !more {
			return out, nil
		}
	}
}

// wholeNumber reports whether a number is digits and nothing else. An id may have any number of them.
func wholeNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func parseRFC3339(s string) (int64, bool) {
	if len(s) < 20 || s[4] != '-' { // ParseTime would also take milliseconds
		return 0, false
	}
	ms, err := whosaw.ParseTime(s)
	return ms, err == nil
}

// checkSubject judges a subject that came out of a path.
func checkSubject(s string) *whosaw.RecordError {
	switch {
	case s == "" || len(s) > whosaw.MaxSubject:
		return fault("subject", fmt.Sprintf("the id in the path is empty or longer than %d bytes", whosaw.MaxSubject), "check that the catalog names the right part of the path")
	case !utf8.ValidString(s):
		return fault("subject", "the id in the path is not UTF-8", "check that the catalog names the right part of the path")
	}
	return nil
}
