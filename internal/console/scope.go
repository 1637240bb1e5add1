package console

import (
	"context"
	"database/sql"
	"errors"
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
	"github.com/whosaw/whosaw/internal/scope"
)

// scopePage is what scope.html and its parts show.
type scopePage struct {
	*frame
	Handle   string
	Prior    string // the handle that this one was made from
	Chips    [][]chip
	Large    bool // values are counted when they are asked for
	Members  []string
	Name     string // of the saved scope that this belongs to
	Names    []string
	Versions []versionRow
	Next     int

	// Of the counts.
	Answer   *whosaw.ScopeAnswer
	Counting bool
	Sofar    string // what is known while it is not all
	Again    string // where the next turn is asked for then
	Touched  bool
	Took     string
	Over     int64
	Gaps     []string
	Fields   []fieldView
	NotShown []string
	First    string
	Last     string
	Course   template.HTML
	Narrow   []narrowing
	List     *listView
}

// Every reports whether no condition is set.
func (p *scopePage) Every() bool {
	for _, t := range p.Chips {
		if len(t) > 0 {
			return false
		}
	}
	return true
}

type versionRow struct {
	Number        int
	Handle        string
	Sign, N, Note string
	Who, When     string
	This          bool
}

// narrowing are the values of a member, to be clicked.
type narrowing struct {
	Member, Word, Says string
	Rows               []narrowRow
}

type narrowRow struct {
	Value, Shown, N string
}

// scopeStart begins with every access.
func (c *Console) scopeStart(w http.ResponseWriter, r *http.Request, _ api.Who) error {
	id, err := c.filterHandle(r.Context(), whosaw.Filter{{}})
	if err != nil {
		return err
	}
	return back(w, r, "/scope/"+id)
}

// scoped is the page's frame with its filter.
func (c *Console) scoped(r *http.Request, who api.Who) (*scopePage, whosaw.Filter, error) {
	f, err := c.filterBehind(r.Context(), r.PathValue("handle"))
	if err != nil {
		return nil, nil, err
	}
	p := &scopePage{frame: c.frame(r, who, "scope", "title.scope"), Handle: r.PathValue("handle"), Prior: r.URL.Query().Get("from")}
	p.Path = "/scope/" + p.Handle
	return p, f, nil
}

// manyAccesses is from which size of the ledger on values are counted when they are asked for.
const manyAccesses = 5_000_000

func (c *Console) scope(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	p.Chips = p.chips(f)
	p.Members = whosaw.FilterMembers()
	p.Large = c.watch.state().status.Ledger.Accesses > manyAccesses
	if err := c.versions(r.Context(), p); err != nil {
		return err
	}
	p.Heading = p.T("scope.heading")
	if p.Name != "" {
		p.Heading = p.T("scope.headingof", safe(p.Name))
	}
	p.Sub = p.Rich("scope.sub")
	c.page(w, r, "scope.html", p, http.StatusOK)
	return nil
}

// scopeCounts answers what the filter's accesses disclosed. What takes long is answered a part at a time: at least that many.
func (c *Console) scopeCounts(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	ctx, q, l, end, err := c.ask(r, who, "scope", f)
	if err != nil {
		return err
	}
	defer end()
	began := time.Now()
	a, known, err := c.count(ctx, q, f, began.Add(c.patience))
	if err != nil {
		return asked(ctx, err)
	}
	took := time.Since(began)
	p.Sofar = p.sofar(&a, known)
	if p.Counting = p.Sofar != ""; p.Counting {
		p.Again = c.again(l, r.URL.Path, nil)
	}
	p.Answer, p.Touched = &a, len(a.Gaps) > 0 || p.Counting
	p.Took = figure.Int(max(1, took.Milliseconds()))
	p.Over = c.watch.state().status.Ledger.Accesses
	p.Gaps = p.gaps(a.Gaps)
	p.Fields = p.fields(&a)
	for _, n := range a.NotReached {
		p.NotShown = append(p.NotShown, p.Field(n))
	}
	if a.First != nil && a.Last != nil {
		p.First, p.Last = p.Full(int64(*a.First)), p.Full(int64(*a.Last))
	}
	c.page(w, r, "scopecounts.html", p, http.StatusOK)
	return nil
}

// scopeCourse draws when customers were first disclosed. History in a scope is ink: a scope counts, it does not judge.
func (c *Console) scopeCourse(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	ctx, q, l, end, err := c.ask(r, who, "scope", f)
	if err != nil {
		return err
	}
	defer end()
	until := time.Now().Add(c.patience)
	a, known, err := c.count(ctx, q, f, until)
	if err != nil {
		return asked(ctx, err)
	}
	if p.Sofar = p.sofar(&a, known); p.Sofar == "" && a.First != nil {
		step := stepFor(stretch(f, &a, 0))
		cols := columns{Step: step.Milliseconds(), Alt: p.T("scope.coursealt", p.Full(int64(*a.First)), p.Full(int64(*a.Last))), Times: p.axisTime(step)}
		if cols.Cols, known, err = c.firstShown(ctx, q, f, step, int64(*a.First), int64(*a.Last), until); err != nil {
			return asked(ctx, err)
		}
		p.Sofar = p.sofar(&a, known)
		for i := range cols.Cols {
			x := &cols.Cols[i]
			x.Says = p.T("scope.column", p.Short(x.At), figure.Int(x.All))
		}
		for _, g := range a.Gaps {
			if g.Kind == whosaw.GapSilent && g.From != nil && g.To != nil && len(cols.Gaps) < 8 {
				cols.Gaps = append(cols.Gaps, gapSpan{int64(*g.From), int64(*g.To), p.T("scope.gap", p.Lasting(time.Duration(*g.To-*g.From)*time.Millisecond))})
			}
		}
		p.Course = cols.svg()
		p.Took = p.T("scope.per." + stepName(step))
	}
	if p.Sofar != "" {
		p.Again = c.again(l, r.URL.Path, nil)
	}
	c.page(w, r, "scopecourse.html", p, http.StatusOK)
	return nil
}

// firstShown counts customers by when they were first disclosed: with what is kept, else from the list.
func (c *Console) firstShown(
	ctx context.Context, q *pipeline.Question, f whosaw.Filter, step time.Duration, first, last int64, until time.Time,
) (cols []column, known scope.Progress, err error) {
	// Columns of days begin at midnight of the server's zone; where clocks change the columns after it are an hour off, as said by the axis.
	_, offset := time.UnixMilli(first).In(c.cfg.Zone).Zone()
	shift, length := int64(offset)*1000, step.Milliseconds()
	at := func(ms int64) int64 { return (ms + shift) / length }
	start := func(n int64) int64 { return n*length - shift }
	const minute = 60_000
	if shift%minute == 0 && length%minute == 0 {
		course, known, err := c.memo.Course(ctx, q.Engine, f, until)
		if !errors.Is(err, scope.ErrNoMemo) {
			return columnsOf(course, first, last, at, start, func(x *column, m *scope.Minute) { x.All, x.Solid = x.All+m.New, x.Solid+m.New }), known, err
		}
	}
	cols = columnsOf(nil, first, last, at, start, nil)
	from := at(first)
	err = q.List(ctx, f, func(row whosaw.ListRow) error {
		i := at(int64(row.First)) - from
		if i < 0 || i >= int64(len(cols)) {
			return nil // it came since the count
		}
		cols[i].All++
		cols[i].Solid++
		return nil
	})
	return cols, known, err
}

func stepName(d time.Duration) string {
	switch {
	case d < time.Hour:
		return "minutes"
	case d < 24*time.Hour:
		return "hours"
	case d == 24*time.Hour:
		return "day"
	}
	return "days"
}

// narrowBy are the members whose values are offered.
var narrowBy = []string{"route", "key", "network", "client", "agent_class"}

const narrowRows = 5

// scopeNarrow lists the values of one member that the filter's accesses have, to be clicked.
func (c *Console) scopeNarrow(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	by := r.URL.Query().Get("by")
	if !slices.Contains(narrowBy, by) {
		return api.Invalid("there is no such member", "choose one on the page")
	}
	ctx, q, l, end, err := c.ask(r, who, "top", f)
	if err != nil {
		return err
	}
	defer end()
	top, all, known, err := c.values(ctx, q, by, f, narrowRows, time.Now().Add(c.patience))
	if err != nil {
		return asked(ctx, err)
	}
	n := narrowing{Member: by, Word: p.T("member." + by)}
	if by == "network" {
		n.Member = "ip"
	}
	for _, v := range top {
		n.Rows = append(n.Rows, narrowRow{v.Value, safe(v.Value), figure.Int(v.Accesses)})
	}
	n.Says = p.T("scope.nof", len(n.Rows), figure.Int(int64(all)))
	if !known.Whole() {
		p.Sofar = p.T("scope.counted", figure.Int(known.Counted), figure.Int(known.Of))
		p.Again = c.again(l, r.URL.Path, url.Values{"by": {by}})
	}
	p.Narrow = append(p.Narrow, n)
	c.page(w, r, "scopenarrow.html", p, http.StatusOK)
	return nil
}

// NarrowBy are the members whose values are offered; Large ledgers load those beyond the first two when they are asked for.
func (p *scopePage) NarrowBy() []narrowing {
	var out []narrowing
	for i, by := range narrowBy {
		n := narrowing{Member: by, Word: p.T("member." + by)}
		if p.Large && i > 1 {
			n.Says = "click"
		}
		out = append(out, n)
	}
	return out
}

// scopeEdit makes a filter with a condition more or less, and leads to it.
func (c *Console) scopeEdit(w http.ResponseWriter, r *http.Request, _ api.Who) error {
	f, err := c.filterBehind(r.Context(), r.PathValue("handle"))
	if err != nil {
		return err
	}
	member, value := r.PostFormValue("member"), r.PostFormValue("value")
	term, err := strconv.Atoi(r.PostFormValue("term"))
	if err != nil {
		term = 0
	}
	add := r.PostFormValue("do") != "remove"
	if member == "network" {
		member = "ip"
	}
	if add && (member == "from" || member == "to") {
		value = c.localTime(value)
	}
	if add && (member == "issued" || member == "explained") {
		value = map[string]string{"yes": "true", "예": "true", "no": "false", "아니오": "false"}[strings.ToLower(value)] + map[bool]string{true: value}[value == "true" || value == "false"]
	}
	next, err := edit(f, add, term, member, strings.TrimSpace(value), r.PostFormValue("not") != "")
	if err != nil {
		var fault *whosaw.FilterError
		if errors.As(err, &fault) {
			return api.Invalid(fault.Error(), "go back and write the value otherwise")
		}
		return err
	}
	id, err := c.filterHandle(r.Context(), next)
	if err != nil {
		return err
	}
	return back(w, r, "/scope/"+id+"?from="+r.PathValue("handle"))
}

// localTime reads a time without zone as the server's.
func (c *Console) localTime(s string) string {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, strings.TrimSpace(s), c.cfg.Zone); err == nil {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return s
}

// versions finds the saved scope that a handle belongs to: by itself, or by the one it was made from.
func (c *Console) versions(ctx context.Context, p *scopePage) error {
	err := c.cfg.State.Read().QueryRowContext(ctx, `SELECT name FROM console_version WHERE handle IN (?, ?) ORDER BY handle = ? DESC, made DESC LIMIT 1`,
		p.Handle, p.Prior, p.Handle).Scan(&p.Name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	p.Next = 1
	if p.Name == "" {
		return c.scopeNames(ctx, p)
	}
	list, err := c.versionsOf(ctx, p.Name)
	if err != nil {
		return err
	}
	for _, v := range list {
		p.Versions = append(p.Versions, versionRow{
			Number: v.number, Handle: v.handle, Sign: sign(!v.exact), N: figure.Int(v.subjects), Note: safe(v.note), Who: safe(v.who), When: p.Short(v.made), This: v.handle == p.Handle,
		})
		p.Next = max(p.Next, v.number+1)
	}
	return nil
}

func (c *Console) scopeNames(ctx context.Context, p *scopePage) error {
	rows, err := c.cfg.State.Read().QueryContext(ctx, `SELECT v.name, v.number, v.handle, v.subjects, v.exact, v.note FROM console_version v
		WHERE v.number = (SELECT max(number) FROM console_version WHERE name = v.name) ORDER BY v.made DESC LIMIT 20`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var v versionRow
		var name, note string
		var subjects int64
		var exact bool
		if err := rows.Scan(&name, &v.Number, &v.Handle, &subjects, &exact, &note); err != nil {
			return err
		}
		v.Sign, v.N, v.Note = sign(!exact), figure.Int(subjects), safe(name)
		p.Versions = append(p.Versions, v)
		p.Names = append(p.Names, name)
	}
	return rows.Err()
}

type version struct {
	number   int
	handle   string
	asOf     uint64
	subjects int64
	exact    bool
	note     string
	who      string
	made     int64
}

func (c *Console) versionsOf(ctx context.Context, name string) ([]version, error) {
	rows, err := c.cfg.State.Read().QueryContext(ctx, `SELECT number, handle, as_of, subjects, exact, note, who, made FROM console_version WHERE name = ? ORDER BY number DESC`, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []version
	for rows.Next() {
		var v version
		if err := rows.Scan(&v.number, &v.handle, &v.asOf, &v.subjects, &v.exact, &v.note, &v.who, &v.made); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// scopeSave keeps the filter, as of now, as the next version of a scope.
func (c *Console) scopeSave(w http.ResponseWriter, r *http.Request, who api.Who) error {
	id := r.PathValue("handle")
	f, err := c.filterBehind(r.Context(), id)
	if err != nil {
		return err
	}
	name, note := strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("note"))
	if name == "" || len(name) > 100 || note == "" || len(note) > 1000 {
		return api.Invalid("a version needs the scope's name and the reason for it", "give both; the reason is what somebody reads who asks why the number changed")
	}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "scope", f)
	if err != nil {
		return err
	}
	defer end()
	a, err := q.Count(ctx, f)
	if err != nil {
		return asked(ctx, err)
	}
	if err := c.cfg.API.Note(r.Context(), who, whosaw.Reference{Kind: "scope_saved", Of: name, Person: who.Name, Note: note, Count: a.Subjects}); err != nil {
		return err
	}
	err = c.cfg.State.Write(r.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(r.Context(), `INSERT INTO console_version (name, number, handle, as_of, subjects, exact, note, who, made)
			VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM console_version WHERE name = ?), ?, ?, ?, ?, ?, ?, ?)`,
			name, name, id, int64(q.View.Last()), a.Subjects, len(a.Gaps) == 0, note, who.Name, c.cfg.Now().UnixMilli())
		return err
	})
	if err != nil {
		return err
	}
	return back(w, r, "/scope/"+id)
}

// comparison is what compare.html shows.
type comparison struct {
	*scopePage
	A, B              versionRow
	Added, Removed    string
	AddedIDs, GoneIDs []string
	Same              string
	ChipsA, ChipsB    [][]chip
}

// scopeCompare holds two versions of a scope against each other, subject by subject.
func (c *Console) scopeCompare(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, _, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	if err := c.versions(r.Context(), p); err != nil {
		return err
	}
	list, err := c.versionsOf(r.Context(), p.Name)
	if err != nil {
		return err
	}
	pick := func(name string, otherwise int) (version, whosaw.Filter, error) {
		n, err := strconv.Atoi(r.URL.Query().Get(name))
		if err != nil {
			n = otherwise
		}
		for _, v := range list {
			if v.number == n {
				f, err := c.filterBehind(r.Context(), v.handle)
				return v, asOf(f, v.asOf), err
			}
		}
		return version{}, nil, api.Invalid("two versions are needed to compare", "save another, then compare")
	}
	last := 0
	if len(list) > 0 {
		last = list[0].number
	}
	a, fa, err := pick("a", last-1)
	if err != nil {
		return err
	}
	b, fb, err := pick("b", last)
	if err != nil {
		return err
	}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "list", append(slices.Clone(fa), fb...))
	if err != nil {
		return err
	}
	defer end()
	d, err := c.difference(ctx, q, fa, fb)
	if err != nil {
		return asked(ctx, err)
	}
	out := &comparison{
		scopePage: p, Added: figure.Int(d.Added), Removed: figure.Int(d.Removed), Same: figure.Int(d.Same), AddedIDs: d.AddedIDs, GoneIDs: d.RemovedIDs,
		ChipsA: p.chips(fa), ChipsB: p.chips(fb),
	}
	for _, v := range p.Versions {
		if v.Number == a.number {
			out.A = v
		}
		if v.Number == b.number {
			out.B = v
		}
	}
	p.Heading = p.T("scope.compareheading", safe(p.Name), a.number, b.number)
	c.page(w, r, "compare.html", out, http.StatusOK)
	return nil
}

// asOf pins a filter to a sequence.
func asOf(f whosaw.Filter, seq uint64) whosaw.Filter {
	out := slices.Clone(f)
	for i := range out {
		if out[i].AsOf == 0 || out[i].AsOf > seq {
			out[i].AsOf = seq
		}
	}
	return out
}

// whyPage is what why.html shows.
type whyPage struct {
	*scopePage
	Subject string
	In      bool
	Hits    []accessRow
	Fields  []string
	All     string // accesses that were looked at, with ≥ where there are more
	More    bool
}

// scopeWhy says why a customer is in the list, or is not: the accesses that match.
func (c *Console) scopeWhy(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	subject := strings.TrimSpace(r.PostFormValue("subject"))
	if subject == "" || len(subject) > whosaw.MaxSubject {
		return api.Invalid("no customer was named", "give the customer's id")
	}
	act := slices.Clone(f)
	for i := range act {
		act[i].Subject = []string{literal(subject)}
	}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "subject", act)
	if err != nil {
		return err
	}
	defer end()
	out := &whyPage{scopePage: p, Subject: subject}
	hits, err := q.Subject(ctx, nil, subject, f, 20, "")
	if err != nil {
		return asked(ctx, err)
	}
	out.More = hits.Next != ""
	fed, err := isFed(ctx, q, subjectRef{Subject: subject})
	if err != nil {
		return asked(ctx, err)
	}
	_, never, err := judge(ctx, q, hits.Accesses, fed)
	if err != nil {
		return asked(ctx, err)
	}
	out.Fields, out.Hits = p.accessRows(hits.Accesses, nil, never, nil)
	count, err := q.Count(ctx, act)
	if err != nil {
		return asked(ctx, err)
	}
	out.In = count.Subjects > 0
	all, err := q.Subject(ctx, nil, subject, whosaw.Filter{{}}, 200, "")
	if err != nil {
		return asked(ctx, err)
	}
	if out.All = figure.Int(int64(len(all.Accesses))); all.Next != "" {
		out.All = "≥ " + out.All
	}
	c.page(w, r, "why.html", out, http.StatusOK)
	return nil
}

// literal writes a filter's value that must hold as it stands.
func literal(s string) string {
	if strings.HasPrefix(s, "!") {
		return "!" + s
	}
	return s
}
