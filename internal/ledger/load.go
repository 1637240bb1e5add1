package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

// segmentLoader reads columns of one segment. Each section is read once, and only if asked for.
type segmentLoader struct {
	seg   *segment
	file  *os.File
	zip   *zstd.Decoder
	n     int // accesses
	zeros []uint32

	known    [columns]coded
	derived  []uint32 // of columnPrincipal, see rows
	prefix   string
	starts   []uint32    // of the subjects of each row
	subjects []uint32    // codes of the subjects of all rows
	ids      []SubjectID // of those codes
	names    []string
}

func newSegmentLoader(seg *segment, zip *zstd.Decoder) (*segmentLoader, error) {
	f, err := openSegmentFile(seg.name)
	if err != nil {
		return nil, err
	}
	return &segmentLoader{seg: seg, file: f, zip: zip, n: seg.accesses}, nil
}

func (l *segmentLoader) Close() error { return l.file.Close() }

// info says where a section lies; nil if the segment has none.
func (s *segment) info(c column, kind uint8) *sectionInfo {
	id := c.section(kind)
	for i := range s.sections {
		if s.sections[i].id == id {
			return &s.sections[i]
		}
	}
	return nil
}

// section reads a section; ok is false if the segment has none, as where every row is missing. Of pages it gives
// what is stored.
func (l *segmentLoader) section(c column, kind uint8) (d *reader, ok bool, err error) {
	id := c.section(kind)
	if info := l.seg.info(c, kind); info != nil {
		b := make([]byte, info.stored)
		if err := readAt(l.file, b, info.offset); err != nil {
			return nil, false, err
		}
		if checksum(b) != info.sum {
			return nil, false, l.seg.damage(info.offset, fmt.Sprintf("section %d does not match its checksum", id))
		}
		if info.method == storedZstd {
			if b, err = l.zip.DecodeAll(b, make([]byte, 0, info.size)); err != nil {
				return nil, false, l.seg.damage(info.offset, fmt.Sprintf("section %d does not decompress: %v", id, err))
			}
		}
		if len(b) != info.size && info.method != storedPages {
			return nil, false, l.seg.damage(info.offset, fmt.Sprintf("section %d has not the length it should have", id))
		}
		return &reader{s: text(b)}, true, nil
	}
	return &reader{}, false, nil
}

// fault makes of what is wrong with a section an error that names the place.
func (l *segmentLoader) fault(c column, kind uint8, err error) error {
	id := c.section(kind)
	if info := l.seg.info(c, kind); info != nil {
		return l.seg.damage(info.offset, fmt.Sprintf("section %d %v", id, err))
	}
	return l.seg.damage(l.seg.size-segmentTail, fmt.Sprintf("section %d is not there", id))
}

// end checks that a section was read to its end without a fault.
func (l *segmentLoader) end(c column, kind uint8, d *reader) error {
	if d.err == nil && len(d.s) > 0 {
		d.err = errNotCanonical
	}
	if d.err != nil {
		return l.fault(c, kind, d.err)
	}
	return nil
}

// missing gives rows that are all missing.
func (l *segmentLoader) missing() []uint32 {
	if l.zeros == nil {
		l.zeros = make([]uint32, l.n)
	}
	return l.zeros
}

// load reads the columns asked for. refs are the segment's records that are no accesses: their
// sequences are those that the accesses do not have.
func (l *segmentLoader) load(ctx context.Context, cols Columns, refs []refRow) (*Chunk, error) {
	if l.n == 0 {
		return newOpenPart(l.seg.first, nil).chunk().only(cols), nil
	}
	c := &Chunk{N: l.n}
	c.Seq = make([]uint64, 0, l.n)
	for seq := l.seg.first; len(c.Seq) < l.n; seq++ {
		if len(refs) > 0 && refs[0].seq == seq {
			refs = refs[1:]
			continue
		}
		c.Seq = append(c.Seq, seq)
	}
	steps := []struct {
		cols Columns
		read func() error
	}{
		{ColAll, func() error { return l.times(c) }},
		{ColRealm, func() error { return l.strings(columnRealm, &c.Realm) }},
		{ColSource, func() error { return l.strings(columnSource, &c.Source) }},
		{ColRoute, func() error { return l.strings(columnRoute, &c.Route) }},
		{ColFields, func() error { return l.sets(columnFields, &c.Fields) }},
		{ColMasked, func() error { return l.sets(columnMasked, &c.Masked) }},
		{ColStatus, func() (err error) { c.Status, err = loadNumbers[uint16](l, columnStatus); return err }},
		{ColOutcome, func() (err error) { c.Outcome, err = loadNumbers[uint8](l, columnOutcome); return err }},
		{ColPrincipal, func() error { return l.principals(&c.Principal) }},
		{ColCredential, func() error { return l.strings(columnCredential, &c.Credential) }},
		{ColKey, func() error { return l.strings(columnKey, &c.Key) }},
		{ColClient, func() error { return l.strings(columnClient, &c.Client) }},
		{ColIP, func() error { return l.addrs(&c.IP) }},
		{ColCountry, func() error { return l.strings(columnCountry, &c.Country) }},
		{ColASN, func() (err error) { c.ASN, err = loadNumbers[uint32](l, columnASN); return err }},
		{ColAgent, func() error { return l.strings(columnAgent, &c.Agent) }},
		{ColTLS, func() error { return l.strings(columnTLS, &c.TLS) }},
		{ColSubjects, func() error { return l.loadSubjects(c) }},
		{ColOthers, func() (err error) { c.Others, err = l.integers(columnOthers); return err }},
		{ColRest, func() error { return l.rest(c) }},
	}
	for _, s := range steps {
		if cols&s.cols == 0 && s.cols != ColAll {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.read(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (l *segmentLoader) times(c *Chunk) error {
	d, ok, err := l.section(columnTime, sectionRows)
	if err != nil {
		return err
	}
	if !ok {
		return l.fault(columnTime, sectionRows, nil)
	}
	t := unzigzag(d.uvarint())
	gaps := planes[uint64](d, l.n-1)
	if err := l.end(columnTime, sectionRows, d); err != nil {
		return err
	}
	c.Time = make([]int64, l.n)
	c.Time[0] = t
	for i, g := range gaps {
		t += unzigzag(g)
		c.Time[i+1] = t
	}
	return nil
}

func (l *segmentLoader) integers(c column) ([]int64, error) {
	out := make([]int64, l.n)
	d, ok, err := l.section(c, sectionRows)
	if err != nil || !ok {
		return out, err
	}
	values := planes[uint64](d, l.n)
	if err := l.end(c, sectionRows, d); err != nil {
		return nil, err
	}
	for i, v := range values {
		out[i] = unzigzag(v)
	}
	return out, nil
}

// rows gives the codes of a column, and of the columns that foretell it.
func (l *segmentLoader) rows(c column) (coded, error) {
	if l.known[c].codes != nil {
		return l.known[c], nil
	}
	if c == columnSubject {
		if err := l.subjectRows(); err != nil {
			return coded{}, err
		}
		return l.known[c], nil
	}
	out := coded{l.missing(), 1}
	d, ok, err := l.section(c, sectionRows)
	if err != nil {
		return coded{}, err
	}
	if ok {
		var prefix string
		var derived []uint32
		if out, prefix, derived, err = l.codes(d, l.n, c); err != nil {
			return coded{}, err
		}
		if c == columnPrincipal {
			l.prefix, l.derived = prefix, derived
		} else if derived != nil {
			return coded{}, l.fault(c, sectionRows, errCodes)
		}
	}
	l.known[c] = out
	return out, nil
}

// codes reads the rows of a column from its section.
func (l *segmentLoader) codes(d *reader, n int, c column) (out coded, prefix string, derived []uint32, err error) {
	out, prefix, derived = d.rows(n, c, func(of column) (coded, error) {
		var known coded
		known, err = l.rows(of)
		return known, err
	})
	if d.err != nil && err == nil { // else the fault lies in the other column, and err names it
		err = l.fault(c, sectionRows, d.err)
	}
	return out, prefix, derived, err
}

// dict reads the dictionary of a column: n values, as its rows say.
func (l *segmentLoader) dict(c column, n int, read func(d *reader)) error {
	if n == 0 {
		return nil
	}
	d, ok, err := l.section(c, sectionDict)
	if err != nil {
		return err
	}
	if !ok {
		return l.fault(c, sectionDict, nil)
	}
	read(d)
	return l.end(c, sectionDict, d)
}

func (l *segmentLoader) strings(c column, out *Strings) error {
	rows, err := l.rows(c)
	if err != nil {
		return err
	}
	*out = Strings{Dict: missingOnly, Codes: rows.codes}
	return l.dict(c, rows.size-1, func(d *reader) {
		if info := l.seg.info(c, sectionDict); info.method == storedPages {
			out.Dict = d.pages([]string{""}, rows.size-1, l.zip)
		} else {
			out.Dict = d.dictionary([]string{""}, rows.size-1)
		}
	})
}

func (l *segmentLoader) sets(c column, out *Sets) error {
	rows, err := l.rows(c)
	if err != nil {
		return err
	}
	*out = Sets{Dict: [][]string{nil}, Codes: rows.codes}
	return l.dict(c, rows.size-1, func(d *reader) { out.Dict = d.sets(rows.size - 1) })
}

func (l *segmentLoader) addrs(out *Addrs) error {
	rows, err := l.rows(columnIP)
	if err != nil {
		return err
	}
	*out = Addrs{Dict: make([]netip.Addr, 1), Codes: rows.codes}
	return l.dict(columnIP, rows.size-1, func(d *reader) { out.Dict = d.addrs(rows.size - 1) })
}

func loadNumbers[T uint8 | uint16 | uint32](l *segmentLoader, c column) ([]T, error) {
	rows, err := l.rows(c)
	if err != nil {
		return nil, err
	}
	dict := []T{0}
	err = l.dict(c, rows.size-1, func(d *reader) {
		d.expect(rows.size - 1)
		for _, v := range planes[uint32](d, rows.size-1) {
			if uint32(T(v)) != v {
				d.fail(errNotCanonical)
			}
			dict = append(dict, T(v))
		}
	})
	if err != nil {
		return nil, err
	}
	out := make([]T, l.n)
	for i, code := range rows.codes {
		out[i] = dict[code]
	}
	return out, nil
}

// subjectRows reads which subjects the rows name, as codes.
func (l *segmentLoader) subjectRows() error {
	l.starts = make([]uint32, l.n+1)
	d, ok, err := l.section(columnSubjects, sectionRows)
	if err != nil {
		return err
	}
	if !ok {
		l.known[columnSubject] = coded{l.missing(), 1}
		return nil
	}
	counts := planes[uint32](d, l.n)
	if err := l.end(columnSubjects, sectionRows, d); err != nil {
		return err
	}
	total := uint64(0)
	for i, n := range counts {
		if total += uint64(n); total > maxSubjects {
			return l.fault(columnSubjects, sectionRows, errNotCanonical)
		}
		l.starts[i+1] = uint32(total)
	}
	if d, ok, err = l.section(columnSubject, sectionRows); err != nil || !ok {
		if err == nil {
			err = l.fault(columnSubject, sectionRows, nil)
		}
		return err
	}
	all, _, _, err := l.codes(d, int(total), columnSubject)
	if err != nil {
		return err
	}
	for _, code := range all.codes {
		if code == 0 {
			return l.fault(columnSubject, sectionRows, errCodes)
		}
	}
	l.subjects = all.codes
	l.known[columnSubject] = coded{firstOf(all.codes, l.starts, make([]uint32, l.n)), all.size}
	return nil
}

// subjectDict reads who the subjects are.
func (l *segmentLoader) subjectDict() error {
	rows, err := l.rows(columnSubject)
	if err != nil || l.ids != nil {
		return err
	}
	l.ids = []SubjectID{0}
	return l.dict(columnSubject, rows.size-1, func(d *reader) {
		d.expect(rows.size - 1)
		kinds := planes[uint8](d, rows.size-1)
		names := 0
		for _, k := range kinds {
			if names += int(k); k > 1 {
				d.fail(errNotCanonical)
				return
			}
		}
		integers := planes[uint64](d, len(kinds)-names)
		l.names = d.dictionary(nil, names)
		if d.err != nil {
			return
		}
		name := SubjectString
		for _, k := range kinds {
			if k == 1 {
				l.ids = append(l.ids, name)
				name++
				continue
			}
			if integers[0] >= uint64(SubjectString) {
				d.fail(errNotCanonical)
				return
			}
			l.ids, integers = append(l.ids, SubjectID(integers[0])), integers[1:]
		}
	})
}

func (l *segmentLoader) loadSubjects(c *Chunk) error {
	if err := l.subjectDict(); err != nil {
		return err
	}
	c.SubjectStart, c.SubjectStrings = l.starts, l.names
	c.SubjectIDs = make([]SubjectID, len(l.subjects))
	for i, code := range l.subjects {
		c.SubjectIDs[i] = l.ids[code]
	}
	return nil
}

// principals are strings of which some are derived from the subject of the row where they came first.
func (l *segmentLoader) principals(out *Strings) error {
	rows, err := l.rows(columnPrincipal)
	if err != nil || l.derived == nil {
		if err == nil {
			err = l.strings(columnPrincipal, out)
		}
		return err
	}
	if err := l.subjectDict(); err != nil {
		return err
	}
	literals := 0
	for _, subject := range l.derived[1:] {
		if subject == 0 {
			literals++
		}
	}
	var literal []string
	err = l.dict(columnPrincipal, literals, func(d *reader) { literal = d.dictionary(nil, literals) })
	if err != nil {
		return err
	}
	dict := make([]string, 1, rows.size)
	var keep arena
	var text []byte
	for _, subject := range l.derived[1:] {
		if subject == 0 {
			dict, literal = append(dict, literal[0]), literal[1:]
			continue
		}
		text = append(text[:0], l.prefix...)
		if id := l.ids[subject]; id < SubjectString {
			text = strconv.AppendUint(text, uint64(id), 10)
		} else {
			text = append(text, l.names[id&^SubjectString]...)
		}
		dict = append(dict, keep.keep(unsafe.String(unsafe.SliceData(text), len(text))))
	}
	*out = Strings{Dict: dict, Codes: rows.codes}
	return nil
}

// rest reads what no filter asks for.
func (l *segmentLoader) rest(c *Chunk) error {
	err := l.strings(columnID, &c.ID)
	if err == nil {
		err = l.strings(columnReason, &c.Reason)
	}
	if err == nil {
		err = l.strings(columnRequest, &c.Request)
	}
	if err == nil {
		c.Bytes, err = l.integers(columnBytes)
	}
	var source coded
	if err == nil {
		source, err = l.rows(columnSource)
	}
	if err == nil {
		c.Position, err = l.integers(columnPosition)
	}
	if err != nil {
		return err
	}
	last := make([]int64, source.size)
	for i, step := range c.Position {
		s := source.codes[i]
		last[s] += step
		c.Position[i] = last[s]
	}
	return nil
}

// references reads the records that are not accesses, or only their sequences.
func (l *segmentLoader) references(sequences bool) ([]refRow, error) {
	n := l.seg.spans.records - l.n
	if n == 0 {
		return nil, nil
	}
	d, ok, err := l.section(columnReferences, sectionRows)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, l.fault(columnReferences, sectionRows, nil)
	}
	refs, last := make([]refRow, n), l.seg.first-1
	gaps := planes[uint64](d, n)
	for i, gap := range gaps {
		if last >= l.seg.last() || gap > l.seg.last()-last-1 {
			d.fail(errNotCanonical)
			break
		}
		last += gap + 1
		refs[i].seq = last
	}
	if err := l.end(columnReferences, sectionRows, d); err != nil || sequences {
		return refs, err
	}
	if d, ok, err = l.section(columnReferences, sectionDict); err != nil {
		return nil, err
	}
	if !ok {
		return nil, l.fault(columnReferences, sectionDict, nil)
	}
	sizes := planes[uint64](d, n)
	for i, size := range sizes {
		refs[i].bytes = d.take(size)
	}
	return refs, l.end(columnReferences, sectionDict, d)
}
