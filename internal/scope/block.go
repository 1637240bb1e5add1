package scope

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// maxBlockTerms is how many terms a question to blocks may have: an origin has a bit for each.
const maxBlockTerms = 64

// inBlocks reports whether blocks have what the question's terms ask.
func (q *question) inBlocks() bool {
	if q.index == nil || len(q.asOf) != 1 || len(q.terms) > maxBlockTerms {
		return false
	}
	for _, t := range q.terms {
		if t.expl != nil ||
			slices.ContainsFunc(t.texts, func(m textMember) bool { return m.col&(ledger.ColCredential|ledger.ColPrincipal) != 0 }) {
			return false
		}
	}
	return true
}

// split lists the parts that a term can match: those whose blocks can be asked, and those that must be read.
func (q *question) split() (blocks, rest []int) {
	rest = []int{}
	q.parts = q.view.Parts()
	var touched []int
	var ahead []*ledger.Part
	for i := range q.parts {
		p := &q.parts[i]
		if p.Accesses == 0 || !slices.ContainsFunc(q.terms, func(t *term) bool {
			return p.First <= t.asOf && p.MinTime < t.to && p.MaxTime >= t.from
		}) {
			continue
		}
		if touched = append(touched, i); p.Last <= q.asOf[0] {
			ahead = append(ahead, p)
		}
	}
	q.index.Ahead(ahead)
	for _, i := range touched {
		p := &q.parts[i]
		if p.Last <= q.asOf[0] && q.index.Block(p) != nil {
			blocks = append(blocks, i)
		} else {
			rest = append(rest, i)
		}
	}
	return blocks, rest
}

// scatter puts blocks into an order in which the earliest and latest come first and the others halve what lies
// between, again and again. So after a few blocks the range of times of what is added up is known, and most blocks
// lie within it: their rows' times need not be read.
func scatter(blocks []int) {
	if len(blocks) < 3 {
		return
	}
	last, middle := blocks[len(blocks)-1], slices.Clone(blocks[1:len(blocks)-1])
	width := bits.Len(uint(len(middle)))
	out := append(blocks[:1], last)
	for i := range 1 << width {
		if at := int(bits.Reverse64(uint64(i)) >> (64 - width)); at < len(middle) {
			out = append(out, middle[at])
		}
	}
}

// blockReader is one worker's way through the blocks. What it holds of a block is written over with the next.
type blockReader struct {
	q     *question
	shown map[shownKey]*blockShape
	lazy  bool // checksums of rows are looked at when rows are read
	timed bool // if lazy: their times will be read whatever the terms ask
	later bool // if lazy: nobody knows yet which rows will be read

	b        *index.Block
	from, to int64 // its times
	shapes   index.Texts
	versions []*blockVersion
	who      index.Packed
	starts   index.Monotone
	realm    index.Column
	realms   []uint32 // the question's numbers + 1
	realmOf  index.Texts
	subjects index.Subjects
	keys     []subjectKey  // of subjects by number, 1 more; 0: not looked up yet
	issued   *index.Issued // if a term asks for it
	ranges   []index.Span  // of rows, if the terms name subjects
	wanted   numberSet     // of the subjects that are named, those that the block may have
}

func newBlockReader(q *question) blockReader {
	return blockReader{q: q, shown: map[shownKey]*blockShape{}}
}

// begin makes the block of a part ready, and looks at the checksums of all that is going to be read. ok is false if the
// part must be read instead. spans are the origins that a term can match; with several terms, masks says which.
func (r *blockReader) begin(ctx context.Context, part int) (masks []uint64, spans []span32, ok bool, err error) {
	p := &r.q.parts[part]
	b := r.q.index.Block(p)
	if b == nil {
		return nil, nil, false, nil
	}
	r.q.stands(b)
	r.b, r.ranges, r.issued = b, nil, nil
	nobody := false
	if named := r.q.named(); named != nil {
		var found []uint64
		if r.ranges, found, err = r.q.find(b, p, named); err != nil {
			return nil, nil, false, bypass(err)
		}
		r.wanted.set(found)
		if nobody = len(r.ranges) == 0; nobody && !joins(r.q.cat) {
			return nil, nil, true, nil
		}
	}
	r.from, r.to = b.Range()
	if ok, err := r.open(); err != nil || !ok {
		return nil, nil, false, bypass(err)
	}
	if nobody {
		return nil, nil, true, nil
	}
	if r.starts, err = b.Starts(); err != nil {
		return nil, nil, false, bypass(err)
	}
	if r.q.asksIssued() {
		if r.issued, err = r.q.issuedOf(ctx, part, p, b, false); err != nil {
			return nil, nil, false, err
		}
	}
	if masks, spans, err = r.origins(); err != nil {
		return nil, nil, false, bypass(err)
	}
	if len(spans) == 0 {
		return nil, nil, true, nil
	}
	if r.q.asksIssued() && r.issued == nil {
		if r.issued, err = r.q.issuedOf(ctx, part, p, b, true); err != nil || r.issued == nil {
			return nil, nil, false, err
		}
	}
	if r.ranges != nil {
		if r.ranges = r.within(spans); len(r.ranges) == 0 {
			return nil, nil, true, nil
		}
	}
	rows := r.ranges
	if rows == nil && !r.later {
		r.askRows(spans)
	}
	if rows == nil && !r.lazy {
		for _, s := range spans {
			rows = append(rows, index.Span{From: int(r.starts.At(s.from)), To: int(r.starts.At(s.to))})
		}
	}
	for _, s := range rows {
		if err := b.CheckRows(s.From, s.To, true); err != nil {
			return nil, nil, false, bypass(err)
		}
	}
	return masks, spans, true, nil
}

// farOrigins are so many that reading the rows between two stretches costs more than asking for each.
const farOrigins = 1 << 14

// askRows has the system read the rows of origins, ahead of what looks at them.
func (r *blockReader) askRows(spans []span32) {
	times := !r.lazy || r.timed
	for _, t := range r.q.terms {
		times = times || r.from < t.from || r.to >= t.to
	}
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from < to+farOrigins; i++ {
			to = spans[i].to
		}
		r.b.AskRows(int(r.starts.At(from)), int(r.starts.At(to)), times)
	}
}

// each calls fn with the origins of spans, their rows, and the terms that can match them. Where subjects are named, it
// leaves out the rows of others.
func (r *blockReader) each(masks []uint64, spans []span32, fn func(o, lo, hi int, mask uint64)) {
	mask := uint64(1)
	call := func(o, lo, hi int) {
		if masks != nil {
			mask = masks[o]
		}
		fn(o, lo, hi, mask)
	}
	if r.ranges != nil {
		r.eachNamed(call)
		return
	}
	starts := window{fill: r.starts.Fill, n: r.starts.Len()}
	for _, s := range spans {
		lo := int(starts.at(s.from))
		for o := s.from; o < s.to; o++ {
			hi := int(starts.at(o + 1))
			call(o, lo, hi)
			lo = hi
		}
	}
}

// joined32 is rows [lo, hi) of origins that are alike; o is one of them.
type joined32 struct {
	o, lo, hi int
	mask      uint64
}

// groups calls fn with the rows of origins that follow each other and are alike.
func (r *blockReader) groups(masks []uint64, spans []span32, alike func(a, b int) bool, fn func(j *joined32)) {
	var j joined32
	r.each(masks, spans, func(o, lo, hi int, mask uint64) {
		if j.hi == lo && j.hi > j.lo && j.mask == mask && alike(j.o, o) {
			j.hi = hi
			return
		}
		if j.lo < j.hi {
			fn(&j)
		}
		j = joined32{o, lo, hi, mask}
	})
	if j.lo < j.hi {
		fn(&j)
	}
}

// originOf gives the origin of a row.
func (r *blockReader) originOf(row int) int { return r.starts.Search(uint64(row)+1) - 1 }

// within gives those of the ranges that are rows of some origins.
func (r *blockReader) within(spans []span32) []index.Span {
	out, k := []index.Span{}, 0
	for _, s := range spans {
		lo, hi := int(r.starts.At(s.from)), int(r.starts.At(s.to))
		for k < len(r.ranges) && r.ranges[k].To <= lo {
			k++
		}
		for i := k; i < len(r.ranges) && r.ranges[i].From < hi; i++ {
			out = append(out, index.Span{From: max(r.ranges[i].From, lo), To: min(r.ranges[i].To, hi)})
		}
	}
	return out
}

// eachNamed is each for the rows of subjects that are named: it looks at who each row is about first, and only then for its origin.
func (r *blockReader) eachNamed(fn func(o, lo, hi int)) {
	for _, x := range r.ranges {
		i := x.From - 1
		for rows := r.b.Each(x.From, x.To); rows.Next(); {
			if i++; r.wanted.has(rows.Subject) {
				fn(r.originOf(i), i, i+1)
			}
		}
	}
}

// numberSet is a small set of numbers, most of which are told from others by their low bits.
type numberSet struct {
	low    [8]uint64
	sorted []uint64
}

func (n *numberSet) set(list []uint64) {
	*n = numberSet{sorted: list}
	slices.Sort(n.sorted)
	for _, x := range list {
		n.low[x>>6&7] |= 1 << (x & 63)
	}
}

func (n *numberSet) has(x uint64) bool {
	if n.low[x>>6&7]>>(x&63)&1 == 0 {
		return false
	}
	_, ok := slices.BinarySearch(n.sorted, x)
	return ok
}

// maxNamed is how many subjects are looked up one by one.
const maxNamed = 256

// named gives the subjects of which each term keeps some; nil if a term keeps others too.
func (q *question) named() *subjectMember {
	all := newSubjectMember()
	for _, t := range q.terms {
		at := slices.IndexFunc(t.subject, func(m *subjectMember) bool { return m.positive })
		if at < 0 {
			return nil
		}
		for k := range t.subject[at].yesInt {
			all.yesInt[k] = struct{}{}
		}
		for id := range t.subject[at].yesText {
			all.yesText[id] = struct{}{}
		}
	}
	if len(q.terms) == 0 || len(all.yesInt)+len(all.yesText) > maxNamed {
		return nil
	}
	return all
}

// find gives, in order, stretches of a block's rows in which all rows of some subjects lie, and the numbers of those that
// the block may have.
func (q *question) find(b *index.Block, p *ledger.Part, named *subjectMember) (out []index.Span, numbers []uint64, err error) {
	subjects, err := b.Subjects()
	if err != nil {
		return nil, nil, err
	}
	var all []index.Span
	look := func(id string, number uint64, ok bool) {
		if !ok {
			return
		}
		if spans := q.rowsWith(b, p, id); len(spans) > 0 {
			all, numbers = append(all, spans...), append(numbers, number)
		}
	}
	for k := range named.yesInt {
		number, ok := subjects.FindInt(uint64(k))
		look(strconv.FormatUint(uint64(k), 10), number, ok)
	}
	for id := range named.yesText {
		number, ok := subjects.FindText(id)
		look(id, number, ok)
	}
	return merged(all), numbers, nil
}

// rowsWith gives, in order, stretches of a block's rows in which all rows of a subject lie.
func (q *question) rowsWith(b *index.Block, p *ledger.Part, id string) []index.Span {
	if spans, known := q.where(id).In(p); known {
		return spans
	}
	return []index.Span{{From: 0, To: b.Rows()}}
}

// where says where a subject's rows are.
func (q *question) where(id string) *index.Where {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.places[id]
	if w == nil {
		if q.places == nil {
			q.places = make(map[string]*index.Where)
		}
		w = q.index.Where(id)
		q.places[id] = w
	}
	return w
}

// compares reports whether the rows of origins that a set of terms can match must be compared one by one.
func (r *blockReader) compares(mask uint64) bool {
	if len(r.versions) > 1 {
		return true
	}
	for _, t := range r.q.terms {
		if mask>>t.index&1 != 0 && (r.from < t.from || r.to >= t.to || len(t.subject) > 0 || t.issued != nil) {
			return true
		}
	}
	return false
}

// at gives the version for a time, beginning with a guess.
func (r *blockReader) at(v *blockVersion, t int64) *blockVersion {
	for k := 0; t < v.from || t >= v.to; k++ {
		v = r.versions[k]
	}
	return v
}

// key gives the question's key of a subject's number.
func (r *blockReader) key(subject uint64) subjectKey {
	if r.subjects.Plain() {
		return subjectKey(subject)
	}
	if r.keys == nil {
		r.keys = make([]subjectKey, r.subjects.Limit())
	}
	if r.keys[subject] == 0 {
		id, text, isText := r.subjects.Get(subject)
		key := subjectKey(id)
		if isText {
			key = r.q.ids.key(text)
		}
		r.keys[subject] = key + 1 // no key is the greatest number
	}
	return r.keys[subject] - 1
}

// shownKey is a shape under a version of the catalog.
type shownKey struct {
	version *catalog.Version
	shape   string
}

// blockShape is what rows of one shape showed.
type blockShape struct {
	shape                        index.Shape
	version                      *catalog.Version
	set                          uint32
	others                       int64
	pass                         uint64 // terms whose members of the shape hold
	disclosed, unmatched, joined bool
}

// blockVersion is a version of the catalog that is valid for some of a block's times, and what its shapes show.
type blockVersion struct {
	from, to int64 // [from, to)
	shapes   []*blockShape
}

// bypass leaves a damaged block to the segment it was built from.
func bypass(err error) error {
	if damaged(err) {
		return nil
	}
	return err
}

// damaged reports whether an error says that a block is not as it was written.
func damaged(err error) bool {
	var d *index.DamageError
	return errors.As(err, &d)
}

// open makes the block's shapes ready. It reports false if they need what only the segment has.
func (r *blockReader) open() (bool, error) {
	var err error
	if r.shapes, err = r.b.Shapes(); err != nil {
		return false, err
	}
	if r.subjects, err = r.b.Subjects(); err != nil {
		return false, err
	}
	if r.realm, r.realmOf, err = r.b.Realm(); err != nil {
		return false, err
	}
	r.who = r.b.Who()
	r.realms = make([]uint32, r.realmOf.Len()+1)
	r.keys = nil
	r.versions = r.versions[:0]
	for t := r.from; ; {
		v := r.version(t)
		for i := range r.shapes.Len() {
			s, err := r.show(v, i)
			if err != nil {
				return false, err
			}
			if s.joined || !s.shape.First && r.keepsSome() {
				return false, nil
			}
			v.shapes = append(v.shapes, s)
		}
		for len(v.shapes) < 1<<r.b.ShapeBits() {
			v.shapes = append(v.shapes, &blockShape{}) // no row has it
		}
		r.versions = append(r.versions, v)
		if v.to > r.to {
			return true, nil
		}
		t = v.to
	}
}

// keepsSome reports whether a term keeps some subjects only.
func (r *blockReader) keepsSome() bool {
	return slices.ContainsFunc(r.q.terms, func(t *term) bool { return len(t.subject) > 0 })
}

// version gives the stretch around t in which one version, or none, is valid.
func (r *blockReader) version(t int64) *blockVersion {
	v := &blockVersion{from: math.MinInt64, to: math.MaxInt64}
	if r.q.cat == nil {
		return v
	}
	for _, x := range r.q.cat.Versions() {
		if x.From != 0 && x.From > t {
			v.to = min(v.to, x.From)
		}
		if x.Until != 0 && x.Until > t {
			v.to = min(v.to, x.Until)
		}
	}
	v.from = t
	return v
}

// show gives what rows of a shape showed.
func (r *blockReader) show(v *blockVersion, i int) (*blockShape, error) {
	var version *catalog.Version
	if r.q.cat != nil {
		version = r.q.cat.At(v.from)
	}
	text := r.shapes.At(i + 1)
	if s := r.shown[shownKey{version, text}]; s != nil {
		return s, nil
	}
	text = strings.Clone(text)
	shape, err := index.ParseShape(text)
	if err != nil {
		return nil, err
	}
	var route *catalog.Route
	if version != nil {
		route = version.Route(shape.Route)
	}
	shown := catalog.Show(route, shape.Fields, shape.Masked, int(shape.Status), whosaw.Outcome(shape.Outcome), 0, shape.Subject)
	s := &blockShape{
		shape: shape, version: version, set: r.q.sets.id(shown.Fields, shown.Masked),
		disclosed: shown.Outcome == whosaw.OutcomeDisclosed, unmatched: !shown.Matched,
		joined: !shape.Subject && route != nil && route.Join != catalog.JoinNone,
	}
	if s.others = shape.Others; s.others == 0 {
		s.others = shown.Others
	}
	if !shape.First || !shape.Subject {
		s.others = 0
	}
	for _, t := range r.q.terms {
		if (t.field == nil || t.field.acceptSet(shown.Fields)) && (t.outcome == nil || t.outcome.accept(shown.Outcome.String())) &&
			(t.status == nil || t.status.accept(shape.Status)) && t.acceptsRoute(shape.Route) {
			s.pass |= 1 << t.index
		}
	}
	r.shown[shownKey{version, text}] = s
	return s, nil
}

func (t *term) acceptsRoute(route string) bool {
	for _, m := range t.texts {
		if m.col == ledger.ColRoute && !m.accept(route) {
			return false
		}
	}
	return true
}

// origins gives those that a term can match, and for each of the block's origins those terms: nil if there is one term only.
func (r *blockReader) origins() (masks []uint64, spans []span32, err error) {
	if len(r.q.terms) == 1 {
		spans, err = r.q.terms[0].origins(r.b, r.issuedSpans(r.q.terms[0]))
		return nil, spans, err
	}
	masks = make([]uint64, r.b.Origins())
	for _, t := range r.q.terms {
		if r.from >= t.to || r.to < t.from {
			continue
		}
		own, err := t.origins(r.b, r.issuedSpans(t))
		if err != nil {
			return nil, nil, err
		}
		for _, s := range own {
			for o := s.from; o < s.to; o++ {
				masks[o] |= 1 << t.index
			}
		}
	}
	for o, mask := range masks {
		if mask != 0 {
			spans = joined(spans, span32{o, o + 1})
		}
	}
	return masks, spans, nil
}

// issuedSpans gives the origins that can have rows that a term wants, as far as a side table tells; all if there is none.
func (r *blockReader) issuedSpans(t *term) []span32 {
	if t.issued == nil || r.issued == nil {
		return []span32{{0, r.b.Origins()}}
	}
	out := []span32{}
	for _, s := range r.issued.Stretches(r.b.Rows(), *t.issued) {
		x := span32{r.originOf(s.From), r.originOf(s.To-1) + 1}
		if n := len(out); n > 0 && out[n-1].to >= x.from {
			out[n-1].to = max(out[n-1].to, x.to)
			continue
		}
		out = append(out, x)
	}
	return out
}

// realmID gives the question's number of an origin's realm.
func (r *blockReader) realmID(o int) uint32 {
	code := r.realm.At(o)
	if r.realms[code] == 0 {
		r.realms[code] = r.q.realms.id(r.realmOf.At(int(code))) + 1
	}
	return r.realms[code] - 1
}

// matches reports whether one of the terms of a mask matches a row.
func (r *blockReader) matches(mask uint64, s *blockShape, row int, subject uint64, t int64) bool {
	for ; mask != 0; mask &= mask - 1 {
		x := r.q.terms[bits.TrailingZeros64(mask)]
		if t >= x.from && t < x.to && (x.issued == nil || *x.issued == r.issued.Row(row)) && (len(x.subject) == 0 || r.keeps(x, s, subject)) {
			return true
		}
	}
	return false
}

// keeps reports whether a term keeps a row's subject. A row without one passes unless one is asked for.
func (r *blockReader) keeps(t *term, s *blockShape, subject uint64) bool {
	if !s.shape.Subject {
		return !slices.ContainsFunc(t.subject, func(k *subjectMember) bool { return k.positive })
	}
	id, text, isText := r.subjects.Get(subject)
	for _, k := range t.subject {
		if isText && !k.keepsText(text) || !isText && !k.keepsInt(subjectKey(id)) {
			return false
		}
	}
	return true
}
