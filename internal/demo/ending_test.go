package demo_test

import (
	"database/sql"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/demo"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/notice"
)

// cells are those of a table's row, by its label.
func (b *tab) cells(label string) string {
	b.t.Helper()
	return b.Eval(fmt.Sprintf(`[...document.querySelectorAll(".dtable tr")].filter(r => r.querySelector("th[scope=row]")?.firstChild?.textContent === %q).map(r => [...r.querySelectorAll("td")].map(c => c.firstChild?.textContent).join(" | ")).join(" || ")`, label))
}

// state is how the clock of somebody who is to be told stands.
func (b *tab) state(whom string) string {
	b.t.Helper()
	return b.Eval(fmt.Sprintf(`[...document.querySelectorAll(".dtable tr")].filter(r => r.querySelector("th[scope=row]")?.firstChild?.textContent === %q).map(r => r.querySelector("td:last-child").firstChild.textContent).join(" || ")`, whom))
}

const (
	ministry   = "Minister of Science and ICT, or KISA"
	commission = "Personal Information Protection Commission, or KISA"
	lead       = "the lead supervisory authority"
)

// incident walks through the incident: what opened it, its clocks now and later, its two scope versions beside the thief's list.
func (b *tab) incident(d *demo.Demo, few, everyone int) {
	t := b.t
	b.Shows("The alarm opened an incident.")
	b.Wait(`document.querySelectorAll(".dtable").length === 3 && document.querySelectorAll(".panel")[1].querySelectorAll("thead th").length === 3`)
	b.Shows("Opened by whosaw itself")
	b.Shows("no purge removes any record")
	for label, want := range map[string]string{
		"customers to tell":                       fmt.Sprintf("= %s | = %s", figure.Int(int64(few)), figure.Int(int64(everyone))),
		"on the thief’s own list":                 fmt.Sprintf("%[1]s | %[1]s", figure.Int(int64(everyone))),
		"of these, not in the version":            fmt.Sprintf("%s | 0", figure.Int(int64(everyone-few))),
		"in the version, not on the thief’s list": "0 | 0",
	} {
		if got := b.cells(label); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
	}
	truth := d.Truth()
	if diff := cmp.Diff(truth, d.Listed(t, 2)); diff != "" {
		t.Errorf("scope version 2 is not the thief's list (-thief +version):\n%s", diff)
	}
	least, most := d.Complained()
	first := d.Listed(t, 1)
	for id := range first {
		if !most[id] {
			t.Errorf("customer %s is in scope version 1, and was not shown in that time", id)
		}
	}
	for id := range least {
		if first[id] == nil {
			t.Errorf("customer %s was shown in that time, and is not in scope version 1", id)
		}
	}
	if got := b.cells("door code in clear, of so many"); !strings.HasSuffix(got, " | "+strconv.Itoa(with(truth, "door_code"))) || with(truth, "door_code") == 0 {
		t.Errorf("door codes by version: %s, the thief has %d", got, with(truth, "door_code"))
	}
	days := func(want map[string]string) {
		t.Helper()
		for whom, state := range want {
			if got := b.state(whom); got != state {
				t.Errorf("the clock of %s: %q, want %q", whom, got, state)
			}
		}
	}
	days(map[string]string{ministry: "runs", commission: "runs", lead: "runs"})
	told := func(says string) int {
		n, err := strconv.Atoi(b.Eval(fmt.Sprintf(`String([...document.querySelectorAll(".dtable.timed tr:not(.ahead)")].filter(r => r.textContent.includes(%q)).length)`, says)))
		check(t, err)
		return n
	}
	if told("OVERDUE") != 0 || told("A clock runs") == 0 {
		t.Error("at the beginning the clocks say that they are over, or nothing")
	}
	b.clean("incident")
	b.Click(`[name=do][value=day]`)
	b.Shows("1 day ahead")
	days(map[string]string{ministry: "overdue", commission: "runs"}) // 24 hours were over some seconds ago
	if told("Less than two hours left") != 1 || told("OVERDUE") != 1 {
		t.Errorf("a day on, %d clocks have said that two hours are left, %d that they are over", told("Less than two hours left"), told("OVERDUE"))
	}
	b.Click(`[name=do][value=day]`)
	b.Shows("2 days ahead")
	days(map[string]string{ministry: "overdue", commission: "runs", lead: "runs"})
	b.Click(`[name=do][value=day]`)
	b.Shows("3 days ahead")
	b.Click(`[name=do][value=day]`)
	b.Shows("4 days ahead")
	days(map[string]string{ministry: "overdue", commission: "overdue", lead: "overdue"})
	if told("OVERDUE") != 3 {
		t.Errorf("four days on, %d clocks have said that they are over", told("OVERDUE"))
	}
	b.Click(`[name=do][value=today]`)
	b.Shows("The clocks, now")
	days(map[string]string{ministry: "runs"})
}

func with(list map[string][]string, field string) int {
	n := 0
	for _, fields := range list {
		if slices.Contains(fields, field) {
			n++
		}
	}
	return n
}

// report reads the draft that is refused, and has the right one signed off.
func (b *tab) report(everyone int) {
	t := b.t
	b.Shows("A report that may not call a leak an exposure.")
	b.Wait(`document.querySelector("[name=do][value=sign]")`)
	b.Shows("exposure of the names")
	b.Shows("say leak (유출), not exposure (노출)")
	b.Shows("the text leaves it out: name the door code")
	b.Shows("so there is something to do: say what")
	b.Shows("whosaw refuses: the document has 3 faults")
	b.clean("report-draft")
	b.Click(`[name=do][value=sign]`)
	b.Shows("signed off by second-person")
	b.Shows(fmt.Sprintf("The data of %s customers leaked", figure.Int(int64(everyone))))
	for _, whom := range []string{ministry, commission, lead} {
		if got := b.state(whom); got != "done in time" {
			t.Errorf("the report to %s: %q", whom, got)
		}
	}
	b.clean("report")
	here := b.Eval(`location.href`)
	links := b.Eval(`[...document.querySelectorAll(".panel")[1].querySelectorAll(".ways a")].map(a => a.href).join(" ")`)
	for i, want := range []string{"door code", `"scope_version":2`} {
		b.Visit(strings.Fields(links)[i])
		b.Shows(want)
	}
	b.visit(here)
}

// notices has everybody told, and holds each mail against what the thief was shown of its reader.
func (b *tab) notices(d *demo.Demo) {
	t := b.t
	b.Shows("Each person is told, with their own fields.")
	b.Wait(`document.querySelector("[name=do][value=send]")`)
	b.Shows("a second person approves it")
	b.clean("notices-before")
	b.sample()
	due, unreached := people(t, d)
	if got, want := b.factOf(0, "people to tell"), strconv.Itoa(len(due)+unreached); got != want {
		t.Errorf("%s people are to be told, want %s", got, want)
	}
	if got, want := b.factOf(0, "none is known of"), strconv.Itoa(unreached); got != want || unreached == 0 {
		t.Errorf("of %s no address is known, want %s", got, want)
	}
	b.Click(`[name=do][value=send]`)
	b.settled(1)
	b.Wait(`[...document.querySelectorAll(".panel")[1].querySelectorAll(".ways a")].length === 9`)
	if got, want := b.figureOf(1), "= "+strconv.Itoa(len(due)); got != want {
		t.Errorf("%s mails have come, want %s", got, want)
	}
	mails := d.Mails(t)
	got, codes := map[string][]string{}, map[string]bool{}
	texts, err := notice.LoadTexts("")
	check(t, err)
	for _, m := range mails {
		if got[m.To] != nil || m.Code == "" || codes[m.Code] || m.Signed != "haneul-market.example" {
			t.Errorf("a second mail to one person, or one without a code of its own: %s", m.To)
		}
		codes[m.Code] = true
		got[m.To] = fieldsOf(t, texts[m.Lang], &m)
	}
	if diff := cmp.Diff(due, got); diff != "" {
		t.Errorf("what people were told is not what was shown of them (-shown +told):\n%s", diff)
	}
	b.clean("notices")
	for i, m := range mails[:min(40, len(mails))] {
		if !genuine(t, d.Public(), m.Code) {
			t.Errorf("the code of mail %d is not known to the public page", i)
		}
	}
	if wrong := mails[0].Code[:len(mails[0].Code)-4] + mails[1].Code[len(mails[1].Code)-4:]; genuine(t, d.Public(), wrong) {
		t.Error("a made-up code is genuine")
	}
	b.mailbox(d)
	b.visit(d.URL() + "/step/notices")
	b.Shows("Each person is told")
}

// sample opens the mail that went to the test address before anybody was told.
func (b *tab) sample() {
	b.t.Helper()
	here := b.Eval(`location.href`)
	b.visit(b.Eval(`[...document.querySelectorAll(".ways a")].find(a => a.textContent === "The sample, in the test mailbox").href`))
	b.Shows("test@haneul-market.example")
	if got := b.known("reader"); !strings.HasPrefix(got, "nobody") || b.Is(`!!document.getElementById("check")`) {
		b.t.Errorf("the sample is read by %q, or its code is said to be somebody's", got)
	}
	b.Shot("demo-sample")
	b.visit(here)
	b.Wait(`document.querySelector("[name=do][value=send]")`)
}

// mailbox opens the visitor's mailbox, follows the code to the public page, and looks itself up with a code from the shop.
func (b *tab) mailbox(d *demo.Demo) {
	t := b.t
	email, password := d.Visitor()
	b.visit(b.Eval(`[...document.querySelectorAll(".ways a")].find(a => a.textContent === "Your own mailbox").href`))
	b.Shows(email)
	b.Shows("Is it genuine?")
	if shown, told := b.known("the thief was shown"), b.known("this notice is about"); shown != told || !strings.Contains(shown, "name, e-mail") {
		t.Errorf("the thief was shown %q, the notice is about %q", shown, told)
	}
	b.clean("mailbox")
	page := b.Eval(`document.querySelector("a[href$='/page']").href`)
	b.Visit(b.Eval(`document.getElementById("check").href`))
	b.Wait(`document.querySelector(".answer.held")`)
	if at := b.Eval(`location.href`); strings.Contains(at, "#") {
		t.Errorf("the code stands in the address: %s", at)
	}
	b.Shot("demo-genuine")
	b.Visit(page)
	b.Shows("/notice")
	b.Shot("demo-mail-page")
	_, shop := d.World()
	b.Visit(shop + "/login?next=/me/codes")
	b.Type("[name=email]", email)
	b.Type("[name=password]", password)
	b.Click("main form button")
	b.Shows("This code is yours alone")
	b.Shot("demo-codes")
	b.Click("main a.button")
	b.Wait(`document.querySelector(".answer.taken")`)
	b.Shot("demo-affected")
	b.Visit(d.Public() + "/?lang=en")
	b.Shows("leaked")
	b.Shows("door code")
	b.Shot("demo-posted")
	b.visit(d.URL() + "/step/notices")
	b.visit(b.Eval(`[...document.querySelectorAll(".ways a")].find(a => a.textContent === "Somebody in an address book").href`))
	b.Shows("somebody in a customer’s address book")
	b.Type("[name=to]", "nobody@example.org")
	b.Click(".dfind button")
	b.Shows("Nothing has come to this address.")
}

func (b *tab) known(label string) string {
	b.t.Helper()
	return b.Eval(fmt.Sprintf(`[...document.querySelectorAll("#known > div")].find(d => d.querySelector("dt").textContent === %q)?.querySelector("dd").textContent ?? ""`, label))
}

// people are whom a notice is due, by mail address with the fields that the thief was shown of them, and how many have none: as the shop's own file says.
func people(t *testing.T, d *demo.Demo) (due map[string][]string, unreached int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.Dir(), "1", "shop.db")+"?mode=ro")
	check(t, err)
	defer db.Close()
	due = map[string][]string{}
	for id, fields := range d.Truth() {
		var email string
		check(t, db.QueryRow("SELECT email FROM customer WHERE number = ?", id).Scan(&email))
		due[email] = fields
	}
	for who := range d.Others() {
		name, phone, _ := strings.Cut(who, "|")
		var email string
		check(t, db.QueryRow("SELECT max(email) FROM address WHERE name = ? AND phone = ? AND relation <> ''", name, phone).Scan(&email))
		if email == "" {
			unreached++
			continue
		}
		due[email] = []string{"address", "name", "phone"}
	}
	return due, unreached
}

// fieldsOf are those that a mail has advice for, in both its forms.
func fieldsOf(t *testing.T, texts *notice.Texts, m *demo.Mail) []string {
	t.Helper()
	var out []string
	for _, f := range slices.Sorted(maps.Keys(texts.Fields)) {
		advice := strings.TrimSpace(texts.Fields[f].Advice)
		in := strings.Contains(m.Plain, advice)
		if in != strings.Contains(html.UnescapeString(m.Page), advice) {
			t.Errorf("the two forms of a mail differ in %s", f)
		}
		if in {
			out = append(out, f)
		}
	}
	return out
}

// genuine asks the public page about a code.
func genuine(t *testing.T, public, code string) bool {
	t.Helper()
	res, err := http.PostForm(public+"/notice?lang=en", url.Values{"code": {code}})
	check(t, err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	check(t, err)
	yes, no := strings.Contains(string(page), `class="answer held"`), strings.Contains(string(page), `class="answer watch"`)
	if yes == no {
		t.Fatalf("the public page says neither: %s", res.Status)
	}
	return yes
}
