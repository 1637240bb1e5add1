package index

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
)

// Credentials lie in no order of rows, and their strings in none of the segment. Of those that are listed as the largest, see tops.go, a block has by a
// hash their code, so that the strings need not be searched, and their rows, so that the rows need not be.
const (
	postingRows  = 32 // one row of so many is posted, at most
	postingEntry = 12 // bytes: the hash, the code, where its rows begin
)

// postings writes those of the credentials of a list, those with the most changes on a day first.
func (b *builder) postings(w *fileWriter, list []largestOfDay, credential func(row int) uint64) {
	var cells []Top
	for _, day := range list {
		cells = append(cells, day.cells...)
	}
	slices.SortFunc(cells, func(x, y Top) int { return cmp.Or(cmp.Compare(y.Changes, x.Changes), cmp.Compare(x.Code, y.Code)) })
	place := map[uint64]int{} // of codes, in codes
	var codes []uint64
	for _, x := range cells {
		if _, ok := place[x.Code]; !ok {
			place[x.Code], codes = len(codes), append(codes, x.Code)
		}
	}
	rows := make([][]uint32, len(codes))
	if len(codes) > 0 {
		for row := range b.rows {
			if at, ok := place[credential(row)]; ok {
				rows[at] = append(rows[at], uint32(row))
			}
		}
	}
	left := len(b.rows) / postingRows
	for i := range rows {
		if left -= len(rows[i]); left < 0 {
			rows[i], left = nil, left+len(rows[i]) // it has some: none means that they are not posted
		}
	}
	type entry struct {
		hash uint32
		at   int
	}
	order := make([]entry, len(codes))
	for i, code := range codes {
		order[i] = entry{textHash(b.c.Credential.Dict[code]), i}
	}
	slices.SortFunc(order, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(codes[x.at], codes[y.at]))
	})
	var body []byte
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(order)))
	for _, e := range order {
		w.b = binary.LittleEndian.AppendUint32(w.b, e.hash)
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(codes[e.at]))
		w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(body)))
		last := uint32(0)
		for _, row := range rows[e.at] {
			body = binary.AppendUvarint(body, uint64(row-last))
			last = row
		}
	}
	w.b = append(w.b, body...)
	w.end(sectionPostings, 0)
}

func textHash(s string) uint32 { return checksum([]byte(s)) }

// Postings are the credentials with the most changes, and where their rows are.
type Postings struct {
	b       *Block
	entries []byte
	body    []byte
	byCode  map[uint64]int // the entry
}

// Postings gives those of the block.
func (b *Block) Postings() (*Postings, error) {
	in := b.bytes(sectionPostings)
	if err := b.whole(sectionPostings); err != nil || len(in) == 0 {
		return &Postings{b: b}, err
	}
	n := uint64(0)
	if len(in) >= 4 {
		n = uint64(binary.LittleEndian.Uint32(in))
	}
	if len(in) < 4 || n > uint64(b.head.rows) || n*postingEntry > uint64(len(in)-4) {
		return nil, &DamageError{b.name}
	}
	p := &Postings{b: b, entries: in[4 : 4+n*postingEntry], body: in[4+n*postingEntry:], byCode: make(map[uint64]int, n)}
	for i := range int(n) {
		p.byCode[p.code(i)] = i
	}
	return p, nil
}

func (p *Postings) len() int { return len(p.entries) / postingEntry }

func (p *Postings) hash(i int) uint32 { return binary.LittleEndian.Uint32(p.entries[postingEntry*i:]) }

func (p *Postings) code(i int) uint64 {
	return uint64(binary.LittleEndian.Uint32(p.entries[postingEntry*i+4:]))
}

// start gives where the rows of an entry begin; that behind the last is the end.
func (p *Postings) start(i int) uint64 {
	if i == p.len() {
		return uint64(len(p.body))
	}
	return uint64(binary.LittleEndian.Uint32(p.entries[postingEntry*i+8:]))
}

// Find gives the codes that a credential may have: whoever asks looks at their strings. None: it is not listed among the largest.
func (p *Postings) Find(credential string) (codes []uint64) {
	h := textHash(credential)
	for i := sort.Search(p.len(), func(i int) bool { return p.hash(i) >= h }); i < p.len() && p.hash(i) == h; i++ {
		codes = append(codes, p.code(i))
	}
	return codes
}

// Posted reports whether the rows of a code are known.
func (p *Postings) Posted(code uint64) bool {
	i, ok := p.byCode[code]
	return ok && p.start(i) < p.start(i+1)
}

// Rows calls fn with the rows of a code that are posted, in order.
func (p *Postings) Rows(code uint64, fn func(row int)) error {
	i, ok := p.byCode[code]
	if !ok {
		return nil
	}
	from, to := p.start(i), p.start(i+1)
	if from > to || to > uint64(len(p.body)) {
		return &DamageError{p.b.name}
	}
	d, row := decoder{b: p.body[from:to]}, uint64(0)
	for len(d.b) > 0 {
		if row += d.uvarint(); d.bad || row >= uint64(p.b.head.rows) {
			return &DamageError{p.b.name}
		}
		fn(int(row))
	}
	return nil
}
