package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// gapWords words a gap. Its own sentence is enough if it has one; when it was, nobody else says.
func gapWords(g *whosaw.Gap, zone *time.Location) string {
	timed := g.From != nil && g.To != nil
	says := strings.TrimRight(cut(g.Says, 400), ". ")
	if says == "" {
		says = word(string(g.Kind))
		if g.Count > 0 {
			says += ": " + figure.Int(g.Count)
		}
		if g.Source != "" {
			says += ", " + value(g.Source)
		}
		if timed {
			says += ", " + between(*g.From, *g.To, zone)
		}
		return capital(says)
	}
	if timed && (g.Kind == whosaw.GapSilent || g.Kind == whosaw.GapPurged) {
		return capital(strings.Replace(between(*g.From, *g.To, zone), " – ", " to ", 1)) + ": " + says
	}
	return capital(says)
}

// gapLines words gaps: many silences become one line, the same words are said once, and what goes beyond maxGaps is counted.
func gapLines(gaps []whosaw.Gap, zone *time.Location) []string {
	var silent []*whosaw.Gap
	for i := range gaps {
		if g := &gaps[i]; g.Kind == whosaw.GapSilent && g.From != nil && g.To != nil {
			silent = append(silent, g)
		}
	}
	var lines []string
	if len(silent) > 3 {
		lines = append(lines, silences(silent, zone))
	}
	times := make(map[string]int)
	for i := range gaps {
		g := &gaps[i]
		if len(silent) > 3 && g.Kind == whosaw.GapSilent && g.From != nil && g.To != nil {
			continue
		}
		says := gapWords(g, zone)
		if times[says]++; times[says] == 1 {
			lines = append(lines, says)
		}
	}
	more := len(lines) - maxGaps
	lines = lines[:min(len(lines), maxGaps)]
	for i, says := range lines {
		if n := times[says]; n > 1 {
			lines[i] += " (" + figure.Int(int64(n)) + " times)"
		}
		lines[i] += "."
	}
	if more > 0 {
		lines = append(lines, "And "+figure.Of(int64(more), "more gap", "more gaps")+".")
	}
	return lines
}

// silences sums up the times without records.
func silences(gaps []*whosaw.Gap, zone *time.Location) string {
	sources := make(map[string]bool)
	longest := gaps[0]
	sum := time.Duration(0)
	for _, g := range gaps {
		sources[g.Source] = true
		sum += time.Duration(*g.To-*g.From) * time.Millisecond
		if *g.To-*g.From > *longest.To-*longest.From {
			longest = g
		}
	}
	of := ""
	if n := len(sources); n > 1 {
		of = " of " + figure.Int(int64(n)) + " logs"
	}
	return fmt.Sprintf("%s silent stretches%s without records, %s in all, the longest %s: what happened then is not in this answer. Look for the missing parts of the log, or find out whether the site was down",
		figure.Int(int64(len(gaps))), of, length(sum), between(*longest.From, *longest.To, zone))
}

// silentTold reports whether the gaps of a scope that is shown name the silent stretches already.
func (d *Data) silentTold() bool {
	told := func(a *whosaw.ScopeAnswer) bool {
		return slices.ContainsFunc(a.Gaps, func(g whosaw.Gap) bool { return g.Kind == whosaw.GapSilent })
	}
	for i := range d.Scopes {
		if told(&d.Scopes[i].Answer) {
			return true
		}
	}
	return len(d.Scopes) == 0 && d.All != nil && told(&d.All.Answer)
}
