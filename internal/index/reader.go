package index

import (
	"encoding/binary"
	"os"
	"sync"
)

// Reader reads single rows of a block. Most of their pages were never touched: mapping each costs more than reading it, for the system maps those
// around it too. So pages that nobody looked at are read into memory of its own, and looked at there. It is for one goroutine, and must be closed.
type Reader struct {
	*Block
	file   *os.File
	opened bool
	pages  [readerPages]readerPage
	next   int
	both   []byte // bytes that lie in several pages
}

// readerPages is how many pages are kept: what is read of a row lies in some of the same.
const readerPages = 8

type readerPage struct {
	number int // 1 more; 0: there is none
	b      []byte
	room   *[pageSize]byte
}

// Reader gives a reader of single rows.
func (b *Block) Reader() *Reader { return &Reader{Block: b} }

// pagePool has pages of readers that were closed.
var pagePool = sync.Pool{New: func() any { return new([pageSize]byte) }}

// Close gives its file and its pages free.
func (r *Reader) Close() error {
	for i := range r.pages {
		if p := &r.pages[i]; p.room != nil {
			pagePool.Put(p.room)
			*p = readerPage{}
		}
	}
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// at gives one of the packed numbers that lie in a section from a place on.
func (r *Reader) at(s section, place int, p *Packed, i int) (uint64, error) {
	bit := uint(i) * p.width
	in, err := r.read(s, place+int(bit>>3), place+int(bit>>3)+8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(in) >> (bit & 7) & p.mask, nil
}

// read gives bytes of a section, whose checksums were looked at. They may be kept until a few more are read.
func (r *Reader) read(s section, from, to int) ([]byte, error) {
	e := &r.extents[s]
	if from < 0 || from > to || to > e.size {
		return nil, &DamageError{r.name}
	}
	lo, hi := e.at+from, e.at+to
	first, last := lo>>pageBits, (hi-1)>>pageBits
	known := true
	for page := first; page <= last && known; page++ {
		known = r.Block.file.read(page)
	}
	if !known && last-first < readerPages-1 {
		if b := r.own(lo, hi, first, last); b != nil {
			return b, nil
		}
	}
	// Whatever is wrong is found here.
	if err := r.check(s, from, to); err != nil {
		return nil, err
	}
	return r.Block.file.b[lo:hi], nil
}

// own is read from pages that were read into memory; nil if it cannot be.
func (r *Reader) own(lo, hi, first, last int) []byte {
	if first == last {
		if p := r.page(first); p != nil {
			return p[lo-first<<pageBits : hi-first<<pageBits]
		}
		return nil
	}
	r.both = r.both[:0]
	for page := first; page <= last; page++ {
		p := r.page(page)
		if p == nil {
			return nil
		}
		at := page << pageBits
		r.both = append(r.both, p[max(lo, at)-at:min(hi-at, len(p))]...)
	}
	return r.both
}

// page gives a page, and looks at its checksum; nil if it is not as it was written, or not there.
func (r *Reader) page(number int) []byte {
	for i := range r.pages {
		if r.pages[i].number == number+1 {
			return r.pages[i].b
		}
	}
	if !r.opened {
		r.opened = true
		r.file, _ = os.Open(r.name) // of what cannot be opened, the mapped file is read
	}
	if r.file == nil {
		return nil
	}
	p := &r.pages[r.next]
	r.next = (r.next + 1) % readerPages
	if p.room == nil {
		p.room = pagePool.Get().(*[pageSize]byte)
	}
	p.number = 0
	at := number << pageBits
	b := p.room[:min(pageSize, len(r.Block.file.b)-at)]
	// Another file may lie there by now: then the checksum differs.
	if _, err := r.file.ReadAt(b, int64(at)); err != nil || checksum(b) != binary.LittleEndian.Uint32(r.Block.file.sums[4*number:]) {
		return nil
	}
	p.number, p.b = number+1, b
	return b
}
