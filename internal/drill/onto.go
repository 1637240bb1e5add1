package drill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// CaseShare is the case's share of all accesses: 0.03 %.
const CaseShare = 0.0003

// OntoConfig says what is woven into somebody's own records.
type OntoConfig struct {
	Scenario string // one of Weaves
	Seed     uint64
	Share    int // of the accesses that is the attack, per million; 0: the case's, or more where the log is too short for it
	Catalog  *catalog.Catalog
	Detect   detect.Config
	TempDir  string
	// Progress is told which of the passes has got how far, 0 to 1. nil: nobody asks.
	Progress func(pass, of int, done float64)
}

// OntoAnswer is what a drill on somebody's own records showed.
type OntoAnswer struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Accesses int64  `json:"accesses"` // of the log, less LeftOut
	// Already are the findings in the records as they are: what they accuse was left out.
	Already []whosaw.Finding `json:"already"`
	LeftOut int64            `json:"left_out"`

	Share  float64 `json:"share"` // of the accesses that were woven in
	PerDay float64 `json:"case_accesses_per_day"`
	// Stretched: at the case's share the log is too short to hold an attack worth the name, so more was woven in.
	Stretched bool `json:"stretched"`

	AsIs  Trial               `json:"as_is"`
	With  []Trial             `json:"with"` // each with something made up that the log lacks
	Blind []Blind             `json:"blind"`
	Needs []string            `json:"needs"` // what else detectors need that a drill cannot make up
	Notes []string            `json:"notes"` // what was taken for true
	Says  string              `json:"says"`  // the sentence
	Judge whosaw.DoctorAnswer `json:"doctor"`

	planted bool // a trial had planted customers made up
	keyed   bool // a trial had the key made up
}

// Trial is one run over the records with the attack in them.
type Trial struct {
	With    string   `json:"with"`    // what was made up; "": nothing
	Members []string `json:"members"` // of the log that were made up
	Attacker
	Before int64   `json:"before"` // accesses of the attack up to the first finding
	Day    int64   `json:"day"`    // of the attack, at the case's pace, on which it could be raised; 0: never
	Alarms int64   `json:"alarms"` // findings on the honest part
	Raised []Found `json:"findings"`
}

// Blind is what detectors cannot judge without members of the log.
type Blind struct {
	Members   []string `json:"members"`
	Detectors []string `json:"detectors"`
}

// Onto weaves an attack into the records of a case and says when it would have been noticed: as they are, and with what they
// lack. The case's own ledger is only read.
func Onto(ctx context.Context, c *pipeline.Case, cfg OntoConfig) (*OntoAnswer, error) {
	o := &onto{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x64726f6e))}
	if !slices.Contains(Weaves(), cfg.Scenario) {
		return nil, fmt.Errorf("weave %q: what can be woven are %v", cfg.Scenario, Weaves())
	}
	a := &OntoAnswer{Scenario: cfg.Scenario, Seed: cfg.Seed, Already: slices.Clone(c.Findings()), With: []Trial{}, Blind: []Blind{}, Needs: []string{}, Notes: []string{}}
	if a.Already == nil {
		a.Already = []whosaw.Finding{}
	}
	err := c.Ask(scope.Config{}, func(engine *scope.Engine) error {
		var all whosaw.Filter
		for _, f := range c.Sightings() {
			all = append(all, f.Filter...)
		}
		left, err := engine.Sequences(ctx, all)
		o.left = left
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("leave out what is accused already: %w", err)
	}
	a.LeftOut = int64(len(o.left))
	view, err := c.Ledger().View(0)
	if err != nil {
		return nil, err
	}
	o.view = view
	err = o.run(ctx, a)
	if err = errors.Join(err, view.Close()); err != nil {
		return nil, err
	}
	if a.Judge, err = c.Examine(ctx); err != nil {
		return nil, err
	}
	a.conclude()
	return a, nil
}

// onto is one call of Onto.
type onto struct {
	cfg     OntoConfig
	rng     *rand.Rand
	view    *ledger.View
	left    []uint64 // sequences of accesses that are left out
	profile *profile
	attack  []woven
	pass    int
	passes  int
}

const (
	// fewest is how many accesses make an attack that a sequential test could see at all; a tenth of a short log is enough.
	fewest   = 300
	fewestOf = 10
)

func (o *onto) run(ctx context.Context, a *OntoAnswer) error {
	o.profile, o.passes = newProfile(o.cfg.Catalog, o.rng), 2
	err := o.records(ctx, func(r *whosaw.Record) error {
		o.profile.add(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the records: %w", err)
	}
	p := o.profile
	a.Accesses = p.accesses
	if len(p.bare.list) == 0 || len(p.people.list) == 0 {
		return errors.New("weave an attack: no access of these records was answered by a page to somebody, so there is nothing to draw it from; " +
			"give the log of the shop itself")
	}
	// The attack lasts two thirds of the log.
	part := CaseShare
	if o.cfg.Share > 0 {
		part = float64(o.cfg.Share) / 1e6
	}
	n := max(1, int(math.Round(part*float64(p.accesses)*2/3)))
	if least := int(max(30, min(fewest, p.accesses/fewestOf))); n < least && o.cfg.Share == 0 {
		n, a.Stretched = least, true
	}
	days := max(float64(p.to-p.from), 60_000) / float64(24*time.Hour.Milliseconds())
	a.PerDay = CaseShare * float64(p.accesses) / days
	o.attack = p.weave(o.cfg.Scenario, n, o.rng)
	a.Share = float64(len(o.attack)) / float64(p.accesses+int64(len(o.attack)))
	variants := p.variants()
	o.passes = 1 + len(variants)
	said := map[string]bool{}
	for i := range variants {
		t, err := o.trial(ctx, &variants[i], a)
		if err != nil {
			return fmt.Errorf("run with %q: %w", variants[i].with, err)
		}
		if i == 0 {
			a.AsIs = *t
			continue
		}
		a.With = append(a.With, *t)
		a.planted = a.planted || variants[i].canary
		a.keyed = a.keyed || variants[i].key
		for _, note := range variants[i].assumptions(p.mute.seen > 0) {
			if !said[note] {
				said[note] = true
				a.Notes = append(a.Notes, note)
			}
		}
	}
	return nil
}

// records gives the log's records in order, without what is left out and what whosaw wrote itself.
func (o *onto) records(ctx context.Context, fn func(r *whosaw.Record) error) error {
	left := o.left
	last := o.view.Last()
	err := o.view.Records(ctx, 1, func(seq uint64, r *whosaw.Record) error {
		if o.cfg.Progress != nil && seq%4096 == 0 {
			o.cfg.Progress(o.pass, o.passes, float64(seq)/float64(last))
		}
		if len(left) > 0 && left[0] == seq {
			left = left[1:]
			return nil
		}
		if r.Type >= whosaw.TypeVerdict {
			return nil
		}
		return fn(r)
	})
	o.pass++
	return err
}

// trial runs the records with the attack in them.
func (o *onto) trial(ctx context.Context, v *variant, a *OntoAnswer) (_ *Trial, err error) {
	c, err := pipeline.Open(ctx, pipeline.Config{TempDir: o.cfg.TempDir, Catalog: o.cfg.Catalog, Detect: o.cfg.Detect})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	m := &maker{profile: o.profile, variant: *v, given: make(map[string]bool)}
	feed, t := c.Feed(ctx), newTruth()
	read, err := feed.Close(o.pour(ctx, feed, m, t))
	if err != nil {
		return nil, err
	}
	if read.Conflicts > 0 {
		return nil, fmt.Errorf("%d records have the id of another", read.Conflicts)
	}
	var out Outcome
	if err := out.score(ctx, c, t); err != nil {
		return nil, err
	}
	trial := &Trial{With: v.with, Members: v.members, Attacker: out.Attackers[0], Alarms: out.Alarms(), Raised: out.Findings}
	if trial.Members == nil {
		trial.Members = []string{}
	}
	if s := &trial.All; s.Noticed {
		for i := range o.attack {
			if o.attack[i].time <= int64(*s.Seen) {
				trial.Before++
			}
		}
		trial.Day = dayOf(*s.After)
		if a.Stretched {
			trial.Day = int64(float64(trial.Before)/a.PerDay) + 1
		}
	}
	return trial, nil
}

// pour feeds the records, with the attack in them, to a case.
func (o *onto) pour(ctx context.Context, feed *pipeline.Feed, m *maker, t *truth) error {
	source := attackSource + o.cfg.Scenario
	batch := make([]whosaw.Record, 0, batchRecords)
	put := func(r whosaw.Record) error {
		t.plant(&r)
		batch = append(batch, r)
		if len(batch) < batchRecords {
			return nil
		}
		err := feed.Take(batch)
		batch = batch[:0]
		return err
	}
	next := 0
	attackUntil := func(at int64) error {
		for ; next < len(o.attack) && o.attack[next].time < at; next++ {
			w := &o.attack[next]
			r, exists := m.attack(next, w)
			r.Source = source
			t.take(o.cfg.Scenario, &r, []string{w.subject}, exists)
			if err := put(r); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range m.opening() {
		if err := put(r); err != nil {
			return err
		}
	}
	err := o.records(ctx, func(r *whosaw.Record) error {
		if err := attackUntil(r.Time); err != nil {
			return err
		}
		own := *r
		if issued, ok := m.honest(&own); ok {
			if err := put(issued); err != nil {
				return err
			}
		}
		return put(own)
	})
	if err == nil {
		err = attackUntil(math.MaxInt64)
	}
	if err != nil {
		return err
	}
	return feed.Take(batch)
}
