package whosaw

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the record as one line of JSON, without a line feed: members in the
// contract's order, missing ones left out, an access without its type. Source and Position are
// not the record's own and are not written. For a record that Validate accepts the line is one
// that Decode reads back, as long as it is no longer than MaxLine.
func AppendJSON(dst []byte, r *Record) []byte {
	e := encoder{append(dst, '{')}
	if r.Type != TypeAccess {
		e.text("type", r.Type.String())
	}
	e.text("id", r.ID)
	e.time("time", r.Time)
	e.text("realm", r.Realm)
	if len(r.Subjects) == 1 {
		e.text("subject", r.Subjects[0])
	} else if len(r.Subjects) > 1 {
		e.list("subjects", r.Subjects)
	}
	if r.Ref != nil {
		e.text("state", r.Ref.State)
		e.text("into", r.Ref.Into)
		e.text("person", r.Ref.Person)
		e.text("of", r.Ref.Of)
		e.text("kind", r.Ref.Kind)
	}
	e.integer("others", r.Others)
	e.text("route", r.Route)
	e.text("method", r.Method)
	e.text("path", r.Path)
	if r.Fields != nil {
		e.list("fields", r.Fields)
	}
	if r.Masked != nil {
		e.list("masked", r.Masked)
	}
	e.integer("status", int64(r.Status))
	e.text("outcome", r.Outcome.String())
	e.text("principal", r.Principal)
	e.text("credential", r.Credential)
	e.text("key", r.Key)
	e.text("client", r.Client)
	if r.IP.IsValid() {
		e.name("ip")
		e.dst = append(e.dst, '"')
		e.dst = r.IP.AppendTo(e.dst)
		e.dst = append(e.dst, '"')
	}
	e.text("country", r.Country)
	e.integer("asn", int64(r.ASN))
	e.text("agent", r.Agent)
	e.text("tls", r.TLS)
	e.text("reason", r.Reason)
	e.integer("bytes", r.Bytes)
	e.text("request", r.Request)
	if r.Ref != nil {
		e.reference(r.Ref)
	}
	return append(e.dst, '}')
}

// encoder appends members; dst ends with the opening brace or a value.
type encoder struct{ dst []byte }

func (e *encoder) reference(ref *Reference) {
	e.time("since", ref.Since)
	e.time("from", ref.From)
	e.time("until", ref.Until)
	e.time("expires", ref.Expires)
	e.time("last_login", ref.LastLogin)
	for _, l := range []struct {
		name  string
		items []string
	}{{"contacts", ref.Contacts}, {"keys", ref.Keys}, {"principals", ref.Principals}, {"readers", ref.Readers}} {
		if len(l.items) > 0 {
			e.list(l.name, l.items)
		}
	}
	e.text("use", ref.Use)
	if ref.Lag != 0 {
		e.name("lag")
		e.dst = strconv.AppendFloat(e.dst, ref.Lag, 'f', -1, 64)
	}
	if ref.HasLost {
		e.name("lost")
		e.dst = strconv.AppendFloat(e.dst, ref.Lost, 'f', -1, 64)
	}
	e.integer("count", ref.Count)
	e.text("note", ref.Note)
}

func (e *encoder) name(name string) {
	if e.dst[len(e.dst)-1] != '{' {
		e.dst = append(e.dst, ',')
	}
	e.dst = append(e.dst, '"')
	e.dst = append(e.dst, name...)
	e.dst = append(e.dst, '"', ':')
}

func (e *encoder) text(name, s string) {
	if s != "" {
		e.name(name)
		e.dst = appendQuoted(e.dst, s)
	}
}

func (e *encoder) integer(name string, n int64) {
	if n != 0 {
		e.name(name)
		e.dst = strconv.AppendInt(e.dst, n, 10)
	}
}

func (e *encoder) time(name string, ms int64) {
	if ms != 0 {
		e.name(name)
		e.dst = append(e.dst, '"')
		e.dst = appendTime(e.dst, ms)
		e.dst = append(e.dst, '"')
	}
}

func (e *encoder) list(name string, items []string) {
	e.name(name)
	e.dst = append(e.dst, '[')
	for i, item := range items {
		if i > 0 {
			e.dst = append(e.dst, ',')
		}
		e.dst = appendQuoted(e.dst, item)
	}
	e.dst = append(e.dst, ']')
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends a JSON string. What would draw on a terminal (controls, and the marks that turn
// the direction of writing) is escaped too; bytes that are not UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || draws(r) {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// draws reports whether a rune beyond ASCII changes how its neighbours are shown.
func draws(r rune) bool {
	return r < 0xa0 || r == 0x61c || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e ||
		r >= 0x2060 && r <= 0x206f || r == 0xfeff
}

// MarshalJSON gives what AppendJSON appends.
func (r Record) MarshalJSON() ([]byte, error) {
	return AppendJSON(make([]byte, 0, 512), &r), nil
}

// UnmarshalJSON reads a record as Decode does, with a clock that lies ahead of every time.
func (r *Record) UnmarshalJSON(data []byte) error {
	var d Decoder
	return d.Decode(data, maxReferenceTime, r)
}
