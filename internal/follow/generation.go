package follow

import (
	"crypto/sha256"
)

const (
	headBytes = 4 << 10 // of a generation's beginning that identify it
	tailBytes = 512     // before the offset that must be the same when reading goes on
)

// A generation is what a log's writer wrote from one rotation to the next. Files come and go: it is renamed, copied,
// compressed; positions in it stay.
type generation struct {
	id     int64
	path   string // where it was last
	device uint64
	inode  uint64
	start  int64 // bytes before the first line that are no line: NULs of a sparse file, or a byte order mark
	offset int64 // what is before it is durable. The beginning of a line
	lines  int64 // line feeds before offset
	head   digest
	tail   digest
	final  int64 // size when nothing more was expected; -1: not yet
	seen   int64 // when it was last found, milliseconds

	file  *file // that it is read from now; nil: none
	dirty bool  // differs from what is stored
	saved bool  // is stored
}

// digest is the hash of some bytes of a generation.
type digest struct {
	length int64
	sum    [sha256.Size]byte
}

func digestOf(b []byte) digest {
	return digest{length: int64(len(b)), sum: sha256.Sum256(b)}
}

func (g *generation) done() bool { return g.final >= 0 }

// begins reports whether content that starts with head, after start bytes that are no line, can be this generation. All that
// was acknowledged of a short generation, and the first 4 KiB of a long one, is compared.
func (g *generation) begins(start int64, head []byte) bool {
	return g.start == start && g.head.length > 0 && int64(len(head)) >= g.head.length && digestOf(head[:g.head.length]) == g.head
}

// advance notes that everything before offset is durable. head holds the first bytes after start as far as they are known, tail
// the last ones before offset.
func (g *generation) advance(offset, lines int64, head, tail []byte) {
	g.offset, g.lines, g.dirty = offset, lines, true
	if n := min(headBytes, offset-g.start); n != g.head.length {
		g.head = digestOf(head[:n])
	}
	g.tail = digestOf(tail)
}

// lastBytes keeps the last bytes of what passes through.
type lastBytes []byte

func (l *lastBytes) add(b []byte) {
	if len(b) >= tailBytes {
		*l = append((*l)[:0], b[len(b)-tailBytes:]...)
		return
	}
	if over := len(*l) + len(b) - tailBytes; over > 0 {
		*l = append((*l)[:0], (*l)[over:]...)
	}
	*l = append(*l, b...)
}
