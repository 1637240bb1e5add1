package ingest

import (
	"bytes"
	"io"
	"sync"

	"github.com/whosaw/whosaw"
)

const (
	blockSize = 256 << 10 // of lines handed to one worker
	headSize  = 16 << 10  // of a line that is kept for the reject file
)

// A block is a run of whole lines, or of whole elements of JSON arrays, or one line that was judged while
// the input was split. Blocks of an input come in the order of their positions.
type block struct {
	input *Input
	base  int64  // position of data[0]
	data  []byte // not written until the block is released
	spans []span // elements; nil: lines that end with line feeds
	tail  bool   // the last line has no line feed: the input ends there
	bad   *badLine
	first bool // of its input
	free  bool // data is nobody else's: its memory may serve another block afterwards
	short bool // reading failed before the block was full: read again it would hold more
}

// buffers holds the memory of blocks that were read.
var buffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

// release gives the block's memory back. Nothing of it may be used any more.
func (b *block) release() {
	if b.free && cap(b.data) == blockSize {
		buffers.Put((*[blockSize]byte)(b.data[:blockSize]))
		b.data = nil
	}
}

type span struct{ start, end int }

// badLine is a line rejected as such. It is counted as one line.
type badLine struct {
	fault *whosaw.RecordError
	head  []byte // its beginning
	lines int64  // line feeds it took up
	cut   bool   // the input ends here although it should not
}

// A splitter cuts the content of one input into blocks. next gives nil at the end.
type splitter interface {
	next() *block
}

// lineSplitter cuts at line feeds.
type lineSplitter struct {
	r     io.Reader
	stop  func(error) *whosaw.RecordError
	pos   int64  // of carry[0]
	carry []byte // the beginning of the next line
	queue []*block
	done  bool
}

func (s *lineSplitter) next() *block {
	for len(s.queue) == 0 && !s.done {
		s.fill()
	}
	if len(s.queue) == 0 {
		return nil
	}
	b := s.queue[0]
	s.queue = s.queue[1:]
	return b
}

// fill reads one buffer and queues its whole lines.
func (s *lineSplitter) fill() {
	var buf []byte
	if len(s.carry) < blockSize*3/4 {
		buf = buffers.Get().(*[blockSize]byte)[:]
	} else {
		buf = make([]byte, 2*len(s.carry))
	}
	n := copy(buf, s.carry)
	s.carry = s.carry[:0]
	for {
		m, err := readFull(s.r, buf[n:])
		n += m
		if err != nil {
			s.finish(buf[:n], err)
			return
		}
		if end := bytes.LastIndexByte(buf[:n], '\n') + 1; end > 0 {
			s.carry = append(s.carry, buf[end:n]...)
			s.queue = append(s.queue, &block{base: s.pos, data: buf[:end], free: true})
			s.pos += int64(end)
			return
		}
		if n > whosaw.MaxLine {
			s.skip(buf[:n])
			return
		}
		buf = append(buf, make([]byte, len(buf))...)
	}
}

// readFull fills p. Readers may give nothing without an error for a while; io.ReadFull would hide which error
// ended the input.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if empty++; m > 0 {
			empty = 0
		} else if empty > 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// skip drops a line that is too long up to its line feed.
func (s *lineSplitter) skip(start []byte) {
	bad := &block{base: s.pos, bad: &badLine{fault: faultTooLong, head: bytes.Clone(start[:headSize]), lines: 1}}
	s.queue = append(s.queue, bad)
	s.pos += int64(len(start))
	buf := make([]byte, blockSize)
	for {
		n, err := readFull(s.r, buf) // not what one Read gives: blocks must not depend on how the bytes come
		if end := bytes.IndexByte(buf[:n], '\n') + 1; end > 0 {
			s.pos += int64(end)
			if err == nil {
				s.carry = append(s.carry, buf[end:n]...)
				return
			}
			s.finish(buf[end:n], err)
			return
		}
		s.pos += int64(n)
		if err != nil {
			s.finish(nil, err)
			return
		}
	}
}

// finish queues what is left at the end of the input, or before what made reading stop.
func (s *lineSplitter) finish(rest []byte, err error) {
	s.done = true
	if err == io.EOF {
		if len(rest) > 0 {
			s.queue = append(s.queue, &block{base: s.pos, data: rest, tail: rest[len(rest)-1] != '\n', free: true})
		}
		return
	}
	end := bytes.LastIndexByte(rest, '\n') + 1
	head := bytes.Clone(cutHead(rest[end:]))
	if end > 0 {
		s.queue = append(s.queue, &block{base: s.pos, data: rest[:end], free: true, short: true})
		s.pos += int64(end)
	}
	s.queue = append(s.queue, &block{base: s.pos, bad: &badLine{fault: s.stop(err), head: head, cut: true}})
}

func cutHead(b []byte) []byte {
	return b[:min(len(b), headSize)]
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// eachLine calls fn with the lines of a block that are not blank, without their line ends. line is the number of
// line feeds before it within the block; lines counts all of them.
func (b *block) eachLine(fn func(start, end int, line int64)) (lines int64) {
	if b.spans != nil {
		for i, sp := range b.spans {
			fn(sp.start, sp.end, int64(i))
		}
		return int64(len(b.spans))
	}
	data := b.data
	for at := 0; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		next := at + end + 1
		if end < 0 {
			next = len(data)
			end = len(data)
		} else {
			end += at
		}
		start := at
		if b.first && start == 0 && bytes.HasPrefix(data[:end], byteOrderMark) {
			start += len(byteOrderMark)
		}
		if end > start && data[end-1] == '\r' {
			end--
		}
		if !blank(data[start:end]) {
			fn(start, end, lines)
		}
		at = next
		lines++
	}
	return lines
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\v' && c != '\f' {
			return false
		}
	}
	return true
}
