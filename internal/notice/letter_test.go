package notice_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
)

// isolates takes the marks out of a text from right to left that keep dates in order.
var isolates = strings.NewReplacer("\u2066", "", "\u2069", "")

var languages = []string{"en", "ko", "ar", "bn"}

// letterWorld is a notice to one person of whom every field was shown.
func letterWorld(t testing.TB) (*world, *notice.Notice) {
	w := newWorld(t)
	w.show("1", fieldNames...)
	w.open()
	n, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{})
	check(t, err)
	return w, n
}

// Every field, alone and with all others, in every language, to a customer and to somebody in an address book: its name, its advice, and nobody else's.
func TestEveryFieldInEveryLanguage(t *testing.T) {
	w, n := letterWorld(t)
	if len(n.Faults) > 0 {
		t.Fatalf("%+v", n.Faults)
	}
	texts, err := notice.LoadTexts("")
	check(t, err)
	sets := [][]string{fieldNames}
	for _, f := range fieldNames {
		sets = append(sets, []string{f})
	}
	for _, lang := range languages {
		for _, other := range []bool{false, true} {
			for _, fields := range sets {
				m, err := w.book.Preview(t.Context(), n.Number, lang, fields, other)
				check(t, err)
				texts := texts[lang]
				for _, f := range fieldNames {
					for name, body := range map[string]string{"text": m.Text, "html": m.HTML} {
						if has := strings.Contains(body, escaped(body, texts.Fields[f].Advice)); has != slices.Contains(fields, f) {
							t.Errorf("%s, %s, %v: advice for %s is there: %t", lang, name, fields, f, has)
						}
						if slices.Contains(fields, f) && !incident.Names(body, lang, f) {
							t.Errorf("%s, %s: %s is not named", lang, name, f)
						}
					}
				}
				// In both: what happened, measures, remedy, contact, rights, the address and a code, who tells.
				for _, part := range []string{happened[lang], measures[lang], remedies[lang], contacts[lang], texts.Rights, "https://shop.example/notice", w.cfg.Organisation[lang], texts.Sample} {
					for _, body := range []string{m.Text, m.HTML} {
						body = isolates.Replace(body)
						if !strings.Contains(body, escaped(body, part)) {
							t.Errorf("%s lacks %q:\n%s", lang, part, body)
						}
					}
				}
				if codeLine.FindString(m.Text) == "" || !strings.Contains(m.HTML, codeLine.FindString(m.Text)) {
					t.Errorf("%s has no code in both parts", lang)
				}
				for _, body := range []string{m.Text, m.HTML, m.Subject} {
					if i := strings.IndexAny(body, "{}"); i >= 0 {
						t.Errorf("%s: not filled in: %q", lang, body[i:min(len(body), i+40)])
					}
				}
				if first := listed(m.Text)[0]; slices.Contains(fields, "door_code") && first != "- "+texts.Fields["door_code"].Name {
					t.Errorf("%s: the door code does not come first, but %q", lang, first)
				}
				if marked := strings.Contains(m.HTML, "\u20662026-11-22\u2069") && strings.Contains(m.Text, "\u2066privacy@shop.example\u2069"); marked != (lang == "ar") {
					t.Errorf("%s: dates and addresses are marked as read from left to right: %t", lang, marked)
				}
				if want := map[bool]string{false: "ltr", true: "rtl"}[lang == "ar"]; m.Dir != want || !strings.Contains(m.HTML, `<html lang="`+lang+`" dir="`+want+`">`) {
					t.Errorf("%s is %s", lang, m.Dir)
				}
			}
		}
	}
}

// What went wrong in the case cannot be approved.
func TestWhatCannotBeApproved(t *testing.T) {
	w, n := letterWorld(t)
	state := func(content, lang, text string) {
		t.Helper()
		_, err := w.inc.Record(t.Context(), n.Incident, "staff:kim", incident.Stated, incident.Body{Statement: &incident.Statement{Content: content, Lang: lang, Text: text}})
		check(t, err)
	}
	for name, c := range map[string]struct{ lang, content, text, want string }{
		"exposure":           {"en", "when_and_how", "Your data was exposed.", "not exposure"},
		"exposure in Korean": {"ko", "when_and_how", "개인정보가 노출되었습니다.", "유출"},
		"exposure in Arabic": {"ar", "when_and_how", "حدث انكشاف للبيانات.", "leak"},
		"exposure, Bengali":  {"bn", "when_and_how", "তথ্য উন্মুক্ত হয়েছে।", "leak"},
		"no action":          {"en", "measures", "The key was replaced. No further action is required.", "door_code of 1 person"},
		"no action, Korean":  {"ko", "measures", "별도의 조치가 필요하지 않습니다.", "door_code of 1 person"},
		"no action, Arabic":  {"ar", "measures", "لا يلزم اتخاذ أي إجراء.", "door_code of 1 person"},
		"no action, Bengali": {"bn", "measures", "কোনো পদক্ষেপ নেওয়ার প্রয়োজন নেই।", "door_code of 1 person"},
		"another count":      {"en", "when_and_how", "4,536 accounts.", "4,536 is no figure"},
	} {
		t.Run(name, func(t *testing.T) {
			was := map[string]map[string]string{"when_and_how": happened, "measures": measures}[c.content][c.lang]
			state(c.content, c.lang, c.text)
			now, err := w.book.Notice(t.Context(), n.Number)
			check(t, err)
			if len(now.Faults) == 0 || !strings.Contains(fmt.Sprint(now.Faults), c.want) {
				t.Errorf("faults %+v, want %q", now.Faults, c.want)
			}
			if err := w.book.Approve(t.Context(), n.Number, "staff:lee", now.Hash); err == nil || !strings.Contains(err.Error(), "fault") {
				t.Errorf("approved: %v", err)
			}
			state(c.content, c.lang, was)
		})
	}
	now, err := w.book.Notice(t.Context(), n.Number)
	check(t, err)
	if len(now.Faults) > 0 {
		t.Fatalf("%+v", now.Faults)
	}
	for name, c := range map[string]struct{ who, hash, want string }{
		"by who made it": {"staff:kim", now.Hash, "a second person"},
		"of other words": {"staff:lee", strings.Repeat("0", 64), "not those that were read"},
		"by nobody":      {"", now.Hash, "say who"},
	} {
		if err := w.book.Approve(t.Context(), n.Number, c.who, c.hash); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0); err == nil || !strings.Contains(err.Error(), "not approved") {
		t.Errorf("sent before it was approved: %v", err)
	}
	check(t, w.book.Approve(t.Context(), n.Number, "staff:lee", now.Hash))
	if err := w.book.Approve(t.Context(), n.Number, "staff:park", now.Hash); err == nil {
		t.Error("approved twice")
	}
	// What is said in the incident afterwards changes nothing of what was approved.
	state("measures", "en", "Something else.")
	m, err := w.book.Preview(t.Context(), n.Number, "en", nil, false)
	check(t, err)
	if !strings.Contains(m.Text, measures["en"]) || strings.Contains(m.Text, "Something else") {
		t.Error("the approved words changed")
	}
}

// A field that the texts have no words for, and texts that are not whole.
func TestTexts(t *testing.T) {
	w := newWorld(t)
	w.show("1", "name", "loyalty_card")
	w.open()
	n, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{})
	check(t, err)
	if got := fmt.Sprint(n.Faults); len(n.Faults) != len(languages) || !strings.Contains(got, "loyalty_card was shown in clear, and the texts have no name and advice for it") {
		t.Errorf("faults %s", got)
	}

	shipped, err := os.ReadFile("texts/en.yaml")
	check(t, err)
	for name, c := range map[string]struct{ old, new, want string }{
		"a language it is not":   {"lang: en", "lang: fr", "named after"},
		"no direction":           {"dir: ltr", "dir: up", "rtl"},
		"an unknown slot":        {"{organisation}, {date}", "{organisation}, {day}", "nothing is filled in for {day}"},
		"an unknown member":      {"sample:", "simple:", "unknown"},
		"a text that is empty":   {"code_label: \"Code of this notice:\"", "code_label: \"\"", "code_label: the text is missing"},
		"a greeting to nobody":   {"Dear {name},", "Dear you,", "has no {name}"},
		"a field without advice": {"advice: With your name", "advice: \"\" # With your name", "fields.name.advice"},
	} {
		dir := t.TempDir()
		if !strings.Contains(string(shipped), c.old) {
			t.Fatalf("%s: en.yaml has no %q", name, c.old)
		}
		check(t, os.WriteFile(filepath.Join(dir, "en.yaml"), []byte(strings.Replace(string(shipped), c.old, c.new, 1)), 0o600))
		if _, err := notice.LoadTexts(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// A language of one's own, and a text that replaces the shipped one.
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "fr.yaml"), []byte(strings.Replace(string(shipped), "lang: en", "lang: fr", 1)), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "en.yaml"), []byte(strings.Replace(string(shipped), "your personal data was leaked", "we leaked your data", 1)), 0o600))
	texts, err := notice.LoadTexts(dir)
	check(t, err)
	if texts["fr"] == nil || texts["ko"] == nil || !strings.Contains(texts["en"].Subject, "we leaked") {
		t.Error("texts of a directory are not taken")
	}
}

// Later facts: only who came, or whose fields changed, gets the next notice.
func TestSince(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"1", "2", "3"} {
		w.show(id, "name")
		w.contact(id, "c"+id+"@customer.example", "en")
	}
	w.open()
	first := w.made(notice.Spec{})
	w.show("2", "door_code")
	w.show("4", "phone")
	w.contact("4", "c4@customer.example", "en")
	w.version(first.Incident)
	second, err := w.book.Make(t.Context(), first.Incident, "staff:kim", notice.Spec{Since: 1})
	check(t, err)
	if second.People != 2 || second.Version != 2 {
		t.Fatalf("%+v", second)
	}
	for id, fields := range map[string][]string{"2": {"door_code", "name"}, "4": {"phone"}} {
		p, err := w.book.Person(t.Context(), second.Number, notice.Person{ID: id})
		if err != nil || !slices.Equal(p.Fields, fields) {
			t.Errorf("%s: %v %+v", id, err, p)
		}
	}
	if _, err := w.book.Make(t.Context(), first.Incident, "staff:kim", notice.Spec{Since: 2}); !errors.Is(err, notice.ErrInvalid) || !strings.Contains(err.Error(), "was in the earlier one with the same fields") {
		t.Errorf("a notice to nobody new: %v", err)
	}
	// A notice of one is not one of the other.
	if _, err := w.book.Genuine(t.Context(), "0000-0000-0000-0000-0000-0000-0000"); err == nil {
		t.Error("a made-up code is genuine")
	}
	p, err := w.book.Person(t.Context(), first.Number, notice.Person{ID: "1"})
	check(t, err)
	if _, err := w.book.Genuine(t.Context(), p.Code); err == nil {
		t.Error("a code is genuine before its notice went out")
	}
	check(t, w.book.Send(t.Context(), first.Number, "staff:kim", 0, 0))
	w.until(first.Number, inState(notice.Done))
	g, err := w.book.Genuine(t.Context(), strings.ToLower(p.Code))
	if err != nil || g.Notice != first.Number || !g.Sent.Equal(time.Now().UTC().Truncate(24*time.Hour)) {
		t.Errorf("%v %+v", err, g)
	}
}

// A scope of which nothing was shown in clear has nobody to be told.
func TestNobody(t *testing.T) {
	w := newWorld(t)
	w.show("1")
	w.open()
	if _, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{}); err == nil {
		t.Error("a notice to nobody")
	}
	if _, err := w.book.Make(t.Context(), 1, "staff:kim", notice.Spec{Version: 7}); err == nil {
		t.Error("a notice of a version that is not there")
	}
	if _, err := w.book.Make(t.Context(), 9, "staff:kim", notice.Spec{}); err == nil {
		t.Error("a notice of an incident that is not there")
	}
}

// Whoever was shown masked values only is counted, said on the dry run, and told only by choice, in words of their own that name no field as shown in full.
func TestMaskedOnly(t *testing.T) {
	w := newWorld(t)
	w.showAll(5, func(i int) []string { return []string{"name"} })
	for _, id := range []string{"8", "9"} {
		w.at++
		_, err := w.led.Append(t.Context(), []whosaw.Record{{
			Type: whosaw.TypeAccess, Time: start.UnixMilli() + w.at, Source: "log", Position: w.at, Key: "backup", Subjects: []string{id}, Fields: []string{}, Masked: []string{"door_code", "phone"},
			Outcome: whosaw.OutcomeDisclosed,
		}})
		check(t, err)
	}
	for i := range 9 {
		w.contact(fmt.Sprint(i+1), fmt.Sprintf("c%d@customer.example", i+1), []string{"en", "ko", "ar", "bn"}[i%4])
	}
	w.open()
	without := w.made(notice.Spec{})
	if without.People != 5 || without.MaskedOnly != 2 || without.MaskedTold {
		t.Fatalf("%+v", without)
	}
	const says = "2 people were shown masked values only: not notified, because nothing of theirs was shown in clear"
	d, err := w.book.Dry(t.Context(), without.Number, 100)
	check(t, err)
	if d.People != 5 || d.MaskedOnly != 2 || d.Says != says {
		t.Errorf("the dry run says %+v", d)
	}
	in, err := w.inc.Incident(t.Context(), without.Incident)
	check(t, err)
	if !slices.ContainsFunc(in.Timeline, func(e incident.Event) bool { return e.Kind == incident.Noticed && e.Title == "made" && e.Note == says }) {
		t.Error("it is not on record that they get no notice")
	}
	if _, err := w.book.Preview(t.Context(), without.Number, "en", []string{}, false); err == nil {
		t.Error("a notice that does not tell them has a text for them")
	}

	with, err := w.book.Make(t.Context(), without.Incident, "staff:kim", notice.Spec{Masked: true})
	check(t, err)
	if with.People != 7 || with.MaskedOnly != 2 || !with.MaskedTold || len(with.Faults) > 0 {
		t.Fatalf("%+v", with)
	}
	check(t, w.book.Approve(t.Context(), with.Number, "staff:lee", with.Hash))
	check(t, w.book.Send(t.Context(), with.Number, "staff:kim", 0, 0))
	w.until(with.Number, inState(notice.Done))
	texts, err := notice.LoadTexts("")
	check(t, err)
	mails := map[string]read{}
	for _, m := range w.sink.mails() {
		mails[m.to] = parseMail(t, m.raw)
	}
	if len(mails) != 7 {
		t.Fatalf("%d people got a mail", len(mails))
	}
	for id, lang := range map[string]string{"8": "bn", "9": "en"} {
		m, l := mails["c"+id+"@customer.example"], texts[lang]
		for _, want := range []string{l.Fields["door_code"].Name, l.Fields["phone"].Name} {
			if !strings.Contains(m.text, want) {
				t.Errorf("%s: it does not name %q:\n%s", id, want, m.text)
			}
		}
		for _, not := range []string{l.LeakedIntro, l.Fields["door_code"].Advice, l.Fields["name"].Name + "\n"} {
			if strings.Contains(m.text, not) {
				t.Errorf("%s: it says %q:\n%s", id, not, m.text)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(m.text), " "), strings.Join(strings.Fields(l.MaskedAdvice), " ")) && lang == "en" {
			t.Errorf("%s: no advice:\n%s", id, m.text)
		}
	}
	if m := mails["c1@customer.example"]; strings.Contains(m.text, texts["en"].MaskedIntro) {
		t.Error("who was shown in clear is told of masked values")
	}
	p, err := w.book.Person(t.Context(), with.Number, notice.Person{ID: "8"})
	if err != nil || p.Outcome != notice.Sent || len(p.Fields) != 0 {
		t.Errorf("%v %+v", err, p)
	}
}

// A notice bears the day of the house, and the page on which its code is checked says the same day.
func TestTheDayOfANotice(t *testing.T) {
	for name, want := range map[string]string{"Asia/Seoul": "2026-11-23", "America/New_York": "2026-11-22", "UTC": "2026-11-22"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.many(1)
			zone, err := time.LoadLocation(name)
			check(t, err)
			w.zone, w.now = zone, func() time.Time { return time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) }
			w.open()
			n := w.made(notice.Spec{})
			check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
			w.until(n.Number, inState(notice.Done))
			text := parseMail(t, w.sink.mails()[0].raw).text
			if !strings.HasSuffix(strings.TrimSpace(text), "Example Shop, "+want) {
				t.Errorf("it ends with %q", text[len(text)-60:])
			}
			g, err := w.book.Genuine(t.Context(), codeLine.FindString(text))
			if err != nil || g.Sent.In(zone).Format(time.DateTime) != want+" 00:00:00" {
				t.Errorf("its code is of %s: %v", g.Sent.In(zone), err)
			}
		})
	}
}

// What customers write into their address books does not become a link in somebody's notice.
func TestNamesThatAreNone(t *testing.T) {
	w := newWorld(t)
	names := map[string]bool{ // and whether they are used
		"Jane Doe": true, "홍길동": true, "J. R. Hartley": true, "Anne-Marie d'Arc": true, "O.J. Kim": true, "محمد علي": true,
		"claim at evil.example": false, "www.evil": false, "evil.example/claim": false, "https://evil.example": false, "write to thief@evil": false, "유출.한국": false, "{date}": false,
	}
	ids := map[string]string{}
	for name := range names {
		id := fmt.Sprint(len(ids) + 1)
		ids[id] = name
		w.show(id, "name")
		w.contact(id, "c"+id+"@customer.example", "en")
		w.shop.contacts[id]["name"] = name
	}
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	for _, m := range w.sink.mails() {
		name := ids[strings.TrimSuffix(strings.TrimPrefix(m.to, "c"), "@customer.example")]
		if has := strings.Contains(parseMail(t, m.raw).text, "Dear "+name+","); has != names[name] {
			t.Errorf("%q is used: %t", name, has)
		}
	}
}

// Whoever made a notice is no second person by a link that they made, nor is who came by their link.
func TestALinkIsNoSecondPerson(t *testing.T) {
	w, n := letterWorld(t)
	if err := w.book.Approve(t.Context(), n.Number, "staff:admin by link of staff:kim", n.Hash); err == nil || !strings.Contains(err.Error(), "a second person") {
		t.Errorf("approved by their own link: %v", err)
	}
	check(t, w.book.Approve(t.Context(), n.Number, "staff:admin by link of staff:lee", n.Hash))
}

// A notice that was not made leaves no file of people behind.
func TestANoticeThatWasNotMade(t *testing.T) {
	w := newWorld(t)
	w.many(3)
	w.cfg.Lookup.BooksURL = ""
	w.open()
	if _, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{Books: func(func(whosaw.ListRow) error) error { return nil }}); err == nil {
		t.Fatal("made without address books")
	}
	if left, err := filepath.Glob(filepath.Join(w.dir, "notice", "*")); err != nil || len(left) > 0 {
		t.Errorf("%q is left: %v", left, err)
	}
}

// A shop that does not say again of which realm a book is, leaves nobody out; where that is in doubt it is said.
func TestRealmsOfAddressBooks(t *testing.T) {
	for name, c := range map[string]struct {
		rows []whosaw.ListRow
		want string // of the error; "": the entry is told
	}{
		"one realm":  {[]whosaw.ListRow{{Subject: "1", Realm: "eu", Fields: []string{"name"}}}, ""},
		"two realms": {[]whosaw.ListRow{{Subject: "1", Realm: "eu", Fields: []string{"name"}}, {Subject: "1", Realm: "kr", Fields: []string{"phone"}}}, "the realm is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.many(3)
			w.shop.mu.Lock()
			w.shop.books["1"] = []map[string]any{{"id": "a", "realm": ""}}
			w.shop.mu.Unlock()
			w.open()
			n, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{Books: func(yield func(whosaw.ListRow) error) error {
				for _, r := range c.rows {
					if err := yield(r); err != nil {
						return err
					}
				}
				return nil
			}})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("made: %v", err)
				}
				return
			}
			check(t, err)
			if n.Books != 1 {
				t.Fatalf("%d of address books", n.Books)
			}
			if p, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: "a", Realm: "eu", Other: true}); err != nil || len(p.Fields) != 1 {
				t.Errorf("%v %+v", err, p)
			}
		})
	}
}

// After a restore nobody is sent anything before somebody has read why, be it that the notice was only approved, or only made, when the backup was.
func TestAfterRestore(t *testing.T) {
	w := newWorld(t)
	w.many(2)
	w.open()
	approved := w.made(notice.Spec{})
	made, err := w.book.Make(t.Context(), approved.Incident, "staff:kim", notice.Spec{})
	check(t, err)
	held, err := notice.AfterRestore(t.Context(), w.db)
	if err != nil || held != 1 {
		t.Errorf("%d are held: %v", held, err)
	}
	for number, want := range map[int64]notice.State{approved.Number: notice.Paused, made.Number: notice.Made} {
		if n, err := w.book.Notice(t.Context(), number); err != nil || n.State != want || !strings.Contains(n.Why, "restored from a backup") {
			t.Errorf("notice %d is %s: %q, %v", number, n.State, n.Why, err)
		}
	}
	check(t, w.book.Resume(t.Context(), approved.Number, "staff:kim"))
	if n := w.until(approved.Number, inState(notice.WaveOver)); n.Outcomes["waiting"] != 2 {
		t.Errorf("it goes on by itself: %+v", n)
	}
}
