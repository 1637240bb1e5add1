package console

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// findingsPage is what findings.html shows.
type findingsPage struct {
	*frame
	Lines []findingRow
	State string
	Next  int64
	Total alarm.Status
	Seen  int64 // accesses that were looked at
}

type findingRow struct {
	Number                       int64
	Open                         bool
	Sentence                     template.HTML
	Detector, State, Owner, When string
	Subjects, Accesses           int64
}

func (c *Console) findings(w http.ResponseWriter, r *http.Request, who api.Who) error {
	q := alarm.Query{Limit: 50, State: alarm.State(r.URL.Query().Get("state"))}
	switch q.State {
	case "", alarm.Open, alarm.Harvest, alarm.Explained, alarm.False:
	default:
		return api.Invalid("there is no such state", "choose one on the page")
	}
	q.Before, _ = strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // none: the newest
	list, next, err := c.cfg.Alarms.Findings(r.Context(), q)
	if err != nil {
		return err
	}
	p := &findingsPage{frame: c.frame(r, who, "findings", "title.findings"), State: string(q.State), Next: next}
	s := c.watch.state()
	p.Total, p.Seen = s.status.Alarms, s.status.Ledger.Accesses
	p.Sub = template.HTML(template.HTMLEscapeString(p.T("findings.sub", figure.Int(p.Total.Open), figure.Int(p.Total.Findings)))) //nolint:gosec // escaped
	owners, err := c.owners(r.Context())
	if err != nil {
		return err
	}
	for i := range list {
		x := &list[i]
		p.Lines = append(p.Lines, findingRow{
			Number: x.Number, Open: x.State == alarm.Open, Sentence: p.plainSentence(&x.Finding), Detector: safe(x.Finding.Detector), State: p.T("state." + string(x.State)),
			Owner: owners[x.Finding.ID], When: p.Short(int64(x.Finding.Seen)), Subjects: x.Finding.Subjects, Accesses: x.Finding.Accesses,
		})
	}
	c.page(w, r, "findings.html", p, http.StatusOK)
	return nil
}

// owners gives who has taken which finding.
func (c *Console) owners(ctx context.Context) (map[string]string, error) {
	rows, err := c.cfg.State.Read().QueryContext(ctx, `SELECT finding, owner FROM console_take`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, owner string
		if err := rows.Scan(&id, &owner); err != nil {
			return nil, err
		}
		out[id] = owner
	}
	return out, rows.Err()
}

// findingPage is what finding.html shows.
type findingPage struct {
	*frame
	Found    api.Found
	Owner    string
	Plain    template.HTML
	Chips    [][]chip
	Handle   string
	Agree    []agreeing
	Climb    *climbView
	Fact     bool
	Done     []deed
	Contain  *containView
	Other    string // language
	Verdicts []string
	// Incidents it belongs to.
	Incidents []int64

	// Of the figures, which come behind.
	Sentence template.HTML
	Answer   *whosaw.ScopeAnswer
	Fields   []fieldView
	Sofar    string // what is known while it is not all
	Again    string // where the next turn is asked for then
	Touched  bool
	Gaps     []string
	Timeline template.HTML
	Origins  []originView
	IPs      string
}

type agreeing struct {
	Number   int64
	Detector string
	At       string
	This     bool
}

type deed struct{ When, Says string }

type containView struct {
	None   bool
	Shadow bool
	Stands string
	Cuts   []cutView
}

type cutView struct {
	Cut
	First                bool
	Says, Button, Where  string
	ForgedBar, HonestBar template.HTML
}

type fieldView struct {
	Name, N string
	Bar     template.HTML
	Masked  bool
}

type originView struct {
	Name, Country string
	N             string
	Bar           template.HTML
}

// climbView is the evidence, of which the table is the plot.
type climbView struct {
	Threshold string
	Rows      []climbRow
	Earlier   string
	At        float64 // of the threshold, in per cent
}

type climbRow struct {
	N                          int
	Time, Member, Answer, Adds string
	Disclosed, Over, Gap       bool
	S                          string
	Bar                        template.HTML
}

// numbered finds a finding by its number.
func (c *Console) numbered(r *http.Request) (api.Found, error) {
	n, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
	if err != nil || n < 1 {
		return api.Found{}, api.NotFound("there is no such finding")
	}
	x, err := c.recorded(r.Context(), n)
	if err != nil {
		return api.Found{}, err
	}
	out := asFound(x)
	if out.Verdicts, err = c.cfg.Alarms.Verdicts(r.Context(), out.ID); err != nil {
		return out, err
	}
	out.Deliveries, err = c.cfg.Alarms.Deliveries(r.Context(), out.ID)
	return out, err
}

// recorded gives a finding by its number.
func (c *Console) recorded(ctx context.Context, n int64) (*alarm.Recorded, error) {
	list, _, err := c.cfg.Alarms.Findings(ctx, alarm.Query{Before: n + 1, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Number != n {
		return nil, api.NotFound("there is no such finding")
	}
	return &list[0], nil
}

func (c *Console) finding(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	p := &findingPage{frame: c.frame(r, who, "findings", "title.finding"), Found: x, Verdicts: []string{"harvest", "explained", "false"}}
	p.Heading = p.T("finding.heading", x.Number)
	p.Plain, p.Chips = p.plainSentence(&x.Finding), p.chips(x.Filter)
	if p.Handle, err = c.filterHandle(r.Context(), around(&x.Finding)); err != nil {
		return err
	}
	if p.Incidents, err = c.cfg.API.IncidentsOf(r.Context(), x.ID); err != nil {
		return err
	}
	owners, err := c.owners(r.Context())
	if err != nil {
		return err
	}
	p.Owner = owners[x.ID]
	p.Sub = p.opened(&x)
	if p.Agree, err = c.agree(r.Context(), &x); err != nil {
		return err
	}
	p.Fact = x.Threshold == 1
	if climb, ok := c.cfg.Live.Climb(x.ID); ok {
		p.Climb = p.climb(&climb, x.Threshold)
	}
	p.Contain = &containView{} // of what accuses no access there is nothing to refuse
	if len(x.Filter) > 0 {
		if p.Contain, err = c.containing(r.Context(), p.frame, &x); err != nil {
			return err
		}
	}
	if err := p.done(r.Context(), &x, c); err != nil {
		return err
	}
	for _, l := range p.Languages {
		if l != p.lang {
			p.Other = l
		}
	}
	c.page(w, r, "finding.html", p, http.StatusOK)
	return nil
}

// saysMost is how much is shown of what a detector says: all that any of them has to say.
const saysMost = 600

// Says is what the detector said.
func (p *findingPage) Says() string { return safeTo(p.Found.Says, saysMost) }

// around is the filter to look further with: what the finding accuses or, where it rests on what is on record about a key and accuses no
// access, all that the key signs.
func around(f *whosaw.Finding) whosaw.Filter {
	if key, ok := strings.CutPrefix(f.Unit, "key:"); ok && len(f.Filter) == 0 {
		if strings.HasPrefix(key, "!") {
			key = "!" + key
		}
		return whosaw.Filter{{Key: []string{key}}}
	}
	return f.Filter
}

// opened says since when it is open and who has it.
func (p *findingPage) opened(x *api.Found) template.HTML {
	owner := p.T("finding.untaken")
	if p.Owner != "" {
		owner = p.T("finding.taken", safe(p.Owner))
	}
	since := p.Lasting(p.At.Sub(time.UnixMilli(int64(x.RaisedAt))))
	if x.State == alarm.Open {
		return p.Rich("finding.open", since, owner)
	}
	return p.Rich("finding.judged", p.T("state."+string(x.State)), owner)
}

// agree lists the findings that accuse through the same key, client, principal or address: other detectors' view of the same.
func (c *Console) agree(ctx context.Context, x *api.Found) ([]agreeing, error) {
	list, _, err := c.cfg.Alarms.Findings(ctx, alarm.Query{Limit: 200, From: x.Time - 7*dayMS, To: x.Time + 7*dayMS})
	if err != nil {
		return nil, err
	}
	var out []agreeing
	for i := range list {
		y := &list[i]
		if y.Finding.ID == x.ID || related(x.Filter, y.Finding.Filter) {
			out = append(out, agreeing{y.Number, safe(y.Finding.Detector), figure.Int(y.Finding.Subjects), y.Finding.ID == x.ID})
		}
	}
	slices.Reverse(out)
	return out[:min(12, len(out))], nil
}

func related(a, b whosaw.Filter) bool {
	for i := range a {
		for j := range b {
			for _, m := range []string{"key", "client", "principal", "ip"} {
				for _, v := range *a[i].Values(m) {
					if !strings.HasPrefix(v, "!") && slices.Contains(*b[j].Values(m), v) {
						return true
					}
				}
			}
		}
	}
	return false
}

const (
	climbFirst = 4 // rows shown of a long climb: its first and its last
	climbLast  = 9
)

func (f *frame) climb(c *detect.Climb, threshold float64) *climbView {
	most := threshold
	for _, s := range c.Steps {
		most = max(most, s.S)
	}
	most *= 1.08
	v := &climbView{Threshold: decimal(threshold), At: 100 * threshold / most}
	n := int(c.Before)
	if n > 0 {
		v.Earlier = f.N("finding.earlier", c.Before, decimal(c.Start))
	}
	for i, s := range c.Steps {
		if len(c.Steps) > climbFirst+climbLast+1 && i >= climbFirst && i < len(c.Steps)-climbLast {
			if i == climbFirst {
				v.Rows = append(v.Rows, climbRow{Gap: true, Answer: f.N("finding.between", int64(len(c.Steps)-climbFirst-climbLast))})
			}
			continue
		}
		row := climbRow{
			N: n + i + 1, Time: f.Milli(s.Time), Member: f.T("finding.text"), Disclosed: s.Disclosed, Over: s.S >= threshold, S: decimal(s.S), Adds: signed(s.Adds),
			Bar: climbBar(s.S/most, threshold/most, s.S >= threshold),
		}
		if s.Numbered {
			row.Member = strconv.FormatUint(s.Subject, 10)
		}
		switch {
		case s.Disclosed:
			row.Answer = f.T("outcome.disclosed")
		case s.Absent:
			row.Answer = f.T("outcome.absent")
		default:
			row.Answer = f.T("outcome.none")
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

func signed(x float64) string {
	switch {
	case x > 0:
		return "+" + decimal(x)
	case x < 0:
		return "−" + decimal(-x)
	}
	return "0"
}

// done lists what was done about it, oldest first.
func (p *findingPage) done(ctx context.Context, x *api.Found, c *Console) error {
	type at struct {
		ms   int64
		says string
	}
	list := []at{{int64(x.RaisedAt), p.T("done.opened", safe(x.Detector))}}
	for _, d := range x.Deliveries {
		if d.Sent != nil {
			list = append(list, at{int64(*d.Sent), p.T("done.told", safe(d.Channel))})
		} else {
			list = append(list, at{int64(d.Made), p.T("done.waiting", safe(d.Channel))})
		}
	}
	if x.SuppressedBy != 0 {
		list = append(list, at{int64(x.RaisedAt), p.T("done.suppressed")})
	}
	for _, v := range x.Verdicts {
		list = append(list, at{int64(v.At), p.T("done.judged", safe(v.Who), p.T("state."+string(v.Kind)), safe(v.Reason))})
	}
	var owner, who string
	var when int64
	err := c.cfg.State.Read().QueryRow(`SELECT owner, who, at FROM console_take WHERE finding = ?`, x.ID).Scan(&owner, &who, &when)
	if err == nil {
		key := "done.taken"
		if owner != who {
			key = "done.assigned"
		}
		list = append(list, at{when, p.T(key, safe(owner), safe(who))})
	}
	if c.cfg.Contain != nil {
		decided, err := c.cfg.Contain.Decided(ctx, &x.Finding)
		if err != nil {
			return err
		}
		for _, d := range decided {
			what := p.plain(d.Filter)
			list = append(list, at{d.Made.UnixMilli(), p.T("done.contained", safe(d.Who), d.Action, what)})
			switch {
			case d.Ended.IsZero():
			case d.Undoer != "":
				list = append(list, at{d.Ended.UnixMilli(), p.T("done.undone", safe(d.Undoer), d.Action, what)})
			default:
				list = append(list, at{d.Ended.UnixMilli(), p.T("done.ended", d.Action, what)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b at) int { return cmp.Compare(a.ms, b.ms) })
	for _, d := range list {
		p.Done = append(p.Done, deed{p.Short(d.ms), d.says})
	}
	return nil
}

// containing says whether something can be done, and what is in force. The preview, which counts, comes behind.
func (c *Console) containing(ctx context.Context, f *frame, x *api.Found) (*containView, error) {
	v := &containView{None: c.cfg.Contain == nil}
	if v.None {
		return v, nil
	}
	v.Shadow = c.cfg.Contain.Shadow()
	since, until, err := c.cfg.Contain.Stands(ctx, &x.Finding)
	if err == nil && !since.IsZero() {
		key := "contain.inforce"
		if v.Shadow {
			key = "contain.recorded"
		}
		v.Stands = f.T(key, f.Short(since.UnixMilli()), f.Short(until.UnixMilli()))
	}
	return v, err
}

// findingContain previews what could be done, exactly.
func (c *Console) findingContain(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	p := &findingPage{frame: c.frame(r, who, "findings", "title.finding"), Found: x}
	p.Path = "/findings/" + strconv.FormatInt(x.Number, 10)
	if p.Contain, err = c.containing(r.Context(), p.frame, &x); err != nil {
		return err
	}
	if c.cfg.Contain == nil {
		return errNoGuard
	}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "guard_preview", x.Filter)
	if err != nil {
		return err
	}
	defer end()
	cuts, err := c.cfg.Contain.Preview(ctx, q, &x.Finding)
	if err != nil {
		return asked(ctx, err)
	}
	button, where := "contain.button", "contain.where"
	if p.Contain.Shadow {
		button, where = "contain.buttonshadow", "contain.whereshadow"
	}
	for i, cut := range cuts {
		says := p.T("contain.cut."+cut.ID, safe(cut.Name))
		p.Contain.Cuts = append(p.Contain.Cuts, cutView{
			Cut: cut, Says: says, First: i == 0, Button: p.T(button, says, figure.Int(cut.Forged), figure.Int(cut.Honest)),
			Where:     p.T(where, safe(strings.Join(cut.Doors, ", "))),
			ForgedBar: meterBar(share(cut.Forged, cut.ForgedOf), "held"), HonestBar: meterBar(share(cut.Honest, cut.HonestOf), "hatchbar"),
		})
	}
	c.page(w, r, "findingcontain.html", p, http.StatusOK)
	return nil
}

var errNoGuard = api.Invalid("no guard is connected, so nothing can be stopped from here", "set guard.mode in whosaw.yaml and list its doors")

func share(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// figures are the counts of a finding's filter: the sentence, the fields, the course, the origins.
func (c *Console) findingFigures(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	ctx, q, l, end, err := c.ask(r, who, "scope", x.Filter)
	if err != nil {
		return err
	}
	defer end()
	until := time.Now().Add(c.patience)
	a, known, err := c.count(ctx, q, x.Filter, until)
	if err != nil {
		return asked(ctx, err)
	}
	p := &findingPage{frame: c.frame(r, who, "findings", "title.finding"), Found: x, Answer: &a, Touched: len(a.Gaps) > 0}
	p.Path = "/findings/" + strconv.FormatInt(x.Number, 10)
	if p.Sofar = p.sofar(&a, known); p.Sofar != "" {
		p.Again = c.again(l, r.URL.Path, nil)
		c.page(w, r, "findingsofar.html", p, http.StatusOK)
		return nil
	}
	p.Sentence = p.sentence(&x.Finding, &a)
	p.Fields = p.fields(&a)
	p.Gaps = p.gaps(a.Gaps)
	near := stretch(x.Filter, &a, x.Time)
	step := stepFor(near)
	course, known, err := c.findingCourse(ctx, q, x.Filter, near, step, until)
	if err == nil && known.Whole() {
		known, err = p.origins(ctx, c, q, x.Filter, until)
	}
	if err != nil {
		return asked(ctx, err)
	}
	if p.Sofar = p.sofar(&a, known); p.Sofar != "" {
		p.Again = c.again(l, r.URL.Path, nil)
		c.page(w, r, "findingsofar.html", p, http.StatusOK)
		return nil
	}
	cols := columns{
		Step: step.Milliseconds(), Hot: true, Alt: p.T("finding.timelinealt", figure.Int(a.Accesses), figure.Int(a.Disclosures)), Times: p.axisTime(step),
		Marks: []upright{{At: int64(x.Seen), Label: p.T("finding.alarm", p.Short(int64(x.Seen))), Class: "ink"}},
	}
	for _, x := range course {
		x.Says = p.T("finding.column", p.Short(x.At), figure.Int(x.All), figure.Int(x.Solid))
		x.Solid = min(x.All, x.Solid)
		cols.Cols = append(cols.Cols, x)
	}
	p.Timeline = cols.svg()
	c.page(w, r, "findingfigures.html", p, http.StatusOK)
	return nil
}

// findingCourse counts accesses and what they disclosed by columns, near the time in which a filter disclosed something.
func (c *Console) findingCourse(
	ctx context.Context, q *pipeline.Question, f, near whosaw.Filter, step time.Duration, until time.Time,
) (cols []column, known scope.Progress, err error) {
	course, known, err := c.memo.Course(ctx, q.Engine, f, until)
	if !errors.Is(err, scope.ErrNoMemo) {
		if course = trimmed(course, near); err != nil || len(course) == 0 {
			return nil, known, err
		}
		at, start := slots(step, c.cfg.Zone)
		return columnsOf(course, int64(course[0].Time), int64(course[len(course)-1].Time), at, start, func(x *column, m *scope.Minute) {
			x.All, x.Solid = x.All+m.Accesses, x.Solid+m.Disclosures
		}), known, nil
	}
	lines, err := q.Timeline(ctx, []whosaw.Filter{near}, step)
	if err != nil {
		return nil, known, err
	}
	for _, b := range lines[0] {
		cols = append(cols, column{At: int64(b.Time), All: b.Accesses, Solid: b.Disclosures})
	}
	return cols, known, nil
}

// asked puts the reason why a question ended before the error that it ended with.
func asked(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// take gives a finding to somebody.
func (c *Console) take(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	owner := strings.TrimSpace(r.PostFormValue("owner"))
	if owner == "" {
		owner = who.Name
	}
	if len(owner) > 100 {
		return api.Invalid("the name is longer than 100 bytes", "give the name as it stands in the ledger, such as staff:kim")
	}
	if err := c.cfg.API.Note(r.Context(), who, whosaw.Reference{Kind: "finding_taken", Of: x.ID, Person: owner}); err != nil {
		return err
	}
	err = c.cfg.State.Write(r.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(r.Context(), `INSERT INTO console_take (finding, owner, who, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (finding) DO UPDATE SET owner = excluded.owner, who = excluded.who, at = excluded.at`, x.ID, owner, who.Name, c.cfg.Now().UnixMilli())
		return err
	})
	if err != nil {
		return err
	}
	return back(w, r, "/findings/"+strconv.FormatInt(x.Number, 10))
}

// verdict judges a finding.
func (c *Console) verdict(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	if err := c.cfg.API.Judge(r.Context(), who, x.ID, api.Judgement{Verdict: r.PostFormValue("verdict"), Reason: r.PostFormValue("reason")}); err != nil {
		return err
	}
	return back(w, r, "/findings/"+strconv.FormatInt(x.Number, 10))
}

// contain does what a preview showed.
func (c *Console) contain(w http.ResponseWriter, r *http.Request, who api.Who) error {
	x, err := c.numbered(r)
	if err != nil {
		return err
	}
	if c.cfg.Contain == nil {
		return errNoGuard
	}
	cut, kind := r.PostFormValue("cut"), "contained"
	if r.PostFormValue("undo") != "" {
		kind = "containment_undone"
	} else if cut == "" {
		return api.Invalid("nothing was chosen", "choose what is to be done")
	}
	if err := c.cfg.API.Note(r.Context(), who, whosaw.Reference{Kind: kind, Of: x.ID, Person: who.Name, Note: cut}); err != nil {
		return err
	}
	if kind == "containment_undone" {
		err = c.cfg.Contain.Undo(r.Context(), &x.Finding, who.Name)
	} else {
		err = c.apply(r, who, &x, cut)
	}
	if err != nil {
		return err
	}
	return back(w, r, "/findings/"+strconv.FormatInt(x.Number, 10)+"#contain")
}

func (c *Console) apply(r *http.Request, who api.Who, x *api.Found, cut string) error {
	ctx, q, end, err := c.cfg.API.Again(r, who)
	if err != nil {
		return err
	}
	defer end()
	err = c.cfg.Contain.Apply(ctx, q, &x.Finding, cut, who.Name)
	if errors.Is(err, errNoCut) {
		return api.Invalid(err.Error(), "look at the finding again: it shows what would be done now")
	}
	return asked(ctx, err)
}

// back leads to a page after something was done on it.
func back(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
