package notice_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/notice"
)

var fieldNames = []string{"name", "email", "phone", "address", "door_code", "order_history", "payment", "credential", "birth_date", "national_id", "location", "contents"}

var codeLine = regexp.MustCompile(`(?m)^[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){6}$`)

// Each person gets one notice, with exactly the fields that the records showed of them, in their language, with a code that is genuine.
func TestEachPersonGetsTheirOwnFields(t *testing.T) {
	w := newWorld(t)
	random := rand.New(rand.NewPCG(9, 5))
	langs := []string{"en", "ko", "ar", "bn", "xx"}
	for i := 1; i <= 150; i++ {
		id := fmt.Sprint(i)
		if i%17 == 0 {
			id = fmt.Sprintf("00%d", i) // an id that is no number
		}
		for range 1 + random.IntN(4) {
			var fields []string
			for range 1 + random.IntN(3) {
				fields = append(fields, fieldNames[random.IntN(len(fieldNames))])
			}
			slices.Sort(fields)
			w.show(id, slices.Compact(fields)...)
		}
		w.contact(id, "c"+id+"@customer.example", langs[i%len(langs)])
	}
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	n = w.until(n.Number, inState(notice.Done))
	if n.Outcomes["sent"] != int64(len(w.shown)) || n.People != int64(len(w.shown)) {
		t.Fatalf("%+v", n)
	}
	texts, err := notice.LoadTexts("")
	check(t, err)
	got := map[string]bool{}
	ids := map[string]bool{}
	for _, m := range w.sink.mails() {
		id := strings.TrimSuffix(strings.TrimPrefix(m.to, "c"), "@customer.example")
		if got[id] {
			t.Errorf("%s got two", id)
		}
		got[id] = true
		mail := parseMail(t, m.raw)
		mail.text, mail.html = isolates.Replace(mail.text), isolates.Replace(mail.html)
		lang := mail.header.Get("Content-Language")
		var i int
		fmt.Sscan(strings.TrimLeft(id, "0"), &i)
		if want := langs[i%len(langs)]; lang != want && !(want == "xx" && lang == "en") {
			t.Errorf("%s reads %s and got %s", id, want, lang)
		}
		for _, f := range fieldNames {
			// The name and the advice, in both parts, if and only if a record showed the field.
			for _, body := range []string{mail.text, mail.html} {
				if has := strings.Contains(body, escaped(body, texts[lang].Fields[f].Advice)); has != w.shown[id][f] {
					t.Fatalf("%s in %s: advice for %s is there: %t; shown: %t\n%s", id, lang, f, has, w.shown[id][f], body)
				}
			}
		}
		if list := listed(mail.text); len(list) != len(w.shown[id]) {
			t.Errorf("%s: %d items for %d fields: %q", id, len(list), len(w.shown[id]), list)
		}
		if !strings.Contains(mail.text, "Name of "+id) || !strings.Contains(mail.html, `dir="`+texts[lang].Dir+`"`) || !strings.Contains(mail.html, `lang="`+lang+`"`) {
			t.Errorf("%s: name, language or direction is missing", id)
		}
		code := codeLine.FindString(mail.text)
		g, err := w.book.Genuine(t.Context(), code)
		if err != nil || g.Incident != n.Incident || g.Language != lang || g.Organisation != w.cfg.Organisation[lang] || g.Sample {
			t.Errorf("%s: code %s: %v %+v", id, code, err, g)
		}
		message := mail.header.Get("Message-Id")
		if ids[message] || ids[code] {
			t.Errorf("%s: code or message id is another's too", id)
		}
		ids[message], ids[code] = true, true
	}
	if len(got) != len(w.shown) {
		t.Errorf("%d of %d got one", len(got), len(w.shown))
	}
	if w.sink.secure == 0 || w.sink.sessions < 4 {
		t.Errorf("%d sessions, %d with TLS", w.sink.sessions, w.sink.secure)
	}
	w.stop()
	noContacts(t, w)
}

// listed gives the items under the first heading with items: what leaked.
func listed(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "- "):
			out = append(out, line)
		case len(out) > 0:
			return out
		}
	}
	return out
}

// escaped writes a text as the body at hand does.
func escaped(body, text string) string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(body, "<!DOCTYPE") {
		return strings.NewReplacer("'", "&#39;", `"`, "&#34;", "&", "&amp;").Replace(text)
	}
	return text
}

// noContacts looks for contact data in everything that stayed behind.
func noContacts(t *testing.T, w *world) {
	t.Helper()
	for _, word := range []string{"customer.example", "Name of ", w.shop.secret} {
		if strings.Contains(w.logged(), word) {
			t.Errorf("the log has %q", word)
		}
		err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Base(path) == "secret" {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(data), word) {
				t.Errorf("%s has %q", path, word)
			}
			return err
		})
		check(t, err)
	}
	for _, a := range w.acts {
		if strings.Contains(fmt.Sprint(a), "example") {
			t.Errorf("an act has a contact: %+v", a)
		}
	}
}

// Whoever cannot be reached has an outcome that says why, and nobody is lost.
func TestOutcomes(t *testing.T) {
	w := newWorld(t)
	for i := 1; i <= 60; i++ {
		w.show(fmt.Sprint(i), "name", "phone")
		w.contact(fmt.Sprint(i), fmt.Sprintf("c%d@customer.example", i), "en")
	}
	w.shop.mu.Lock()
	delete(w.shop.contacts, "7")
	w.shop.contacts["8"]["email"] = "c8@customer.example>\r\nRCPT TO:<thief@evil.example"
	w.shop.contacts["9"]["email"] = "two people <c9@customer.example>"
	w.shop.contacts["10"]["email"] = ""
	failures := 3
	w.shop.fail = func() int { // the shop has a bad minute first
		if failures--; failures >= 0 {
			return []int{503, 429, 500}[failures]
		}
		return 0
	}
	w.shop.mu.Unlock()
	tried := map[string]int{}
	w.sink.rcpt = func(to string) error {
		w.sink.mu.Lock()
		defer w.sink.mu.Unlock()
		tried[to]++
		switch to {
		case "c11@customer.example":
			return &smtp.SMTPError{Code: 550, Message: "no such user " + to}
		case "c12@customer.example":
			if tried[to] == 1 {
				return &smtp.SMTPError{Code: 450, Message: "later"}
			}
		case "c13@customer.example":
			return &smtp.SMTPError{Code: 451, Message: "never, but says later"}
		}
		return nil
	}
	w.sink.data = func(to string) error {
		switch to {
		case "c14@customer.example":
			return &smtp.SMTPError{Code: 554, Message: "spam"}
		case "c15@customer.example":
			w.sink.mu.Lock()
			defer w.sink.mu.Unlock()
			if tried[to] == 1 {
				return &smtp.SMTPError{Code: 452, Message: "full"}
			}
		case "c17@customer.example": // as often as it may be tried and once more: a busy relay is not this person's
			w.sink.mu.Lock()
			defer w.sink.mu.Unlock()
			if tried[to] <= 4 {
				return &smtp.SMTPError{Code: 452, Message: "full"}
			}
		}
		return nil
	}
	w.sink.cut = func(to string) bool { return to == "c16@customer.example" }
	w.cfg.RetryFirst, w.cfg.RetryMost, w.cfg.Tries = time.Millisecond, 2*time.Millisecond, 3
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	n = w.until(n.Number, func(n *notice.Notice) bool { return n.State != notice.Sending })
	want := map[string]int64{"sent": 53, "no_contact": 2, "bad_contact": 2, "refused": 2, "gave_up": 1}
	if n.Outcomes["in_doubt"] != 1 {
		t.Errorf("outcomes are %v", n.Outcomes)
	}
	delete(n.Outcomes, "in_doubt")
	want["sent"]--
	if !maps.Equal(n.Outcomes, want) {
		t.Errorf("outcomes are %v, want %v", n.Outcomes, want)
	}
	if n.State != notice.WaveOver || !strings.Contains(n.Why, "in doubt") {
		t.Errorf("%s: %s", n.State, n.Why)
	}
	for id, c := range map[string]struct {
		outcome notice.Outcome
		reply   int
	}{"7": {notice.NoContact, 0}, "8": {notice.BadContact, 0}, "11": {notice.Refused, 550}, "12": {notice.Sent, 250}, "13": {notice.GaveUp, 451}, "14": {notice.Refused, 554}, "15": {notice.Sent, 250}, "17": {notice.Sent, 250}, "16": {notice.InDoubt, 0}} {
		p, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: id})
		check(t, err)
		if p.Outcome != c.outcome || p.Reply != c.reply {
			t.Errorf("%s: %+v, want %v", id, p, c)
		}
	}
	if _, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: "61"}); err == nil {
		t.Error("somebody who gets no notice is known")
	}

	// What is in doubt is sent again by choice, under the id it had.
	w.sink.mu.Lock()
	w.sink.cut = nil
	w.sink.mu.Unlock()
	count, err := w.book.Again(t.Context(), n.Number, "staff:lee", notice.InDoubt, "the relay's log does not have it")
	if err != nil || count != 1 {
		t.Fatalf("%d %v", count, err)
	}
	check(t, w.book.Resume(t.Context(), n.Number, "staff:kim"))
	n = w.until(n.Number, inState(notice.Done))
	if n.Outcomes["sent"] != 53 {
		t.Errorf("%v", n.Outcomes)
	}
	w.stop()
	noContacts(t, w)
}

// People in address books are told too, each once, with what was shown of them; a customer who is in one gets one notice with both.
func TestAddressBooks(t *testing.T) {
	w := newWorld(t)
	w.show("1", "name", "address", "phone")
	w.show("2", "name", "address")
	w.show("3", "email")
	for id, email := range map[string]string{"1": "c1", "2": "c2", "3": "c3", "50": "c50", "other:b": "mother", "other:a": "friend"} {
		w.contact(id, email+"@customer.example", "en")
	}
	w.shop.mu.Lock()
	w.shop.books["1"] = []map[string]any{{"id": "a"}, {"id": "b"}, {"subject": "3"}, {"subject": "50"}}
	w.shop.books["2"] = []map[string]any{{"id": "a"}}
	w.shop.mu.Unlock()
	w.open()
	rows := []whosaw.ListRow{{Subject: "1", Fields: []string{"address", "name", "phone"}}, {Subject: "2", Fields: []string{"address", "name"}}}
	n := w.made(notice.Spec{Books: func(yield func(whosaw.ListRow) error) error {
		for _, r := range rows {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}})
	if n.People != 6 || n.Books != 3 {
		t.Fatalf("%d people, %d of address books", n.People, n.Books)
	}
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	want := map[string]string{ // to whom, and what is listed
		"c1": "your name|your address|your phone number", "c2": "your name|your address", "c3": "your name|your address|your phone number|your e-mail address",
		"c50": "your name|your address|your phone number", "mother": "your name|your address|your phone number", "friend": "your name|your address|your phone number",
	}
	for _, m := range w.sink.mails() {
		to, _, _ := strings.Cut(m.to, "@")
		mail := parseMail(t, m.raw)
		var got []string
		for _, line := range listed(mail.text) {
			got = append(got, strings.TrimPrefix(line, "- "))
		}
		wanted := strings.Split(want[to], "|")
		slices.Sort(got)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("%s is told of %q, want %q", to, got, wanted)
		}
		if other := to == "mother" || to == "friend"; strings.Contains(mail.text, "You are not a customer") != other {
			t.Errorf("%s is spoken to as the other kind", to)
		}
		delete(want, to)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	for _, p := range []notice.Person{{ID: "a", Other: true}, {ID: "50"}, {ID: "3"}} {
		if got, err := w.book.Person(t.Context(), n.Number, p); err != nil || got.Outcome != notice.Sent {
			t.Errorf("%+v: %v %+v", p, err, got)
		}
	}
	if _, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: "a"}); err == nil {
		t.Error("a customer with the id of an entry")
	}
}
