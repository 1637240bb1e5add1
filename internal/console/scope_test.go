package console_test

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
)

// TestScope builds a filter by clicks, reads what it disclosed, saves versions, compares them, and asks why a customer is there.
func TestScope(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 2, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	b.look(1440, false)
	b.Visit("/")
	b.Key("s")
	b.Shows("Who was affected")
	b.Shows("Counted in")
	b.Shows("login-2024-b")
	b.Wait(`!document.querySelector(".load.wait")`) // what comes in moves what is to be clicked
	b.Click(`//section[@id="narrow"]//button[text()="login-2024-b"]`)
	b.Wait(`document.querySelector(".chip")?.innerText.includes("login-2024-b")`)
	b.Shows("Counted in")
	b.Wait(`!document.querySelector(".load.wait")`)
	b.Click(`//section[@id="narrow"]//button[text()="disclosed"]`)
	b.Wait(`document.querySelectorAll(".chip").length === 2`)
	b.Shows("Counted in")
	b.Shows("1 – 20 of")
	b.Key("]")
	b.Shows("21 – 40 of")
	b.Key("[")
	b.Shows("1 – 20 of")
	b.Wait(`document.querySelector("#course svg")`)
	b.Focus("#course svg")
	b.Key(kb.ArrowRight)
	b.Wait(`document.getElementById("says").textContent.includes("customers")`)
	id := b.Eval(`document.querySelector("#list tbody td").innerText.trim()`)
	b.Type("#why-id", id)
	b.Click(`//button[text()="Look"]`)
	b.Shows(id + " is in the list.")
	b.clean("scope-light", "id:"+id, "forged-")

	// A version, a narrower one, and how they differ.
	save := func(name, note string) {
		b.Click(`summary[data-key=v]`)
		b.Set("#sname", name)
		b.Type("#snote", note)
		b.Click(`//button[text()="Save the version"]`)
		b.Shows(note)
	}
	save("drill", "the key, disclosed")
	b.Shows("Scope of drill")
	b.Click(`//section[@id="narrow"]//button[text()="GET /me"]`)
	b.Wait(`document.querySelectorAll(".chip").length === 3`)
	b.Shows("Save as v2")
	save("drill", "one page only")
	b.Click(`a[data-key=d]`)
	b.Shows("customers removed")
	b.Shows("drill: v1 and v2")
	b.clean("compare", "forged-")

	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Back()
		b.Shows("Counted in")
		b.Shows("1 – 20 of")
		b.Wait(`document.querySelector("#course svg")`)
		b.clean("scope-"+l.name, "id:"+id, "forged-")
		b.Click(`.chip b`)
		b.Visit("/findings")
	}
	b.look(1440, false)
	b.Back()
	b.Shows("drill")
	// A condition typed in, and one taken away.
	b.Key("/")
	b.Wait(`document.activeElement.id === "member"`)
	b.Set("#member", "subject")
	b.Type("#value", id)
	b.Click(`//button[text()="Add"]`)
	b.Wait(`document.querySelectorAll(".chip").length === 4`)
	b.Shows("Counted in")
	b.clean("scope-one", "id:"+id)
	b.Click(`.chip button`)
	b.Wait(`document.querySelectorAll(".chip").length === 3`)
}

// TestScopeEmpty: nobody is a figure too.
func TestScopeEmpty(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.look(390, false)
	b.Visit("/scope")
	b.Shows("Nobody: no access")
	b.Shows("unexplained")
	b.clean("scope-empty")
	b.Visit("/subject")
	b.Shows("That you looked is recorded")
	b.Type("#subject", "77")
	b.Click(`main button.ink`)
	b.Shows("Nobody opened this customer")
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
	b.Visit("/scope")
	total := figure(n)
	b.Shows(total)
	b.Shows("1 – 20 of")
	b.clean("scope-million")
	handle := b.Eval(`location.pathname`)
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

// TestListAfterRemoval: a page of a list that was held shows nobody whom retention removed meanwhile.
func TestListAfterRemoval(t *testing.T) {
	s := newSite(t)
	s.signIn()
	for i := range 2 {
		s.take("a", []whosaw.Record{{
			Time: s.now().UnixMilli() - 5000, Source: "a", Position: int64(i), Route: "GET /me", Status: 200, Fields: meFields,
			Subjects: []string{fmt.Sprintf("somebody-%d", i)}, Principal: "staff:kim",
		}})
		if i == 0 { // the second one's segment is open still, and stays
			check(t, s.ledger.Seal(t.Context()))
		}
	}
	handle, err := s.console.HandleOf(t.Context(), whosaw.Filter{{Principal: []string{"staff:kim"}}}) // of which no memo keeps anything
	check(t, err)
	view, err := s.ledger.View(0)
	check(t, err)
	path := fmt.Sprintf("/scope/%s/list?seq=%d", handle, view.Last())
	check(t, view.Close())
	if _, text := s.page("GET", path, nil); !strings.Contains(text, "somebody-0") || !strings.Contains(text, "somebody-1") {
		t.Fatalf("not both are listed:\n%s", text)
	}
	if gone, err := s.ledger.Purge(t.Context(), s.now().Add(time.Hour).UnixMilli(), s.now()); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	if _, text := s.page("GET", path, nil, "somebody-0"); !strings.Contains(text, "somebody-1") {
		t.Errorf("who is left is not listed:\n%s", text)
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

// TestWhyMany: how many accesses were looked at is exact, or said to be at least.
func TestWhyMany(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.take("a", shown(s, "79", "GET /a", "name", 230, time.Hour))
	res, _ := s.page("GET", "/scope", nil)
	res, _ = s.page("POST", res.Request.URL.Path+"/edit", url.Values{"member": {"route"}, "value": {"GET /b"}})
	if _, text := s.page("POST", res.Request.URL.Path+"/why", url.Values{"subject": {"79"}}); !strings.Contains(text, "None of its ≥ 200 accesses") {
		t.Errorf("230 accesses that do not match are told as:\n%s", text)
	}
}

// TestFewColumns: where columns are few and wide, a time stands under the middle of its own.
func TestFewColumns(t *testing.T) {
	svg := string(console.Minutes(0, 60_000))
	for _, want := range []string{`<text x="23.5%" y="146" text-anchor="middle">00:00</text>`, `<text x="70.5%" y="146" text-anchor="middle">00:01</text>`} {
		if !strings.Contains(svg, want) {
			t.Errorf("there is no %s in\n%s", want, svg)
		}
	}
}

// TestWhyClaims: whom a token that was never issued names is only claimed, there too.
func TestWhyClaims(t *testing.T) {
	s := newSite(t)
	s.signIn()
	forged := shown(s, "78", "GET /a", "name", 1, time.Hour)
	forged[0].Principal, forged[0].Credential, forged[0].Key = "customer:78", "forged-78", "login-main"
	feed := whosaw.Record{Type: whosaw.TypeFeed, Source: "a", Position: 1_000_000, Time: forged[0].Time - 1000, Key: "login-main", Ref: &whosaw.Reference{Of: "issuance", HasLost: true}}
	s.take("a", append([]whosaw.Record{feed}, forged...))
	res, _ := s.page("GET", "/scope", nil)
	_, text := s.page("POST", res.Request.URL.Path+"/why", url.Values{"subject": {"78"}})
	for _, want := range []string{"One access to this customer meets the conditions", "somebody with a token that was never issued, key login-main", "claims to be customer:78"} {
		if !strings.Contains(text, want) {
			t.Errorf("it is not said %q:\n%s", want, text)
		}
	}
}

// TestCompareFromEdited: a filter that was made from a saved one leads to the comparison of the saved ones.
func TestCompareFromEdited(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.take("a", shown(s, "80", "GET /a", "name", 3, time.Hour))
	res, _ := s.page("GET", "/scope", nil)
	saved := res.Request.URL.Path
	for _, note := range []string{"first", "second"} {
		s.page("POST", saved+"/save", url.Values{"name": {"drill"}, "note": {note}})
	}
	_, text := s.page("POST", saved+"/edit", url.Values{"member": {"route"}, "value": {"GET /b"}})
	way := regexp.MustCompile(`href="(/scope/\w+/compare)"`).FindStringSubmatch(text)
	if way == nil {
		t.Fatal("there is no way to the comparison")
	}
	if res, _ := s.page("GET", way[1], nil); res.StatusCode != http.StatusOK {
		t.Errorf("the comparison: %s", res.Status)
	}
}
