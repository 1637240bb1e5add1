package detect

import "math"

// detector is one of the detectors; the first nSequential run sequential tests, the others state facts.
type detector uint8

const (
	unissued detector = iota
	nonexistent
	traversal
	unexplained
	refused
	dormant
	stranger
	monotone
	nSequential

	canary     = nSequential
	keyState   = nSequential + 1
	fieldDrift = nSequential + 2
	spreader   = nSequential + 3
	budget     = nSequential + 4
	keyPolicy  = nSequential + 5
	offboarded = nSequential + 6
	volume     = nSequential + 7
	nDetectors = nSequential + 8
)

var detectorNames = [nDetectors]string{"unissued", "nonexistent", "traversal", "unexplained", "refused", "dormant", "stranger", "monotone", "canary", "key_state", "field_drift", "spreader", "budget", "key_policy", "offboarded", "volume"}

// maxBank is the most tests a detector runs on a unit.
const maxBank = 4

// bank holds the attack rates p1 that a detector looks for: one test each.
type bank struct {
	n  int
	p1 [maxBank]float64
}

// weights are the steps of a detector's tests at an honest rate p0.
type weights struct {
	p0       float64
	up, down [maxBank]float64
	use      uint8 // tests whose p1 lies clearly above p0; bit per test
}

func (b *bank) weights(p0 float64) weights {
	w := weights{p0: p0}
	for j := range b.n {
		p1 := b.p1[j]
		w.up[j] = math.Log(p1 / p0)
		w.down[j] = math.Log((1 - p1) / (1 - p0))
		// Below a ratio of 1.4 a step says next to nothing, and the bank has a higher p1.
		if p1 >= 1.4*p0 {
			w.use |= 1 << j
		}
	}
	return w
}

// Levels are the lower thresholds at which crossings are counted, to set silence beside the bound.
var Levels = [4]float64{6, 8, 10, 12}

// excursion is a unit's state for a detector while any of its tests is above zero, with the accesses since.
type excursion struct {
	s      [maxBank]float64
	start  [maxBank]int32 // index into ev at which s last left zero
	level  [maxBank]uint8 // Levels passed since then
	access uint32         // the number of the record added last in this excursion
	record uint64         // count of it; a cache line ends here

	ev     []entry
	seen   map[uint64]struct{} // subjects tried on seenOn
	seenOn int32               // day number
	creds  []string            // what a narrow finding lists, at most maxNamed: unissued: credentials judged; dormant, stranger, monotone: subjects
}

const (
	firstEvidence  = 4       // entries room is made for first: most excursions are short
	maxExcursion   = 1024    // entries a unit may hold; then the older half goes and what is left is the excursion
	tightExcursion = 64      // the same while all units together hold too many
	maxSeen        = 1 << 16 // subjects a unit remembers of a day; beyond, one may be tried twice
	maxNamed       = 1000    // subjects or credentials a filter lists at most
)

// entry is one subject of one access in an excursion.
type entry struct {
	time    int64
	subject subject
	key     uint32 // hashes that are only compared with those of the raising access
	client  uint32
	class   uint32
	access  uint32

	credential uint32 // what an attack is known again by
	network    uint32
	print      uint32  // agent class and TLS; 0: no TLS fingerprint
	p0         float32 // of the trial; 0: it was none
	flags      uint8
	hits       uint8 // bit per test
}

// subject identifies a subject within its realm: twice the number and one, or a hash that is even. 0: none.
type subject uint64

func subjectOf(s string) subject {
	if n, ok := number(s); ok {
		return subject(n<<1 | 1)
	}
	return subject(text(s) << 1)
}

// number gives the subject's number, ok is false if its id is not one.
func (s subject) number() (n uint64, ok bool) { return uint64(s >> 1), s&1 == 1 }

const (
	entOpened    = 1 << iota // outcome disclosed or absent
	entDisclosed             // outcome disclosed
	entTrial                 // it was a trial
	entIssued                // as far as it was known then
	entAccused               // unissued: judged, and never issued; unexplained: no reason, in time or late; refused: it was
)

// trial is the answer to a detector's question about one subject of one access.
type trial struct {
	d     detector
	w     *weights
	valid uint8  // tests that it is a trial of
	hits  uint8  // of those, the answers that speak against the unit
	once  uint64 // what is tried once a day; 0: known to be the first today
}

// drive runs a unit's tests over a trial and reports whether one stands at or above the threshold.
func (e *Engine) drive(u *unit, v *view, t trial, en *entry) bool {
	switch {
	case e.probe != nil && e.probe.on:
		return e.probed(u, v, t, en)
	case t.hits == 0 && !u.has(t.d):
		return false // nearly always
	}
	return e.driveOn(u, v, t, en)
}

func (e *Engine) driveOn(u *unit, v *view, t trial, en *entry) bool {
	if t.hits == 0 && !u.has(t.d) {
		return false
	}
	x := u.ex[t.d]
	if x == nil {
		x = e.newExcursion()
		u.set(t.d, x)
		e.hot[t.d][u.kind]++
		if t.d == unexplained && u.customer {
			e.nosy++
		}
	}
	if t.once != 0 && !x.first(t.once, v.on) {
		t.valid = 0 // tried today: evidence, not a trial
	}
	added := e.append(x, v, en)
	added.hits = t.hits & t.valid
	if t.valid != 0 {
		added.flags |= entTrial
		added.p0 = float32(t.w.p0)
	}
	at := int32(len(x.ev) - 1)
	rule := &e.rule[t.d]
	crossed, alive := false, false
	for j := range rule.bank.n {
		s := x.s[j]
		if t.valid>>j&1 == 1 {
			if t.hits>>j&1 == 1 {
				if s == 0 {
					x.start[j], x.level[j] = at, 0
				}
				s += t.w.up[j]
				e.note(t.d, x, j, s)
			} else if s > 0 {
				s = max(0, s+t.w.down[j])
			}
			x.s[j] = s
		}
		if s > 0 {
			alive = true
			crossed = crossed || s >= rule.h
		}
	}
	if !alive {
		e.endExcursion(u, t.d)
	}
	return crossed
}

// miss lowers a unit's tests for a trial that is no evidence: it does not meet the filter a finding would have.
func (e *Engine) miss(u *unit, v *view, t trial) {
	if e.probing() {
		e.probed(u, v, t, nil)
		return
	}
	e.missOn(u, v, t)
}

func (e *Engine) missOn(u *unit, v *view, t trial) {
	if !u.has(t.d) {
		return
	}
	x := u.ex[t.d]
	if t.once != 0 && !x.first(t.once, v.on) {
		return
	}
	alive := false
	for j := range e.rule[t.d].bank.n {
		if t.valid>>j&1 == 1 && x.s[j] > 0 {
			x.s[j] = max(0, x.s[j]+t.w.down[j])
		}
		alive = alive || x.s[j] > 0
	}
	if !alive {
		e.endExcursion(u, t.d)
	}
}

// note keeps the highest statistic and the crossings of the lower levels.
func (e *Engine) note(d detector, x *excursion, j int, s float64) {
	st := &e.stats[d]
	st.highest = max(st.highest, s)
	e.peak.to(d, s/e.rule[d].h)
	for int(x.level[j]) < len(Levels) && s >= Levels[x.level[j]] {
		st.reached[x.level[j]]++
		x.level[j]++
	}
}

func (e *Engine) newExcursion() *excursion {
	if n := len(e.spare); n > 0 {
		x := e.spare[n-1]
		e.spare = e.spare[:n-1]
		return x
	}
	return &excursion{}
}

// endExcursion forgets an excursion: all its tests are back at zero, or what it gathered has become a finding.
func (e *Engine) endExcursion(u *unit, d detector) {
	x := u.ex[d]
	if x == nil {
		return
	}
	u.set(d, nil)
	e.hot[d][u.kind]--
	if d == unexplained && u.customer {
		e.nosy--
	}
	e.evidence -= len(x.ev)
	// Honest excursions are short and many; the long ones are not worth keeping.
	if cap(x.ev) <= 64 && len(x.seen) <= 64 && len(e.spare) < 4096 {
		clear(x.seen)
		*x = excursion{ev: x.ev[:0], seen: x.seen}
		e.spare = append(e.spare, x)
	}
}

// first reports whether this is the excursion's first trial of a subject on its day, and remembers it. Late records of
// an earlier day count to the current one.
func (x *excursion) first(once uint64, on int32) bool {
	if x.seen == nil {
		x.seen = make(map[uint64]struct{}, 8)
	}
	if on > x.seenOn || len(x.seen) >= maxSeen {
		clear(x.seen)
		x.seenOn = max(on, x.seenOn)
	}
	if _, ok := x.seen[once]; ok {
		return false
	}
	x.seen[once] = struct{}{}
	return true
}

// append adds evidence. What is beyond the unit's share goes, the oldest first, and the excursion then begins later:
// a finding accuses only what it can count.
func (e *Engine) append(x *excursion, v *view, en *entry) (added *entry) {
	limit := maxExcursion
	if e.evidence > e.cfg.MaxEvidence {
		limit = tightExcursion
	}
	if len(x.ev) >= limit {
		cut := len(x.ev) - limit/2
		x.ev = x.ev[:copy(x.ev, x.ev[cut:])]
		for j := range x.start {
			x.start[j] = max(0, x.start[j]-int32(cut))
		}
		e.evidence -= cut
	}
	if x.record != v.count {
		x.record = v.count
		x.access++
	}
	if x.ev == nil {
		x.ev = make([]entry, 0, firstEvidence)
	}
	x.ev = append(x.ev, *en)
	e.evidence++
	added = &x.ev[len(x.ev)-1]
	added.access = x.access
	return added
}

// witness adds an access that is no trial to the unit's excursion, if it has one: it meets the filter, so
// the majority must be counted over it.
func (e *Engine) witness(u *unit, d detector, v *view, en *entry) {
	if u.has(d) {
		e.append(u.ex[d], v, en)
	}
}
