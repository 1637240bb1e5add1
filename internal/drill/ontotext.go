package drill

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/report"
)

// conclude draws the sentence and the blind spots from the trials and the doctor's account.
func (a *OntoAnswer) conclude() {
	blind := map[string]bool{}
	for _, d := range a.Judge.Detectors {
		if d.Judges == "no" {
			blind[d.Detector] = true
		}
	}
	for _, advice := range a.Judge.Add {
		var detectors []string
		for _, d := range advice.Opens {
			if blind[d] {
				detectors = append(detectors, d)
			}
		}
		if len(detectors) == 0 {
			continue
		}
		// credential and key open the same detector: one alone is half the way.
		i := slices.IndexFunc(a.Blind, func(b Blind) bool {
			return slices.ContainsFunc(b.Detectors, func(d string) bool { return slices.Contains(detectors, d) })
		})
		if i < 0 {
			a.Blind = append(a.Blind, Blind{[]string{advice.Member}, detectors})
			continue
		}
		b := &a.Blind[i]
		b.Members = append(b.Members, advice.Member)
		for _, d := range detectors {
			if !slices.Contains(b.Detectors, d) {
				b.Detectors = append(b.Detectors, d)
			}
		}
	}
	for _, b := range a.Blind {
		slices.Sort(b.Members)
	}
	for _, d := range a.Judge.Detectors {
		switch {
		case !blind[d.Detector] || a.measured(d.Detector):
		case d.Detector == "canary" && a.planted:
			a.Needs = append(a.Needs, fmt.Sprintf("canary: one customer in 100 was planted, and the %s that the attack opened were not among them. More planted customers are met sooner.",
				figure.Int(a.AsIs.Customers)))
		case d.Detector == "key_state" && a.keyed:
			a.Needs = append(a.Needs, "key state: besides the key's name it needs key and person records: which keys are retired, and who could read them and has left.")
		default:
			a.Needs = append(a.Needs, words(d.Detector)+": "+d.Says+".")
		}
	}
	a.Says = a.sentence()
}

// measured reports whether the detector noticed in any trial.
func (a *OntoAnswer) measured(detector string) bool {
	for _, t := range append([]Trial{a.AsIs}, a.With...) {
		if slices.ContainsFunc(t.Scores, func(s Score) bool { return s.Detector == detector && s.Noticed }) {
			return true
		}
	}
	return false
}

func (a *OntoAnswer) sentence() string {
	t := &a.AsIs
	text := fmt.Sprintf("You would not have noticed: the attack would have been shown all its %s", figure.Of(t.Customers, "customer", "customers"))
	if t.All.Noticed {
		text = fmt.Sprintf("You would have noticed after %s, on day %d, by the detector %s", figure.Of(t.All.Lost, "customer", "customers"), t.Day, words(t.All.First))
	}
	for i, b := range a.Blind {
		if i == 0 {
			text += "; without the log " + noun(len(b.Members), "member ", "members ") + quoted(b.Members) + " you are blind to " + list(b.Detectors)
		} else {
			text += ", without " + quoted(b.Members) + " to " + list(b.Detectors)
		}
	}
	return text + "."
}

func noun(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "`" + n + "`"
	}
	return join(out)
}

func list(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = words(n)
	}
	return join(out)
}

// join gives "a", "a and b", "a, b and c".
func join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// WriteText says it to a person. logs are the inputs as they were named.
func (a *OntoAnswer) WriteText(w io.Writer, logs []string, o report.TextOptions) error {
	m := report.NewMessage(w, o)
	t := &a.AsIs
	m.Para(fmt.Sprintf("Drill %s on your own records: %s of an attack woven into %s of yours, %s; ids, pages, agents and addresses are drawn from them. "+
		"Nothing was sent anywhere, and nothing is kept.", a.Scenario, figure.Of(t.Accesses, "access", "accesses"), figure.Int(a.Accesses), share(t.Accesses, a.Accesses+t.Accesses)))
	if a.Stretched {
		m.Para(fmt.Sprintf("At the share of the case, 0.03 %%, the attack would make %s accesses a day here, too few for a log of this length: so more were woven in, and "+
			"days are counted at the pace of the case.", limit(a.PerDay)))
	}
	if n := int64(len(a.Already)); n > 0 {
		m.Para(fmt.Sprintf("These records hold %s before anything is woven in: whosaw investigate says what. What they accuse, %s, was left out here.",
			figure.Of(n, "finding", "findings"), figure.Of(a.LeftOut, "access", "accesses")))
	}
	m.Blank()
	m.Verdict(a.Says, !t.All.Noticed)
	m.Blank()
	rows := [][]string{t.cells("the log as it is")}
	for i := range a.With {
		rows = append(rows, a.With[i].cells("with "+a.With[i].With))
	}
	if len(rows) > 1 {
		m.Head("What each missing thing would have bought, measured in the same records with it made up")
	} else {
		m.Head("Nothing is missing that could be made up")
	}
	m.Table([]string{"", "customers lost", "accesses", "day", "first by", "other alarms"}, rows)
	m.Blank()
	for i := range rows {
		if trial := a.trial(i); trial.All.Noticed && len(noticers(trial)) > 1 {
			m.Item(rows[i][0] + ", each alone: " + strings.Join(noticers(trial), ", "))
		}
	}
	if slices.ContainsFunc(append([]Trial{*t}, a.With...), func(t Trial) bool { return t.Alarms > 0 }) {
		m.Item("other alarms: findings on your own records, with that made up. They are false, or something is there that the log as it is does not show.")
	}
	if len(a.Needs) > 0 {
		m.Blank()
		m.Head("What stays blind")
		for _, need := range a.Needs {
			m.Blind(need)
		}
	}
	if len(a.Notes) > 0 {
		m.Blank()
		m.Head("Taken for true")
		for _, note := range a.Notes {
			m.Item(note)
		}
	}
	m.Blank()
	a.next(m, logs)
	return m.End()
}

func (a *OntoAnswer) trial(i int) *Trial {
	if i == 0 {
		return &a.AsIs
	}
	return &a.With[i-1]
}

// noticers lists what each detector alone would have lost.
func noticers(t *Trial) []string {
	var out []string
	for _, s := range t.Scores {
		if s.Noticed {
			out = append(out, words(s.Detector)+" after "+figure.Int(s.Lost))
		}
	}
	return out
}

func (t *Trial) cells(name string) []string {
	if !t.All.Noticed {
		return []string{name, "all " + figure.Int(t.Customers), figure.Int(t.Accesses), "never", "", figure.Int(t.Alarms)}
	}
	return []string{name, figure.Int(t.All.Lost), figure.Int(t.Before), figure.Int(t.Day), words(t.All.First), figure.Int(t.Alarms)}
}

func (a *OntoAnswer) next(m *report.Message, logs []string) {
	m.Head("Next")
	named := "LOG…"
	if len(logs) > 0 {
		named = strings.Join(logs, " ")
	}
	if len(a.Already) > 0 {
		m.Command("What is in these records already", "whosaw investigate "+named)
	}
	m.Command("What these logs can and cannot answer", "whosaw doctor "+named)
	if slices.ContainsFunc(a.Judge.Add, func(m whosaw.MemberAdvice) bool { return m.Setup != "" }) {
		m.Command("The log lines to add (also: envoy, spring, express)", "whosaw setup nginx")
	}
}
