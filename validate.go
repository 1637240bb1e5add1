package whosaw

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a record's members, beside MaxSubject and MaxLine.
const (
	MaxList   = 100_000       // entries of subjects, contacts, keys, principals and readers
	MaxNames  = 1_000         // entries of fields and of masked
	MaxName   = 64            // bytes of a field's name
	MaxOthers = 1_000_000_000 // so that sums of it stay within 64 bits
	MaxNumber = 1 << 53       // of bytes and count: the integers that every JSON reader holds exactly
	maxLag    = 1_000_000_000 // seconds
)

// Validate brings a record that a reader built into the form that Decode gives (see
// [Record.Normalize]) and reports its first fault, by the same rules as Decode. now is the
// reader's clock in milliseconds since 1970.
func (r *Record) Validate(now int64) error {
	r.Normalize()
	return r.check(now, false)
}

// Normalize brings the record into the form that Decode gives: members that its type does not use
// are cleared, sets sorted, repeated ids left out, the credential hashed where it could be
// presented ([HashCredential]), the country in upper case, the address unmapped, a missing time of
// a reference record taken from since or from. Slices are replaced, never written.
func (r *Record) Normalize() {
	if int(r.Type) >= len(typeMembers) {
		return // check refuses it
	}
	switch {
	case r.Type == TypeAccess:
		r.Ref = nil
	case r.Ref == nil:
		r.Ref = new(Reference)
	default:
		ref := *r.Ref // the caller may share it between records
		r.Ref = &ref
	}
	r.clear(^typeMembers[r.Type])
	r.Credential = HashCredential(r.Credential)
	r.Country = upperCountry(r.Country)
	r.IP = r.IP.Unmap()
	r.Fields, r.Masked = sortNames(r.Fields), sortNames(r.Masked)
	r.Subjects = distinct(r.Subjects)
	if len(r.Subjects) == 0 {
		r.Subjects = nil
	}
	if ref := r.Ref; ref != nil {
		for _, m := range []member{mContacts, mKeys, mPrincipals, mReaders} {
			l := r.list(m)
			if *l = distinct(*l); len(*l) == 0 {
				*l = nil
			}
		}
		ref.HasLost = ref.HasLost || ref.Lost != 0
		ref.Lag, ref.Lost = ref.Lag+0, ref.Lost+0 // -0 is 0
	}
	r.defaultTime()
}

// clear zeroes members.
func (r *Record) clear(which members) {
	which &= accessOnly | ownMembers
	if r.Ref == nil {
		which &^= ownMembers
	}
	if which.has(mSubject) {
		r.Subjects = nil
	}
	for which != 0 {
		switch m := which.take(); {
		case textMembers.has(m):
			*r.text(m) = ""
		case timeMembers.has(m):
			*r.instant(m) = 0
		case m != mSubjects && listMembers.has(m):
			*r.list(m) = nil
		case m == mOthers:
			r.Others = 0
		case m == mStatus:
			r.Status = 0
		case m == mOutcome:
			r.Outcome = OutcomeUnstated
		case m == mIP:
			r.IP = netip.Addr{}
		case m == mASN:
			r.ASN = 0
		case m == mBytes:
			r.Bytes = 0
		case m == mLag:
			r.Ref.Lag = 0
		case m == mLost:
			r.Ref.Lost, r.Ref.HasLost = 0, false
		case m == mCount:
			r.Ref.Count = 0
		}
	}
}

// defaultTime gives a reference record without time that of since, else of from.
func (r *Record) defaultTime() {
	if r.Time == 0 && r.Ref != nil {
		r.Time = r.Ref.Since
		if r.Time == 0 {
			r.Time = r.Ref.From
		}
	}
}

// check reports the record's first fault. What the decoder has judged already is left out if decoded.
func (r *Record) check(now int64, decoded bool) error {
	if int(r.Type) >= len(typeMembers) {
		return fault("type", "not known", "it is one of "+list(typeNames[:]))
	}
	if !decoded {
		if err := r.checkText(); err != nil {
			return err
		}
		for _, m := range []member{mFields, mMasked} {
			if err := checkNames(m, *r.list(m)); err != nil {
				return err
			}
		}
	}
	if err := r.checkTime(now); err != nil {
		return err
	}
	if err := checkIDs(mSubject, r.Subjects, MaxSubject); err != nil {
		return err
	}
	switch {
	case r.Others < 0 || r.Others > MaxOthers:
		return fault("others", "is not between 0 and 1,000,000,000", "give the number of entries shown, or leave it out")
	case r.Bytes < 0 || r.Bytes > MaxNumber:
		return fault("bytes", "is not between 0 and 2^53", "give the size of the answer, or leave it out")
	case r.Status != 0 && (r.Status < 100 || r.Status > 999):
		return fault("status", "is no HTTP status", "give 100 to 999, or leave it out")
	case int(r.Outcome) >= len(outcomeNames):
		return fault("outcome", "not known", "it is one of "+list(outcomeNames[1:]))
	case r.IP.Zone() != "":
		return fault("ip", errNotIP.Error(), "leave the zone out")
	case r.Country != "" && !isCountry(r.Country):
		return fault("country", "is no ISO 3166-1 alpha-2 code", `give two letters such as "KR", or leave it out`)
	case overlap(r.Fields, r.Masked):
		return fault("masked", "names a field that is in fields too", "a field shown in clear is not masked: leave it out of masked")
	}
	if r.Type == TypeAccess {
		return nil
	}
	return r.checkReference()
}

func (r *Record) checkTime(now int64) error {
	if r.Time == 0 {
		if r.Type == TypeAccess {
			return fault("time", "missing", "give the time of the access, in milliseconds or RFC 3339")
		}
		return fault("time", "missing, and neither since nor from stands in for it", "give one of them, in milliseconds or RFC 3339")
	}
	err := CheckTime(r.Time, now)
	if err == nil {
		return nil
	}
	var e *RecordError
	if r.Ref != nil && errors.As(err, &e) {
		if r.Time == r.Ref.Since || r.Ref.Since == 0 && r.Time == r.Ref.From {
			e.Hint += "; since and from stand in for a missing time, which is when this was said"
		}
	}
	return err
}

// checkReference judges what only reference records have.
func (r *Record) checkReference() error {
	ref := r.Ref
	for times := timeMembers; times != 0; {
		m := times.take()
		switch ms := *r.instant(m); {
		case ms == 0 || ms >= minReferenceTime && ms <= maxReferenceTime:
		case ms > 0 && ms < minReferenceTime:
			return fault(m.String(), "looks like seconds", "give milliseconds or RFC 3339")
		case ms < 0:
			return fault(m.String(), "lies before 1970", "leave it out if it is not known")
		default:
			return fault(m.String(), "looks like microseconds or nanoseconds", "give milliseconds or RFC 3339")
		}
	}
	if ref.Until != 0 && (ref.Until < ref.From || ref.Until < ref.Since) {
		return fault("until", "lies before the beginning", "leave it out if there is no end")
	}
	for _, m := range []member{mContacts, mKeys, mPrincipals, mReaders} {
		limit := math.MaxInt
		if m == mContacts {
			limit = MaxSubject
		}
		if err := checkIDs(m, *r.list(m), limit); err != nil {
			return err
		}
	}
	switch {
	case ref.Into != "" && len(ref.Into) > MaxSubject:
		return fault("into", "is longer than 256 bytes", "give the id itself; ids are never cut")
	case !(ref.Lag >= 0 && ref.Lag <= maxLag):
		return fault("lag", "is not between 0 and 1,000,000,000", "give seconds")
	case !(ref.Lost >= 0 && ref.Lost <= 1):
		return fault("lost", "is not between 0 and 1", "give a share: 0.01 is one in a hundred")
	case ref.Count < 0 || ref.Count > MaxNumber:
		return fault("count", "is not between 0 and 2^53", "leave it out if it is not known")
	}
	return r.checkType()
}

// checkType judges what the record's type asks for.
func (r *Record) checkType() error {
	ref := r.Ref
	name := r.Type.String()
	if len(r.Subjects) > 1 && r.Type <= TypeFeed {
		return fault("subjects", "has several ids", "give one "+name+" record for each")
	}
	switch r.Type {
	case TypeIssuance:
		return need(name, mCredential, r.Credential != "", "it is what the record says was issued")
	case TypeSubject:
		if err := need(name, mSubject, len(r.Subjects) == 1, "give the customer's id"); err != nil {
			return err
		}
		if err := oneOf(name, mState, ref.State, subjectStates); err != nil {
			return err
		}
		switch {
		case ref.State == "merged" && ref.Into == "":
			return fault("into", "missing on a merged subject", "give the id of the subject it was merged into")
		case ref.State != "merged" && ref.Into != "":
			return fault("into", "given on a subject that is not merged", "leave it out, or give the state merged")
		case ref.Into == r.Subjects[0]:
			return fault("into", "is the subject itself", "give the id of the subject it was merged into")
		}
	case TypePerson:
		if err := need(name, mPerson, ref.Person != "", "give the id under which the house knows them"); err != nil {
			return err
		}
		return oneOf(name, mState, ref.State, personStates)
	case TypeKey:
		if err := need(name, mKey, r.Key != "", "give the key's id (kid)"); err != nil {
			return err
		}
		if ref.Kind != "" { // something that happened to the key: it need not say in which state that is
			if err := oneOf(name, mKind, ref.Kind, keyKinds); err != nil || ref.State == "" {
				return err
			}
		}
		return oneOf(name, mState, ref.State, keyStates)
	case TypeReason:
		if len(r.Subjects) == 0 && r.Principal == "" {
			return fault("principal", "missing on a reason, and subject too", "give at least one of the two")
		}
		return oneOf(name, mKind, ref.Kind, reasonKinds)
	case TypeChange:
		if err := oneOf(name, mKind, ref.Kind, changeKinds); err != nil {
			return err
		}
		return need(name, mFrom, ref.From != 0, "give when it began or will begin, in milliseconds or RFC 3339")
	case TypeFeed:
		return oneOf(name, mOf, ref.Of, feedsOf)
	case TypeVerdict, TypeDecision, TypeAct:
		return need(name, mKind, ref.Kind != "", "say what was judged or done")
	}
	return nil
}

// need says that a member is missing, and why it is asked for.
func need(typeName string, m member, given bool, hint string) error {
	if given {
		return nil
	}
	return fault(m.String(), "missing on "+article(typeName), hint)
}

// oneOf checks a word of the contract that must be there.
func oneOf(typeName string, m member, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	if word == "" {
		return fault(m.String(), "missing on "+article(typeName), "it is one of "+list(words))
	}
	return fault(m.String(), "not known on "+article(typeName), "it is one of "+list(words))
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// checkText refuses text that is not UTF-8.
func (r *Record) checkText() error {
	texts, lists := textMembers, listMembers
	if r.Ref == nil {
		texts, lists = texts&^ownMembers, lists&^ownMembers
	}
	for texts != 0 {
		if m := texts.take(); !utf8.ValidString(*r.text(m)) {
			return fault(m.String(), "is not valid UTF-8", "replace the bytes of other encodings")
		}
	}
	for lists != 0 {
		m := lists.take()
		for _, s := range *r.list(m) {
			if !utf8.ValidString(s) {
				return fault(m.String(), "is not valid UTF-8", "replace the bytes of other encodings")
			}
		}
	}
	return nil
}

// checkIDs judges a list of ids.
func checkIDs(m member, ids []string, limit int) error {
	for _, id := range ids {
		if id == "" {
			return fault(m.String(), "is an empty id", "leave it out")
		}
		if len(id) > limit {
			return fault(m.String(), "is longer than "+strconv.Itoa(limit)+" bytes", "give the id itself; ids are never cut")
		}
	}
	if len(ids) > MaxList {
		return fault(m.String(), "has more than "+strconv.Itoa(MaxList)+" entries", "split the record")
	}
	return nil
}

// checkNames judges names of fields: they stand in tables and lists, joined by bars and commas.
func checkNames(m member, names []string) error {
	for _, name := range names {
		if name == "" || len(name) > MaxName || !isName(name) {
			return fault(m.String(), "holds what is no name of a field",
				"a name has 1 to 64 bytes: letters, digits and _ . - : / [ ] $ @ *")
		}
	}
	if len(names) > MaxNames {
		return fault(m.String(), "has more than 1,000 names", "give names of kinds of data, not of single data")
	}
	return nil
}

func isName(s string) bool {
	for _, c := range s {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', strings.ContainsRune("_.-:/[]$@*", c):
		case c < utf8.RuneSelf || !unicode.In(c, unicode.L, unicode.M, unicode.N):
			return false
		}
	}
	return true
}

// sortNames gives the sorted set of names; the same slice if it is one.
func sortNames(names []string) []string {
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			names = slices.Clone(names)
			slices.Sort(names)
			return slices.Compact(names)
		}
	}
	return names
}

// overlap reports whether two sorted sets have a name in common.
func overlap(a, b []string) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// distinct leaves repeated ids out, in the order given; it gives the same slice if there are none.
func distinct(ids []string) []string {
	if len(ids) < 2 {
		return ids
	}
	if len(ids) <= 16 {
		for i, id := range ids {
			if slices.Contains(ids[:i], id) {
				out := slices.Clone(ids[:i])
				for _, id := range ids[i:] {
					if !slices.Contains(out, id) {
						out = append(out, id)
					}
				}
				return out
			}
		}
		return ids
	}
	seen := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		seen[id] = struct{}{}
	}
	if len(seen) == len(ids) {
		return ids
	}
	out := make([]string, 0, len(seen))
	for _, id := range ids {
		if _, ok := seen[id]; ok {
			out = append(out, id)
			delete(seen, id)
		}
	}
	return out
}

// upperCountry gives two letters in upper case; what has another length is left for check to refuse.
func upperCountry(s string) string {
	if len(s) == 2 && (s[0] >= 'a' || s[1] >= 'a') {
		return strings.ToUpper(s)
	}
	return s
}

// isCountry takes a digit in second place too: gateways write T1 for Tor, which has no country, and
// its accesses are the last that should be lost.
func isCountry(s string) bool {
	return len(s) == 2 && s[0]-'A' <= 25 && (s[1]-'A' <= 25 || s[1]-'0' <= 9)
}

// Clone gives a copy that shares no memory with the record but its source.
func (r *Record) Clone() Record {
	c := *r
	if r.Ref != nil {
		ref := *r.Ref
		c.Ref = &ref
	}
	texts, lists := textMembers, listMembers
	if c.Ref == nil {
		texts, lists = texts&^ownMembers, lists&^ownMembers
	}
	size := 0
	for s := texts; s != 0; {
		size += len(*c.text(s.take()))
	}
	for s := lists; s != 0; {
		for _, item := range *c.list(s.take()) {
			size += len(item)
		}
	}
	var block strings.Builder
	block.Grow(size)
	keep := func(s string) string {
		start := block.Len()
		block.WriteString(s)
		return block.String()[start:]
	}
	for s := texts; s != 0; {
		p := c.text(s.take())
		*p = keep(*p)
	}
	for s := lists; s != 0; {
		p := c.list(s.take())
		if *p == nil {
			continue
		}
		items := make([]string, len(*p))
		for i, item := range *p {
			items[i] = keep(item)
		}
		*p = items
	}
	return c
}
