package drill

import (
	"context"
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// Score is what a detector's findings made of an attacker.
type Score struct {
	Detector string `json:"detector"` // "" over all
	Noticed  bool   `json:"noticed"`
	// First is the first finding's detector: over all, who noticed first.
	First string `json:"first,omitempty"`
	// Seen is when the first finding could be raised, After the milliseconds since the attacker's first access. null: never.
	Seen  *whosaw.Time `json:"seen"`
	After *int64       `json:"after"`
	// Lost are the real customers shown to the attacker up to Seen; all of them if nobody noticed.
	Lost int64 `json:"lost"`
	// Later are those of them whom a later answer showed than the first that showed anybody: before that one is given nothing tells.
	Later    int64 `json:"later"`
	Findings int   `json:"findings"`
	// Missed are the attacker's accesses that the filters of the findings do not match, Caught the honest ones they do: all
	// over the run, each access once.
	Missed int64 `json:"missed"`
	Caught int64 `json:"caught"`
}

// held is what a door lets an attacker have that sees answers and holds the first that exceeds a budget: what was shown before that. nil: no
// budget was exceeded.
func (o *Outcome) held(a *Attacker, t *truth, of *taking) *int64 {
	var at *whosaw.Time
	for i := range o.Findings {
		if f := &o.Findings[i]; f.Attacker == a.Name && f.Detector == "budget" && (at == nil || f.Time < *at) {
			at = &f.Time
		}
	}
	if at == nil {
		return nil
	}
	n := t.customersBefore(of, int64(*at))
	return &n
}

// Found is a finding and whose it is.
type Found struct {
	whosaw.Finding
	// Attacker is whose accesses are more than half of what the filter matches up to Seen; "" is a false alarm, if there is a filter.
	Attacker string `json:"attacker"`
	Matches  int64  `json:"matches"` // accesses up to Seen
	Attack   int64  `json:"attack"`  // of them the attackers'
}

// False reports whether it accuses mostly what is no attack. A finding without a filter rests on records of keys and people: it accuses no
// access, so the accesses cannot say that it is false.
func (f *Found) False() bool { return f.Attacker == "" && len(f.Filter) > 0 }

// score holds the case's findings against the truth.
func (o *Outcome) score(ctx context.Context, c *pipeline.Case, t *truth) error {
	return c.Ask(scope.Config{}, func(engine *scope.Engine) error {
		everything := []whosaw.Filter{{{}}}
		sizes, both, err := engine.Against(ctx, t.filters(), everything)
		if err != nil {
			return fmt.Errorf("count the attacks: %w", err)
		}
		o.Accesses, o.Honest = sizes[0], sizes[0]
		o.Attackers = []Attacker{}
		for i, a := range t.attackers {
			o.Honest -= both[0][i]
			o.Attackers = append(o.Attackers, Attacker{
				Name: a.name, Accesses: both[0][i], Customers: t.customers(a, 0), First: whosaw.Time(a.first),
			})
		}
		if err := o.assign(ctx, engine, t, c.Sightings()); err != nil {
			return err
		}
		var detectors []string
		for _, s := range c.Status() {
			detectors = append(detectors, s.Detector)
		}
		return o.rate(ctx, engine, t, detectors)
	})
}

// assign says whose each finding is, by what there was when it was raised: what comes later is caught or missed.
func (o *Outcome) assign(ctx context.Context, engine *scope.Engine, t *truth, findings []whosaw.Finding) error {
	filters := make([]whosaw.Filter, len(findings))
	for i := range findings {
		filters[i] = slices.Clone(findings[i].Filter)
		for k := range filters[i] {
			filters[i][k].To = findings[i].Seen + 1
		}
	}
	sizes, both, err := engine.Against(ctx, t.filters(), filters)
	if err != nil {
		return fmt.Errorf("match the findings: %w", err)
	}
	o.Findings = make([]Found, len(findings))
	for i := range findings {
		f := &o.Findings[i]
		*f = Found{Finding: findings[i], Matches: sizes[i]}
		var most int64
		for j, n := range both[i] {
			f.Attack += n
			if n > most {
				most, f.Attacker = n, t.attackers[j].name
			}
		}
		if 2*f.Attack <= f.Matches {
			f.Attacker = ""
		}
	}
	return nil
}

// rate scores every detector, and all together, for every attacker.
func (o *Outcome) rate(ctx context.Context, engine *scope.Engine, t *truth, detectors []string) error {
	type cell struct {
		score  *Score
		filter whosaw.Filter
	}
	for i := range o.Attackers {
		a := &o.Attackers[i]
		a.Scores = make([]Score, len(detectors))
		cells := make([]cell, 0, len(detectors)+1)
		for k, name := range detectors {
			a.Scores[k].Detector = name
			cells = append(cells, cell{score: &a.Scores[k]})
		}
		cells = append(cells, cell{score: &a.All})
		for k := range cells {
			s := cells[k].score
			s.Lost, s.Missed = a.Customers, a.Accesses
			for _, f := range o.Findings {
				if f.Attacker != a.Name || s.Detector != "" && s.Detector != f.Detector {
					continue
				}
				s.Findings++
				cells[k].filter = append(cells[k].filter, f.Filter...)
				if !s.Noticed || f.Seen < *s.Seen {
					seen, after := f.Seen, int64(f.Seen)-int64(a.First)
					s.Noticed, s.First, s.Seen, s.After = true, f.Detector, &seen, &after
					s.Lost = t.customers(t.attackers[i], int64(seen))
				}
			}
		}
		filters := make([]whosaw.Filter, len(cells))
		opening := t.opening(t.attackers[i])
		for k := range cells {
			cells[k].score.Later = max(0, cells[k].score.Lost-opening)
			filters[k] = cells[k].filter
		}
		a.Door = a.All.Lost
		if held := o.held(a, t, t.attackers[i]); held != nil {
			a.Door = min(a.Door, *held)
		}
		sizes, both, err := engine.Against(ctx, t.filters(), filters)
		if err != nil {
			return fmt.Errorf("match what each detector accuses: %w", err)
		}
		for k := range cells {
			cells[k].score.Missed -= both[k][i]
			cells[k].score.Caught = sizes[k]
			for _, n := range both[k] {
				cells[k].score.Caught -= n // another attacker's accesses are not honest
			}
		}
	}
	return nil
}
