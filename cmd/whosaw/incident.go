package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/report"
)

func (m *Main) incidentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "incident",
		Short: "From alarm to notice: who knew what and when, whose data, what the law asks for",
		Long: `An incident is what happened after an alarm or a complaint, in order, each thing with who, when and why. Nothing in it is ever changed: what
was wrong is withdrawn, with a reason, and stays in sight. Opening one sets a legal hold on everything.`,
		Example: `  whosaw incident open --title "the backup key" --finding 7b1f… --data ./data
  whosaw incident mark 1 aware --note "read the finding" --data ./data       starts clocks
  whosaw incident scope 1 --reason "by cause" --data ./data                  whose data, kept as version 1
  whosaw incident show 1 --data ./data
  whosaw clock --data ./data                                                 what is due, and when`,
	}
	cmd.AddCommand(m.incidentOpen(), m.incidentList(), m.incidentShow(), m.incidentScope(), m.incidentPeople(), m.incidentQuestions(), m.incidentState(), m.incidentReport(), m.incidentSign(), m.incidentPost(), m.incidentRemove(), m.incidentVerify())
	for _, v := range slices.Concat(incidentVerbs, publicVerbs) {
		cmd.AddCommand(m.incidentVerb(v))
	}
	return cmd
}

func (m *Main) incidentOpen() *cobra.Command {
	var data dirFlag
	var in api.IncidentSpec
	var suspected, zone string
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open an incident, from findings or from a complaint",
		Example: `  whosaw incident open --title "the backup key" --finding 7b1f… --data ./data
  whosaw incident open --title "mails that know too much" --note "three customers wrote to the help desk" --suspected 2026-11-16 --data ./data`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			when, err := flagWhen("suspected", suspected, zone)
			if err != nil {
				return err
			}
			in.Suspected = when
			var made api.IncidentAnswer
			if err := r.call(ctx, "POST", "/v1/incidents", in, &made); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: incident %d is open, and hold %d keeps every record\n", made.Number, made.Holds[0])
			return m.writeIncident(&made, data.dir)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().StringVar(&in.Title, "title", "", "what it is, in a few words, without personal data")
	cmd.Flags().StringArrayVar(&in.Findings, "finding", nil, "the finding it comes from (repeatable)")
	cmd.Flags().StringVar(&in.Note, "note", "", "without a finding: what was reported, and by whom")
	cmd.Flags().StringVar(&suspected, "suspected", "", "when it was first suspected (default: when the first finding was seen, else now)")
	addZone(cmd.Flags(), &zone)
	return cmd
}

// flagWhen reads a time; nil: none was given.
func flagWhen(name, text, zone string) (*time.Time, error) {
	loc, err := loadZone(zone)
	if err != nil || text == "" {
		return nil, err
	}
	t, err := flagTime(name, text, loc)
	if err != nil {
		return nil, err
	}
	when := time.UnixMilli(int64(t)).UTC()
	return &when, nil
}

func (m *Main) incidentList() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Example: `  whosaw incident list --data ./data`,
		Short:   "The incidents, the newest first",
		Args:    cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var answer struct {
				Incidents []api.IncidentRow `json:"incidents"`
			}
			if err := r.call(ctx, "GET", "/v1/incidents", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Incidents) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: no incident; open one with whosaw incident open")
				return nil
			}
			t := report.NewTable("incident", "title", "state", "owner", "opened (UTC)", "scope versions", "due next")
			t.Right(0, 5)
			for _, in := range answer.Incidents {
				next, owner := "–", in.Owner
				if in.Next != nil {
					next = dueText(in.Next, m.Now()) + ": " + in.Next.Whom
				}
				if owner == "" {
					owner = "nobody"
				}
				t.Row(fmt.Sprint(in.Number), in.Title, in.State, owner, stampOf(in.Opened), fmt.Sprint(in.Versions), next)
			}
			return t.Write(m.Stdout)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// dueText says when a clock is due, and how long that is.
func dueText(c *regime.Clock, now time.Time) string {
	switch {
	case c.State == regime.Met:
		return "done " + stampOf(c.Done)
	case c.State == regime.Late:
		return fmt.Sprintf("done %s, %s late", stampOf(c.Done), span(c.Done.Sub(c.Due)))
	case c.Due.IsZero():
		if c.Since.IsZero() {
			return c.Words
		}
		return fmt.Sprintf("%s, for %s now", c.Words, span(now.Sub(c.Since)))
	case c.State == regime.Overdue:
		return fmt.Sprintf("%s, %s ago", stampOf(c.Due), span(now.Sub(c.Due)))
	}
	return fmt.Sprintf("%s, in %s", stampOf(c.Due), span(c.Due.Sub(now)))
}

// span writes a duration in the two units that matter.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}

func (m *Main) incidentShow() *cobra.Command {
	var data dirFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show NUMBER",
		Example: `  whosaw incident show 1 --data ./data`,
		Short:   "One incident: its moments, clocks, scope versions, tasks and timeline",
		Args:    needOne("the number of the incident"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			var in api.IncidentAnswer
			if err := r.call(ctx, "GET", "/v1/incidents/"+url.PathEscape(args[0]), nil, &in); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, in)
			}
			return m.writeIncident(&in, data.dir)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) writeIncident(in *api.IncidentAnswer, dir string) error {
	var b strings.Builder
	owner := in.Owner
	if owner == "" {
		owner = "nobody: whosaw incident own " + fmt.Sprint(in.Number) + " staff:NAME"
	}
	fmt.Fprintf(&b, "Incident %d: %s\n%s; owner: %s\n", in.Number, report.Safe(in.Title), in.State, report.Safe(owner))
	for _, k := range in.Marks {
		gone := ""
		if k.Withdrawn != "" {
			gone = "   WITHDRAWN: " + k.Withdrawn
		}
		fmt.Fprintf(&b, "  %-10s %s UTC, says %s: %s (event %d)%s\n", k.Moment, stampOf(k.At), report.Safe(k.By), report.Safe(k.Why), k.Event, report.Safe(gone))
	}
	if len(in.Versions) == 0 {
		fmt.Fprintf(&b, "\nNo scope yet: whosaw incident scope %d --reason … counts whose data it is.\n", in.Number)
	}
	for i := range in.Versions {
		writeVersion(&b, &in.Versions[i])
	}
	for _, t := range in.Tasks {
		state := "open"
		if t.Done != nil {
			state = "done by " + t.Done.Who
		}
		fmt.Fprintf(&b, "Task %d, %s: %s\n", t.Event, report.Safe(state), report.Safe(t.Title))
	}
	for _, q := range in.Requests {
		fmt.Fprintf(&b, "Request %d of %s: %s; handed over %s\n", q.Event, report.Safe(q.Authority), report.Safe(q.What), figure.Of(int64(len(q.Handed)), "thing", "things"))
	}
	for _, e := range in.EarlierIncidents {
		people := "nobody counted whose data it was"
		if e.People != nil {
			sign := "="
			if !e.Exact {
				sign = "≥"
			}
			people = fmt.Sprintf("%s %s customers and entries of others", sign, figure.Int(*e.People))
		}
		linked := ""
		if e.Linked {
			linked = ", belongs to this one"
		}
		fmt.Fprintf(&b, "Earlier incident %d, %s, opened %s UTC: %s; %s%s\n", e.Number, e.State, stampOf(e.Opened), report.Safe(e.Title), people, linked)
	}
	m.writePublic(&b, in)
	if _, err := io.WriteString(m.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	rows := make([]api.ClockRow, len(in.Clocks))
	for i, c := range in.Clocks {
		rows[i] = api.ClockRow{Incident: in.Number, Title: in.Title, Clock: c}
	}
	fmt.Fprintln(m.Stdout)
	return m.writeClocks(rows, false)
}

func writeVersion(b *strings.Builder, v *incident.Version) {
	sign := "="
	if len(v.Answer.Gaps) > 0 {
		sign = "≥"
	}
	fmt.Fprintf(b, "\nScope version %d, as of record %s: %s\n", v.Number, figure.Int(int64(v.AsOf)), report.Safe(v.Reason))
	fmt.Fprintf(b, "  %s %s, and %s of others; %s\n", sign, figure.Of(v.Answer.Subjects, "customer", "customers"),
		figure.Of(v.Answer.Others, "entry", "entries"), figure.Of(int64(len(v.Answer.Gaps)), "gap", "gaps"))
	if d := v.Difference; d != nil {
		fmt.Fprintf(b, "  %s more, %s fewer, %s with other fields, %s the same; because of %s\n", figure.Int(d.Added), figure.Int(d.Removed),
			figure.Int(d.Widened), figure.Int(d.Same), strings.Join(d.Causes, ", "))
	}
}

func (m *Main) incidentScope() *cobra.Command {
	var data dirFlag
	var filter filterFlags
	var reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scope NUMBER",
		Short: "Count whose data it is, and keep the answer with its list as the next version",
		Long: `Without a filter the scope goes by cause: what the incident's findings accuse. The answer, the last record it looked at, and the list of people
are kept; from the second version on it says how many came, went and changed, and why.`,
		Example: `  whosaw incident scope 1 --reason "by cause, as the finding says" --data ./data
  whosaw incident scope 1 --key backup-2024 --reason "everything the key signed" --data ./data`,
		Args: needOne("the number of the incident"),
		RunE: run(func(cmd *cobra.Command, args []string) (err error) {
			in := api.VersionSpec{Reason: reason}
			if filter.given(cmd) {
				if in.Filter, _, err = filter.filter(cmd, m.Stdin); err != nil {
					return err
				}
			}
			r, err := m.reach(cmd.Context(), data.dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.close()) }()
			var v incident.Version
			if err := r.call(cmd.Context(), "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/versions", in, &v); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, v)
			}
			var b strings.Builder
			writeVersion(&b, &v)
			_, err = io.WriteString(m.Stdout, strings.TrimLeft(b.String(), "\n"))
			return err
		}),
	}
	data.add(cmd.Flags())
	filter.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why this version: what is known now that was not before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) incidentPeople() *cobra.Command {
	var data dirFlag
	var version int
	var form string
	cmd := &cobra.Command{
		Use:     "people NUMBER",
		Short:   "The list of a scope version, as it was recorded",
		Example: `  whosaw incident people 1 --scope-version 2 --list csv --data ./data > affected.csv`,
		Args:    needOne("the number of the incident"),
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) error {
			body := strings.NewReader(fmt.Sprintf("{%q:%q}", "form", form))
			res, err := r.do(ctx, "POST", fmt.Sprintf("/v1/incidents/%s/versions/%d/list", url.PathEscape(args[0]), version), body)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if _, err := io.Copy(m.Stdout, res.Body); err != nil {
				return fmt.Errorf("the list broke off, so it is not whole: %w", err)
			}
			return nil
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().IntVar(&version, "scope-version", 0, "which one (default: the last)")
	cmd.Flags().StringVar(&form, "list", "jsonl", "csv or jsonl")
	return cmd
}

func (m *Main) incidentQuestions() *cobra.Command {
	return &cobra.Command{
		Use:     "questions",
		Example: `  whosaw incident questions`,
		Short:   "The facts that the laws ask people for",
		Args:    cobra.NoArgs,
		RunE: run(func(*cobra.Command, []string) error {
			t := report.NewTable("fact", "question")
			for _, name := range regime.QuestionNames() {
				t.Row(name, regime.Questions[name].In("en"))
			}
			return t.Write(m.Stdout)
		}),
	}
}

// incidentVerbs are the commands that record one event each.
var incidentVerbs = []incidentVerb{
	{use: "mark NUMBER MOMENT", short: "A moment came: suspected, aware, confirmed, contained, material, notified, found", kind: incident.Marked, arg: "MOMENT",
		set: func(b *incident.Body, v string) error { b.Moment = regime.Moment(v); return nil }, when: true, person: "who says so (default: you)",
		example: `  whosaw incident mark 1 aware --note "the responder read the finding" --when 2026-11-17T16:00:00+09:00 --data ./data`},
	{use: "withdraw NUMBER EVENT", example: `  whosaw incident withdraw 1 7 --note "the mail was of another finding" --data ./data`,
		short: "Say that a mark, an answer or a statement was wrong; it stays in sight", kind: incident.Withdrawn, arg: "EVENT", set: setOf},
	{use: "join NUMBER FINDING", example: `  whosaw incident join 1 7b1f… --data ./data`,
		short: "A finding belongs to the incident too", kind: incident.Joined, arg: "FINDING",
		set: func(b *incident.Body, v string) error { b.Findings = []string{v}; return nil }},
	{use: "own NUMBER PERSON", example: `  whosaw incident own 1 staff:lee --data ./data`,
		short: "Who works it", kind: incident.Owned, arg: "PERSON", set: func(b *incident.Body, v string) error { b.Person = v; return nil }},
	{use: "task NUMBER TEXT", example: `  whosaw incident task 1 "ask the partner which keys they read" --who staff:kim --due 2026-11-20 --data ./data`,
		short: "Something is to be done", kind: incident.Tasked, arg: "TEXT", set: setTitle, person: "who is to do it", due: true},
	{use: "done NUMBER TASK", example: `  whosaw incident done 1 9 --note "none" --data ./data`,
		short: "A task is done", kind: incident.Worked, arg: "TASK", set: setOf},
	{use: "request NUMBER TEXT", example: `  whosaw incident request 1 "the list of affected people" --who PIPC --due 2026-11-25 --data ./data`,
		short: "An authority asks for something", kind: incident.Requested, arg: "TEXT", set: setTitle, person: "the authority", due: true, when: true},
	{use: "hand NUMBER REQUEST", example: `  whosaw incident hand 1 11 --what "affected.csv of scope version 2" --data ./data`,
		short: "What was handed over upon a request", kind: incident.Handed, arg: "REQUEST", set: setOf, title: "what was handed over"},
	{use: "answer NUMBER FACT=yes|no", short: "Answer a question of the law: whosaw incident questions", kind: incident.Answered, arg: "FACT=yes|no",
		set: func(b *incident.Body, v string) error {
			fact, answer, _ := strings.Cut(v, "=")
			b.Fact, b.Answer = fact, regime.Answer(answer)
			return nil
		}, example: `  whosaw incident answer 1 intrusion=yes --note "forged tokens" --data ./data`},
	{use: "residents NUMBER WHERE=COUNT", example: `  whosaw incident residents 1 US-CA=600 --data ./data`,
		short: "How many of the people live somewhere, as in US-CA=600", kind: incident.Counted, arg: "WHERE=COUNT",
		set: func(b *incident.Body, v string) error {
			where, count, _ := strings.Cut(v, "=")
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil {
				return usagef("give a place and a whole number, as in US-CA=600")
			}
			b.Fact, b.Count = where, &n
			return nil
		}},
	{use: "note NUMBER TEXT", example: `  whosaw incident note 1 "five customers called since noon" --data ./data`,
		short: "Write something down", kind: incident.Noted, arg: "TEXT", set: func(b *incident.Body, v string) error { b.Note = v; return nil }},
	{use: "told NUMBER LAW/DUTY", short: "A duty was fulfilled: whosaw clock names them", kind: incident.Told, arg: "LAW/DUTY",
		set: func(b *incident.Body, v string) error { b.Law, b.Duty, _ = strings.Cut(v, "/"); return nil }, when: true,
		example: `  whosaw incident told 1 kr-network-act-48-3/authority --when 2026-11-19T21:35:00+09:00 --data ./data`},
	{use: "link NUMBER EARLIER", example: `  whosaw incident link 2 1 --note "the same key" --data ./data`,
		short: "An earlier incident belongs to this one", kind: incident.Linked, arg: "EARLIER",
		set: func(b *incident.Body, v string) (err error) {
			if b.Incident, err = strconv.ParseInt(v, 10, 64); err != nil {
				return usagef("give the number of the earlier incident")
			}
			return nil
		}},
	{use: "close NUMBER", example: `  whosaw incident close 1 --note "the notice has stood its thirty days" --data ./data`,
		short: "It is over; its holds stay until somebody releases them", kind: incident.Closed},
	{use: "reopen NUMBER", example: `  whosaw incident reopen 1 --note "another gateway had records" --data ./data`,
		short: "It is not over", kind: incident.Reopened},
}

func setOf(b *incident.Body, v string) (err error) {
	if b.Of, err = strconv.ParseInt(v, 10, 64); err != nil {
		return usagef("give the number of the event: whosaw incident show lists them")
	}
	return nil
}

func setTitle(b *incident.Body, v string) error { b.Title = v; return nil }

type incidentVerb struct {
	use, short, example string
	kind                incident.Kind
	arg                 string // of the second argument; "": there is none
	set                 func(b *incident.Body, value string) error
	when, due, version  bool
	person, title       string // help of the flag; "": there is none
}

func (m *Main) incidentVerb(v incidentVerb) *cobra.Command {
	var data dirFlag
	var body incident.Body
	var when, due, zone string
	want := 1
	if v.arg != "" {
		want = 2
	}
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Example: v.example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != want {
				return usagef("%s takes %s", cmd.CommandPath(), strings.ReplaceAll(strings.SplitN(v.use, " ", 2)[1], " ", ", then "))
			}
			return nil
		},
		RunE: m.over(&data, func(ctx context.Context, r *remote, args []string) (err error) {
			if v.set != nil {
				if err := v.set(&body, args[1]); err != nil {
					return err
				}
			}
			if body.When, err = flagWhen("when", when, zone); err != nil {
				return err
			}
			if body.Due, err = flagWhen("due", due, zone); err != nil {
				return err
			}
			if v.when && body.When == nil {
				now := m.Now().UTC()
				body.When = &now
			}
			var in api.IncidentAnswer
			if err := r.call(ctx, "POST", "/v1/incidents/"+url.PathEscape(args[0])+"/events", api.EventSpec{Kind: v.kind, Body: body}, &in); err != nil {
				return err
			}
			fmt.Fprintf(m.Stderr, "whosaw: incident %d, event %d: %s\n", in.Number, len(in.Timeline), v.kind)
			return nil
		}),
	}
	flags := cmd.Flags()
	data.add(flags)
	if v.kind != incident.Noted {
		flags.StringVar(&body.Note, "note", "", "why: who reads it later was not there")
	}
	if v.when {
		flags.StringVar(&when, "when", "", "when it was: 2026-11-17T16:00:00+09:00 (default: now)")
	}
	if v.due {
		flags.StringVar(&due, "due", "", "by when")
	}
	if v.when || v.due {
		addZone(flags, &zone)
	}
	if v.person != "" {
		flags.StringVar(&body.Person, "who", "", v.person)
	}
	if v.version {
		flags.IntVar(&body.Version, "scope-version", 0, "which one (default: always the last)")
	}
	if v.title != "" {
		flags.StringVar(&body.Title, "what", "", v.title)
	}
	return cmd
}

func (m *Main) clockCommand() *cobra.Command {
	var data dirFlag
	var asJSON, all bool
	var lang string
	cmd := &cobra.Command{
		Use: "clock",
		Example: `  whosaw clock --data ./data
  whosaw clock --all --lang ko --data ./data`,
		Short: "What the law asks for after a breach, and how long there is",
		Long: `The clocks of all incidents that are not closed, what is due first at the top. They come from laws as data (whosaw.yaml, incident), the
moments that were recorded, and the facts that people answered; a fact that is not known keeps a clock running. None of it is advice: check with
counsel.`,
		Args: cobra.NoArgs,
		RunE: m.over(&data, func(ctx context.Context, r *remote, _ []string) error {
			var answer struct {
				Clocks  []api.ClockRow `json:"clocks"`
				Counsel string         `json:"counsel"`
			}
			if err := r.call(ctx, "GET", "/v1/clocks?lang="+url.QueryEscape(lang), nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			if len(answer.Clocks) == 0 {
				fmt.Fprintln(m.Stderr, "whosaw: no clock runs: there is no open incident")
				return nil
			}
			return m.writeClocks(answer.Clocks, all)
		}),
	}
	data.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	cmd.Flags().BoolVar(&all, "all", false, "also what is not due, with the reason")
	cmd.Flags().StringVar(&lang, "lang", "en", "en or ko")
	return cmd
}

func (m *Main) writeClocks(rows []api.ClockRow, all bool) error {
	t := report.NewTable("incident", "state", "when (UTC)", "to whom", "law/duty")
	t.Right(0)
	asks := map[string]bool{}
	var whys strings.Builder
	left := 0
	for i := range rows {
		c := &rows[i]
		if (c.State == regime.NotDue || c.State == regime.NotInUse) && !all {
			left++
			continue
		}
		state := string(c.State)
		if c.Unsure {
			state += "?"
			for _, q := range c.Missing {
				asks[q] = true
			}
		}
		when := dueText(&c.Clock, m.Now())
		if c.State == regime.NotDue || c.State == regime.NotInUse {
			when = c.Why
		}
		if c.Later != nil {
			when += "; found later: " + c.Later.Why
		}
		t.Row(fmt.Sprint(c.Incident), state, when, c.Whom, c.Law+"/"+c.Duty)
		for _, o := range c.Others {
			fmt.Fprintf(&whys, "%s says that %s/%s runs from %s UTC; then it is due %s UTC.\n", report.Safe(o.By), c.Law, c.Duty, stampOf(o.Since), stampOf(o.Due))
		}
	}
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(&whys, "%s not due: --all says why.\n", figure.Of(int64(left), "more is", "more are"))
	}
	if len(asks) > 0 {
		var names []string
		for _, n := range regime.QuestionNames() {
			if asks[n] {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&whys, "Not known, so these run (state?): %s. Answer with whosaw incident answer; whosaw incident questions has the words.\n", strings.Join(names, ", "))
		}
	}
	fmt.Fprintf(&whys, "%s\n", regime.Counsel)
	_, err := fmt.Fprint(m.Stdout, "\n"+whys.String())
	return err
}
