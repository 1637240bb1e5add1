package rules

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/whosaw/whosaw"
)

// Case is a short history, and whether the rule must find something in it.
type Case struct {
	Name    string
	Fires   bool
	Unit    string // what the finding must be about; "": any
	Budgets []Budget
	Catalog []byte // YAML of a catalog that somebody wrote; nil: none
	Line    int

	steps []step
	count int64
}

// CaseStart is when cases begin: 2025-04-14, a Monday, midnight UTC.
const CaseStart = int64(1744588800000)

// decodeBy is the latest time that a record of a case may have.
const decodeBy = CaseStart + 100*365*24*3_600_000

// maxRecords bounds a case: it is run before each start.
const maxRecords = 20_000

// Records gives the case's history in the order of its ledger.
func (c *Case) Records() ([]whosaw.Record, error) {
	var out []whosaw.Record
	var d whosaw.Decoder
	for i := range c.steps {
		s := &c.steps[i]
		for n := range s.repeat {
			r, err := s.record(&d, n)
			if err != nil {
				return nil, fmt.Errorf("line %d: case %q: %w", s.line, c.Name, err)
			}
			out = append(out, r)
		}
	}
	// As a log is read: by time, at one time what is true about the world first.
	slices.SortStableFunc(out, func(a, b whosaw.Record) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(access(a), access(b)))
	})
	for i := range out {
		out[i].Source, out[i].Position = "case", int64(i)
	}
	return out, nil
}

// caseFile is a case as it is written.
type caseFile struct {
	Case    string   `yaml:"case"`
	Fires   *bool    `yaml:"fires"`
	Unit    string   `yaml:"unit"`
	Budgets []Budget `yaml:"budgets"`
	Catalog node     `yaml:"catalog"`
	Records []node   `yaml:"records"`
}

// node keeps a part of the tree.
type node struct{ ast.Node }

// UnmarshalYAML keeps it.
func (n *node) UnmarshalYAML(from ast.Node) error {
	n.Node = from
	return nil
}

// UnmarshalYAML reads a case and makes its records.
func (c *Case) UnmarshalYAML(n ast.Node) error {
	var f caseFile
	if err := yaml.NodeToValue(n, &f, yaml.Strict(), yaml.DisallowUnknownField()); err != nil {
		return err
	}
	*c = Case{Name: f.Case, Unit: f.Unit, Budgets: f.Budgets, Line: firstLine(n)}
	switch {
	case c.Name == "":
		return at(n, "a case needs a name: case: a thief tries numbers")
	case f.Fires == nil:
		return at(n, "case %q: say fires: true, or fires: false", c.Name)
	case len(f.Records) == 0:
		return at(n, "case %q has no records", c.Name)
	}
	c.Fires = *f.Fires
	for _, b := range c.Budgets {
		if err := b.Check(); err != nil {
			return at(n, "case %q: budgets: %v", c.Name, err)
		}
	}
	if f.Catalog.Node != nil {
		c.Catalog = []byte(f.Catalog.String() + "\n")
	}
	for _, step := range f.Records {
		if err := c.step(step.Node); err != nil {
			return err
		}
	}
	return nil
}

func access(r whosaw.Record) int {
	if r.Type == whosaw.TypeAccess {
		return 1
	}
	return 0
}

func firstLine(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return lineOf(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return lineOf(m.Key)
	}
	return lineOf(n)
}

// pairs gives the members of a mapping in order.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// instants are the members that are times; in a case a length of time stands for one, counted from its beginning.
var instants = []string{"since", "from", "until", "expires", "last_login"}

// numbers are the members that must be numbers; other members may be written as text.
var numbers = []string{"status", "others", "bytes", "lag", "lost"}

// step is one entry of the list: a record, or many that differ in n.
type step struct {
	line                 int
	repeat, first, every int64
	members              []member
}

type member struct {
	name  string
	value any
	at    ast.Node
}

// step reads an entry. The first and the last of its records are tried.
func (c *Case) step(n ast.Node) error {
	list, ok := pairs(n)
	if !ok {
		return at(n, "case %q: a record is a mapping of members, as in docs/formats/records.md", c.Name)
	}
	s := step{line: firstLine(n), repeat: 1, every: time.Second.Milliseconds()}
	for _, m := range list {
		key, text := m.Key.String(), scalar(m.Value)
		var ok bool
		switch key {
		case "repeat":
			v, err := strconv.ParseInt(text, 10, 64)
			if s.repeat = v; err != nil || v < 1 || v > maxRecords {
				return at(m.Key, "repeat: %q: give how many times, 1 to %d", text, maxRecords)
			}
		case "at":
			if s.first, ok = span(text); !ok {
				return at(m.Key, "at: %q is no length of time from the case's beginning: write 90s, 2h, 3d", text)
			}
		case "every":
			if s.every, ok = span(text); !ok {
				return at(m.Key, "every: %q is no length of time: write 500ms, 10s, 1d", text)
			}
		case "time":
			return at(m.Key, "time: say at: how long after the case's beginning, as in at: 2h")
		default:
			var value any
			if err := yaml.NodeToValue(m.Value, &value); err != nil {
				return at(m.Key, "%s: %v", key, err)
			}
			s.members = append(s.members, member{key, value, m.Key})
		}
	}
	if c.count += s.repeat; c.count > maxRecords {
		return at(n, "case %q has more than %d records", c.Name, maxRecords)
	}
	var d whosaw.Decoder
	for i := int64(0); i < s.repeat; i += max(1, s.repeat-1) {
		if _, err := s.record(&d, i); err != nil {
			var ours *fault
			if errors.As(err, &ours) {
				return err
			}
			return &fault{s.line, fmt.Sprintf("case %q: %v", c.Name, err)}
		}
	}
	c.steps = append(c.steps, s)
	return nil
}

// record makes the n-th record of an entry.
func (s *step) record(d *whosaw.Decoder, n int64) (r whosaw.Record, err error) {
	line := []byte(`{"time":` + strconv.FormatInt(CaseStart+s.first+n*s.every, 10))
	for _, m := range s.members {
		value, err := fill(m.name, m.value, n)
		if err == nil {
			line, err = appendMember(line, m.name, value)
		}
		if err != nil {
			return r, at(m.at, "%s: %v", m.name, err)
		}
	}
	before := d.Unknown
	if err := d.Decode(append(line, '}'), decodeBy, &r); err != nil {
		return r, err
	}
	switch {
	case d.Unknown > before:
		return r, s.unknown(n)
	case r.Path != "":
		return r, errors.New("a case gives route and subject, not a raw path")
	}
	return r.Clone(), nil
}

func appendMember(line []byte, name string, value any) ([]byte, error) {
	key, _ := json.Marshal(name) // a string always has a JSON form
	text, err := json.Marshal(value)
	return append(append(append(append(line, ','), key...), ':'), text...), err
}

// unknown says which member does not belong to a record of the entry's type: the one without which fewer are unknown.
func (s *step) unknown(n int64) error {
	strange := func(leave string) int64 {
		line := []byte(`{"time":` + strconv.FormatInt(CaseStart, 10))
		for _, m := range s.members {
			value, err := fill(m.name, m.value, n)
			if err == nil && m.name != leave {
				line, _ = appendMember(line, m.name, value) // it was encoded before
			}
		}
		var d whosaw.Decoder
		var r whosaw.Record
		if err := d.Decode(append(line, '}'), decodeBy, &r); err != nil {
			return 0 // without it the record is none: it belongs
		}
		return d.Unknown
	}
	all := strange("")
	for _, m := range s.members {
		if left := strange(m.name); left > 0 && left < all || left == 0 && all == 1 && m.name != "type" {
			return at(m.at, "%s: no record of this type has it: docs/formats/records.md lists the members", m.name)
		}
	}
	return errors.New("a member does not belong to a record of its type: docs/formats/records.md lists them")
}

// fill gives a member's value for the n-th record.
func fill(key string, value any, n int64) (any, error) {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fill(key, v[i], n); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		text, err := expand(v, n)
		if err != nil {
			return nil, err
		}
		if slices.Contains(instants, key) {
			if ms, ok := span(text); ok {
				return CaseStart + ms, nil
			}
		}
		if slices.Contains(numbers, key) && strings.Contains(v, "<") {
			return json.Number(text), nil
		}
		return text, nil
	}
	return value, nil
}
