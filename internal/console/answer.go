package console

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// What finding, scope and subject show of an answer.

// Field words a field's name: those of the contract in the page's language, others as they stand.
func (f *frame) Field(name string) string {
	if _, ok := f.words["field."+name]; ok {
		return f.T("field." + name)
	}
	return safe(strings.ReplaceAll(name, "_", " "))
}

// fields lists the customers per field, most first; what was only masked stands behind its clear one.
func (f *frame) fields(a *whosaw.ScopeAnswer) []fieldView {
	type row struct {
		name   string
		masked bool
		n      int64
	}
	var rows []row
	for name, n := range a.Fields {
		rows = append(rows, row{name, false, n})
	}
	for name, n := range a.Masked {
		rows = append(rows, row{name, true, n})
	}
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(y.n, x.n), cmp.Compare(x.name, y.name), cmp.Compare(b2i(x.masked), b2i(y.masked)))
	})
	var out []fieldView
	for _, r := range rows[:min(40, len(rows))] {
		v := fieldView{Name: f.Field(r.name), N: figure.Int(r.n), Bar: meterBar(share(r.n, a.Subjects), ""), Masked: r.masked}
		if r.masked {
			v.Name = f.T("field.masked", v.Name)
		}
		out = append(out, v)
	}
	return out
}

// capital begins a sentence.
func capital(s string) string {
	r := []rune(strings.TrimRight(s, "."))
	if len(r) == 0 {
		return ""
	}
	return strings.ToUpper(string(r[:1])) + string(r[1:])
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// gaps words what the records cannot tell.
func (f *frame) gaps(gaps []whosaw.Gap) []string {
	var out []string
	for _, g := range gaps[:min(6, len(gaps))] {
		says := capital(safeTo(g.Says, 400)) + "."
		if f.lang != defaultLanguage {
			period := ""
			if g.From != nil && g.To != nil {
				period = f.Full(int64(*g.From)) + " – " + f.Full(int64(*g.To))
			}
			says = f.T("gap."+string(g.Kind), safe(g.Source), period, figure.Int(g.Count))
		}
		out = append(out, says)
	}
	if more := len(gaps) - len(out); more > 0 {
		out = append(out, f.N("gap.more", int64(more)))
	}
	return out
}

// stretch narrows a filter to the time in which it disclosed something, so that only that is read.
func stretch(f whosaw.Filter, a *whosaw.ScopeAnswer, otherwise whosaw.Time) whosaw.Filter {
	from, to := otherwise-3_600_000, otherwise+3_600_000
	if a.First != nil && a.Last != nil {
		from, to = *a.First, *a.Last+1
		lead := max((to-from)/6, 120_000)
		from -= lead
	}
	out := slices.Clone(f)
	for i := range out {
		t := &out[i]
		t.From, t.To = max(t.From, from), to
		if f[i].To != 0 {
			t.To = min(f[i].To, to)
		}
		if t.To <= t.From {
			t.To = t.From + 1
		}
	}
	return out
}

// stepFor picks how long a column of a time plot is: at most sixty of them.
func stepFor(f whosaw.Filter) time.Duration {
	var from, to whosaw.Time
	for i := range f {
		if from == 0 || f[i].From < from {
			from = f[i].From
		}
		to = max(to, f[i].To)
	}
	span := time.Duration(to-from) * time.Millisecond
	for _, step := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		if span/step <= 60 {
			return step
		}
	}
	return 28 * 24 * time.Hour
}

// axisTime writes the times under a plot.
func (f *frame) axisTime(step time.Duration) func(int64) string {
	return func(ms int64) string {
		t := time.UnixMilli(ms).In(f.Zone)
		switch {
		case step < time.Hour:
			return t.Format("15:04")
		case f.lang == "ko":
			return t.Format("1월 2일")
		}
		return t.Format("2 Jan")
	}
}

// origins lists the networks, and how many addresses there are.
func (p *findingPage) origins(ctx context.Context, c *Console, q *pipeline.Question, f whosaw.Filter, until time.Time) (known scope.Progress, err error) {
	_, addresses, known, err := c.values(ctx, q, "ip", f, 0, until)
	if err != nil || !known.Whole() {
		return known, err
	}
	p.IPs = p.N("finding.addresses", int64(addresses))
	by := "AS"
	top, _, known, err := c.values(ctx, q, "asn", f, originRows, until)
	if err == nil && known.Whole() && len(top) == 0 {
		by = ""
		top, _, known, err = c.values(ctx, q, "network", f, originRows, until)
	}
	for _, v := range top {
		p.Origins = append(p.Origins, originView{Name: by + v.Value, N: figure.Int(v.Accesses), Bar: meterBar(share(v.Accesses, top[0].Accesses), "")})
	}
	return known, err
}

const originRows = 8

// sumDays adds up accesses over days. Subjects of several days cannot be added, and are not.
func sumDays(rows []whosaw.TopRow) []whosaw.TopRow {
	by := map[string]int{}
	var out []whosaw.TopRow
	for _, r := range rows {
		i, ok := by[r.Value]
		if !ok {
			i = len(out)
			by[r.Value] = i
			out = append(out, whosaw.TopRow{By: r.By, Value: r.Value})
		}
		out[i].Accesses += r.Accesses
	}
	slices.SortFunc(out, func(a, b whosaw.TopRow) int {
		return cmp.Or(cmp.Compare(b.Accesses, a.Accesses), cmp.Compare(a.Value, b.Value))
	})
	return out
}

// climbBar draws S against the threshold, which goes through all rows.
func climbBar(s, threshold float64, over bool) template.HTML {
	class := ""
	if over {
		class = " hot"
	}
	w := num(100 * max(.003, s))
	x := num(100 * threshold)
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 100 26" preserveAspectRatio="none" aria-hidden="true"><rect class="fill%s" y="9" height="9" width="%s"/><path class="thr" d="M%s 0V26"/></svg>`, class, w, x)) //nolint:gosec // numbers
}
