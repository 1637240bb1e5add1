package console

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/meter"
)

// Plots are drawn here as SVG: presentation by class, so that the policy needs no inline style. A plot stretches with its cell; its
// texts stand outside the stretched part.

// num writes a coordinate.
func num(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

const plotW, plotH = 1000.0, 100.0

// trace writes points as a line.
func trace(n int, at func(i int) (x, y float64)) string {
	var b strings.Builder
	for i := range n {
		x, y := at(i)
		if i == 0 {
			b.WriteByte('M')
		} else {
			b.WriteByte('L')
		}
		b.WriteString(num(x))
		b.WriteByte(' ')
		b.WriteString(num(y))
	}
	return b.String()
}

// course is a route's line with its season.
type course struct {
	points []meter.Point
	hot    bool // tell what exceeds the season
	zero   bool // the scale begins at zero; else the season lies in the middle
	thin   bool

	// Of the large plot: its texts.
	scaled  bool
	top     string
	alarm   string
	alarmAt float64 // share of the width
}

// scale gives the range that is shown.
func (c *course) scale() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, p := range c.points {
		v := float64(p.N)
		low, high = min(low, v), max(high, v)
		if p.Known {
			low, high = min(low, float64(p.Low)), max(high, float64(p.High))
		}
	}
	if c.zero || math.IsInf(low, 1) {
		low = 0
	}
	if high-low < 1 {
		high = low + 1
	}
	pad := (high - low) * .08
	if !c.zero {
		low -= pad
	}
	return low, high + pad
}

// svg draws it. alt is said to readers.
func (c *course) svg(alt string) template.HTML {
	n := len(c.points)
	if n == 0 {
		return ""
	}
	low, high := c.scale()
	x := func(i int) float64 { return plotW * float64(i) / float64(max(1, n-1)) }
	y := func(v float64) float64 { return plotH - plotH*(v-low)/(high-low) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg role="img" aria-label="%s"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" width="100%%" height="100%%" aria-hidden="true">`, template.HTMLEscapeString(alt))
	first, last := -1, -1
	for i, p := range c.points {
		if p.Known {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first >= 0 && last > first {
		m := last - first + 1
		top := trace(m, func(i int) (float64, float64) { return x(first + i), y(float64(c.points[first+i].High)) })
		back := trace(m, func(i int) (float64, float64) { return x(last - i), y(float64(c.points[last-i].Low)) })
		fmt.Fprintf(&b, `<path class="band" d="%sL%sZ"/><path class="edge" d="%s"/>`, top, back[1:], top)
	}
	class := "line"
	if c.thin {
		class += " thin"
	}
	fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, class, trace(n, func(i int) (float64, float64) { return x(i), y(float64(c.points[i].N)) }))
	hotEnd := false
	if c.hot {
		hotEnd = c.over(&b, x, y)
	}
	if c.alarm != "" {
		fmt.Fprintf(&b, `<path class="mark" d="M%s 12L%s 100"/>`, num(plotW*c.alarmAt), num(plotW*c.alarmAt))
	}
	b.WriteString(`</svg>`)
	if c.scaled {
		c.texts(&b, low, high, y)
	}
	p := c.points[n-1]
	end := "end"
	if hotEnd {
		end += " hot"
	}
	fmt.Fprintf(&b, `<circle class="%s" cx="100%%" cy="%s%%" r="2.5"/></svg>`, end, num(y(float64(p.N))))
	return template.HTML(b.String()) //nolint:gosec // numbers, and an escaped text
}

// texts stand at the thing: the scale, the season's top, the alarm.
func (c *course) texts(b *strings.Builder, low, high float64, y func(float64) float64) {
	for i, g := range gridLines(int64(high)) {
		if at := y(float64(g)); i > 0 && at > 14 && at < 80 {
			fmt.Fprintf(b, `<text class="scale" x="0" y="%s%%">%s</text>`, num(at), figure.Int(g))
		}
	}
	p := c.points[len(c.points)-1]
	if p.Known {
		at := 98.0
		if c.alarm != "" && c.alarmAt > .4 {
			at = 100*c.alarmAt - 3
		}
		fmt.Fprintf(b, `<text x="%s%%" y="%s%%" dy="-6" text-anchor="end">%s</text>`, num(at), num(y(float64(c.points[30].High))), template.HTMLEscapeString(c.top))
	}
	if c.alarm != "" {
		anchor, dx := "end", -6
		if c.alarmAt < .4 {
			anchor, dx = "start", 6
		}
		fmt.Fprintf(b, `<text class="hot" x="%s%%" dx="%d" y="14%%" text-anchor="%s">%s</text>`, num(100*c.alarmAt), dx, anchor, template.HTMLEscapeString(c.alarm))
	}
}

// over draws what exceeds the season, and reports whether the last point does.
func (c *course) over(b *strings.Builder, x func(int) float64, y func(float64) float64) bool {
	n := len(c.points)
	is := func(i int) bool { p := c.points[i]; return p.Known && p.N > p.High }
	for i := 0; i < n; i++ {
		if !is(i) {
			continue
		}
		j := i
		for j+1 < n && is(j+1) {
			j++
		}
		from := max(0, i-1)
		line := trace(j-from+1, func(k int) (float64, float64) { return x(from + k), y(float64(c.points[from+k].N)) })
		back := trace(j-from+1, func(k int) (float64, float64) { return x(j - k), y(float64(c.points[j-k].High)) })
		fmt.Fprintf(b, `<path class="area hot" d="%sL%sZ"/><path class="line hot" d="%s"/>`, line, back[1:], line)
		i = j
	}
	return is(n - 1)
}

// tape is the day of the highest route as a multiple of its season's top.
func tape(s *state) (svg template.HTML, times string, hot bool) {
	if len(s.measure.Strips) == 0 {
		return "", "", false
	}
	n := len(s.measure.Strips[0].Day)
	points := make([]meter.Point, n)
	known := false
	for i := range points {
		points[i] = meter.Point{High: 100, Known: true}
		for j := range s.measure.Strips {
			if p := s.measure.Strips[j].Day[i]; p.Known && p.High > 0 {
				known = true
				points[i].N = max(points[i].N, 100*p.N/p.High)
			}
		}
	}
	if !known {
		return "", "", false
	}
	now := 0.0
	for i := range s.measure.Strips {
		if st := &s.measure.Strips[i]; st.Known && st.High > 0 {
			now = max(now, float64(st.Now)/float64(st.High))
		}
	}
	c := course{points: points, hot: true, zero: true, thin: true}
	return c.svg(""), strconv.FormatFloat(now, 'f', 2, 64) + "×", now > 1
}

// bar draws a share of a whole; mark is a tick at a second share, below 0 none.
func bar(share, mark float64, class string) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">`)
	w := 100 * min(1, max(0, share))
	if share > 0 {
		w = max(w, 1)
	}
	fmt.Fprintf(&b, `<rect class="fill %s" x="0" y="1" height="6" width="%s"/>`, class, num(w))
	if mark >= 0 {
		fmt.Fprintf(&b, `<rect class="tick" x="%s" y="-2" width=".9" height="12"/>`, num(100*min(1, mark)))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers and our own words
}

// meterBar draws a share on its track.
func meterBar(share float64, class string) template.HTML {
	w := 100 * min(1, max(0, share))
	if share > 0 {
		w = max(w, 1)
	}
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="fill track" width="100" height="6" y="1"/><rect class="fill %s" width="%s" height="6" y="1"/></svg>`, class, num(w))) //nolint:gosec // numbers and our own words
}

// hourAxis writes the times under the last 60 minutes and the last 24 hours.
func hourAxis(minute time.Time, zone *time.Location, now string) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg aria-hidden="true">`)
	for i, at := range []int{0, 20, 40} {
		t := minute.Add(time.Duration(at-59) * time.Minute).In(zone)
		anchor := "middle"
		if i == 0 {
			anchor = "start"
		}
		fmt.Fprintf(&b, `<text x="%s%%" y="15" text-anchor="%s">%s</text>`, num(100*float64(at)/59), anchor, t.Format("15:04"))
	}
	fmt.Fprintf(&b, `<text x="100%%" y="15" text-anchor="end">%s</text></svg>`, template.HTMLEscapeString(now))
	return template.HTML(b.String()) //nolint:gosec // times, and an escaped word
}

func dayAxis(minute time.Time, zone *time.Location) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg aria-hidden="true">`)
	from := minute.Add(-24 * time.Hour)
	first := from.In(zone).Truncate(time.Hour).Add(time.Hour)
	for first.Hour()%6 != 2 {
		first = first.Add(time.Hour)
	}
	for t := first; t.Before(minute.Add(-time.Hour)); t = t.Add(6 * time.Hour) {
		share := 100 * t.Sub(from).Minutes() / (24 * 60)
		if share > 6 && share < 94 {
			fmt.Fprintf(&b, `<text x="%s%%" y="15" text-anchor="middle">%s</text>`, num(share), t.Format("15:04"))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // times
}

// column is one stretch of a bar plot.
type column struct {
	At         int64
	All, Solid int64
	Says       string
}

// upright is a time that is named in a plot.
type upright struct {
	At    int64
	Label string
	Class string
}

// gapSpan is a stretch of which records are missing.
type gapSpan struct {
	From, To int64
	Label    string
}

// columns draws a bar plot over time: solid inside all, uprights and gaps.
type columns struct {
	Cols  []column
	Step  int64
	Marks []upright
	Gaps  []gapSpan
	Hot   bool
	Alt   string
	Times func(ms int64) string
	Unit  string // after the topmost grid line's figure
}

const columnsH = 150.0

func (p *columns) svg() template.HTML {
	if len(p.Cols) == 0 {
		return ""
	}
	top := int64(1)
	for _, c := range p.Cols {
		top = max(top, c.All)
	}
	from := p.Cols[0].At
	span := float64(int64(len(p.Cols)) * p.Step)
	x := func(at int64) float64 { return 94 * max(0, min(1, float64(at-from)/span)) }
	const base, head = columnsH - 22, 34.0
	h := func(n int64) float64 { return (base - head) * float64(n) / float64(top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg role="img" aria-label="%s" width="100%%" height="%s" tabindex="0" data-plot>`, template.HTMLEscapeString(p.Alt), num(columnsH))
	b.WriteString(`<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatchline" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>`)
	for _, g := range gridLines(top) {
		fmt.Fprintf(&b, `<line class="grid" x1="0" x2="94%%" y1="%s" y2="%s"/><text x="100%%" y="%s" text-anchor="end">%s</text>`, num(base-h(g)), num(base-h(g)), num(base-h(g)+4), figure.Int(g))
	}
	solid := "fill"
	if p.Hot {
		solid += " hot"
	}
	w := 94 * float64(p.Step) / span
	for _, c := range p.Cols {
		if c.All == 0 {
			continue
		}
		fmt.Fprintf(&b, `<g data-says="%s">`, template.HTMLEscapeString(c.Says))
		if c.All > c.Solid {
			fmt.Fprintf(&b, `<rect class="fill none" x="%s%%" y="%s" width="%s%%" height="%s"/>`, num2(x(c.At)+w*.09), num(base-h(c.All)), num2(w*.82), num(h(c.All)))
		}
		if c.Solid > 0 {
			fmt.Fprintf(&b, `<rect class="%s" x="%s%%" y="%s" width="%s%%" height="%s"/>`, solid, num2(x(c.At)+w*.09), num(base-max(1, h(c.Solid))), num2(w*.82), num(max(1, h(c.Solid))))
		}
		b.WriteString(`</g>`)
	}
	fmt.Fprintf(&b, `<line class="axis" x1="0" x2="94%%" y1="%s" y2="%s"/>`, num(base), num(base))
	for _, g := range p.Gaps {
		a, z := x(g.From), x(g.To)
		fmt.Fprintf(&b, `<rect class="gapbox" x="%s%%" y="%s" width="%s%%" height="%s"/><text class="w" x="%s%%" y="%s" text-anchor="%s">%s</text>`,
			num2(a), num(head-6), num2(max(.5, z-a)), num(base-head+6), num2((a+z)/2), num(head-10), anchorAt((a+z)/2), template.HTMLEscapeString(g.Label))
	}
	for i, m := range p.Marks {
		at := x(m.At)
		fmt.Fprintf(&b, `<line class="mark %s" x1="%s%%" x2="%s%%" y1="%s" y2="%s"/><text class="%s" x="%s%%" y="%s" text-anchor="%s">%s</text>`,
			m.Class, num2(at), num2(at), num(10+14*float64(i%2)), num(base), textClass(m.Class), num2(at), num(8+14*float64(i%2)), anchorAt(at), template.HTMLEscapeString(m.Label))
	}
	last := ""
	for _, part := range []int{0, len(p.Cols) / 3, 2 * len(p.Cols) / 3, len(p.Cols) - 1} {
		text := p.Times(p.Cols[part].At)
		if text == last {
			continue
		}
		last = text
		anchor, at := "middle", x(p.Cols[part].At)+w/2
		if part == 0 && w < 8 { // a time in the middle of it would stand out at the left
			anchor, at = "start", 0
		} else if at > 88 {
			anchor, at = "end", 94
		}
		fmt.Fprintf(&b, `<text x="%s%%" y="%s" text-anchor="%s">%s</text>`, num2(at), num(columnsH-4), anchor, template.HTMLEscapeString(text))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and escaped texts
}

func textClass(mark string) string {
	if mark == "" {
		return "hot"
	}
	return "strong"
}

// num2 writes a share with two digits.
func num2(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }

func anchorAt(x float64) string {
	switch {
	case x < 12:
		return "start"
	case x > 70:
		return "end"
	}
	return "middle"
}

// gridLines are at most three, at plain numbers.
func gridLines(top int64) []int64 {
	step := int64(1)
	for _, f := range []int64{2, 5, 10} {
		for s := f; ; s *= 10 {
			if top/s <= 3 {
				if step == 1 || s < step {
					step = s
				}
				break
			}
		}
	}
	if top <= 3 {
		step = 1
	}
	var out []int64
	for n := step; n <= top && len(out) < 3; n += step {
		out = append(out, n)
	}
	return out
}
