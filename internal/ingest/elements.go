package ingest

import (
	"bytes"
	"io"

	"github.com/whosaw/whosaw"
)

// elementSplitter cuts JSON documents that hold many records: {"Records":[…]} as CloudTrail delivers it, and plain
// arrays. Elements are streamed: a document may be larger than memory. Several documents may follow each other,
// and objects may stand between them as they do in JSON lines.
type elementSplitter struct {
	r    io.Reader
	stop func(error) *whosaw.RecordError

	buf   []byte
	i     int   // the next byte to look at
	base  int64 // position of buf[0]
	err   error // what ended the input
	spans []span
	queue []*block
	state func(*elementSplitter) bool // gives false at the end of the input
	inDoc bool                        // in {"Records":[…]}, not in a plain array
	done  bool

	depth             int // of open brackets, while one element is read
	inString, escaped bool
}

func newElementSplitter(r io.Reader, stop func(error) *whosaw.RecordError) *elementSplitter {
	return &elementSplitter{r: r, stop: stop, state: (*elementSplitter).top}
}

func (s *elementSplitter) next() *block {
	for len(s.queue) == 0 && !s.done {
		if !s.state(s) {
			s.flush(s.i)
			s.done = true
			if s.err != io.EOF {
				s.queue = append(s.queue, &block{base: s.base + int64(s.i), bad: &badLine{fault: s.stop(s.err), cut: true}})
			}
		} else if s.i >= blockSize {
			s.flush(s.i)
		}
	}
	if len(s.queue) == 0 {
		return nil
	}
	b := s.queue[0]
	s.queue = s.queue[1:]
	return b
}

// flush hands over what is before at; the rest moves to a new buffer.
func (s *elementSplitter) flush(at int) {
	if len(s.spans) > 0 {
		s.queue = append(s.queue, &block{base: s.base, data: s.buf[:at:at], spans: s.spans})
		s.spans = nil
	}
	s.buf = append(make([]byte, 0, blockSize*5/4), s.buf[at:]...)
	s.base += int64(at)
	s.i -= at
}

// reject queues a bad element that begins at start; good ones before it go first.
func (s *elementSplitter) reject(start int, f *whosaw.RecordError, cut bool) {
	if len(s.spans) > 0 {
		s.queue = append(s.queue, &block{base: s.base, data: s.buf[:start:start], spans: s.spans})
		s.spans = nil
	}
	head := bytes.Clone(cutHead(s.buf[start:s.i]))
	s.queue = append(s.queue, &block{base: s.base + int64(start), bad: &badLine{fault: f, head: head, lines: 1, cut: cut}})
}

// more reads on; false at the end of the input.
func (s *elementSplitter) more() bool {
	if s.err != nil {
		return false
	}
	n := len(s.buf)
	if cap(s.buf)-n < blockSize/4 {
		grown := make([]byte, n, max(2*cap(s.buf), blockSize*5/4))
		copy(grown, s.buf)
		s.buf = grown
	}
	m, err := readFull(s.r, s.buf[n:min(cap(s.buf), n+blockSize/4)])
	s.buf = s.buf[:n+m]
	s.err = err
	return m > 0
}

// space steps over white space and gives the next byte.
func (s *elementSplitter) space() (c byte, ok bool) {
	for {
		for s.i < len(s.buf) {
			switch c := s.buf[s.i]; c {
			case ' ', '\t', '\r', '\n':
				s.i++
			default:
				return c, true
			}
		}
		if s.i >= blockSize {
			s.flush(s.i)
		}
		if !s.more() {
			return 0, false
		}
	}
}

// top stands between documents.
func (s *elementSplitter) top() bool {
	c, ok := s.space()
	if !ok {
		return false
	}
	if s.base == 0 && s.i == 0 && c == byteOrderMark[0] {
		for len(s.buf) < len(byteOrderMark) && s.more() {
		}
		if bytes.HasPrefix(s.buf, byteOrderMark) {
			s.i += len(byteOrderMark)
			return true
		}
	}
	switch c {
	case '[':
		s.i++
		s.inDoc, s.state = false, (*elementSplitter).list
		return true
	case '{':
		for {
			n, decided := recordsDocument(s.buf[s.i:])
			if decided && n > 0 {
				s.i += n
				s.inDoc, s.state = true, (*elementSplitter).list
				return true
			}
			if decided || !s.more() {
				return s.element()
			}
		}
	}
	return s.garbage("\n")
}

// recordsDocument reports how long the beginning {"Records":[ of a document is, 0 if it is none; decided is false while
// more bytes are needed to tell.
func recordsDocument(b []byte) (n int, decided bool) {
	for _, want := range []string{"{", `"Records"`, ":", "["} {
		for n < len(b) && (b[n] == ' ' || b[n] == '\t' || b[n] == '\r' || b[n] == '\n') {
			n++
		}
		have := b[n:min(len(b), n+len(want))]
		if string(have) != want[:len(have)] {
			return 0, true
		}
		if len(have) < len(want) {
			return 0, false
		}
		n += len(want)
	}
	return n, true
}

// list stands in an array, before an element or its end.
func (s *elementSplitter) list() bool {
	c, ok := s.space()
	switch {
	case !ok:
		if s.err == io.EOF {
			s.reject(s.i, faultDocCut, true)
		}
		return false
	case c == ',':
		s.i++
		return true
	case c == ']':
		s.i++
		s.state = (*elementSplitter).top
		if s.inDoc {
			s.state = (*elementSplitter).rest
		}
		return true
	case c == '{':
		return s.element()
	}
	return s.garbage(",]\n")
}

// rest stands behind the array of a document: the other members, which say nothing about records, and its end.
func (s *elementSplitter) rest() bool {
	s.depth, s.inString, s.escaped = 1, false, false
	for !s.scan() {
		s.flush(s.i)
		if !s.more() {
			if s.err == io.EOF {
				s.reject(s.i, faultDocCut, true)
			}
			return false
		}
	}
	s.state = (*elementSplitter).top
	return true
}

// element reads one object.
func (s *elementSplitter) element() bool {
	start := s.i
	s.depth, s.inString, s.escaped = 1, false, false
	s.i++
	for !s.scan() {
		if s.i-start > whosaw.MaxLine {
			return s.drop(start, s.scan)
		}
		if !s.more() {
			if s.err == io.EOF {
				s.reject(start, faultHalf, true)
			} else {
				s.reject(start, s.stop(s.err), true)
				s.err = io.EOF // the element and what cut it are counted as one
			}
			return false
		}
	}
	if s.i-start > whosaw.MaxLine {
		s.reject(start, faultTooLong, false)
	} else {
		s.spans = append(s.spans, span{start, s.i})
	}
	return true
}

// scan steps to behind the bracket that closes the open ones; false if the buffer ends before.
func (s *elementSplitter) scan() bool {
	for s.i < len(s.buf) {
		switch c := s.buf[s.i]; {
		case s.escaped:
			s.escaped = false
		case s.inString:
			j := bytes.IndexByte(s.buf[s.i:], '"')
			if j < 0 {
				j = len(s.buf) - s.i
			}
			if k := bytes.IndexByte(s.buf[s.i:s.i+j], '\\'); k >= 0 {
				s.i += k
				s.escaped = true
			} else if s.i += j; s.i < len(s.buf) {
				s.inString = false
			} else {
				return false
			}
		case c == '"':
			s.inString = true
		case c == '{', c == '[':
			s.depth++
		case c == '}', c == ']':
			if s.depth--; s.depth == 0 {
				s.i++
				return true
			}
		}
		s.i++
	}
	return false
}

// drop rejects the element that began at start as too long, without keeping it: until says when it has ended.
func (s *elementSplitter) drop(start int, until func() bool) bool {
	s.flush(start)
	b := &block{base: s.base, bad: &badLine{fault: faultTooLong, head: bytes.Clone(cutHead(s.buf)), lines: 1}}
	s.queue = append(s.queue, b)
	for {
		s.flush(s.i)
		if !s.more() {
			b.bad.cut = true
			return false
		}
		if until() {
			return true
		}
	}
}

// garbage rejects what is no element, up to one of the bytes in until.
func (s *elementSplitter) garbage(until string) bool {
	start := s.i
	ended := func() bool {
		j := bytes.IndexAny(s.buf[s.i:], until)
		if j < 0 {
			s.i = len(s.buf)
			return false
		}
		s.i += j
		return true
	}
	for !ended() {
		if s.i-start > whosaw.MaxLine {
			return s.drop(start, ended)
		}
		if !s.more() {
			break
		}
	}
	if s.i == len(s.buf) && s.err != nil && s.err != io.EOF {
		s.reject(start, s.stop(s.err), true)
		s.err = io.EOF
		return false
	}
	s.reject(start, faultElement, false)
	return true
}
