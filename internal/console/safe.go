package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown is how much of a value from a record is shown, in characters.
const maxShown = 200

// safe makes text from a record harmless to look at: what cannot be seen, or draws over its neighbours, becomes an escape.
// html/template escapes the markup.
func safe(s string) string { return safeTo(s, maxShown) }

// safeTo is safe with another bound.
func safeTo(s string, most int) string {
	var b strings.Builder
	n, marks := 0, 0
	for i := 0; i < len(s); n++ {
		if n >= most {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		mark := unicode.In(r, unicode.Mn, unicode.Me)
		if marks++; !mark {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r), mark && (marks > 3 || i == 0), r == 0x3164, r == 0xffa0, r == 0x115f, r == 0x1160, r == 0x2800:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}
