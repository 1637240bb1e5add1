package ingest

import (
	"errors"
	"io"

	"github.com/whosaw/whosaw"
)

// ParseLine gives a line to the parser of a format; a mapping may be given instead of one.
func ParseLine(format, mapping, line string, now int64) (whosaw.Record, error) {
	return ParseKeyLine(nil, format, mapping, line, now)
}

// ParseKeyLine is ParseLine for a house that says where its keys lie.
func ParseKeyLine(m *KeyMap, format, mapping, line string, now int64) (whosaw.Record, error) {
	keys, err := m.compile()
	if err != nil {
		return whosaw.Record{}, err
	}
	in := Input{Format: format, mapping: presetMapping(format)}
	if mapping != "" {
		m, err := parseMapping([]byte(mapping))
		if err != nil {
			return whosaw.Record{}, err
		}
		in.Format, in.mapping = FormatMapping, m
	}
	w := worker{keys: keys, parsers: map[string]lineParser{}}
	var r whosaw.Record
	if p := w.parser(&in); p != nil {
		return r, p.parse(line, now, &r)
	}
	return r, w.records.Decode([]byte(line), now, &r)
}

// CheckMapping compiles a mapping file's text.
func CheckMapping(text string) error {
	_, err := parseMapping([]byte(text))
	return err
}

// Recode encodes a record the way it waits to be sorted, and decodes it.
func Recode(r *whosaw.Record) (whosaw.Record, bool) {
	var d recordDecoder
	var out whosaw.Record
	ok := d.decode(string(appendRecord(nil, r)), &out)
	out.Time, out.Source, out.Position = r.Time, r.Source, r.Position
	return out, ok
}

// DecodeSpilled decodes any bytes.
func DecodeSpilled(s string) bool {
	var d recordDecoder
	var out whosaw.Record
	return d.decode(s, &out)
}

// Piece is one line or element that a splitter gave.
type Piece struct {
	Position int64
	Text     string // of a bad line only its beginning
	Reason   string // "" if the splitter found nothing wrong
	Cut      bool
	Feeds    int64 // before it
}

// Split cuts a content into lines or elements. What ends it with another error than io.EOF is the reason "stopped".
func Split(r io.Reader, elements bool) []Piece {
	stop := func(error) *whosaw.RecordError { return fault("", "stopped", "") }
	var s splitter = &lineSplitter{r: r, stop: stop}
	if elements {
		s = newElementSplitter(r, stop)
	}
	var all []Piece
	feeds := int64(0)
	for b, first := s.next(), true; b != nil; b, first = s.next(), false {
		b.first = first
		if b.bad != nil {
			all = append(all, Piece{Position: b.base, Text: string(b.bad.head), Reason: b.bad.fault.Reason, Cut: b.bad.cut, Feeds: feeds})
			feeds += b.bad.lines
			continue
		}
		text := string(b.data)
		feeds += b.eachLine(func(start, end int, line int64) {
			all = append(all, Piece{Position: b.base + int64(start), Text: text[start:end], Feeds: feeds + line})
		})
		b.release()
	}
	return all
}

// ErrStop is an error that is not io.EOF.
var ErrStop = errors.New("stop")

// SortBeside sorts by that many goroutines.
func SortBeside[E any](all []E, goroutines int, compare func(a, b E) int) {
	sortBeside(all, goroutines, compare)
}
