package ledger

import (
	"encoding/binary"
	"fmt"
)

// A sealed segment is a file of sections, each compressed and checksummed for itself, with a
// footer that says what they are and what they cover. docs/formats/ledger.md has the bytes.
const (
	segmentVersion  = 2 // 1 has no pages
	segmentOldest   = 1
	segmentMagic    = "whosawSG"
	segmentEndMagic = "whosawSE"
	segmentHead     = 16
	segmentTail     = 16
	secretSize      = 32

	// MaxSegmentRecords is the most that Config.SegmentRecords may be.
	MaxSegmentRecords = 1 << 24

	maxSubjects = 1 << 28 // of all rows; maxLog keeps below it
	maxSection  = 1 << 31 // bytes, not compressed
	maxFooter   = 1 << 30
)

// The ways a section is stored.
const (
	storedPlain = 0
	storedZstd  = 1
	storedPages = 2 // see pages.go
)

// sectionInfo says where a section lies.
type sectionInfo struct {
	id     uint8
	method uint8
	offset int64
	stored int // bytes in the file
	size   int // bytes when uncompressed; of pages: how many strings
	sum    uint32
}

// footer is what is known of a segment without reading its sections.
type footer struct {
	first    uint64
	accesses int
	spans    spans
	secret   [secretSize]byte
	sections []sectionInfo // in the order of their ids
}

// segmentWriter writes the sections of a segment one after the other.
type segmentWriter struct {
	f      file
	zip    *compressor
	footer footer
	end    int64  // of what was made
	buffer []byte // made and not yet written
	raw    []byte // the section that is being made
	err    error
}

// writeSegment writes a whole segment of the records in a part that no longer grows.
func writeSegment(f file, zip *compressor, o *openPart, secret [secretSize]byte) error {
	w := &segmentWriter{f: f, zip: zip, footer: footer{first: o.first, accesses: o.accesses, spans: o.spans, secret: secret}}
	head := append(make([]byte, 0, segmentHead), segmentMagic...)
	head = binary.LittleEndian.AppendUint32(head, segmentVersion)
	head = binary.LittleEndian.AppendUint32(head, checksum(head))
	w.write(head)
	w.references(o)
	w.accesses(o)
	foot := w.footer.append(nil)
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(foot)))
	tail = binary.LittleEndian.AppendUint32(tail, checksum(foot))
	w.write(foot)
	w.write(append(tail, segmentEndMagic...))
	w.flush()
	return w.err
}

func (w *segmentWriter) write(b []byte) {
	w.end += int64(len(b))
	w.buffer = append(w.buffer, b...)
	if len(w.buffer) >= 1<<20 {
		w.flush()
	}
}

func (w *segmentWriter) flush() {
	if w.err == nil {
		_, w.err = w.f.WriteAt(w.buffer, w.end-int64(len(w.buffer)))
	}
	w.buffer = w.buffer[:0]
}

// section writes what was made in w.raw.
func (w *segmentWriter) section(c column, kind uint8) {
	if len(w.raw) > maxSection && w.err == nil {
		w.err = fmt.Errorf("section %d would be of %d bytes: make segments smaller", c, len(w.raw))
	}
	if w.err != nil {
		return
	}
	info := sectionInfo{id: c.section(kind), method: storedZstd, offset: w.end, size: len(w.raw)}
	out, err := w.zip.compress(w.raw)
	if err != nil {
		w.err = err
		return
	}
	if len(out) >= len(w.raw) {
		info.method, out = storedPlain, w.raw
	}
	info.stored, info.sum = len(out), checksum(out)
	w.footer.sections = append(w.footer.sections, info)
	w.write(out)
}

func (w *segmentWriter) references(o *openPart) {
	if len(o.refs) == 0 {
		return
	}
	gaps, sizes := make([]uint64, len(o.refs)), make([]uint64, len(o.refs))
	last := o.first - 1
	for i, r := range o.refs {
		gaps[i], sizes[i], last = r.seq-last-1, uint64(len(r.bytes)), r.seq
	}
	w.raw = appendPlanes(w.raw[:0], gaps)
	w.section(columnReferences, sectionRows)
	w.raw = appendPlanes(w.raw[:0], sizes)
	for _, r := range o.refs {
		w.raw = append(w.raw, r.bytes...)
	}
	w.section(columnReferences, sectionDict)
}

// accesses writes the columns. Columns that are missing in every row are left out.
func (w *segmentWriter) accesses(o *openPart) {
	if o.accesses == 0 {
		return
	}
	e := &columnEncoder{w: w, c: o.chunk()}
	e.times()
	e.strings(columnRealm, e.c.Realm)
	e.strings(columnSource, e.c.Source)
	e.positions()
	e.subjects()
	e.principals()
	e.strings(columnCredential, e.c.Credential)
	if e.rows(columnIP, e.c.IP.Codes, len(e.c.IP.Dict)) {
		w.raw = appendAddrs(w.raw[:0], e.c.IP.Dict[1:])
		w.section(columnIP, sectionDict)
	}
	numbers(e, columnASN, e.c.ASN)
	e.strings(columnCountry, e.c.Country)
	e.strings(columnAgent, e.c.Agent)
	e.strings(columnTLS, e.c.TLS)
	e.strings(columnClient, e.c.Client)
	e.strings(columnKey, e.c.Key)
	e.strings(columnRoute, e.c.Route)
	numbers(e, columnStatus, e.c.Status)
	numbers(e, columnOutcome, e.c.Outcome)
	e.sets(columnFields, e.c.Fields)
	e.sets(columnMasked, e.c.Masked)
	e.integers(columnOthers, e.c.Others)
	e.integers(columnBytes, e.c.Bytes)
	e.strings(columnID, e.c.ID)
	e.strings(columnReason, e.c.Reason)
	e.strings(columnRequest, e.c.Request)
}
