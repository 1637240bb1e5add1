package joint

import (
	"context"
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// Attack is what findings that accuse the same accesses have in common.
type Attack struct {
	Findings []string            `json:"findings"` // the joint ones, by id
	Scope    *whosaw.ScopeAnswer `json:"scope"`    // null: it rests on records alone, and accuses no access
	Joint    Sight               `json:"joint"`
	Alone    []Sight             `json:"alone"` // by directory
}

// Sight is when somebody first saw an attack. All members but the first are null or empty where it was never seen.
type Sight struct {
	Name     string       `json:"data,omitempty"`
	Seen     *whosaw.Time `json:"seen"`
	Detector string       `json:"detector"`
	Unit     string       `json:"unit"`
	Finding  string       `json:"finding"`
	// Lost is how many customers the attack had been shown by then, by the records of all; null: nobody, or not to be counted.
	Lost *int64 `json:"lost"`
}

// Apart is a finding of one source alone.
type Apart struct {
	Name    string         `json:"data"`
	Finding whosaw.Finding `json:"finding"`
}

// First is who alone saw the attack first; nil: nobody did.
func (a *Attack) First() *Sight {
	var first *Sight
	for i := range a.Alone {
		if s := &a.Alone[i]; s.Seen != nil && (first == nil || *s.Seen < *first.Seen) {
			first = s
		}
	}
	return first
}

// compare groups the joint findings to attacks and says who alone would have seen them.
func (cfg *Config) compare(ctx context.Context, out *Answer) error {
	result, err := cfg.Case.Investigate(ctx, scope.Config{})
	if err != nil {
		return err
	}
	view, err := cfg.Case.Ledger().View(0)
	if err != nil {
		return err
	}
	for _, p := range view.Parts() {
		out.Accesses += int64(p.Accesses)
	}
	if err := view.Close(); err != nil {
		return err
	}
	out.Attacks, out.Alone = []Attack{}, []Apart{}
	byID := map[string]*whosaw.Finding{}
	for i := range out.Findings {
		byID[out.Findings[i].ID] = &out.Findings[i]
	}
	for i := range result.Investigation.Scopes {
		s := &result.Investigation.Scopes[i]
		out.Attacks = append(out.Attacks, Attack{Findings: s.Findings, Scope: s})
	}
	for i := range out.Findings {
		if f := &out.Findings[i]; len(f.Filter) == 0 {
			out.Attacks = append(out.Attacks, Attack{Findings: []string{f.ID}})
		}
	}
	for i := range out.Attacks {
		a := &out.Attacks[i]
		for _, id := range a.Findings {
			a.Joint.see(byID[id])
		}
		for _, p := range out.Directories {
			a.Alone = append(a.Alone, Sight{Name: p.Name})
		}
	}
	return cfg.Case.Ask(scope.Config{}, func(e *scope.Engine) error {
		for k, p := range out.Directories {
			if err := match(ctx, e, out, k, p); err != nil {
				return fmt.Errorf("hold what %s alone shows against the attacks: %w", p.Name, err)
			}
		}
		for i := range out.Attacks {
			if err := out.Attacks[i].count(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// see takes a finding that is earlier than what was seen.
func (s *Sight) see(f *whosaw.Finding) {
	if f != nil && (s.Seen == nil || f.Seen < *s.Seen) {
		s.Seen, s.Detector, s.Unit, s.Finding = &f.Seen, f.Detector, f.Unit, f.ID
	}
}

// match finds the attacks that a directory's own findings are about: half of what such a finding accuses, or, where it accuses no access,
// the same finding.
func match(ctx context.Context, e *scope.Engine, out *Answer, k int, p *Part) error {
	var attacks, filters []whosaw.Filter
	var which []int
	for i := range out.Attacks {
		if s := out.Attacks[i].Scope; s != nil {
			attacks, which = append(attacks, s.Filter), append(which, i)
		}
	}
	for i := range p.sighted {
		// What it accused when it was raised: one that was before the attack began did not see it, though its filter may cover it later.
		filters = append(filters, upTo(p.sighted[i].Filter, p.sighted[i].Seen))
	}
	sizes, both, err := e.Against(ctx, attacks, filters)
	if err != nil {
		return err
	}
	about := map[string]bool{} // findings, by id
	for i := range p.sighted {
		f := &p.sighted[i]
		for j, n := range both[i] {
			if len(f.Filter) > 0 && n > 0 && 2*n >= sizes[i] {
				about[f.ID] = true
				out.Attacks[which[j]].Alone[k].see(f)
			}
		}
		for j := range out.Attacks {
			a := &out.Attacks[j]
			if slices.Contains(a.Findings, f.ID) || len(f.Filter) == 0 && a.Scope == nil && a.Joint.Detector == f.Detector && a.Joint.Unit == f.Unit {
				about[f.ID] = true
				a.Alone[k].see(f)
			}
		}
	}
	for i := range p.Findings {
		if f := &p.Findings[i]; !about[f.ID] {
			out.Alone = append(out.Alone, Apart{p.Name, *f})
		}
	}
	return nil
}

// count says how many customers the attack had been shown when it was seen.
func (a *Attack) count(ctx context.Context, e *scope.Engine) error {
	if a.Scope == nil {
		return nil
	}
	for _, s := range append([]*Sight{&a.Joint}, pointers(a.Alone)...) {
		if s.Seen == nil {
			continue
		}
		answer, err := e.Count(ctx, upTo(a.Scope.Filter, *s.Seen))
		if err != nil {
			return fmt.Errorf("count what an attack had been shown: %w", err)
		}
		s.Lost = &answer.Subjects
	}
	return nil
}

// upTo gives a filter that matches only what had happened by then.
func upTo(f whosaw.Filter, seen whosaw.Time) whosaw.Filter {
	f = slices.Clone(f)
	for i := range f {
		if until := seen + 1; f[i].To == 0 || until < f[i].To {
			f[i].To = until
		}
	}
	return f
}

func pointers(list []Sight) (out []*Sight) {
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}
