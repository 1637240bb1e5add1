package ingest

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/whosaw/whosaw"
)

// maxDepth bounds nesting in a line of somebody else's JSON.
const maxDepth = 128

// A scanner walks JSON without building it. It is more tolerant than the standard: raw control
// characters in strings and the escape \xHH are taken, because servers that were configured by hand
// write them. Structure is checked throughout.
type scanner struct {
	s string
	i int
}

// value is a captured JSON value: its kind and its text. A string's text is without quotes, still escaped.
type value struct {
	kind    byte // 's' string, 'n' number, 't' true, 'f' false, '0' null, '{', '[', 0 not there
	escaped bool
	raw     string
}

// scanError is the fault of malformed or unfinished JSON. cut tells the two apart: more bytes could mend it.
type scanError struct{ cut, deep bool }

func (e *scanError) Error() string { return "malformed JSON" }

var (
	errCut  = &scanError{cut: true}
	errBad  = &scanError{}
	errDeep = &scanError{deep: true}
)

func (e *scanError) fault() *whosaw.RecordError {
	if e.deep {
		return faultDeep
	}
	return faultNotJSON
}

func (c *scanner) space() {
	for c.i < len(c.s) {
		switch c.s[c.i] {
		case ' ', '\t', '\r', '\n':
			c.i++
		default:
			return
		}
	}
}

// string reads a string at its opening quote.
func (c *scanner) string() (raw string, escaped bool, err *scanError) {
	start := c.i + 1
	for i := start; ; {
		q := strings.IndexByte(c.s[i:], '"')
		if q < 0 {
			return "", false, errCut
		}
		if !escaped && strings.IndexByte(c.s[i:i+q], '\\') < 0 {
			c.i = i + q + 1
			return c.s[start : i+q], false, nil
		}
		escaped = true
		// Step over escapes up to that quote; the quote may itself be escaped.
		for end := i + q; i < end; {
			if c.s[i] == '\\' {
				i++
			}
			i++
		}
		if i == len(c.s) {
			return "", false, errCut
		}
		if c.s[i] == '"' {
			c.i = i + 1
			return c.s[start:i], true, nil
		}
	}
}

// value reads any value and leaves the scanner behind it.
func (c *scanner) value(depth int) (value, *scanError) {
	if depth > maxDepth {
		return value{}, errDeep
	}
	if c.i >= len(c.s) {
		return value{}, errCut
	}
	start := c.i
	switch b := c.s[c.i]; {
	case b == '"':
		raw, esc, err := c.string()
		return value{kind: 's', escaped: esc, raw: raw}, err
	case b == '{' || b == '[':
		if err := c.skipBody(depth); err != nil {
			return value{}, err
		}
		return value{kind: b, raw: c.s[start:c.i]}, nil
	case b == '-' || b >= '0' && b <= '9':
		for c.i < len(c.s) {
			switch b := c.s[c.i]; {
			case b >= '0' && b <= '9', b == '.', b == '-', b == '+', b == 'e', b == 'E':
				c.i++
				continue
			}
			break
		}
		return value{kind: 'n', raw: c.s[start:c.i]}, nil
	case b == 't':
		return value{kind: 't'}, c.word("true")
	case b == 'f':
		return value{kind: 'f'}, c.word("false")
	case b == 'n':
		return value{kind: '0'}, c.word("null")
	}
	return value{}, errBad
}

func (c *scanner) word(w string) *scanError {
	rest := c.s[c.i:]
	if strings.HasPrefix(rest, w) {
		c.i += len(w)
		return nil
	}
	if strings.HasPrefix(w, rest) {
		return errCut
	}
	return errBad
}

// skipBody steps over an object or array at its opening bracket.
func (c *scanner) skipBody(depth int) *scanError {
	object := c.s[c.i] == '{'
	end := c.s[c.i] + 2 // '{'+2 is '}', '['+2 is ']'
	c.i++
	for first := true; ; first = false {
		c.space()
		if c.i >= len(c.s) {
			return errCut
		}
		if c.s[c.i] == end && first {
			c.i++
			return nil
		}
		if object {
			if _, _, err := c.key(); err != nil {
				return err
			}
		}
		if _, err := c.value(depth + 1); err != nil {
			return err
		}
		more, err := c.next(end)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// key reads a member's name and the colon, and leaves the scanner at the value.
func (c *scanner) key() (name string, escaped bool, err *scanError) {
	if c.i >= len(c.s) {
		return "", false, errCut
	}
	if c.s[c.i] != '"' {
		return "", false, errBad
	}
	if name, escaped, err = c.string(); err != nil {
		return "", false, err
	}
	c.space()
	if c.i >= len(c.s) {
		return "", false, errCut
	}
	if c.s[c.i] != ':' {
		return "", false, errBad
	}
	c.i++
	c.space()
	return name, escaped, nil
}

// next steps over what follows a value: a comma (more), or the closing bracket.
func (c *scanner) next(end byte) (more bool, err *scanError) {
	c.space()
	if c.i >= len(c.s) {
		return false, errCut
	}
	switch c.s[c.i] {
	case ',':
		c.i++
		c.space()
		return true, nil
	case end:
		c.i++
		return false, nil
	}
	return false, errBad
}

// completeJSON reports whether s is not merely the beginning of a JSON value: more bytes would not mend it.
func completeJSON(s string) bool {
	c := scanner{s: s}
	c.space()
	_, err := c.value(0)
	return err == nil || !err.cut
}

// path is a tree of member names to capture. Slots number the captured values.
type path struct {
	members map[string]*path
	slots   []int
}

// add puts a dotted path into the tree. "a.b" is found both nested and as one flat name, because log
// shippers flatten; a number names an element of an array.
func (p *path) add(dotted string, slot int) {
	at := p
	for _, name := range strings.Split(dotted, ".") {
		at = at.child(name)
	}
	at.slots = append(at.slots, slot)
	if strings.Contains(dotted, ".") {
		flat := p.child(dotted)
		flat.slots = append(flat.slots, slot)
	}
}

func (p *path) child(name string) *path {
	c := p.members[name]
	if c == nil {
		c = &path{}
		if p.members == nil {
			p.members = map[string]*path{}
		}
		p.members[name] = c
	}
	return c
}

// capture reads the JSON object s and fills the slots of the tree. A wanted member that is there twice is
// a fault: which of the two counts would be anybody's guess. twice is the slot then, else -1.
func capture(s string, tree *path, vals []value) (twice int, err *scanError) {
	c := scanner{s: s}
	c.space()
	if c.i >= len(s) {
		return -1, errCut
	}
	if s[c.i] != '{' {
		return -1, errBad
	}
	if twice, err = c.capture(tree, vals, 0); twice >= 0 || err != nil {
		return twice, err
	}
	c.space()
	if c.i != len(s) {
		return -1, errBad
	}
	return -1, nil
}

func (c *scanner) capture(tree *path, vals []value, depth int) (twice int, err *scanError) {
	if depth > maxDepth {
		return -1, errDeep
	}
	object := c.s[c.i] == '{'
	end := c.s[c.i] + 2
	c.i++
	for n := 0; ; n++ {
		c.space()
		if c.i < len(c.s) && c.s[c.i] == end && n == 0 {
			c.i++
			return -1, nil
		}
		var sub *path
		if object {
			name, escaped, err := c.key()
			if err != nil {
				return -1, err
			}
			if escaped {
				name, _ = unescape(name)
			}
			sub = tree.members[name]
		} else if n < 100 {
			sub = tree.members[strconv.Itoa(n)]
		}
		if twice, err = c.member(sub, vals, depth); twice >= 0 || err != nil {
			return twice, err
		}
		more, err := c.next(end)
		if err != nil {
			return -1, err
		}
		if !more {
			return -1, nil
		}
	}
}

// member reads one value: descends where the tree does, and captures where it has a slot.
func (c *scanner) member(sub *path, vals []value, depth int) (twice int, err *scanError) {
	start := c.i
	var v value
	if sub != nil && len(sub.members) > 0 && c.i < len(c.s) && (c.s[c.i] == '{' || c.s[c.i] == '[') {
		v.kind = c.s[c.i]
		if twice, err = c.capture(sub, vals, depth+1); twice >= 0 || err != nil {
			return twice, err
		}
		v.raw = c.s[start:c.i]
	} else if v, err = c.value(depth + 1); err != nil {
		return -1, err
	}
	if sub != nil {
		for _, slot := range sub.slots {
			if vals[slot].kind != 0 {
				return slot, nil
			}
			vals[slot] = v
		}
	}
	return -1, nil
}

// text gives a string's content. ok is false if it is not a string or has an unknown escape.
func (v value) text() (s string, ok bool) {
	if v.kind != 's' {
		return "", false
	}
	if !v.escaped {
		return v.raw, true
	}
	return unescape(v.raw)
}

// unescape resolves a JSON string's escapes, and \xHH.
func unescape(raw string) (string, bool) {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			b = append(b, c)
			i++
			continue
		}
		if i+1 >= len(raw) {
			return "", false
		}
		c = raw[i+1]
		i += 2
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'x':
			h, ok := hexDigits(raw, i, 2)
			if !ok {
				return "", false
			}
			b = append(b, byte(h))
			i += 2
		case 'u':
			h, ok := hexDigits(raw, i, 4)
			if !ok {
				return "", false
			}
			i += 4
			if utf16.IsSurrogate(h) {
				low, ok := rune(0), false
				if strings.HasPrefix(raw[i:], `\u`) {
					low, ok = hexDigits(raw, i+2, 4)
				}
				if h = utf16.DecodeRune(h, low); !ok || h == utf8.RuneError {
					return "", false
				}
				i += 6
			}
			b = utf8.AppendRune(b, h)
		default:
			return "", false
		}
	}
	return string(b), true
}

func hexDigits(s string, i, n int) (rune, bool) {
	if i+n > len(s) {
		return 0, false
	}
	var v rune
	for _, c := range []byte(s[i : i+n]) {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		v = v<<4 | rune(d)
	}
	return v, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
