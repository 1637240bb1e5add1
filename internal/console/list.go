package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

const (
	listPage = 20
	// listWindow is how many rows of a list are held, so that a page of millions need not be listed again from the start.
	listWindow = 20_000
	maxLists   = 6
)

// listing is a stretch of a list as of a sequence, while retention had removed so much.
type listing struct {
	handle string
	seq    uint64
	gone   int // ledger.View.Removed
	start  int64
	rows   []whosaw.ListRow
	total  int64
	exact  bool
}

// listings holds the stretches that were looked at last.
type listings struct {
	mu   sync.Mutex
	list []*listing // the newest last
}

func (l *listings) get(handle string, seq uint64, gone int, at int64) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.list) - 1; i >= 0; i-- {
		x := l.list[i]
		if x.handle == handle && x.seq == seq && x.gone == gone && at >= x.start && (at+listPage <= x.start+int64(len(x.rows)) || x.start+int64(len(x.rows)) >= x.total) {
			return x
		}
	}
	return nil
}

func (l *listings) put(x *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, x)
	if len(l.list) > maxLists {
		l.list = slices.Delete(l.list, 0, 1)
	}
}

// errEnough ends a list of which no more is needed.
var errEnough = errors.New("enough")

// listView is what scopelist.html shows.
type listView struct {
	Fields     []string
	Rows       []listRow
	From, To   string
	Total      string
	Sign       string
	At         int64
	Prev, Next int64 // -1: there is none
	Seq        uint64
	Realms     bool
	When       string
}

type listRow struct {
	Subject, Realm, First, Last, Accesses string
	Dots                                  []bool
}

// knownFields is the order in which fields stand in columns.
var knownFields = []string{"name", "email", "phone", "address", "door_code", "order_history", "payment", "birth_date", "national_id", "location", "contents", "credential"}

func fieldOrder(a, b string) int {
	x, y := slices.Index(knownFields, a), slices.Index(knownFields, b)
	if x < 0 {
		x = len(knownFields)
	}
	if y < 0 {
		y = len(knownFields)
	}
	if x != y {
		return x - y
	}
	return strings.Compare(a, b)
}

// scopeList shows a page of the customers that the filter's accesses disclosed.
func (c *Console) scopeList(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	at, err := strconv.ParseInt(r.URL.Query().Get("at"), 10, 64)
	if err != nil || at < 0 {
		at = 0
	}
	at -= at % listPage
	seq, _ := strconv.ParseUint(r.URL.Query().Get("seq"), 10, 64) // none: as it is now
	ctx, q, l, end, err := c.ask(r, who, "list", f)
	if err != nil {
		return err
	}
	defer end()
	if seq == 0 || seq > q.View.Last() {
		seq = q.View.Last()
	}
	x := c.lists.get(p.Handle, seq, q.View.Removed(), at)
	if x == nil {
		var known scope.Progress
		var a whosaw.ScopeAnswer
		if x, a, known, err = c.listPage(ctx, q, p.Handle, asOf(f, seq), seq, &at); err != nil {
			return asked(ctx, err)
		}
		p.Sofar = p.sofar(&a, known)
	}
	if x == nil && p.Sofar == "" {
		if x, err = list(ctx, q, p.Handle, asOf(f, seq), seq, at); err != nil {
			return asked(ctx, err)
		}
		c.lists.put(x)
	}
	if x != nil {
		p.List = p.listView(x, at)
	}
	if p.Sofar != "" {
		p.Again = c.again(l, r.URL.Path, url.Values{"at": {strconv.FormatInt(at, 10)}, "seq": {strconv.FormatUint(seq, 10)}})
	}
	c.page(w, r, "scopelist.html", p, http.StatusOK)
	return nil
}

// listPage lists a page with what is kept. nil: nothing is, or not all is known yet. A place behind the end becomes that of the last page.
func (c *Console) listPage(
	ctx context.Context, q *pipeline.Question, handle string, f whosaw.Filter, seq uint64, at *int64,
) (*listing, whosaw.ScopeAnswer, scope.Progress, error) {
	until := time.Now().Add(c.patience)
	page, known, err := c.memo.Page(ctx, q.Engine, f, *at, listPage, until)
	if n := page.Count.Subjects; err == nil && known.Whole() && n > 0 && *at >= n {
		*at = (n - 1) / listPage * listPage
		page, known, err = c.memo.Page(ctx, q.Engine, f, *at, listPage, until)
	}
	switch {
	case errors.Is(err, scope.ErrNoMemo):
		return nil, page.Count, scope.Progress{}, nil
	case err != nil || !known.Whole():
		return nil, page.Count, known, err
	}
	x := &listing{handle: handle, seq: seq, gone: q.View.Removed(), start: *at, rows: page.Rows, total: page.Count.Subjects, exact: len(page.Count.Gaps) == 0}
	return x, page.Count, known, nil
}

// list lists a stretch around a place.
func list(ctx context.Context, q *pipeline.Question, handle string, f whosaw.Filter, seq uint64, at int64) (*listing, error) {
	a, err := q.Count(ctx, f)
	if err != nil {
		return nil, err
	}
	x := &listing{handle: handle, seq: seq, gone: q.View.Removed(), start: max(0, at-at%listWindow-listPage), total: a.Subjects, exact: len(a.Gaps) == 0}
	n := int64(0)
	err = q.List(ctx, f, func(row whosaw.ListRow) error {
		if n >= x.start {
			x.rows = append(x.rows, row)
		}
		if n++; len(x.rows) >= listWindow+2*listPage {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return x, nil
}

func (f *frame) listView(x *listing, at int64) *listView {
	v := &listView{Total: figure.Int(x.total), Sign: sign(!x.exact), At: at, Prev: -1, Next: -1, Seq: x.seq}
	if at >= x.total {
		at = max(0, x.total-1) / listPage * listPage
	}
	from := max(0, min(at-x.start, int64(len(x.rows))))
	rows := x.rows[from:min(from+listPage, int64(len(x.rows)))]
	for _, row := range rows {
		for _, name := range row.Fields {
			if !slices.Contains(v.Fields, name) {
				v.Fields = append(v.Fields, name)
			}
		}
		v.Realms = v.Realms || row.Realm != ""
	}
	slices.SortFunc(v.Fields, fieldOrder)
	v.Fields = v.Fields[:min(10, len(v.Fields))]
	for _, row := range rows {
		l := listRow{Subject: row.Subject, Realm: row.Realm, First: f.Short(int64(row.First)), Last: f.Short(int64(row.Last)), Accesses: figure.Int(row.Accesses)}
		for _, name := range v.Fields {
			l.Dots = append(l.Dots, slices.Contains(row.Fields, name))
		}
		v.Rows = append(v.Rows, l)
	}
	v.From, v.To = figure.Int(at+1), figure.Int(at+int64(len(rows)))
	if at > 0 {
		v.Prev = max(0, at-listPage)
	}
	if at+int64(len(rows)) < x.total {
		v.Next = at + listPage
	}
	return v
}

// scopeExport sends the whole list as a file.
func (c *Console) scopeExport(w http.ResponseWriter, r *http.Request, who api.Who) error {
	p, f, err := c.scoped(r, who)
	if err != nil {
		return err
	}
	form := r.PostFormValue("form")
	if form != "csv" && form != "jsonl" {
		return api.Invalid("there is no such form", "choose CSV or JSON lines")
	}
	ctx, q, end, err := c.cfg.API.Ask(r, who, "export", f)
	if err != nil {
		return err
	}
	defer end()
	if seq, err := strconv.ParseUint(r.PostFormValue("seq"), 10, 64); err == nil && seq > 0 && seq <= q.View.Last() {
		f = asOf(f, seq)
	}
	h := w.Header()
	kind := "text/csv; charset=utf-8"
	if form == "jsonl" {
		kind = "application/x-ndjson"
	}
	out := bufio.NewWriterSize(w, 1<<16)
	rows := scope.NewListWriter(out, form == "csv")
	begun := false
	begin := func() {
		if !begun {
			begun = true
			h.Set("Content-Type", kind)
			h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="whosaw-scope-%s.%s"`, p.At.In(p.Zone).Format("20060102-150405"), form))
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}
	}
	err = q.List(ctx, f, func(row whosaw.ListRow) error {
		begin()
		if form == "csv" {
			row.Subject = inert(row.Subject)
		}
		return rows.Row(row)
	})
	if err == nil {
		begin()
		err = errors.Join(rows.Flush(), out.Flush())
	}
	if err != nil && begun {
		c.cfg.Logger.Warn("an export was broken off", "error", err)
		panic(http.ErrAbortHandler) // nobody must take it for whole
	}
	return asked(ctx, err)
}

// inert makes an id harmless in a spreadsheet, which runs what begins like a formula: an apostrophe before it makes it text.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠|%", []rune(s)[0]) {
		return "'" + s
	}
	return s
}

const diffIDs = 12

// difference compares two lists with what is kept.
func (c *Console) difference(ctx context.Context, q *pipeline.Question, a, b whosaw.Filter) (scope.Difference, error) {
	d, err := c.memo.Difference(ctx, q.Engine, a, b, diffIDs)
	if errors.Is(err, scope.ErrNoMemo) {
		return walk(ctx, q, a, b)
	}
	return d, err
}

// walk compares two lists side by side: both are in the same order.
func walk(ctx context.Context, q *pipeline.Question, a, b whosaw.Filter) (scope.Difference, error) {
	var d scope.Difference
	var failed [2]error
	open := func(f whosaw.Filter, at int) (func() (whosaw.ListRow, bool), func()) {
		return iter.Pull(func(yield func(whosaw.ListRow) bool) {
			err := q.List(ctx, f, func(row whosaw.ListRow) error {
				if !yield(row) {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				failed[at] = err
			}
		})
	}
	nextA, stopA := open(a, 0)
	defer stopA()
	nextB, stopB := open(b, 1)
	defer stopB()
	x, okA := nextA()
	y, okB := nextB()
	for okA || okB {
		switch order := compareRows(x, y); {
		case okA && okB && order == 0:
			d.Same++
			x, okA = nextA()
			y, okB = nextB()
		case okB && (!okA || order > 0):
			if d.Added++; len(d.AddedIDs) < diffIDs {
				d.AddedIDs = append(d.AddedIDs, y.Subject)
			}
			y, okB = nextB()
		default:
			if d.Removed++; len(d.RemovedIDs) < diffIDs {
				d.RemovedIDs = append(d.RemovedIDs, x.Subject)
			}
			x, okA = nextA()
		}
	}
	return d, errors.Join(failed[0], failed[1])
}

// compareRows orders rows as lists are: shorter ids first, then bytewise, then by realm.
func compareRows(a, b whosaw.ListRow) int {
	if n := len(a.Subject) - len(b.Subject); n != 0 {
		return n
	}
	if n := strings.Compare(a.Subject, b.Subject); n != 0 {
		return n
	}
	return strings.Compare(a.Realm, b.Realm)
}
