package market

import (
	"fmt"
	"strconv"
)

// write writes an event as a record, and as a line of the combined log if it is an access.
func (r *run) write(e *event) error {
	if err := r.writeRecord(e); err != nil {
		return err
	}
	if r.combined == nil || e.kind != kindAccess {
		return nil
	}
	if _, err := r.combined.Write(appendCombined(r.line[:0], r.cfg.Seed, e)); err != nil {
		return fmt.Errorf("write combined log: %w", err)
	}
	return nil
}

func (r *run) writeRecord(e *event) error {
	r.line = appendRecord(r.line[:0], e)
	if _, err := r.out.Write(r.line); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

var kindNames = [...]string{"access", "issuance", "subject", "person", "key", "reason"}

// appendRecord writes the record line. It is written out here, and not left to an encoder, so that its bytes
// stay. No string in it needs escaping: all come from the tables.
func appendRecord(b []byte, e *event) []byte {
	b = append(b, `{"id":"r`...)
	b = strconv.AppendInt(b, int64(e.id), 10)
	if e.kind != kindAccess {
		b = appendText(b, `","type":"`, kindNames[e.kind])
	}
	b = append(b, `","time":"`...)
	b = appendTime(b, e.time)
	b = append(b, '"')
	switch e.kind {
	case kindAccess:
		b = appendAccess(b, e)
	case kindIssuance:
		b = appendSubjects(b, e.subjects)
		b = appendMember(b, "principal", e.principal)
		b = appendCredential(b, e)
		b = appendMember(b, "ip", ipText(e))
	case kindSubject:
		b = appendSubjects(b, e.subjects)
		b = appendMember(b, "state", e.state)
		b = appendInstant(b, "since", e.since)
		b = appendInstant(b, "last_login", e.till)
	case kindPerson:
		b = appendMember(b, "person", e.principal)
		b = appendMember(b, "state", e.state)
		b = appendInstant(b, "since", e.since)
		b = appendList(b, "keys", e.list)
	case kindKey:
		b = appendMember(b, "key", e.key)
		b = appendMember(b, "state", e.state)
		b = appendInstant(b, "since", e.since)
		b = appendMember(b, "use", e.client)
		b = appendList(b, "readers", e.list)
	case kindReason:
		b = appendSubjects(b, e.subjects)
		b = appendMember(b, "principal", e.principal)
		b = appendMember(b, "kind", e.state)
		b = appendInstant(b, "from", e.since)
		b = appendInstant(b, "until", e.till)
	}
	return append(b, "}\n"...)
}

func appendAccess(b []byte, e *event) []byte {
	p := &pages[e.page]
	b = appendSubjects(b, e.subjects)
	b = appendMember(b, "route", p.route)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	fields, masked := e.shown()
	b = appendFields(b, "fields", fields)
	if masked != 0 {
		b = appendFields(b, "masked", masked)
	}
	if e.others > 0 {
		b = append(b, `,"others":`...)
		b = strconv.AppendInt(b, int64(e.others), 10)
	}
	b = appendMember(b, "principal", e.principal)
	b = appendCredential(b, e)
	b = appendMember(b, "ip", ipText(e))
	b = appendMember(b, "country", e.from.country)
	b = append(b, `,"asn":`...)
	b = strconv.AppendInt(b, int64(e.from.asn), 10)
	return appendMember(b, "agent", e.agent)
}

// shown gives what the answer showed: what the page shows, if it answered 200.
func (e *event) shown() (fields, masked fieldSet) {
	if e.status != 200 {
		return 0, 0
	}
	return pages[e.page].fields, pages[e.page].masked
}

func appendText(b []byte, before, text string) []byte {
	b = append(b, before...)
	return append(b, text...)
}

func appendMember(b []byte, member, value string) []byte {
	if value == "" {
		return b
	}
	b = appendText(b, `,"`, member)
	b = appendText(b, `":"`, value)
	return append(b, '"')
}

func appendList(b []byte, member string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = appendText(b, `,"`, member)
	b = append(b, `":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, `"`, v)
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendFields(b []byte, member string, set fieldSet) []byte {
	b = appendText(b, `,"`, member)
	b = append(b, `":[`...)
	first := true
	for i, n := range fieldNames {
		if set>>i&1 == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendText(b, `"`, n)
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendSubjects(b []byte, subjects []uint32) []byte {
	switch len(subjects) {
	case 0:
		return b
	case 1:
		b = append(b, `,"subject":"`...)
		b = strconv.AppendUint(b, uint64(subjects[0]), 10)
		return append(b, '"')
	}
	for i, s := range subjects {
		b = append(b, [2]string{`,"subjects":["`, `","`}[min(i, 1)]...)
		b = strconv.AppendUint(b, uint64(s), 10)
	}
	return append(b, `"]`...)
}

func appendCredential(b []byte, e *event) []byte {
	if e.credential != 0 {
		b = append(b, `,"credential":"jti-`...)
		b = appendHex(b, e.credential)
		b = append(b, '"')
	}
	b = appendMember(b, "key", e.key)
	return appendMember(b, "client", e.client)
}

// appendHex writes the low 48 bits: 12 digits.
func appendHex(b []byte, v uint64) []byte {
	for shift := 44; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

func appendInstant(b []byte, member string, t int64) []byte {
	if t == 0 {
		return b
	}
	b = appendText(b, `,"`, member)
	b = append(b, `":"`...)
	b = appendTime(b, t)
	return append(b, '"')
}

func ipText(e *event) string {
	if !e.from.ip.IsValid() {
		return ""
	}
	return e.from.ip.String()
}

// appendTime writes milliseconds since 1970 as 2006-01-02T15:04:05.000Z.
func appendTime(b []byte, t int64) []byte {
	y, m, d := civil(t / dayMillis)
	in := t % dayMillis
	b = append(appendPadded(b, y, 4), '-')
	b = append(appendPadded(b, m, 2), '-')
	b = append(appendPadded(b, d, 2), 'T')
	b = append(appendClock(b, in), '.')
	return append(appendPadded(b, in%1000, 3), 'Z')
}

// appendClock writes 15:04:05.
func appendClock(b []byte, in int64) []byte {
	b = append(appendPadded(b, in/hour, 2), ':')
	b = append(appendPadded(b, in/minute%60, 2), ':')
	return appendPadded(b, in/second%60, 2)
}

func appendPadded(b []byte, v int64, width int) []byte {
	var digits [20]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	return append(b, digits[:width]...)
}

// civil gives the date of a day since 1970 in the Gregorian calendar (Hinnant's days algorithm).
func civil(days int64) (y, m, d int64) {
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	if m > 12 {
		m -= 12
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// appendCombined writes an access as nginx and Apache do: nine hours ahead of UTC, whole seconds, nobody's name.
func appendCombined(b []byte, seed uint64, e *event) []byte {
	b = append(b, e.from.ip.String()...)
	local := e.time + 9*hour
	y, m, d := civil(local / dayMillis)
	b = append(b, " - - ["...)
	b = append(appendPadded(b, d, 2), '/')
	b = appendText(b, monthNames[3*m-3:3*m], "/")
	b = append(appendPadded(b, y, 4), ':')
	b = append(appendClock(b, local%dayMillis), ` +0900] "`...)
	p := &pages[e.page]
	for i, c := range p.route {
		if c == ' ' {
			b = append(b, p.route[:i+1]...)
			break
		}
	}
	for _, c := range []byte(p.path) {
		if c == '*' {
			b = strconv.AppendUint(b, uint64(e.number), 10)
			continue
		}
		b = append(b, c)
	}
	b = append(b, ` HTTP/1.1" `...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	size := 153
	if e.status == 200 {
		draws := newDraw(seed, forSize, int(e.subject()+e.number), int(e.page))
		size = p.size + draws.Below(p.size/4) + 90*e.others
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, ` "-" "`...)
	b = append(b, e.agent...)
	return append(b, "\"\n"...)
}
