package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/ledger"
)

// A side table says of each row of a block whether an issuance of its credential agrees with it, as of a sequence. It can
// be replaced: an issuance that comes late makes rows issued, never the other way round. So that this is
// noticed without reading the segment, the table has a hash of each credential that has rows without an issuance, and so that what came late is
// known without reading the segments behind, a hash of each credential that the segment's own records issue.
const (
	issuedVersion = 2
	issuedMagic   = "whosawIS"
	issuedSuffix  = ".iss"
	issuedHead    = 8 + 4 + 16 + 4 + 8 + 8 + 3*4 + 2
)

// Issued is a side table. Safe for concurrent use.
type Issued struct {
	made     uint64        // the sequence as of which it was made
	asOf     atomic.Uint64 // the greatest sequence as of which it is known to hold
	gone     uint64        // see Gone
	rows     int
	bits     []byte // by row
	unissued hashes
	own      hashes
	from     *mapping // nil: the bytes are the program's own
}

// Intact is an error if the table's file was cut or written to since it was mapped: to be asked when it was read.
func (x *Issued) Intact() error { return x.from.intact() }

// hashes are hashes of credentials, sorted: packed steps from each to the next.
type hashes struct{ steps Packed }

// hashesOf packs hashes, which it sorts.
func hashesOf(list []uint64) hashes {
	slices.Sort(list)
	list = slices.Compact(list)
	largest, last := uint64(0), uint64(0)
	for i, h := range list {
		list[i], last = h-last, h
		largest = max(largest, list[i])
	}
	width := widthOf(largest)
	return hashes{newPacked(appendPacked(nil, list, width), len(list), width)}
}

// each calls fn with each hash, in order, until it returns false.
func (x *hashes) each(fn func(hash uint64) bool) {
	h := uint64(0)
	for i := range x.steps.n {
		if h += x.steps.At(i); !fn(h) {
			return
		}
	}
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

// AsOf gives the sequences from the first to the last of which it is known that the table holds as of them.
func (x *Issued) AsOf() (first, last uint64) { return x.made, x.asOf.Load() }

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

// Unissued calls fn with the hash of each credential that has rows without an issuance, in order, until it returns false.
func (x *Issued) Unissued(fn func(hash uint64) bool) { x.unissued.each(fn) }

// Own calls fn with the hash of each credential that the segment's records issue, in order, until it returns false.
func (x *Issued) Own(fn func(hash uint64) bool) { x.own.each(fn) }

// OwnLen is how many hashes Own gives.
func (x *Issued) OwnLen() int { return x.own.steps.n }

// CredentialBits are the bits of a credential's hash: so many that among millions of them hardly any two are equal.
const CredentialBits = 48

// CredentialHash is the hash by which a credential of a realm is known to side tables. Two with the same cost a side table
// made anew, nothing else.
func CredentialHash(realm, credential string) uint64 {
	h := fnv(fnv(fnvBasis, realm)*fnvPrime, credential)
	return mixed(h) >> (64 - CredentialBits)
}

// sideMaker makes the side table of a chunk's block.
type sideMaker struct {
	c      *ledger.Chunk
	rows   []uint32         // the access of each row
	issued func(i int) bool // whether an access's credential was issued
}

// make gives the table. own has the hashes of what the segment's records issue.
func (m *sideMaker) make(asOf, gone uint64, own []uint64) *Issued {
	x := &Issued{made: asOf, gone: gone, rows: len(m.rows), bits: make([]byte, (len(m.rows)+7)/8), own: hashesOf(own)}
	x.asOf.Store(asOf)
	c := m.c
	var list []uint64
	realm := make([]uint32, len(c.Credential.Dict)) // in which a credential was noted last, and 1 more
	yes := make([]byte, c.N)
	for i := range yes {
		code := c.Credential.Codes[i]
		switch {
		case code == 0: // it was not issued, and no issuance changes that
		case m.issued(i):
			yes[i] = 1
		case realm[code] != c.Realm.Codes[i]+1:
			realm[code] = c.Realm.Codes[i] + 1
			list = append(list, CredentialHash(c.Realm.At(i), c.Credential.Dict[code]))
		}
	}
	for at, i := range m.rows {
		x.bits[at>>3] |= yes[i] << (at & 7)
	}
	x.unissued = hashesOf(list)
	return x
}

// IssuedColumns are the columns of a segment from which its side table is made.
const IssuedColumns = ledger.ColRealm | ledger.ColSource | ledger.ColCredential | ledger.ColKey | ledger.ColClient | ledger.ColIP |
	ledger.ColCountry | ledger.ColASN | ledger.ColAgent | ledger.ColTLS | ledger.ColSubjects | ledger.ColPrincipal

// MakeIssued makes the side table of a chunk's block, as of a sequence: issued says of each access with a credential, in the order of the segment, whether it
// was issued. own has the hashes of the credentials that the segment's records issue.
func MakeIssued(c *ledger.Chunk, asOf, gone uint64, own []uint64, issued func(i int) bool) *Issued {
	b := &builder{c: c}
	b.readOrigins()
	return (&sideMaker{c, b.accessOfRows(), issued}).make(asOf, gone, own)
}

// ByAccess gives what the table says of each access of its segment. c must have IssuedColumns; nil if it is of another segment.
func (x *Issued) ByAccess(c *ledger.Chunk) []bool {
	b := &builder{c: c}
	b.readOrigins()
	rows := b.accessOfRows()
	if len(rows) != x.rows {
		return nil
	}
	out := make([]bool, c.N)
	for at, i := range rows {
		out[i] = x.Row(at)
	}
	return out
}

// encode gives the bytes of a side table's file.
func (x *Issued) encode(segment ledger.SegmentID, block uint32) []byte {
	unissued, own := &x.unissued.steps, &x.own.steps
	out := append(make([]byte, 0, issuedHead+len(x.bits)+len(unissued.b)+len(own.b)+4), issuedMagic...)
	out = binary.LittleEndian.AppendUint32(out, issuedVersion)
	out = append(out, segment[:]...)
	out = binary.LittleEndian.AppendUint32(out, block)
	out = binary.LittleEndian.AppendUint64(out, x.asOf.Load())
	out = binary.LittleEndian.AppendUint64(out, x.gone)
	out = binary.LittleEndian.AppendUint32(out, uint32(x.rows))
	out = binary.LittleEndian.AppendUint32(out, uint32(unissued.n))
	out = binary.LittleEndian.AppendUint32(out, uint32(own.n))
	out = append(out, byte(unissued.width), byte(own.width))
	out = append(append(append(out, x.bits...), unissued.b...), own.b...)
	return binary.LittleEndian.AppendUint32(out, checksum(out))
}

// parseIssued reads a side table, of a block or of a segment without accesses; nil if it cannot be used.
func parseIssued(in []byte, p *ledger.Part, b *Block) *Issued {
	sum, rows := uint32(0), 0
	if b != nil {
		sum, rows = b.sum, b.head.rows
	}
	if len(in) < issuedHead+4 || string(in[:8]) != issuedMagic || checksum(in[:len(in)-4]) != binary.LittleEndian.Uint32(in[len(in)-4:]) {
		return nil
	}
	d := in[8:]
	if binary.LittleEndian.Uint32(d) != issuedVersion || string(d[4:20]) != string(p.Segment[:]) || binary.LittleEndian.Uint32(d[20:]) != sum ||
		binary.LittleEndian.Uint32(d[40:]) != uint32(rows) {
		return nil
	}
	bits := (rows + 7) / 8
	asOf := binary.LittleEndian.Uint64(d[24:])
	n, m := int(binary.LittleEndian.Uint32(d[44:])), int(binary.LittleEndian.Uint32(d[48:]))
	width, ownWidth := uint(d[52]), uint(d[53])
	body := in[issuedHead : len(in)-4]
	if asOf < p.Last || max(width, ownWidth) > CredentialBits || len(body) != bits+packedSize(n, width)+packedSize(m, ownWidth) {
		return nil
	}
	at := bits + packedSize(n, width)
	x := &Issued{
		made: asOf, gone: binary.LittleEndian.Uint64(d[32:]), rows: rows, bits: body[:bits],
		unissued: hashes{newPacked(body[bits:at], n, width)}, own: hashes{newPacked(body[at:], m, ownWidth)},
	}
	x.asOf.Store(asOf)
	return x
}

// sideTable is what a store knows of a block's side table.
type sideTable struct {
	making sync.Mutex // held while it is made, so that it is made once

	mu     sync.Mutex
	looked bool
	table  *Issued
	maps   []*mapping // that tables lie in, also those whose place another took
}

func (t *sideTable) close() error {
	var errs []error
	for _, m := range t.maps {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}

// Issued gives the side table of a part's block for which holds returns true: the one there is, or else what make gives, which
// then takes its place.
func (s *Store) Issued(p *ledger.Part, b *Block, holds func(x *Issued) bool, make func() (*Issued, error)) (*Issued, error) {
	side := &b.side
	side.making.Lock()
	defer side.making.Unlock()
	if x := s.look(side, p, b); x != nil && holds(x) && x.Intact() == nil {
		return x, nil
	}
	x, err := make()
	if err != nil {
		return nil, err
	}
	// The old one stays mapped: somebody may be reading it.
	side.mu.Lock()
	side.table = x
	side.mu.Unlock()
	if err := s.placeIssued(p, b.sum, x); err != nil {
		s.fail(err)
	}
	return x, nil
}

// placeIssued writes a side table.
func (s *Store) placeIssued(p *ledger.Part, block uint32, x *Issued) error {
	if err := s.place(s.sideName(p.First), x.encode(p.Segment, block)); err != nil {
		return fmt.Errorf("write side table: %w", err)
	}
	return nil
}

// SideTable gives the side table that a part's block has, nil if there is none. It may not hold as of any sequence that is asked for. It does not wait
// for one that is being made.
func (s *Store) SideTable(p *ledger.Part) *Issued {
	if bare(p) {
		return s.bareTable(p)
	}
	b := s.Block(p)
	if b == nil {
		return nil
	}
	return s.look(&b.side, p, b)
}

// bare reports whether a part has no block, but issuances perhaps: its side table has no rows, and is read each time it is asked for.
func bare(p *ledger.Part) bool { return p.Whole() && p.Accesses == 0 && p.References > 0 }

func (s *Store) bareTable(p *ledger.Part) *Issued {
	in, err := os.ReadFile(s.sideName(p.First))
	if err != nil {
		return nil
	}
	return parseIssued(in, p, nil)
}

// placeBare writes the side table of a segment without accesses.
func (s *Store) placeBare(p *ledger.Part, gone uint64, own []uint64) error {
	x := &Issued{made: p.Last, gone: gone, unissued: hashesOf(nil), own: hashesOf(own)}
	x.asOf.Store(p.Last)
	return s.placeIssued(p, 0, x)
}

// look gives the side table that there is: it maps the one on disk, once; again if it is not what was mapped any more.
func (s *Store) look(side *sideTable, p *ledger.Part, b *Block) *Issued {
	side.mu.Lock()
	defer side.mu.Unlock()
	if side.table != nil && side.table.from.gone() {
		side.table, side.looked = nil, false
	}
	if side.looked {
		return side.table
	}
	side.looked = true
	m, err := openMapping(s.sideName(p.First))
	if err != nil {
		return nil
	}
	all(m.b)
	var x *Issued
	err = Guarded(func() error {
		x = parseIssued(m.b, p, b)
		return nil
	})
	if err != nil || x == nil {
		_ = m.close()
		return nil
	}
	x.from, side.table, side.maps = m, x, append(side.maps, m)
	return x
}

func (s *Store) sideName(first uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", first, issuedSuffix))
}
