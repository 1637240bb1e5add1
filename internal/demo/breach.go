package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/shop"
)

// breach is what the privacy office did after the theft, and what the server says of it. What it points to does not change.
type breach struct {
	done     int // parts of the work
	number   int64
	itself   bool // the server opened the incident by itself
	incident *api.IncidentAnswer
	versions []counted

	draft   *drafted
	reports []report

	notice   *notice.Notice
	dry      *notice.DryRun
	samples  map[string]notice.Message // by language
	sampled  map[string]int            // by language: the sample that came, by its number in the mail room
	alone    string                    // the refusal when one person would do it alone
	sending  bool
	examples []example

	days int // how far ahead the clocks are looked at
}

// counted is a scope version beside the thief's own list.
type counted struct {
	incident.Version
	thief   int64 // on the thief's list
	missing int64 // of them not in the version
	extra   int64 // in the version, not on the list
	other   int64 // in both, with other fields than the thief was shown
}

// drafted is a report that may not go out.
type drafted struct {
	docs    map[string]incident.Document // by language
	refused string
}

// report is one to an authority.
type report struct {
	law, duty, name, whom string
	docs                  map[string]incident.Document
	signer                string
	at                    time.Time
}

// The laws whose reports are made.
const (
	networkAct = "kr-network-act-48-3"
	pipa       = "kr-pipa-34"
	gdpr       = "eu-gdpr-33-34"
)

// parts are the work of the office, in order. Each is done once.
var parts = []func(*world, context.Context) error{
	(*world).takeUp, (*world).firstVersion, (*world).secondVersion, // incident
	(*world).draftReport,                     // report
	(*world).rightReport,                     // its act
	(*world).makeNotice,                      // notices
	(*world).sendNotice, (*world).postNotice, // its act
}

// How many parts are done at the end of each step, and of what the visitor does there.
const (
	partIncident = 3
	partDraft    = 4
	partReport   = 5
	partNotice   = 6
	partSent     = 8
)

// workTime is how long the office may take for a step.
const workTime = 3 * time.Minute

// work does what is not done yet, up to a part. It is short, so who goes on meanwhile waits for it: nothing is left half done.
func (w *world) work(ctx context.Context, to int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime)
	defer cancel()
	if err := w.staff(ctx); err != nil {
		return err
	}
	for b := w.after(); b.done < to; b = w.after() {
		if err := parts[b.done](w, ctx); err != nil {
			return err
		}
		w.put(func(b *breach) { b.done++ })
		if err := w.lookAgain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// after is a copy of what the office did.
func (w *world) after() breach {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.breach
}

func (w *world) put(change func(b *breach)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.breach)
}

// lookAgain reads the incident as it stands.
func (w *world) lookAgain(ctx context.Context) error {
	in := new(api.IncidentAnswer)
	if err := w.call(ctx, officer, "GET", w.of(""), nil, in); err != nil {
		return err
	}
	w.put(func(b *breach) { b.incident = in })
	return nil
}

// of is a path of the incident.
func (w *world) of(path string) string {
	return "/v1/incidents/" + strconv.FormatInt(w.after().number, 10) + path
}

// record adds an event to the incident.
func (w *world) record(ctx context.Context, kind incident.Kind, body incident.Body) error {
	return w.call(ctx, officer, "POST", w.of("/events"), api.EventSpec{Kind: kind, Body: body}, nil)
}

func (w *world) workIncident(ctx context.Context) error { return w.work(ctx, partIncident) }

// takeUp finds the incident that the finding opened, or opens one from it, and records who knows what since when.
func (w *world) takeUp(ctx context.Context) error {
	w.mu.Lock()
	f, b := w.finding, w.breach
	w.mu.Unlock()
	if f == nil {
		var err error
		if f, err = w.firstFinding(ctx); err != nil {
			return err
		}
		if f == nil {
			return errors.New("there is no finding: go through the steps in their order")
		}
	}
	if b.number == 0 {
		if err := w.srv.API().Attend(ctx); err != nil { // as the server does when a finding is raised; it may just be at it
			return err
		}
		list, err := w.srv.API().IncidentsOf(ctx, f.Finding.ID)
		if err != nil {
			return err
		}
		number, itself := int64(0), len(list) > 0
		if itself {
			number = list[0]
		} else {
			var in api.IncidentAnswer
			if err := w.call(ctx, officer, "POST", "/v1/incidents", api.IncidentSpec{Title: "tokens of the backup key that no log-in issued", Findings: []string{f.Finding.ID}}, &in); err != nil {
				return err
			}
			number = in.Number
		}
		w.put(func(b *breach) { b.number, b.itself = number, itself })
	}
	now := w.cfg.Now()
	events := []api.EventSpec{
		{Kind: incident.Owned, Body: incident.Body{Person: officer}},
		{Kind: incident.Marked, Body: incident.Body{Moment: regime.Aware, When: &now, Note: "the privacy officer has read the finding"}},
	}
	for _, q := range []struct {
		fact string
		is   regime.Answer
		why  string
	}{
		{"intrusion", regime.Yes, "somebody came in with tokens of their own making"},
		{"outside_access", regime.Yes, "they came from outside"},
		{"contact_missing", regime.Yes, "of some people in address books nobody gave a mail address"},
		{"processed_here", regime.Yes, "the shop delivers to the Union"},
		{"high_risk", regime.Yes, "addresses and door codes were shown"},
		{"risk_unlikely", regime.No, "addresses and door codes were shown"},
		{"risk_removed", regime.No, "nobody can call back what was shown"},
		{"encrypted", regime.No, "it was shown in clear"},
		{"disproportionate", regime.No, "each person can be told"},
	} {
		events = append(events, api.EventSpec{Kind: incident.Answered, Body: incident.Body{Fact: q.fact, Answer: q.is, Note: q.why}})
	}
	for _, e := range events {
		if err := w.record(ctx, e.Kind, e.Body); err != nil {
			return err
		}
	}
	return nil
}

// firstVersion counts by complaint, as whoever is asked for a figure the same evening does.
func (w *world) firstVersion(ctx context.Context) error {
	w.mu.Lock()
	s := w.scoped
	w.mu.Unlock()
	if s == nil { // the visitor went on before it was counted
		if err := w.countScope(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		s = w.scoped
		w.mu.Unlock()
	}
	return w.version(ctx, s.few.Filter, fmt.Sprintf("by complaint: %d customers complained, and these addresses opened their pages in that time", s.complaints))
}

// secondVersion counts by cause: what the findings accuse.
func (w *world) secondVersion(ctx context.Context) error {
	return w.version(ctx, nil, "by cause: what the findings accuse, tokens under "+shop.BackupKey+" that no log-in issued")
}

// version makes a scope version, and holds its list against the thief's.
func (w *world) version(ctx context.Context, filter whosaw.Filter, reason string) error {
	var v incident.Version
	if err := w.call(ctx, officer, "POST", w.of("/versions"), api.VersionSpec{Filter: filter, Reason: reason}, &v); err != nil {
		return err
	}
	list, err := w.listOf(ctx, v.Number)
	if err != nil {
		return err
	}
	truth := w.truth()
	c := counted{Version: v, thief: int64(len(truth)), missing: int64(len(truth))}
	for _, row := range list {
		fields, known := truth[row.Subject]
		switch {
		case !known:
			c.extra++
			continue
		case !slices.Equal(fields, row.Fields):
			c.other++
		}
		c.missing--
	}
	w.put(func(b *breach) { b.versions = append(slices.Clone(b.versions), c) })
	return nil
}

// listOf reads who is in a scope version.
func (w *world) listOf(ctx context.Context, version int) ([]whosaw.ListRow, error) {
	var out []whosaw.ListRow
	err := w.call(ctx, officer, "POST", w.of(fmt.Sprintf("/versions/%d/list", version)), struct{}{}, func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var row whosaw.ListRow
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				return fmt.Errorf("read the list of a scope version: %w", err)
			}
			out = append(out, row)
		}
		return lines.Err()
	})
	return out, err
}

// truth is the thief's own list: by customer, which fields they were shown in clear.
func (w *world) truth() map[string][]string {
	w.mu.Lock()
	attempts := []*attempt{w.tried, w.off, w.on, w.last}
	w.mu.Unlock()
	shown := map[int64]map[string]bool{}
	for _, a := range attempts {
		if a == nil {
			continue
		}
		a.mu.Lock()
		for n, s := range a.got {
			if shown[n] == nil {
				shown[n] = map[string]bool{}
			}
			for _, f := range s.fields() {
				shown[n][f] = true
			}
		}
		a.mu.Unlock()
	}
	out := make(map[string][]string, len(shown))
	for n, is := range shown {
		var fields []string
		for f := range is {
			fields = append(fields, f)
		}
		slices.Sort(fields)
		out[strconv.FormatInt(n, 10)] = fields
	}
	return out
}

// fields are those that a thief who was shown these pages has.
func (s *seen) fields() []string {
	out := []string{"name", "email"}
	if s.book {
		out = append(out, "phone", "address")
	}
	if s.door {
		out = append(out, "door_code")
	}
	return out
}

// ahead is the moment that the clocks are looked at.
func (b *breach) ahead(now time.Time) time.Time { return now.AddDate(0, 0, b.days) }

// mostDays is how far ahead the clocks can be looked at.
const mostDays = 31

// telling is what the channels are told at a moment, of a clock that runs then.
type telling struct {
	at   time.Time
	says string
}

// tellings are all that the incident's clocks say until a moment, if nobody does anything more: each stage of each clock, as it would stand then.
func (w *world) tellings(in *incident.Incident, until time.Time) []telling {
	var out []telling
	seen := map[string]bool{}
	for _, c := range in.Clocks(w.laws, jurisdictions, until, "en") {
		for _, s := range api.Stages(&c) {
			if s.At.After(until) || s.At.IsZero() {
				continue
			}
			for _, then := range in.Clocks(w.laws, jurisdictions, s.At, "en") {
				if then.Law != c.Law || then.Duty != c.Duty || (then.Later == nil) != (c.Later == nil) {
					continue
				}
				says := api.Telling(&then, s.At)
				if key := s.At.String() + says; says != "" && !seen[key] {
					seen[key] = true
					out = append(out, telling{s.At, says})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b telling) int { return a.at.Compare(b.at) })
	return out
}
