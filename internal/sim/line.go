package sim

import "strconv"

// Parts of lines that do not change are made once.
var (
	routeParts  = parts(len(pages), func(b []byte, i int) []byte { return appendMember(b, "route", pages[i].route) })
	shownParts  = parts(len(pages), func(b []byte, i int) []byte { return appendShown(b, page(i)) })
	keyParts    = parts(len(keyNames), func(b []byte, i int) []byte { return appendMember(b, "key", keyNames[i]) })
	clientParts = parts(len(clientNames), func(b []byte, i int) []byte { return appendMember(b, "client", clientNames[i]) })
	agentParts  = parts(len(agentNames), func(b []byte, i int) []byte { return appendMember(b, "agent", agentNames[i]) })
	netParts    = parts(len(networks), appendNetwork)
)

func parts(n int, part func(b []byte, i int) []byte) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = part(nil, i)
	}
	return all
}

// appendRecord writes the record line, without a newline, as whosaw itself would write it. It is written out here, and not
// left to an encoder, so that its bytes stay. No string in it needs escaping: all come from the tables.
func appendRecord(b []byte, e *event, subjects []uint32) []byte {
	if e.kind == kindAccess {
		b = append(b, `{"id":"r`...)
	} else {
		b = appendText(b, `{"type":"`, kindNames[e.kind])
		b = append(b, `","id":"r`...)
	}
	b = strconv.AppendUint(b, e.id, 10)
	b = append(b, `","time":"`...)
	b = appendTime(b, e.time)
	b = append(b, '"')
	switch e.kind {
	case kindAccess:
		b = appendAccess(b, e, subjects)
	case kindIssuance:
		b = appendSubjects(b, subjects)
		b = appendPrincipal(b, e)
		b = appendCredential(b, e)
		b = appendAddress(b, e)
	case kindSubject:
		b = appendSubjects(b, subjects)
		b = appendMember(b, "state", stateNames[e.state])
		if e.into != 0 {
			b = append(b, `,"into":"`...)
			b = strconv.AppendUint(b, uint64(e.into), 10)
			b = append(b, '"')
		}
		b = appendInstant(b, "since", e.since)
		b = appendInstant(b, "last_login", e.till)
	case kindPerson:
		b = appendMember(b, "state", stateNames[e.state])
		b = appendMember(b, "person", builder)
		b = appendInstant(b, "since", e.since)
		b = appendText(b, `,"keys":["`, keyNames[e.key])
		b = append(b, `"]`...)
	case kindKey:
		b = appendMember(b, "state", stateNames[e.state])
		b = append(b, keyParts[e.key]...)
		b = appendInstant(b, "since", e.since)
		if e.key == keyBackup {
			b = append(b, `,"readers":["`+builder+`"]`...)
		}
		b = appendMember(b, "use", keyUses[e.key])
	case kindReason:
		b = appendSubjects(b, subjects)
		b = appendMember(b, "kind", stateNames[e.state])
		b = appendPrincipal(b, e)
		b = appendInstant(b, "from", e.since)
		b = appendInstant(b, "until", e.till)
	case kindChange:
		b = appendMember(b, "kind", stateNames[e.state])
		b = appendInstant(b, "from", e.since)
		b = appendInstant(b, "until", e.till)
	case kindFeed:
		b = append(b, `,"of":"issuance"`...)
		b = append(b, keyParts[e.key]...)
		b = appendInstant(b, "from", e.since)
		b = append(b, `,"lag":`...)
		b = strconv.AppendUint(b, uint64(e.who), 10)
		b = append(b, `,"lost":`...)
		b = appendShare(b, int64(e.into))
	}
	return append(b, '}')
}

func appendAccess(b []byte, e *event, subjects []uint32) []byte {
	b = appendSubjects(b, subjects)
	if e.others > 0 {
		b = append(b, `,"others":`...)
		b = strconv.AppendUint(b, uint64(e.others), 10)
	}
	b = append(b, routeParts[e.page]...)
	if e.status == 200 {
		b = append(b, shownParts[e.page]...)
	} else {
		b = append(b, `,"fields":[]`...)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendUint(b, uint64(e.status), 10)
	b = appendPrincipal(b, e)
	b = appendCredential(b, e)
	b = appendAddress(b, e)
	b = append(b, netParts[e.from.net]...)
	return append(b, agentParts[e.agent]...)
}

func appendShown(b []byte, p page) []byte {
	b = appendFields(b, "fields", pages[p].fields)
	if pages[p].masked != 0 {
		b = appendFields(b, "masked", pages[p].masked)
	}
	return b
}

func appendNetwork(b []byte, i int) []byte {
	if network(i) == netNone {
		return b
	}
	b = appendMember(b, "country", networks[i].country)
	b = append(b, `,"asn":`...)
	return strconv.AppendInt(b, int64(networks[i].asn), 10)
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

func appendPrincipal(b []byte, e *event) []byte {
	if e.role == roleNone {
		return b
	}
	r := &roleNames[e.role]
	b = appendText(b, `,"principal":"`, r.name)
	if r.numbered {
		b = strconv.AppendUint(b, uint64(e.who), 10)
	}
	return append(b, '"')
}

func appendCredential(b []byte, e *event) []byte {
	if e.credential != 0 {
		b = append(b, `,"credential":"jti-`...)
		b = appendHex(b, e.credential)
		b = append(b, '"')
	}
	b = append(b, keyParts[e.key]...)
	return append(b, clientParts[e.client]...)
}

func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

func appendAddress(b []byte, e *event) []byte {
	if e.from.net == netNone {
		return b
	}
	b = append(b, `,"ip":"`...)
	if e.from.hi != 0 {
		return append(e.from.addr().AppendTo(b), '"')
	}
	for shift := 24; shift >= 0; shift -= 8 {
		b = strconv.AppendUint(b, e.from.lo>>shift&255, 10)
		if shift > 0 {
			b = append(b, '.')
		}
	}
	return append(b, '"')
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

// appendShare writes so many in 100,000 as the share that whosaw's own encoder would write.
func appendShare(b []byte, per100000 int64) []byte {
	b = append(b, "0."...)
	var digits [5]byte
	d := appendPadded(digits[:0], per100000, 5)
	for len(d) > 1 && d[len(d)-1] == '0' {
		d = d[:len(d)-1]
	}
	return append(b, d...)
}

// appendTime writes milliseconds since 1970 as 2006-01-02T15:04:05.000Z.
func appendTime(b []byte, t int64) []byte {
	y, m, d := civil(t / dayMillis)
	in := t % dayMillis
	b = append(appendPadded(b, y, 4), '-')
	b = append(appendPadded(b, m, 2), '-')
	b = append(appendPadded(b, d, 2), 'T')
	b = append(appendPadded(b, in/hour, 2), ':')
	b = append(appendPadded(b, in/minute%60, 2), ':')
	b = append(appendPadded(b, in/second%60, 2), '.')
	return append(appendPadded(b, in%1000, 3), 'Z')
}

func appendPadded(b []byte, v int64, width int) []byte {
	for range width {
		b = append(b, '0')
	}
	for i := len(b) - 1; v > 0; i-- {
		b[i] += byte(v % 10)
		v /= 10
	}
	return b
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
