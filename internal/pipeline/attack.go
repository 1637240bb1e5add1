package pipeline

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// Attack is what findings that accuse the same accesses have in common.
type Attack struct {
	Filter   whosaw.Filter
	Findings []int // indexes into the findings, in the order they were raised
}

// attacks groups findings, among which may be the places to which they spread, under the same ids. Two accuse the same when one detector raised them on one unit, or when half of what the smaller
// filter matches is matched by the other too. An attack's filter is the union of the filters of its findings, the plainest first, less those
// that add almost nothing: nine tenths of what they match is covered already, and what they accuse is
// more than half of that.
func attacks(ctx context.Context, engine *scope.Engine, findings []whosaw.Finding) ([]Attack, error) {
	filters := make([]whosaw.Filter, len(findings))
	for i, f := range findings {
		filters[i] = f.Filter
	}
	size, inter, err := engine.Overlap(ctx, filters)
	if err != nil {
		return nil, err
	}
	group := make([]int, len(findings))
	for i := range group {
		group[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if group[i] != i {
			group[i] = find(group[i])
		}
		return group[i]
	}
	for i := range findings {
		for j := range i {
			if len(findings[i].Filter) == 0 || len(findings[j].Filter) == 0 {
				continue
			}
			small := min(size[i], size[j])
			same := findings[i].ID == findings[j].ID || findings[i].Detector == findings[j].Detector && findings[i].Unit == findings[j].Unit
			if same || small > 0 && 2*inter[i][j] >= small {
				// The earlier finding leads: attacks come in the order they were first seen.
				a, b := find(i), find(j)
				group[max(a, b)] = min(a, b)
			}
		}
	}
	var out []Attack
	at := make(map[int]int)
	for i := range findings {
		if len(findings[i].Filter) == 0 {
			continue // it rests on records alone and accuses no access: there is nobody to count
		}
		lead := find(i)
		if lead == i {
			at[i] = len(out)
			out = append(out, Attack{})
		}
		a := &out[at[lead]]
		a.Findings = append(a.Findings, i)
	}
	for k := range out {
		out[k].Filter = cover(out[k].Findings, findings, size, inter)
	}
	return out, nil
}

// cover unites the filters of an attack's findings, widest and plainest first.
func cover(members []int, findings []whosaw.Finding, size []int64, inter [][]int64) whosaw.Filter {
	order := slices.Clone(members)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(openness(findings[a].Filter), openness(findings[b].Filter)),
			cmp.Compare(size[b], size[a]),
		)
	})
	var kept []int
	for _, i := range order {
		covered := slices.ContainsFunc(kept, func(k int) bool { return 10*inter[i][k] >= 9*size[i] })
		if !covered || len(kept) == 0 {
			kept = append(kept, i)
		}
	}
	slices.Sort(kept)
	var f whosaw.Filter
	for _, i := range kept {
		for _, t := range findings[i].Filter {
			f = unite(f, t)
		}
	}
	return f
}

// unite adds a term to a filter. One that differs from another only in its credentials joins that.
func unite(f whosaw.Filter, t whosaw.Term) whosaw.Filter {
	for i := range f {
		a, b := f[i], t
		a.Credential, b.Credential = nil, nil
		if len(f[i].Credential) > 0 && len(t.Credential) > 0 && reflect.DeepEqual(a, b) {
			f[i].Credential = append(slices.Clone(f[i].Credential), t.Credential...)
			return f
		}
	}
	return append(f, t)
}

// openness ranks filters: 0 for one that takes only never-issued credentials, which no honest access
// can meet while the feed is complete; 1 for the rest.
func openness(f whosaw.Filter) int {
	for _, t := range f {
		if t.Issued == nil || *t.Issued {
			return 1
		}
	}
	return 0
}
