package catalog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/whosaw/whosaw/internal/hint"
)

// This file reads the YAML tree strictly: a wrong kind of value is a fault with its line, and a key that is
// not known names the nearest one that is.

// pair is one entry of a mapping.
type pair struct {
	key   string
	at    ast.Node // the key's, for faults
	value ast.Node
}

// pairs gives the entries of a mapping in order; keys that stand twice are faults.
func (l *loader) pairs(n ast.Node, what string) []pair {
	n = l.resolve(n)
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case nil:
		return nil
	case *ast.NullNode:
		return nil
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		l.fault(n, "%s: write it as a list of \"key: value\" lines", what)
		return nil
	}
	seen := map[string]bool{}
	var pairs []pair
	for _, v := range values {
		if v == nil || v.Key == nil {
			continue
		}
		if v.Key.IsMergeKey() {
			l.fault(v.Key, "%s: << is not supported: write the lines out, or share a list with an anchor", what)
			continue
		}
		key, ok := l.scalar(v.Key)
		if !ok {
			l.fault(v.Key, "%s: a key must be plain text: put it in quotes", what)
			continue
		}
		if seen[key] {
			l.fault(v.Key, "%s: %q stands twice: join the two", what, key)
			continue
		}
		seen[key] = true
		pairs = append(pairs, pair{key, v.Key, l.resolve(v.Value)})
	}
	return pairs
}

// items gives the entries of a list; a single value is a list of one.
func (l *loader) items(n ast.Node, what string) []ast.Node {
	n = l.resolve(n)
	switch s := n.(type) {
	case nil:
		return nil
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		out := make([]ast.Node, 0, len(s.Values))
		for _, v := range s.Values {
			if v = l.resolve(v); v != nil {
				out = append(out, v)
			}
		}
		return out
	case *ast.MappingNode, *ast.MappingValueNode:
		l.fault(n, "%s: write a list: begin each entry with \"- \"", what)
		return nil
	}
	return []ast.Node{n}
}

// resolve follows anchors, aliases and tags to the value they stand for.
func (l *loader) resolve(n ast.Node) ast.Node {
	for range maxDepth {
		switch t := n.(type) {
		case *ast.AnchorNode:
			if t.Name != nil && t.Value != nil {
				l.anchors[t.Name.GetToken().Value] = t.Value
			}
			n = t.Value
		case *ast.AliasNode:
			value, ok := l.anchors[t.Value.GetToken().Value]
			if !ok {
				l.fault(t, "the alias names no anchor above it; text that begins with * must stand in quotes")
				return nil
			}
			n = value
		case *ast.TagNode:
			n = t.Value
		default:
			return n
		}
	}
	l.fault(n, "anchors and aliases go in a circle: write the list out")
	return nil
}

// scalar gives the text of a plain or quoted value.
func (l *loader) scalar(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		return t.Value, true
	case *ast.LiteralNode:
		if t.Value == nil {
			return "", false
		}
		return strings.TrimSpace(t.Value.Value), true
	case *ast.MappingKeyNode:
		return l.scalar(t.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return t.GetToken().Value, true
	}
	return "", false
}

// text is scalar for a value that must be there.
func (l *loader) text(n ast.Node, what string) (string, bool) {
	s, ok := l.scalar(n)
	if s = strings.TrimSpace(s); !ok || s == "" {
		l.fault(n, "%s: write one plain value", what)
		return "", false
	}
	return s, true
}

// fields reads a list of field names: sorted, distinct, never nil.
func (l *loader) fields(n ast.Node, what string) []string {
	out := []string{}
	for _, item := range l.items(n, what) {
		s, ok := l.text(item, what)
		if !ok {
			continue
		}
		if !isField(s) {
			l.fault(item, "field %q: write letters, digits, _, - or . (up to 64), one name an entry, like door_code", s)
			continue
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func isField(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && c != '_' && c != '-' && c != '.' && c < 0x80 {
			return false
		}
	}
	return true
}

func (l *loader) count(n ast.Node) int64 {
	s, ok := l.text(n, "others")
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		l.fault(n, "others %q: write a whole number, 0 or more", s)
		return 0
	}
	return v
}

func (l *loader) status(n ast.Node) (int, bool) {
	s, ok := l.text(n, "status")
	if !ok {
		return 0, false
	}
	v, ok := parseStatus(s)
	if !ok {
		l.fault(n, "status %q: write a number from 100 to 999", s)
	}
	return v, ok
}

func parseStatus(s string) (int, bool) {
	v, err := strconv.Atoi(s)
	return v, err == nil && len(s) == 3 && v >= 100
}

func isNull(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, null := n.(*ast.NullNode)
	return null
}

func (l *loader) unknown(p pair, what string, known ...string) {
	cure := hint.DidYouMean(p.key, known)
	if cure == "" {
		cure = ": write one of " + strings.Join(known, ", ")
	}
	l.fault(p.at, "unknown key %q in %s%s", p.key, what, cure)
}

func methodNames() []string {
	names := make([]string, 0, len(methods))
	for _, m := range methods {
		names = append(names, m)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
