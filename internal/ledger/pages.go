package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A dictionary in pages: a table with the end and the checksum of each page, the table's own checksum, then the pages, each with
// pageStrings strings (the last with fewer) as appendDictionary writes them, behind a byte that says how they are stored. So a
// string is read by its code without what lies around it.
const (
	pageStrings = 128
	maxPage     = pageStrings * MaxRecord // bytes, not compressed
)

// pageEntry is the size of a page's entry in the table: its end, from the end of the table on, and its checksum, which is over the
// page's number too.
const pageEntry = 8

func pagesOf(strings int) int { return (strings + pageStrings - 1) / pageStrings }

func tableSize(strings int) int { return pagesOf(strings)*pageEntry + 4 }

func pageSum(number int, b []byte) uint32 {
	return updateChecksum(checksum(binary.LittleEndian.AppendUint32(nil, uint32(number))), b)
}

// pages writes a dictionary in pages.
func (w *segmentWriter) pages(c column, values []string) {
	table, body := make([]byte, 0, tableSize(len(values))), []byte(nil)
	for i := 0; i < len(values) && w.err == nil; i += pageStrings {
		start := len(body)
		w.raw = appendDictionary(w.raw[:0], values[i:min(i+pageStrings, len(values))])
		out, err := w.zip.frequencies(w.zip.a[:0], w.raw)
		if err != nil {
			w.err = err
			return
		}
		w.zip.a = out
		if len(out) < len(w.raw) {
			body = append(append(body, storedZstd), out...)
		} else {
			body = append(append(body, storedPlain), w.raw...)
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(len(body)))
		table = binary.LittleEndian.AppendUint32(table, pageSum(i/pageStrings, body[start:]))
	}
	if w.err == nil && len(body) > maxSection {
		w.err = fmt.Errorf("section %d would be of %d bytes: make segments smaller", c, len(body))
	}
	if w.err != nil {
		return
	}
	table = binary.LittleEndian.AppendUint32(table, checksum(table))
	info := sectionInfo{
		id: c.section(sectionDict), method: storedPages, offset: w.end, stored: len(table) + len(body), size: len(values),
		sum: updateChecksum(checksum(table), body),
	}
	w.footer.sections = append(w.footer.sections, info)
	w.write(table)
	w.write(body)
}

// pages reads the n strings of a dictionary in pages, behind the given beginning.
func (d *reader) pages(values []string, n int, zip *zstd.Decoder) []string {
	table := d.take(uint64(tableSize(n)))
	if d.err != nil {
		return nil
	}
	if sum := len(table) - 4; checksum([]byte(table[:sum])) != binary.LittleEndian.Uint32([]byte(table[sum:])) {
		d.fail(errPages)
		return nil
	}
	begin := uint32(0)
	for i := range pagesOf(n) {
		entry := []byte(table[i*pageEntry : (i+1)*pageEntry])
		end := binary.LittleEndian.Uint32(entry)
		if end < begin {
			d.fail(errPages)
			return nil
		}
		page := d.take(uint64(end - begin))
		begin = end
		if d.err != nil {
			return nil
		}
		if pageSum(i, []byte(page)) != binary.LittleEndian.Uint32(entry[4:]) {
			d.fail(errPages)
			return nil
		}
		if page = d.unzip(page, zip); d.err == nil {
			values = d.page(values, page, min(pageStrings, n-i*pageStrings), all)
		}
	}
	return values
}

var errPages = errors.New("has a page that is not as it was written")

// unzip gives the strings of a page as appendDictionary wrote them.
func (d *reader) unzip(page string, zip *zstd.Decoder) string {
	if page == "" || page[0] > storedZstd {
		d.fail(errPages)
		return ""
	}
	if page[0] != storedZstd {
		return page[1:]
	}
	frame := []byte(page[1:])
	var head zstd.Header // the decompressor goes by the room that it is given, so the frame is asked for its size
	if err := head.Decode(frame); err != nil || !head.HasFCS || head.FrameContentSize > maxPage {
		d.fail(errPages)
		return ""
	}
	b, err := zip.DecodeAll(frame, make([]byte, 0, head.FrameContentSize))
	if err != nil {
		d.fail(errPages)
		return ""
	}
	return text(b)
}

// page reads the n strings of a page, or only one of them.
func (d *reader) page(values []string, page string, n, only int) []string {
	in := reader{s: page}
	values = in.some(values, n, only)
	if in.err == nil && len(in.s) > 0 {
		in.err = errNotCanonical
	}
	if in.err != nil {
		d.fail(in.err)
		return nil
	}
	return values
}

// TextColumn names a column of strings that [Texts] reads one by one.
type TextColumn column

// The columns that Texts reads.
const (
	TextCredential = TextColumn(columnCredential)
	TextID         = TextColumn(columnID)
	TextReason     = TextColumn(columnReason)
	TextRequest    = TextColumn(columnRequest)
)

// Texts reads single strings of a sealed segment by the codes that a chunk of it gives its rows, without the columns they stand
// in. It is for one goroutine.
type Texts struct {
	l    *segmentLoader
	last [columns]lastPage
}

// lastPage is the page read last of a column.
type lastPage struct {
	number int
	page   string   // decompressed; "": none was read
	values []string // of the whole column, of an older version; of the page, if all its strings were asked for
}

// Texts opens a part for reading single strings. It must be closed.
func (v *View) Texts(part int) (*Texts, error) {
	if part < 0 || part >= len(v.parts) || v.parts[part].seg == nil {
		return nil, errors.New("read texts: the view has no such segment")
	}
	l, err := newSegmentLoader(v.parts[part].seg, v.zip)
	if err != nil {
		return nil, err
	}
	return &Texts{l: l}, nil
}

// Close closes the segment's file.
func (t *Texts) Close() error { return t.l.Close() }

// At gives the string of a code, "" for 0.
func (t *Texts) At(col TextColumn, code uint32) (string, error) {
	if code == 0 {
		return "", nil
	}
	c := column(col)
	info := t.l.seg.info(c, sectionDict)
	if info == nil {
		return "", t.l.fault(c, sectionDict, nil)
	}
	last := &t.last[c]
	if info.method != storedPages { // of an older version: there is nothing but the whole column
		if last.values == nil {
			var s Strings
			if err := t.l.strings(c, &s); err != nil {
				return "", err
			}
			last.values = s.Dict[1:]
		}
		if int(code) > len(last.values) {
			return "", t.l.fault(c, sectionDict, errCodes)
		}
		return last.values[code-1], nil
	}
	if int(code) > info.size {
		return "", t.l.fault(c, sectionDict, errCodes)
	}
	number, only := int(code-1)/pageStrings, int(code-1)%pageStrings
	if err := t.turn(last, info, number); err != nil {
		return "", t.l.fault(c, sectionDict, err)
	}
	if last.values != nil {
		return last.values[only], nil
	}
	var d reader
	values := d.page(nil, last.page, pageLength(info, number), only)
	if d.err != nil {
		return "", t.l.fault(c, sectionDict, d.err)
	}
	return values[0], nil
}

func pageLength(info *sectionInfo, number int) int {
	return min(pageStrings, info.size-number*pageStrings)
}

// turn reads a page if it is not the one that was read last.
func (t *Texts) turn(last *lastPage, info *sectionInfo, number int) error {
	if last.page != "" && last.number == number {
		return nil
	}
	page, err := t.l.readPage(info, number)
	if err == nil {
		*last = lastPage{number: number, page: page}
	}
	return err
}

// readPage reads one page of a dictionary, and decompresses it.
func (l *segmentLoader) readPage(info *sectionInfo, number int) (string, error) {
	var entries [2 * pageEntry]byte // of the page before, for where this one begins
	at := info.offset + int64(number-1)*pageEntry
	in := entries[:]
	if number == 0 {
		at, in = info.offset, entries[pageEntry:]
	}
	if err := readAt(l.file, in, at); err != nil {
		return "", err
	}
	begin, end := binary.LittleEndian.Uint32(entries[:]), binary.LittleEndian.Uint32(entries[pageEntry:])
	size := tableSize(info.size)
	if end <= begin || int(end) > info.stored-size {
		return "", errPages
	}
	b := make([]byte, end-begin)
	if err := readAt(l.file, b, info.offset+int64(size)+int64(begin)); err != nil {
		return "", err
	}
	if pageSum(number, b) != binary.LittleEndian.Uint32(entries[pageEntry+4:]) {
		return "", errPages
	}
	var d reader
	page := d.unzip(text(b), l.zip)
	return page, d.err
}

// Each calls fn with the strings of a column by their codes, in order, until it returns false.
func (t *Texts) Each(col TextColumn, fn func(code uint32, s string) bool) error {
	info := t.l.seg.info(column(col), sectionDict)
	if info == nil {
		return nil
	}
	n := uint32(info.size)
	if info.method != storedPages {
		if _, err := t.At(col, 1); err != nil {
			return err
		}
		n = uint32(len(t.last[col].values))
	}
	last := &t.last[col]
	for code := uint32(1); code <= n; code++ {
		if number := int(code-1) / pageStrings; info.method == storedPages && (last.values == nil || last.number != number) {
			if err := t.turn(last, info, number); err != nil {
				return t.l.fault(column(col), sectionDict, err)
			}
			var d reader
			if last.values = d.page(nil, last.page, pageLength(info, number), all); d.err != nil {
				return t.l.fault(column(col), sectionDict, d.err)
			}
		}
		s, err := t.At(col, code)
		if err != nil {
			return err
		}
		if !fn(code, s) {
			return nil
		}
	}
	return nil
}
