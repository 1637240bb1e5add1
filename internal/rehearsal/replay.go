package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/rules"
	"github.com/whosaw/whosaw/internal/scope"
)

// Config says which past is judged by which rules.
type Config struct {
	View    *ledger.View
	Scope   *scope.Engine // over the same view
	Catalog *catalog.Catalog
	Old     detect.Config // the rules in force
	New     detect.Config // those that may go live
	Truth   *Truth        // nil: verdicts in the ledger are all that is known
	// Progress is told which part was seen, 0 to 1. nil: nobody asks.
	Progress func(done float64)
}

// Comparison is what the new rules would have done, beside the old.
type Comparison struct {
	Records  int64        `json:"records"`
	Accesses int64        `json:"accesses"`
	From     *whosaw.Time `json:"from"`
	To       *whosaw.Time `json:"to"`
	// Known says what the figures about honest actors and lost customers rest on: truth, verdicts, or nothing.
	Known   string   `json:"known"`
	Changed []Change `json:"changed"`
	Old     Side     `json:"old"`
	New     Side     `json:"new"`
}

// What the figures rest on.
const (
	KnownTruth    = "truth"
	KnownVerdicts = "verdicts"
	KnownNothing  = "nothing"
)

// Change is a rule that differs.
type Change struct {
	Rule string   `json:"rule"`
	File string   `json:"file"`
	Says []string `json:"says"`
}

// Side is what one set of rules found.
type Side struct {
	Findings  []Judged   `json:"findings"`
	Detectors []Detector `json:"detectors"`
	Attackers []Attacker `json:"attackers"` // known from the truth
	// FalseAlarms counts the findings that are known to accuse mostly what is honest, Unjudged those of which nobody knows. Those that accuse no
	// access (key_policy) are neither.
	FalseAlarms int `json:"false_alarms"`
	Unjudged    int `json:"unjudged"`
	// HonestAccesses and HonestActors are what all filters together match and is known to be honest; null: not known.
	HonestAccesses *int64 `json:"honest_accesses"`
	HonestActors   *int64 `json:"honest_actors"`
	// Lost are the customers that all attackers had been shown when they were first noticed, or in all; null: not known.
	Lost *int64 `json:"lost"`
}

// Judged is a finding and what is known of it.
type Judged struct {
	whosaw.Finding
	Both bool `json:"both"` // the other rules find it too
	// Whose is the attacker's name, or a verdict: harvest, explained, false; "false" also where the truth says so; "" is not known.
	Whose string `json:"whose"`
	By    string `json:"by"` // truth, verdict, or overlap: with the finding that was judged
	// Lost are the attacker's customers up to Seen; null: not known. Shown are those that the filter's accesses had shown by then.
	Lost  *int64 `json:"lost"`
	Shown int64  `json:"shown"`
}

// Detector is one detector's account.
type Detector struct {
	Detector string                    `json:"detector"`
	Findings int                       `json:"findings"`
	H        float64                   `json:"h"` // 1: it states facts or counts
	Trials   int64                     `json:"trials"`
	Tests    int                       `json:"tests"`
	Highest  float64                   `json:"highest"` // S/h ever reached
	Reached  [len(detect.Levels)]int64 `json:"reached"` // the Levels 6, 8, 10, 12
	Bound    [len(detect.Levels)]int64 `json:"bound"`   // how often honest trials may reach them at most
}

// Attacker is what became of one attacker.
type Attacker struct {
	Name      string `json:"name"`
	Accesses  int64  `json:"accesses"`
	Customers int64  `json:"customers"` // shown to it in all
	Noticed   bool   `json:"noticed"`
	First     string `json:"first,omitempty"` // detector
	Lost      int64  `json:"lost"`            // up to the first finding; all, if never noticed
}

// side is one engine at work.
type side struct {
	engine   *detect.Engine
	findings []whosaw.Finding
	grown    []whosaw.Filter // to which findings grew
}

func (s *side) observe(seq uint64, r *whosaw.Record) {
	s.findings = append(s.findings, s.engine.Observe(seq, r)...)
	for _, g := range s.engine.Grown() {
		if g.Spreads() {
			s.grown = append(s.grown, g.Filter)
		}
	}
}

// Replay lets both sets of rules judge the view, side by side.
func Replay(ctx context.Context, cfg Config) (*Comparison, error) {
	old, now := &side{engine: detect.New(cfg.Old, cfg.Catalog)}, &side{engine: detect.New(cfg.New, cfg.Catalog)}
	out := &Comparison{Known: KnownNothing, Changed: changes(old.engine.Loaded(), now.engine.Loaded())}
	truth := cfg.Truth
	verdicts := map[string]string{}
	last := cfg.View.Last()
	var from, to int64
	err := cfg.View.Records(ctx, 1, func(seq uint64, r *whosaw.Record) error {
		if seq%8192 == 0 && cfg.Progress != nil {
			cfg.Progress(float64(seq) / float64(last))
		}
		out.Records++
		switch r.Type {
		case whosaw.TypeAccess:
			out.Accesses++
			if from == 0 || r.Time < from {
				from = r.Time
			}
			to = max(to, r.Time)
		case whosaw.TypeVerdict:
			if r.Ref != nil {
				verdicts[r.Ref.Of] = r.Ref.Kind
			}
		}
		if truth != nil {
			truth.meet(seq, r)
		}
		old.observe(seq, r)
		now.observe(seq, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay the ledger: %w", err)
	}
	if from != 0 {
		a, b := whosaw.Time(from), whosaw.Time(to)
		out.From, out.To = &a, &b
	}
	switch {
	case truth != nil:
		out.Known = KnownTruth
		if truth.met == 0 && truth.size() > 0 {
			return nil, errors.New("none of the accesses that the truth names is in the ledger: is it that of another log?")
		}
	case len(verdicts) > 0:
		out.Known = KnownVerdicts
	}
	j := &judge{ctx: ctx, cfg: &cfg, verdicts: verdicts, judged: old.findings}
	for _, x := range []struct {
		side, other *side
		to          *Side
	}{{old, now, &out.Old}, {now, old, &out.New}} {
		if err := j.side(x.side, x.other, x.to); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// judge says what is known of findings.
type judge struct {
	ctx      context.Context
	cfg      *Config
	verdicts map[string]string
	judged   []whosaw.Finding // of the rules in force: people have judged these
}

func (j *judge) side(s, other *side, out *Side) error {
	*out = Side{Findings: []Judged{}, Attackers: []Attacker{}, Detectors: accounts(s)}
	for i := range s.findings {
		f := Judged{Finding: s.findings[i]}
		f.Both = slices.ContainsFunc(other.findings, func(o whosaw.Finding) bool { return o.Detector == f.Detector && o.Unit == f.Unit })
		if err := j.finding(&f); err != nil {
			return err
		}
		switch {
		case len(f.Filter) == 0: // it accuses no access, so there is nothing of them to say
		case f.Whose == "":
			out.Unjudged++
		case f.Whose == "false", f.Whose == "explained":
			out.FalseAlarms++
		}
		out.Findings = append(out.Findings, f)
	}
	if j.cfg.Truth != nil {
		out.Attackers = j.cfg.Truth.attackers(out.Findings)
		lost := int64(0)
		for i := range out.Attackers {
			lost += out.Attackers[i].Lost
		}
		out.Lost = &lost
	}
	return j.honest(s, out)
}

// upTo gives a filter that matches only what there was when a finding was raised.
func upTo(f *whosaw.Finding) whosaw.Filter {
	filter := slices.Clone(f.Filter)
	for k := range filter {
		filter[k].To = f.Seen + 1
	}
	return filter
}

// finding says whose a finding is.
func (j *judge) finding(f *Judged) error {
	if len(f.Filter) == 0 {
		// It rests on records of keys and people: only a person can say what it was.
		if f.Whose = j.verdicts[f.ID]; f.Whose != "" {
			f.By = "verdict"
		}
		return nil
	}
	filter := upTo(&f.Finding)
	answer, err := j.cfg.Scope.Count(j.ctx, filter)
	if err != nil {
		return fmt.Errorf("count what finding %s accuses: %w", f.ID, err)
	}
	f.Shown = answer.Subjects
	if j.cfg.Truth != nil {
		seqs, err := j.cfg.Scope.Sequences(j.ctx, filter)
		if err != nil {
			return fmt.Errorf("match finding %s: %w", f.ID, err)
		}
		f.By = "truth"
		if f.Whose = j.cfg.Truth.whose(seqs); f.Whose == "" {
			f.Whose = "false"
			return nil
		}
		lost := j.cfg.Truth.lost(f.Whose, int64(f.Seen))
		f.Lost = &lost
		return nil
	}
	if v := j.verdicts[f.ID]; v != "" {
		f.Whose, f.By = v, "verdict"
		return nil
	}
	return j.like(f)
}

// like takes over the verdict on a finding of the rules in force that accuses mostly the same.
func (j *judge) like(f *Judged) error {
	var filters []whosaw.Filter
	var verdicts []string
	for i := range j.judged {
		if v := j.verdicts[j.judged[i].ID]; v != "" {
			filters, verdicts = append(filters, j.judged[i].Filter), append(verdicts, v)
		}
	}
	if len(filters) == 0 {
		return nil
	}
	sizes, both, err := j.cfg.Scope.Against(j.ctx, filters, []whosaw.Filter{f.Filter})
	if err != nil {
		return fmt.Errorf("match finding %s: %w", f.ID, err)
	}
	for i, n := range both[0] {
		if 2*n > sizes[0] {
			f.Whose, f.By = verdicts[i], "overlap"
			return nil
		}
	}
	return nil
}

// honest counts whom the filters match that is known to be honest: by the truth everybody who is not the attack, else whom findings accuse
// that were judged explained or false.
func (j *judge) honest(s *side, out *Side) error {
	var filter whosaw.Filter
	for i := range out.Findings {
		f := &out.Findings[i]
		if j.cfg.Truth != nil || f.Whose == "false" || f.Whose == "explained" {
			filter = append(filter, f.Filter...)
		}
	}
	if j.cfg.Truth != nil {
		for _, g := range s.grown {
			filter = append(filter, g...)
		}
	}
	if j.cfg.Truth == nil && out.Unjudged > 0 {
		return nil // not known
	}
	accesses, actors := int64(0), int64(0)
	if len(filter) > 0 {
		seqs, err := j.cfg.Scope.Sequences(j.ctx, filter)
		if err != nil {
			return fmt.Errorf("match the findings: %w", err)
		}
		if j.cfg.Truth != nil {
			seqs = slices.DeleteFunc(seqs, func(seq uint64) bool { return j.cfg.Truth.of(seq) != "" })
		}
		accesses = int64(len(seqs))
		if actors, err = j.actors(seqs); err != nil {
			return err
		}
	}
	out.HonestAccesses, out.HonestActors = &accesses, &actors
	return nil
}

// actors counts who made accesses: principals, else addresses.
func (j *judge) actors(seqs []uint64) (int64, error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	names := map[string]struct{}{}
	at := 0
	err := j.cfg.View.Records(j.ctx, seqs[0], func(seq uint64, r *whosaw.Record) error {
		if at == len(seqs) {
			return errEnough
		}
		if seq == seqs[at] {
			at++
			name := r.Realm + "\x00" + r.Principal
			if r.Principal == "" {
				name = r.IP.String()
			}
			names[name] = struct{}{}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, fmt.Errorf("count the actors: %w", err)
	}
	return int64(len(names)), nil
}

var errEnough = errors.New("enough")

// accounts gives every detector's account.
func accounts(s *side) []Detector {
	out := []Detector{}
	for _, st := range s.engine.Status() {
		if st.Off != "" {
			continue
		}
		d := Detector{Detector: st.Detector, H: st.Threshold, Trials: st.Trials, Tests: st.Tests, Highest: st.Highest / st.Threshold, Reached: st.Reached}
		for i, h := range detect.Levels {
			if st.Threshold > 1 {
				d.Bound[i] = int64(math.Ceil(float64(st.Trials) * float64(st.Tests) * math.Exp(-h)))
			}
		}
		for i := range s.findings {
			if s.findings[i].Detector == st.Detector {
				d.Findings++
			}
		}
		out = append(out, d)
	}
	return out
}

// changes lists the rules that differ, and in what.
func changes(old, now *rules.Set) []Change {
	out := []Change{}
	for i := range now.Rules {
		r := &now.Rules[i]
		was := old.Named(r.Name)
		if was == nil {
			out = append(out, Change{r.Name, r.File, []string{"it is new"}})
			continue
		}
		if says := differs(was, r); len(says) > 0 {
			out = append(out, Change{r.Name, r.File, says})
		}
	}
	return out
}

func differs(a, b *rules.Rule) []string {
	var out []string
	note := func(what string, was, is any) {
		if x, y := fmt.Sprint(was), fmt.Sprint(is); x != y {
			out = append(out, fmt.Sprintf("%s %s, was %s", what, y, x))
		}
	}
	switch {
	case b.Off != "" && a.Off == "":
		return []string{"off: " + b.Off}
	case b.Off == "" && a.Off != "":
		out = append(out, "on")
	}
	note("units", a.Units, b.Units)
	note("p0 floor", a.P0.Floor, b.P0.Floor)
	note("p0 young", a.P0.Young, b.P0.Young)
	note("p0 ceiling", a.P0.Ceiling, b.P0.Ceiling)
	note("p0 times the median", a.P0.Times, b.P0.Times)
	note("p0 enough", a.P0.Enough, b.P0.Enough)
	note("p1", a.P1, b.P1)
	note("alarms a month", a.AlarmsPerMonth, b.AlarmsPerMonth)
	note("action", a.Action, b.Action)
	note("for", a.For, b.For)
	for name, v := range b.Settings {
		note(name, a.Settings[name], v)
	}
	slices.Sort(out)
	return out
}
