package scope

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// ListWriter writes the rows of a list: RFC 4180 with LF, its header first, or a JSON object a line.
type ListWriter struct {
	json *json.Encoder

	w     io.Writer // of CSV
	line  []byte    // lines that are not yet written
	begun bool
	cells map[*string]string // what stands for sets of fields, by where the list keeps them
}

const (
	listCells  = 1 << 10 // sets that are remembered
	listHeader = "subject,first,last,accesses,fields\n"
	listPiece  = 1 << 16 // bytes written at once
)

// NewListWriter writes to w.
func NewListWriter(w io.Writer, asCSV bool) *ListWriter {
	if asCSV {
		return &ListWriter{w: w, cells: map[*string]string{}, line: make([]byte, 0, listPiece+4096)}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &ListWriter{json: enc}
}

// Row writes a row.
func (l *ListWriter) Row(row whosaw.ListRow) error {
	if l.json != nil {
		return l.json.Encode(row)
	}
	l.header()
	if plain(row.Subject) {
		l.line = append(l.line, row.Subject...)
	} else {
		l.line = append(l.line, cell(row.Subject)...)
	}
	l.line, _ = row.First.AppendText(append(l.line, ','))
	l.line, _ = row.Last.AppendText(append(l.line, ','))
	l.line = strconv.AppendInt(append(l.line, ','), row.Accesses, 10)
	l.line = append(append(l.line, ','), l.fields(row.Fields)...)
	l.line = append(l.line, '\n')
	if len(l.line) >= listPiece {
		return l.write()
	}
	return nil
}

// fields gives the cell of a set of fields. Of millions of rows almost all have one of a few, and the list gives equal ones
// as the same slice.
func (l *ListWriter) fields(set []string) string {
	if len(set) == 0 {
		return ""
	}
	text, ok := l.cells[&set[0]]
	if !ok {
		text = cell(strings.Join(set, "|"))
		if len(l.cells) < listCells {
			l.cells[&set[0]] = text
		}
	}
	return text
}

// plain reports whether an id is all digits, as most are.
func plain(id string) bool {
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return true
}

// cell gives the text of a cell, in quotes if it needs them.
func cell(s string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{s, ""}) // into memory; a second cell, because one that is empty and alone has quotes
	w.Flush()
	return strings.TrimSuffix(b.String(), ",\n")
}

func (l *ListWriter) header() {
	if !l.begun {
		l.begun, l.line = true, append(l.line, listHeader...)
	}
}

func (l *ListWriter) write() error {
	_, err := l.w.Write(l.line)
	l.line = l.line[:0]
	if err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

// Flush ends the list; one without rows has its header all the same.
func (l *ListWriter) Flush() error {
	if l.json != nil {
		return nil
	}
	l.header()
	return l.write()
}
