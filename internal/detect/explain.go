package detect

import (
	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
	"github.com/whosaw/whosaw/internal/rules"
)

// Explanation is what one access did to the detectors, and why it did nothing where it did nothing.
type Explanation struct {
	Issued bool `json:"issued"`
	// ExplainedBy is own session, reason or household; "" if nothing explains it.
	ExplainedBy string `json:"explained_by"`
	Outcome     string `json:"outcome"`
	Passes      []Pass `json:"passes"`
	// Waits names the detectors that still wait for its issuance or its reason.
	Waits []string `json:"waits"`
}

// Pass is one look at the access: when it came, and, where its issuance or reason was waited for, when that was no longer expected.
type Pass struct {
	At        uint64      `json:"at"` // the record at which the detectors looked
	Detectors []Answering `json:"detectors"`
}

// Answering is what one detector made of the access.
type Answering struct {
	Detector string `json:"detector"`
	Rule     string `json:"rule"`
	// State is asked: it answered the detector's question; not_judged; covered: a finding accuses it already, so it drives nothing;
	// waits; or nothing: the detector asks nothing of such a record.
	State   string    `json:"state"`
	Why     []string  `json:"why"`               // not judged
	Covered string    `json:"covered,omitempty"` // the finding's id
	Raised  []string  `json:"raised"`            // ids of findings that it raised
	Widened []string  `json:"widened"`           // ids of open findings of the same cause that it widened
	Units   []Driven  `json:"units"`             // tests that it drove, or could have
	Counts  []Counted `json:"counts"`            // of detectors that count
}

// Driven is what the access did to the tests of one unit.
type Driven struct {
	Unit   string  `json:"unit"`
	Answer string  `json:"answer"` // hit, miss, or no_trial
	Why    string  `json:"why,omitempty"`
	P0     float64 `json:"p0"`
	Rate   string  `json:"rate,omitempty"` // whose rate P0 is: a route's, or of an hour of the week or a class of networks there
	H      float64 `json:"h"`
	Tests  []Moved `json:"tests"`
}

// Moved is one test's statistic before and after.
type Moved struct {
	P1     float64 `json:"p1"`
	Down   bool    `json:"descending,omitempty"` // traversal: it looks for falling numbers
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Counted is what the access did to a count against a cap.
type Counted struct {
	Unit   string `json:"unit"`
	Before int64  `json:"before"` // new customers of the day
	After  int64  `json:"after"`
}

// The states of an Answering.
const (
	StateAsked     = "asked"
	StateNotJudged = "not_judged"
	StateCovered   = "covered"
	StateWaits     = "waits"
	StateNothing   = "nothing"
)

// probe watches one access.
type probe struct {
	seq    uint64
	on     bool // the record in hand is the one
	out    Explanation
	pass   [nDetectors]Answering
	rates  [nDetectors]string // whose rate a detector asked for last
	raised func(id string, access uint64)
}

// Explain has the engine watch the access of a sequence, which it has not seen yet. One at a time.
func (e *Engine) Explain(seq uint64) { e.probe = &probe{seq: seq} }

// Explanation gives what was watched, and whether it is whole: an access that waits is looked at again. nil if the access was not seen.
func (e *Engine) Explanation() (x *Explanation, whole bool) {
	p := e.probe
	if p == nil || p.out.Passes == nil {
		return nil, false
	}
	out := p.out
	out.Waits = []string{}
	last := map[string]string{}
	for _, pass := range out.Passes {
		for i := range pass.Detectors {
			if a := &pass.Detectors[i]; a.State != StateNothing {
				last[a.Detector] = a.State
			}
		}
	}
	for _, d := range detectorNames {
		if last[d] == StateWaits {
			out.Waits = append(out.Waits, d)
		}
	}
	return &out, len(out.Waits) == 0
}

// WatchRaised has fn told of each finding with the sequence of the access that raised it: one that had waited came earlier than the record
// in hand.
func (e *Engine) WatchRaised(fn func(id string, access uint64)) { e.probe = &probe{raised: fn} }

// watched does the work on one access, and keeps what it did if it is the one asked about.
func (e *Engine) watched(seq uint64, v *view, work func()) {
	p := e.probe
	if p == nil || p.seq == 0 || p.seq != seq {
		work()
		return
	}
	p.on, p.pass, p.rates = true, [nDetectors]Answering{}, [nDetectors]string{}
	for d := range p.pass {
		p.pass[d] = Answering{Detector: detectorNames[d], Rule: e.cfg.Rules.Of(detectorNames[d]).Name, State: StateNothing, Why: []string{}, Raised: []string{}, Widened: []string{}, Units: []Driven{}, Counts: []Counted{}}
	}
	before, waiting := e.stats, e.queue.waiting
	work()
	p.on = false
	pass := Pass{At: e.seq, Detectors: []Answering{}}
	for d := range p.pass {
		a, was, is := &p.pass[d], &before[d], &e.stats[d]
		if !e.rule[d].on {
			continue
		}
		for w := range is.why {
			if is.why[w] > was.why[w] {
				a.Why = append(a.Why, whyTexts[w])
			}
		}
		switch {
		case a.Covered != "":
			a.State = StateCovered
		case e.queue.waiting[d] > waiting[d]:
			a.State = StateWaits
		case is.trials > was.trials || len(a.Units) > 0 && is.judged > was.judged || len(a.Raised)+len(a.Widened) > 0 || len(a.Counts) > 0:
			a.State = StateAsked
		case len(a.Why) > 0:
			a.State = StateNotJudged
		case is.judged > was.judged:
			a.State = StateAsked
		}
		pass.Detectors = append(pass.Detectors, *a)
	}
	p.out.Issued, p.out.ExplainedBy, p.out.Outcome = v.issued, e.because(v), v.outcome.String()
	p.out.Passes = append(p.out.Passes, pass)
}

// because says what explains an access: what explains the last of its subjects, if every one is explained.
func (e *Engine) because(v *view) string {
	if !v.explained {
		return ""
	}
	if v.own && v.issued {
		return reference.OwnSession.String()
	}
	last := reference.Unexplained
	for _, s := range v.subjects {
		last = e.ref.Because(v.r.Realm, v.principal, s, v.r.Time, v.issued)
	}
	return last.String()
}

// heights copies the statistics of a unit's tests.
func (u *unit) heights(d detector) (s [maxBank]float64) {
	if x := u.ex[d]; x != nil {
		s = x.s
	}
	return s
}

// probed drives a unit's tests, or without evidence lowers them, and keeps what that did.
func (e *Engine) probed(u *unit, v *view, t trial, en *entry) (crossed bool) {
	p := e.probe
	before := u.heights(t.d)
	met := false
	if x := u.ex[t.d]; x != nil && t.once != 0 && v.on <= x.seenOn {
		_, met = x.seen[t.once]
	}
	if en != nil {
		crossed = e.driveOn(u, v, t, en)
	} else {
		e.missOn(u, v, t)
	}
	after := u.heights(t.d)
	_, name := e.term(u.kind, v)
	out := Driven{Unit: name, Answer: "miss", P0: t.w.p0, Rate: p.rates[t.d], H: e.rule[t.d].h, Tests: []Moved{}}
	switch {
	case met:
		out.Answer, out.Why = "no_trial", "it was tried today"
	case t.valid == 0:
		out.Answer, out.Why = "no_trial", e.whyNoTrial(u, t)
	case t.hits != 0:
		out.Answer = "hit"
	case before == [maxBank]float64{}:
		out.Why = "the statistic is zero, and a miss leaves it there"
	}
	for j, p1 := range e.rule[t.d].bank.p1[:e.rule[t.d].bank.n] {
		out.Tests = append(out.Tests, Moved{p1, t.d == traversal && 1<<j&e.downward != 0, before[j], after[j]})
	}
	p.pass[t.d].Units = append(p.pass[t.d].Units, out)
	return crossed
}

// whyNoTrial says why a subject was no trial of a unit's tests, by what the detectors have just looked up.
func (e *Engine) whyNoTrial(u *unit, t trial) string {
	near := &e.near[u.kind]
	switch {
	case (t.d == traversal || t.d == nonexistent) && near.here:
		return "this unit met the customer today"
	case t.d == nonexistent && !e.asking.judged:
		return "nobody is judged there"
	case t.d == nonexistent && e.now.outcome == whosaw.OutcomeAbsent:
		return "a subject record says that the customer existed"
	case t.d == nonexistent:
		return "p0 is too near to every p1"
	case t.d == traversal && !near.known:
		return "its number is not remembered: it is no plain number, its day is over, or the sets are full"
	case t.d == traversal && near.below && near.above:
		return "it has neighbours on both sides among the numbers met today"
	case t.d == traversal && near.below != near.above:
		return "it is among the newest numbers, or nobody else shows which are established"
	case t.d == traversal:
		return "it has no neighbour among the numbers met today"
	}
	return "it is no question for this unit"
}

// probing reports whether the work in hand is on the access that is asked about.
func (e *Engine) probing() bool { return e.probe != nil && e.probe.on }

// Loaded gives the rules that the engine goes by.
func (e *Engine) Loaded() *rules.Set { return e.cfg.Rules }

// tell keeps a finding's raising for whoever asks.
func (p *probe) tell(f *whosaw.Finding, d detector, access uint64) {
	if p.on {
		p.pass[d].Raised = append(p.pass[d].Raised, f.ID)
	}
	if p.raised != nil {
		p.raised(f.ID, access)
	}
}

// count keeps what an access did to a count.
func (p *probe) count(d detector, unit string, before, after int64) {
	p.pass[d].Counts = append(p.pass[d].Counts, Counted{unit, before, after})
}
