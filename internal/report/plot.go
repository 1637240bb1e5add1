package report

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// The timeline is drawn with x in per cent and y in pixels, so that it fits any width and its text never shrinks.
const (
	plotHeight = 226 // all of it
	plotTop    = 56  // above: the alarm's label, then the gaps'
	plotBase   = 196 // the line bars stand on; below: times
)

// plot is a timeline ready to be drawn.
type plot struct {
	ID     string // of its patterns
	Per    string // "per hour"
	Label  string // for those who hear it
	Height int
	Base   int
	Top    int
	Tall   int // from Top to Base
	Bars   []plotBar
	Grid   []plotGrid
	Ticks  []plotTick
	Gaps   []plotGap
	Marks  []plotMark
}

type plotBar struct {
	X, W string // per cent
	Y, H int
	Says string
}

type plotGrid struct {
	Y, TextY int
	Label    string
}

type plotTick struct {
	X, Anchor, Label string
	Odd              bool // left out where there is little room
}

type plotGap struct {
	X, W, Middle, Anchor string
	Label                string
}

type plotMark struct {
	X, Anchor    string
	DX           int
	Label, After string // only on the first
	Says         string
}

// axis maps times to per cent of the width.
type axis struct {
	from, to int64 // milliseconds
	zone     *time.Location
}

func (a axis) x(t int64) float64 {
	return min(100, max(0, 100*float64(t-a.from)/float64(max(1, a.to-a.from))))
}

func pc(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) + "%" }

// newPlot draws the new subjects of a scope over the whole time that was read, if that is not far longer.
func newPlot(id string, s *Scope, read *whosaw.ReadAnswer, found []whosaw.Finding, zone *time.Location) *plot {
	buckets := slices.Clone(s.Timeline.Buckets)
	step := s.Timeline.Step.Milliseconds()
	if step < 1 || len(buckets) == 0 {
		return nil
	}
	slices.SortStableFunc(buckets, func(a, b Bucket) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	from, to := buckets[0].At, buckets[len(buckets)-1].At+step
	if read.From != nil && read.To != nil && int64(*read.To-*read.From)/step < maxBuckets-2 {
		// The steps before and after show that it was quiet then.
		for from > int64(*read.From) {
			from -= step
		}
		for to <= int64(*read.To) {
			to += step
		}
	}
	// A step that is a whole day may last 23 or 25 hours where clocks change: places are rounded.
	place := func(t int64) int { return int((t - from + step/2) / step) }
	n := max(1, place(to))
	join := 1
	for _, f := range []int{1, 2, 3, 6, 12, 24, 48, 168, 720} {
		join = f
		if (n+f-1)/f <= maxBuckets {
			break
		}
	}
	for (n+join-1)/join > maxBuckets {
		join *= 2
	}
	sums := make([]int64, (n+join-1)/join)
	for _, b := range buckets {
		if i := place(b.At) / join; i >= 0 && i < len(sums) {
			sums[i] += b.N
		}
	}
	to = from + int64(len(sums)*join)*step
	ax := axis{from, to, zone}
	p := &plot{ID: id, Height: plotHeight, Base: plotBase, Top: plotTop, Tall: plotBase - plotTop, Per: perStep(time.Duration(int64(join)*step) * time.Millisecond)}
	p.bars(sums, int64(join)*step, ax)
	p.ticks(ax)
	p.gaps(s.Answer.Gaps, ax)
	p.marks(found, ax)
	return p
}

func perStep(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "per hour"
	case d == 24*time.Hour:
		return "per day"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("per %d days", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("per %d hours", d/time.Hour)
	case d == time.Minute:
		return "per minute"
	}
	return "per " + d.String()
}

func (p *plot) bars(sums []int64, step int64, ax axis) {
	top, sum := int64(0), int64(0)
	busiest := 0
	for i, n := range sums {
		sum += n
		if n > top {
			top, busiest = n, i
		}
	}
	scale := grid(p, top)
	slot := 100 / float64(len(sums))
	width := min(slot*0.84, 4.5)
	for i, n := range sums {
		if n <= 0 {
			continue
		}
		h := max(1, int(float64(n)/float64(scale)*float64(plotBase-plotTop)+0.5))
		p.Bars = append(p.Bars, plotBar{
			X: pc(slot*(float64(i)+0.5) - width/2), W: pc(width), Y: plotBase - h, H: h,
			Says: clock(whosaw.Time(ax.from+int64(i)*step), ax.zone) + ": " + figure.Int(n),
		})
	}
	p.Label = fmt.Sprintf("Customers first disclosed %s: %s in all, most in the step from %s: %s.",
		p.Per, figure.Int(sum), clock(whosaw.Time(ax.from+int64(busiest)*step), ax.zone), figure.Int(top))
}

// grid puts at most three lines at round figures and gives the figure at the top of the plot.
func grid(p *plot, top int64) int64 {
	if top < 1 {
		return 1
	}
	unit := int64(1)
	for factor := 0; top/unit > 3; factor++ {
		unit = unit / []int64{1, 2, 5}[factor%3] * []int64{2, 5, 10}[factor%3]
	}
	scale := top + max(top/20, 0)
	for v := unit; v <= top; v += unit {
		y := plotBase - int(float64(v)/float64(scale)*float64(plotBase-plotTop)+0.5)
		p.Grid = append(p.Grid, plotGrid{Y: y, TextY: y + 4, Label: figure.Int(v)})
	}
	return scale
}

// ticks puts at most seven times under the plot.
func (p *plot) ticks(ax axis) {
	const h = int64(time.Hour / time.Millisecond)
	span := ax.to - ax.from
	every := int64(0)
	for _, e := range []int64{h / 60, h / 12, h / 4, h, 3 * h, 6 * h, 12 * h, 24 * h, 48 * h, 168 * h, 336 * h, 720 * h, 2160 * h, 8760 * h, 43800 * h, 438000 * h} {
		every = e
		if span/e <= 7 {
			break
		}
	}
	t := firstTick(ax, every)
	for i := 0; t < ax.to && i < 16; i++ {
		when := time.UnixMilli(t).In(ax.zone)
		label := when.Format("15:04")
		switch {
		case every >= 8760*h:
			label = when.Format("Jan 2006")
		case every >= 24*h || when.Hour() == 0 && when.Minute() == 0:
			label = when.Format("2 Jan")
		}
		x := ax.x(t)
		tick := plotTick{X: pc(x), Anchor: "middle", Label: label, Odd: i%2 == 1}
		switch {
		case x < 3:
			tick.Anchor = "start"
		case x > 96:
			tick.Anchor = "end"
		}
		p.Ticks = append(p.Ticks, tick)
		t = nextTick(when, every)
	}
}

// firstTick is the first round time of the zone in the axis.
func firstTick(ax axis, every int64) int64 {
	start := time.UnixMilli(ax.from).In(ax.zone)
	year, month, day := start.Date()
	switch {
	case every >= 365*days:
		month, day = 1, 1
	case every >= 30*days:
		day = 1
	}
	first := time.Date(year, month, day, 0, 0, 0, 0, ax.zone)
	if every < days {
		t := first.UnixMilli()
		return t + (ax.from-t+every-1)/every*every
	}
	for range 2 {
		if first.UnixMilli() < ax.from {
			first = time.UnixMilli(nextTick(first, min(every, 365*days))).In(ax.zone)
		}
	}
	return first.UnixMilli()
}

const days = int64(24 * time.Hour / time.Millisecond)

// nextTick is one step on: by the calendar from a day up, so that midnights stay midnights.
func nextTick(t time.Time, every int64) int64 {
	switch {
	case every >= 365*days:
		t = t.AddDate(int(every/(365*days)), 0, 0)
	case every >= 30*days:
		t = t.AddDate(0, int(every/(30*days)), 0)
	case every >= days:
		t = t.AddDate(0, 0, int(every/days))
	default:
		return t.UnixMilli() + every
	}
	return t.UnixMilli()
}

// gaps hatches the times of which records are missing. Gaps of other kinds have no place on an axis; they stand in words.
func (p *plot) gaps(gaps []whosaw.Gap, ax axis) {
	for _, g := range gaps {
		if g.Kind != whosaw.GapSilent && g.Kind != whosaw.GapPurged || g.From == nil || g.To == nil {
			continue
		}
		from, to := int64(*g.From), int64(*g.To)
		if to <= ax.from || from >= ax.to || len(p.Gaps) >= maxGaps {
			continue
		}
		x, x2 := ax.x(from), ax.x(to)
		gap := plotGap{X: pc(x), W: pc(max(0.4, x2-x)), Middle: pc((x + x2) / 2), Anchor: "middle"}
		switch m := (x + x2) / 2; {
		case m < 8:
			gap.Anchor = "start"
		case m > 92:
			gap.Anchor = "end"
		}
		if len(p.Gaps) == 0 || len(gaps) <= 3 {
			gap.Label = map[whosaw.GapKind]string{whosaw.GapSilent: "gap, ", whosaw.GapPurged: "purged, "}[g.Kind] + length(time.Duration(to-from)*time.Millisecond)
		}
		p.Gaps = append(p.Gaps, gap)
	}
}

// marks puts an upright where each finding could be raised. The first is named.
func (p *plot) marks(found []whosaw.Finding, ax axis) {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b whosaw.Finding) int {
		switch {
		case a.Seen < b.Seen:
			return -1
		case a.Seen > b.Seen:
			return 1
		}
		return 0
	})
	for i, f := range found[:min(len(found), maxFindings)] {
		x := ax.x(int64(f.Seen))
		m := plotMark{X: pc(x), Anchor: "start", DX: 6, Says: word(f.Detector) + ", " + clock(f.Seen, ax.zone)}
		if x > 50 {
			m.Anchor, m.DX = "end", -6
		}
		if i == 0 {
			m.Label = "first finding " + at(f.Seen, ax.zone).Format("Mon 15:04:05")
			if m.After = cut(word(f.Detector), 20); !onRecord(&f) {
				m.After += ", after " + figure.Of(f.Subjects, "customer", "customers")
			}
		}
		p.Marks = append(p.Marks, m)
	}
}
