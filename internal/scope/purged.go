package scope

import (
	"slices"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Purged lists what retention removed of what a filter looks at: an answer to it that has no gaps of its own lacks that.
func (e *Engine) Purged(filter whosaw.Filter) ([]whosaw.Gap, error) {
	q, err := e.ask(filter)
	if err != nil || len(q.terms) == 0 {
		return nil, err
	}
	return q.purgedGaps(), nil
}

// purgedGaps lists what retention removed of what the question's terms look at. Runs that follow each other are one gap.
func (q *question) purgedGaps() []whosaw.Gap {
	var gaps []whosaw.Gap
	var merged ledger.Purged
	end := func() {
		if merged.First > 0 {
			gaps = append(gaps, purgedGap(&merged))
		}
		merged = ledger.Purged{}
	}
	for _, p := range q.view.Purged() {
		if !slices.ContainsFunc(q.terms, func(t *term) bool { return t.missed(&p) }) {
			end()
			continue
		}
		if merged.First > 0 && merged.Last+1 == p.First {
			merged.Last = p.Last
			merged.MinTime, merged.MaxTime = min(merged.MinTime, p.MinTime), max(merged.MaxTime, p.MaxTime)
			merged.Accesses, merged.References = merged.Accesses+p.Accesses, merged.References+p.References
			if oneSource(&merged) != oneSource(&p) {
				merged.Sources = nil
			}
			continue
		}
		end()
		merged = p
	}
	end()
	sortGaps(gaps)
	return limitGaps(gaps, "removed runs of records")
}

// missed reports whether the term's answer may lack something that was removed: accesses of its time and source, or, where
// it asks what was issued or explained, the records that say so, whatever their time.
func (t *term) missed(p *ledger.Purged) bool {
	if t.asOf < p.First {
		return false
	}
	if p.References > 0 && (t.issued != nil || t.expl != nil) {
		return true
	}
	if len(p.Sources) == 0 {
		return p.MinTime < t.to && p.MaxTime >= t.from
	}
	return slices.ContainsFunc(p.Sources, func(s ledger.PurgedSource) bool { return t.touches(s.Source, s.MinTime, s.MaxTime) })
}

// oneSource is the only source of what was removed, "" if there are several.
func oneSource(p *ledger.Purged) string {
	if len(p.Sources) == 1 {
		return p.Sources[0].Source
	}
	return ""
}

func purgedGap(p *ledger.Purged) whosaw.Gap {
	refs := ""
	if p.References > 0 {
		refs = " and " + numbered(int64(p.References), "record", "records") + " of other kinds, such as what was issued"
	}
	return whosaw.Gap{
		Kind: whosaw.GapPurged, From: stamp(p.MinTime), To: stamp(p.MaxTime), Source: oneSource(p), Count: int64(p.Accesses),
		Says: "retention removed " + numbered(int64(p.Accesses), "access", "accesses") + refs + " (records " + strconv.FormatUint(p.First, 10) + " to " +
			strconv.FormatUint(p.Last, 10) + "): whose data they disclosed is not in this answer. Restore a backup from before to ask about them",
	}
}

// removed reports whether records of the source between two times were removed: then it was not silent there.
func (q *question) removed(source string, from, to int64) bool {
	return slices.ContainsFunc(q.view.Purged(), func(p ledger.Purged) bool {
		if len(p.Sources) == 0 {
			return p.MinTime <= to && p.MaxTime >= from
		}
		return slices.ContainsFunc(p.Sources, func(s ledger.PurgedSource) bool {
			return s.Source == source && s.MinTime <= to && s.MaxTime >= from
		})
	})
}
