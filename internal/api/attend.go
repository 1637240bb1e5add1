package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/scope"
)

// OpenRule says which findings open an incident by themselves. The zero value: none.
type OpenRule struct {
	// Detectors whose findings do; "*": every one's.
	Detectors []string
	// Subjects is how many customers must have been shown, as a finding was raised or has grown.
	Subjects int64
}

// attendant is in whose name incidents are opened that nobody opened.
const attendant = "service:whosaw"

// Attend opens incidents for findings that the rule names, suspected since they were seen. A finding that accuses what an open incident is about
// joins it; one that is in an incident already, open or closed, opens none again: so it may be called at any time, also after a crash between
// the finding and its incident.
func (a *API) Attend(ctx context.Context) error {
	rule := a.cfg.Incidents.Open
	if len(rule.Detectors) == 0 {
		return nil
	}
	a.attending.Lock()
	defer a.attending.Unlock()
	list, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, in := range list {
		for _, f := range in.Findings {
			known[f] = true
		}
	}
	todo, err := a.unattended(ctx, &rule, known)
	if err != nil {
		return err
	}
	var errs []error
	for i := range todo {
		if err := a.attend(ctx, &todo[i]); err != nil {
			errs = append(errs, fmt.Errorf("finding %s: %w", todo[i].Finding.ID, err))
		}
	}
	return errors.Join(errs...)
}

// unattended lists the findings that are to have an incident and have none, the first one first.
func (a *API) unattended(ctx context.Context, rule *OpenRule, known map[string]bool) ([]alarm.Recorded, error) {
	var out []alarm.Recorded
	no := false
	for _, state := range []alarm.State{alarm.Open, alarm.Assigned, alarm.Harvest} {
		for before := int64(0); ; {
			page, next, err := a.cfg.Alarms.Findings(ctx, alarm.Query{State: state, Suppressed: &no, Before: before, Limit: 1000})
			if err != nil {
				return nil, err
			}
			for i := range page {
				r := &page[i]
				shown := r.Finding.Subjects
				if r.Grown != nil {
					shown = max(shown, r.Grown.Subjects)
				}
				// What rests on records alone (an offboarding that is overdue) accuses no access: there is no leak to suspect.
				if known[r.Finding.ID] || len(r.Finding.Filter) == 0 || shown < rule.Subjects ||
					!slices.Contains(rule.Detectors, "*") && !slices.Contains(rule.Detectors, r.Finding.Detector) {
					continue
				}
				out = append(out, *r)
			}
			if before = next; next == 0 {
				break
			}
		}
	}
	slices.SortFunc(out, func(x, y alarm.Recorded) int { return cmp.Compare(x.Number, y.Number) })
	return out, nil
}

func (a *API) attend(ctx context.Context, r *alarm.Recorded) error {
	book, id := a.cfg.Incidents.Book, r.Finding.ID
	list, err := book.Incidents(ctx)
	if err != nil {
		return err
	}
	same, err := a.sameAttack(ctx, list, &r.Finding)
	if err != nil {
		return err
	}
	if same != nil && same.State != incident.StateClosed {
		if _, err := book.Record(ctx, same.Number, attendant, incident.Joined, incident.Body{Findings: []string{id}}); err != nil {
			return err
		}
		a.cfg.Logger.Warn("a finding joined an incident", "incident", same.Number, "finding", id)
		return nil
	}
	n, err := book.Open(ctx, attendant, incident.Body{Title: alarm.Headline(&r.Finding), Findings: []string{id}}, time.UnixMilli(int64(r.Finding.Seen)).UTC())
	if err != nil {
		return err
	}
	a.cfg.Logger.Warn("an incident was opened for a finding", "incident", n, "finding", id)
	if same != nil {
		_, err = book.Record(ctx, n, attendant, incident.Linked, incident.Body{Incident: same.Number, Note: "its findings accuse the same, and it was closed"})
	}
	return err
}

// sameAttack finds the incident whose findings accuse what f accuses: by one detector on one unit, or by half of what the smaller filter matches.
// One that is open goes before one that is closed.
func (a *API) sameAttack(ctx context.Context, list []*incident.Incident, f *whosaw.Finding) (*incident.Incident, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y *incident.Incident) int {
		closed := func(in *incident.Incident) int {
			if in.State == incident.StateClosed {
				return 1
			}
			return 0
		}
		return closed(x) - closed(y)
	})
	filters, of := []whosaw.Filter{f.Filter}, []*incident.Incident{nil}
	for _, in := range list {
		for _, id := range in.Findings {
			other, err := a.cfg.Alarms.Finding(ctx, id)
			if errors.Is(err, alarm.ErrUnknown) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if other.Finding.Detector == f.Detector && other.Finding.Unit == f.Unit {
				return in, nil
			}
			if len(other.Finding.Filter) > 0 && other.State != alarm.False && other.State != alarm.Explained {
				filters, of = append(filters, other.Finding.Filter), append(of, in)
			}
		}
	}
	if len(filters) == 1 {
		return nil, nil
	}
	q, err := a.cfg.Live.Ask(scope.Config{Workers: a.cfg.QueryWorkers, Zone: a.cfg.Zone, Memory: a.cfg.QueryMemory})
	if err != nil {
		return nil, err
	}
	sizes, inter, err := q.Engine.Overlap(ctx, filters)
	if err = errors.Join(err, q.Close()); err != nil {
		return nil, err
	}
	for i := 1; i < len(filters); i++ {
		if small := min(sizes[0], sizes[i]); small > 0 && 2*inter[0][i] >= small {
			return of[i], nil
		}
	}
	return nil, nil
}

// The stages of a clock that people are told of, the last one last.
const (
	stageStart  = "start"
	stageHalf   = "half"
	stageTwo    = "two_hours"
	stageExpiry = "expiry"
)

// Stage is a moment at which the channels are told of a clock, if it still runs then.
type Stage struct {
	Name string // start, half, two_hours, expiry
	At   time.Time
}

// Stages are those of a clock, the first one first.
func Stages(c *regime.Clock) []Stage {
	out := []Stage{{stageStart, c.Since}}
	if c.Due.IsZero() {
		return out // without delay: there is no half of it
	}
	half, two := c.Since.Add(c.Due.Sub(c.Since)/2), c.Due.Add(-2*time.Hour)
	if half.Before(two) {
		out = append(out, Stage{stageHalf, half})
	}
	if two.Before(c.Since) {
		two = c.Since
	}
	return append(out, Stage{stageTwo, two}, Stage{stageExpiry, c.Due.Add(1)}) // past the last instant that is in time
}

// stageOf gives the last stage that a clock has reached; "": nobody is to be told.
func stageOf(c *regime.Clock, now time.Time) string {
	if c.State != regime.Running && c.State != regime.Overdue {
		return ""
	}
	name := stageStart
	for _, s := range Stages(c) {
		if !now.Before(s.At) {
			name = s.Name
		}
	}
	return name
}

// Telling is what the channels are told of a clock at a moment; "": nothing.
func Telling(c *regime.Clock, at time.Time) string {
	if stage := stageOf(c, at); stage != "" {
		return deadlineLine(c, stage, at)
	}
	return ""
}

// Deadlines has the channels told of clocks that have started, are half over, have two hours left, or are over: each once, over restarts too. Of
// stages that passed while nobody looked only the last is told. Whoever is told of several at once gets one message an incident.
func (a *API) Deadlines(ctx context.Context) error {
	list, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	for _, in := range list {
		lines := map[string]string{}
		var keys []string
		for _, c := range a.clocks(in, "en") {
			stage := stageOf(&c, now)
			if stage == "" {
				continue
			}
			// A moment that turns out to be earlier makes another due time, which is news.
			key := fmt.Sprintf("%d %s/%s %d %s", in.Number, c.Law, c.Duty, c.Due.UnixMilli(), stage)
			if c.Due.IsZero() {
				key = fmt.Sprintf("%d %s/%s since %d %s", in.Number, c.Law, c.Duty, c.Since.UnixMilli(), stage)
			}
			keys, lines[key] = append(keys, key), deadlineLine(&c, stage, now)
		}
		_, err := a.cfg.Alarms.Notify(ctx, keys, func(fresh []string) alarm.Note { return a.deadlineNote(in, fresh, lines) })
		if err != nil {
			return fmt.Errorf("incident %d: %w", in.Number, err)
		}
	}
	return nil
}

func deadlineLine(c *regime.Clock, stage string, now time.Time) string {
	what := c.Whom + " (" + c.Law + "/" + c.Duty + ")"
	if c.Later != nil {
		what += ", for what was found later"
	}
	if c.Unsure {
		what += ", if the facts that are still open make it due"
	}
	due := c.Due.UTC().Format("2006-01-02 15:04") + " UTC"
	switch {
	case c.Due.IsZero():
		return "A clock runs: " + what + ", " + c.Words + "."
	case stage == stageExpiry:
		return "OVERDUE since " + due + ": " + what + "."
	case stage == stageTwo:
		return "Less than two hours left, until " + due + ": " + what + "."
	case stage == stageHalf:
		return "Half of the time is over, due " + due + ": " + what + "."
	}
	return "A clock runs, due " + due + ", in " + hours(c.Due.Sub(now)) + ": " + what + "."
}

func hours(d time.Duration) string {
	if d >= 72*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

func (a *API) deadlineNote(in *incident.Incident, fresh []string, lines map[string]string) alarm.Note {
	sum := sha256.Sum256([]byte(strings.Join(fresh, "\n")))
	n := alarm.Note{ID: fmt.Sprintf("incident-%d-%s", in.Number, hex.EncodeToString(sum[:8])), Unit: fmt.Sprintf("incident:%d", in.Number), Severity: alarm.High,
		Title: "Deadlines of an incident"}
	// What is over comes first, then what is due next: the order of the clocks.
	var says []string
	for _, k := range fresh {
		says = append(says, lines[k])
		if strings.HasSuffix(k, stageExpiry) {
			n.Title, n.Severity = "A deadline of an incident is over", alarm.Critical
		} else if strings.HasSuffix(k, stageTwo) && n.Severity != alarm.Critical {
			n.Title, n.Severity = "Less than two hours to a deadline of an incident", alarm.Critical
		}
	}
	n.Says = fmt.Sprintf("Incident %d, %s. %s %s", in.Number, in.State, strings.Join(says, " "), regime.Counsel)
	if a.cfg.URL != "" {
		n.Link = a.cfg.URL + "/incidents/" + url.PathEscape(fmt.Sprint(in.Number))
	}
	return n
}
