package console

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
)

// noticeRow is a notice to people in the list of its incident.
type noticeRow struct {
	Number                       int64
	State, People, Sent, InDoubt string
	Open                         bool // it waits for somebody, or is under way
}

// notices lists those of an incident, the newest first.
func (p *incidentPage) notices(r *http.Request, c *Console) error {
	if c.cfg.Notices == nil {
		return nil
	}
	p.MayNotify = p.Admin && !p.Closed && len(p.Versions) > 0
	list, err := c.cfg.Notices.Notices(r.Context())
	if err != nil {
		return err
	}
	for _, n := range list {
		if n.Incident == p.Number {
			p.Notices = append(p.Notices, noticeRow{
				n.Number, p.T("notice.state." + string(n.State)), figure.Int(n.People), figure.Int(n.Outcomes["sent"]), figure.Int(n.Outcomes["in_doubt"]), n.State != notice.Done && n.State != notice.Stopped,
			})
		}
	}
	return nil
}

// postingView is a posted notice with its days.
type postingView struct {
	Title, Since, Until, Left, Gone string
	Whole, Days, Short              string
	Strip                           template.HTML
	Met, Early                      bool
	Gaps                            []string
}

// postings are the posted notices of an incident, the newest first.
func (p *incidentPage) postings(in *incident.Incident) {
	for i := range slices.Backward(in.Postings) {
		n := &in.Postings[i]
		met, left := n.Met(p.At)
		v := postingView{Title: safe(n.Title), Since: p.Full(n.First.UnixMilli()), Until: p.Full(n.Until.UnixMilli()), Left: p.Lasting(left), Met: met, Early: n.Early, Days: strconv.Itoa(n.Days)}
		if n.Removed != nil {
			v.Gone = p.T("posting.gone", p.Full(n.Removed.UnixMilli()), safe(n.Why))
		}
		days := n.Standing(p.At)
		whole := 0
		for _, d := range days {
			if d.Up == 24*time.Hour {
				whole++
			}
		}
		v.Whole = strconv.Itoa(whole)
		var down time.Duration
		for _, g := range n.Gaps {
			down += g.Until.Sub(g.From)
			v.Gaps = append(v.Gaps, p.T("posting.gap", p.Full(g.From.UnixMilli()), p.Full(g.Until.UnixMilli()), p.Lasting(g.Until.Sub(g.From))))
		}
		if down > 0 {
			v.Short = p.N("posting.short", int64(len(n.Gaps)), p.Lasting(down))
		}
		v.Strip = p.strip(days, p.T("posting.alt", whole, len(n.Gaps), n.Days))
		p.Posted = append(p.Posted, v)
	}
}

// strip draws the days of a posted notice: solid as far as it could be read, hatched where it could not, an outline for what has not come.
func (f *frame) strip(days []incident.StandingDay, alt string) template.HTML {
	const w, h = 18, 28
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="days" viewBox="0 0 %d %d" role="img" aria-label="%s">`, max(1, len(days))*w, h, template.HTMLEscapeString(alt))
	for i, d := range days {
		x, y := i*w+1, 1.0
		full := float64(h - 2)
		up := full * min(1, d.Up.Hours()/24)
		down := full * min(1, d.Down.Hours()/24)
		fmt.Fprintf(&b, `<g><title>%s</title><rect class="fill none" x="%d" y="1" width="%d" height="%g"/>`,
			template.HTMLEscapeString(f.T("posting.day", i+1, f.Day(d.From.UnixMilli()), f.Lasting(d.Up), f.Lasting(d.Down))), x, w-3, full)
		if down > 0 {
			fmt.Fprintf(&b, `<rect class="missed" x="%d" y="%g" width="%d" height="%g"/>`, x, y, w-3, down)
		}
		if up > 0 {
			fmt.Fprintf(&b, `<rect class="end" x="%d" y="%g" width="%d" height="%g"/>`, x, y+full-up, w-3, up)
		}
		b.WriteString(`</g>`)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // texts in it are escaped above
}

// noticePage is what notice.html shows.
type noticePage struct {
	*frame
	Of       *notice.Notice
	State    string
	Why      string
	Made     string
	Approved string
	Masked   string
	Mine     bool // who looks made it, and cannot approve it
	Counts   []countView
	Tried    string
	Quota    string
	Speed    string
	Done     int64 // of a hundred
	Samples  []sampleView
	History  []deed
	Faults   []string
	Dry      *notice.DryRun
	DryLangs string
	Doubt    int64
	Left     int64    // people who are not tried, or to be tried again
	Again    []string // outcomes that can be tried again
	Reached  int64    // people whom mail does not reach
}

type countView struct {
	Name, N string
	Bad     bool
}

type sampleView struct {
	Lang, Dir, Subject, Text string
}

// noticeOutcomes are the outcomes in the order in which people read them.
var noticeOutcomes = []notice.Outcome{
	notice.Sent, notice.NoContact, notice.BadContact, notice.InDoubt, notice.Left, notice.Refused, notice.GaveUp, notice.Bounced, notice.Deferred, notice.InFlight, notice.Waiting,
}

func (c *Console) noticeOf(r *http.Request) (*notice.Notice, error) {
	n, err := pathNumber(r)
	if err != nil || c.cfg.Notices == nil {
		return nil, errGone
	}
	out, err := c.cfg.Notices.Notice(r.Context(), n)
	return out, c.cfg.API.NoticeFault(err)
}

// noticeShown is one notice: how far it is, how many people have which outcome, its words in each language.
func (c *Console) noticeShown(w http.ResponseWriter, r *http.Request, who api.Who) error {
	return c.writeNotice(w, r, who, nil)
}

func (c *Console) writeNotice(w http.ResponseWriter, r *http.Request, who api.Who, dry *notice.DryRun) error {
	n, err := c.noticeOf(r)
	if err != nil {
		return err
	}
	p := c.noticeFrame(r, who, n)
	p.Dry = dry
	if dry != nil {
		var langs []string
		for _, l := range c.cfg.Notices.Languages() {
			if k := dry.Langs[l]; k > 0 {
				langs = append(langs, l+" "+figure.Int(k))
			}
		}
		p.DryLangs = strings.Join(langs, ", ")
	}
	for _, lang := range c.cfg.Notices.Languages() {
		m, err := c.cfg.Notices.Preview(r.Context(), n.Number, lang, nil, false)
		if err != nil {
			continue // what it lacks stands among its faults
		}
		p.Samples = append(p.Samples, sampleView{m.Lang, m.Dir, safe(m.Subject), m.Text})
	}
	if i := slices.IndexFunc(p.Samples, func(s sampleView) bool { return s.Lang == p.lang }); i > 0 { // the first stands open: the reader's language
		own := p.Samples[i]
		p.Samples = slices.Insert(slices.Delete(p.Samples, i, i+1), 0, own)
	}
	in, err := c.cfg.API.Incident(r.Context(), n.Incident, p.lang)
	if err != nil {
		return err
	}
	for i := range slices.Backward(in.Timeline) {
		if e := &in.Timeline[i]; e.Kind == incident.Noticed && e.Notice == n.Number {
			p.History = append(p.History, deed{p.Short(e.At.UnixMilli()), p.eventSays(e)})
		}
	}
	c.page(w, r, "notice.html", p, http.StatusOK)
	return nil
}

// noticeSays is what was done with a notice, in the reader's language. What somebody wrote beside it stands as they wrote it.
func (f *frame) noticeSays(e *incident.Event) string {
	deed, of := notice.ReadDeed(e.Title)
	if !slices.Contains(notice.Deeds, deed) {
		deed, of = safe(e.Title), ""
	}
	var n int64
	if e.Count != nil {
		n = *e.Count
	}
	if of != "" {
		of = f.T("outcome." + of)
	}
	text, note := f.N(deedKey(deed), n, of), e.Note
	switch deed {
	case notice.DeedInDoubt: // the words say why
		note = ""
	case notice.DeedDone:
		note = f.tally(note)
	case notice.DeedWave:
		if speed, ok := strings.CutSuffix(strings.TrimPrefix(note, "at "), " a second"); ok {
			note = f.T("notice.atspeed", speed)
		} else {
			note = f.T("notice.fast")
		}
	case notice.DeedSample:
		if name, ok := f.words["language."+strings.TrimPrefix(note, "in ")]; ok {
			note = name
		}
	}
	if note != "" {
		text += ": " + safe(note)
	}
	return text
}

// deedKey is the message that says what was done.
func deedKey(deed string) string {
	return "notice.deed." + strings.NewReplacer(", ", "_", " ", "_").Replace(deed)
}

// tally puts outcomes and how many have them, as they stand in an event, into the reader's language.
func (f *frame) tally(note string) string {
	parts := strings.Split(note, ", ")
	for i, part := range parts {
		name, count, _ := strings.Cut(part, " ")
		if _, err := notice.OutcomeOf(name); err != nil {
			return note
		}
		parts[i] = f.T("outcome."+name) + " " + count
	}
	return strings.Join(parts, ", ")
}

// noticeProgress is the part of the page that changes while a notice is sent.
func (c *Console) noticeProgress(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := c.noticeOf(r)
	if err != nil {
		return err
	}
	if n.State != notice.Sending {
		w.Header().Set("HX-Refresh", "true") // other buttons are right now
	}
	c.page(w, r, "noticeprogress.html", c.noticeFrame(r, who, n), http.StatusOK)
	return nil
}

func (c *Console) noticeFrame(r *http.Request, who api.Who, n *notice.Notice) *noticePage {
	p := &noticePage{frame: c.frame(r, who, "incidents", "title.notice"), Of: n, Why: safe(n.Why), Mine: n.ByMaker(who.Name)}
	p.State = p.T("notice.state." + string(n.State))
	p.Path = fmt.Sprintf("/notices/%d", n.Number)
	p.Heading = p.T("notice.heading", n.Number)
	p.Sub = p.Rich("notice.sub", n.Incident, n.Version, p.State)
	p.Made = p.T("notice.madeby", safe(n.MadeBy), p.Full(n.MadeAt.UnixMilli()))
	if n.Approved != "" {
		p.Approved = p.T("notice.approvedby", safe(n.Approved))
	}
	switch {
	case n.MaskedOnly > 0 && n.MaskedTold:
		p.Masked = p.N("notice.maskedtold", n.MaskedOnly)
	case n.MaskedOnly > 0:
		p.Masked = p.N("notice.masked", n.MaskedOnly)
	}
	for _, o := range noticeOutcomes {
		k := n.Outcomes[o.String()]
		if k > 0 {
			p.Counts = append(p.Counts, countView{p.T("outcome." + o.String()), figure.Int(k), slices.Contains(notice.Unreached, o) || o == notice.InDoubt})
		}
		if k > 0 && slices.Contains(notice.Unreached, o) {
			p.Again = append(p.Again, o.String())
			p.Reached += k
		}
	}
	p.Doubt, p.Left = n.Outcomes["in_doubt"], n.Outcomes["waiting"]+n.Outcomes["deferred"]
	if p.Doubt > 0 && n.State == notice.WaveOver {
		p.Why = "" // the card below says it, with the buttons
	}
	tried := n.People - n.Outcomes["waiting"] - n.Outcomes["in_flight"] - n.Outcomes["deferred"]
	p.Tried, p.Quota = figure.Int(tried), figure.Int(n.Quota)
	if n.Quota > 0 {
		p.Done = min(100, 100*tried/n.Quota)
	}
	p.Speed = p.T("notice.speed", figure.Int(int64(n.PerSecond)))
	for _, f := range n.Faults {
		p.Faults = append(p.Faults, safe(strings.TrimLeft(f.Content+": "+f.Says, ": ")))
	}
	return p
}

// noticeMake fixes who gets a notice.
func (c *Console) noticeMake(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := pathNumber(r)
	if err != nil {
		return err
	}
	made, err := c.cfg.API.MakeNotice(r.Context(), who, n, api.NoticeSpec{Books: r.PostFormValue("books") != "", Masked: r.PostFormValue("masked") != ""})
	if err != nil {
		return err
	}
	return back(w, r, fmt.Sprintf("/notices/%d", made.Number))
}

// dryPeople is how many people a dry run from the page asks about.
const dryPeople = 1000

// noticeAct does what somebody wants with a notice.
func (c *Console) noticeAct(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := c.noticeOf(r)
	if err != nil {
		return err
	}
	ctx, book, text := r.Context(), c.cfg.Notices, func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	switch text("do") {
	case "dry":
		dry, err := c.cfg.API.DryNotice(ctx, who, n.Number, dryPeople)
		if err != nil {
			return err
		}
		return c.writeNotice(w, r, who, dry)
	case "approve":
		err = book.Approve(ctx, n.Number, who.Name, text("hash"))
	case "sample":
		err = book.Sample(ctx, n.Number, who.Name, text("to"), text("lang"))
	case "send":
		var size int64
		var rate float64
		if s := text("size"); s != "" {
			if size, err = strconv.ParseInt(s, 10, 64); err != nil || size < 1 {
				return badForm
			}
		}
		if s := text("rate"); s != "" {
			if rate, err = strconv.ParseFloat(s, 64); err != nil {
				return badForm
			}
		}
		err = book.Send(ctx, n.Number, who.Name, size, rate)
	case "pause":
		err = book.Pause(ctx, n.Number, who.Name, text("note"))
	case "resume":
		err = book.Resume(ctx, n.Number, who.Name)
	case "stop":
		err = book.Stop(ctx, n.Number, who.Name, text("note"))
	case "again":
		var from notice.Outcome
		if from, err = notice.OutcomeOf(text("outcome")); err != nil {
			return badForm
		}
		_, err = book.Again(ctx, n.Number, who.Name, from, text("note"))
	case "leave":
		_, err = book.Leave(ctx, n.Number, who.Name, text("note"))
	default:
		return badForm
	}
	if err != nil {
		return c.cfg.API.NoticeFault(err)
	}
	return back(w, r, fmt.Sprintf("/notices/%d", n.Number))
}

// noticeExport hands over the people whom mail does not reach, as CSV: ids and texts, no contact data.
func (c *Console) noticeExport(w http.ResponseWriter, r *http.Request, who api.Who) error {
	n, err := c.noticeOf(r)
	if err != nil {
		return err
	}
	if n.Approved == "" || n.Purged != nil {
		return api.Invalid("nobody can be handed over yet, or any more", "a second person approves the notice first")
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="notice-%d.csv"`, n.Number))
	if _, err := c.cfg.Notices.Export(r.Context(), n.Number, who.Name, nil, "", w); err != nil {
		c.cfg.Logger.Error("an export was broken off", "error", err)
		panic(http.ErrAbortHandler) // what was written is not the whole
	}
	return nil
}
