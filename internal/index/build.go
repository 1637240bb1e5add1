package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/whosaw/whosaw/internal/ledger"
)

// Columns are the columns of a segment that a block is built from.
const Columns = ledger.ColRealm | ledger.ColSource | ledger.ColRoute | ledger.ColFields | ledger.ColMasked | ledger.ColStatus |
	ledger.ColOutcome | ledger.ColCredential | ledger.ColKey | ledger.ColClient | ledger.ColIP | ledger.ColCountry |
	ledger.ColASN | ledger.ColAgent | ledger.ColTLS | ledger.ColSubjects | ledger.ColOthers

// errCannot says that a segment cannot have a block: it is read itself.
var errCannot = errors.New("the segment has too many kinds of accesses for a block")

const (
	maxShapes = 1 << 14
	maxRows   = 1 << 30
)

// member is a column of origins.
type member int

// The columns of origins, in the order by which they are sorted.
const (
	memberKey member = iota
	memberIP
	memberAgent
	memberCountry
	memberASN
	memberClient
	memberTLS
	memberRealm
	memberSource
	memberCredential // 1: the access has one
	members
)

// origin has a code of each member's dictionary.
type origin [members]uint32

// builder makes a block of a chunk.
type builder struct {
	c       *ledger.Chunk
	origins []origin
	slots   []uint32 // of a hash table: 1 + the number of the origin
	shapes  map[string]uint32
	blobs   []string // of the shapes
	dicts   [members][]string
	v4      []uint32
	v6      [][16]byte
	asns    []uint32

	rows     []row
	originOf []uint32 // of the rows
	access   []uint32 // of the rows as they are sorted

	sortedOrigins []uint32
	ownBase       uint64 // of principals, see rest.go
	accesses      int
	finds         []uint64 // see findsOf
}

type row struct {
	subject uint64 // the integer or, with a dictionary, its code
	shape   uint32
	time    int64
}

// built is what is derived from a chunk.
type built struct {
	block  []byte
	finds  []uint64 // where its subjects are, see findsOf
	access []uint32 // of each row
}

// build gives the block of a chunk, and what is written beside it.
func build(segment ledger.SegmentID, c *ledger.Chunk) (*built, error) {
	b := &builder{c: c, shapes: map[string]uint32{}}
	if c.N == 0 || len(c.SubjectIDs)+c.N > maxRows {
		return nil, errCannot
	}
	subjects := b.subjects()
	if err := b.read(subjects); err != nil {
		return nil, err
	}
	block := b.write(segment, subjects)
	return &built{block, b.finds, b.accessOfRows()}, nil
}

// subjectTable says how a block tells subjects.
type subjectTable struct {
	coded bool                        // by codes: place in integers, then in texts
	ints  []uint64                    // sorted
	texts []string                    // sorted
	code  map[ledger.SubjectID]uint64 // of a chunk's id
	limit uint64                      // all subjects are below
}

// subjects finds whether all subjects are numbers that can stand for themselves.
func (b *builder) subjects() *subjectTable {
	t := &subjectTable{}
	for _, id := range b.c.SubjectIDs {
		if id >= 1<<32 {
			t.coded = true
			break
		}
		t.limit = max(t.limit, uint64(id)+1)
	}
	if !t.coded {
		return t
	}
	t.code = map[ledger.SubjectID]uint64{}
	for _, id := range b.c.SubjectIDs {
		if _, ok := t.code[id]; ok {
			continue
		}
		t.code[id] = 0
		if id < ledger.SubjectString {
			t.ints = append(t.ints, uint64(id))
		} else {
			t.texts = append(t.texts, b.c.Subject(id))
		}
	}
	slices.Sort(t.ints)
	slices.Sort(t.texts)
	for id := range t.code {
		var at int
		if id < ledger.SubjectString {
			at, _ = slices.BinarySearch(t.ints, uint64(id))
		} else {
			at, _ = slices.BinarySearch(t.texts, b.c.Subject(id))
			at += len(t.ints)
		}
		t.code[id] = uint64(at)
	}
	t.limit = uint64(len(t.code))
	return t
}

func (t *subjectTable) number(id ledger.SubjectID) uint64 {
	if t.coded {
		return t.code[id]
	}
	return uint64(id)
}

// read goes through the accesses and gives each an origin and a shape.
func (b *builder) read(subjects *subjectTable) error {
	c := b.c
	origins := b.origining()
	shaper := shaper{builder: b}
	b.rows = make([]row, 0, max(c.N, len(c.SubjectIDs)))
	for i := range c.N {
		ids := c.SubjectIDs[c.SubjectStart[i]:c.SubjectStart[i+1]]
		origins.add(i, len(ids))
		if len(ids) == 0 {
			shape, err := shaper.of(i, false, true)
			if err != nil {
				return err
			}
			b.rows = append(b.rows, row{0, shape, c.Time[i]})
		}
		for j, id := range ids {
			shape, err := shaper.of(i, true, j == 0)
			if err != nil {
				return err
			}
			b.rows = append(b.rows, row{subjects.number(id), shape, c.Time[i]})
		}
	}
	b.accesses = c.N
	return nil
}

// readOrigins is read for who only needs the order of the rows.
func (b *builder) readOrigins() {
	origins := b.origining()
	for i := range b.c.N {
		origins.add(i, int(b.c.SubjectStart[i+1]-b.c.SubjectStart[i]))
	}
}

// origining gives accesses their origins, one after the other.
type origining struct {
	*builder
	codes [members]recode
	last  origin
	at    uint32
	begun bool
}

func (b *builder) origining() *origining {
	b.originOf = make([]uint32, 0, max(b.c.N, len(b.c.SubjectIDs)))
	b.slots = make([]uint32, 1<<12)
	return &origining{builder: b, codes: b.sorted()}
}

// add gives the rows of an access, as many as it has subjects, or one, their origin.
func (r *origining) add(i, subjects int) {
	c := r.c
	var o origin
	for m := range o {
		if at := &r.codes[m]; at.of != nil {
			o[m] = at.of[at.codes[i]]
		}
	}
	o[memberASN] = 0
	if n := c.ASN[i]; n != 0 {
		at, _ := slices.BinarySearch(r.asns, n)
		o[memberASN] = uint32(at + 1)
	}
	if c.Credential.Codes[i] != 0 {
		o[memberCredential] = 1
	}
	if !r.begun || o != r.last {
		r.begun, r.last, r.at = true, o, r.origin(&o)
	}
	for range max(1, subjects) {
		r.originOf = append(r.originOf, r.at)
	}
}

// recode gives a row's new code from its old one.
type recode struct {
	codes []uint32
	of    []uint32
}

// sorted makes the dictionaries: of what rows have, in order. Code 0 stays what is missing.
func (b *builder) sorted() [members]recode {
	c := b.c
	var out [members]recode
	for m, s := range map[member]*ledger.Strings{
		memberKey: &c.Key, memberAgent: &c.Agent, memberCountry: &c.Country, memberClient: &c.Client, memberTLS: &c.TLS,
		memberRealm: &c.Realm, memberSource: &c.Source,
	} {
		used := usedCodes(s.Codes, len(s.Dict))
		slices.SortFunc(used, func(x, y uint32) int { return cmp.Compare(s.Dict[x], s.Dict[y]) })
		of := make([]uint32, len(s.Dict))
		for i, code := range used {
			of[code] = uint32(i + 1)
			b.dicts[m] = append(b.dicts[m], s.Dict[code])
		}
		out[m] = recode{s.Codes, of}
	}
	used := usedCodes(c.IP.Codes, len(c.IP.Dict))
	// IPv4 first, then IPv6, each as numbers.
	slices.SortFunc(used, func(x, y uint32) int { return c.IP.Dict[x].Compare(c.IP.Dict[y]) })
	of := make([]uint32, len(c.IP.Dict))
	for i, code := range used {
		of[code] = uint32(i + 1)
		if a := c.IP.Dict[code]; a.Is4() {
			v4 := a.As4()
			b.v4 = append(b.v4, binary.BigEndian.Uint32(v4[:]))
		} else {
			b.v6 = append(b.v6, a.As16())
		}
	}
	out[memberIP] = recode{c.IP.Codes, of}
	seen := map[uint32]struct{}{0: {}}
	prev := uint32(0)
	for _, n := range c.ASN {
		if n == prev {
			continue
		}
		prev = n
		if _, ok := seen[n]; !ok {
			seen[n] = struct{}{}
			b.asns = append(b.asns, n)
		}
	}
	slices.Sort(b.asns)
	return out
}

// usedCodes lists the codes but 0 that rows have.
func usedCodes(codes []uint32, n int) []uint32 {
	seen := make([]bool, n)
	var list []uint32
	for _, code := range codes {
		if code != 0 && !seen[code] {
			seen[code] = true
			list = append(list, code)
		}
	}
	return list
}

// origin gives the number of an origin.
func (b *builder) origin(o *origin) uint32 {
	if len(b.origins) >= len(b.slots)/2 {
		b.slots = make([]uint32, 4*len(b.slots))
		for i := range b.origins {
			at := b.origins[i].hash() & uint64(len(b.slots)-1)
			for b.slots[at] != 0 {
				at = (at + 1) & uint64(len(b.slots)-1)
			}
			b.slots[at] = uint32(i + 1)
		}
	}
	mask := uint64(len(b.slots) - 1)
	for at := o.hash() & mask; ; at = (at + 1) & mask {
		n := b.slots[at]
		if n == 0 {
			b.origins = append(b.origins, *o)
			b.slots[at] = uint32(len(b.origins))
			return uint32(len(b.origins) - 1)
		}
		if b.origins[n-1] == *o {
			return n - 1
		}
	}
}

func (o *origin) hash() uint64 {
	h := uint64(0)
	for m := 0; m < len(o); m += 2 {
		h = (h ^ uint64(o[m]) ^ uint64(o[m+1])<<32) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h
}

// shaper gives numbers to shapes. Most rows have the shape of one seen a moment ago.
type shaper struct {
	*builder
	blob   []byte
	recent [256]struct {
		key   shapeKey
		shape uint32 // + 1
	}
}

// shapeKey has what decides a shape, by the chunk's codes.
type shapeKey struct {
	route, fields, masked uint32
	status                uint16
	outcome               uint8
	subject, first        bool
	others                int64
}

func (s *shaper) of(i int, subject, first bool) (uint32, error) {
	c := s.c
	k := shapeKey{
		c.Route.Codes[i], c.Fields.Codes[i], c.Masked.Codes[i], c.Status[i], c.Outcome[i], subject, first, c.Others[i],
	}
	h := (((k.route*31+k.fields)*31+k.masked)*31+uint32(k.status))*31 + uint32(k.others)*7 + uint32(k.outcome)
	recent := &s.recent[h*0x9e3779b1>>24]
	if recent.shape != 0 && recent.key == k {
		return recent.shape - 1, nil
	}
	shape := Shape{
		Route: c.Route.Dict[k.route], Fields: c.Fields.Dict[k.fields], Masked: c.Masked.Dict[k.masked], Status: k.status,
		Outcome: k.outcome, Subject: subject, First: first, Others: k.others,
	}
	s.blob = shape.append(s.blob[:0])
	n, ok := s.shapes[string(s.blob)]
	if !ok {
		if len(s.blobs) == maxShapes {
			return 0, errCannot
		}
		n = uint32(len(s.blobs))
		text := string(s.blob)
		s.shapes[text], s.blobs = n, append(s.blobs, text)
	}
	recent.key, recent.shape = k, n+1
	return n, nil
}

// order gives the origins as they are sorted.
func (b *builder) order() []uint32 {
	if b.sortedOrigins != nil {
		return b.sortedOrigins
	}
	order := make([]uint32, len(b.origins))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int {
		a, b := &b.origins[x], &b.origins[y]
		for m := range a {
			if a[m] != b[m] {
				return cmp.Compare(a[m], b[m])
			}
		}
		return 0
	})
	b.sortedOrigins = order
	return order
}

// places gives the row with which each origin begins, in their order, and the place of each origin in it.
func (b *builder) places() (starts, place []uint32) {
	order := b.order()
	place = make([]uint32, len(order))
	for at, o := range order {
		place[o] = uint32(at)
	}
	starts = make([]uint32, len(order)+1)
	for _, o := range b.originOf {
		starts[place[o]+1]++
	}
	for i := range order {
		starts[i+1] += starts[i]
	}
	return starts, place
}

// accessOfRows gives for each row, as they are sorted, its access.
func (b *builder) accessOfRows() []uint32 {
	if b.access != nil {
		return b.access
	}
	starts, place := b.places()
	access := make([]uint32, 0, len(b.originOf))
	for i := range b.c.N {
		for range max(1, b.c.SubjectStart[i+1]-b.c.SubjectStart[i]) {
			access = append(access, uint32(i))
		}
	}
	b.access = make([]uint32, len(access))
	for i, o := range b.originOf {
		at := &starts[place[o]]
		b.access[*at] = access[i]
		*at++
	}
	return b.access
}

// write sorts and writes the block.
func (b *builder) write(segment ledger.SegmentID, subjects *subjectTable) []byte {
	order := b.order()
	starts, place := b.places()
	minTime, maxTime := int64(math.MaxInt64), int64(math.MinInt64)
	for _, t := range b.c.Time {
		minTime, maxTime = min(minTime, t), max(maxTime, t)
	}
	shapeBits := widthOf(uint64(len(b.blobs) - 1))
	who, times := make([]uint64, len(b.rows)), make([]uint64, len(b.rows))
	next := slices.Clone(starts)
	for i, o := range b.originOf {
		at := &next[place[o]]
		r := &b.rows[i]
		who[*at], times[*at] = r.subject<<shapeBits|uint64(r.shape), uint64(r.time-minTime)
		*at++
	}
	w := newFileWriter(segment)
	w.head = head{
		rows: len(b.rows), accesses: b.accesses, origins: len(order), shapes: len(b.blobs), shapeBits: shapeBits,
		minTime: minTime, maxTime: maxTime, coded: subjects.coded, limit: subjects.limit,
		ints: len(subjects.ints), texts: len(subjects.texts), v4: len(b.v4), v6: len(b.v6), asns: len(b.asns),
	}
	for m := range members {
		b.column(w, m, order)
	}
	for m := range members {
		w.head.dicts[m] = len(b.dicts[m])
		w.texts(sectionDict+section(m), b.dicts[m])
	}
	monotone(w, sectionV4, b.v4, uint64(slices.Max(append(b.v4, 0))))
	for _, a := range b.v6 {
		w.b = append(w.b, a[:]...)
	}
	w.end(sectionV6, 0)
	packed(w, sectionASN, b.asns, 32)
	w.texts(sectionShapes, b.blobs)
	packed(w, sectionInts, subjects.ints, largestOf(subjects.ints))
	w.texts(sectionTexts, subjects.texts)
	monotone(w, sectionStarts, starts, uint64(len(b.rows)))
	packed(w, sectionWho, who, shapeBits+widthOf(max(subjects.limit, 1)-1))
	packed(w, sectionTime, times, widthOf(uint64(maxTime-minTime)))
	w.end(sectionBuckets, 0)
	w.end(sectionPlaces, 0)
	b.finds = b.findsOf(subjects, who, shapeBits)
	b.restOf(w, subjects, b.accessOfRows(), who, times, starts)
	return w.finish()
}

// column writes the codes of a member of the origins.
func (b *builder) column(w *fileWriter, m member, order []uint32) {
	s, ips := sectionMember+section(m), uint64(len(b.v4)+len(b.v6)+1)
	switch m {
	case memberKey:
		both, last := make([]uint64, len(order)), uint64(0)
		for at, o := range order {
			last = uint64(b.origins[o][memberKey])*ips + uint64(b.origins[o][memberIP])
			both[at] = last
		}
		monotone(w, s, both, last)
		return
	case memberIP:
		w.end(s, 0)
		return
	}
	codes, least, largest := make([]uint32, len(order)), uint32(math.MaxUint32), uint32(0)
	for at, o := range order {
		codes[at] = b.origins[o][m]
		least, largest = min(least, codes[at]), max(largest, codes[at])
	}
	if m == memberCountry || m == memberASN {
		if b.columnByIP(w, m, order, codes, widthOf(uint64(largest))) {
			return
		}
	}
	for i := range codes {
		codes[i] -= least
	}
	w.head.columns[m].base = least
	packed(w, s, codes, widthOf(uint64(largest-least)))
}

// columnByIP writes a code for each address, and the origins that have another one, if that is shorter: in life an address has one
// country and one network.
func (b *builder) columnByIP(w *fileWriter, m member, order, codes []uint32, width uint) bool {
	ofIP := make([]uint32, len(b.v4)+len(b.v6)+1)
	known := make([]bool, len(ofIP))
	var which, others []uint32
	for at, o := range order {
		ip := b.origins[o][memberIP]
		if !known[ip] {
			known[ip], ofIP[ip] = true, codes[at]
		}
		if ofIP[ip] != codes[at] {
			which, others = append(which, uint32(at)), append(others, codes[at])
		}
	}
	place := widthOf(uint64(len(order)))
	if uint(len(ofIP))*width+uint(len(which))*(place+width) >= uint(len(order))*width {
		return false
	}
	w.head.columns[m] = columnHead{byIP: true, others: len(which)}
	w.b = appendPacked(appendPacked(w.b, ofIP, width), which, place)
	packed(w, sectionMember+section(m), others, width)
	return true
}

// largestOf gives the width of sorted numbers.
func largestOf(sorted []uint64) uint {
	if len(sorted) == 0 {
		return 0
	}
	return widthOf(sorted[len(sorted)-1])
}
