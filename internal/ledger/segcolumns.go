package ledger

import (
	"encoding/binary"
	"strings"
)

// columnEncoder writes the columns of a chunk, in the order of their numbers.
type columnEncoder struct {
	w     *segmentWriter
	c     *Chunk
	known [columns]coded
	ids   []SubjectID // of the codes of columnSubject
	table table       // finds them
	warm  uint64      // keeps the compiler from leaving reads out
}

func (e *columnEncoder) times() {
	times := e.c.Time
	b := binary.AppendUvarint(e.w.raw[:0], zigzag(times[0]))
	gaps := make([]uint64, len(times)-1)
	for i := range gaps {
		gaps[i] = zigzag(times[i+1] - times[i])
	}
	e.w.raw = appendPlanes(b, gaps)
	e.w.section(columnTime, sectionRows)
}

// positions are kept as steps from the row before of the same source.
func (e *columnEncoder) positions() {
	if len(e.c.Position) == 0 {
		return
	}
	last := make([]int64, max(1, len(e.c.Source.Dict)))
	steps := make([]uint64, len(e.c.Position))
	for i, p := range e.c.Position {
		s := valueAt(e.c.Source.Codes, i)
		steps[i], last[s] = zigzag(p-last[s]), p
	}
	e.w.raw = appendPlanes(e.w.raw[:0], steps)
	e.w.section(columnPosition, sectionRows)
}

func (e *columnEncoder) integers(c column, values []int64) {
	if len(values) == 0 {
		return
	}
	u := make([]uint64, len(values))
	for i, v := range values {
		u[i] = zigzag(v)
	}
	e.w.raw = appendPlanes(e.w.raw[:0], u)
	e.w.section(c, sectionRows)
}

// rows writes the rows of a coded column; it reports false if all are missing.
func (e *columnEncoder) rows(c column, codes []uint32, size int) bool {
	if len(codes) == 0 {
		return false
	}
	e.known[c] = coded{codes, size}
	enc := rowEncoder{coded: e.known[c], columns: &e.known}
	e.w.raw, _ = enc.encode(e.w.raw[:0], ways[c])
	e.w.section(c, sectionRows)
	return true
}

func (e *columnEncoder) strings(c column, s Strings) {
	if !e.rows(c, s.Codes, len(s.Dict)) {
		return
	}
	if c.paged() {
		e.w.pages(c, s.Dict[1:])
		return
	}
	e.w.raw = appendDictionary(e.w.raw[:0], s.Dict[1:])
	e.w.section(c, sectionDict)
}

func (e *columnEncoder) sets(c column, s Sets) {
	if e.rows(c, s.Codes, len(s.Dict)) {
		e.w.raw = appendSets(e.w.raw[:0], s.Dict[1:])
		e.w.section(c, sectionDict)
	}
}

// numbers writes a column of numbers of which there are few.
func numbers[T uint8 | uint16 | uint32](e *columnEncoder, c column, values []T) {
	if len(values) == 0 {
		return
	}
	codes, dict := make([]uint32, len(values)), []uint32{0}
	of := map[T]uint32{0: 0}
	var last T
	code := uint32(0)
	for i, v := range values {
		if v != last {
			var ok bool
			if code, ok = of[v]; !ok {
				code = uint32(len(dict))
				of[v], dict = code, append(dict, uint32(v))
			}
			last = v
		}
		codes[i] = code
	}
	e.rows(c, codes, len(dict))
	b := binary.AppendUvarint(e.w.raw[:0], uint64(len(dict)-1))
	e.w.raw = appendPlanes(b, dict[1:])
	e.w.section(c, sectionDict)
}

// subjects writes how many subjects each row names, the subjects of all rows as codes, and the
// dictionary, in which integers are integers.
func (e *columnEncoder) subjects() {
	c := e.c
	if len(c.SubjectIDs) == 0 {
		return
	}
	counts := make([]uint32, c.N)
	for i := range counts {
		counts[i] = c.SubjectStart[i+1] - c.SubjectStart[i]
	}
	e.w.raw = appendPlanes(e.w.raw[:0], counts)
	e.w.section(columnSubjects, sectionRows)

	codes, dict := e.codeSubjects()
	enc := rowEncoder{coded: coded{codes, len(dict)}, columns: &e.known}
	e.w.raw, _ = enc.encode(e.w.raw[:0], ways[columnSubject])
	e.w.section(columnSubject, sectionRows)

	kinds := make([]uint8, len(dict)-1)
	var integers []uint64
	var names []string
	for i, id := range dict[1:] {
		if id < SubjectString {
			integers = append(integers, uint64(id))
		} else {
			kinds[i] = 1
			names = append(names, c.SubjectStrings[id&^SubjectString])
		}
	}
	b := binary.AppendUvarint(e.w.raw[:0], uint64(len(kinds)))
	b = appendPlanes(b, kinds)
	b = appendPlanes(b, integers)
	e.w.raw = appendDictionary(b, names)
	e.w.section(columnSubject, sectionDict)
	e.known[columnSubject] = coded{firstOf(codes, c.SubjectStart, make([]uint32, c.N)), len(dict)}
}

// firstOf gives for each row its first value, 0 if it has none.
func firstOf(codes, start, out []uint32) []uint32 {
	for i := range out {
		if start[i] < start[i+1] {
			out[i] = codes[start[i]]
		}
	}
	return out
}

// codeSubjects gives codes to the subjects in the order of their first appearance. As in
// interned.add, the lookups of a block wait for memory together.
func (e *columnEncoder) codeSubjects() (codes []uint32, dict []SubjectID) {
	codes, e.ids = make([]uint32, len(e.c.SubjectIDs)), []SubjectID{0}
	warm := uint64(0)
	for at := 0; at < len(codes); at += block {
		ids := e.c.SubjectIDs[at:min(at+block, len(codes))]
		e.table.reserve(len(ids))
		for _, id := range ids {
			warm ^= e.table.slots[int(subjectHash(id))&(len(e.table.slots)-1)]
		}
		for i, id := range ids {
			codes[at+i] = e.subjectCode(id, true)
		}
	}
	e.warm = warm
	return codes, e.ids
}

func subjectHash(id SubjectID) uint32 { return uint32(mix(uint64(id), 0)) }

// subjectCode finds the code of a subject; if there is none, it gives it one, or 0.
func (e *columnEncoder) subjectCode(id SubjectID, add bool) uint32 {
	hash := subjectHash(id)
	i := e.table.begin(hash)
	for {
		code, same := e.table.at(i, hash)
		if code == 0 {
			break
		}
		if same && e.ids[code] == id {
			return code
		}
		i = e.table.next(i)
	}
	if !add {
		return 0
	}
	code := uint32(len(e.ids))
	e.ids = append(e.ids, id)
	e.table.set(i, hash, code)
	return code
}

// principals writes the principals. Those that are their own first subject behind the prefix need
// no place in the dictionary.
func (e *columnEncoder) principals() {
	s := e.c.Principal
	if len(s.Codes) == 0 {
		return
	}
	e.known[columnPrincipal] = coded{s.Codes, len(s.Dict)}
	enc := rowEncoder{coded: e.known[columnPrincipal], columns: &e.known, owners: e.owners()}
	var derived []bool
	e.w.raw, derived = enc.encode(e.w.raw[:0], ways[columnPrincipal])
	e.w.section(columnPrincipal, sectionRows)
	literal := s.Dict[1:]
	if derived != nil {
		literal = nil
		for code, v := range s.Dict {
			if code > 0 && !derived[code] {
				literal = append(literal, v)
			}
		}
	}
	if len(literal) > 0 {
		e.w.raw = appendDictionary(e.w.raw[:0], literal)
		e.w.section(columnPrincipal, sectionDict)
	}
}

// ownPrefix stands before the subject in the principal of a customer's own session.
const ownPrefix = "customer:"

func (e *columnEncoder) owners() owners {
	if len(e.ids) == 0 {
		return owners{}
	}
	o := owners{prefix: ownPrefix, of: make([]uint32, len(e.c.Principal.Dict))}
	names := map[string]SubjectID{}
	for i, s := range e.c.SubjectStrings {
		names[s] = SubjectString | SubjectID(i)
	}
	for code, p := range e.c.Principal.Dict {
		name, ok := strings.CutPrefix(p, ownPrefix)
		if !ok {
			continue
		}
		id, ok := integerID(name)
		if !ok {
			id, ok = names[name]
		}
		if ok {
			o.of[code] = e.subjectCode(id, false)
		}
	}
	return o
}
