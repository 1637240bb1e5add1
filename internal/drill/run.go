package drill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/sim"
)

// Config says which shop is attacked how, and how it is watched.
type Config struct {
	Scenario  string
	Seed      uint64
	Customers int
	Days      int   // after the warm-up
	Share     int   // of the accesses that is the attack, per million; 0: the shop's own
	Start     int64 // of the days after the warm-up, midnight UTC; 0: the example's
	// Without are the kinds of reference records that the shop does not have, by their names: issuance, reason, subject,
	// key, person, change. What a feed record says of them goes with them.
	Without []string

	Detect  detect.Config
	TempDir string // of the throwaway ledger; "": the system's

	// Progress is told how much of the shop's time has passed, 0 to 1, from one goroutine. nil: nobody asks.
	Progress func(done float64)
}

// Outcome is what one run showed.
type Outcome struct {
	Scenario  string     `json:"scenario"`
	Seed      uint64     `json:"seed"`
	Accesses  int64      `json:"accesses"` // repeats count once
	Honest    int64      `json:"honest"`   // of them, those of nobody's attack
	Attackers []Attacker `json:"attackers"`
	Findings  []Found    `json:"findings"`
	Events    []Event    `json:"events"`
	Levels    []Level    `json:"levels"`
}

// Budgets are those that the shop has where no others are given: a hundred customers a day whom no reason explains, for each of its staff,
// couriers, partners and programs. In its honest life the busiest has a handful.
func Budgets() []detect.Budget {
	var out []detect.Budget
	for _, class := range [...]string{"staff", "courier", "partner", "service"} {
		out = append(out, detect.Budget{Of: "principal:" + class, Day: 100, Unexplained: true})
	}
	return out
}

// Level is how often a detector's tests rose to lower thresholds than the one that makes a finding, the attack's own rises among
// them: of an honest run it sets silence beside the bound.
type Level struct {
	Detector string                    `json:"detector"`
	Trials   int64                     `json:"trials"`
	Tests    int                       `json:"tests"`   // that a trial drives
	Highest  float64                   `json:"highest"` // S/h ever reached
	Reached  [len(detect.Levels)]int64 `json:"reached"` // of detect.Levels
}

// Bound is how often honest trials may reach a level at most.
func (l *Level) Bound(i int) float64 {
	return float64(l.Trials) * float64(l.Tests) * math.Exp(-detect.Levels[i])
}

// Alarms counts the false ones: findings that accuse mostly what is no attack.
func (o *Outcome) Alarms() int64 {
	var n int64
	for i := range o.Findings {
		if o.Findings[i].False() {
			n++
		}
	}
	return n
}

// Attacker is one attacker's truth, and what each detector made of it.
type Attacker struct {
	Name      string      `json:"name"`
	Accesses  int64       `json:"accesses"`
	Customers int64       `json:"customers"` // real ones, shown to it in all
	First     whosaw.Time `json:"first"`
	Scores    []Score     `json:"scores"` // a detector each, in the engine's order
	All       Score       `json:"all"`    // over all detectors
	// Door are the customers lost where a door that sees answers holds the first one that exceeds a budget, and refuses what a finding
	// accuses: as All.Lost, less where a budget was exceeded before.
	Door int64 `json:"door"`
}

// Event is what an awkward thing in the shop's honest life did to the detectors.
type Event struct {
	Name     string  `json:"event"`
	Accesses int64   `json:"accesses"`
	Answers  int64   `json:"answers"`  // to a detector's question; 0: no test looked at it
	Highest  float64 `json:"highest"`  // S/h that a test rose to at one of its accesses; 1 is a finding
	Detector string  `json:"detector"` // whose test; "" if none rose
}

// batchRecords are handed over at a time.
const batchRecords = 2048

// Run runs a scenario of the simulated shop once.
func Run(ctx context.Context, cfg Config) (_ *Outcome, err error) {
	if cfg.Start == 0 {
		cfg.Start = sim.Example().Start
	}
	if slices.Contains(cfg.Without, "issuance") && cfg.Detect.RetiredGrace == 0 {
		// As an operator sets it who keeps no log-ins: the longest life of a credential.
		cfg.Detect.RetiredGrace = int64(sim.TokenDays()) * 24 * time.Hour.Milliseconds()
	}
	c, err := pipeline.Open(ctx, pipeline.Config{TempDir: cfg.TempDir, Catalog: catalog.Rules(), Detect: cfg.Detect})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s := &shop{cfg: cfg, ctx: ctx, truth: newTruth(), feed: c.Feed(ctx), events: newEventLog()}
	s.decodeBy = cfg.Start + int64(cfg.Days+1)*24*time.Hour.Milliseconds()
	c.Watch(s.events.watch)
	c.Trace(s.events.touched)
	read, err := s.feed.Close(s.run())
	if err != nil {
		return nil, fmt.Errorf("run scenario %s with seed %d: %w", cfg.Scenario, cfg.Seed, err)
	}
	if read.Conflicts > 0 {
		return nil, fmt.Errorf("run scenario %s with seed %d: %d records have another's id", cfg.Scenario, cfg.Seed, read.Conflicts)
	}
	out := &Outcome{Scenario: cfg.Scenario, Seed: cfg.Seed, Events: s.events.list}
	out.Levels = levels(c.Status())
	if err := out.score(ctx, c, s.truth); err != nil {
		return nil, fmt.Errorf("score scenario %s with seed %d: %w", cfg.Scenario, cfg.Seed, err)
	}
	return out, nil
}

// levels gives the account of the sequential tests.
func levels(states []detect.Status) []Level {
	out := []Level{}
	for i := range states {
		if d := &states[i]; d.Threshold > 1 { // the others state facts
			out = append(out, Level{Detector: d.Detector, Trials: d.Trials, Tests: d.Tests, Highest: d.Highest / d.Threshold, Reached: d.Reached})
		}
	}
	return out
}

// shop feeds a simulated shop to a case.
type shop struct {
	cfg      Config
	ctx      context.Context
	truth    *truth
	feed     *pipeline.Feed
	events   *eventLog
	decoder  whosaw.Decoder
	decodeBy int64
	batch    []whosaw.Record
	lines    int64
	sources  map[string]string // of events and attackers, each made once
}

func (s *shop) run() error {
	s.batch = make([]whosaw.Record, 0, batchRecords)
	s.sources = make(map[string]string)
	_, err := sim.Run(sim.Config{
		Scenario: s.cfg.Scenario, Seed: s.cfg.Seed, Customers: s.cfg.Customers, Days: s.cfg.Days, Start: s.cfg.Start, Share: s.cfg.Share,
		Observe: s.line, Progress: func(day, of int, _ int64) error {
			if s.cfg.Progress != nil {
				s.cfg.Progress(float64(day) / float64(of))
			}
			return s.ctx.Err()
		},
	}, nil)
	if err != nil {
		return err
	}
	return s.flush()
}

// line takes one record line with what the shop knows of it.
func (s *shop) line(line []byte, label sim.Label) error {
	s.batch = append(s.batch, whosaw.Record{})
	r := &s.batch[len(s.batch)-1]
	if err := s.decoder.Decode(line, s.decodeBy, r); err != nil {
		return fmt.Errorf("decode line %d: %w", s.lines+1, err)
	}
	s.lines++
	r.Position = s.lines
	r.Source = s.source(label)
	s.truth.plant(r)
	if s.cfg.lacks(r) {
		s.batch = s.batch[:len(s.batch)-1]
		return nil
	}
	if r.Type == whosaw.TypeAccess {
		s.truth.span(r.Time)
		if label.Attack != "" {
			s.truth.take(label.Attack, r, label.Subjects, label.Disclosed)
		}
	}
	if len(s.batch) == batchRecords {
		return s.flush()
	}
	return nil
}

// lacks reports whether the shop does not have a record.
func (c *Config) lacks(r *whosaw.Record) bool {
	if len(c.Without) == 0 || r.Type == whosaw.TypeAccess {
		return false
	}
	if r.Type == whosaw.TypeFeed {
		return r.Ref != nil && slices.Contains(c.Without, r.Ref.Of)
	}
	return slices.Contains(c.Without, r.Type.String())
}

// Lackable are the kinds of records that a shop may be without.
func Lackable() []string { return []string{"issuance", "reason", "subject", "key", "person", "change"} }

func (s *shop) source(label sim.Label) string {
	prefix, name := eventSource, label.Event
	switch {
	case label.Attack != "":
		prefix, name = attackSource, label.Attack
	case name == "":
		return honestSource
	}
	source, ok := s.sources[prefix+name]
	if !ok {
		source = prefix + name
		s.sources[source] = source
	}
	return source
}

func (s *shop) flush() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	err := s.feed.Take(s.batch)
	s.batch = s.batch[:0]
	return err
}

// eventLog adds up what the awkward events did. Its methods are called by the case's judging goroutine.
type eventLog struct {
	list  []Event
	codes map[string]uint8 // by source: the event's place in list, and one
	of    []uint8          // by sequence: the same; 0 for what is nothing special
}

func newEventLog() *eventLog { return &eventLog{list: []Event{}, codes: make(map[string]uint8)} }

func (l *eventLog) watch(seq uint64, r *whosaw.Record) {
	for uint64(len(l.of)) <= seq {
		l.of = append(l.of, 0)
	}
	name, ok := strings.CutPrefix(r.Source, eventSource)
	if !ok || r.Type != whosaw.TypeAccess {
		return
	}
	code, known := l.codes[r.Source]
	if !known {
		if len(l.list) == math.MaxUint8 {
			return
		}
		l.list = append(l.list, Event{Name: strings.Clone(name)})
		code = uint8(len(l.list))
		l.codes[strings.Clone(r.Source)] = code
	}
	l.of[seq] = code
	l.list[code-1].Accesses++
}

func (l *eventLog) touched(t detect.Touch) {
	code := l.of[t.Seq]
	if code == 0 {
		return
	}
	e := &l.list[code-1]
	e.Answers += t.Answers
	if t.Height > e.Highest {
		e.Highest, e.Detector = t.Height, t.Detector
	}
}

// Untouched gives the names of the events of all outcomes that no test looked at in any of them.
func Untouched(outcomes []*Outcome) []string {
	var names []string
	for _, e := range mergeEvents(outcomes) {
		if e.Answers == 0 {
			names = append(names, e.Name)
		}
	}
	return names
}

// mergeEvents adds up events by name, in the order of the names.
func mergeEvents(outcomes []*Outcome) []Event {
	all := []Event{}
	for _, o := range outcomes {
		for _, e := range o.Events {
			i := slices.IndexFunc(all, func(a Event) bool { return a.Name == e.Name })
			if i < 0 {
				all = append(all, e)
				continue
			}
			a := &all[i]
			a.Accesses += e.Accesses
			a.Answers += e.Answers
			if e.Highest > a.Highest {
				a.Highest, a.Detector = e.Highest, e.Detector
			}
		}
	}
	slices.SortFunc(all, func(a, b Event) int { return strings.Compare(a.Name, b.Name) })
	return all
}
