package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// accessRow is one access to a customer.
type accessRow struct {
	Day, Time, UTC         string
	Who, Claim, Route, Why string
	Outcome                string
	Dots                   []string // d: disclosed, o: masked, "": not shown
	Hot                    bool
	Number                 int64 // of a finding
}

// accessRows words accesses. unexplained and unissued name those that nothing explains, and whose credential no log-in issued; nil: it
// is not known here.
func (f *frame) accessRows(list []whosaw.Record, unexplained, unissued map[string]bool, finding func(*whosaw.Record) int64, columns ...string) (fields []string, out []accessRow) {
	fields = fieldsOf(list)
	if !slices.ContainsFunc(fields, func(name string) bool { return !slices.Contains(columns, name) }) {
		fields = columns // the table has begun with them
	}
	day := ""
	for i := range list {
		r := &list[i]
		row := accessRow{Time: f.Milli(r.Time), UTC: f.UTC(r.Time), Route: r.Route, Outcome: f.T("outcome." + r.Outcome.String())}
		if d := f.Day(r.Time); d != day {
			day, row.Day = d, d
		}
		id := identity(r)
		row.Who, row.Claim = f.whoIs(r, unissued[id])
		switch {
		case unissued[id]:
			row.Why, row.Hot = f.T("why.never"), true
		case unexplained[id]:
			row.Why, row.Hot = f.T("why.none"), true
		case unexplained != nil && r.Reason != "":
			row.Why = f.T("why.reason", safe(r.Reason))
		case unexplained != nil:
			row.Why = f.T("why.explained")
		}
		if finding != nil && row.Hot {
			row.Number = finding(r)
		}
		for _, name := range fields {
			switch {
			case slices.Contains(r.Fields, name):
				row.Dots = append(row.Dots, "d")
			case slices.Contains(r.Masked, name):
				row.Dots = append(row.Dots, "o")
			default:
				row.Dots = append(row.Dots, "")
			}
		}
		out = append(out, row)
	}
	return fields, out
}

// fieldsOf names the first fields that accesses showed, in clear or masked: the columns of a table.
func fieldsOf(list []whosaw.Record) (fields []string) {
	for i := range list {
		for _, name := range slices.Concat(list[i].Fields, list[i].Masked) {
			if !slices.Contains(fields, name) {
				fields = append(fields, name)
			}
		}
	}
	slices.SortFunc(fields, fieldOrder)
	return fields[:min(8, len(fields))]
}

// identity tells accesses apart.
func identity(r *whosaw.Record) string {
	return fmt.Sprintf("%s\x00%d\x00%s\x00%d", r.Source, r.Position, r.ID, r.Time)
}

// whoIs says who opened it, and what they only claimed: claimed is not established.
func (f *frame) whoIs(r *whosaw.Record, never bool) (who, claim string) {
	name := safe(r.Principal)
	if r.Principal == "" {
		name = f.T("who.nobody")
		if r.IP.IsValid() {
			name = f.T("who.address", r.IP.String())
		}
	}
	if !never {
		return name, ""
	}
	who = f.T("who.never")
	if r.Key != "" {
		who = f.T("who.neverkey", safe(r.Key))
	}
	if r.Principal != "" {
		claim = f.T("who.claims", safe(r.Principal))
	}
	return who, claim
}

// subjectPage is what subject.html shows.
type subjectPage struct {
	*frame
	Handle   string
	Subject  string
	Realm    string
	Ask      bool // no customer yet: the form alone
	Sentence template.HTML
	Groups   []subjectGroup
	Shown    []string // fields of the groups
	Fields   []string // of the rows
	Named    bool     // the rows need a head of their own: the table began with other fields
	Rows     []accessRow
	From, To string
	Total    string
	Next     string
	Only     bool // unexplained only
	Months   template.HTML
	Gaps     []string
	Opened   string
}

type subjectGroup struct {
	Name   string
	N      string
	Strip  template.HTML
	Counts []string
	Hot    bool
}

// subjectAsk is the form that asks for a customer.
func (c *Console) subjectAsk(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p := &subjectPage{frame: c.frame(r, who, "subject", "title.subject"), Ask: true}
	p.Sub = p.Rich("subject.asksub")
	c.page(w, r, "subject.html", p, http.StatusOK)
	return nil
}

// subjectGo leads to a customer: the id comes in a form and stands in no address.
func (c *Console) subjectGo(w http.ResponseWriter, r *http.Request, _ api.Who) error {
	s := subjectRef{Subject: strings.TrimSpace(r.PostFormValue("subject"))}
	if s.Subject == "" || len(s.Subject) > whosaw.MaxSubject {
		return api.Invalid("no customer was named", "give the customer's id, 1 to 256 bytes")
	}
	if realm := r.PostFormValue("realm"); realm != "" {
		s.Realm = &realm
	}
	id, err := c.subjectHandle(r.Context(), s)
	if err != nil {
		return err
	}
	return back(w, r, "/subject/"+id)
}

const (
	subjectRows = 30
	// subjectMost bounds the accesses that the summary is made of; beyond, it is at least.
	subjectMost = 2000
)

// subject says who saw a customer's data.
func (c *Console) subject(w http.ResponseWriter, r *http.Request, who api.Who) error {
	var s subjectRef
	if err := c.behind(r.Context(), "subject", r.PathValue("handle"), &s); err != nil {
		return err
	}
	p := &subjectPage{frame: c.frame(r, who, "subject", "title.subject"), Handle: r.PathValue("handle"), Subject: s.Subject, Only: r.URL.Query().Get("only") != ""}
	if s.Realm != nil {
		p.Realm = *s.Realm
	}
	p.Path = "/subject/" + p.Handle
	p.Heading = p.T("subject.heading", safe(s.Subject))
	act := whosaw.Filter{{Subject: []string{literal(s.Subject)}}}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "subject", act)
	if err != nil {
		return err
	}
	defer end()
	year := whosaw.Time(p.At.AddDate(-1, 0, 0).UnixMilli())
	all, err := q.Subject(ctx, s.Realm, s.Subject, whosaw.Filter{{From: year}}, subjectMost, "")
	if err != nil {
		return asked(ctx, err)
	}
	fed, err := isFed(ctx, q, s)
	if err != nil {
		return asked(ctx, err)
	}
	unexplained, never, err := judge(ctx, q, all.Accesses, fed)
	if err != nil {
		return asked(ctx, err)
	}
	a, err := q.Count(ctx, act)
	if err != nil {
		return asked(ctx, err)
	}
	p.Gaps = p.gaps(a.Gaps)
	p.summary(all.Accesses, unexplained, never, all.Next != "" || len(a.Gaps) > 0)
	if err := p.rows(ctx, c, q, s, "", nil, fed); err != nil {
		return asked(ctx, err)
	}
	p.Sub = p.Rich("subject.sub", p.Clock()+" "+p.ZoneName())
	p.Opened = p.T("subject.recorded", p.Clock()+" "+p.ZoneName())
	c.page(w, r, "subject.html", p, http.StatusOK)
	return nil
}

// isFed reports whether the issuances of everything that the customer was shown to are reported: of the keys and clients without a feed nobody can say that a
// credential was never issued.
func isFed(ctx context.Context, q *pipeline.Question, s subjectRef) (bool, error) {
	no := false
	count, err := q.Count(ctx, whosaw.Filter{{Issued: &no, Subject: []string{literal(s.Subject)}}})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(count.Gaps, func(g whosaw.Gap) bool { return g.Kind == whosaw.GapNoFeed }), nil
}

// judge names those of some accesses that nothing explains, and those of them whose credential no log-in issued although its issuances are reported.
func judge(ctx context.Context, q *pipeline.Question, list []whosaw.Record, fed bool) (unexplained, never map[string]bool, err error) {
	judged, err := q.Judge(ctx, list)
	if err != nil {
		return nil, nil, err
	}
	unexplained, never = map[string]bool{}, map[string]bool{}
	for i := range list {
		if r := &list[i]; !judged[i].Explained {
			id := identity(r)
			unexplained[id] = true
			if fed && r.Credential != "" && !judged[i].Issued {
				never[id] = true
			}
		}
	}
	return unexplained, never, nil
}

// rows is a page of accesses, in a table that began with some columns. Each is judged by itself, whatever its age.
func (p *subjectPage) rows(ctx context.Context, c *Console, q *pipeline.Question, s subjectRef, cursor string, columns []string, fed bool) error {
	no := false
	filter := whosaw.Filter{{}}
	if p.Only {
		filter[0].Explained = &no
	}
	page, err := q.Subject(ctx, s.Realm, s.Subject, filter, subjectRows, cursor)
	if err != nil {
		return err
	}
	unexplained, never, err := judge(ctx, q, page.Accesses, fed)
	if err != nil {
		return err
	}
	p.Next = page.Next
	p.Fields, p.Rows = p.accessRows(page.Accesses, unexplained, never, c.findingOf(ctx), columns...)
	p.Named = cursor != "" && !slices.Equal(p.Fields, columns)
	return nil
}

// findingOf says which finding an access belongs to, by key, client or principal and time.
func (c *Console) findingOf(context.Context) func(*whosaw.Record) int64 {
	s := c.watch.state()
	return func(r *whosaw.Record) int64 {
		for i := len(s.findings) - 1; i >= 0; i-- {
			f := &s.findings[i]
			for j := range f.Filter {
				t := &f.Filter[j]
				if t.From != 0 && int64(t.From) > r.Time {
					continue
				}
				if r.Key != "" && slices.Contains(t.Key, literal(r.Key)) || r.Client != "" && slices.Contains(t.Client, literal(r.Client)) || r.Principal != "" && slices.Contains(t.Principal, literal(r.Principal)) {
					return f.Number
				}
			}
		}
		return 0
	}
}

// groupOf puts an access under who opened it: established, not claimed.
func groupOf(r *whosaw.Record, subject string, bare, never bool) string {
	kind, name, _ := strings.Cut(r.Principal, ":")
	switch {
	case never:
		return "never"
	case bare && kind != "customer":
		return "unexplained"
	case kind == "customer" && name == subject && !bare:
		return "customer"
	case kind == "customer" && name == subject:
		return "claims"
	case kind == "customer":
		return "others"
	case kind == "service", kind == "courier", kind == "staff", kind == "partner":
		return kind
	case r.Principal == "":
		return "nobody"
	}
	return "else"
}

// groupOrder is the order of the strips; what nothing explains comes last, where the eye ends.
var groupOrder = []string{"customer", "claims", "others", "service", "courier", "staff", "partner", "else", "nobody", "unexplained", "never"}

// summary is the sentence and a strip of strokes for each kind of actor.
func (p *subjectPage) summary(list []whosaw.Record, unexplained, never map[string]bool, least bool) {
	from, to := p.At.AddDate(-1, 0, 0).UnixMilli(), p.At.UnixMilli()
	actors := map[string]bool{}
	groups := map[string][]*whosaw.Record{}
	bare := int64(0)
	for i := range list {
		r := &list[i]
		id := identity(r)
		if unexplained[id] {
			bare++
		}
		name := r.Principal
		if never[id] {
			name = "never issued, key " + r.Key
		}
		actors[name] = true
		g := groupOf(r, p.Subject, unexplained[id], never[id])
		groups[g] = append(groups[g], r)
	}
	p.Shown = fieldsOf(list)
	key := "subject.says"
	if len(list) == 0 {
		key = "subject.saysnone"
	}
	least2 := ""
	if least {
		least2 = p.T("says.least")
	}
	p.Total = figure.Int(int64(len(list)))
	if least {
		p.Total = "≥ " + p.Total
	}
	p.Sentence = p.Rich(key, least2, p.N("subject.times", int64(len(list))), p.N("subject.actors", int64(len(actors))))
	switch {
	case len(list) == 0:
	case bare == 0:
		p.Sentence += " " + p.Rich("subject.allexplained")
	default:
		p.Sentence += " " + p.NRich("subject.bare", bare)
		if n := int64(len(groups["never"])); n > 0 {
			p.Sentence += " " + p.NRich("subject.never", n)
		}
	}
	for _, g := range groupOrder {
		rows := groups[g]
		if len(rows) == 0 {
			continue
		}
		hot := g == "never" || g == "unexplained"
		v := subjectGroup{Name: p.T("group." + g), N: figure.Int(int64(len(rows))), Hot: hot, Strip: strokes(rows, from, to, hot)}
		for _, f := range p.Shown {
			n := int64(0)
			for _, r := range rows {
				if slices.Contains(r.Fields, f) {
					n++
				}
			}
			if n == 0 {
				v.Counts = append(v.Counts, "")
			} else {
				v.Counts = append(v.Counts, figure.Int(n))
			}
		}
		p.Groups = append(p.Groups, v)
	}
	p.Months = months(from, to, p.frame)
}

// strokes draws one stroke an access.
func strokes(rows []*whosaw.Record, from, to int64, hot bool) template.HTML {
	var b strings.Builder
	class := "line"
	if hot {
		class = "line hot"
	}
	b.WriteString(`<svg viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true"><path class="` + class + `" d="`)
	last := -1.0
	for _, r := range rows {
		x := 1000 * float64(r.Time-from) / float64(to-from)
		if x < 0 || x > 1000 || last >= 0 && last-x < .7 && last-x >= 0 {
			continue
		}
		last = x
		b.WriteString("M" + num(min(998, x)) + " 3V17")
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers
}

// months writes the months under the strips.
func months(from, to int64, f *frame) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg aria-hidden="true" height="18" width="100%">`)
	t := time.UnixMilli(from).In(f.Zone)
	t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, f.Zone)
	for i := 0; t.UnixMilli() < to; i, t = i+1, t.AddDate(0, 1, 0) {
		class := ""
		if i%3 != 0 {
			class = ` class="wide-only"`
		}
		x := 100 * float64(t.UnixMilli()-from) / float64(to-from)
		name := t.Format("Jan")
		if f.lang == "ko" {
			name = strconv.Itoa(int(t.Month())) + "월"
		}
		if x < 96 {
			fmt.Fprintf(&b, `<text%s x="%s%%" y="13">%s</text>`, class, num2(x), name)
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and our own words
}

// subjectMore is the next page of accesses, by a cursor that names nobody.
func (c *Console) subjectMore(w http.ResponseWriter, r *http.Request, who api.Who) error {
	var s subjectRef
	if err := c.behind(r.Context(), "subject", r.PathValue("handle"), &s); err != nil {
		return err
	}
	p := &subjectPage{frame: c.frame(r, who, "subject", "title.subject"), Handle: r.PathValue("handle"), Only: r.URL.Query().Get("only") != ""}
	p.Path = "/subject/" + p.Handle
	ctx, q, end, err := c.cfg.API.Ask(r, who, "subject", whosaw.Filter{{Subject: []string{literal(s.Subject)}}})
	if err != nil {
		return err
	}
	defer end()
	fed, err := isFed(ctx, q, s)
	if err != nil {
		return asked(ctx, err)
	}
	cols := r.URL.Query()["col"]
	if err := p.rows(ctx, c, q, s, r.URL.Query().Get("next"), cols[:min(8, len(cols))], fed); err != nil {
		return asked(ctx, err)
	}
	c.page(w, r, "subjectmore.html", p, http.StatusOK)
	return nil
}

// Cols is how many columns the table of accesses has.
func (p *subjectPage) Cols() int { return 6 + len(p.Fields) }

// More is where the next page of accesses is. Fields are no secret.
func (p *subjectPage) More() string {
	q := url.Values{"next": {p.Next}, "col": p.Fields}
	if p.Only {
		q.Set("only", "unexplained")
	}
	return p.Path + "/more?" + q.Encode()
}
