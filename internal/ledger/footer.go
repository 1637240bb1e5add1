package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"
)

// append appends the footer's bytes.
func (f *footer) append(b []byte) []byte {
	s := &f.spans
	b = binary.AppendUvarint(b, f.first)
	b = binary.AppendUvarint(b, uint64(s.records))
	b = binary.AppendUvarint(b, uint64(f.accesses))
	b = s.time.append(b)
	b = binary.AppendUvarint(b, uint64(s.withID))
	b = s.idTime.append(b)
	b = append(b, f.secret[:]...)
	b = binary.AppendUvarint(b, uint64(len(s.sources)))
	for i := range s.sources {
		of := &s.sources[i]
		b = binary.AppendUvarint(b, uint64(len(of.source)))
		b = append(b, of.source...)
		b = binary.AppendUvarint(b, uint64(of.records))
		b = of.position.append(of.time.append(b))
	}
	b = binary.AppendUvarint(b, uint64(len(f.sections)))
	for _, s := range f.sections {
		b = append(b, s.id, s.method)
		b = binary.AppendUvarint(b, uint64(s.stored))
		b = binary.AppendUvarint(b, uint64(s.size))
		b = binary.LittleEndian.AppendUint32(b, s.sum)
	}
	return b
}

func (s span) append(b []byte) []byte {
	b = binary.AppendUvarint(b, zigzag(s.min))
	return binary.AppendUvarint(b, zigzag(s.max))
}

func (d *reader) span() span {
	s := span{min: unzigzag(d.uvarint())}
	s.max = unzigzag(d.uvarint())
	return s
}

// upTo reads a number that is at most most.
func (d *reader) upTo(most int) int {
	n := d.uvarint()
	if d.err == nil && n > uint64(most) {
		d.fail(errNotCanonical)
		return 0
	}
	return int(n)
}

// parseFooter reads a footer; end is where the sections end.
func parseFooter(s string, end int64) (*footer, error) {
	d := &reader{s: s}
	f := &footer{first: d.uvarint()}
	sp := &f.spans
	sp.records = d.upTo(MaxSegmentRecords)
	f.accesses = d.upTo(sp.records)
	sp.time = d.span()
	sp.withID = d.upTo(sp.records)
	sp.idTime = d.span()
	copy(f.secret[:], d.take(secretSize))
	sources := d.upTo(sp.records)
	sp.index = make(map[string]int, min(sources, len(d.s)))
	for i := 0; i < sources && d.err == nil; i++ {
		of := sourceSpan{source: d.take(d.uvarint()), records: d.upTo(sp.records)}
		of.time, of.position = d.span(), d.span()
		if _, twice := sp.index[of.source]; twice {
			d.fail(errNotCanonical)
		}
		sp.index[of.source] = i
		sp.sources = append(sp.sources, of)
	}
	offset, last := int64(segmentHead), uint8(0)
	for n := d.upTo(2 * columns); n > 0 && d.err == nil; n-- {
		info := sectionInfo{id: d.byte(), method: d.byte(), offset: offset}
		info.stored, info.size = d.upTo(maxSection), d.upTo(maxSection)
		if sum := d.take(4); d.err == nil {
			info.sum = binary.LittleEndian.Uint32([]byte(sum))
		}
		if info.id <= last || info.id>>1 >= columns || info.method > storedPages || info.method == storedPlain && info.stored != info.size {
			d.fail(errNotCanonical)
		}
		offset, last = offset+int64(info.stored), info.id
		f.sections = append(f.sections, info)
	}
	switch {
	case d.err != nil:
		return nil, d.err
	case len(d.s) > 0:
		return nil, errNotCanonical
	case offset != end:
		return nil, errors.New("names sections that do not fill the file")
	case f.first == 0 || sp.records == 0:
		return nil, errors.New("says that there are no records")
	}
	return f, nil
}

// segment is a sealed segment: what its footer says. It holds no file open.
type segment struct {
	footer
	id      SegmentID
	version uint32
	name    string
	size    int64
}

// openSegment reads the footer of a segment.
func openSegment(name string) (*segment, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w%s", err, cure(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s := &segment{name: name, size: info.Size()}
	if s.size < segmentHead+segmentTail {
		return nil, s.damage(s.size, "the file ends too early")
	}
	var head [segmentHead]byte
	var tail [segmentTail]byte
	if err := readAt(file, head[:], 0); err != nil {
		return nil, err
	}
	if err := readAt(file, tail[:], s.size-segmentTail); err != nil {
		return nil, err
	}
	switch version := binary.LittleEndian.Uint32(head[8:]); {
	case string(head[:8]) != segmentMagic:
		return nil, s.damage(0, "this is not a segment of a ledger")
	case binary.LittleEndian.Uint32(head[12:]) != checksum(head[:12]):
		return nil, s.damage(0, "the header does not match its checksum")
	case version < segmentOldest || version > segmentVersion:
		return nil, &NewerError{File: name, Version: version}
	case string(tail[8:]) != segmentEndMagic:
		return nil, s.damage(s.size-segmentTail, "the file does not end as a segment does")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	at := s.size - segmentTail - n
	if n > maxFooter || at < segmentHead {
		return nil, s.damage(s.size-segmentTail, "the footer's length cannot be")
	}
	b := make([]byte, n)
	if err := readAt(file, b, at); err != nil {
		return nil, err
	}
	if checksum(b) != binary.LittleEndian.Uint32(tail[4:]) {
		return nil, s.damage(at, "the footer does not match its checksum")
	}
	f, err := parseFooter(text(b), at)
	if err != nil {
		return nil, s.damage(at, "the footer "+err.Error())
	}
	s.footer, s.version = *f, binary.LittleEndian.Uint32(head[8:])
	sum := sha256.Sum256(b)
	s.id = SegmentID(sum[:])
	if partName(filepath.Dir(name), s.first, segmentSuffix) != name {
		return nil, s.damage(at, "the footer names another first sequence than the file's name")
	}
	return s, nil
}

func (s *segment) damage(offset int64, what string) error {
	d := &DamageError{File: s.name, Offset: offset, What: what}
	if s.first > 0 && s.spans.records > 0 {
		d.First, d.Last = s.first, s.last()
	}
	return d
}

// last is the segment's last sequence.
func (s *segment) last() uint64 { return s.first + uint64(s.spans.records) - 1 }

func readAt(f *os.File, b []byte, offset int64) error {
	if _, err := f.ReadAt(b, offset); err != nil {
		if err == io.EOF {
			return &DamageError{File: f.Name(), Offset: offset, What: "the file ends before what lies here: it was cut short"}
		}
		return fmt.Errorf("read %s: %w%s", f.Name(), err, cure(err))
	}
	return nil
}

// text gives bytes that nobody will write to any more as a string.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
