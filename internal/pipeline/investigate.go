package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/doctor"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// Result is an investigation with the pictures of its report.
type Result struct {
	whosaw.Investigation
	All    Picture   // of every access
	Scopes []Picture // one for each of Investigation.Scopes
}

// Picture is what a report draws of one filter's accesses.
type Picture struct {
	Scope    whosaw.ScopeAnswer
	Absent   int64 // accesses to subjects that do not exist
	Step     time.Duration
	Timeline []scope.Bucket
	Tops     []Top
}

// Top is who saw most by one dimension.
type Top struct {
	By   string
	Rows []whosaw.TopRow
}

// longTimeline is the range from which a timeline counts by days.
const longTimeline = 10 * 24 * time.Hour

// topRows are the rows of a report's tables.
const topRows = 12

// Investigate answers from what the ledger holds now: attacks with exact scopes, and what cannot be judged.
func (c *Case) Investigate(ctx context.Context, cfg scope.Config) (Result, error) {
	view, err := c.ledger.View(0)
	if err != nil {
		return Result{}, err
	}
	cfg.Index = c.index
	result, err := investigate(ctx, view, scope.New(view, c.catalog, cfg), c.catalog, c.findings, c.sighted, c.engine.Status())
	return result, errors.Join(err, view.Close())
}

// investigate answers from a view: the attacks that findings accuse, with exact scopes, and what cannot be judged.
func investigate(ctx context.Context, view *ledger.View, engine *scope.Engine, cat *catalog.Catalog, findings, sighted []whosaw.Finding, status []detect.Status) (Result, error) {
	result, err := answer(ctx, engine, findings, sighted)
	if err != nil {
		return result, err
	}
	result.Doctor, err = doctor.Examine(ctx, view, cat, status, silent(result.All.Scope.Gaps))
	return result, err
}

func answer(ctx context.Context, engine *scope.Engine, findings, sighted []whosaw.Finding) (Result, error) {
	result := Result{Investigation: whosaw.Investigation{Findings: findings, Scopes: []whosaw.ScopeAnswer{}}}
	if result.Findings == nil {
		result.Findings = []whosaw.Finding{}
	}
	found, err := attacks(ctx, engine, sighted)
	if err != nil {
		return result, fmt.Errorf("group the findings: %w", err)
	}
	everything := picture
	if len(found) > 0 {
		everything = counts // nobody looks at the crowd then
	}
	if result.All, err = everything(ctx, engine, whosaw.Filter{{}}); err != nil {
		return result, err
	}
	for _, attack := range found {
		p, err := picture(ctx, engine, attack.Filter)
		if err != nil {
			return result, err
		}
		for _, i := range attack.Findings {
			if id := sighted[i].ID; !slices.Contains(p.Scope.Findings, id) {
				p.Scope.Findings = append(p.Scope.Findings, id)
			}
		}
		result.Scopes = append(result.Scopes, p)
		result.Investigation.Scopes = append(result.Investigation.Scopes, p.Scope)
	}
	return result, nil
}

// counts is a picture without anything drawn.
func counts(ctx context.Context, engine *scope.Engine, filter whosaw.Filter) (Picture, error) {
	answer, err := engine.Count(ctx, filter)
	if err != nil {
		return Picture{}, fmt.Errorf("count the scope: %w", err)
	}
	return Picture{Scope: answer, Step: time.Hour}, nil
}

// picture counts a filter's scope and what is drawn of it.
func picture(ctx context.Context, engine *scope.Engine, filter whosaw.Filter) (Picture, error) {
	p, err := counts(ctx, engine, filter)
	if err != nil {
		return p, err
	}
	if p.Scope.First != nil && time.Duration(*p.Scope.Last-*p.Scope.First)*time.Millisecond > longTimeline {
		p.Step = 24 * time.Hour
	}
	var absent whosaw.Filter
	for _, term := range filter {
		if len(term.Outcome) == 0 {
			term.Outcome = []string{"absent"}
			absent = append(absent, term)
		}
	}
	sizes, _, err := engine.Overlap(ctx, []whosaw.Filter{absent})
	if err != nil {
		return p, fmt.Errorf("count the absent: %w", err)
	}
	p.Absent = sizes[0]
	if p.Scope.Disclosures > 0 {
		lines, err := engine.Timeline(ctx, []whosaw.Filter{filter}, p.Step)
		if err != nil {
			return p, fmt.Errorf("draw the timeline: %w", err)
		}
		p.Timeline = lines[0]
	}
	for _, by := range []string{"ip", "principal", "key", "asn", "route"} {
		if fixed(filter, by) {
			continue
		}
		rows, err := engine.Top(ctx, by, filter, topRows)
		if err != nil {
			return p, fmt.Errorf("find the top by %s: %w", by, err)
		}
		if len(rows) > 0 && rows[0].Subjects > 1 {
			p.Tops = append(p.Tops, Top{By: by, Rows: rows})
		}
	}
	return p, nil
}

// fixed reports whether the filter names the one value of a dimension: a table by it would say nothing new.
func fixed(f whosaw.Filter, by string) bool {
	if len(f) != 1 {
		return false
	}
	switch by {
	case "ip":
		return len(f[0].IP) == 1
	case "principal":
		return len(f[0].Principal) == 1
	case "key":
		return len(f[0].Key) == 1
	case "asn":
		return len(f[0].ASN) == 1
	case "route":
		return len(f[0].Route) == 1
	}
	return false
}

// silent picks the silent stretches.
func silent(gaps []whosaw.Gap) []whosaw.Gap {
	var out []whosaw.Gap
	for _, g := range gaps {
		if g.Kind == whosaw.GapSilent {
			out = append(out, g)
		}
	}
	return out
}
