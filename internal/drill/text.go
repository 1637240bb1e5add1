package drill

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/sim"
)

// WriteText says what one scenario's runs showed.
func (s *Summary) WriteText(w io.Writer, o report.TextOptions) error {
	m := report.NewMessage(w, o)
	m.Para(s.opening())
	m.Blank()
	for i := range s.Attackers {
		a := &s.Attackers[i]
		if len(s.Attackers) > 1 {
			m.Head("Attacker " + a.Name)
		}
		m.Verdict(a.verdict(), a.All.LostMedian == nil)
		m.Para(fmt.Sprintf("Left alone it was shown the data of %s, in %s.", figure.Of(a.Customers.Median, "customer", "customers"),
			figure.Of(a.Accesses.Median, "access", "accesses")))
		m.Para(a.laterSays())
		m.Para(fmt.Sprintf("Behind a door that sees answers and holds the first that exceeds a budget: %s (worst run: %s).",
			figure.Of(a.Door.Median, "customer", "customers"), figure.Int(a.Door.Worst)))
		m.Blank()
		head := []string{"detector", "noticed", "customers lost", "worst", "after", "worst", "missed", "honest caught"}
		var rows [][]string
		for _, r := range append(slices.Clone(a.Rows), a.All) {
			rows = append(rows, r.cells())
		}
		m.Table(head, rows)
		m.Blank()
	}
	if len(s.Attackers) > 0 {
		m.Para("Customers lost: real ones shown to the attacker by the event time at which the first finding could be raised; the middle run, and " +
			"the worst. Missed and honest caught: accesses over the whole run that the filters of the findings should match and do not, and the other way round.")
		m.Blank()
	}
	m.Para(s.Honest.says(len(s.Seeds)))
	s.alarms(m)
	m.Blank()
	if len(s.Attackers) == 0 && len(s.Levels) > 0 {
		m.Head("How often its tests rose to lower thresholds, and how often they may at most")
		m.Table(levelHead(), levelRows(s.Levels))
		m.Blank()
	}
	if len(s.Events) > 0 {
		m.Head("Awkward things in its honest life, and how near they came to an alarm")
		m.Table([]string{"event", "accesses", "answers", "highest S/h", "by"}, eventRows(s.Events))
		m.Blank()
	}
	return m.End()
}

func (s *Summary) opening() string {
	seeds := "seed " + strconv.FormatUint(s.Seeds[0], 10)
	if n := len(s.Seeds); n > 1 {
		seeds = fmt.Sprintf("seeds %d to %d", s.Seeds[0], s.Seeds[n-1])
	}
	text := fmt.Sprintf("Drill %s: a made-up shop of %s, %s after a warm-up of %s, %s; %s a run", s.Scenario, figure.Of(int64(s.Customers), "customer", "customers"),
		figure.Of(int64(s.Days), "day", "days"), figure.Int(int64(sim.WarmUpDays())), seeds, figure.Of(s.Accesses.Median, "access", "accesses"))
	if len(s.Without) > 0 {
		text += ", without its records of " + strings.Join(s.Without, ", ")
	}
	if attack := s.attack(); attack > 0 {
		return text + ", " + share(attack, s.Accesses.Median) + " of them the attack's."
	}
	return text + ". Nobody steals."
}

// attack is the middle run's number of accesses that are an attack's.
func (s *Summary) attack() int64 {
	var n int64
	for i := range s.Attackers {
		n += s.Attackers[i].Accesses.Median
	}
	return n
}

// verdict is the sentence.
func (a *AttackerSummary) verdict() string {
	r := &a.All
	if r.Noticed == 0 {
		return "You would never have noticed."
	}
	text := ""
	if r.LostMedian == nil {
		text = fmt.Sprintf("You would have noticed in %d of %d runs only: the middle run never did", r.Noticed, r.Of)
	} else {
		text = fmt.Sprintf("You would have noticed after %s, on day %d", figure.Of(*r.LostMedian, "customer", "customers"), dayOf(*r.AfterMedian))
		switch {
		case r.LostWorst == nil:
			text += fmt.Sprintf(", but in %d of %d runs never", r.Of-r.Noticed, r.Of)
		case r.Of > 1:
			text += fmt.Sprintf(" (worst run: %s, day %d)", figure.Int(*r.LostWorst), dayOf(*r.AfterWorst))
		}
	}
	return text + ", first by " + firsts(r.First) + "."
}

// laterSays tells what detection could have spared from what the first answer showed.
func (a *AttackerSummary) laterSays() string {
	r := &a.All
	if r.LaterMedian == nil || r.LaterWorst == nil {
		return ""
	}
	return fmt.Sprintf("After the first answer that showed anybody, before which nothing tells it from work: %s more (worst run: %s).",
		figure.Of(*r.LaterMedian, "customer", "customers"), figure.Int(*r.LaterWorst))
}

// dayOf numbers the days since the attack began.
func dayOf(ms int64) int64 { return ms/(24*time.Hour.Milliseconds()) + 1 }

// firsts names who noticed first, the most frequent first.
func firsts(first map[string]int) string {
	var names []string
	total := 0
	for name, n := range first {
		names = append(names, name)
		total += n
	}
	slices.SortFunc(names, func(a, b string) int {
		if first[a] != first[b] {
			return first[b] - first[a]
		}
		return strings.Compare(a, b)
	})
	if len(names) == 1 {
		return "the detector " + words(names[0])
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d of %d)", words(name), first[name], total)
	}
	return strings.Join(names, ", ")
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

func (r *Row) cells() []string {
	name := words(r.Detector)
	if name == "" {
		name = "over all"
	}
	if r.Noticed == 0 {
		return []string{name, "never", "", "", "", "", "", ""}
	}
	return []string{
		name, fmt.Sprintf("%d of %d", r.Noticed, r.Of), orNever(r.LostMedian, figure.Int), orNever(r.LostWorst, figure.Int),
		orNever(r.AfterMedian, length), orNever(r.AfterWorst, length), figure.Int(r.Missed.Median), figure.Int(r.Caught.Median),
	}
}

func orNever(n *int64, write func(int64) string) string {
	if n == nil {
		return "never"
	}
	return write(*n)
}

// length writes how long something lasted, in milliseconds.
func length(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// share writes n of a whole in per cent, with two figures that say something.
func share(n, of int64) string {
	if of == 0 {
		return "none"
	}
	p := 100 * float64(n) / float64(of)
	if p >= 10 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return limit(p) + " %"
}

func (h *Honest) says(runs int) string {
	over := "in " + figure.Of(h.Accesses, "honest access", "honest accesses")
	if runs > 1 {
		over += fmt.Sprintf(" of %d runs", runs)
	}
	return fmt.Sprintf("%s on the honest part, %s. With 95 %% confidence the mean is at most %s in so many, %s in a million.",
		capital(noOr(h.Alarms, "alarm", "alarms")), over, limit(h.Upper), limit(h.PerMillion))
}

func noOr(n int64, one, many string) string {
	if n == 0 {
		return "no " + one
	}
	return figure.Of(n, one, many)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// limit writes a figure that is no count with two digits that say something.
func limit(f float64) string {
	if f >= 10 {
		return figure.Int(int64(math.Ceil(f)))
	}
	return strconv.FormatFloat(f, 'g', 2, 64)
}

// alarms lists the false alarms, the first few.
func (s *Summary) alarms(m *report.Message) {
	const most = 8
	n, bare := 0, int64(0)
	for _, o := range s.Runs {
		for i := range o.Findings {
			f := &o.Findings[i]
			if len(f.Filter) == 0 {
				bare++
			}
			if !f.False() {
				continue
			}
			if n++; n <= most {
				m.Item(fmt.Sprintf("seed %d: %s on %s, which then matched %s, %s of them an attack's: %s", o.Seed, words(f.Detector), f.Unit,
					figure.Of(f.Matches, "access", "accesses"), figure.Int(f.Attack), f.Says))
			}
		}
	}
	if n > most {
		m.Item("and " + figure.Int(int64(n-most)) + " more in the answer of --json")
	}
	if bare > 0 {
		m.Item(figure.Of(bare, "finding accuses", "findings accuse") + " no access: what records say of keys and people is no alarm on traffic")
	}
}

func eventRows(events []Event) [][]string {
	var rows [][]string
	for _, e := range events {
		highest := "none rose"
		switch {
		case e.Answers == 0:
			highest = "no test looked"
		case e.Highest > 0:
			highest = fmt.Sprintf("%.2f", e.Highest)
		}
		rows = append(rows, []string{words(e.Name), figure.Int(e.Accesses), figure.Int(e.Answers), highest, words(e.Detector)})
	}
	return rows
}

func levelHead() []string {
	head := []string{"detector", "trials"}
	for _, h := range detect.Levels {
		head = append(head, fmt.Sprintf("h = %g", h))
	}
	return append(head, "highest S/h")
}

func levelRows(levels []Level) [][]string {
	var rows [][]string
	for i := range levels {
		l := &levels[i]
		cells := []string{words(l.Detector), figure.Int(l.Trials)}
		for k, n := range l.Reached {
			cells = append(cells, figure.Int(n)+" of "+limit(l.Bound(k)))
		}
		rows = append(rows, append(cells, fmt.Sprintf("%.2f", l.Highest)))
	}
	return rows
}
