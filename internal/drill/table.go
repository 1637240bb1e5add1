package drill

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/figure"
)

// WriteTable writes the tables of docs/BENCHMARKS.md, in Markdown: a row an attacker, then what each detector made of it,
// the honest part and the awkward events.
func WriteTable(w io.Writer, all []Summary) error {
	var b strings.Builder
	b.WriteString("| scenario | its share of accesses | customers shown in all | noticed | customers lost, median (worst) | of them after its first answer | behind a door with its budget | after, median (worst) | first | accesses missed | honest caught |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	var detectors []string
	for i := range all {
		s := &all[i]
		for k := range s.Attackers {
			a := &s.Attackers[k]
			r := &a.All
			cells := []string{a.title(s), share(a.Accesses.Median, s.Accesses.Median), figure.Int(a.Customers.Median)}
			if r.Noticed == 0 {
				cells = append(cells, "never", "all", "", a.door(), "", "", "", "")
			} else {
				cells = append(cells, fmt.Sprintf("%d of %d", r.Noticed, r.Of), r.lost(), pair(r.LaterMedian, r.LaterWorst, figure.Int), a.door(), pair(r.AfterMedian, r.AfterWorst, length),
					firstWords(r.First), figure.Int(r.Missed.Median), figure.Int(r.Caught.Median))
			}
			row(&b, cells)
			for _, d := range a.Rows {
				if !slices.Contains(detectors, d.Detector) {
					detectors = append(detectors, d.Detector)
				}
			}
		}
	}
	b.WriteString("\nCustomers lost by each detector alone, median (worst):\n\n")
	head := []string{"scenario"}
	for _, d := range detectors {
		head = append(head, words(d))
	}
	row(&b, head)
	b.WriteString("|" + strings.Repeat(" --- |", len(head)) + "\n")
	for i := range all {
		s := &all[i]
		for k := range s.Attackers {
			a := &s.Attackers[k]
			cells := []string{a.title(s)}
			for _, d := range detectors {
				at := slices.IndexFunc(a.Rows, func(r Row) bool { return r.Detector == d })
				if at < 0 || a.Rows[at].Noticed == 0 {
					cells = append(cells, "never")
				} else {
					cells = append(cells, a.Rows[at].lost())
				}
			}
			row(&b, cells)
		}
	}
	b.WriteString("\nThe honest part:\n\n")
	row(&b, []string{"scenario", "honest accesses", "false alarms", "at most, with 95 %", "in a million"})
	b.WriteString("| --- | --- | --- | --- | --- |\n")
	var outcomes []*Outcome
	for i := range all {
		s := &all[i]
		row(&b, []string{s.title(), figure.Int(s.Honest.Accesses), figure.Int(s.Honest.Alarms), limit(s.Honest.Upper), limit(s.Honest.PerMillion)})
		outcomes = append(outcomes, s.Runs...)
	}
	for i := range all {
		if s := &all[i]; len(s.Attackers) == 0 {
			b.WriteString("\nHow often its tests rose to lower thresholds, and how often honest ones may at most:\n\n")
			row(&b, levelHead())
			b.WriteString("|" + strings.Repeat(" --- |", len(levelHead())) + "\n")
			for _, cells := range levelRows(s.Levels) {
				row(&b, cells)
			}
		}
	}
	b.WriteString("\nAwkward things in the honest part, over all runs:\n\n")
	row(&b, []string{"event", "accesses", "answers to a test", "highest S/h", "by"})
	b.WriteString("| --- | --- | --- | --- | --- |\n")
	for _, cells := range eventRows(mergeEvents(outcomes)) {
		row(&b, cells)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func row(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// title names the attacker where the scenario has several.
func (a *AttackerSummary) title(s *Summary) string {
	if len(s.Attackers) > 1 {
		return s.title() + ": " + a.Name
	}
	return s.title()
}

// title names a scenario whose share is not the shop's own.
func (s *Summary) title() string {
	if s.Share != 0 {
		return s.Scenario + ", " + share(int64(s.Share), 1_000_000)
	}
	return s.Scenario
}

// door says what is lost behind a door that holds the answer which exceeds a budget.
func (a *AttackerSummary) door() string {
	return figure.Int(a.Door.Median) + " (" + figure.Int(a.Door.Worst) + ")"
}

func (r *Row) lost() string { return pair(r.LostMedian, r.LostWorst, figure.Int) }

func pair(median, worst *int64, write func(int64) string) string {
	return orNever(median, write) + " (" + orNever(worst, write) + ")"
}

func firstWords(first map[string]int) string {
	return strings.TrimPrefix(firsts(first), "the detector ")
}
