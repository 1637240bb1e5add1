package scope

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// term is one term of a filter, made ready for a view.
type term struct {
	index    int    // among the question's terms
	asOf     uint64 // the last sequence it sees
	world    int    // which of the question's worlds has that asOf
	from, to int64  // [from, to), always set

	columns []column         // decided by dictionary entry
	numbers []numbers        // decided by number
	subject []*subjectMember // each must keep a subject of the access; empty: all are kept

	// nil where they are not asked.
	field, outcome *values[string]
	issued, expl   *bool
	sources        *values[string] // the member source again, for gaps

	early ledger.Columns // what columns, numbers and a positive subject need

	// The same members again, as blocks are asked for them.
	texts   []textMember
	classes *values[string] // of agents
	nets    *networks
	asn     *values[uint32]
	status  *values[uint16]
}

// textMember is a member that is a column of strings.
type textMember struct {
	col ledger.Columns
	*values[string]
}

// column is a member that is looked at once per entry of a chunk's dictionary.
type column struct {
	codes func(c *ledger.Chunk) []uint32
	allow func(c *ledger.Chunk) []bool // by code
}

// numbers is a member whose column has no dictionary.
type numbers struct {
	allow func(c *ledger.Chunk, row uint32) bool
}

// values are what a member accepts: one of yes, unless yes is empty, and none of no. The zero value of T
// stands for a missing member; it is in neither set, so it fails every yes and passes every no.
type values[T comparable] struct {
	yes, no map[T]struct{}
}

// accept reports whether a member with the value x passes.
func (v *values[T]) accept(x T) bool {
	if len(v.yes) > 0 && !has(v.yes, x) {
		return false
	}
	return !has(v.no, x)
}

// acceptSet is accept for a member with any number of values: one in yes, none in no.
func (v *values[T]) acceptSet(set []T) bool {
	good := len(v.yes) == 0
	for _, x := range set {
		if has(v.no, x) {
			return false
		}
		good = good || has(v.yes, x)
	}
	return good
}

func has[T comparable](set map[T]struct{}, x T) bool {
	_, ok := set[x]
	return ok
}

// compiler gathers the terms of a question.
type compiler struct {
	last  uint64 // of the view
	asOf  []uint64
	terms []*term
}

// compile makes a filter ready. Validate has the last word on what a filter may say, credentials in their
// stored form included; what is parsed again here cannot fail after it. An error names the member and the cure.
func (p *compiler) compile(filter whosaw.Filter) ([]*term, error) {
	if err := filter.Validate(); err != nil {
		return nil, fmt.Errorf("read filter: %w", err)
	}
	terms := make([]*term, len(filter))
	for i := range filter {
		t, err := p.term(&filter[i])
		if err != nil {
			return nil, fmt.Errorf("read term %d of the filter: %w", i+1, err)
		}
		t.index = len(p.terms)
		p.terms = append(p.terms, t)
		terms[i] = t
	}
	return terms, nil
}

func (p *compiler) term(f *whosaw.Term) (*term, error) {
	t := &term{asOf: f.AsOf, from: math.MinInt64, to: math.MaxInt64, issued: f.Issued, expl: f.Explained}
	if t.asOf == 0 || t.asOf > p.last {
		t.asOf = p.last
	}
	t.world = slices.Index(p.asOf, t.asOf)
	if t.world < 0 {
		t.world = len(p.asOf)
		p.asOf = append(p.asOf, t.asOf)
	}
	if f.From != 0 {
		t.from = int64(f.From)
	}
	if f.To != 0 {
		t.to = int64(f.To)
	}
	for _, add := range []func(*whosaw.Term) error{t.addStrings, t.addIP, t.addNumbers, t.addShown, t.addSubject} {
		if err := add(f); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// addStrings adds the members that are columns of strings.
func (t *term) addStrings(f *whosaw.Term) error {
	for _, m := range []struct {
		name   string
		list   []string
		parse  func(string) (string, error)
		cols   ledger.Columns
		column func(c *ledger.Chunk) *ledger.Strings
	}{
		{"key", f.Key, whole, ledger.ColKey, func(c *ledger.Chunk) *ledger.Strings { return &c.Key }},
		{"credential", f.Credential, whole, ledger.ColCredential, func(c *ledger.Chunk) *ledger.Strings { return &c.Credential }},
		{"principal", f.Principal, whole, ledger.ColPrincipal, func(c *ledger.Chunk) *ledger.Strings { return &c.Principal }},
		{"client", f.Client, whole, ledger.ColClient, func(c *ledger.Chunk) *ledger.Strings { return &c.Client }},
		{"country", f.Country, whole, ledger.ColCountry, func(c *ledger.Chunk) *ledger.Strings { return &c.Country }},
		{"agent", f.Agent, whole, ledger.ColAgent, func(c *ledger.Chunk) *ledger.Strings { return &c.Agent }},
		{"tls", f.TLS, whole, ledger.ColTLS, func(c *ledger.Chunk) *ledger.Strings { return &c.TLS }},
		{"route", f.Route, whole, ledger.ColRoute, func(c *ledger.Chunk) *ledger.Strings { return &c.Route }},
		{"source", f.Source, whole, ledger.ColSource, func(c *ledger.Chunk) *ledger.Strings { return &c.Source }},
		{"realm", f.Realm, realm, ledger.ColRealm, func(c *ledger.Chunk) *ledger.Strings { return &c.Realm }},
	} {
		v, err := parseValues(m.name, m.list, m.parse)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		t.addColumn(v, m.cols, m.column)
		if m.name == "source" {
			t.sources = v
		}
	}
	classes, err := parseValues("agent_class", f.AgentClass, whole)
	if err != nil || classes == nil {
		return err
	}
	t.early |= ledger.ColAgent
	t.classes = classes
	t.columns = append(t.columns, column{
		codes: func(c *ledger.Chunk) []uint32 { return c.Agent.Codes },
		allow: func(c *ledger.Chunk) []bool {
			ok := make([]bool, len(c.Agent.Dict))
			for i, agent := range c.Agent.Dict {
				ok[i] = classes.accept(whosaw.AgentClass(agent))
			}
			return ok
		},
	})
	return nil
}

func (t *term) addColumn(v *values[string], cols ledger.Columns, strs func(c *ledger.Chunk) *ledger.Strings) {
	t.early |= cols
	t.texts = append(t.texts, textMember{cols, v})
	t.columns = append(t.columns, column{
		codes: func(c *ledger.Chunk) []uint32 { return strs(c).Codes },
		allow: func(c *ledger.Chunk) []bool {
			dict := strs(c).Dict
			ok := make([]bool, len(dict))
			if len(v.yes) == 1 && len(v.no) == 0 {
				// The usual question names one value; comparing is cheaper than hashing a long dictionary.
				for x := range v.yes {
					for i, s := range dict {
						ok[i] = s == x
					}
				}
				return ok
			}
			for i, s := range dict {
				ok[i] = v.accept(s)
			}
			return ok
		},
	})
}

func (t *term) addIP(f *whosaw.Term) error {
	nets, err := parseNetworks("ip", f.IP)
	if err != nil || nets == nil {
		return err
	}
	t.early |= ledger.ColIP
	t.nets = nets
	t.columns = append(t.columns, column{
		codes: func(c *ledger.Chunk) []uint32 { return c.IP.Codes },
		allow: func(c *ledger.Chunk) []bool {
			ok := make([]bool, len(c.IP.Dict))
			for i, addr := range c.IP.Dict {
				ok[i] = nets.accept(addr)
			}
			return ok
		},
	})
	return nil
}

func (t *term) addNumbers(f *whosaw.Term) error {
	asn, err := parseValues("asn", f.ASN, func(s string) (uint32, error) {
		n, err := whosaw.ParseASN(s)
		if err == nil && n == 0 {
			err = errors.New("is 0, which no access has; give a number such as 4766")
		}
		return n, err
	})
	if err != nil {
		return err
	}
	if asn != nil {
		t.early |= ledger.ColASN
		t.asn = asn
		t.numbers = append(t.numbers, numbers{func(c *ledger.Chunk, row uint32) bool { return asn.accept(c.ASN[row]) }})
	}
	status, err := parseValues("status", f.Status, func(s string) (uint16, error) {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n < 100 || n > 999 {
			return 0, errors.New("is no HTTP status; give a number from 100 to 999")
		}
		return uint16(n), nil
	})
	if err != nil || status == nil {
		return err
	}
	t.early |= ledger.ColStatus
	t.status = status
	t.numbers = append(t.numbers, numbers{func(c *ledger.Chunk, row uint32) bool { return status.accept(c.Status[row]) }})
	return nil
}

// addShown adds the members that depend on the catalog.
func (t *term) addShown(f *whosaw.Term) (err error) {
	if t.field, err = parseValues("field", f.Field, whole); err != nil {
		return err
	}
	t.outcome, err = parseValues("outcome", f.Outcome, func(s string) (string, error) {
		if o, ok := whosaw.ParseOutcome(s); !ok || o == whosaw.OutcomeUnstated {
			return "", errors.New("is no outcome; give disclosed, absent, refused or none")
		}
		return s, nil
	})
	return err
}

func (t *term) addSubject(f *whosaw.Term) error {
	if len(f.Subject) == 0 {
		return nil
	}
	m := newSubjectMember()
	for i, s := range f.Subject {
		id, not := whosaw.ParseValue(s)
		if id == "" || len(id) > whosaw.MaxSubject {
			return fmt.Errorf("filter member subject, value %d: is no subject id; give 1 to %d bytes", i+1, whosaw.MaxSubject)
		}
		m.add(id, not)
	}
	t.keep(m)
	return nil
}

// keep adds what subjects are kept.
func (t *term) keep(m *subjectMember) {
	t.subject = append(t.subject, m)
	if m.positive {
		t.early |= ledger.ColSubjects
	}
}

// only narrows the term to one subject, and to one realm if realm is not nil.
func (t *term) only(id string, realm *string) {
	m := newSubjectMember()
	m.add(id, false)
	t.keep(m)
	if realm != nil {
		v := &values[string]{yes: map[string]struct{}{*realm: {}}}
		t.addColumn(v, ledger.ColRealm, func(c *ledger.Chunk) *ledger.Strings { return &c.Realm })
	}
}

// plain reports whether the dictionaries, times and sequences alone decide the term.
func (t *term) plain() bool {
	return len(t.subject) == 0 && t.field == nil && t.outcome == nil && t.issued == nil && t.expl == nil
}

// touches reports whether the term looks at a stretch of time of a source.
func (t *term) touches(source string, from, to int64) bool {
	return from < t.to && to >= t.from && (t.sources == nil || t.sources.accept(source))
}

// subjectMember is the member subject: an id is kept if it is one of the positive values, unless there are
// none, and none of the negative ones.
type subjectMember struct {
	positive        bool
	yesInt, noInt   map[subjectKey]struct{}
	yesText, noText map[string]struct{}
}

func newSubjectMember() *subjectMember {
	return &subjectMember{
		yesInt: map[subjectKey]struct{}{}, noInt: map[subjectKey]struct{}{},
		yesText: map[string]struct{}{}, noText: map[string]struct{}{},
	}
}

func (m *subjectMember) add(id string, not bool) {
	ints, texts := m.yesInt, m.yesText
	if not {
		ints, texts = m.noInt, m.noText
	}
	m.positive = m.positive || !not
	if k, ok := integerID(id); ok {
		ints[k] = struct{}{}
	} else {
		texts[id] = struct{}{}
	}
}

// single gives the one id that is kept, if it is an integer.
func (m *subjectMember) single() (subjectKey, bool) {
	if len(m.yesInt) == 1 && len(m.yesText) == 0 && len(m.noInt) == 0 {
		for k := range m.yesInt {
			return k, true
		}
	}
	return 0, false
}

func (m *subjectMember) keepsInt(k subjectKey) bool {
	return (!m.positive || has(m.yesInt, k)) && !has(m.noInt, k)
}

func (m *subjectMember) keepsText(id string) bool {
	return (!m.positive || has(m.yesText, id)) && !has(m.noText, id)
}
