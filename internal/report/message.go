package report

import (
	"io"
	"strings"
)

// Message is an answer of a command that is not an investigation, set as one is. What it is given is made safe to look
// at. Errors of the writer are given by End.
type Message struct{ t *text }

// NewMessage begins a message.
func NewMessage(w io.Writer, o TextOptions) *Message { return &Message{newText(w, o)} }

// maxSaid bounds a sentence or a cell that may come from a log.
const maxSaid = 1000

// Head writes a heading.
func (m *Message) Head(s string) { m.t.head(cut(s, maxSaid)) }

// Para writes a paragraph.
func (m *Message) Para(s string) { m.t.para("", cut(s, maxSaid)) }

// Item writes one point of a list.
func (m *Message) Item(s string) { m.t.item("  - ", cut(s, maxSaid)) }

// Blind writes a point about what cannot be seen.
func (m *Message) Blind(s string) { m.t.painted("  - ", cut(s, maxSaid), watch) }

// Verdict writes the one sentence that the reader came for. Bad is said as what was taken is.
func (m *Message) Verdict(s string, bad bool) {
	code := strong
	mark := "□ "
	if bad {
		code, mark = taken, "■ "
	}
	for i, l := range wrap(cut(s, maxSaid), m.t.width-2) {
		if i > 0 {
			mark = "  "
		}
		m.t.line(m.t.paint(code, mark+l))
	}
}

// Command writes what can be done next, and the line that does it, which is never wrapped: it is there to be copied.
func (m *Message) Command(says, line string) {
	m.t.item("  ", capital(cut(says, maxSaid)))
	m.t.line("    " + cut(line, maxCommand))
}

// Table writes rows under their heads: the first column at its left, the others at their right.
func (m *Message) Table(head []string, rows [][]string) {
	width := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], columns(cut(cell, maxSaid)))
		}
	}
	for n, row := range all {
		var b strings.Builder
		for i, cell := range row {
			cell = cut(cell, maxSaid)
			if i == 0 {
				b.WriteString("  " + pad(cell, width[i]))
			} else {
				b.WriteString("  " + right(cell, width[i]))
			}
		}
		code := ""
		if n == 0 {
			code = faint
		}
		m.t.line(m.t.paint(code, b.String()))
	}
}

// Blank writes an empty line.
func (m *Message) Blank() { m.t.blank() }

// End writes out what is held back and gives the first error.
func (m *Message) End() error { return m.t.end() }
