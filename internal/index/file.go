package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/ledger"
)

// A block is a file: a header, sections one behind the other, a footer that says where they lie, and a tail.
// docs/formats/ledger.md has the bytes.
const (
	version  = 7
	magic    = "whosawIX"
	endMagic = "whosawIE"
	headSize = 64
	tailSize = 16
	pageBits = 12 // of what a checksum is over
	pageSize = 1 << pageBits
	maxFile  = 1 << 33
	maxTime  = 1 << 60
)

// section is a part of a block's file.
type section int

const (
	sectionMember     section = 0 // that of memberKey has key and ip of the origins, see Block.origins; that of memberIP nothing
	sectionDict               = sectionMember + section(members)
	sectionV4                 = sectionDict + section(members)
	sectionV6                 = sectionV4 + 1
	sectionASN                = sectionV6 + 1
	sectionShapes             = sectionASN + 1
	sectionInts               = sectionShapes + 1
	sectionTexts              = sectionInts + 1
	sectionStarts             = sectionTexts + 1
	sectionWho                = sectionStarts + 1
	sectionTime               = sectionWho + 1
	sectionBuckets            = sectionTime + 1 // where subjects are; that is in finders now, and what older blocks have is not read
	sectionPlaces             = sectionBuckets + 1
	sectionPrincipals         = sectionPlaces + 1
	sectionRow                = sectionPrincipals + 1
	sectionTieRows            = sectionRow + section(rowColumns)
	sectionTieSeqs            = sectionTieRows + 1
	sectionTops               = sectionTieSeqs + 1
	sectionPostings           = sectionTops + 1
	sections                  = sectionPostings + 1
)

// extent is where a section lies, and the bits of its numbers.
type extent struct {
	at, size int
	width    uint
}

// head is what a footer says of a block beside its sections.
type head struct {
	rows, accesses, origins, shapes int
	shapeBits                       uint
	minTime, maxTime                int64
	coded                           bool
	limit                           uint64 // subjects' numbers are below
	ints, texts, v4, v6, asns       int
	places                          int
	dicts                           [members]int
	principals, ties                int
	firstSeq                        uint64
	runs                            [rowColumns]int
	columns                         [members]columnHead
}

// columnHead says how a member's codes are written.
type columnHead struct {
	byIP   bool   // a code for each address; of origins with another code, which and what follow
	base   uint32 // less than this no code is
	others int    // origins with another code than their address
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateChecksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// fileWriter makes the bytes of a block.
type fileWriter struct {
	head
	b       []byte
	start   int // of the section that is being made
	extents [sections]extent
}

func newFileWriter(segment ledger.SegmentID) *fileWriter {
	b := append(make([]byte, 0, 1<<20), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, segment[:]...)
	b = append(b, make([]byte, headSize-4-len(b))...)
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	return &fileWriter{b: b, start: len(b)}
}

// end ends a section. They come in the order of their numbers.
func (w *fileWriter) end(s section, width uint) {
	w.extents[s] = extent{w.start, len(w.b) - w.start, width}
	w.start = len(w.b)
}

func packed[T uint32 | uint64](w *fileWriter, s section, numbers []T, width uint) {
	w.b = appendPacked(w.b, numbers, width)
	w.end(s, width)
}

func monotone[T uint32 | uint64](w *fileWriter, s section, numbers []T, largest uint64) {
	var width uint
	w.b, width = appendMonotone(w.b, numbers, largest)
	w.end(s, width)
}

// texts writes strings: where each begins, and the end, as packed numbers; then their bytes.
func (w *fileWriter) texts(s section, list []string) {
	ends, n := make([]uint64, 1, len(list)+1), uint64(0)
	for _, x := range list {
		n += uint64(len(x))
		ends = append(ends, n)
	}
	width := widthOf(n)
	w.b = appendPacked(w.b, ends, width)
	for _, x := range list {
		w.b = append(w.b, x...)
	}
	w.end(s, width)
}

// finish writes the footer.
func (w *fileWriter) finish() []byte {
	body := len(w.b)
	var foot []byte
	for _, n := range [...]int{
		w.rows, w.accesses, w.origins, w.shapes, int(w.shapeBits), int(w.limit), w.ints, w.head.texts, w.v4, w.v6, w.asns, w.places,
		w.head.principals, w.ties,
	} {
		foot = binary.AppendUvarint(foot, uint64(n))
	}
	foot = binary.AppendUvarint(foot, w.firstSeq)
	for _, n := range w.head.runs {
		foot = binary.AppendUvarint(foot, uint64(n))
	}
	foot = binary.AppendVarint(foot, w.minTime)
	foot = binary.AppendVarint(foot, w.maxTime)
	coded := byte(0)
	if w.coded {
		coded = 1
	}
	foot = append(foot, coded)
	for m, n := range w.dicts {
		c := &w.columns[m]
		kind := byte(0)
		if c.byIP {
			kind = 1
		}
		foot = append(binary.AppendUvarint(foot, uint64(n)), kind)
		foot = binary.AppendUvarint(binary.AppendUvarint(foot, uint64(c.base)), uint64(c.others))
	}
	for _, e := range w.extents {
		foot = binary.AppendUvarint(foot, uint64(e.size))
		foot = append(foot, byte(e.width))
	}
	for at := 0; at < body; at += pageSize {
		foot = binary.LittleEndian.AppendUint32(foot, checksum(w.b[at:min(at+pageSize, body)]))
	}
	w.b = append(w.b, foot...)
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(foot)))
	tail = binary.LittleEndian.AppendUint32(tail, checksum(foot))
	w.b = append(append(w.b, tail...), endMagic...)
	return w.b
}

// mapped is a block's file in memory, with what was looked at so far.
type mapped struct {
	b      []byte
	sums   []byte          // a checksum a page
	good   []atomic.Uint64 // by page: it matches its checksum
	broken atomic.Bool     // a page does not: the block is not used any more
}

var (
	errOther   = errors.New("it belongs to another segment")
	errVersion = errors.New("it has another version")
	errDamaged = errors.New("it is not as it was written")
)

// DamageError says that a block is not as it was written. Nothing is lost: the segment is read instead.
type DamageError struct{ Name string }

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s %v: remove it, and it is built again", e.Name, errDamaged)
}

// parse reads the footer of a block's file.
func parse(b []byte, segment ledger.SegmentID) (*Block, error) {
	if len(b) < headSize+tailSize || len(b) > maxFile || string(b[:8]) != magic || string(b[len(b)-8:]) != endMagic {
		return nil, errDamaged
	}
	if checksum(b[:headSize-4]) != binary.LittleEndian.Uint32(b[headSize-4:]) {
		return nil, errDamaged
	}
	if binary.LittleEndian.Uint32(b[8:]) != version {
		return nil, errVersion
	}
	if string(b[12:12+len(segment)]) != string(segment[:]) {
		return nil, errOther
	}
	tail := b[len(b)-tailSize:]
	size := int(binary.LittleEndian.Uint32(tail))
	body := len(b) - tailSize - size
	if body < headSize || checksum(b[body:len(b)-tailSize]) != binary.LittleEndian.Uint32(tail[4:]) {
		return nil, errDamaged
	}
	blk := &Block{file: mapped{b: b[:body]}, sum: binary.LittleEndian.Uint32(tail[4:])}
	d := decoder{b: b[body : len(b)-tailSize]}
	h := &blk.head
	var shapeBits, limit int
	for _, n := range [...]*int{
		&h.rows, &h.accesses, &h.origins, &h.shapes, &shapeBits, &limit, &h.ints, &h.texts, &h.v4, &h.v6, &h.asns, &h.places,
		&h.principals, &h.ties,
	} {
		*n = d.count(1 << 32)
	}
	h.firstSeq = d.uvarint()
	for c := range h.runs {
		h.runs[c] = d.count(1 << 32)
	}
	h.shapeBits, h.limit = uint(shapeBits), uint64(limit)
	h.minTime, h.maxTime = d.varint(), d.varint()
	h.coded = len(d.take(1)) == 1 && b[len(b)-tailSize-len(d.b)-1] == 1
	for m := range h.dicts {
		h.dicts[m] = d.count(1 << 31)
		kind := d.take(1)
		h.columns[m] = columnHead{byIP: len(kind) == 1 && kind[0] == 1, base: uint32(d.count(1 << 31)), others: d.count(1 << 31)}
	}
	at := headSize
	for s := range blk.extents {
		e := extent{at: at, size: d.count(body - at)}
		if w := d.take(1); len(w) == 1 {
			e.width = uint(w[0])
		}
		blk.extents[s] = e
		at += e.size
	}
	pages := (body + pageSize - 1) / pageSize
	blk.file.sums = d.take(4 * pages)
	if d.bad || len(d.b) > 0 || at != body || !blk.fits() {
		return nil, errDamaged
	}
	blk.file.good = make([]atomic.Uint64, (pages+63)/64)
	return blk, nil
}

// fits reports whether every section is as long as its numbers need, and makes those of rows ready.
func (b *Block) fits() bool {
	fit := func(s section, n int) bool {
		e := &b.extents[s]
		return (e.width <= maxWidth || e.width == 64) && n >= 0 && packedSize(n, e.width) <= e.size
	}
	h := &b.head
	ok := h.shapes > 0 && h.shapes <= maxShapes && h.shapeBits == widthOf(uint64(h.shapes-1)) && h.rows <= maxRows && h.origins <= h.rows &&
		h.minTime <= h.maxTime && h.minTime >= -maxTime && h.maxTime <= maxTime && h.asns <= h.rows && h.v4 <= h.rows && h.v6 <= h.rows
	for m := range members {
		if m != memberIP && m != memberASN {
			ok = ok && fit(sectionDict+section(m), h.dicts[m]+1)
		}
		if m != memberKey && m != memberIP {
			ok = ok && b.fitColumn(m)
		}
	}
	for s, n := range map[section]int{
		sectionASN: h.asns, sectionShapes: h.shapes + 1, sectionInts: h.ints, sectionTexts: h.texts + 1,
		sectionWho: h.rows, sectionTime: h.rows, sectionPrincipals: h.principals + 1, sectionTieRows: h.ties, sectionTieSeqs: h.ties,
	} {
		ok = ok && fit(s, n)
	}
	for c, n := range h.runs {
		e := &b.extents[sectionRow+section(c)]
		ok = ok && n <= h.rows && (e.width <= maxWidth || e.width == 64) && runsSize(h.rows, n, e.width) <= e.size
	}
	if !ok || b.extents[sectionV6].size != 16*h.v6 || b.extents[sectionWho].width < h.shapeBits {
		return false
	}
	b.open()
	return true
}

// fitColumn is fits for a member's codes.
func (b *Block) fitColumn(m member) bool {
	e, c := b.extents[sectionMember+section(m)], b.head.columns[m]
	if e.width > 32 {
		return false
	}
	if !c.byIP {
		return c.others == 0 && packedSize(b.head.origins, e.width) <= e.size
	}
	which := packedSize(c.others, widthOf(uint64(b.head.origins)))
	return c.base == 0 && packedSize(int(b.ips()), e.width)+which+packedSize(c.others, e.width) <= e.size
}

// check looks at the checksums of the bytes from lo up to hi of a section.
func (b *Block) check(s section, lo, hi int) error {
	f := &b.file
	at := b.extents[s].at
	hi = min(hi, b.extents[s].size)
	if lo >= hi {
		return nil
	}
	if f.ask(at+lo, at+hi) {
		wait(f.b, at+lo, at+hi)
	}
	for page := (at + lo) >> pageBits; page <= (at+hi-1)>>pageBits; page++ {
		word, bit := &f.good[page/64], uint64(1)<<(page%64)
		if word.Load()&bit != 0 {
			continue
		}
		from := page << pageBits
		if f.broken.Load() || checksum(f.b[from:min(from+pageSize, len(f.b))]) != binary.LittleEndian.Uint32(f.sums[4*page:]) {
			f.broken.Store(true)
			return &DamageError{b.name}
		}
		word.Or(bit)
	}
	return nil
}

// ask has the system read bytes that were not looked at yet, if they are many. It reports whether it did.
func (f *mapped) ask(lo, hi int) bool {
	first, last := lo>>pageBits, (hi-1)>>pageBits
	if last-first < 2 || f.read(last) && f.read(first) { // two are read as fast by touching them
		return false
	}
	want(f.b, lo, hi)
	return true
}

// read reports whether a page was looked at.
func (f *mapped) read(page int) bool { return f.good[page/64].Load()>>(page%64)&1 != 0 }

// whole is check of all of a section.
func (b *Block) whole(s section) error { return b.check(s, 0, b.extents[s].size) }
