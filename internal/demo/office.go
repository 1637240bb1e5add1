package demo

import (
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/regime"
)

// moment is a time of the demo's zone, with its day and the zone; clock is without the zone, where a head or a caption has it.
func (w *world) moment(t time.Time) string { return w.clock(t) + t.In(w.zone).Format(" MST") }

func (w *world) clock(t time.Time) string { return t.In(w.zone).Format("2006-01-02 15:04:05") }

// zoneName is what the zone is called at a time.
func (w *world) zoneName(t time.Time) string { return t.In(w.zone).Format("MST") }

// showIncident is the incident with its clocks, and its two scope versions beside the thief's list.
func (w *world) showIncident(v *view) []panel {
	b := w.after()
	clocks := panel{Kind: "plain", Head: v.T("incident.head.none"), Notes: []template.HTML{v.Rich("incident.wait")}}
	if b.incident == nil {
		return []panel{clocks}
	}
	in := b.incident.Incident
	now := w.cfg.Now()
	at := b.ahead(now)
	clocks.Head, clocks.Notes = v.T("incident.head", strconv.FormatInt(in.Number, 10)), nil
	clocks.Says = v.Rich("incident.says.hand", in.Opened.In(w.zone).Format("15:04:05"))
	if b.itself {
		clocks.Says = v.Rich("incident.says", in.Opened.In(w.zone).Format("15:04:05"))
	}
	for _, m := range in.Marks {
		clocks.Facts = append(clocks.Facts, fact{Label: v.T("moment." + string(m.Moment)), Value: w.moment(m.At), Of: console.Safe(m.By)})
	}
	for _, h := range in.Holds {
		clocks.Facts = append(clocks.Facts, fact{Label: v.T("incident.hold"), Value: v.T("incident.held", strconv.FormatUint(h, 10))})
	}
	clocks.Tables = []table{w.clockTable(v, in, at, b.days), w.tellingTable(v, in, now, at)}
	clocks.Below = append(clocks.Below, v.Rich("incident.ahead"), v.Rich("incident.counsel"))
	if b.days < mostDays {
		clocks.First = append(clocks.First, action{Do: "day", Text: v.T("incident.day")})
	}
	if b.days > 0 {
		clocks.First = append(clocks.First, action{Do: "today", Text: v.T("incident.today")})
	}
	clocks.Links = []way{{inConsole("/incidents/" + strconv.FormatInt(in.Number, 10)), v.T("way.incident")}}
	if box := w.room.box(officeMail); len(box) > 0 {
		clocks.Links = append(clocks.Links, way{mailPath(box[0]), v.T("way.office")})
	}
	return []panel{clocks, b.versionPanel(v)}
}

// clockTable is how each clock stands at a moment.
func (w *world) clockTable(v *view, in *incident.Incident, at time.Time, days int) table {
	t := table{Caption: v.T("clocks.now"), Head: []string{v.T("clocks.whom"), v.T("clocks.due", w.zoneName(at)), v.T("clocks.state")}}
	if days > 0 {
		t.Caption = v.N("clocks.ahead", int64(days), w.moment(at))
	}
	for _, c := range in.Clocks(w.laws, jurisdictions, at, v.Lang()) {
		if c.State == regime.NotDue || c.State == regime.NotInUse {
			continue
		}
		row := tableRow{Label: c.Whom, Below: c.Name}
		due := cell{Text: c.Words}
		if !c.Due.IsZero() {
			due.Text = w.clock(c.Due)
		}
		state := cell{Text: v.T("clock." + string(c.State)), Bad: c.State == regime.Overdue || c.State == regime.Late}
		switch {
		case !c.Done.IsZero():
			state.Below = w.clock(c.Done)
		case c.Due.IsZero():
		case c.State == regime.Overdue:
			state.Below = v.T("clock.since", v.lasting(at.Sub(c.Due)))
		case c.State == regime.Running:
			state.Below = v.T("clock.left", v.lasting(c.Due.Sub(at)))
		}
		row.Cells = []cell{due, state}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// lasting is a duration to the minute.
func (v *view) lasting(d time.Duration) string {
	d = d.Round(time.Minute)
	hours, minutes := int64(d/time.Hour), int64(d%time.Hour/time.Minute)
	if hours >= 48 {
		return v.T("unit.dh", figure.Int(hours/24), strconv.FormatInt(hours%24, 10))
	}
	return v.T("unit.hm", figure.Int(hours), strconv.FormatInt(minutes, 10))
}

// untilAll is how long after now everything that has a number is over.
const untilAll = 4 * 24 * time.Hour

// tellingTable is what the channels are told, and when.
func (w *world) tellingTable(v *view, in *incident.Incident, now, at time.Time) table {
	t := table{Caption: v.T("tellings", w.zoneName(now)), Timed: true}
	until := now.Add(untilAll)
	if at.After(until) {
		until = at
	}
	for _, x := range w.tellings(in, until) {
		t.Rows = append(t.Rows, tableRow{Label: w.clock(x.at), Cells: []cell{{Text: x.says}}, Ahead: x.at.After(at)})
	}
	return t
}

// versionPanel is the first count beside the second, each beside the thief's list.
func (b *breach) versionPanel(v *view) panel {
	p := panel{Kind: "plain", Head: v.T("versions.head"), Says: v.Rich("versions.says")}
	if len(b.versions) == 0 {
		p.Notes = []template.HTML{v.Rich("incident.wait")}
		return p
	}
	t := table{Caption: v.T("versions.caption"), Head: []string{v.T("versions.count")}}
	row := func(label string, value func(c *counted) cell) {
		r := tableRow{Label: label}
		for i := range b.versions {
			r.Cells = append(r.Cells, value(&b.versions[i]))
		}
		t.Rows = append(t.Rows, r)
	}
	for i := range b.versions {
		t.Head = append(t.Head, v.T("versions.version", strconv.Itoa(b.versions[i].Number)))
	}
	number := func(n int64, bad bool) cell { return cell{Text: figure.Int(n), Bad: bad} }
	row(v.T("versions.customers"), func(c *counted) cell {
		return cell{Text: sign(&c.Answer) + " " + figure.Int(c.Answer.Subjects)}
	})
	row(v.T("versions.thief"), func(c *counted) cell { return number(c.thief, false) })
	row(v.T("versions.missing"), func(c *counted) cell { return number(c.missing, c.missing > 0) })
	row(v.T("versions.extra"), func(c *counted) cell { return number(c.extra, c.extra > 0) })
	row(v.T("versions.other"), func(c *counted) cell { return number(c.other, c.other > 0) })
	for _, f := range []string{"phone", "address", "door_code"} {
		row(v.T("versions.field", v.T("field."+f)), func(c *counted) cell { return number(c.Answer.Fields[f], false) })
	}
	row(v.T("versions.others"), func(c *counted) cell { return number(c.Answer.Others, false) })
	p.Tables = []table{t}
	for i := range b.versions {
		c := &b.versions[i]
		p.Notes = append(p.Notes, v.Rich("versions.reason", strconv.Itoa(c.Number), console.Safe(c.Reason)))
		if d := c.Difference; d != nil {
			p.Notes = append(p.Notes, v.Rich("versions.difference", figure.Int(d.Added), figure.Int(d.Removed), figure.Int(d.Widened), figure.Int(d.Same), v.causes(d.Causes)))
		}
		p.Gaps = append(p.Gaps, gapsOf(&c.Answer)...)
	}
	p.Gaps = slices.Compact(p.Gaps)
	return p
}

// causes words why two scope versions differ.
func (v *view) causes(list []string) string {
	var out []string
	for _, c := range list {
		switch c {
		case "filter", "records", "catalog":
			out = append(out, v.T("cause."+c))
		}
	}
	return strings.Join(out, ", ")
}

// document is the address of a document of the incident at the server: its page to print, or JSON.
func (b *breach) document(kind, law, duty, lang string) string {
	q := url.Values{"law": {law}, "duty": {duty}, "lang": {lang}}.Encode()
	if kind == "json" {
		return inConsole(fmt.Sprintf("/v1/incidents/%d/document?%s", b.number, q))
	}
	return inConsole(fmt.Sprintf("/incidents/%d/%s?%s", b.number, kind, q))
}

// part is what a document says of a content.
func partOf(d *incident.Document, content string) string {
	i := slices.IndexFunc(d.Parts, func(p incident.Part) bool { return p.Content == content })
	if i < 0 {
		return ""
	}
	return d.Parts[i].Heading + "\n" + console.Safe(d.Parts[i].Text)
}

// leaked is what a report says that matters here.
func leaked(d *incident.Document) []string {
	return []string{partOf(d, "what_leaked"), partOf(d, "measures")}
}

// paragraphs are those of a text.
func paragraphs(text string) []string {
	var out []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// showReport is the draft that the server refuses, and the report that went out.
func (w *world) showReport(v *view) []panel {
	b := w.after()
	draft := panel{Kind: "off", Head: v.T("report.draft")}
	right := panel{Kind: "plain", Head: v.T("report.right")}
	if b.draft == nil {
		draft.Kind, draft.Notes = "plain", []template.HTML{v.Rich("incident.wait")}
		return []panel{draft, right}
	}
	d := b.draft.docs[v.Lang()]
	draft.Says = v.Rich("report.draftsays", strconv.Itoa(d.Scope))
	draft.Letter, draft.LetterIn = leaked(&d), d.Lang
	t := table{Caption: v.T("report.faults")}
	for _, f := range d.Faults {
		t.Rows = append(t.Rows, tableRow{Label: incident.Heading(f.Content, v.Lang()), Cells: []cell{{Text: console.Safe(f.Says)}}})
	}
	draft.Tables = []table{t}
	draft.Notes = []template.HTML{v.Rich("report.refused", console.Safe(b.draft.refused))}
	if len(b.reports) == 0 {
		right.Says = v.Rich("report.rightsays")
		right.Actions = []action{{Do: "sign", Text: v.T("report.sign")}}
		return []panel{draft, right}
	}
	right.Kind, right.Glyph = "on", "contained"
	t = table{Caption: v.T("report.sent"), Head: []string{v.T("clocks.whom"), v.T("report.at", w.zoneName(w.cfg.Now())), v.T("clocks.state")}}
	for i := range b.reports {
		r := &b.reports[i]
		doc := r.docs[v.Lang()]
		if r.law == pipa {
			right.Says = v.Rich("report.done", strconv.Itoa(doc.Scope), r.signer)
			right.Letter, right.LetterIn = leaked(&doc), doc.Lang
			right.Facts = []fact{{Label: v.T("report.faults"), Value: figure.Int(int64(len(doc.Faults)))}, {Label: v.T("report.hash"), Value: doc.Hash[:16] + "…"}}
			right.Links = append(right.Links, way{b.document("print", r.law, r.duty, v.Lang()), v.T("way.print")}, way{b.document("json", r.law, r.duty, v.Lang()), v.T("way.json")},
				way{b.document("document", r.law, r.duty, v.Lang()), v.T("way.document")})
		}
		state := cell{}
		for _, c := range b.incident.Clocks {
			if c.Law == r.law && c.Duty == r.duty && c.Later == nil {
				state = cell{Text: v.T("clock." + string(c.State)), Below: v.T("clock.due", w.clock(c.Due)), Bad: c.State == regime.Late}
			}
		}
		t.Rows = append(t.Rows, tableRow{Label: doc.Whom, Below: doc.Name, Cells: []cell{{Text: w.clock(r.at)}, state}})
	}
	right.Tables = []table{t}
	return []panel{draft, right}
}

// showNotices is the notice before it goes out, and the mails that came.
func (w *world) showNotices(v *view) []panel {
	b := w.after()
	before := panel{Kind: "plain", Head: v.T("notices.before")}
	mails := panel{Kind: "on", Head: v.T("notices.mails"), Sign: "=", Figure: "0", Label: v.NRich("notices.label", 0)}
	if b.notice == nil || b.samples == nil {
		before.Notes = []template.HTML{v.Rich("incident.wait")}
		return []panel{before, mails}
	}
	n, dry := b.notice, b.dry
	before.Says = v.Rich("notices.says", strconv.Itoa(n.Version))
	before.Facts = []fact{
		{Label: v.T("notices.people"), Value: figure.Int(n.People)},
		{Label: v.T("notices.customers"), Value: figure.Int(n.People - n.Books)},
		{Label: v.T("notices.books"), Value: figure.Int(n.Books)},
		{Label: v.T("notices.dry"), Value: figure.Int(dry.Mailable), Of: v.T("fact.of", figure.Int(dry.People))},
		{Label: v.T("notices.nocontact"), Value: figure.Int(dry.Missing)},
		{Label: v.T("notices.langs"), Value: v.T("notices.langsare", figure.Int(dry.Langs["en"]), figure.Int(dry.Langs["ko"]))},
		{Label: v.T("report.faults"), Value: figure.Int(int64(len(dry.Faults)))},
	}
	sample := b.samples[v.Lang()]
	before.Letter, before.LetterIn = append([]string{sample.Subject}, paragraphs(sample.Text)...), sample.Lang
	before.Links = []way{{mailPath(b.sampled[v.Lang()]), v.T("mail.sample")}}
	before.Notes = []template.HTML{v.Rich("notices.alone", officer, console.Safe(b.alone))}
	if b.done < partSent && n.State == notice.Made {
		before.Actions = []action{{Do: "send", Text: v.T("notices.send", figure.Int(n.People)), Held: true}}
		return []panel{before, mails}
	}
	before.Notes = append(before.Notes, v.Rich("notices.approved", second))
	arrived := w.room.count(noticeFrom) - int64(len(b.sampled))
	mails.Figure, mails.Label = figure.Int(arrived), v.NRich("notices.label", arrived)
	if n.State != notice.Done {
		mails.Sign = "≥"
	}
	mails.Facts = []fact{{Label: v.T("notices.sent"), Value: figure.Int(n.Outcomes["sent"]), Of: v.T("fact.of", figure.Int(n.People))}}
	for _, o := range []string{"waiting", "in_flight", "deferred", "no_contact", "bad_contact", "refused", "gave_up", "in_doubt"} {
		if k := n.Outcomes[o]; k > 0 {
			mails.Facts = append(mails.Facts, fact{Label: v.T("outcome." + o), Value: figure.Int(k)})
		}
	}
	if n.Trouble != "" {
		mails.Gaps = append(mails.Gaps, console.Safe(n.Trouble))
	}
	for _, x := range b.examples {
		mails.Links = append(mails.Links, way{mailPath(x.number), v.T("mail." + x.kind)})
	}
	if len(b.incident.Postings) > 0 {
		p := &b.incident.Postings[0]
		mails.Facts = append(mails.Facts, fact{Label: v.T("notices.posted"), Value: w.moment(p.First)}, fact{Label: v.T("notices.until"), Value: w.moment(p.Until)})
		mails.Links = append(mails.Links, way{w.noticeURL + "/?lang=" + v.Lang(), v.T("way.posted")}, way{w.noticeURL + "/notice?lang=" + v.Lang(), v.T("way.genuine")})
		mails.Notes = append(mails.Notes, v.Rich("notices.affected", w.visitor.Email, w.visitor.Password))
		mails.Links = append(mails.Links, way{w.shopURL + "/me/codes", v.T("way.codes")}, way{inConsole("/incidents/" + strconv.FormatInt(b.number, 10)), v.T("way.incident")})
	}
	return []panel{before, mails}
}
