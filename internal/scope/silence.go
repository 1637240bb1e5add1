package scope

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// A source is silent where it has no records for over silentTimes its 99th-percentile spacing and at least
// silentLeast.
const (
	silentTimes = 10
	silentLeast = 10 * minute
	minute      = int64(60_000)
)

// silence is a stretch without records of a source, between two that it has.
type silence struct {
	source   string
	from, to int64
}

// rhythm is when a source has records, as exact as silence needs it and no more. Whether a spacing of ten
// minutes or more is over ten times the 99th percentile depends only on how many spacings are at least a tenth of
// it, so a minute or more. Two records a minute or more apart lie in different minutes, so the first and last record
// of each minute tell every such spacing; the rest need only be counted. So no times are kept or sorted,
// however many records there are. Stretches within which all spacings are less tell them as well.
type rhythm struct {
	records   int64
	minutes   map[int64]span // by number since 1970
	last      int64          // the minute of the record added last
	open      span
	stretches []span // of digests
}

// span is the first and last event time in a minute, or in a stretch.
type span struct{ first, last int64 }

func (r *rhythm) add(t int64) {
	m := t / minute // times are after 1970
	if r.open == (span{}) || m != r.last {
		r.close()
		var ok bool
		if r.open, ok = r.minutes[m]; !ok {
			r.open = span{t, t}
		}
		r.last = m
	}
	r.records++
	r.open.first, r.open.last = min(r.open.first, t), max(r.open.last, t)
}

// close puts the minute that add works on back.
func (r *rhythm) close() {
	if r.open != (span{}) {
		r.minutes[r.last] = r.open
	}
}

func (r *rhythm) merge(o *rhythm) {
	r.records += o.records
	r.stretches = append(r.stretches, o.stretches...)
	for m, s := range o.minutes {
		if old, ok := r.minutes[m]; ok {
			s = span{min(s.first, old.first), max(s.last, old.last)}
		}
		r.minutes[m] = s
	}
}

// digest adds what a digest says.
func (r *rhythm) digest(x *index.Rhythm) {
	r.records += x.Records
	for _, s := range x.Stretches {
		r.stretches = append(r.stretches, span{s.First, s.Last})
	}
}

// silences gives the stretches in which the source was silent, in order.
func (r *rhythm) silences(source string) []silence {
	spans := append(slices.Clone(r.stretches), slices.Collect(maps.Values(r.minutes))...)
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	var gaps []span // between two records, a minute or more
	var wide []int64
	until := int64(math.MinInt64)
	for i, s := range spans {
		if i > 0 && s.first-until >= minute {
			gaps, wide = append(gaps, span{until, s.first}), append(wide, s.first-until)
		}
		until = max(until, s.last)
	}
	slices.Sort(wide)
	// By nearest rank the 99th percentile of n spacings is the one with rank ceil(0.99 n). It is under a tenth
	// of d iff at most n - ceil(0.99 n) spacings are not.
	n := r.records - 1
	allowed := n - (99*n+99)/100
	silent := func(d int64) bool {
		tenth, _ := slices.BinarySearchFunc(wide, d, func(w, d int64) int {
			if silentTimes*w >= d {
				return 1
			}
			return -1
		})
		return d >= silentLeast && int64(len(wide)-tenth) <= allowed
	}
	var out []silence
	for _, g := range gaps {
		if silent(g.last - g.first) {
			out = append(out, silence{source, g.first, g.last})
		}
	}
	return out
}

// silences gives where the sources were silent, as of a sequence, given the world as of it. Those of the whole view
// are kept.
func (e *Engine) silences(ctx context.Context, w *world, asOf uint64) ([]silence, error) {
	if asOf != e.last {
		return e.findSilences(ctx, w, asOf)
	}
	e.listening.Lock()
	defer e.listening.Unlock()
	if e.quiet == nil {
		quiet, err := e.findSilences(ctx, w, asOf)
		if err != nil {
			return nil, err
		}
		e.quiet = append([]silence{}, quiet...) // not nil: worked out
	}
	return e.quiet, nil
}

// rhythms are the rhythms of sources.
type rhythms map[string]*rhythm

func (rs rhythms) of(source string) *rhythm {
	r := rs[source]
	if r == nil {
		r = &rhythm{minutes: make(map[int64]span)}
		rs[strings.Clone(source)] = r
	}
	return r
}

// close ends adding.
func (rs rhythms) close() {
	for _, r := range rs {
		r.close()
	}
}

func (e *Engine) findSilences(ctx context.Context, w *world, asOf uint64) ([]silence, error) {
	q, err := e.ask(whosaw.Filter{{AsOf: asOf}})
	if err != nil {
		return nil, err
	}
	defer q.done()
	var workers []rhythms
	rest := []int{}
	for part, known := range w.digested {
		if !known {
			rest = append(rest, part)
		}
	}
	err = q.scanParts(ctx, ledger.ColSource, rest, func() (work, func(ledger.Part) bool) {
		rs := rhythms{}
		workers = append(workers, rs)
		return func(c *chunk) error {
			byCode := make([]*rhythm, len(c.Source.Dict))
			for _, row := range c.rows[0] {
				code := c.Source.Codes[row]
				if byCode[code] == nil {
					byCode[code] = rs.of(c.Source.Dict[code])
				}
				byCode[code].add(c.Time[row])
			}
			return nil
		}, nil
	})
	if err != nil {
		return nil, err
	}
	all := rhythms{}
	for _, rs := range workers {
		rs.close()
	}
	for _, rs := range append(workers, w.rhythms) {
		for source, r := range rs {
			all.of(source).merge(r)
		}
	}
	var out []silence
	for source, r := range all {
		out = append(out, r.silences(source)...)
	}
	slices.SortFunc(out, func(a, b silence) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.source, b.source))
	})
	return out, nil
}
