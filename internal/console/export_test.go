package console

import (
	"context"
	"html/template"
	"maps"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
)

// HandleOf gives the handle of a filter, as its page's address has it.
func (c *Console) HandleOf(ctx context.Context, f whosaw.Filter) (string, error) {
	return c.filterHandle(ctx, f)
}

// DeedKey is the message that says what was done with a notice.
var DeedKey = deedKey

// CountBy has the customers of open findings counted by fn, which is given their ids and names those that go on. To be called before Run.
func (c *Console) CountBy(fn func(ctx context.Context, open []string) []string) {
	c.watch.losses = func(ctx context.Context, open []api.Found, now time.Time) (out []loss) {
		var ids []string
		for i := range open {
			ids = append(ids, open[i].ID)
		}
		at := whosaw.Time(now.UnixMilli())
		for _, id := range fn(ctx, ids) {
			out = append(out, loss{id: id, answer: whosaw.ScopeAnswer{Subjects: 1, First: &at, Last: &at}})
		}
		return out
	}
}

// PaceOf gives the pace of a source of which so many records had been accepted at each of these times.
func PaceOf(at []time.Time, accepted []int64) float64 {
	var p pace
	for i := range at {
		p.note(at[i], accepted[i])
	}
	return p.rate()
}

// Minutes draws a bar plot with a column for each minute.
func Minutes(at ...int64) template.HTML {
	p := columns{Step: 60_000, Times: func(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04") }}
	for _, ms := range at {
		p.Cols = append(p.Cols, column{At: ms, All: 1})
	}
	return p.svg()
}

// Impatient makes a turn as short as can be: one block a worker.
func Impatient(c *Console) { c.patience = -time.Hour }

// Patterns lists what a console serves to who is signed in or is not, beside /static/.
func Patterns(c *Console) []string {
	return slices.Concat(slices.Collect(maps.Keys(c.forAnybody())), slices.Collect(maps.Keys(c.forReaders())), slices.Collect(maps.Keys(c.forAdmins())))
}
