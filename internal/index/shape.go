package index

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

// Shape is everything of a row that decides what was shown, but for the time.
type Shape struct {
	Route          string
	Fields, Masked []string // nil: not stated
	Status         uint16
	Outcome        uint8 // whosaw.Outcome as stated
	Others         int64
	Subject        bool // the row names a subject
	First          bool // it is the access's first row; each access has one
}

// The flags of a shape.
const (
	shapeSubject = 1 << iota
	shapeFirst
	shapeFields // stated, if perhaps empty
	shapeMasked
)

func (s *Shape) append(b []byte) []byte {
	flags := byte(0)
	for i, on := range [...]bool{s.Subject, s.First, s.Fields != nil, s.Masked != nil} {
		if on {
			flags |= 1 << i
		}
	}
	b = append(b, flags, s.Outcome)
	b = binary.AppendUvarint(b, uint64(s.Status))
	b = binary.AppendVarint(b, s.Others)
	b = appendText(b, s.Route)
	for _, set := range [2][]string{s.Fields, s.Masked} {
		b = binary.AppendUvarint(b, uint64(len(set)))
		for _, x := range set {
			b = appendText(b, x)
		}
	}
	return b
}

var errShape = errors.New("a shape does not read")

// parseShape reads a shape. Its strings share memory with the text.
func parseShape(text string) (Shape, error) {
	if len(text) < 2 {
		return Shape{}, errShape
	}
	flags := text[0]
	s := Shape{Outcome: text[1], Subject: flags&shapeSubject != 0, First: flags&shapeFirst != 0}
	d := decoder{b: unsafe.Slice(unsafe.StringData(text), len(text))[2:]}
	s.Status = uint16(d.uvarint())
	s.Others = d.varint()
	s.Route = d.text()
	s.Fields = d.set(flags&shapeFields != 0)
	s.Masked = d.set(flags&shapeMasked != 0)
	if d.bad || len(d.b) > 0 {
		return Shape{}, errShape
	}
	return s, nil
}

// NamesSubject reports whether the rows of a shape name a subject.
func NamesSubject(text string) bool { return text[0]&shapeSubject != 0 }

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder reads numbers and texts. What is not there reads as zero, and bad says so.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number that is at most limit.
func (d *decoder) count(limit int) int {
	n := d.uvarint()
	if n > uint64(limit) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string {
	b := d.take(d.count(len(d.b)))
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (d *decoder) set(stated bool) []string {
	n := d.count(len(d.b))
	if !stated {
		d.bad = d.bad || n > 0
		return nil
	}
	set := make([]string, n)
	for i := range set {
		set[i] = d.text()
	}
	return set
}
