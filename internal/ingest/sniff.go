package ingest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

// The formats, by the names that --format takes.
const (
	FormatRecords    = "records"
	FormatCombined   = "combined"
	FormatNginx      = "nginx"
	FormatEnvoy      = "envoy"
	FormatTraefik    = "traefik"
	FormatCaddy      = "caddy"
	FormatCloudTrail = "cloudtrail"
	FormatVault      = "vault"   // audit devices of Vault and OpenBao
	FormatMapping    = "mapping" // by a mapping file
)

// Formats lists the names that --format takes.
func Formats() []string {
	return []string{FormatRecords, FormatCombined, FormatNginx, FormatEnvoy, FormatTraefik, FormatCaddy, FormatCloudTrail, FormatVault, FormatMapping}
}

// CheckFormat says what is wrong with a format and a mapping file as a configuration has them; both may be left out.
func CheckFormat(format, mapping string) error {
	switch {
	case format != "" && !slices.Contains(Formats(), format):
		return fmt.Errorf("format %q: give one of %s", format, strings.Join(Formats(), ", "))
	case format == FormatMapping && mapping == "":
		return errors.New("format mapping: name the mapping file with mapping: FILE")
	case mapping != "" && format != "" && format != FormatMapping:
		return errors.New("mapping: goes with format mapping, or without a format")
	}
	return nil
}

// sourceBytes is how much of the decompressed content names a source.
const sourceBytes = 4 << 10

// How far an input is looked at: as many lines, and as many bytes if lines are long or bad.
const (
	sniffLines  = 64
	sniffFile   = 256 << 20 // beyond a first line of 100 MB, which is no reason to give up on a file
	sniffStream = 8 << 20   // is kept in memory
)

// wish is what the user asked for.
type wish struct {
	format  string
	mapping *mapping
}

func wanted(o *Options) (*wish, error) {
	w := &wish{format: o.Format}
	if o.Format != "" && !slices.Contains(Formats(), o.Format) {
		return nil, fmt.Errorf("--format %q: give one of %s", o.Format, strings.Join(Formats(), ", "))
	}
	if o.Mapping != "" {
		if o.Format != "" && o.Format != FormatMapping {
			return nil, fmt.Errorf("--mapping goes with --format %s, or without --format", FormatMapping)
		}
		var err error
		if w.mapping, err = loadMapping(o.Mapping); err != nil {
			return nil, err
		}
	} else if o.Format == FormatMapping {
		return nil, errors.New("--format mapping: name the mapping file with --mapping FILE")
	}
	return w, nil
}

// unrecognised is the error for an input of no known format.
type unrecognised struct{ reason, hint string }

func (u *unrecognised) Error() string { return u.reason + "; " + u.hint }

// sniff looks at the beginning of an input: its compression, source and format.
func (in *Input) sniff(ctx context.Context, r io.Reader, want *wish, limit int64) error {
	c, err := decompress(ctx, r, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	in.Compression = c.compression
	br := bufio.NewReaderSize(&limited{r: c.Reader, n: limit}, 2*sourceBytes)
	head, err := br.Peek(sourceBytes)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(head) == 0 && err != nil && c.compression == "" && err != io.EOF {
		return err // the first read failed: nothing is known of the file
	}
	sum := sha256.Sum256(head)
	in.Source = hex.EncodeToString(sum[:8])
	for _, a := range archives {
		if strings.HasPrefix(string(head), a.magic) {
			return &unrecognised{"it is " + a.name, a.cure}
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return &unrecognised{"it is a tar archive", "unpack it first"}
	}
	in.elements = holdsElements(head)
	c.Reader = br
	v := in.vote(c, want)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	in.mapping = want.mapping
	switch {
	case want.format != "":
		in.Format = want.format
	case v.read == 0: // nothing in it but perhaps what is rejected as such
		in.Format = ""
	default:
		if in.Format = v.winner(); in.Format == "" {
			return v.unrecognised()
		}
	}
	in.elements = in.elements && in.Format != FormatCombined
	if in.Format != FormatMapping {
		in.mapping = presetMapping(in.Format)
	}
	return nil
}

// limited ends a content early.
type limited struct {
	r io.Reader
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, errLimit
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.n)])
	l.n -= int64(n)
	return n, err
}

var errLimit = errors.New("looked far enough")

// holdsElements reports whether the content is JSON documents with arrays of records.
func holdsElements(head []byte) bool {
	text := strings.TrimLeft(strings.TrimPrefix(string(head), string(byteOrderMark)), " \t\r\n")
	if n, _ := recordsDocument([]byte(text)); n > 0 {
		return true
	}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		rest = strings.TrimLeft(rest, " \t\r\n")
		return rest == "" || rest[0] == '{' || rest[0] == ']'
	}
	return false
}

// votes counts what the first lines look like.
type votes struct {
	lines  int
	read   int // of them, those that are not rejected as such
	of     map[string]int
	like   map[string]int // bad lines that resemble a format
	json   int            // JSON objects of no known kind
	names  []string       // of such an object's members
	reject bool           // lines of a reject file
}

func (in *Input) vote(c *content, want *wish) *votes {
	v := &votes{of: map[string]int{}, like: map[string]int{}}
	s := in.splitter(c)
	known := 0
	for b := s.next(); b != nil; b = s.next() {
		if b.bad != nil {
			v.lines++
			continue
		}
		b.first = v.lines == 0
		text := string(b.data)
		b.eachLine(func(start, end int, _ int64) {
			if known >= sniffLines || v.lines >= 100*sniffLines {
				return
			}
			v.lines++
			v.read++
			if v.line(text[start:end], want.mapping) {
				known++
			}
		})
		b.release()
		if known >= sniffLines || v.lines >= 100*sniffLines {
			break
		}
	}
	return v
}

// line looks at one line; false if it says nothing about the format.
func (v *votes) line(line string, m *mapping) bool {
	trimmed := strings.TrimLeft(line, " \t")
	if trimmed == "" || trimmed[0] != '{' {
		var r whosaw.Record
		var p combinedParser
		err := p.parse(line, 1<<53, &r)
		switch {
		case err == nil, r.Time != 0 && asFault(err).Member == "time": // a time out of range is still a time
			v.of[FormatCombined]++
			return true
		case r.Time != 0:
			v.like[FormatCombined]++
		}
		return false
	}
	l := lookAt(trimmed)
	switch format := l.format(m); {
	case format != "" && l.whole:
		v.of[format]++
		return true
	case format != "":
		v.like[format]++
	case l.whole && l.has("raw") && l.has("position") && l.has("reason"):
		v.reject = true
	case l.whole:
		v.json++
		if v.names == nil {
			v.names = l.names
		}
	default:
		v.like[FormatRecords]++
	}
	return false
}

// winner is the format of most lines, or the one that bad lines resemble most.
func (v *votes) winner() string {
	best := ""
	for _, counts := range []map[string]int{v.of, v.like} {
		for _, f := range Formats() {
			if counts[f] > counts[best] {
				best = f
			}
		}
		if best != "" || v.json > 0 || v.reject {
			return best
		}
	}
	return best
}

func (v *votes) unrecognised() *unrecognised {
	switch {
	case v.reject:
		return &unrecognised{"it is a reject file of whosaw", "mend the lines in the log itself and read that"}
	case v.json > 0:
		var names []string
		for _, n := range v.names {
			if plainName(n) && len(names) < 12 {
				names = append(names, n)
			}
		}
		return &unrecognised{"its lines are JSON with members that whosaw does not know (" + strings.Join(names, ", ") + ")",
			"write down which member means what and name that file with --mapping (docs/formats/sources.md)"}
	}
	return &unrecognised{"none of its first lines is a record, a combined log line, a known JSON log, CloudTrail or an audit log of Vault",
		"if it is one of these, name it with --format; of another log make record lines, one JSON object a line (docs/formats/records.md), or leave it out"}
}

func plainName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-@", r)
	})
}

// jsonLook is what the top level of a JSON line shows.
type jsonLook struct {
	line   string
	names  []string
	values map[string]value
	whole  bool // the line is one whole object
}

func lookAt(line string) *jsonLook {
	l := &jsonLook{line: line, values: map[string]value{}}
	c := scanner{s: line}
	c.i++
	for {
		c.space()
		if c.i < len(line) && line[c.i] == '}' && len(l.names) == 0 {
			l.whole = true
			return l
		}
		name, escaped, err := c.key()
		if err != nil {
			return l
		}
		if escaped {
			name, _ = unescape(name)
		}
		val, err := c.value(1)
		if err != nil {
			return l
		}
		l.names = append(l.names, name)
		l.values[name] = val
		more, err := c.next('}')
		if err != nil {
			return l
		}
		if !more {
			c.space()
			l.whole = c.i == len(line)
			return l
		}
	}
}

func (l *jsonLook) has(name string) bool {
	_, ok := l.values[name]
	return ok
}

func (l *jsonLook) object(name string) bool { return l.values[name].kind == '{' }

// recordNames are members that make a line with a time a record.
var recordNames = []string{"subject", "subjects", "route", "path", "principal", "credential", "key", "fields", "masked", "outcome", "realm", "agent", "ip"}

// format tells the line's format by its members' names. A mapping comes first for every line that has its time,
// except reference records, which say what they are.
func (l *jsonLook) format(m *mapping) string {
	kind, _ := l.values["type"].text()
	t, known := whosaw.ParseType(kind)
	if kind != "" && known && t != whosaw.TypeAccess {
		return FormatRecords
	}
	if m != nil {
		vals := make([]value, len(m.names))
		if _, err := capture(l.line, &m.tree, vals); err == nil {
			for _, slot := range m.time.slots {
				if vals[slot].kind == 's' || vals[slot].kind == 'n' {
					return FormatMapping
				}
			}
		}
	}
	if f := presetOf(l.has, l.object); f != "" {
		return f
	}
	if l.has("time") && (kind == "access" || slices.ContainsFunc(recordNames, l.has)) {
		return FormatRecords
	}
	return ""
}
