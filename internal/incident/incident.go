package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/whosaw/whosaw/internal/regime"
)

// StateClosed is the state of an incident that is over.
const StateClosed = "closed"

// Incident is what the events come to. Times are UTC.
type Incident struct {
	Number   int64     `json:"number"`
	Title    string    `json:"title"`
	State    string    `json:"state"` // suspected, aware, confirmed, contained, or closed
	Opened   time.Time `json:"opened"`
	Owner    string    `json:"owner,omitempty"`
	Findings []string  `json:"findings"`
	Earlier  []int64   `json:"earlier,omitempty"`
	Marks    []Mark    `json:"marks"`
	Tasks    []Task    `json:"tasks"`
	Requests []Request `json:"requests"`
	Versions []Version `json:"versions"`
	// Statements are those that stand: the last of each content and language.
	Statements []Said                   `json:"statements"`
	Answers    map[string]regime.Answer `json:"answers"`
	Residents  map[string]int64         `json:"residents"`
	Told       []Event                  `json:"told"`
	Signed     []Event                  `json:"signed"`
	Holds      []uint64                 `json:"holds"` // in force
	Postings   []Posting                `json:"postings"`
	Lookup     *Lookup                  `json:"lookup"` // what people may look themselves up in; null: nothing
	Timeline   []Event                  `json:"timeline"`
}

// Mark is a moment that came, as somebody says.
type Mark struct {
	Event int64 `json:"event"`
	regime.Mark
	Recorded  time.Time `json:"recorded"`
	Withdrawn string    `json:"withdrawn,omitempty"` // why
}

// Task is something to be done.
type Task struct {
	Event  int64      `json:"event"`
	Title  string     `json:"title"`
	Person string     `json:"person,omitempty"`
	Due    *time.Time `json:"due,omitempty"`
	Done   *Event     `json:"done,omitempty"`
}

// Request is what an authority asked for.
type Request struct {
	Event     int64      `json:"event"`
	Authority string     `json:"authority"`
	What      string     `json:"what"`
	Came      time.Time  `json:"came"`
	Due       *time.Time `json:"due,omitempty"`
	Handed    []Event    `json:"handed"`
}

// Said is a sentence that stands.
type Said struct {
	Event int64     `json:"event"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Statement
}

// Incident gives an incident as it stands.
func (b *Book) Incident(ctx context.Context, number int64) (*Incident, error) {
	events, err := b.Events(ctx, number)
	if err != nil {
		return nil, err
	}
	return fold(number, events), nil
}

// Incidents gives all incidents, the newest first.
func (b *Book) Incidents(ctx context.Context) ([]*Incident, error) {
	by := map[int64][]Event{}
	var numbers []int64
	err := b.each(ctx, 0, func(incident int64, e *Event, _, _ []byte) error {
		if by[incident] == nil {
			numbers = append(numbers, incident)
		}
		by[incident] = append(by[incident], *e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(numbers)
	out := make([]*Incident, len(numbers))
	for i, n := range numbers {
		out[i] = fold(n, by[n])
	}
	return out, nil
}

// fold makes an incident of its events. It is pure.
func fold(number int64, events []Event) *Incident {
	in := &Incident{
		Number: number, Findings: []string{}, Marks: []Mark{}, Tasks: []Task{}, Requests: []Request{}, Versions: []Version{}, Statements: []Said{},
		Answers: map[string]regime.Answer{}, Residents: map[string]int64{}, Told: []Event{}, Signed: []Event{}, Holds: []uint64{}, Postings: []Posting{}, Timeline: events,
	}
	withdrawn := map[int64]string{}
	for i := range events {
		if e := &events[i]; e.Kind == Withdrawn {
			withdrawn[e.Of] = e.Note
		}
	}
	closed := false
	for i := range events {
		e := &events[i]
		why, gone := withdrawn[e.Number]
		if gone && e.Kind != Marked {
			continue
		}
		switch e.Kind {
		case Marked:
			by := e.Person
			if by == "" {
				by = e.Who
			}
			in.Marks = append(in.Marks, Mark{Event: e.Number, Recorded: e.At, Withdrawn: why, Mark: regime.Mark{Moment: e.Moment, At: e.When.UTC(), By: by, Why: e.Note}})
		case Closed:
			closed = true
		case Reopened:
			closed = false
		default:
			in.add(e)
		}
	}
	in.State = "suspected"
	for _, m := range []regime.Moment{regime.Aware, regime.Confirmed, regime.Contained} {
		if slices.ContainsFunc(in.Marks, func(k Mark) bool { return k.Moment == m && k.Withdrawn == "" }) {
			in.State = string(m)
		}
	}
	if closed {
		in.State = StateClosed
	}
	return in
}

func (in *Incident) add(e *Event) {
	switch e.Kind {
	case Opened:
		in.Title, in.Opened, in.Findings = e.Title, e.At, append(in.Findings, e.Findings...)
	case Joined:
		for _, f := range e.Findings {
			if !slices.Contains(in.Findings, f) {
				in.Findings = append(in.Findings, f)
			}
		}
	case Owned:
		in.Owner = e.Person
	case Tasked:
		in.Tasks = append(in.Tasks, Task{Event: e.Number, Title: e.Title, Person: e.Person, Due: e.Due})
	case Worked:
		for i := range in.Tasks {
			if in.Tasks[i].Event == e.Of && in.Tasks[i].Done == nil {
				in.Tasks[i].Done = e
			}
		}
	case Requested:
		in.Requests = append(in.Requests, Request{Event: e.Number, Authority: e.Person, What: e.Title, Came: e.When.UTC(), Due: e.Due, Handed: []Event{}})
	case Handed:
		for i := range in.Requests {
			if in.Requests[i].Event == e.Of {
				in.Requests[i].Handed = append(in.Requests[i].Handed, *e)
			}
		}
	case Answered:
		in.Answers[e.Fact] = e.Answer
	case Counted:
		in.Residents[e.Fact] = *e.Count
	case Held:
		in.Holds = append(in.Holds, e.Hold)
	case Released:
		in.Holds = slices.DeleteFunc(in.Holds, func(h uint64) bool { return h == e.Hold })
	case Scoped:
		in.Versions = append(in.Versions, *e.Scope)
	case Stated:
		in.Statements = slices.DeleteFunc(in.Statements, func(s Said) bool { return s.Content == e.Statement.Content && s.Lang == e.Statement.Lang })
		in.Statements = append(in.Statements, Said{Event: e.Number, By: e.Who, At: e.At, Statement: *e.Statement})
	case Signed:
		in.Signed = append(in.Signed, *e)
	case Told:
		in.Told = append(in.Told, *e)
	case Offered:
		in.Lookup = &Lookup{Title: e.Title, Version: e.Version, Since: e.At}
	case Ended:
		in.Lookup = nil
	case Purged:
		if e.Version <= len(in.Versions) {
			in.Versions[e.Version-1].Purged = true
		}
	case Posted, Missed, Removed:
		in.post(e)
	case Linked:
		in.Earlier = append(in.Earlier, e.Incident)
	}
}

// Version gives a scope version, 0 for the last.
func (in *Incident) Version(number int) (*Version, error) {
	if number == 0 {
		number = len(in.Versions)
	}
	if number < 1 || number > len(in.Versions) {
		if len(in.Versions) == 0 {
			return nil, fmt.Errorf("scope version of incident %d: %w: none was made yet; whosaw incident scope %d makes one", in.Number, ErrUnknown, in.Number)
		}
		return nil, fmt.Errorf("scope version %d of incident %d: %w; it has %d", number, in.Number, ErrUnknown, len(in.Versions))
	}
	return &in.Versions[number-1], nil
}

// Clocks gives the clocks of the law at now. The facts are the last scope version's, and what people answered. The list of jurisdictions
// may be empty: then every law is looked at.
func (in *Incident) Clocks(laws []*regime.Law, jurisdictions []string, now time.Time, lang string) []regime.Clock {
	ask := &regime.Incident{Jurisdictions: jurisdictions, Facts: regime.Facts{Answers: in.Answers, Residents: in.Residents}}
	for _, m := range in.Marks {
		if m.Withdrawn == "" {
			ask.Marks = append(ask.Marks, m.Mark)
		}
	}
	for _, t := range in.Told {
		ask.Done = append(ask.Done, regime.Done{Law: t.Law, Duty: t.Duty, At: t.When.UTC()})
	}
	if v, err := in.Version(0); err == nil {
		ask.Facts.People, ask.Facts.Counted, ask.Facts.AtLeast = v.Answer.Subjects+v.Answer.Others, true, len(v.Answer.Gaps) > 0
		for f := range v.Answer.Fields {
			ask.Facts.Fields = append(ask.Facts.Fields, f)
		}
	}
	return regime.Evaluate(laws, ask, now, lang)
}
