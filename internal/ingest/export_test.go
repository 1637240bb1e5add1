package ingest

import "github.com/whosaw/whosaw"

// ParseLine gives a line to the parser of a format; a mapping may be given instead of one.
func ParseLine(format, mapping, line string, now int64) (whosaw.Record, error) {
	in := Input{Format: format, mapping: presetMapping(format)}
	if mapping != "" {
		m, err := parseMapping([]byte(mapping))
		if err != nil {
			return whosaw.Record{}, err
		}
		in.Format, in.mapping = FormatMapping, m
	}
	w := worker{parsers: map[string]lineParser{}}
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
