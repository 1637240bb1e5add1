package index

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/whosaw/whosaw/internal/ledger"
)

// What of a record neither its origin nor its shape has lies in columns of the rows: who claimed to ask, and by their codes the
// strings that the segment keeps in pages. Rows that follow each other mostly have the same value, so a column is kept
// as runs where that is shorter.

// rowColumn is a column of rows.
type rowColumn int

const (
	rowPrincipal rowColumn = iota
	rowCredential
	rowID
	rowReason
	rowRequest
	rowBytes
	rowColumns
)

// rest are the columns of a segment for them, beside Columns.
const rest = ledger.ColPrincipal | ledger.ColRest

// The codes of principals: one, if it is the prefix and the first subject of the access; from 2 on those of a dictionary; behind
// it the prefix and the subject of that number.
const (
	principalOwn     = 1
	principalLiteral = 2
	ownPrefix        = "customer:"
)

const (
	rankBits = 9 // rows of which one number says how many runs begin before them
	rankRows = 1 << rankBits
)

// Runs is a column of rows.
type Runs struct {
	rows   int
	begins []byte // a bit for each row, set where a run begins; nil: each row has its own value
	ranks  []byte // a u32 for each rankRows rows
	values Packed
}

func runsSize(rows, runs int, width uint) int {
	switch runs {
	case 0:
		return 0
	case rows:
		return packedSize(rows, width)
	}
	return beginsSize(rows) + ranksSize(rows) + packedSize(runs, width)
}

func beginsSize(rows int) int { return (rows + 63) / 64 * 8 }
func ranksSize(rows int) int  { return 4 * (rows>>rankBits + 1) }

// Empty reports that all rows have 0.
func (r *Runs) Empty() bool { return r.values.n == 0 }

// At gives a row's value.
func (r *Runs) At(row int) uint64 {
	switch {
	case r.values.n == 0:
		return 0
	case r.begins == nil:
		return r.values.At(row)
	}
	return r.values.At(r.run(row))
}

// run gives the number of a row's run.
func (r *Runs) run(row int) int {
	n := int(binary.LittleEndian.Uint32(r.ranks[4*(row>>rankBits):])) - 1
	at := row &^ (rankRows - 1)
	for ; at+64 <= row; at += 64 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(r.begins[at>>3:]))
	}
	return n + bits.OnesCount64(binary.LittleEndian.Uint64(r.begins[at>>3:])<<(63-uint(row-at)))
}

// Each calls fn with the rows from lo up to hi in stretches that have the same value.
func (r *Runs) Each(lo, hi int, fn func(lo, hi int, value uint64)) {
	switch {
	case lo >= hi:
	case r.values.n == 0:
		fn(lo, hi, 0)
	case r.begins == nil:
		for row := lo; row < hi; row++ {
			fn(row, row+1, r.values.At(row))
		}
	default:
		run := r.run(lo)
		for lo < hi {
			end := r.next(lo+1, hi)
			fn(lo, end, r.values.At(run))
			lo, run = end, run+1
		}
	}
}

// next gives the first row from lo on with which a run begins, hi if there is none before.
func (r *Runs) next(lo, hi int) int {
	for at := lo; at < hi; at = at&^63 + 64 {
		if w := binary.LittleEndian.Uint64(r.begins[at>>6<<3:]) >> (at & 63); w != 0 {
			return min(hi, at+bits.TrailingZeros64(w))
		}
	}
	return hi
}

// runs writes a column of rows.
func (w *fileWriter) runs(c rowColumn, values []uint64) {
	runs, largest := 0, uint64(0)
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			runs++
		}
		largest = max(largest, v)
	}
	s, width := sectionRow+section(c), widthOf(largest)
	switch {
	case largest == 0:
		w.end(s, 0)
		return
	case runsSize(len(values), runs, width) >= packedSize(len(values), width):
		w.head.runs[c] = len(values)
		packed(w, s, values, width)
		return
	}
	w.head.runs[c] = runs
	begins, ranks := make([]byte, beginsSize(len(values))), make([]byte, 0, ranksSize(len(values)))
	kept := make([]uint64, 0, runs)
	for i, v := range values {
		if i&(rankRows-1) == 0 {
			ranks = binary.LittleEndian.AppendUint32(ranks, uint32(len(kept)))
		}
		if i == 0 || v != values[i-1] {
			begins[i>>3] |= 1 << (i & 7)
			kept = append(kept, v)
		}
	}
	ranks = append(ranks, make([]byte, cap(ranks)-len(ranks))...)
	w.b = append(append(w.b, begins...), ranks...)
	w.b = appendPacked(w.b, kept, width)
	w.end(s, width)
}

// runs gives a column of rows; nothing of it is looked at yet.
func (b *Block) runs(c rowColumn) Runs {
	e := &b.extents[sectionRow+section(c)]
	in, n, rows := b.bytes(sectionRow+section(c)), b.head.runs[c], b.head.rows
	switch n {
	case 0:
		return Runs{rows: rows}
	case rows:
		return Runs{rows: rows, values: newPacked(in, n, e.width)}
	}
	at := beginsSize(rows)
	return Runs{rows, in[:at], in[at : at+ranksSize(rows)], newPacked(in[at+ranksSize(rows):], n, e.width)}
}

// value gives a row's value of a column, and looks at the checksums of what it reads.
func (b *Reader) value(c rowColumn, row int) (uint64, error) {
	r, s := &b.rest[c], sectionRow+section(c)
	if r.values.n == 0 {
		return 0, nil
	}
	at, n := 0, row
	if r.begins != nil {
		rank, err := b.read(s, len(r.begins)+4*(row>>rankBits), len(r.begins)+4*(row>>rankBits)+4)
		if err != nil {
			return 0, err
		}
		n = int(binary.LittleEndian.Uint32(rank)) - 1
		first := row &^ (rankRows - 1) >> 3
		begins, err := b.read(s, first, row>>6<<3+8)
		if err != nil {
			return 0, err
		}
		for ; len(begins) > 8; begins = begins[8:] {
			n += bits.OnesCount64(binary.LittleEndian.Uint64(begins))
		}
		n += bits.OnesCount64(binary.LittleEndian.Uint64(begins) << (63 - uint(row&63)))
		if at = len(r.begins) + len(r.ranks); n < 0 || n >= r.values.n {
			return 0, &DamageError{b.name}
		}
	}
	return b.at(s, at, &r.values, n)
}

// restOf writes the columns of rows, and tops. accesses has the access of each row, in the order of the rows.
func (b *builder) restOf(w *fileWriter, subjects *subjectTable, accesses []uint32, who, times []uint64, starts []uint32) {
	c := b.c
	codes := b.principals(w, subjects)
	values := make([]uint64, len(accesses))
	fill := func(of func(i uint32) uint64) []uint64 {
		for at, i := range accesses {
			values[at] = of(i)
		}
		return values
	}
	w.runs(rowPrincipal, fill(func(i uint32) uint64 {
		code := codes[c.Principal.Codes[i]]
		if ids := c.SubjectIDs[c.SubjectStart[i]:c.SubjectStart[i+1]]; len(ids) > 0 && code == b.ownBase+subjects.number(ids[0]) {
			return principalOwn
		}
		return code
	}))
	for _, s := range [...]struct {
		c    rowColumn
		text *ledger.Strings
	}{{rowCredential, &c.Credential}, {rowID, &c.ID}, {rowReason, &c.Reason}, {rowRequest, &c.Request}} {
		w.runs(s.c, fill(func(i uint32) uint64 { return uint64(s.text.Codes[i]) }))
	}
	w.runs(rowBytes, fill(func(i uint32) uint64 { return zigzag(c.Bytes[i]) }))
	rows, sequences := b.ties(subjects, accesses)
	w.head.ties, w.head.firstSeq = len(rows), c.Seq[0]
	packed(w, sectionTieRows, rows, largestOf(rows))
	packed(w, sectionTieSeqs, sequences, widthOf(c.Seq[c.N-1]-c.Seq[0]))
	b.topsOf(w, who, times, starts, func(row int) uint64 { return codes[c.Principal.Codes[accesses[row]]] },
		func(row int) uint64 { return uint64(c.Credential.Codes[accesses[row]]) })
}

func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// principals writes the dictionary of principals that are not the prefix and a subject of the block, and gives the code of each
// principal.
func (b *builder) principals(w *fileWriter, subjects *subjectTable) []uint64 {
	dict := b.c.Principal.Dict
	codes, owned := make([]uint64, len(dict)), make([]bool, len(dict))
	var literal []uint32
	for _, code := range usedCodes(b.c.Principal.Codes, len(dict)) {
		if name, ok := strings.CutPrefix(dict[code], ownPrefix); ok {
			if codes[code], owned[code] = subjects.find(name); owned[code] {
				continue
			}
		}
		literal = append(literal, code)
	}
	slices.SortFunc(literal, func(x, y uint32) int { return cmp.Compare(dict[x], dict[y]) })
	texts := make([]string, len(literal))
	for i, code := range literal {
		codes[code], texts[i] = uint64(principalLiteral+i), dict[code]
	}
	b.ownBase = uint64(principalLiteral + len(literal))
	for code := range codes {
		if owned[code] {
			codes[code] += b.ownBase
		}
	}
	w.head.principals = len(texts)
	w.texts(sectionPrincipals, texts)
	return codes
}

// find gives the number that a block has, or could have, for an id.
func (t *subjectTable) find(id string) (number uint64, ok bool) {
	n, isInt := integer(id)
	switch {
	case !t.coded:
		return n, isInt && n < t.limit
	case isInt:
		at, ok := slices.BinarySearch(t.ints, n)
		return uint64(at), ok
	}
	at, ok := slices.BinarySearch(t.texts, id)
	return uint64(at + len(t.ints)), ok
}

// integer reads an id that stands for a number: canonical decimal below 1<<63.
func integer(s string) (n uint64, ok bool) {
	if s == "" || len(s) > 19 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + uint64(s[i]-'0')
	}
	return n, n < 1<<63
}

// ties gives the rows whose subject has another row of the same time, and their sequences less the first: of those alone
// the order is not known from their times.
func (b *builder) ties(subjects *subjectTable, accesses []uint32) (rows, sequences []uint64) {
	type row struct {
		subject uint64
		time    int64
		at      uint32
	}
	c := b.c
	size := uint64(1) << max(16, bits.Len(uint(8*len(accesses))))
	once, twice := make([]uint64, size/64), make([]uint64, size/64)
	place := func(r *row) uint64 {
		h := (r.subject ^ uint64(r.time)*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
		return (h ^ h>>32) & (size - 1)
	}
	each := func(fn func(r *row)) {
		next := uint32(0) // of the access's subjects
		for at, i := range accesses {
			ids := c.SubjectIDs[c.SubjectStart[i]:c.SubjectStart[i+1]]
			if at == 0 || i != accesses[at-1] {
				next = 0
			}
			if len(ids) == 0 {
				continue
			}
			fn(&row{subjects.number(ids[next]), c.Time[i], uint32(at)})
			next++
		}
	}
	each(func(r *row) {
		h := place(r)
		if bit := uint64(1) << (h & 63); once[h/64]&bit == 0 {
			once[h/64] |= bit
		} else {
			twice[h/64] |= bit
		}
	})
	var list []row
	each(func(r *row) {
		if h := place(r); twice[h/64]>>(h&63)&1 != 0 {
			list = append(list, *r)
		}
	})
	slices.SortFunc(list, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.subject, y.subject), cmp.Compare(x.time, y.time))
	})
	tied := list[:0]
	for i := 0; i < len(list); {
		end := i + 1
		for end < len(list) && list[end].subject == list[i].subject && list[end].time == list[i].time {
			end++
		}
		if end > i+1 {
			tied = append(tied, list[i:end]...)
		}
		i = end
	}
	slices.SortFunc(tied, func(x, y row) int { return cmp.Compare(x.at, y.at) })
	for _, r := range tied {
		rows, sequences = append(rows, uint64(r.at)), append(sequences, c.Seq[accesses[r.at]]-c.Seq[0])
	}
	return rows, sequences
}

// Seq gives the sequence of a row's access; ok is false where nothing but its time is kept of its place: then its subject has
// no other row of that time.
func (b *Block) Seq(row int) (seq uint64, ok bool, err error) {
	if b.head.ties == 0 {
		return 0, false, nil
	}
	at := sort.Search(b.head.ties, func(i int) bool {
		if err == nil {
			err = b.checkNumbers(sectionTieRows, &b.tieRows, i, i+1)
		}
		return int(b.tieRows.At(i)) >= row
	})
	if err == nil && at < b.head.ties {
		if err = b.checkNumbers(sectionTieRows, &b.tieRows, at, at+1); err == nil {
			err = b.checkNumbers(sectionTieSeqs, &b.tieSeqs, at, at+1)
		}
	}
	if err != nil || at == b.head.ties || int(b.tieRows.At(at)) != row {
		return 0, false, err
	}
	return b.head.firstSeq + b.tieSeqs.At(at), true, nil
}

// Principals are who claimed to ask, by row. Codes are of the block: 0 is missing.
type Principals struct {
	Runs     // code 1 stands for the code of the access's first subject
	literal  Texts
	base     uint64
	subjects Subjects
}

// PrincipalOwn is the code of a row whose principal is the customer that its access names first.
const PrincipalOwn = principalOwn

// Principals gives the principals of the rows.
func (b *Block) Principals() (p Principals, err error) {
	p.Runs, p.base = b.rest[rowPrincipal], uint64(principalLiteral+b.head.principals)
	if err = b.whole(sectionRow + section(rowPrincipal)); err == nil {
		p.literal, err = b.texts(sectionPrincipals, b.head.principals)
	}
	if err == nil {
		p.subjects, err = b.Subjects()
	}
	return p, err
}

// Own gives the code of a customer by the subject's number.
func (p *Principals) Own(number uint64) uint64 { return p.base + number }

// Owned gives the number of the subject whose own code it is; ok is false if it is no customer's.
func (p *Principals) Owned(code uint64) (number uint64, ok bool) {
	return code - p.base, code >= p.base
}

// Customer gives the id of a subject's number.
func (p *Principals) Customer(number uint64) string { return p.subjects.name(number) }

// Value gives the principal of a code that is not PrincipalOwn.
func (p *Principals) Value(code uint64) string {
	switch {
	case code < principalLiteral:
		return ""
	case code < p.base:
		return p.literal.At(int(code-principalLiteral) + 1)
	}
	return ownPrefix + p.subjects.name(code-p.base)
}

// Find gives the code of a principal, 0 if it has none.
func (p *Principals) Find(value string) uint64 {
	if code := p.literal.Find(value); code > 0 {
		return uint64(code-1) + principalLiteral
	}
	id, ok := strings.CutPrefix(value, ownPrefix)
	if !ok {
		return 0
	}
	var number uint64
	if n, isInt := integer(id); isInt {
		number, ok = p.subjects.FindInt(n)
	} else {
		number, ok = p.subjects.FindText(id)
	}
	if !ok {
		return 0
	}
	return p.base + number
}

// Limit is above every code.
func (p *Principals) Limit() uint64 { return p.base + p.subjects.Limit() }

// Credentials gives for each row the code that the segment has for its credential, and a number above every code. Its checksums were not
// looked at: call CheckCredentials before a row's is read.
func (b *Block) Credentials() (Runs, uint64) {
	r := b.rest[rowCredential]
	return r, r.values.mask + 1
}

// CheckCredentials looks at the checksums of the credentials of all rows.
func (b *Block) CheckCredentials() error { return b.whole(sectionRow + section(rowCredential)) }
