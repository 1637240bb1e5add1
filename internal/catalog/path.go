package catalog

import (
	"strings"
	"unicode/utf8"
)

// maxSegments is how many segments of a path are looked at. Longer paths are hostile or generated; only
// a {rest...} template can match them.
const maxSegments = 32

// segment is one part of a path between slashes, without its path parameters (";jsessionid=…").
type segment struct {
	raw  string // as written
	text string // with valid escapes decoded once; raw where there is nothing to decode
}

// target is a request target taken apart. It is reused from record to record.
type target struct {
	segs  []segment
	query string // as written, without "?"
	ok    bool   // a path from the root: not "*", an authority or junk
	long  bool   // there were more than maxSegments segments
}

// parse takes a request target apart: origin form ("/a/b?x=1") or absolute form ("http://host/a/b").
// Doubled and trailing slashes do not count, and dot segments are resolved, because servers do both
// before they look for a route: otherwise "/x/../me" would read a page past the catalog.
func (t *target) parse(s string) {
	t.segs, t.query, t.ok, t.long = t.segs[:0], "", false, false
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		if s[i] == '?' {
			t.query, _, _ = strings.Cut(s[i+1:], "#")
		}
		s = s[:i]
	}
	if s == "" {
		return
	}
	if s[0] != '/' {
		if s = afterHost(s); s == "" {
			return
		}
	}
	t.ok = true
	for s != "" {
		s = s[1:] // the slash
		end := strings.IndexByte(s, '/')
		if end < 0 {
			end = len(s)
		}
		if !t.add(s[:end]) {
			return
		}
		s = s[end:]
	}
}

// add takes one segment; false once there are too many.
func (t *target) add(raw string) bool {
	if i := strings.IndexByte(raw, ';'); i >= 0 {
		raw = raw[:i]
	}
	text := raw
	if strings.IndexByte(raw, '%') >= 0 {
		text = unescape(raw, false)
	}
	switch text {
	case "", ".":
		return true
	case "..":
		if len(t.segs) > 0 {
			t.segs = t.segs[:len(t.segs)-1]
		}
		return true
	}
	if len(t.segs) == maxSegments {
		t.long = true
		return false
	}
	t.segs = append(t.segs, segment{raw, text})
	return true
}

// afterHost gives the path of an absolute-form target, "" if s is none. A target that ends with the
// host is the root.
func afterHost(s string) string {
	i := strings.Index(s, "://")
	if i <= 0 || i > 12 {
		return ""
	}
	for _, c := range []byte(s[:i]) {
		if !isLetter(c) {
			return ""
		}
	}
	s = s[i+3:]
	if i = strings.IndexByte(s, '/'); i < 0 {
		return "/"
	}
	return s[i:]
}

// unescape decodes percent escapes once; invalid ones stay as they are. If the result is not UTF-8, s is
// given back: two ids must not become one.
func unescape(s string, plus bool) string {
	if strings.IndexByte(s, '%') < 0 && (!plus || strings.IndexByte(s, '+') < 0) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case c == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

// eachParam calls fn with every parameter of a query string, decoded, in order, until it gives false.
func eachParam(query string, fn func(name, value string) bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if name != "" && !fn(unescape(name, true), unescape(value, true)) {
			return
		}
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
