package regime

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Mark says that a moment came: who says so, and why. Several marks of one moment are a disagreement, and stay.
type Mark struct {
	Moment Moment    `json:"moment"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Why    string    `json:"why"`
}

// Done says that a duty was fulfilled: the first report, or the one that followed a later finding.
type Done struct {
	Law, Duty string
	At        time.Time
}

// State is how a clock stands.
type State string

// States of a clock.
const (
	Waiting  State = "waiting"  // the moment that starts it has not come
	Running  State = "running"  // not done; the term, if there is one, is not over
	Overdue  State = "overdue"  // not done, and the term is over
	Met      State = "met"      // done in time
	Late     State = "late"     // done after the term
	NotDue   State = "not_due"  // the law does not ask it here
	NotInUse State = "no_force" // passed, but not in force, or the day is not known
)

// Clock is one duty of one incident. Times are UTC.
type Clock struct {
	Law     string `json:"law"`
	Version string `json:"version"`
	Duty    string `json:"duty"`
	To      string `json:"to"`
	Name    string `json:"name"`
	Whom    string `json:"whom"`
	State   State  `json:"state"`
	// The facts that are still open say whether it is due at all: it runs meanwhile.
	Unsure  bool      `json:"unsure,omitempty"`
	Missing []string  `json:"missing,omitempty"`
	Why     string    `json:"why"`
	Moment  Moment    `json:"moment"`
	Since   time.Time `json:"since,omitzero"`
	// The last instant that is in time; zero where the law gives no number, and Words count.
	Due   time.Time `json:"due,omitzero"`
	Words string    `json:"words,omitempty"`
	Done  time.Time `json:"done,omitzero"`
	// What it would be by other people's marks of the moment.
	Others []Other `json:"others,omitempty"`
	// For a clock of something found later: the mark.
	Later   *Mark    `json:"later,omitempty"`
	Content []string `json:"content"`
	Source  string   `json:"source"`
	Noted   string   `json:"noted"`
	Open    []string `json:"open"`
	Note    string   `json:"note,omitempty"`
	// A posted notice stands at least until here.
	Stands time.Time `json:"stands,omitzero"`
}

// Other is the due time by somebody else's mark.
type Other struct {
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	Due   time.Time `json:"due,omitzero"`
}

// Counsel is behind every clock.
const Counsel = "A starting point, no advice: check with counsel."

// Incident is what clocks are made from.
type Incident struct {
	Marks []Mark
	Done  []Done
	Facts Facts
	// Jurisdictions whose laws are looked at; none: all.
	Jurisdictions []string
}

// Evaluate gives the clocks at now, in the order of [Urgency]. Names and texts are in lang, else in English.
func Evaluate(laws []*Law, in *Incident, now time.Time, lang string) []Clock {
	marks := slices.DeleteFunc(slices.Clone(in.Marks), func(m Mark) bool { return m.At.After(now) })
	slices.SortStableFunc(marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	var clocks []Clock
	for first := 0; first < len(laws); {
		end := first + 1
		for end < len(laws) && laws[end].ID == laws[first].ID {
			end++
		}
		versions := laws[first:end]
		first = end
		if len(in.Jurisdictions) > 0 && !slices.Contains(in.Jurisdictions, versions[0].Jurisdiction) {
			continue
		}
		for _, duty := range duties(versions) {
			if l, d, started := ruling(versions, duty, marks, now); l != nil {
				clocks = l.clocks(clocks, d, in, started, now, lang)
			}
		}
	}
	slices.SortStableFunc(clocks, func(a, b Clock) int { return Urgency(&a, &b) })
	return clocks
}

// Urgency orders clocks: those that are overdue first, then by what is due next, then those without a number, then the rest.
func Urgency(a, b *Clock) int {
	if c := cmp.Compare(urgency(a), urgency(b)); c != 0 {
		return c
	}
	return a.Due.Compare(b.Due)
}

func urgency(c *Clock) int {
	switch {
	case c.State == Overdue:
		return 0
	case c.State == Running && !c.Due.IsZero():
		return 1
	case c.State == Running:
		return 2
	case c.State == Waiting:
		return 3
	case c.State == Late:
		return 4
	case c.State == Met:
		return 5
	}
	return 6
}

// duties gives the names of all duties of a law's versions.
func duties(versions []*Law) []string {
	var names []string
	for _, l := range versions {
		for i := range l.Duties {
			if !slices.Contains(names, l.Duties[i].ID) {
				names = append(names, l.Duties[i].ID)
			}
		}
	}
	return names
}

// ruling finds the version whose clock runs: the one in force at the mark that starts it, else the one in force now, whose clock starts no
// earlier than it came into force. The marks that start it come with it, the first one first. Nil: none is in force.
func ruling(versions []*Law, duty string, marks []Mark, now time.Time) (*Law, *Duty, []Mark) {
	var law *Law
	var is *Duty
	var since []Mark
	for _, l := range versions {
		i := slices.IndexFunc(l.Duties, func(d Duty) bool { return d.ID == duty })
		if i < 0 {
			continue
		}
		d := &l.Duties[i]
		started := started(d, marks)
		if len(started) > 0 && l.inForce(started[0].At) {
			return l, d, started
		}
		if l.FromUnknown && law == nil || l.inForce(now) {
			law, is, since = l, d, started
		}
	}
	if law != nil && len(since) > 0 && since[0].At.Before(law.from) {
		since = slices.Clone(since)
		since[0].At = law.from
	}
	return law, is, since
}

func (l *Law) inForce(t time.Time) bool {
	return !l.FromUnknown && !t.Before(l.from) && (l.until.IsZero() || t.Before(l.until))
}

// clocks appends the clock of a duty and, for a duty with Later, one for each thing found after the first report.
func (l *Law) clocks(clocks []Clock, d *Duty, in *Incident, marks []Mark, now time.Time, lang string) []Clock {
	c := Clock{
		Law: l.ID, Version: l.Version, Duty: d.ID, To: d.To, Name: l.Name.In(lang), Whom: d.Whom.In(lang), Words: d.Words.In(lang),
		Content: d.Content, Source: l.Source, Noted: l.Noted, Open: l.Open, Note: d.Note.In(lang), Moment: d.Start[0],
	}
	if l.FromUnknown {
		c.State, c.Why = NotInUse, "passed, but the day it comes into force is still to be found out"
		return append(clocks, c)
	}
	if len(marks) > 0 {
		c.Moment, c.Since = marks[0].Moment, marks[0].At.UTC()
	}
	due := l.applies(d, &in.Facts)
	c.Why, c.Missing, c.Unsure = due.Why, due.Missing, due.Answer == Unknown
	switch {
	case due.Answer == No:
		c.State, c.Missing = NotDue, nil
		return append(clocks, c)
	case len(marks) == 0:
		c.State = Waiting
		return append(clocks, c)
	}
	c.Due = l.due(d, c.Since, &in.Facts)
	for _, m := range marks[1:] {
		if m.Moment == c.Moment && m.At.After(c.Since) {
			c.Others = append(c.Others, Other{By: m.By, Since: m.At.UTC(), Due: l.due(d, m.At, &in.Facts)})
		}
	}
	done := fulfilled(l.ID, d.ID, in.Done)
	if len(done) > 0 {
		c.Done = done[0].UTC()
		if d.Stands > 0 {
			c.Stands = c.Done.In(l.zone).AddDate(0, 0, d.Stands).UTC()
		}
	}
	c.settle(now)
	clocks = append(clocks, c)
	if d.Later == nil || len(done) == 0 {
		return clocks // what was found before the first report goes into it
	}
	return l.later(clocks, c, d, in.Marks, done, now, lang)
}

func (l *Law) later(clocks []Clock, first Clock, d *Duty, marks []Mark, done []time.Time, now time.Time, lang string) []Clock {
	for _, m := range marks {
		if m.Moment != Found || !m.At.After(first.Done) || m.At.After(now) {
			continue
		}
		c := first
		c.Others, c.Done, c.Due, c.Later = nil, time.Time{}, time.Time{}, &m
		c.Moment, c.Since, c.Words = Found, m.At.UTC(), d.Later.Words.In(lang)
		if d.Later.Hours > 0 {
			c.Due = c.Since.Add(time.Duration(d.Later.Hours) * time.Hour)
		}
		if i := slices.IndexFunc(done, func(t time.Time) bool { return !t.Before(m.At) }); i >= 0 {
			c.Done = done[i].UTC()
		}
		c.settle(now)
		clocks = append(clocks, c)
	}
	return clocks
}

func (c *Clock) settle(now time.Time) {
	switch {
	case !c.Done.IsZero() && (c.Due.IsZero() || !c.Done.After(c.Due)):
		c.State = Met
	case !c.Done.IsZero():
		c.State = Late
	case !c.Due.IsZero() && now.After(c.Due):
		c.State = Overdue
	default:
		c.State = Running
	}
}

// started gives the marks that start a duty, in the order of marks.
func started(d *Duty, marks []Mark) []Mark {
	var out []Mark
	for _, m := range marks {
		if slices.Contains(d.Start, m.Moment) {
			out = append(out, m)
		}
	}
	return out
}

func fulfilled(law, duty string, done []Done) []time.Time {
	var out []time.Time
	for _, d := range done {
		if d.Law == law && d.Duty == duty {
			out = append(out, d.At)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// applies joins what makes a law hold, a duty due, and what excepts from it. An exception must be known to except.
func (l *Law) applies(d *Duty, f *Facts) verdict {
	holds, when, unless := verdict{Answer: Yes}, verdict{Answer: Yes}, verdict{Answer: No}
	if len(l.Holds) > 0 {
		holds = l.Holds.of(f)
	}
	if len(d.When) > 0 {
		when = d.When.of(f)
	}
	if len(d.Unless) > 0 {
		unless = d.Unless.of(f)
	}
	switch {
	case holds.Answer == No:
		return verdict{Answer: No, Why: holds.Why}
	case when.Answer == No:
		return verdict{Answer: No, Why: when.Why}
	case unless.Answer == Yes:
		return verdict{Answer: No, Why: "excepted: " + unless.Why}
	}
	out := verdict{Answer: Yes, Missing: slices.Concat(holds.Missing, when.Missing)}
	if len(out.Missing) > 0 {
		out.Answer = Unknown
	}
	var whys []string
	for _, why := range []string{holds.Why, when.Why} {
		if why != "" {
			whys = append(whys, why)
		}
	}
	if unless.Answer == Unknown {
		whys = append(whys, "an exception is not claimed: "+unless.Why)
	}
	if out.Why = strings.Join(whys, "; "); out.Why == "" {
		out.Why = "asked of every breach"
	}
	return out
}

// due gives the last instant in time. Hours are hours; days end with the day in the law's zone; the day of
// the moment counts only where the law says so.
func (l *Law) due(d *Duty, since time.Time, f *Facts) time.Time {
	days := d.Days
	if d.Longer != nil && d.Longer.When.of(f).Answer == Yes {
		days = d.Longer.Days
	}
	switch {
	case d.Hours > 0:
		return since.Add(time.Duration(d.Hours) * time.Hour).UTC()
	case days > 0:
		if d.FirstDayCounts {
			days--
		}
		return l.dayEnd(d, since.In(l.zone).AddDate(0, 0, days))
	case d.BusinessDays > 0:
		t := since.In(l.zone)
		for n := d.BusinessDays; n > 0; {
			if t = t.AddDate(0, 0, 1); businessDay(l.Jurisdiction, t) {
				n--
			}
		}
		return l.dayEnd(d, t)
	}
	return time.Time{}
}

func (l *Law) dayEnd(d *Duty, t time.Time) time.Time {
	y, m, dd := t.Date()
	if d.At != "" {
		at, err := time.Parse("15:04", d.At)
		if err != nil {
			panic("BUG: a law was used that was not checked")
		}
		return time.Date(y, m, dd, at.Hour(), at.Minute(), 0, 0, l.zone).UTC()
	}
	return time.Date(y, m, dd+1, 0, 0, 0, 0, l.zone).Add(-time.Millisecond).UTC()
}
