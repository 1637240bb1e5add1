package console_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/whosaw/whosaw"
)

// TestScope builds a filter by clicks, reads what it disclosed, saves versions, compares them, and asks why a customer is there.
func TestScope(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 2, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	b.look(1440, false)
	b.visit("/")
	b.key("s")
	b.shows("Who was affected")
	b.shows("Counted in")
	b.shows("login-2024-b")
	b.do(click(`//section[@id="narrow"]//button[text()="login-2024-b"]`))
	b.wait(`document.querySelector(".chip")?.innerText.includes("login-2024-b")`)
	b.shows("Counted in")
	b.do(click(`//section[@id="narrow"]//button[text()="disclosed"]`))
	b.wait(`document.querySelectorAll(".chip").length === 2`)
	b.shows("Counted in")
	b.shows("1 – 20 of")
	b.key("]")
	b.shows("21 – 40 of")
	b.key("[")
	b.shows("1 – 20 of")
	b.wait(`document.querySelector("#course svg")`)
	b.do(chromedp.Focus(chromedp.CSS("#course svg")), chromedp.KeyEvent(kb.ArrowRight))
	b.wait(`document.getElementById("says").textContent.includes("customers")`)
	id, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("#list tbody td").innerText.trim()`))
	check(t, err)
	b.do(chromedp.SendKeys(chromedp.CSS("#why-id"), id), click(`//button[text()="Look"]`))
	b.shows(id + " is in the list.")
	b.clean("scope-light", "id:"+id, "forged-")

	// A version, a narrower one, and how they differ.
	save := func(name, note string) {
		b.do(click(`summary[data-key=v]`), chromedp.SetValue(chromedp.CSS("#sname"), name), chromedp.SendKeys(chromedp.CSS("#snote"), note), click(`//button[text()="Save the version"]`))
		b.shows(note)
	}
	save("drill", "the key, disclosed")
	b.shows("Scope of drill")
	b.do(click(`//section[@id="narrow"]//button[text()="GET /me"]`))
	b.wait(`document.querySelectorAll(".chip").length === 3`)
	b.shows("Save as v2")
	save("drill", "one page only")
	b.do(click(`a[data-key=d]`))
	b.shows("customers removed")
	b.shows("drill: v1 and v2")
	b.clean("compare", "forged-")

	for _, l := range looks {
		b.look(l.width, l.dark)
		b.do(chromedp.NavigateBack())
		b.shows("Counted in")
		b.shows("1 – 20 of")
		b.wait(`document.querySelector("#course svg")`)
		b.clean("scope-"+l.name, "id:"+id, "forged-")
		b.do(click(`.chip b`))
		b.visit("/findings")
	}
	b.look(1440, false)
	b.do(chromedp.NavigateBack())
	b.shows("drill")
	// A condition typed in, and one taken away.
	b.key("/")
	b.wait(`document.activeElement.id === "member"`)
	b.do(chromedp.SetValue(chromedp.CSS("#member"), "subject"), chromedp.SendKeys(chromedp.CSS("#value"), id), click(`//button[text()="Add"]`))
	b.wait(`document.querySelectorAll(".chip").length === 4`)
	b.shows("Counted in")
	b.clean("scope-one", "id:"+id)
	b.do(click(`.chip button`))
	b.wait(`document.querySelectorAll(".chip").length === 3`)
}

// TestScopeEmpty: nobody is a figure too.
func TestScopeEmpty(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.look(390, false)
	b.visit("/scope")
	b.shows("Nobody: no access")
	b.shows("unexplained")
	b.clean("scope-empty")
	b.visit("/subject")
	b.shows("That you looked is recorded")
	b.do(chromedp.SendKeys(chromedp.CSS("#subject"), "77"), click(`main button.ink`))
	b.shows("Nobody opened this customer")
	b.clean("subject-empty", "id:77 ")
}

// million gives n disclosures of as many customers.
func (s *site) million(n int) {
	s.t.Helper()
	at := s.now().Add(-48 * time.Hour).UnixMilli()
	const piece = 50_000
	for from := 0; from < n; from += piece {
		records := make([]whosaw.Record, min(piece, n-from))
		for i := range records {
			k := from + i
			records[i] = whosaw.Record{
				Time: at + int64(k)*100, Source: "import", Position: int64(k), Route: "GET /me", Status: 200, Fields: meFields, Key: "login-2024-b",
				Subjects: []string{fmt.Sprint(20_000_000 + k)},
			}
		}
		_, err := s.live.TakeRecords(s.t.Context(), records)
		check(s.t, err)
	}
	check(s.t, s.live.CaughtUp(s.t.Context()))
}

var meFields = []string{"email", "name"}

// TestMillion pages through a million customers, and exports them.
func TestMillion(t *testing.T) {
	n := 1_000_000
	if raceOn || testing.Short() {
		n = 120_000
	}
	s := newSite(t)
	s.million(n)
	b := s.open()
	b.look(1440, false)
	b.visit("/scope")
	total := figure(n)
	b.shows(total)
	b.shows("1 – 20 of")
	b.clean("scope-million")
	handle, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.pathname`))
	check(t, err)
	last := figure(n-19) + " – " + total
	_, text := s.page("GET", fmt.Sprintf("%s/list?at=%d", handle, n-1), nil)
	if !strings.Contains(text, last) || !strings.Contains(text, fmt.Sprint(20_000_000+n-1)) {
		t.Errorf("the last page is not %s:\n%s", last, text)
	}
	res, err := s.post(handle+"/export", url.Values{"form": {"csv"}})
	check(t, err)
	defer res.Body.Close()
	lines := 0
	buf := make([]byte, 1<<20)
	for {
		k, err := res.Body.Read(buf)
		lines += strings.Count(string(buf[:k]), "\n")
		if err == io.EOF {
			break
		}
		check(t, err)
	}
	if lines != n+1 {
		t.Errorf("the export has %d lines, want %d and a header", lines, n)
	}
}

// TestExport: what begins like a formula is text in a spreadsheet, and an export is in the ledger.
func TestExport(t *testing.T) {
	s := newSite(t)
	s.signIn()
	evil := []string{"=HYPERLINK(\"http://evil\")", "+1", "-2", "@SUM(A1)", "\ttab", "7", "＝1", "plain"}
	var list []whosaw.Record
	for i, id := range evil {
		list = append(list, whosaw.Record{Time: s.now().UnixMilli() - 5000, Source: "a", Position: int64(i), Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{id}})
	}
	s.take("a", list)
	res, _ := s.page("GET", "/scope", nil)
	handle := res.Request.URL.Path
	out, err := s.post(handle+"/export", url.Values{"form": {"csv"}})
	check(t, err)
	defer out.Body.Close()
	rows, err := csv.NewReader(out.Body).ReadAll()
	check(t, err)
	if len(rows) != len(evil)+1 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows[1:] {
		if strings.ContainsAny(row[0][:1], "=+-@\t") || strings.HasPrefix(row[0], "＝") {
			t.Errorf("a spreadsheet would run %q", row[0])
		}
	}
	if d := out.Header.Get("Content-Disposition"); !strings.Contains(d, "attachment") {
		t.Errorf("disposition %q", d)
	}
	lines, err := s.post(handle+"/export", url.Values{"form": {"jsonl"}})
	check(t, err)
	defer lines.Body.Close()
	data, err := io.ReadAll(lines.Body)
	check(t, err)
	if !strings.Contains(string(data), `"=HYPERLINK(\"http://evil\")"`) {
		t.Errorf("JSON lines are not exact:\n%s", data)
	}
	if !s.recorded("export") {
		t.Error("the export is not in the ledger")
	}
}

// TestNoIDsInAddresses: customers' ids stand in bodies alone, whatever is asked.
func TestNoIDsInAddresses(t *testing.T) {
	s := newSite(t)
	s.signIn()
	const id = "10479912"
	s.take("a", []whosaw.Record{{Time: s.now().UnixMilli() - 5000, Source: "a", Position: 1, Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{id}}})
	res, _ := s.page("POST", "/subject", url.Values{"subject": {id}})
	if p := res.Request.URL.String(); strings.Contains(p, id) || !strings.Contains(p, "/subject/") {
		t.Errorf("the customer's page is %s", p)
	}
	again, _ := s.page("POST", "/subject", url.Values{"subject": {id}})
	if again.Request.URL.Path != res.Request.URL.Path {
		t.Error("the same customer has two handles")
	}
	scope, _ := s.page("GET", "/scope", nil)
	res, _ = s.page("POST", scope.Request.URL.Path+"/edit", url.Values{"member": {"subject"}, "value": {id}})
	if p := res.Request.URL.String(); strings.Contains(p, id) || res.StatusCode != 200 {
		t.Errorf("the filter's page is %s, %d", p, res.StatusCode)
	}
	if !s.recorded("subject") {
		t.Error("the look at a customer is not in the ledger")
	}
	if res, _ := s.page("GET", "/scope/AAAAAAAAAAAAAAAA", nil); res.StatusCode != 404 {
		t.Errorf("a handle that is none: %d", res.StatusCode)
	}
	if res, text := s.page("POST", scope.Request.URL.Path+"/edit", url.Values{"member": {"ip"}, "value": {"no-address"}}, "no-address"); res.StatusCode != 400 || !strings.Contains(text, "no address") {
		t.Errorf("a bad value: %d", res.StatusCode)
	}
}

// post sends a form as a page of ours does.
func (s *site) post(path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequest("POST", s.url+path, strings.NewReader(form.Encode()))
	check(s.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.url)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.client.Do(req)
}

// recorded reports whether an act of a kind is in the ledger.
func (s *site) recorded(kind string) bool {
	view, err := s.ledger.View(0)
	check(s.t, err)
	defer view.Close()
	found := false
	check(s.t, view.References(s.t.Context(), func(_ uint64, r *whosaw.Record) error {
		found = found || r.Type == whosaw.TypeAct && r.Ref.Kind == kind && strings.HasPrefix(r.Principal, "staff:")
		return nil
	}))
	return found
}

func figure(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
