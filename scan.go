package whosaw

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds how deep the values of members that are left out may be nested.
const maxDepth = 64

// raw is where the value of a member lies in the line. Of a string it is what stands between the quotes.
type raw struct {
	start, end int32
	kind       kind
}

type kind uint8

const (
	kindString  kind = iota
	kindEscaped      // a string with at least one escape
	kindInteger
	kindNumber // with fraction or exponent
	kindBool
	kindNull
	kindArray
	kindObject
)

// says names a kind of value for an error.
var kindSays = [...]string{"a string", "a string", "a number", "a number", "true or false", "null", "a list", "an object"}

// scanner walks one line of JSON, strictly by RFC 8259. Positions are indexes into line.
type scanner struct {
	line     []byte
	pos      int
	nonASCII bool
	problem  string // what is wrong at pos
}

func (s *scanner) fail(problem string) bool {
	s.problem = problem
	return false
}

func (s *scanner) space() {
	for s.pos < len(s.line) {
		switch s.line[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// cleanEnd gives where the string that begins at i ends, behind its closing quote, if it is ASCII without
// escapes, as most are; else -1, and str judges it.
func cleanEnd(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if stop := stops(w); stop != 0 {
			i += bits.TrailingZeros64(stop) >> 3
			if b[i] == '"' {
				return i + 1
			}
			return -1
		}
	}
	return -1
}

// stops marks in eight bytes each quote, backslash, control character and byte beyond ASCII, by its high
// bit; marks above the lowest may be false.
func stops(w uint64) uint64 {
	return (w | (w - 0x20*lows) | ((w ^ '"'*lows) - lows) | ((w ^ '\\'*lows) - lows)) & highs
}

// str walks a string from behind its opening quote to behind the closing one.
func (s *scanner) str() (v raw, ok bool) {
	b, i := s.line, s.pos
	v.start = int32(i)
	for {
		for i+8 <= len(b) {
			if stop := stops(binary.LittleEndian.Uint64(b[i:])); stop != 0 {
				i += bits.TrailingZeros64(stop) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			s.pos = i
			return v, s.fail("ends within a string")
		}
		switch c := b[i]; {
		case c == '"':
			v.end = int32(i)
			s.pos = i + 1
			return v, true
		case c == '\\':
			v.kind = kindEscaped
			n := escapeLen(b[i:])
			if n == 0 {
				s.pos = i
				return v, s.fail("has an escape that JSON does not know")
			}
			i += n
		case c < 0x20:
			s.pos = i
			return v, s.fail("has a raw control character within a string")
		case c >= utf8.RuneSelf:
			s.nonASCII = true
			for i++; i < len(b) && b[i] >= utf8.RuneSelf; i++ {
			}
		default:
			i++
		}
	}
}

// escapeLen gives the length of the escape that b begins with, 0 if it is none. Half a surrogate pair is
// none: readers replace it, and two ids would become one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		u := hex4(b[2:])
		switch {
		case u < 0 || u >= 0xdc00 && u < 0xe000:
			return 0
		case u >= 0xd800 && u < 0xdc00:
			if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
				return 0
			}
			if low := hex4(b[8:]); low < 0xdc00 || low >= 0xe000 {
				return 0
			}
			return 12
		}
		return 6
	}
	return 0
}

// hex4 reads four hex digits, -1 if b does not begin with them.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var v rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case (c|0x20)-'a' <= 5:
			c = (c | 0x20) - 'a' + 10
		default:
			return -1
		}
		v = v<<4 | rune(c)
	}
	return v
}

// appendUnescaped appends the text of a string that str has walked.
func appendUnescaped(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			i++
			continue
		}
		switch c := b[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			u := hex4(b[i+2:])
			if u >= 0xd800 && u < 0xe000 {
				u = 0x10000 + (u-0xd800)<<10 + (hex4(b[i+8:]) - 0xdc00)
				i += 6
			}
			dst = utf8.AppendRune(dst, u)
			i += 4
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// number walks a number.
func (s *scanner) number() (v raw, ok bool) {
	b, i := s.line, s.pos
	v = raw{start: int32(i), kind: kindInteger}
	digits := func() bool {
		start := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > start
	}
	if b[i] == '-' {
		i++
	}
	first := i
	if !digits() {
		return v, s.fail("has something that is no JSON value")
	}
	if b[first] == '0' && i > first+1 {
		return v, s.fail("has a number with a leading zero")
	}
	if i < len(b) && b[i] == '.' {
		v.kind = kindNumber
		i++
		if !digits() {
			return v, s.fail("has a number that ends at its point")
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		v.kind = kindNumber
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return v, s.fail("has a number that ends within its exponent")
		}
	}
	v.end = int32(i)
	s.pos = i
	return v, true
}

// value walks any value; space before it is behind us.
func (s *scanner) value(depth int) (v raw, ok bool) {
	if s.pos >= len(s.line) {
		return v, s.fail("ends where a value should be")
	}
	switch c := s.line[s.pos]; {
	case c == '"':
		s.pos++
		return s.str()
	case c == '-' || c-'0' <= 9:
		return s.number()
	case c == 't':
		return s.word("true", kindBool)
	case c == 'f':
		return s.word("false", kindBool)
	case c == 'n':
		return s.word("null", kindNull)
	case c == '[' || c == '{':
		return s.nested(depth, c)
	}
	return v, s.fail("has something that is no JSON value")
}

func (s *scanner) word(word string, k kind) (raw, bool) {
	end := s.pos + len(word)
	if end > len(s.line) || string(s.line[s.pos:end]) != word {
		return raw{}, s.fail("has something that is no JSON value")
	}
	v := raw{start: int32(s.pos), end: int32(end), kind: k}
	s.pos = end
	return v, true
}

// nested walks a list or an object.
func (s *scanner) nested(depth int, open byte) (v raw, ok bool) {
	if depth >= maxDepth {
		return v, s.fail("is nested too deep")
	}
	v = raw{start: int32(s.pos), kind: kindArray}
	closing := byte(']')
	if open == '{' {
		v.kind, closing = kindObject, '}'
	}
	s.pos++
	s.space()
	if s.at(closing) {
		v.end = int32(s.pos)
		return v, true
	}
	for {
		if open == '{' {
			if !s.at('"') {
				return v, s.fail("has an object member without a name")
			}
			if _, ok := s.str(); !ok {
				return v, false
			}
			s.space()
			if !s.at(':') {
				return v, s.fail("lacks a colon behind a member's name")
			}
			s.space()
		}
		if _, ok := s.value(depth + 1); !ok {
			return v, false
		}
		s.space()
		if s.at(closing) {
			v.end = int32(s.pos)
			return v, true
		}
		if !s.at(',') {
			return v, s.fail("lacks a comma or a closing bracket")
		}
		s.space()
	}
}

// at steps over c if it is next.
func (s *scanner) at(c byte) bool {
	if s.pos < len(s.line) && s.line[s.pos] == c {
		s.pos++
		return true
	}
	return false
}
