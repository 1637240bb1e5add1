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
	csv   *csv.Writer
	json  *json.Encoder
	cells []string // nil: nothing was written yet
}

var listHeader = []string{"subject", "first", "last", "accesses", "fields"}

// NewListWriter writes to w.
func NewListWriter(w io.Writer, asCSV bool) *ListWriter {
	if asCSV {
		return &ListWriter{csv: csv.NewWriter(w)}
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
	if err := l.header(); err != nil {
		return err
	}
	l.cells[0], l.cells[1], l.cells[2] = row.Subject, row.First.String(), row.Last.String()
	l.cells[3], l.cells[4] = strconv.FormatInt(row.Accesses, 10), strings.Join(row.Fields, "|")
	return l.csv.Write(l.cells)
}

func (l *ListWriter) header() error {
	if l.cells != nil {
		return nil
	}
	l.cells = make([]string, len(listHeader))
	return l.csv.Write(listHeader)
}

// Flush ends the list; one without rows has its header all the same.
func (l *ListWriter) Flush() error {
	if l.json != nil {
		return nil
	}
	if err := l.header(); err != nil {
		return err
	}
	l.csv.Flush()
	if err := l.csv.Error(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}
