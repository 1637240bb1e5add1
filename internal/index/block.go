package index

import (
	"encoding/binary"
	"net/netip"
	"sort"
	"sync"
	"unsafe"
)

// Block answers what the accesses of one segment disclosed. Safe for concurrent use. What it gives is valid as long as
// a view of its segment is open, and its store.
type Block struct {
	name    string
	from    *mapping // nil: the bytes are the program's own
	file    mapped
	head    head
	extents [sections]extent
	sum     uint32 // of the footer
	side    sideTable

	origins monotoneSection // key and ip of each: the key's code times how many codes there are of addresses, and the address's code
	starts  monotoneSection
	v4      monotoneSection
	who     Packed
	times   Packed
	rest    [rowColumns]Runs // see rest.go
	tieRows Packed
	tieSeqs Packed
	mask    uint64 // of the shape in who
}

func (b *Block) open() {
	h := &b.head
	b.who = b.packed(sectionWho, h.rows)
	b.times = b.packed(sectionTime, h.rows)
	for c := range rowColumns {
		b.rest[c] = b.runs(c)
	}
	b.tieRows = b.packed(sectionTieRows, h.ties)
	b.tieSeqs = b.packed(sectionTieSeqs, h.ties)
	b.mask = 1<<h.shapeBits - 1
}

// unusable reports whether the block turned out not to be as it was written.
func (b *Block) unusable() bool { return b.file.broken.Load() || b.from.gone() }

// Intact is an error if the block's file was cut or written to since it was mapped: to be asked when it was read.
func (b *Block) Intact() error { return b.from.intact() }

// monotoneSection is a section of monotone numbers, of which nothing is read before it is used.
type monotoneSection struct {
	once sync.Once
	m    Monotone
	ok   bool
}

// monotone gives the numbers of a section, and looks at its checksums. None may be over largest.
func (b *Block) monotone(s section, x *monotoneSection, n int, largest uint64) (*Monotone, error) {
	if err := b.whole(s); err != nil {
		return nil, err
	}
	return b.parsed(s, x, n, largest)
}

// partly gives the numbers of a section for At and Search alone, of which the checksums are looked at as they are read: the looker has the error.
func (b *Reader) partly(s section, x *monotoneSection, n int, largest uint64) (Monotone, error) {
	if err := b.check(s, 0, monotoneHead); err != nil {
		return Monotone{}, err
	}
	m, err := b.parsed(s, x, n, largest)
	if err != nil {
		return Monotone{}, err
	}
	part := *m
	part.look = &looker{b: b, s: s}
	return part, nil
}

func (b *Block) parsed(s section, x *monotoneSection, n int, largest uint64) (*Monotone, error) {
	x.once.Do(func() {
		x.m, x.ok = newMonotone(b.bytes(s), n, b.extents[s].width)
		x.ok = x.ok && x.m.largest <= largest
	})
	if !x.ok {
		b.file.broken.Store(true)
		return nil, &DamageError{b.name}
	}
	return &x.m, nil
}

func (b *Block) keysAndIPs() (*Monotone, error) {
	return b.monotone(sectionMember, &b.origins, b.head.origins, b.mostKeyAndIP())
}

// mostKeyAndIP is what no key and ip of an origin is over.
func (b *Block) mostKeyAndIP() uint64 { return uint64(b.head.dicts[memberKey]+1)*b.ips() - 1 }

func (b *Block) allStarts() (*Monotone, error) {
	return b.monotone(sectionStarts, &b.starts, b.head.origins+1, uint64(b.head.rows))
}

func (b *Block) addrs4() (*Monotone, error) { return b.monotone(sectionV4, &b.v4, b.head.v4, 1<<32-1) }

// ips is how many codes of addresses there are, that of missing among them.
func (b *Block) ips() uint64 { return uint64(b.head.v4) + uint64(b.head.v6) + 1 }

func (b *Block) bytes(s section) []byte {
	e := b.extents[s]
	return b.file.b[e.at : e.at+e.size : e.at+e.size]
}

func (b *Block) packed(s section, n int) Packed { return newPacked(b.bytes(s), n, b.extents[s].width) }

// Rows is how many rows there are; Origins, how many origins.
func (b *Block) Rows() int    { return b.head.rows }
func (b *Block) Origins() int { return b.head.origins }

// Accesses is how many accesses the rows stand for.
func (b *Block) Accesses() int { return b.head.accesses }

// Range gives the least and greatest event time.
func (b *Block) Range() (from, to int64) { return b.head.minTime, b.head.maxTime }

// Bytes is the size of the block's file.
func (b *Block) Bytes() int64 { return int64(len(b.file.b) + len(b.file.sums) + tailSize) }

// Texts is a sorted dictionary: code 1 is its first text, code 0 stands for missing.
type Texts struct {
	ends Packed
	text []byte
}

func (b *Block) texts(s section, n int) (Texts, error) {
	if err := b.whole(s); err != nil {
		return Texts{}, err
	}
	all := b.bytes(s)
	size := packedSize(n+1, b.extents[s].width)
	t := Texts{newPacked(all, n+1, b.extents[s].width), all[size:]}
	if t.ends.At(n) != uint64(len(t.text)) {
		return Texts{}, &DamageError{b.name}
	}
	return t, nil
}

// Len is how many texts there are, without the missing one.
func (t *Texts) Len() int { return t.ends.n - 1 }

// At gives the text of a code. It lies in the block's memory.
func (t *Texts) At(code int) string {
	if code <= 0 || code >= t.ends.n {
		return ""
	}
	from, to := t.ends.At(code-1), t.ends.At(code)
	if from > to || to > uint64(len(t.text)) {
		return ""
	}
	return unsafe.String(unsafe.SliceData(t.text[from:to]), to-from)
}

// Find gives the code of a text, 0 if it has none.
func (t *Texts) Find(s string) int {
	i := sort.Search(t.Len(), func(i int) bool { return t.At(i+1) >= s })
	if i < t.Len() && t.At(i+1) == s {
		return i + 1
	}
	return 0
}

// Strings gives a member of origins that is a text.
func (b *Block) strings(m member) (Column, Texts, error) {
	c, err := b.column(m)
	if err != nil {
		return c, Texts{}, err
	}
	t, err := b.texts(sectionDict+section(m), b.head.dicts[m])
	return c, t, err
}

// Key, and what follows, give a member of origins.
func (b *Block) Key() (Column, Texts, error)     { return b.strings(memberKey) }
func (b *Block) Agent() (Column, Texts, error)   { return b.strings(memberAgent) }
func (b *Block) Country() (Column, Texts, error) { return b.strings(memberCountry) }
func (b *Block) Client() (Column, Texts, error)  { return b.strings(memberClient) }
func (b *Block) TLS() (Column, Texts, error)     { return b.strings(memberTLS) }
func (b *Block) Realm() (Column, Texts, error)   { return b.strings(memberRealm) }
func (b *Block) Source() (Column, Texts, error)  { return b.strings(memberSource) }

// Credential gives 1 for origins whose accesses have a credential.
func (b *Block) Credential() (Column, error) { return b.column(memberCredential) }

// Numbers is a sorted dictionary of numbers: code 1 is the first, code 0 stands for missing.
type Numbers struct{ Packed }

// Value gives the number of a code.
func (n *Numbers) Value(code int) uint64 {
	if code <= 0 || code > n.Len() {
		return 0
	}
	return n.At(code - 1)
}

// ASN gives the member asn.
func (b *Block) ASN() (Column, Numbers, error) {
	c, err := b.column(memberASN)
	if err != nil {
		return c, Numbers{}, err
	}
	return c, Numbers{b.packed(sectionASN, b.head.asns)}, b.whole(sectionASN)
}

// Addrs is a sorted dictionary of addresses: IPv4 first, then IPv6. Code 0 stands for missing.
type Addrs struct {
	v4 Monotone
	v6 []byte
}

// IP gives the member ip.
func (b *Block) IP() (Column, Addrs, error) {
	c, err := b.column(memberIP)
	if err != nil {
		return c, Addrs{}, err
	}
	v4, err := b.addrs4()
	if err != nil {
		return c, Addrs{}, err
	}
	return c, Addrs{*v4, b.bytes(sectionV6)}, b.whole(sectionV6)
}

// Len is how many addresses there are.
func (a *Addrs) Len() int { return a.v4.n + len(a.v6)/16 }

// V4 gives the IPv4 addresses as numbers: that of code 1 is the first.
func (a *Addrs) V4() *Monotone { return &a.v4 }

// At gives the address of a code, the zero one for missing.
func (a *Addrs) At(code int) netip.Addr {
	switch {
	case code <= 0 || code > a.Len():
		return netip.Addr{}
	case code <= a.v4.n:
		return addrOf4(a.v4.At(code - 1))
	}
	return netip.AddrFrom16([16]byte(a.v6[16*(code-1-a.v4.n):]))
}

func addrOf4(v uint64) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// Between gives the codes of the addresses from least to greatest, both of one family: [from, to).
func (a *Addrs) Between(least, greatest netip.Addr) (from, to int) {
	if least.Is4() {
		number := func(x netip.Addr) uint64 { v := x.As4(); return uint64(binary.BigEndian.Uint32(v[:])) }
		if least == greatest {
			from, to = a.v4.Equal(number(least))
			return 1 + from, 1 + to
		}
		return 1 + a.v4.Search(number(least)), 1 + a.v4.Search(number(greatest)+1)
	}
	n := len(a.v6) / 16
	from = a.v4.n + 1 + sort.Search(n, func(i int) bool { return a.At(a.v4.n+1+i).Compare(least) >= 0 })
	to = from + sort.Search(a.Len()+1-from, func(i int) bool { return a.At(from+i).Compare(greatest) > 0 })
	return from, to
}

// Shapes gives the texts of the shapes, by number from 0: code 1 is shape 0.
func (b *Block) Shapes() (Texts, error) { return b.texts(sectionShapes, b.head.shapes) }

// ParseShape reads a text of Shapes. What it gives shares memory with the text.
func ParseShape(text string) (Shape, error) { return parseShape(text) }

// Starts gives the row with which each origin begins, and the end of the last one.
func (b *Block) Starts() (Monotone, error) {
	m, err := b.allStarts()
	if err != nil {
		return Monotone{}, err
	}
	return *m, nil
}

// CheckRows looks at the checksums of rows. Rows must be looked at before they are read, their times apart.
func (b *Block) CheckRows(lo, hi int, times bool) error {
	from, to := b.who.span(lo, hi)
	if err := b.check(sectionWho, from, to); err != nil || !times {
		return err
	}
	from, to = b.times.span(lo, hi)
	return b.check(sectionTime, from, to)
}

// AskOrigins has the system read what every question looks at, ahead of it.
func (b *Block) AskOrigins() {
	for _, s := range [...]section{sectionMember, sectionStarts} {
		e := &b.extents[s]
		b.file.ask(e.at, e.at+e.size)
	}
}

// AskRows has the system read rows that are going to be read, their times too if they are wanted.
func (b *Block) AskRows(lo, hi int, times bool) {
	from, to := b.who.span(lo, hi)
	e := &b.extents[sectionWho]
	b.file.ask(e.at+from, e.at+min(to, e.size))
	if times {
		from, to = b.times.span(lo, hi)
		e = &b.extents[sectionTime]
		b.file.ask(e.at+from, e.at+min(to, e.size))
	}
}

// Who gives for each row its subject above ShapeBits bits that are its shape.
func (b *Block) Who() Packed { return b.who }

// Rows walks through rows.
type Rows struct {
	Subject, Shape uint64
	b              []byte
	left           int
	bit            uint
	width, shift   uint
	mask, low      uint64
}

// Each gives the rows from lo up to hi: call Next before each.
func (b *Block) Each(lo, hi int) Rows {
	p := &b.who
	return Rows{
		b: p.b, left: hi - lo, bit: uint(lo) * p.width, width: p.width, shift: b.head.shapeBits, mask: p.mask, low: b.mask,
	}
}

// Next goes to the next row; it reports false at the end.
func (r *Rows) Next() bool {
	if r.left <= 0 {
		return false
	}
	r.left--
	v := binary.LittleEndian.Uint64(r.b[r.bit>>3:]) >> (r.bit & 7) & r.mask
	r.bit += r.width
	r.Subject, r.Shape = v>>r.shift, v&r.low
	return true
}

// Times gives for each row its event time, less the block's least.
func (b *Block) Times() Packed { return b.times }

// LargestSubject is above no number that Who can have.
func (b *Block) LargestSubject() uint64 { return b.who.mask >> b.head.shapeBits }

// ShapeBits is how many bits of Who are the shape.
func (b *Block) ShapeBits() uint { return b.head.shapeBits }

// Time gives a row's event time.
func (b *Block) Time(row int) int64 { return b.head.minTime + int64(b.times.At(row)) }

// Subjects says who the numbers of subjects stand for. A number of a row without a subject means nothing.
type Subjects struct {
	coded bool
	ints  Packed
	texts Texts
	limit uint64
}

// Subjects gives the dictionary of subjects.
func (b *Block) Subjects() (Subjects, error) {
	s := Subjects{coded: b.head.coded, ints: b.packed(sectionInts, b.head.ints), limit: b.head.limit}
	err := b.whole(sectionInts)
	if err == nil {
		s.texts, err = b.texts(sectionTexts, b.head.texts)
	}
	return s, err
}

// Plain reports that numbers are the subjects' integer ids themselves.
func (s *Subjects) Plain() bool { return !s.coded }

// Limit is above every number.
func (s *Subjects) Limit() uint64 { return s.limit }

// Get gives the subject of a number: an integer, or a text that is none.
func (s *Subjects) Get(number uint64) (id uint64, text string, isText bool) {
	switch {
	case !s.coded:
		return number, "", false
	case number < uint64(s.ints.n):
		return s.ints.At(int(number)), "", false
	}
	return 0, s.texts.At(int(number-uint64(s.ints.n)) + 1), true
}

// FindInt gives the number of an integer id.
func (s *Subjects) FindInt(id uint64) (number uint64, ok bool) {
	if !s.coded {
		return id, id < s.limit
	}
	i := sort.Search(s.ints.n, func(i int) bool { return s.ints.At(i) >= id })
	return uint64(i), i < s.ints.n && s.ints.At(i) == id
}

// FindText gives the number of an id that is no integer.
func (s *Subjects) FindText(id string) (number uint64, ok bool) {
	if !s.coded {
		return 0, false
	}
	code := s.texts.Find(id)
	return uint64(s.ints.n + code - 1), code > 0
}
