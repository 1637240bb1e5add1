package index

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/ledger"
)

// A side table says of each row of a block whether an issuance of its credential agrees with it, as of a sequence. It can
// be replaced: an issuance that comes late makes rows issued, never the other way round. So that this is
// noticed without reading the segment, the table has a hash of each credential that has rows without an issuance.
const (
	issuedVersion = 1
	issuedMagic   = "whosawIS"
	issuedSuffix  = ".iss"
	issuedHead    = 8 + 4 + 16 + 4 + 8 + 8 + 4 + 4 + 1
)

// Issued is a side table. Safe for concurrent use.
type Issued struct {
	asOf     atomic.Uint64 // the greatest sequence as of which it is known to hold
	gone     uint64        // see Gone
	bits     []byte        // by row
	gaps     Packed        // from each hash to the next
	unissued int
}

// Row reports whether the credential of a row was issued.
func (x *Issued) Row(i int) bool { return x.bits[i>>3]>>(i&7)&1 != 0 }

// issuedStretch is how many rows Stretches looks at together.
const issuedStretch = 1 << 12

// Stretches gives, in order, stretches of rows in which all rows lie that were issued, or that were not.
func (x *Issued) Stretches(rows int, issued bool) []Span {
	none := byte(0xff)
	if issued {
		none = 0
	}
	var out []Span
	for lo := 0; lo < rows; lo += issuedStretch {
		hi := min(lo+issuedStretch, rows)
		some := false
		for _, b := range x.bits[lo>>3 : (hi+7)>>3] {
			if b != none {
				some = true
				break
			}
		}
		switch n := len(out); {
		case !some:
		case n > 0 && out[n-1].To == lo:
			out[n-1].To = hi
		default:
			out = append(out, Span{lo, hi})
		}
	}
	return out
}

// AsOf is a sequence as of which the table holds.
func (x *Issued) AsOf() uint64 { return x.asOf.Load() }

// Gone tells which records retention had removed from the ledger when the table was made: what they issued is issued no
// more.
func (x *Issued) Gone() uint64 { return x.gone }

// Gone gives what Issued.Gone is for tables made from a view.
func Gone(view *ledger.View) uint64 {
	h := uint64(0)
	for _, p := range view.Purged() {
		if p.References > 0 {
			h = (h ^ p.First) * 0x9e3779b97f4a7c15
		}
	}
	return h
}

// Holds notes that the table holds as of a later sequence too.
func (x *Issued) Holds(asOf uint64) {
	for {
		old := x.asOf.Load()
		if asOf <= old || x.asOf.CompareAndSwap(old, asOf) {
			return
		}
	}
}

// Touches reports whether one of the credentials with these hashes, sorted, may have rows that are not issued.
func (x *Issued) Touches(hashes []uint32) bool {
	if len(hashes) == 0 {
		return false
	}
	at, h := 0, uint64(0)
	for i := range x.unissued {
		h += x.gaps.At(i)
		for uint64(hashes[at]) < h {
			if at++; at == len(hashes) {
				return false
			}
		}
		if uint64(hashes[at]) == h {
			return true
		}
	}
	return false
}

// CredentialHash is the hash by which a credential of a realm is known to side tables. Two with the same cost a side table
// made anew, nothing else.
func CredentialHash(realm, credential string) uint32 {
	h := crc32.Update(0, castagnoli, []byte(realm))
	h = crc32.Update(h, castagnoli, []byte{0})
	return crc32.Update(h, castagnoli, []byte(credential))
}

// MakeIssued makes a side table: issued says of each access, in the order of the segment, whether its credential was, and
// hash gives the credential's hash. Accesses without a credential are not issued, and no issuance changes that: has
// is false for them.
func MakeIssued(c *ledger.Chunk, asOf, gone uint64, issued func(i int) bool, hash func(i int) (h uint32, has bool)) (*Issued, error) {
	rows, err := rowsOf(c)
	if err != nil {
		return nil, err
	}
	x := &Issued{gone: gone, bits: make([]byte, (len(rows)+7)/8)}
	x.asOf.Store(asOf)
	var hashes []uint32
	known := make([]int8, c.N) // 1: issued, -1: not
	for at, i := range rows {
		if known[i] == 0 {
			known[i] = -1
			if issued(int(i)) {
				known[i] = 1
			} else if h, has := hash(int(i)); has {
				hashes = append(hashes, h)
			}
		}
		if known[i] > 0 {
			x.bits[at>>3] |= 1 << (at & 7)
		}
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	largest, last := uint32(0), uint32(0)
	gaps := make([]uint32, len(hashes))
	for i, h := range hashes {
		gaps[i], last = h-last, h
		largest = max(largest, gaps[i])
	}
	width := widthOf(uint64(largest))
	x.gaps, x.unissued = newPacked(appendPacked(nil, gaps, width), len(gaps), width), len(gaps)
	return x, nil
}

// rowsOf gives for each row of a chunk's block its access.
func rowsOf(c *ledger.Chunk) ([]uint32, error) {
	b := &builder{c: c, shapes: map[string]uint32{}}
	if err := b.read(b.subjects()); err != nil {
		return nil, err
	}
	return b.accessOfRows(), nil
}

// encode gives the bytes of a side table's file.
func (x *Issued) encode(segment ledger.SegmentID, b *Block) []byte {
	out := append(make([]byte, 0, issuedHead+len(x.bits)+len(x.gaps.b)+4), issuedMagic...)
	out = binary.LittleEndian.AppendUint32(out, issuedVersion)
	out = append(out, segment[:]...)
	out = binary.LittleEndian.AppendUint32(out, b.sum)
	out = binary.LittleEndian.AppendUint64(out, x.asOf.Load())
	out = binary.LittleEndian.AppendUint64(out, x.gone)
	out = binary.LittleEndian.AppendUint32(out, uint32(b.head.rows))
	out = binary.LittleEndian.AppendUint32(out, uint32(x.unissued))
	out = append(out, byte(x.gaps.width))
	out = append(append(out, x.bits...), x.gaps.b...)
	return binary.LittleEndian.AppendUint32(out, checksum(out))
}

// parseIssued reads a side table; nil if it cannot be used.
func parseIssued(in []byte, segment ledger.SegmentID, b *Block) *Issued {
	if len(in) < issuedHead+4 || string(in[:8]) != issuedMagic || checksum(in[:len(in)-4]) != binary.LittleEndian.Uint32(in[len(in)-4:]) {
		return nil
	}
	d := in[8:]
	if binary.LittleEndian.Uint32(d) != issuedVersion || string(d[4:20]) != string(segment[:]) || binary.LittleEndian.Uint32(d[20:]) != b.sum ||
		binary.LittleEndian.Uint32(d[40:]) != uint32(b.head.rows) {
		return nil
	}
	n, width := int(binary.LittleEndian.Uint32(d[44:])), uint(d[48])
	bits := (b.head.rows + 7) / 8
	body := in[issuedHead : len(in)-4]
	if width > 32 || len(body) != bits+packedSize(n, width) {
		return nil
	}
	x := &Issued{gone: binary.LittleEndian.Uint64(d[32:]), bits: body[:bits], gaps: newPacked(body[bits:], n, width), unissued: n}
	x.asOf.Store(binary.LittleEndian.Uint64(d[24:]))
	return x
}

// sideTable is what a store knows of a block's side table.
type sideTable struct {
	mu     sync.Mutex // held while it is made, so that it is made once
	looked bool
	table  *Issued
	unmap  func() error
}

// Issued gives the side table of a part's block for which holds returns true: the one there is, or else what make gives, which
// then takes its place.
func (s *Store) Issued(p *ledger.Part, b *Block, holds func(x *Issued) bool, make func() (*Issued, error)) (*Issued, error) {
	side := &b.side
	side.mu.Lock()
	defer side.mu.Unlock()
	s.look(side, p, b)
	if side.table != nil && holds(side.table) {
		return side.table, nil
	}
	x, err := make()
	if err != nil {
		return nil, err
	}
	// The old one stays mapped: somebody may be reading it.
	side.table = x
	if err := s.place(s.sideName(p.First), x.encode(p.Segment, b)); err != nil {
		s.mu.Lock()
		s.failed = fmt.Errorf("write side table: %w", err)
		s.mu.Unlock()
	}
	return x, nil
}

// look maps the side table that is on disk, once.
func (s *Store) look(side *sideTable, p *ledger.Part, b *Block) {
	if side.looked {
		return
	}
	side.looked = true
	in, unmap, err := mapFile(s.sideName(p.First))
	if err != nil {
		return
	}
	all(in)
	if side.table = parseIssued(in, p.Segment, b); side.table == nil {
		_ = unmap()
		return
	}
	side.unmap = unmap
}

func (s *Store) sideName(first uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", first, issuedSuffix))
}

// IssuedFloor is the least sequence as of which one of a view's side tables holds: issuances up to it are of no interest to
// any. It is the greatest there is if there are none.
func (s *Store) IssuedFloor(view *ledger.View) uint64 {
	least := ^uint64(0)
	for _, p := range view.Parts() {
		b := s.Block(&p)
		if b == nil {
			continue
		}
		b.side.mu.Lock()
		s.look(&b.side, &p, b)
		if x := b.side.table; x != nil {
			least = min(least, x.asOf.Load())
		}
		b.side.mu.Unlock()
	}
	return least
}
