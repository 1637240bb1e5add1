package whosaw

import (
	"bytes"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decoder decodes record lines. The zero value is ready; it must not be copied after its first use,
// nor used by several goroutines at once.
//
// A record shares no memory with its line, which may be overwritten at once. But the strings of
// neighbouring records lie in common blocks of some ten kilobytes: whoever keeps a few of many
// records keeps them as [Record.Clone].
type Decoder struct {
	// Unknown counts the members that were left out of accepted records, because the contract does not
	// know them or the record's type does not use them.
	Unknown int64

	scan    scanner
	vals    [memberCount]raw
	present members                 // given and not null
	next    [memberCount + 1]member // what followed each member in the line before
	text    string                  // the line, as records keep it
	texts   strings.Builder         // the block that lines are copied to
	lists   []string                // the block that lists of strings are cut from
	names   map[string][]string     // sets of names by their JSON; shared by records
	known   [2][]string             // of fields and masked, where the line's JSON is a key of names
	scratch []byte
	strange int // members of this line that the contract does not know
}

const (
	textBlock = 64 << 10
	listBlock = 1 << 10
	namesMax  = 4096 // entries of Decoder.names
	namesLen  = 512  // the longest JSON that is an entry
)

// Decode resets r, its source and position too, and fills it from one line of JSON. now is the
// reader's clock in milliseconds since 1970. An error is a *[RecordError] and leaves r of no use.
func (d *Decoder) Decode(line []byte, now int64, r *Record) error {
	*r = Record{}
	if len(line) > MaxLine {
		return fault("", "the line is longer than 1 MiB", "split the record, or leave out what is not in the contract")
	}
	err := d.walk(line)
	if err == faultEncoding {
		if line, err = d.mend(line); err == nil {
			err = d.walk(line)
		}
	}
	if err != nil {
		return err
	}
	d.text = d.keep(line)
	if d.present.has(mType) {
		if err := d.fillType(r); err != nil {
			return err
		}
	}
	if r.Type != TypeAccess {
		r.Ref = new(Reference)
	}
	use := d.present & typeMembers[r.Type]
	if use.has(mSubject) && use.has(mSubjects) {
		return fault("subjects", "given beside subject", "give one of the two")
	}
	for rest := use &^ setOf(mType); rest != 0; {
		if err := d.fill(rest.take(), now, r); err != nil {
			return err
		}
	}
	r.defaultTime()
	if err := r.check(now, true); err != nil {
		return err
	}
	d.Unknown += int64(d.strange + bits.OnesCount64(uint64(d.present&^use)))
	return nil
}

var faultEncoding error = fault("", "the line is not valid UTF-8", "write records as UTF-8, with bytes of other encodings replaced")

// mend gives a copy of the line in which each byte of agent and path that is not UTF-8 is written as \xHH. The visitor
// chooses these two, and proxies write them down as they came: nobody may get an access rejected by what they send.
func (d *Decoder) mend(line []byte) ([]byte, error) {
	values := []raw{d.vals[mAgent], d.vals[mPath]}
	if !d.present.has(mAgent) {
		values[0] = raw{}
	}
	if !d.present.has(mPath) {
		values[1] = raw{}
	}
	if values[0].start > values[1].start {
		values[0], values[1] = values[1], values[0]
	}
	mended := make([]byte, 0, len(line)+64)
	from := 0
	for _, v := range values {
		mended = append(mended, line[from:max(from, int(v.start))]...)
		for i := int(v.start); i < int(v.end); {
			c, n := utf8.DecodeRune(line[i:v.end])
			if c == utf8.RuneError && n == 1 {
				const hex = "0123456789ABCDEF"
				mended = append(mended, '\\', '\\', 'x', hex[line[i]>>4], hex[line[i]&15])
			} else {
				mended = append(mended, line[i:i+n]...)
			}
			i += n
		}
		from = max(from, int(v.end))
	}
	mended = append(mended, line[from:]...)
	if !utf8.Valid(mended) || len(mended) > MaxLine {
		return nil, faultEncoding
	}
	return mended, nil
}

// walk finds the members' values and judges the line's syntax as a whole.
func (d *Decoder) walk(line []byte) error {
	d.present, d.strange, d.known = 0, 0, [2][]string{}
	d.scan = scanner{line: line}
	s := &d.scan
	if bytes.HasPrefix(line, []byte("\ufeff")) {
		s.pos = 3
	}
	s.space()
	if s.pos == len(line) {
		return fault("", "the line is blank", "give one JSON object a line")
	}
	if !s.at('{') {
		return fault("", "the line is not a JSON object", "give one JSON object a line, or name the format with --format")
	}
	twice, ok := d.object(s)
	if ok {
		if s.space(); s.pos < len(line) {
			ok = s.fail("has more behind the object")
		}
	}
	if !ok {
		hint := "write records with a JSON encoder, one object a line"
		if s.pos >= len(line) {
			hint = "the line may have been cut off; " + hint
		}
		return fault("", "the line is not JSON: at byte "+strconv.Itoa(s.pos)+" it "+s.problem, hint)
	}
	if s.nonASCII && !utf8.Valid(line) {
		return faultEncoding
	}
	if twice != memberCount {
		return fault(twice.String(), "given twice", "give it once")
	}
	return nil
}

// object walks the members behind the opening brace, and gives the first that the contract knows and
// that stands there twice, memberCount if none does.
func (d *Decoder) object(s *scanner) (twice member, ok bool) {
	twice = memberCount
	s.space()
	if s.at('}') {
		return twice, true
	}
	var given, present members
	last := memberCount
	b := s.line
	for {
		m, ok := d.name(s, last)
		if !ok {
			return twice, false
		}
		if s.pos < len(b) && b[s.pos] == ' ' { // some encoders write one
			s.pos++
		}
		v := plainValue(b, s.pos)
		if m == mFields || m == mMasked {
			v = d.knownNames(m, s.pos)
		}
		if v.end != 0 {
			s.pos = int(v.end)
			if v.kind == kindString {
				v.end-- // the quote
			}
		} else {
			s.space()
			if v, ok = s.value(0); !ok {
				return twice, false
			}
		}
		if m == memberCount {
			d.strange++
		} else {
			if given.has(m) && twice == memberCount {
				twice = m
			}
			given |= 1 << m
			if v.kind != kindNull {
				present |= 1 << m
			}
			d.vals[m] = v
			last = m
		}
		if i := s.pos; i+1 < len(b) && b[i] == ',' && b[i+1] == '"' {
			s.pos++
			continue
		}
		s.space()
		if s.at('}') {
			d.present = present
			return twice, true
		}
		if !s.at(',') {
			return twice, s.fail("lacks a comma or a closing brace")
		}
		s.space()
	}
}

// plainValue reads the values that nearly all members have: a string of ASCII without escapes, or a short
// integer without sign. Of any other the end is 0, and scanner.value judges it.
func plainValue(b []byte, i int) (v raw) {
	if i >= len(b) {
		return v
	}
	if b[i] == '"' {
		if end := cleanEnd(b, i+1); end > 0 {
			v = raw{start: int32(i) + 1, end: int32(end), kind: kindString}
		}
		return v
	}
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i > start && i < len(b) && (b[i] == ',' || b[i] == '}') && (b[start] != '0' || i == start+1) {
		v = raw{start: int32(start), end: int32(i), kind: kindInteger}
	}
	return v
}

// knownNames reads a list of names that an earlier line had too, letter for letter: its syntax was judged
// then. Of any other list the end is 0.
func (d *Decoder) knownNames(m member, pos int) (v raw) {
	b := d.scan.line
	end := bytes.IndexByte(b[pos:min(pos+namesLen, len(b))], ']')
	if end < 0 {
		return v
	}
	end += pos + 1
	names, ok := d.names[string(b[pos:end])]
	if !ok {
		return v
	}
	d.known[m-mFields] = names
	return raw{start: int32(pos), end: int32(end), kind: kindArray}
}

// name walks a name and its colon, and gives its member, memberCount for an unknown one. Lines of one
// log resemble each other: what followed the last member in the line before is tried first.
func (d *Decoder) name(s *scanner, last member) (member, bool) {
	guess := d.next[last]
	head := memberHeads[guess]
	if end := s.pos + len(head); end <= len(s.line) && string(s.line[s.pos:end]) == head {
		s.pos = end
		return guess, true
	}
	if !s.at('"') {
		return 0, s.fail("lacks a member's name in quotes")
	}
	v, ok := s.str()
	if !ok {
		return 0, false
	}
	name := s.line[v.start:v.end]
	if v.kind == kindEscaped {
		d.scratch = appendUnescaped(d.scratch[:0], name)
		name = d.scratch
	}
	m, known := memberByName[string(name)]
	if known {
		d.next[last] = m
	} else {
		m = memberCount
	}
	s.space()
	if !s.at(':') {
		return 0, s.fail("lacks a colon behind a member's name")
	}
	return m, true
}

// str gives the text of a string, or any other value as it is written. It may stay in a record.
func (d *Decoder) str(v raw) string {
	if v.kind != kindEscaped {
		return d.text[v.start:v.end]
	}
	d.scratch = appendUnescaped(d.scratch[:0], d.scan.line[v.start:v.end])
	return d.keep(d.scratch)
}

// keep copies b to where it may stay.
func (d *Decoder) keep(b []byte) string {
	if len(b) > textBlock/8 {
		return string(b)
	}
	if d.texts.Cap()-d.texts.Len() < len(b) {
		d.texts = strings.Builder{}
		d.texts.Grow(textBlock)
	}
	start := d.texts.Len()
	d.texts.Write(b)
	return d.texts.String()[start:]
}

func (d *Decoder) fillType(r *Record) error {
	v := d.vals[mType]
	if v.kind > kindEscaped {
		return mistyped(mType, v)
	}
	typ, ok := ParseType(d.str(v))
	if !ok {
		return fault("type", "not known", "it is one of "+list(typeNames[:]))
	}
	r.Type = typ
	return nil
}

// mistyped says that a value is of the wrong kind.
func mistyped(m member, v raw) error {
	want, hint := "a string", "put it in quotes"
	switch {
	case m == mSubject || m == mInto:
		want, hint = "a string or an integer", "give several as subjects"
		if m == mInto {
			hint = "give the one that it was merged into"
		}
		if v.kind == kindNumber {
			hint = "put ids with a fraction or exponent in quotes"
		}
	case m == mTime || timeMembers.has(m):
		want, hint = "a time", "give milliseconds or RFC 3339"
	case m == mLag || m == mLost:
		want, hint = "a number", "leave the quotes out"
	case m == mASN:
		want, hint = "a number", `give it as 4766 or "AS4766"`
	case listMembers.has(m):
		want, hint = "a list", "put it in brackets, a single one too"
	case !textMembers.has(m) && m != mIP && m != mType && m != mOutcome:
		want, hint = "an integer", "leave the quotes out"
		if v.kind == kindNumber {
			hint = "leave fraction and exponent out"
		}
	case v.kind > kindNumber:
		hint = "give a plain value"
	}
	is := kindSays[v.kind]
	if v.kind <= kindEscaped && v.start == v.end && (want == "an integer" || want == "a number" || want == "a list") {
		is, hint = "an empty string", "leave it out where it is not known"
		if m == mFields || m == mMasked {
			hint = "give [] where nothing was shown, or leave it out where the catalog is to say"
		}
	}
	return fault(m.String(), "is "+is+", not "+want, hint)
}

// fill sets one member.
func (d *Decoder) fill(m member, now int64, r *Record) error {
	v := d.vals[m]
	switch m {
	case mTime:
		return d.fillTime(v, now, r)
	case mSubject:
		return d.fillSubject(v, r)
	case mFields, mMasked:
		return d.fillNames(m, v, r)
	case mIP:
		return d.fillIP(v, r)
	case mSubjects, mContacts, mKeys, mPrincipals, mReaders:
		return d.fillList(m, v, r)
	case mSince, mFrom, mUntil, mExpires, mLastLogin:
		return d.fillInstant(m, v, r)
	case mOthers, mStatus, mASN, mBytes, mCount:
		return d.fillNumber(m, v, r)
	case mLag, mLost:
		return d.fillShare(m, v, r)
	case mInto:
		into, err := d.subject(m, v)
		r.Ref.Into = into
		return err
	}
	if v.kind > kindEscaped {
		return mistyped(m, v)
	}
	text := d.str(v)
	switch m {
	case mOutcome:
		outcome, ok := ParseOutcome(text)
		if !ok {
			return fault("outcome", "not known", "it is one of "+list(outcomeNames[1:]))
		}
		r.Outcome = outcome
	case mCredential:
		r.Credential = HashCredential(text)
	case mCountry:
		r.Country = upperCountry(text)
	default:
		*r.text(m) = text
	}
	return nil
}

// fillShare sets lag or lost.
func (d *Decoder) fillShare(m member, v raw, r *Record) error {
	if v.kind != kindInteger && v.kind != kindNumber {
		return mistyped(m, v)
	}
	f, err := strconv.ParseFloat(d.str(v), 64)
	if err != nil {
		f = math.Inf(1) // beyond what a float holds; check refuses it
	}
	if m == mLag {
		r.Ref.Lag = f + 0 // -0 is 0
		return nil
	}
	r.Ref.Lost, r.Ref.HasLost = f+0, true
	return nil
}

// fillNumber sets a member that is an integer.
func (d *Decoder) fillNumber(m member, v raw, r *Record) error {
	if m == mASN && v.kind <= kindEscaped {
		asn, err := ParseASN(d.str(v))
		if err != nil && v.start != v.end {
			return fault("asn", "not an AS number", `give it as 4766 or "AS4766"`)
		}
		r.ASN = asn
		return nil
	}
	if v.kind != kindInteger {
		return mistyped(m, v)
	}
	n, ok := parseInt(d.str(v))
	if !ok {
		n = math.MaxInt64 // out of every member's range
		if d.text[v.start] == '-' {
			n = -1
		}
	}
	switch m {
	case mOthers:
		r.Others = n
	case mBytes:
		r.Bytes = n
	case mCount:
		r.Ref.Count = n
	case mStatus:
		r.Status = int(n)
	case mASN:
		if n < 0 || n > math.MaxUint32 {
			return fault("asn", "not an AS number", `give it as 4766 or "AS4766"`)
		}
		r.ASN = uint32(n)
	default:
		panic("BUG: no number member " + m.String())
	}
	return nil
}

func (d *Decoder) fillTime(v raw, now int64, r *Record) error {
	switch b := d.str(v); v.kind {
	case kindString, kindEscaped:
		if len(b) == 0 {
			return nil
		}
		ms, ok := parseRFC3339(b)
		if !ok {
			return fault("time", "not RFC 3339", hintTime(b))
		}
		r.Time = ms
	case kindInteger:
		ms, ok := parseInt(b)
		if !ok {
			ms = math.MaxInt64
		}
		r.Time = ms
	case kindNumber:
		return fault("time", "has a fraction or exponent", "give integer milliseconds or RFC 3339; seconds with a fraction are to be multiplied by 1000")
	default:
		return mistyped(mTime, v)
	}
	return CheckTime(r.Time, now) // here, so that an explicit 0 is not taken for a missing time
}

// fillInstant sets a time beside the event time. The epoch itself stands for "not known".
func (d *Decoder) fillInstant(m member, v raw, r *Record) error {
	b := d.str(v)
	var ms int64
	var ok bool
	switch v.kind {
	case kindString, kindEscaped:
		if len(b) == 0 {
			return nil
		}
		if ms, ok = parseRFC3339(b); !ok {
			return fault(m.String(), "not RFC 3339", hintTime(b))
		}
	case kindInteger:
		if ms, ok = parseInt(b); !ok {
			ms = math.MaxInt64
		}
	default:
		return mistyped(m, v)
	}
	*r.instant(m) = ms
	return nil
}

// hintTime says what to do about a string that is no RFC 3339.
func hintTime(b string) string {
	if _, ok := parseInt(b); ok {
		return "milliseconds are given as a number, without quotes"
	}
	if _, ok := parseDay(b); ok {
		if len(b) == 10 {
			return "give the time of day too, as in 2006-01-02T15:04:05Z"
		}
		if len(b) >= 19 {
			return "give the offset too: 2006-01-02T15:04:05Z or 2006-01-02T15:04:05+09:00"
		}
	}
	return "give it as 2006-01-02T15:04:05Z, or as integer milliseconds"
}

func (d *Decoder) fillIP(v raw, r *Record) error {
	if v.kind > kindEscaped {
		return mistyped(mIP, v)
	}
	b := d.str(v)
	if ip, ok := parseIP4(b); ok {
		r.IP = ip
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	ip, err := ParseIP(b)
	if err != nil {
		return fault("ip", err.Error(), hintIP(b))
	}
	r.IP = ip
	return nil
}

func (d *Decoder) fillSubject(v raw, r *Record) error {
	id, err := d.subject(mSubject, v)
	if err != nil {
		return err
	}
	if id == "" {
		return nil // a proxy's log format cannot leave a member out, so its empty value is missing
	}
	d.open(1)
	d.lists = append(d.lists, id)
	r.Subjects = d.cut(1)
	return nil
}

// subject gives the id of a string or an integer.
func (d *Decoder) subject(m member, v raw) (string, error) {
	b := d.str(v)
	switch v.kind {
	case kindString, kindEscaped:
	case kindInteger:
		if len(b) == 2 && b[0] == '-' && b[1] == '0' {
			return "", fault(m.String(), "-0 is no id", "put it in quotes if it is one")
		}
	default:
		return "", mistyped(m, v)
	}
	return b, nil
}

// open makes room for n strings behind d.lists, and cut takes the last n as a list that cannot grow into
// its neighbour.
func (d *Decoder) open(n int) {
	if cap(d.lists)-len(d.lists) < n {
		d.lists = make([]string, 0, max(listBlock, n))
	}
}

func (d *Decoder) cut(n int) []string {
	end := len(d.lists)
	return d.lists[end-n : end : end]
}

// fillList sets a list of ids.
func (d *Decoder) fillList(m member, v raw, r *Record) error {
	ids, err := d.items(m, v)
	if err != nil {
		return err
	}
	*r.list(m) = distinct(ids)
	return nil
}

// items reads a list of strings; where the ids are subjects' also integers. Its syntax is known to be right.
func (d *Decoder) items(m member, v raw) ([]string, error) {
	if v.kind != kindArray {
		return nil, mistyped(m, v)
	}
	integers := m == mSubjects || m == mContacts
	n := bytes.Count(d.scan.line[v.start:v.end], []byte{','}) + 1 // at least as many as there are
	d.open(min(n, MaxList+1))
	count := 0
	s := scanner{line: d.scan.line, pos: int(v.start) + 1}
	for s.space(); !s.at(']'); s.space() {
		s.at(',')
		s.space()
		item, _ := s.value(0)
		if item.kind > kindEscaped && (!integers || item.kind != kindInteger) {
			want := "strings"
			if integers {
				want = "strings and integers"
			}
			return nil, fault(m.String(), "holds "+kindSays[item.kind]+" among its "+want, "put ids in quotes, leave out what is not known")
		}
		if count++; count > MaxList {
			return nil, fault(m.String(), "has more than "+strconv.Itoa(MaxList)+" entries", "split the record")
		}
		text, err := "", error(nil)
		if integers {
			text, err = d.subject(m, item)
		} else {
			text = d.str(item)
		}
		if err != nil {
			return nil, err
		}
		d.lists = append(d.lists, text)
	}
	if count == 0 {
		return nil, nil
	}
	return d.cut(count), nil
}

// fillNames sets fields or masked. A service has few sets of them: each is read and checked once.
func (d *Decoder) fillNames(m member, v raw, r *Record) error {
	if names := d.known[m-mFields]; names != nil {
		*r.list(m) = names
		return nil
	}
	names, err := d.items(m, v)
	if err != nil {
		return err
	}
	if names = sortNames(names); names == nil {
		names = []string{}
	}
	if err := checkNames(m, names); err != nil {
		return err
	}
	*r.list(m) = names
	if key := d.text[v.start:v.end]; len(key) <= namesLen {
		if d.names == nil || len(d.names) >= namesMax {
			d.names = make(map[string][]string)
		}
		kept := make([]string, len(names)) // apart from the blocks, which they would hold fast
		for i, name := range names {
			kept[i] = strings.Clone(name)
		}
		d.names[strings.Clone(key)] = kept
	}
	return nil
}
