package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes text from a log harmless to look at: control, format, bidirectional, unassigned and invisible
// characters, bytes that are not UTF-8, and marks piled on one letter become escapes such as \u202e, \x1b or \xff.
func Safe(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	marks := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
			marks = 0
		case !unicode.IsPrint(r) || invisible(r):
			escape(&b, r)
			marks = 0
		case unicode.In(r, unicode.Mn, unicode.Me):
			// Scripts need a few marks on a letter; a pile of them draws over the lines around it. A mark with no letter
			// before it would sit on whatever the page puts there.
			if marks++; marks > maxMarks || i == 0 {
				escape(&b, r)
				break
			}
			b.WriteString(s[i : i+n])
		default:
			b.WriteString(s[i : i+n])
			marks = 0
		}
		i += n
	}
	return b.String()
}

const maxMarks = 4

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func escape(b *strings.Builder, r rune) {
	switch {
	case r < 0x100:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// invisible are characters that Unicode calls letters, marks or symbols and that show nothing.
func invisible(r rune) bool {
	switch r {
	case 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC:
		return true
	}
	return r >= 0xFE00 && r <= 0xFE0F || r >= 0xE0100 && r <= 0xE01EF || unicode.Is(unicode.Noncharacter_Code_Point, r)
}

// value is Safe text of at most maxValue characters.
func value(s string) string { return cut(s, maxValue) }

// cut is Safe text of at most n characters, the last of them … if something is missing.
func cut(s string, n int) string {
	if len(s) > 4*n+16 {
		s = s[:4*n+16] + "…" // no more than this can show: an id may be 10 kB
	}
	s = Safe(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i == n-1 {
			return s[:at] + "…"
		}
		i++
	}
	return s
}

// columns is how many columns of a terminal the text takes: two for East Asian wide characters, none for marks.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115F || r >= 0x2E80 && r <= 0xA4CF && r != 0x303F || r >= 0xAC00 && r <= 0xD7A3 ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 ||
		r >= 0x1F300 && r <= 0x1F64F || r >= 0x1F900 && r <= 0x1F9FF || r >= 0x20000 && r <= 0x3FFFD
}

// wrap breaks text at spaces into lines of at most width columns. A word that is longer is broken within.
func wrap(s string, width int) []string {
	width = max(width, 8)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		w := columns(word)
		if used > 0 && used+1+w <= width {
			line, used = line+" "+word, used+1+w
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		for w > width {
			head := fit(word, width)
			lines = append(lines, head)
			word = word[len(head):]
			w = columns(word)
		}
		line, used = word, w
	}
	if used > 0 || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// fit gives the longest beginning of s that takes at most width columns, at least one character.
func fit(s string, width int) string {
	used := 0
	for i, r := range s {
		w := columns(string(r))
		if i > 0 && used+w > width {
			return s[:i]
		}
		used += w
	}
	return s
}
