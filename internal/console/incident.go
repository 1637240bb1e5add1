package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
)

// incidentsPage is what incidents.html shows.
type incidentsPage struct {
	*frame
	Clocks []clockView
	More   int64 // clocks that are not shown
	Rows   []incidentRow
}

type incidentRow struct {
	Number               int64
	Title, State, Opened string
	Owner                string
	Versions             int
	Next                 *clockView
	Closed               bool
}

// clockView is a clock of the law.
type clockView struct {
	Number                int64
	Title                 string
	Law, Whom, State, Due string
	Left, Why             string
	Others                []string
	Doc                   string // where its document is written
	ID                    string // law/duty
	Bad, Running          bool
}

// clockView says how a clock stands.
func (f *frame) clockView(number int64, title string, k *regime.Clock) clockView {
	v := clockView{
		Number: number, Title: title, Law: k.Name, Whom: k.Whom, State: f.T("clock." + string(k.State)), Why: safe(k.Why), ID: k.Law + "/" + k.Duty,
		Bad: k.State == regime.Overdue || k.State == regime.Late, Running: k.State == regime.Running || k.State == regime.Overdue,
	}
	if k.State != regime.NotDue && k.State != regime.NotInUse && len(k.Content) > 0 {
		v.Doc = fmt.Sprintf("/incidents/%d/document?law=%s&duty=%s", number, url.QueryEscape(k.Law), url.QueryEscape(k.Duty))
	}
	switch {
	case !k.Done.IsZero():
		v.Due = f.T("clock.doneat", f.Full(k.Done.UnixMilli()))
	case !k.Due.IsZero():
		v.Due = f.Full(k.Due.UnixMilli())
	default:
		v.Due = k.Words
	}
	if v.Running && !k.Due.IsZero() {
		if left := k.Due.Sub(f.At); left < 0 {
			v.Left = f.T("clock.over", f.Lasting(-left))
		} else {
			v.Left = f.T("clock.left", f.Lasting(left))
		}
	}
	for _, o := range k.Others {
		if !o.Due.IsZero() {
			v.Others = append(v.Others, f.T("clock.other", safe(o.By), f.Full(o.Due.UnixMilli())))
		}
	}
	if len(k.Missing) > 0 {
		var asks []string
		for _, m := range k.Missing {
			if q, ok := regime.Questions[m]; ok {
				m = q.In(f.lang)
			}
			asks = append(asks, m)
		}
		v.Others = append(v.Others, f.T("clock.unsure", strings.Join(asks, " ")))
	}
	return v
}

// clocksShown is how many clocks the list of incidents begins with.
const clocksShown = 12

// incidents is the list of incidents, below the clocks that run.
func (c *Console) incidents(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p := &incidentsPage{frame: c.frame(r, who, "incidents", "title.incidents")}
	rows, err := c.cfg.API.IncidentRows(r.Context(), p.lang)
	if err != nil {
		return err
	}
	open := int64(0)
	for i := range rows {
		x := &rows[i]
		row := incidentRow{Number: x.Number, Title: safe(x.Title), State: p.T("incident." + x.State), Opened: p.Short(x.Opened.UnixMilli()), Owner: safe(x.Owner), Versions: x.Versions, Closed: x.State == incident.StateClosed}
		if x.Next != nil {
			v := p.clockView(x.Number, x.Title, x.Next)
			row.Next = &v
		}
		if !row.Closed {
			open++
		}
		p.Rows = append(p.Rows, row)
	}
	clocks, err := c.cfg.API.ClockRows(r.Context(), p.lang)
	if err != nil {
		return err
	}
	for i := range clocks {
		if v := p.clockView(clocks[i].Incident, safe(clocks[i].Title), &clocks[i].Clock); !v.Running {
			continue
		} else if len(p.Clocks) < clocksShown {
			p.Clocks = append(p.Clocks, v)
		} else {
			p.More++
		}
	}
	p.Sub = p.NRich("incidents.sub", open)
	c.page(w, r, "incidents.html", p, http.StatusOK)
	return nil
}

// incidentOpen opens one: from a finding, or by hand.
func (c *Console) incidentOpen(w http.ResponseWriter, r *http.Request, who api.Who) error {
	spec := api.IncidentSpec{Title: strings.TrimSpace(r.PostFormValue("title")), Note: strings.TrimSpace(r.PostFormValue("note"))}
	var err error
	if spec.Suspected, err = c.when(r.PostFormValue("when")); err != nil {
		return err
	}
	if number, err := strconv.ParseInt(r.PostFormValue("finding"), 10, 64); err == nil {
		x, err := c.recorded(r.Context(), number)
		if err != nil {
			return err
		}
		spec.Findings = []string{x.Finding.ID}
		if f := c.frame(r, who, "", ""); spec.Title == "" {
			spec.Title = f.T("incident.titleof", strconv.FormatInt(number, 10), x.Finding.Detector)
		}
	}
	n, err := c.cfg.API.OpenIncident(r.Context(), who, spec)
	if err != nil {
		return err
	}
	return back(w, r, fmt.Sprintf("/incidents/%d", n))
}

// when reads a time as a page's field gives it, in the server's zone. Empty: none.
func (c *Console) when(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(form, text, c.cfg.Zone); err == nil {
			t = t.UTC()
			return &t, nil
		}
	}
	return nil, api.Invalid("the time cannot be read", "write it as 2026-11-21 03:12")
}

// openDeeds is how many of the things that happened stand open: a document's texts alone are dozens.
const openDeeds = 20

// incidentPage is what incident.html shows.
type incidentPage struct {
	*frame
	Number    int64
	Closed    bool
	Marks     []markView
	Last      *incidentVersion // scope
	Versions  []incidentVersion
	Clocks    []clockView
	Idle      []clockView // that do not run
	Tasks     []taskView
	Requests  []requestView
	Findings  []incidentFinding
	Earlier   []int64
	Holds     string
	Timeline  []deed // the newest
	Older     []deed
	Moments   []string
	Questions []questionView
	Notices   []noticeRow
	MayNotify bool
	Posted    []postingView
}

type markView struct {
	Event                          int64
	Moment, At, By, Why, Withdrawn string
	Recorded                       string
}

type incidentVersion struct {
	Number               int
	Handle, Reason, Diff string
	Sign, N, Others, Dis string
	Many                 int64
	AsOf                 uint64
	Fields               []fieldView
	Gaps                 []string
	When                 string
}

type taskView struct {
	Event                    int64
	Title, Person, Due, Done string
	Over                     bool
}

type requestView struct {
	Event                      int64
	Authority, What, Came, Due string
	Handed                     []string
	Over                       bool
}

type incidentFinding struct {
	Number          int64
	Says            string
	Sentence, State any
}

type questionView struct{ Fact, Says, Answer string }

// incidentShown is one incident: what is known and since when, whose data, what the law asks by when, and what happened.
func (c *Console) incidentShown(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	p := &incidentPage{frame: c.frame(r, who, "incidents", "title.incident"), Number: n}
	in, err := c.cfg.API.Incident(r.Context(), n, p.lang)
	if err != nil {
		return err
	}
	p.Path = fmt.Sprintf("/incidents/%d", n)
	p.Heading = safe(in.Title)
	owner := safe(in.Owner)
	if owner == "" {
		owner = p.T("incident.noowner")
	}
	p.Sub = p.Rich("incident.sub", n, p.T("incident."+in.State), p.Full(in.Opened.UnixMilli()), owner)
	p.Closed, p.Earlier = in.State == incident.StateClosed, in.Earlier
	p.marks(in.Incident)
	for i := range in.Clocks {
		v := p.clockView(n, "", &in.Clocks[i])
		if v.Running {
			p.Clocks = append(p.Clocks, v)
		} else {
			p.Idle = append(p.Idle, v)
		}
	}
	if err := p.versions(r.Context(), c, in.Incident); err != nil {
		return err
	}
	if err := p.findings(r.Context(), c, in.Findings); err != nil {
		return err
	}
	p.work(in.Incident)
	p.postings(in.Incident)
	if err := p.notices(r, c); err != nil {
		return err
	}
	if len(in.Holds) > 0 {
		var holds []string
		for _, h := range in.Holds {
			holds = append(holds, strconv.FormatUint(h, 10))
		}
		p.Holds = p.T("incident.held", strings.Join(holds, ", "))
	}
	for i := range in.Timeline {
		e := &in.Timeline[i]
		p.Timeline = append(p.Timeline, deed{p.Short(e.At.UnixMilli()), p.eventSays(e)})
	}
	slices.Reverse(p.Timeline)
	if len(p.Timeline) > openDeeds+1 {
		p.Timeline, p.Older = p.Timeline[:openDeeds], p.Timeline[openDeeds:]
	}
	for _, name := range regime.QuestionNames() {
		p.Questions = append(p.Questions, questionView{name, regime.Questions[name].In(p.lang), string(in.Answers[name])})
	}
	c.page(w, r, "incident.html", p, http.StatusOK)
	return nil
}

// pathNumber is the number of an incident or a notice in an address.
func pathNumber(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return 0, errGone
	}
	return n, nil
}

func (p *incidentPage) marks(in *incident.Incident) {
	for _, m := range []regime.Moment{regime.Suspected, regime.Aware, regime.Confirmed, regime.Contained, regime.Material, regime.Notified, regime.Found} {
		p.Moments = append(p.Moments, string(m))
		for _, k := range in.Marks {
			if k.Moment == m {
				v := markView{Event: k.Event, Moment: p.T("moment." + string(m)), At: p.Full(k.At.UnixMilli()), By: safe(k.By), Why: safe(k.Why), Withdrawn: safe(k.Withdrawn)}
				if k.Recorded.Sub(k.At) > time.Minute {
					v.Recorded = p.T("incident.recorded", p.Full(k.Recorded.UnixMilli()))
				}
				p.Marks = append(p.Marks, v)
			}
		}
	}
}

// versions gives the scope versions, the newest first.
func (p *incidentPage) versions(ctx context.Context, c *Console, in *incident.Incident) error {
	when := map[int]string{}
	for i := range in.Timeline {
		if e := &in.Timeline[i]; e.Kind == incident.Scoped {
			when[e.Scope.Number] = p.Short(e.At.UnixMilli())
		}
	}
	for i := range in.Versions {
		v := &in.Versions[i]
		handle, err := c.filterHandle(ctx, v.Answer.Filter)
		if err != nil {
			return err
		}
		row := incidentVersion{
			Number: v.Number, Handle: handle, Reason: safe(v.Reason), Sign: "=", N: figure.Int(v.Answer.Subjects), Many: v.Answer.Subjects, Dis: figure.Int(v.Answer.Disclosures), AsOf: v.AsOf,
			Fields: p.fields(&v.Answer), Gaps: p.gaps(v.Answer.Gaps), When: when[v.Number],
		}
		if v.Answer.Others > 0 {
			row.Others = figure.Int(v.Answer.Others)
		}
		if len(v.Answer.Gaps) > 0 {
			row.Sign = "≥"
		}
		if d := v.Difference; d != nil {
			var causes []string
			for _, cause := range d.Causes {
				causes = append(causes, p.T("incident.cause."+cause))
			}
			row.Diff = p.T("incident.diff", figure.Int(d.Added), figure.Int(d.Removed), figure.Int(d.Widened), figure.Int(d.Same))
			if len(causes) > 0 {
				row.Diff += " " + strings.Join(causes, "; ")
			}
		}
		p.Versions = append(p.Versions, row)
	}
	slices.Reverse(p.Versions)
	if len(p.Versions) > 0 {
		p.Last = &p.Versions[0]
	}
	return nil
}

func (p *incidentPage) findings(ctx context.Context, c *Console, ids []string) error {
	for _, id := range ids {
		x, err := c.cfg.Alarms.Finding(ctx, id)
		if err != nil {
			return err
		}
		p.Findings = append(p.Findings, incidentFinding{Number: x.Number, Sentence: p.plainSentence(&x.Finding), State: p.T("state." + string(x.State))})
	}
	return nil
}

// work is what is to be done: tasks, and what authorities asked for.
func (p *incidentPage) work(in *incident.Incident) {
	due := func(t *time.Time) (string, bool) {
		if t == nil {
			return "", false
		}
		return p.Full(t.UnixMilli()), t.Before(p.At)
	}
	for i := range in.Tasks {
		k := &in.Tasks[i]
		v := taskView{Event: k.Event, Title: safe(k.Title), Person: safe(k.Person)}
		v.Due, v.Over = due(k.Due)
		if k.Done != nil {
			v.Over = false
			v.Done = p.T("incident.done", p.Short(k.Done.At.UnixMilli()), safe(k.Done.Who), safe(k.Done.Note))
		}
		p.Tasks = append(p.Tasks, v)
	}
	for i := range in.Requests {
		k := &in.Requests[i]
		v := requestView{Event: k.Event, Authority: safe(k.Authority), What: safe(k.What), Came: p.Full(k.Came.UnixMilli())}
		v.Due, v.Over = due(k.Due)
		v.Over = v.Over && len(k.Handed) == 0
		for j := range k.Handed {
			v.Handed = append(v.Handed, p.Short(k.Handed[j].At.UnixMilli())+": "+safe(k.Handed[j].Title))
		}
		p.Requests = append(p.Requests, v)
	}
}

// eventSays is an event in a sentence.
func (f *frame) eventSays(e *incident.Event) string {
	says := func(key string, values ...any) string { return f.T("event."+key, values...) + " · " + safe(e.Who) }
	kind := string(e.Kind)
	switch e.Kind {
	case incident.Opened:
		return says(kind, safe(e.Title))
	case incident.Marked:
		return says(kind, f.T("moment."+string(e.Moment)), f.Full(e.When.UnixMilli()), safe(e.Note))
	case incident.Withdrawn, incident.Worked:
		return says(kind, e.Of, safe(e.Note))
	case incident.Joined:
		return says(kind, figure.Int(int64(len(e.Findings))))
	case incident.Owned:
		return says(kind, safe(e.Person))
	case incident.Tasked:
		return says(kind, safe(e.Title))
	case incident.Requested:
		return says(kind, safe(e.Person), safe(e.Title))
	case incident.Handed:
		return says(kind, e.Of, safe(e.Title))
	case incident.Answered:
		return says(kind, regime.Questions[e.Fact].In(f.lang), f.T("answer."+string(e.Answer)), safe(e.Note))
	case incident.Counted:
		return says(kind, safe(e.Fact), figure.Int(*e.Count))
	case incident.Noted, incident.Closed, incident.Reopened:
		return says(kind, safe(e.Note))
	case incident.Held, incident.Released:
		return says(kind, e.Hold, safe(e.Note))
	case incident.Scoped:
		return says(kind, e.Scope.Number, figure.Int(e.Scope.Answer.Subjects), figure.Int(e.Scope.Answer.Others), safe(e.Note))
	case incident.Stated:
		return says(kind, incident.Heading(e.Statement.Content, f.lang), safe(e.Statement.Lang))
	case incident.Signed:
		return says(kind, safe(e.Document))
	case incident.Told:
		return says(kind, safe(e.Law+"/"+e.Duty), f.Full(e.When.UnixMilli()))
	case incident.Linked:
		return says(kind, e.Incident, safe(e.Note))
	case incident.Offered:
		return says(kind, safe(e.Title))
	case incident.Ended:
		return says(kind, safe(e.Note))
	case incident.Posted:
		return says(kind, safe(e.Title), e.Version, e.Days)
	case incident.Missed:
		return says(kind, e.Of, f.Full(e.When.UnixMilli()), f.Full(e.Until.UnixMilli()))
	case incident.Removed:
		return says(kind, e.Of, safe(e.Note))
	case incident.Noticed:
		return says(kind, e.Notice, f.noticeSays(e))
	case incident.Purged:
		return says(kind, e.Version, safe(e.Note))
	}
	return safe(kind) + " " + safe(e.Note) + " · " + safe(e.Who)
}

// incidentEvent records what somebody did or learnt.
func (c *Console) incidentEvent(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	spec, err := c.eventSpec(r)
	if err != nil {
		return err
	}
	if err := c.cfg.API.RecordEvent(r.Context(), who, n, spec); err != nil {
		return err
	}
	to := fmt.Sprintf("/incidents/%d", n)
	if spec.Kind == incident.Stated {
		q := url.Values{"law": {r.PostFormValue("law")}, "duty": {r.PostFormValue("duty")}, "lang": {spec.Statement.Lang}}
		to += "/document?" + q.Encode()
	}
	return back(w, r, to)
}

// eventSpec reads an event from a form. What is missing, the book says.
func (c *Console) eventSpec(r *http.Request) (api.EventSpec, error) {
	text := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	spec := api.EventSpec{Kind: incident.Kind(text("kind")), Body: incident.Body{
		Title: text("title"), Note: text("note"), Person: text("person"), Moment: regime.Moment(text("moment")), Fact: text("fact"), Answer: regime.Answer(text("answer")),
	}}
	var err error
	if spec.When, err = c.when(text("when")); err != nil {
		return spec, err
	}
	if spec.Due, err = c.when(text("due")); err != nil {
		return spec, err
	}
	if of := text("of"); of != "" {
		if spec.Of, err = strconv.ParseInt(of, 10, 64); err != nil {
			return spec, badForm
		}
	}
	now := c.cfg.Now().UTC()
	switch spec.Kind {
	case incident.Marked, incident.Requested:
		if spec.When == nil {
			spec.When = &now
		}
	case incident.Told:
		var ok bool
		if spec.Law, spec.Duty, ok = strings.Cut(text("clock"), "/"); !ok {
			return spec, api.Invalid("no duty was chosen", "choose one of the list")
		}
		if spec.When == nil {
			spec.When = &now
		}
	case incident.Stated:
		spec.Statement = &incident.Statement{Content: text("content"), Lang: text("lang"), Text: text("text"), Verified: text("source") != "", Source: text("source")}
	}
	return spec, nil
}

// incidentVersion makes the next scope version, by cause.
func (c *Console) incidentVersion(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	spec := api.VersionSpec{Reason: strings.TrimSpace(r.PostFormValue("reason"))}
	if h := r.PostFormValue("handle"); h != "" { // a scope that somebody built by clicking
		if spec.Filter, err = c.filterBehind(r.Context(), h); err != nil {
			return err
		}
	}
	if _, err := c.cfg.API.MakeVersion(r, who, n, spec); err != nil {
		return err
	}
	return back(w, r, fmt.Sprintf("/incidents/%d", n))
}

// documentPage is what document.html shows.
type documentPage struct {
	*frame
	Number    int64
	Doc       *incident.Document
	DocLang   string
	Parts     []partView
	Signed    []string
	Print     string
	Law, Duty string
	None      string // why there is none yet
}

type partView struct {
	incident.Part
	Says   []string // what is wrong with it
	Writes string   // as it was written, with its slots
	When   string
}

// document is one document of an incident, to be written and signed.
func (c *Console) document(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	p := &documentPage{frame: c.frame(r, who, "incidents", "title.document"), Number: n, Law: q.Get("law"), Duty: q.Get("duty"), DocLang: docLang(q.Get("lang"), c.speech(r).lang)}
	in, err := c.cfg.API.Incident(r.Context(), n, p.DocLang)
	if err != nil {
		return err
	}
	p.Path = fmt.Sprintf("/incidents/%d/document?%s", n, url.Values{"law": {p.Law}, "duty": {p.Duty}, "lang": {p.DocLang}}.Encode())
	if len(in.Versions) == 0 {
		p.None = p.T("document.noversion")
		c.page(w, r, "document.html", p, http.StatusOK)
		return nil
	}
	if p.Doc, err = c.cfg.API.Document(r.Context(), n, p.Law, p.Duty, p.DocLang, 0); err != nil {
		return err
	}
	p.Heading = safe(p.Doc.Name)
	p.Sub = p.Rich("document.sub", safe(p.Doc.Whom), n, p.Doc.Scope, p.Doc.AsOf)
	for _, part := range p.Doc.Parts {
		v := partView{Part: part}
		for _, f := range p.Doc.Faults {
			if f.Content == part.Content {
				v.Says = append(v.Says, safe(f.Says))
			}
		}
		if i := slices.IndexFunc(in.Statements, func(s incident.Said) bool { return s.Content == part.Content && s.Lang == p.DocLang }); i >= 0 {
			v.Writes = in.Statements[i].Text
			v.When = p.Short(in.Statements[i].At.UnixMilli())
		}
		p.Parts = append(p.Parts, v)
	}
	for i := range in.Signed {
		if e := &in.Signed[i]; e.Hash == p.Doc.Hash {
			p.Signed = append(p.Signed, p.T("document.signedby", safe(e.Who), p.Full(e.At.UnixMilli())))
		}
	}
	p.Print = strings.Replace(p.Path, "/document?", "/print?", 1)
	c.page(w, r, "document.html", p, http.StatusOK)
	return nil
}

// docLang is the language of a document: the one that is asked for, else the visitor's, if documents are in it.
func docLang(asked, own string) string {
	for _, l := range []string{asked, own} {
		if l == "en" || l == "ko" {
			return l
		}
	}
	return defaultLanguage
}

// documentPrint sends the document as a page that stands alone. Its one style is its own, named by its hash.
func (c *Console) documentPrint(w http.ResponseWriter, r *http.Request, _ api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	doc, err := c.cfg.API.Document(r.Context(), n, q.Get("law"), q.Get("duty"), docLang(q.Get("lang"), c.speech(r).lang), 0)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+incident.PageStyle()+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	return doc.WritePage(w)
}

// documentSign signs the document that was read.
func (c *Console) documentSign(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(r.PostFormValue("version"))
	if err != nil {
		return badForm
	}
	s := api.Signature{Law: r.PostFormValue("law"), Duty: r.PostFormValue("duty"), Lang: r.PostFormValue("lang"), Version: version, Hash: r.PostFormValue("hash")}
	if err := c.cfg.API.Sign(r.Context(), who, n, s); err != nil {
		return err
	}
	return back(w, r, fmt.Sprintf("/incidents/%d/document?%s", n, url.Values{"law": {s.Law}, "duty": {s.Duty}, "lang": {s.Lang}}.Encode()))
}
