package demo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/figure"
)

// plot is how many customers were lost by when. The curve is drawn in a box of 1000 by 100 that the page stretches; labels stand beside it.
type plot struct {
	Kind    string
	Line    string   // of the curve
	Area    string   // below it
	End     string   // its last point
	Grid    []string // heights of grid lines, from the top
	Heights []string // what they stand for
	Times   []string
	Alt     string
}

const (
	plotWidth  = 1000.0
	plotHeight = 100.0
)

func newPlot(v *view, t *taken, kind string, span time.Duration, most int64) *plot {
	step := niceStep(most)
	top := float64(step) * 3
	for top < float64(most) {
		top += float64(step)
	}
	p := &plot{Kind: kind, Alt: v.N("plot.alt", t.lost, v.T("unit.s", strconv.FormatFloat(t.at.Seconds(), 'f', 0, 64)))}
	x := func(at time.Duration) float64 {
		return min(plotWidth, plotWidth*at.Seconds()/span.Seconds())
	}
	y := func(n int64) float64 { return plotHeight - plotHeight*float64(n)/top }
	var line strings.Builder
	fmt.Fprintf(&line, "M0 %.1f", y(0))
	endX, endY, drawn := 0.0, y(0), -10.0
	for i, pt := range t.points {
		endX, endY = x(pt.at), y(pt.n)
		if endX-drawn < 4 && i+1 < len(t.points) {
			continue // less than a pixel or two
		}
		drawn = endX
		fmt.Fprintf(&line, "L%.1f %.1f", endX, endY)
	}
	p.Line = line.String()
	p.Area = fmt.Sprintf("%sL%.1f %.0fL0 %.0fZ", p.Line, endX, plotHeight, plotHeight)
	p.End = fmt.Sprintf("M%.1f %.1fh0", endX, endY)
	for n := int64(top) / step; n > 0; n-- {
		p.Grid = append(p.Grid, fmt.Sprintf("M0 %.1fH%.0f", y(n*step), plotWidth))
		p.Heights = append(p.Heights, figure.Int(n*step))
	}
	p.Heights = append(p.Heights, "0")
	for i := range 5 {
		p.Times = append(p.Times, v.T("unit.s", strconv.FormatFloat(math.Round(span.Seconds()*float64(i)*2.5)/10, 'f', -1, 64)))
	}
	return p
}

// niceStep is a round step of which about three reach a height.
func niceStep(most int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, n := range []int64{1, 2, 5} {
			if n*unit*3 >= most {
				return n * unit
			}
		}
	}
}
