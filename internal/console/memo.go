package console

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

const (
	// memoBytes is what the pages may keep of what segments told.
	memoBytes = 384 << 20
	// turnFor is how long a part of a page is worked on before it shows what is known and asks again.
	turnFor = 200 * time.Millisecond
	// warmEvery is how often is looked whether segments came, of which what a page asks first is made ready.
	warmEvery = 2 * time.Second
)

// sofar says what is known of a count that is not whole yet; "" of one that is.
func (f *frame) sofar(a *whosaw.ScopeAnswer, p scope.Progress) string {
	if p.Whole() {
		return ""
	}
	return f.T("scope.sofar", figure.Int(a.Subjects), figure.Int(p.Counted), figure.Int(p.Of))
}

// count counts with what is kept, until a time. What is known by then is a lower bound.
func (c *Console) count(ctx context.Context, q *pipeline.Question, f whosaw.Filter, until time.Time) (whosaw.ScopeAnswer, scope.Progress, error) {
	a, p, err := c.memo.Count(ctx, q.Engine, f, until)
	if errors.Is(err, scope.ErrNoMemo) {
		a, err = q.Count(ctx, f)
	}
	return a, p, err
}

// values gives the values of a member with the most accesses, and how many there are.
func (c *Console) values(ctx context.Context, q *pipeline.Question, by string, f whosaw.Filter, n int, until time.Time) ([]scope.Value, int, scope.Progress, error) {
	top, all, p, err := c.memo.Values(ctx, q.Engine, by, f, n, until)
	if !errors.Is(err, scope.ErrNoMemo) {
		return top, all, p, err
	}
	rows, err := q.Top(ctx, by, f, 0)
	if err != nil {
		return nil, 0, p, err
	}
	sums := sumDays(rows)
	for _, s := range sums[:min(n, len(sums))] {
		top = append(top, scope.Value{Value: s.Value, Accesses: s.Accesses})
	}
	return top, len(sums), p, nil
}

// warm keeps ready what the page of everything asks, as segments come.
func (c *Console) warm(ctx context.Context) {
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	known := uint64(0)
	for {
		began := time.Now()
		last, err := c.sealed()
		if err == nil && last > known {
			if err = c.warmOnce(ctx); err == nil {
				known = last
			}
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Warn("keep counts for the pages ready", "error", err)
		}
		tick.Reset(max(warmEvery, 2*time.Since(began))) // a third of a processor at most
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sealed gives the last sequence of a whole segment, 0 if there is none.
func (c *Console) sealed() (last uint64, err error) {
	view, err := c.cfg.Live.Ledger().View(0)
	if err != nil {
		return 0, err
	}
	for _, p := range view.Parts() {
		if p.Whole() {
			last = p.Last
		}
	}
	return last, view.Close()
}

func (c *Console) warmOnce(ctx context.Context) error {
	q, err := c.cfg.Live.Ask(scope.Config{Workers: 1, Zone: c.cfg.Zone, Memory: 2 * memoBytes})
	if err != nil {
		return err
	}
	defer q.Close()
	for _, what := range []string{scope.ReadyCount, "route", "key", scope.ReadyCourse} {
		for p := (scope.Progress{Of: 1}); !p.Whole(); {
			// A page that waits for the same has it after each turn.
			if p, err = c.memo.Ready(ctx, q.Engine, whosaw.Filter{{}}, what, time.Now().Add(turnFor)); errors.Is(err, scope.ErrNoMemo) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// columnsOf adds a course up to columns. at gives the column of a time, start the first instant of one. What came before or after is left out.
func columnsOf(course []scope.Minute, from, to int64, at func(ms int64) int64, start func(column int64) int64, add func(x *column, m *scope.Minute)) []column {
	first, last := at(from), at(to)
	cols := make([]column, last-first+1)
	for i := range cols {
		cols[i].At = start(first + int64(i))
	}
	for i := range course {
		if k := at(int64(course[i].Time)) - first; k >= 0 && k < int64(len(cols)) {
			add(&cols[k], &course[i])
		}
	}
	return cols
}

// trimmed gives the part of a course that lies in the times of a filter's terms, by whole minutes.
func trimmed(course []scope.Minute, f whosaw.Filter) []scope.Minute {
	const minute = 60_000
	return slices.DeleteFunc(slices.Clone(course), func(m scope.Minute) bool {
		return !slices.ContainsFunc(f, func(t whosaw.Term) bool {
			return m.Time+minute > t.From && (t.To == 0 || m.Time < t.To)
		})
	})
}

// slots gives columns of a length: of whole days they begin at midnight of a zone, shorter ones at multiples since 1970 UTC.
func slots(step time.Duration, zone *time.Location) (at, start func(int64) int64) {
	length := step.Milliseconds()
	days := length / dayMS
	if length%dayMS != 0 {
		return func(ms int64) int64 { return ms / length }, func(n int64) int64 { return n * length }
	}
	at = func(ms int64) int64 {
		y, m, d := time.UnixMilli(ms).In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli() / dayMS / days
	}
	start = func(n int64) int64 {
		y, m, d := time.UnixMilli(n * days * dayMS).UTC().Date()
		return time.Date(y, m, d, 0, 0, 0, 0, zone).UnixMilli()
	}
	return at, start
}
