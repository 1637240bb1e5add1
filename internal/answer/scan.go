package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Found is what an answer shows.
type Found struct {
	Subjects []string // in the order met, each once
	Others   int64
	Fields   []string // sorted

	spans []span
	names []string
}

// span is a value of a field.
type span struct {
	from, to int64
	field    int
	text     bool
}

const maxDepth = 200

// ErrNotRead says that an answer is no JSON document that can be looked through.
var ErrNotRead = errors.New("the answer is no JSON document")

// Scan looks through an answer.
func (s *Spec) Scan(body []byte) (*Found, error) {
	if !json.Valid(body) {
		return nil, ErrNotRead
	}
	x := &scanner{body: body, found: &Found{names: s.fields}, has: make([]bool, len(s.fields))}
	x.space()
	if !x.value([]*node{&s.root}, 0) {
		return nil, fmt.Errorf("%w: it is deeper than %d", ErrNotRead, maxDepth)
	}
	for i, there := range x.has {
		if there {
			x.found.Fields = append(x.found.Fields, s.fields[i])
		}
	}
	slices.Sort(x.found.Fields)
	return x.found, nil
}

// scanner walks a document that is known to be valid.
type scanner struct {
	body  []byte
	at    int
	found *Found
	seen  map[string]bool
	has   []bool
}

// space goes to the next byte that means something; between values that is one of structure.
func (x *scanner) space() {
	for x.at < len(x.body) {
		switch x.body[x.at] {
		case ' ', '\t', '\r', '\n', ':', ',':
			x.at++
		default:
			return
		}
	}
}

// value reads the value that begins here and stands at all of nodes; false: it is too deep.
func (x *scanner) value(nodes []*node, depth int) bool {
	if depth > maxDepth {
		return false
	}
	from := x.at
	empty, text := false, false
	switch x.body[x.at] {
	case '{':
		if !x.object(nodes, depth) {
			return false
		}
	case '[':
		if !x.list(nodes, depth) {
			return false
		}
	case '"':
		raw := x.text()
		text, empty = true, len(raw) == 2
		if !empty {
			x.scalar(nodes, raw)
		}
	case 'n':
		x.at += len("null")
		empty = true
	case 't':
		x.at += len("true")
	case 'f':
		x.at += len("false")
	default:
		for x.at < len(x.body) && strings.IndexByte("+-.eE0123456789", x.body[x.at]) >= 0 {
			x.at++
		}
		x.scalar(nodes, x.body[from:x.at])
	}
	if empty {
		return true
	}
	for _, n := range nodes {
		if n.other {
			x.found.Others++
		}
		for _, f := range n.fields {
			x.has[f] = true
			x.found.spans = append(x.found.spans, span{int64(from), int64(x.at), f, text})
		}
	}
	return true
}

// text goes behind the string that begins here, and gives it with its quotes.
func (x *scanner) text() []byte {
	from := x.at
	for x.at++; x.body[x.at] != '"'; x.at++ {
		if x.body[x.at] == '\\' {
			x.at++
		}
	}
	x.at++
	return x.body[from:x.at]
}

// plain gives what a string or number says.
func plain(raw []byte) string {
	if raw[0] != '"' {
		return string(raw)
	}
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		panic("BUG: a valid string cannot be read: " + err.Error())
	}
	return s
}

func (x *scanner) scalar(nodes []*node, raw []byte) {
	for _, n := range nodes {
		if !n.subject {
			continue
		}
		if id := plain(raw); !x.seen[id] {
			if x.seen == nil {
				x.seen = map[string]bool{}
			}
			x.seen[id] = true
			x.found.Subjects = append(x.found.Subjects, id)
		}
	}
}

func (x *scanner) object(nodes []*node, depth int) bool {
	x.at++
	var room [4]*node
	for x.space(); x.body[x.at] != '}'; x.space() {
		raw := x.text()
		next := room[:0]
		for _, n := range nodes {
			if n.members != nil {
				if m := n.member(raw); m != nil {
					next = append(next, m)
				}
			}
			if n.any != nil {
				next = append(next, n.any)
			}
		}
		x.space()
		if !x.value(next, depth+1) {
			return false
		}
	}
	x.at++
	return true
}

// member finds the step of a member's name, as it stands in the document.
func (n *node) member(raw []byte) *node {
	if name := raw[1 : len(raw)-1]; bytes.IndexByte(name, '\\') < 0 && utf8.Valid(name) {
		return n.members[string(name)]
	}
	return n.members[plain(raw)]
}

func (x *scanner) list(nodes []*node, depth int) bool {
	x.at++
	var room [4]*node
	next := room[:0]
	for _, n := range nodes {
		if n.element != nil {
			next = append(next, n.element)
		}
	}
	for x.space(); x.body[x.at] != ']'; x.space() {
		if !x.value(next, depth+1) {
			return false
		}
	}
	x.at++
	return true
}

// Masked stands where a text was; what is no text becomes null.
const Masked = `"****"`

// Mask gives the answer with the values of fields masked; mask says which.
func (f *Found) Mask(body []byte, mask func(field string) bool) []byte {
	spans := slices.DeleteFunc(slices.Clone(f.spans), func(s span) bool { return !mask(f.names[s.field]) })
	slices.SortFunc(spans, func(a, b span) int {
		if a.from != b.from {
			return int(a.from - b.from)
		}
		return int(b.to - a.to) // what holds others first
	})
	out := make([]byte, 0, len(body))
	at := int64(0)
	for _, s := range spans {
		if s.from < at {
			continue // inside one that is masked
		}
		out = append(out, body[at:s.from]...)
		if s.text {
			out = append(out, Masked...)
		} else {
			out = append(out, "null"...)
		}
		at = s.to
	}
	return append(out, body[at:]...)
}
