package ledger

import (
	"cmp"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/whosaw/whosaw"
)

// openPart holds the records of one log in memory, by columns, until they are sealed. One
// goroutine adds records; others read snapshots of it.
type openPart struct {
	first    uint64
	accesses int
	refs     []refRow

	seqs             []uint64
	times, positions []int64
	others, sizes    []int64
	asn              []uint32
	status           []uint16
	outcome          []uint8

	realm, source, route, principal, credential, key, client interned
	ip, country, agent, tls, fields, masked                  interned
	id, reason, request                                      interned
	addrs                                                    []netip.Addr // by the codes of ip
	fieldSets, maskedSets                                    [][]string   // by the codes of fields and masked

	subjectStart []uint32
	subjectIDs   []SubjectID
	subjects     interned // those that are not integers; value i+1 is SubjectStrings[i]

	spans   spans
	known   identities
	arena   arena
	lookups lookups
	holders []holder // by the codes of credential; only while rows come
	scratch []byte
}

// holder is what a credential was used with last: the codes of its principal, address, agent and country there, which it mostly tells.
// To compare a value with the one guessed takes a wait for memory less than to look it up, and no hash.
type holder [4]uint32

func (o *openPart) told() [len(holder{})]*interned {
	return [...]*interned{&o.principal, &o.ip, &o.agent, &o.country}
}

// guess sets the likely codes of rows in a column by their credentials, which must be there already. It reports false for a column of which
// nothing is foretold.
func (o *openPart) guess(c *interned, row, n int) bool {
	told := o.told()
	which := slices.Index(told[:], c)
	if which < 0 || len(o.credential.codes) == 0 || len(c.codes) == 0 {
		return false
	}
	for i, code := range o.credential.codes[row : row+n] {
		if o.lookups.likely[i] = 0; int(code) < len(o.holders) { // else it is new in this block
			o.lookups.likely[i] = o.holders[code][which]
		}
	}
	return true
}

// remember keeps what the credentials of rows were used with.
func (o *openPart) remember(row, n int) {
	if len(o.credential.codes) == 0 {
		return
	}
	if known := len(o.holders); known < len(o.credential.values) {
		o.holders = extend(o.holders, known, len(o.credential.values)-known)
	}
	for which, c := range o.told() {
		if len(c.codes) == 0 {
			continue
		}
		codes := c.codes[row : row+n]
		for i, code := range o.credential.codes[row : row+n] {
			if code != 0 {
				o.holders[code][which] = codes[i]
			}
		}
	}
}

// refRow is a record that is not an access.
type refRow struct {
	seq   uint64
	bytes string // canonical
}

// newOpenPart gives an empty part. If like is not nil, room is made for as much as it came to.
func newOpenPart(first uint64, like *openPart) *openPart {
	o := &openPart{first: first}
	if like != nil {
		from, to := like.interned(), o.interned()
		for i := range from {
			to[i].like(from[i])
		}
		o.seqs, o.times, o.positions = roomFor(like.seqs), roomFor(like.times), roomFor(like.positions)
		o.others, o.sizes, o.asn = roomFor(like.others), roomFor(like.sizes), roomFor(like.asn)
		o.status, o.outcome = roomFor(like.status), roomFor(like.outcome)
		o.subjectStart, o.subjectIDs = roomFor(like.subjectStart), roomFor(like.subjectIDs)
		o.refs, o.addrs = roomFor(like.refs), roomFor(like.addrs)
		o.known.hashes = roomFor(like.known.hashes)
		o.holders = roomFor(like.holders)
	}
	o.subjectStart = append(o.subjectStart, 0)
	o.addrs = append(o.addrs, netip.Addr{})
	o.fieldSets, o.maskedSets = [][]string{nil}, [][]string{nil}
	return o
}

func (o *openPart) interned() [17]*interned {
	return [...]*interned{
		&o.realm, &o.source, &o.route, &o.principal, &o.credential, &o.key, &o.client, &o.ip, &o.country,
		&o.agent, &o.tls, &o.fields, &o.masked, &o.id, &o.reason, &o.request, &o.subjects,
	}
}

// count is the number of records.
func (o *openPart) count() int { return o.accesses + len(o.refs) }

// add appends records under the next sequences. encoded holds the canonical bytes of each. The
// records' memory may be written over afterwards.
func (o *openPart) add(records []*whosaw.Record, encoded [][]byte) {
	var rows [block]*whosaw.Record
	n := 0
	seq := o.first + uint64(o.count())
	for i, r := range records {
		if r.Type != whosaw.TypeAccess {
			b := encoded[i]
			o.refs = push(o.refs, refRow{seq, o.arena.keep(text(b))})
		} else {
			o.seqs = push(o.seqs, seq)
			rows[n] = r
			n++
		}
		seq++
		if n == block || (n > 0 && i == len(records)-1) {
			o.addRows(rows[:n])
			n = 0
		}
	}
}

// addRows appends accesses; their sequences are there already.
func (o *openPart) addRows(rows []*whosaw.Record) {
	row := o.accesses
	o.accesses += len(rows)
	n := len(rows)
	o.times = extend(o.times, row, n) // never left empty
	for i, r := range rows {
		o.times[row+i] = r.Time
	}
	o.positions = fill(o.positions, row, n, func(i int) int64 { return rows[i].Position })
	o.others = fill(o.others, row, n, func(i int) int64 { return rows[i].Others })
	o.sizes = fill(o.sizes, row, n, func(i int) int64 { return rows[i].Bytes })
	o.asn = fill(o.asn, row, n, func(i int) uint32 { return rows[i].ASN })
	o.status = fill(o.status, row, n, func(i int) uint16 { return uint16(rows[i].Status) })
	o.outcome = fill(o.outcome, row, n, func(i int) uint8 { return uint8(rows[i].Outcome) })
	for _, r := range rows {
		for _, s := range r.Subjects {
			o.subjectIDs = push(o.subjectIDs, o.subjectID(s))
		}
		o.subjectStart = push(o.subjectStart, uint32(len(o.subjectIDs)))
	}
	o.addStrings(row, rows)
	o.addIPs(row, rows)
	o.addSets(row, rows, &o.fields, &o.fieldSets, func(r *whosaw.Record) []string { return r.Fields })
	o.addSets(row, rows, &o.masked, &o.maskedSets, func(r *whosaw.Record) []string { return r.Masked })
	o.remember(row, n)
	clear(o.lookups.values[:n]) // they lie in memory that is not ours
}

// stringColumns says which member of a record each column of strings holds. The credential comes first: it foretells others.
var stringColumns = [...]struct {
	column func(*openPart) *interned
	member uintptr
}{
	{func(o *openPart) *interned { return &o.credential }, unsafe.Offsetof(whosaw.Record{}.Credential)},
	{func(o *openPart) *interned { return &o.realm }, unsafe.Offsetof(whosaw.Record{}.Realm)},
	{func(o *openPart) *interned { return &o.source }, unsafe.Offsetof(whosaw.Record{}.Source)},
	{func(o *openPart) *interned { return &o.route }, unsafe.Offsetof(whosaw.Record{}.Route)},
	{func(o *openPart) *interned { return &o.principal }, unsafe.Offsetof(whosaw.Record{}.Principal)},
	{func(o *openPart) *interned { return &o.key }, unsafe.Offsetof(whosaw.Record{}.Key)},
	{func(o *openPart) *interned { return &o.client }, unsafe.Offsetof(whosaw.Record{}.Client)},
	{func(o *openPart) *interned { return &o.country }, unsafe.Offsetof(whosaw.Record{}.Country)},
	{func(o *openPart) *interned { return &o.agent }, unsafe.Offsetof(whosaw.Record{}.Agent)},
	{func(o *openPart) *interned { return &o.tls }, unsafe.Offsetof(whosaw.Record{}.TLS)},
	{func(o *openPart) *interned { return &o.id }, unsafe.Offsetof(whosaw.Record{}.ID)},
	{func(o *openPart) *interned { return &o.reason }, unsafe.Offsetof(whosaw.Record{}.Reason)},
	{func(o *openPart) *interned { return &o.request }, unsafe.Offsetof(whosaw.Record{}.Request)},
}

// addStrings adds the values of rows to all columns of strings.
func (o *openPart) addStrings(row int, rows []*whosaw.Record) {
	for i := range stringColumns {
		c := &stringColumns[i]
		for i, r := range rows {
			o.lookups.values[i] = *(*string)(unsafe.Add(unsafe.Pointer(r), c.member))
		}
		column := c.column(o)
		column.add(row, len(rows), &o.lookups, o.guess(column, row, len(rows)), &o.arena, nil)
	}
}

func (o *openPart) addIPs(row int, rows []*whosaw.Record) {
	var keys [block][16]byte
	for i, r := range rows {
		n := 0
		if r.IP.Is4() {
			v4 := r.IP.As4()
			n = copy(keys[i][:], v4[:])
		} else if r.IP.IsValid() {
			keys[i], n = r.IP.As16(), 16
		}
		o.lookups.values[i] = text(keys[i][:n])
	}
	o.ip.add(row, len(rows), &o.lookups, o.guess(&o.ip, row, len(rows)), &o.arena, func(i int) { o.addrs = push(o.addrs, rows[i].IP) })
}

func (o *openPart) addSets(row int, rows []*whosaw.Record, c *interned, sets *[][]string, of func(*whosaw.Record) []string) {
	o.scratch = o.scratch[:0]
	var ends [block]int
	for i, r := range rows {
		if set := of(r); set != nil {
			o.scratch = appendStrings(o.scratch, set)
		}
		ends[i] = len(o.scratch)
	}
	start := 0
	for i, end := range ends[:len(rows)] {
		o.lookups.values[i] = text(o.scratch[start:end])
		start = end
	}
	c.add(row, len(rows), &o.lookups, false, &o.arena, func(i int) {
		set := of(rows[i])
		kept := make([]string, len(set))
		for j, s := range set {
			kept[j] = o.arena.keep(s)
		}
		*sets = push(*sets, kept)
	})
}

// subjectID gives the id of a subject within the part.
func (o *openPart) subjectID(s string) SubjectID {
	if n, ok := integerID(s); ok {
		return n
	}
	code, _ := o.subjects.code(s, uint32(hashString(s)), &o.arena)
	return SubjectString | SubjectID(code-1)
}

// integerID gives the id of a subject that is a decimal number as a machine would write it.
func integerID(s string) (SubjectID, bool) {
	if len(s) == 0 || len(s) > 19 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return SubjectID(n), SubjectID(n) < SubjectString
}

// chunk gives the accesses so far as a snapshot. Columns that nobody filled are shorter than N.
func (o *openPart) chunk() *Chunk {
	return &Chunk{
		N:              o.accesses,
		Seq:            o.seqs,
		Time:           o.times,
		Realm:          o.realm.strings(),
		Source:         o.source.strings(),
		Route:          o.route.strings(),
		Principal:      o.principal.strings(),
		Credential:     o.credential.strings(),
		Key:            o.key.strings(),
		Client:         o.client.strings(),
		Country:        o.country.strings(),
		Agent:          o.agent.strings(),
		TLS:            o.tls.strings(),
		IP:             Addrs{o.addrs, o.ip.codes},
		Fields:         Sets{o.fieldSets, o.fields.codes},
		Masked:         Sets{o.maskedSets, o.masked.codes},
		ASN:            o.asn,
		Status:         o.status,
		Outcome:        o.outcome,
		Others:         o.others,
		SubjectStart:   o.subjectStart,
		SubjectIDs:     o.subjectIDs,
		SubjectStrings: o.subjects.values[min(1, len(o.subjects.values)):],
		ID:             o.id.strings(),
		Reason:         o.reason.strings(),
		Request:        o.request.strings(),
		Bytes:          o.sizes,
		Position:       o.positions,
	}
}

// missingOnly is the dictionary of a column that nobody filled.
var missingOnly = []string{""}

func (c *interned) strings() Strings {
	if len(c.values) == 0 {
		return Strings{Dict: missingOnly}
	}
	return Strings{c.values, c.codes}
}

// record gives the record with a number, counted from the first of the part.
func (o *openPart) record(number int) (whosaw.Record, error) {
	row, ref := locate(o.first, o.refs, number)
	if ref < 0 {
		return o.chunk().Record(row), nil
	}
	var r whosaw.Record
	err := decodeRecord(o.refs[ref].bytes, &r)
	return r, err
}

// locate finds where a part keeps the record with a number: in a row of the accesses, or, if ref
// is not negative, among the others.
func locate(first uint64, refs []refRow, number int) (row, ref int) {
	seq := first + uint64(number)
	before, found := slices.BinarySearchFunc(refs, seq, func(r refRow, seq uint64) int {
		return cmp.Compare(r.seq, seq)
	})
	if found {
		return -1, before
	}
	return number - before, -1
}
