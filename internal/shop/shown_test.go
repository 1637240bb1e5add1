package shop_test

import (
	"context"
	"database/sql"
	"fmt"
	"html"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/shop"
)

// facts are all values of customers that the shop's file has, read from the file itself.
type facts struct {
	values []fact
}

type fact struct {
	field, value string
	of           string // whose
	other        bool   // of an entry that is no customer
	entry        int64
}

func readFacts(t *testing.T, path string) *facts {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(1)")
	check(t, err)
	defer db.Close()
	f := &facts{}
	read := func(query string, fields ...string) {
		rows, err := db.QueryContext(t.Context(), query)
		check(t, err)
		defer rows.Close()
		for rows.Next() {
			var of, entry int64
			var relation string
			values := make([]string, len(fields))
			into := []any{&of, &entry, &relation}
			for i := range values {
				into = append(into, &values[i])
			}
			check(t, rows.Scan(into...))
			for i, v := range values {
				if v != "" {
					f.values = append(f.values, fact{fields[i], v, strconv.FormatInt(of, 10), relation != "", entry})
				}
			}
		}
		check(t, rows.Err())
	}
	read("SELECT number, 0, '', name, email, phone FROM customer WHERE state = 'active'", "name", "email", "phone")
	read("SELECT customer, id, relation, name, phone, line, door_code FROM address", "name", "phone", "address", "door_code")
	read("SELECT customer, 0, '', items FROM purchase", "order_history")
	return f
}

// reading is what a text shows, by somebody who knows all values and nothing of how the page is made.
type reading struct {
	Subjects, Fields, Masked []string
	Others                   int64
}

// maskedCode is how a door code of four digits stands where it is masked.
func maskedCode(code string) string { return code[:2] + "**" + code[4:] }

func (f *facts) read(page string) reading {
	text := html.UnescapeString(page)
	subjects, fields, masks, others := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[int64]bool{}
	for _, x := range f.values {
		if x.field == "door_code" || !strings.Contains(text, x.value) {
			continue
		}
		fields[x.field] = true
		switch x.field {
		case "name", "phone", "order_history": // two may have the same
		default:
			subjects[x.of] = true
		}
		if x.other && x.field == "address" {
			others[x.entry] = true
		}
	}
	for _, x := range f.values { // codes are short: only those of somebody who is there count
		if x.field != "door_code" || !subjects[x.of] {
			continue
		}
		if strings.Contains(text, x.value) {
			fields["door_code"] = true
		}
		if strings.Contains(text, maskedCode(x.value)) {
			masks["door_code"] = true
		}
	}
	sorted := func(m map[string]bool) []string { return slices.AppendSeq([]string{}, maps.Keys(m)) }
	out := reading{sorted(subjects), sorted(fields), sorted(masks), int64(len(others))}
	for _, l := range [][]string{out.Subjects, out.Fields, out.Masked} {
		slices.Sort(l)
	}
	return out
}

// said is what records say of one request.
func said(r *whosaw.Record) reading {
	return reading{append([]string{}, r.Subjects...), append([]string{}, r.Fields...), append([]string{}, r.Masked...), r.Others}
}

// TestPagesSayWhatTheyShow opens every page as several people and holds what is recorded against a reading of the page.
func TestPagesSayWhatTheyShow(t *testing.T) {
	var path string
	h := newHouseAt(t, "enforce", &path)
	facts := readFacts(t, path)
	type asked struct {
		page, who string
		body      string
		status    int
	}
	var pages []asked
	visit := func(c *http.Client, who, page string) string {
		a := do(t, c, "GET", h.pages.URL+page, nil, "Accept", "text/html", "X-Request-Id", fmt.Sprint("page-", len(pages)))
		pages = append(pages, asked{page, who, a.body, a.status})
		return a.body
	}
	logins, err := h.shop.Logins(t.Context(), 0, 6)
	check(t, err)
	edit := regexp.MustCompile(`/me/addresses/\d+/edit`)
	for _, l := range append(h.visitors(), logins...) {
		c := h.logIn(l)
		for _, page := range []string{"/", "/search?q=tea", "/products/4", "/login", "/signup", "/me", "/me/orders", "/me/withdraw", "/help", "/nothing", "/me/addresses/999999/edit"} {
			visit(c, l.ID, page)
		}
		for _, page := range edit.FindAllString(visit(c, l.ID, "/me/addresses"), -1) {
			visit(c, l.ID, page)
		}
	}
	desk := h.deskIn(h.shop.VisitingAgent())
	for _, page := range []string{"/desk", "/desk/login", "/desk/customers/" + logins[0].ID, "/desk/customers/" + logins[3].ID, "/desk/customers/999999"} {
		visit(desk, "", page)
	}
	got := map[string][]whosaw.Record{}
	for _, r := range h.records(whosaw.TypeAccess) {
		if strings.HasPrefix(r.Request, "page-") {
			got[r.Request] = append(got[r.Request], r)
		}
	}
	disclosed, byPage := 0, map[string]int{}
	for i, p := range pages {
		rs := got[fmt.Sprint("page-", i)]
		if len(rs) != 1 {
			t.Errorf("%s: %d records, want 1", p.page, len(rs))
			continue
		}
		r, want := &rs[0], facts.read(p.body)
		if strings.Contains(r.Route, "9999") || strings.Contains(r.Route, p.who) && p.who != "" {
			t.Errorf("%s: the route is %s", p.page, r.Route)
		}
		if len(want.Fields)+len(want.Masked) == 0 {
			if r.Outcome == whosaw.OutcomeDisclosed || len(r.Fields)+len(r.Masked) > 0 {
				t.Errorf("%s shows nothing, and is recorded as %+v", p.page, r)
			}
			continue
		}
		if !strings.HasPrefix(p.page, "/desk") && len(want.Subjects) == 0 {
			want.Subjects = []string{p.who} // orders name nobody: whose they are is who asked
		}
		if diff := cmp.Diff(want, said(r)); diff != "" {
			t.Errorf("%s (%s): the page shows (-), the record says (+):\n%s", p.page, r.Route, diff)
		}
		disclosed++
		byPage[r.Route]++
		if p.status != 200 {
			t.Errorf("%s: status %d and data", p.page, p.status)
		}
	}
	for _, route := range []string{"GET /me", "GET /me/addresses", "GET /me/addresses/{id}/edit", "GET /me/orders", "GET /desk/customers/{customer}"} {
		if byPage[route] == 0 {
			t.Errorf("%s showed nothing: the test saw none of its data", route)
		}
	}
	t.Logf("%d pages, %d of them disclosing", len(pages), disclosed)
}

// TestHeadShowsNothing: an answer without a body discloses nobody.
func TestHeadShowsNothing(t *testing.T) {
	h := newHouse(t, "enforce")
	c := h.logIn(h.visitors()[0])
	for i, method := range []string{"HEAD", "GET"} {
		if a := do(t, c, method, h.pages.URL+"/me", nil, "X-Request-Id", method); a.status != 200 || (a.body == "") != (i == 0) {
			t.Errorf("%s: %d, %d bytes", method, a.status, len(a.body))
		}
	}
	for _, r := range h.records(whosaw.TypeAccess) {
		if r.Request == "HEAD" && len(r.Fields)+len(r.Masked) > 0 || r.Request == "GET" && len(r.Fields) != 2 {
			t.Errorf("%s is recorded with %v", r.Request, r.Fields)
		}
	}
}

func newHouseAt(t *testing.T, mode string, path *string) *house {
	t.Helper()
	*path = filepath.Join(t.TempDir(), "shop.db")
	return newHouse(t, mode, func(c *shop.Config) { c.Path = *path })
}

// TestTenThousand: a demo begins with them.
func TestTenThousand(t *testing.T) {
	shop.Cheap(false)
	defer shop.Cheap(true)
	began := time.Now()
	s, err := shop.Open(t.Context(), shop.Config{Path: filepath.Join(t.TempDir(), "shop.db"), Customers: 10_000, Seed: 1})
	check(t, err)
	took := time.Since(began)
	n, highest, err := s.Size(t.Context())
	check(t, err)
	check(t, s.Close(context.Background()))
	if n != 10_000 || highest < 20_000 || highest > 25_000 {
		t.Errorf("%d customers, the highest number is %d", n, highest)
	}
	t.Logf("10,000 customers in %v", took)
}
