package index

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// A block says who may have been shown most, so that a question for the largest groups looks at few rows: for some members and each day (UTC)
// the codes with the most changes, which is how often the subject of a code's rows differs from that of its row before. What was
// shown to whom is not in it: it bounds every answer, whatever the filter and the catalog.
const (
	topsKept   = 4096    // of a list
	topsEach   = 16      // at least, of a day
	topsCodes  = 1 << 14 // that are looked at by day
	topsCells  = 1 << 22 // and those times days
	dayMillis  = int64(86_400_000)
	maxTopDays = 1 << 10
)

// TopsOf is a member that Tops has.
type TopsOf int

// The members that Tops has.
const (
	TopsIP TopsOf = iota
	TopsNetwork
	TopsPrincipal
	TopsCredential
	TopsAgent
	topsLists
)

// Tops are the largest of a block.
type Tops struct {
	FirstDay int64   // since 1970
	Rows     []int64 // that name a subject, by day from FirstDay on
	lists    [topsLists]TopList
}

// TopList is the largest of a member, by day.
type TopList struct {
	first int64
	days  []topDay
}

// topDay is the largest of a day, the largest first.
type topDay struct {
	n    int
	in   []byte
	rest int64
}

// Top is what a code has on a day.
type Top struct {
	Day     int64
	Code    uint64 // of Principals, where no row has PrincipalOwn for it; of a network that of its least address
	Changes int64
}

// Of gives the list of a member.
func (t *Tops) Of(m TopsOf) *TopList { return &t.lists[m] }

// topsRows is what tops are made of, by row: whether it counts, who it is, and the day from the first on.
type topsRows struct {
	subject []uint64 // 1 more, with the realm above; 0: none
	day     []uint16
	days    int
}

// topsOf makes the tops of a block's rows. It gives nothing if they are of too many days.
func (b *builder) topsOf(w *fileWriter, who, times []uint64, origins []uint32, principal, credential func(row int) uint64) {
	first := floorDay(w.minTime)
	days := floorDay(w.maxTime) - first + 1
	if days > maxTopDays {
		w.end(sectionTops, 0)
		w.end(sectionPostings, 0)
		return
	}
	r := &topsRows{subject: make([]uint64, len(who)), day: make([]uint16, len(who)), days: int(days)}
	rows := make([]uint64, days)
	ip, realm, agent := make([]uint32, len(origins)), make([]uint32, len(origins)), make([]uint32, len(origins))
	for at, o := range b.order() {
		ip[at], realm[at], agent[at] = b.origins[o][memberIP], b.origins[o][memberRealm], b.origins[o][memberAgent]
	}
	originOf := make([]uint32, len(who))
	for o := range origins[:len(origins)-1] {
		for row := origins[o]; row < origins[o+1]; row++ {
			originOf[row] = uint32(o)
		}
	}
	for i, v := range who {
		d := uint16((w.minTime+int64(times[i]))/dayMillis - first)
		r.day[i] = d
		if shape := v & (1<<w.shapeBits - 1); b.blobs[shape][0]&shapeSubject != 0 {
			r.subject[i] = (v>>w.shapeBits + 1) | uint64(realm[originOf[i]])<<34
			rows[d]++
		}
	}
	networks := b.networks()
	out := binary.AppendVarint(nil, first)
	out = binary.AppendUvarint(out, uint64(days))
	for _, n := range rows {
		out = binary.AppendUvarint(out, n)
	}
	var posted []largestOfDay
	for m, code := range [topsLists]func(row int) uint64{
		TopsIP:         func(row int) uint64 { return uint64(ip[originOf[row]]) },
		TopsNetwork:    func(row int) uint64 { return uint64(networks[ip[originOf[row]]]) },
		TopsPrincipal:  principal,
		TopsCredential: credential,
		TopsAgent:      func(row int) uint64 { return uint64(agent[originOf[row]]) },
	} {
		list := r.largest(code)
		for _, day := range list {
			var in []byte
			for _, x := range day.cells {
				in = binary.AppendUvarint(binary.AppendUvarint(in, uint64(x.Changes)), x.Code)
			}
			out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(day.rest)), uint64(len(day.cells)))
			out = append(binary.AppendUvarint(out, uint64(len(in))), in...)
		}
		if TopsOf(m) == TopsCredential {
			posted = list
		}
	}
	w.b = append(w.b, out...)
	w.end(sectionTops, 0)
	b.postings(w, posted, credential)
}

func floorDay(ms int64) int64 {
	d := ms / dayMillis
	if ms%dayMillis < 0 {
		d--
	}
	return d
}

// networks gives for each code of an address the least code in its network: IPv4/24, IPv6/48.
func (b *builder) networks() []uint32 {
	out := make([]uint32, 1+len(b.v4)+len(b.v6))
	for i := range b.v4 {
		if out[i+1] = uint32(i + 1); i > 0 && b.v4[i]>>8 == b.v4[i-1]>>8 {
			out[i+1] = out[i]
		}
	}
	for i := range b.v6 {
		at := 1 + len(b.v4) + i
		if out[at] = uint32(at); i > 0 && string(b.v6[i][:6]) == string(b.v6[i-1][:6]) {
			out[at] = out[at-1]
		}
	}
	return out
}

// largestOfDay is the codes with the most changes on a day, the largest first; no other has more than the rest.
type largestOfDay struct {
	cells []Top
	rest  int64
}

// largest gives the codes with the most changes of each day.
func (r *topsRows) largest(code func(row int) uint64) []largestOfDay {
	total := r.totals(code)
	// A code has no more on a day than in all: only those with the most in all are looked at by day.
	least := threshold(total.changes, min(topsCodes, topsCells/r.days))
	slots, codes := map[uint64]uint32{}, []uint64(nil)
	for i, c := range total.codes {
		if total.changes[i] >= least {
			slots[c], codes = uint32(len(codes)), append(codes, c)
		}
	}
	changes := r.byDay(code, slots, codes)
	out, of := make([]largestOfDay, r.days), make([]uint32, len(codes))
	for day := range out {
		for i := range codes {
			of[i] = changes[i*r.days+day]
		}
		d := &out[day]
		low := threshold(of, max(topsEach, topsKept/r.days))
		d.rest = int64(max(least, low) - 1)
		for i, n := range of {
			if n >= low {
				d.cells = append(d.cells, Top{int64(day), codes[i], int64(n)})
			}
		}
		slices.SortFunc(d.cells, func(x, y Top) int {
			return cmp.Or(cmp.Compare(y.Changes, x.Changes), cmp.Compare(x.Code, y.Code))
		})
	}
	return out
}

// threshold gives the least number but 0 that so few of the numbers reach.
func threshold(numbers []uint32, few int) uint32 {
	const known = 1 << 12
	var counts [known]int
	large := []uint32(nil)
	for _, n := range numbers {
		if n < known {
			counts[n]++
		} else {
			large = append(large, n)
		}
	}
	if len(large) > few {
		slices.Sort(large)
		return large[len(large)-few-1] + 1
	}
	reach := len(large)
	for n := known - 1; n > 0; n-- {
		if reach += counts[n]; reach > few {
			return uint32(n + 1)
		}
	}
	return 1
}

// totals are changes by code.
type totals struct {
	codes   []uint64
	changes []uint32
}

// totals counts the changes of all codes but 0.
func (r *topsRows) totals(code func(row int) uint64) totals {
	var t totals
	var last []uint64
	at := map[uint64]uint32{}
	var direct []uint32 // place + 1 by code, where codes are small
	for row, subject := range r.subject {
		if subject == 0 {
			continue
		}
		c := code(row)
		if c == 0 {
			continue
		}
		i, ok := uint32(0), false
		if c < 1<<24 {
			for uint64(len(direct)) <= c {
				direct = append(direct, make([]uint32, max(1024, len(direct)))...)
			}
			i, ok = direct[c]-1, direct[c] != 0
		} else {
			i, ok = at[c]
		}
		if !ok {
			i = uint32(len(t.codes))
			t.codes, t.changes, last = append(t.codes, c), append(t.changes, 0), append(last, 0)
			if c < 1<<24 {
				direct[c] = i + 1
			} else {
				at[c] = i
			}
		}
		if last[i] != subject {
			last[i] = subject
			t.changes[i]++
		}
	}
	return t
}

// byDay counts the changes of some codes, by their slots, and by day.
func (r *topsRows) byDay(code func(row int) uint64, slots map[uint64]uint32, codes []uint64) []uint32 {
	direct := make([]uint32, 1<<16)
	for slot, c := range codes {
		direct[c&(1<<16-1)] = uint32(slot) + 1 // a guess: who has it, or that somebody has
	}
	changes, last := make([]uint32, len(slots)*r.days), make([]uint64, len(slots)*r.days)
	for row, subject := range r.subject {
		if subject == 0 {
			continue
		}
		c := code(row)
		guess := direct[c&(1<<16-1)]
		if guess == 0 {
			continue
		}
		slot := guess - 1
		if codes[slot] != c {
			var ok bool
			if slot, ok = slots[c]; !ok {
				continue
			}
		}
		at := int(slot)*r.days + int(r.day[row])
		if last[at] != subject {
			last[at] = subject
			changes[at]++
		}
	}
	return changes
}

// Tops gives the largest of the block; ok is false if it has none.
func (b *Block) Tops() (t Tops, ok bool, err error) {
	in := b.bytes(sectionTops)
	if err := b.whole(sectionTops); err != nil || len(in) == 0 {
		return t, false, err
	}
	d := decoder{b: in}
	t.FirstDay = d.varint()
	t.Rows = make([]int64, d.count(maxTopDays))
	for i := range t.Rows {
		t.Rows[i] = int64(d.count(math.MaxInt32))
	}
	for m := range t.lists {
		l := &t.lists[m]
		l.first, l.days = t.FirstDay, make([]topDay, len(t.Rows))
		for i := range l.days {
			day := &l.days[i]
			day.rest, day.n = int64(d.count(math.MaxInt32)), d.count(math.MaxInt32)
			day.in = d.take(d.count(len(d.b)))
		}
	}
	if d.bad || len(d.b) > 0 {
		return t, false, &DamageError{b.name}
	}
	return t, true, nil
}

// Rest gives what no code has more of on a day than it has, if it is not listed for it.
func (l *TopList) Rest(day int64) int64 {
	if i := day - l.first; i >= 0 && i < int64(len(l.days)) {
		return l.days[i].rest
	}
	return 0
}

// Each calls fn with the largest of a day, the largest first, until it returns false.
func (l *TopList) Each(day int64, fn func(x Top) bool) {
	i := day - l.first
	if i < 0 || i >= int64(len(l.days)) {
		return
	}
	d := decoder{b: l.days[i].in}
	for range l.days[i].n {
		x := Top{Changes: int64(d.uvarint()), Day: day, Code: d.uvarint()}
		if d.bad || !fn(x) {
			return
		}
	}
}
