package console_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/browsertest"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/regime"
)

// relay takes every mail but one, whose connection it cuts after the text.
type relay struct {
	mu  sync.Mutex
	cut int // after so many mails; 0: never
	got map[string]int
}

type relaySession struct {
	r  *relay
	c  *smtp.Conn
	to string
}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error)    { return &relaySession{r: r, c: c}, nil }
func (s *relaySession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *relaySession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *relaySession) Reset()                                    {}
func (s *relaySession) Logout() error                             { return nil }
func (s *relaySession) Data(body io.Reader) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.cut > 0 && len(s.r.got) == s.r.cut {
		s.r.cut = 0
		s.c.Conn().Close()
		return errors.New("cut")
	}
	s.r.got[s.to]++
	return nil
}

// noticeConfig is how notices are sent in these tests: a relay, and a shop that has an address for everybody but those whose number ends in 7.
func (s *site) noticeConfig() notice.Config {
	s.relay = &relay{got: map[string]int{}}
	srv := smtp.NewServer(s.relay)
	srv.Domain = "relay.test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(s.t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	s.t.Cleanup(func() { srv.Close(); <-done })
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ People []notice.Person }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		people := []map[string]any{}
		for i, p := range in.People {
			if !strings.HasSuffix(p.ID, "7") {
				people = append(people, map[string]any{"id": p.ID, "email": "c" + p.ID + "@customer.example", "name": "Kim Seo-yeon", "language": []string{"en", "ko", "ar"}[i%3]})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"people": people})
	}))
	s.t.Cleanup(shop.Close)
	secret := filepath.Join(s.dir, "secret")
	check(s.t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	return notice.Config{
		Organisation: map[string]string{"en": "Example Shop", "ko": "예시몰", "ar": "متجر المثال"}, Address: "https://shop.example/notice", Languages: []string{"en", "ko", "ar"},
		Lookup: notice.LookupConfig{URL: shop.URL, SecretFile: secret},
		Mail:   notice.MailConfig{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: "none", From: "notice@shop.example", Connections: 1},
	}
}

var kim = api.Who{Name: "staff:kim", Role: auth.RoleAdmin}

// leak opens an incident with a scope of the theft and what is to be said of it.
func (s *site) leak(langs ...string) {
	s.t.Helper()
	s.tell(story{days: 1, busy: 1, theft: 2 * time.Minute, pace: time.Second})
	found, _, err := s.alarms.Findings(s.t.Context(), alarmAll)
	check(s.t, err)
	n, err := s.api.OpenIncident(s.t.Context(), kim, api.IncidentSpec{Title: "the backup key", Findings: []string{found[0].Finding.ID}})
	check(s.t, err)
	for _, lang := range langs {
		for content, text := range map[string]string{"when_and_how": "2026-11-21", "measures": "2026-11-22", "contact": "privacy@shop.example"} {
			st := &incident.Statement{Content: content, Lang: lang, Text: text}
			check(s.t, s.api.RecordEvent(s.t.Context(), kim, n, api.EventSpec{Kind: incident.Stated, Body: incident.Body{Statement: st}}))
		}
	}
}

// second is a tab of another person.
func (s *site) second() *tab {
	s.t.Helper()
	code, err := s.auth.NewLink(s.t.Context(), "the second person")
	check(s.t, err)
	secret, _, err := s.auth.Redeem(s.t.Context(), code)
	check(s.t, err)
	b := &tab{Tab: browsertest.Open(s.t, s.url), t: s.t}
	b.Cookie(api.CookieName, secret)
	return b
}

// TestNotice makes, reads, approves and sends a notice by clicks: two people, waves, a pause, somebody in doubt, and a list for those without an address.
func TestNotice(t *testing.T) {
	s := newSite(t)
	s.leak("en", "ko", "ar")
	b := s.open()
	b.look(1440, false)
	b.Visit("/incidents/1")
	b.Type("#vreason", "by cause")
	b.Click(`button[data-key=v]`)
	b.Shows("Nobody was told by a notice of their own")
	b.Click(`//summary[text()="Make a notice"]`, `//button[text()="Make a notice"]`)
	b.Shows("Waits for a second person")
	b.Shows("You made it, so somebody else approves it")
	if b.Is(`!!document.querySelector("button[value=approve], button[value=send]")`) {
		t.Error("whoever made it can approve or send it")
	}
	b.Click(`button[value=dry]`)
	b.Shows("nothing was sent")
	b.Shows("have no address")
	b.Visit("/notices/1")
	b.Wait(`document.querySelectorAll(".letter").length === 3 && document.querySelector(".letter[lang=ar]").dir === "rtl" && document.querySelector(".letter[lang=ko]").textContent.includes("유출")`)
	b.Click(`//summary[contains(., "ar")]`)
	b.Wait(`getComputedStyle(document.querySelector(".letter[lang=ar]")).direction === "rtl" && document.querySelector(".letter[lang=ar]").offsetHeight > 50`)
	b.Shot("notice-draft")
	b.clean("notice-draft", "customer.example", "id:10479912")
	b.Click(`//summary[text()="Send a sample"]`)
	b.Type("#to", "test@shop.example")
	b.Click(`button[value=sample]`)
	b.Shows("sample sent")

	two := s.second()
	two.look(1440, false)
	two.Visit("/notices/1")
	two.Click(`button[value=approve]`)
	two.Shows("Approved by staff:admin by link of the second person")
	s.relay.mu.Lock()
	s.relay.cut = 20
	s.relay.mu.Unlock()
	b.Visit("/notices/1")
	b.Type("#size", "2")
	b.Click(`button[value=send]`)
	b.Shows("a wave is over, the next waits")
	b.Type("#rate", "2")
	b.Click(`button[value=send]`)
	b.Shows("a second.") // it changes by itself
	b.Wait(`[...document.querySelectorAll("#progress tr")].some(r => r.innerText.startsWith("sent") && parseInt(r.cells[1].innerText) > 3)`)
	b.Shot("notice-sending")
	b.Type("#pn", "the help desk asks")
	b.Click(`button[value=pause]`)
	b.Shows("the help desk asks")
	b.clean("notice-paused", "customer.example", "id:10479912")
	b.Click(`button[value=resume]`)
	b.Shows("in doubt.")
	b.Wait(`document.querySelector(".sh span").innerText === "a wave is over, the next waits"`)
	b.Shot("notice-doubt")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Reload()
		b.Shows("in doubt.")
		b.Shot("notice-" + l.name)
		b.clean("notice-"+l.name, "customer.example", "id:10479912")
	}
	b.look(1440, false)
	b.Type("#dn", "the relay's log does not have it")
	b.Click(`button[value=again]`)
	b.Click(`button[value=resume]`)
	b.Wait(`document.querySelector(".sh span").innerText === "done"`)
	b.Shows("not reached by mail")

	n, err := s.notices.Notice(t.Context(), 1)
	check(t, err)
	if n.Outcomes["sent"]+n.Outcomes["no_contact"] != n.People || n.Outcomes["no_contact"] == 0 || n.People == 0 {
		t.Errorf("the outcomes are %v of %d people", n.Outcomes, n.People)
	}
	resp, err := s.client.PostForm(s.url+"/notices/1/export", nil)
	check(t, err)
	defer resp.Body.Close()
	rows, err := csv.NewReader(resp.Body).ReadAll()
	check(t, err)
	if int64(len(rows)) != n.Outcomes["no_contact"]+1 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("the list has %d rows as %s", len(rows), resp.Header.Get("Content-Type"))
	}
	b.Visit("/incidents/1")
	b.Shows("N-1")
	b.clean("incident-notices", "customer.example")
	in, err := s.api.Incident(t.Context(), 1, "en")
	check(t, err)
	who := map[string]string{}
	for i := range in.Timeline {
		if e := &in.Timeline[i]; e.Kind == incident.Noticed {
			who[e.Title] = e.Who
		}
	}
	for title, want := range map[string]string{"made": "of test", "approved": "of the second person", "sample sent": "of test", "paused": "of test", "again: in_doubt": "of test", "exported": "of test", "done": "service:whosaw"} {
		if !strings.HasSuffix(who[title], want) {
			t.Errorf("%s is by %q, not %q", title, who[title], want)
		}
	}
	b.Click(`button[name=lang][value=ko].lnk`)
	b.Wait(`document.documentElement.lang === "ko"`) // else what is opened next is overtaken by the page that the click brings
	b.Visit("/notices/1")
	b.Shows("통지 결과")
	for _, says := range []string{"견본 발송됨: English", "다시 시도: 불확실, 1명: the relay's log does not have it", "완료, ", "초당 2건", "최대 속도", "발송: 발송됨 "} {
		b.Shows(says)
	}
	b.Lacks("notice-ko", "sample sent", "made, ", "wave over")
	b.Shot("notice-ko")
	b.clean("notice-ko", "customer.example")
}

// TestPosted shows a posted notice with its days: a gap, what is missing, and that it has stood.
func TestPosted(t *testing.T) {
	s := newSite(t)
	s.leak()
	_, err := s.incidents.Incident(t.Context(), 1)
	check(t, err)
	b := s.open()
	b.look(1440, false)
	b.Visit("/incidents/1")
	b.Type("#vreason", "by cause")
	b.Click(`button[data-key=v]`)
	b.Shows("scope version 1")
	laws, err := regime.Shipped()
	check(t, err)
	var law *regime.Law
	for _, l := range laws {
		if l.ID == "kr-pipa-34" && l.Version == "from 11 Sep 2026" {
			law = l
		}
	}
	for _, content := range []string{"what_leaked", "when_and_how", "advice", "measures", "remedy", "rights", "contact"} {
		text := "{subjects} customers; the key is ended; call us."
		if content == "what_leaked" {
			text = "Name, e-mail, phone, address and orders of {subjects} customers were leaked."
		}
		_, err := s.incidents.Record(t.Context(), 1, "staff:kim", incident.Stated, incident.Body{Statement: &incident.Statement{Content: content, Lang: "en", Text: text}})
		check(t, err)
	}
	in, err := s.incidents.Incident(t.Context(), 1)
	check(t, err)
	doc, err := in.Document(law, "posted", "en", 0)
	check(t, err)
	if len(doc.Faults) > 0 {
		t.Fatalf("%+v", doc.Faults)
	}
	_, err = s.incidents.Record(t.Context(), 1, "staff:lee", incident.Signed, incident.Body{Document: "kr-pipa-34/posted en", Hash: doc.Hash})
	check(t, err)
	event, err := s.incidents.Post(t.Context(), 1, "staff:lee", law, incident.PostingSpec{Duty: "posted", Langs: []string{"en"}, Title: "Customer data, November 2026"})
	check(t, err)
	pass := func(d time.Duration) {
		s.mu.Lock()
		s.started = s.started.Add(-d)
		s.mu.Unlock()
	}
	for range 5 { // five days by looks that are on time
		for range 24 * 20 {
			pass(3*time.Minute - time.Second)
			check(t, s.incidents.SawPosting(t.Context(), 1, event, true))
		}
	}
	pass(30 * time.Hour)
	check(t, s.incidents.SawPosting(t.Context(), 1, event, true))
	b = s.open()
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Visit("/incidents/1")
		b.Shows("Customer data, November 2026")
		b.Shows("could not be read, in 1 gap")
		b.Shows("Stands since")
		b.Wait(`document.querySelectorAll("svg.days g").length === 32 && document.querySelectorAll("svg.days .missed").length === 3`)
		b.Eval(`(document.querySelector("svg.days").scrollIntoView(), "")`)
		b.Shot("posted-" + l.name)
		b.clean("posted-" + l.name)
	}
	pass(40 * 24 * time.Hour)
	b = s.open()
	b.look(1440, false)
	b.Visit("/incidents/1")
	b.Shows("It has stood its 30 days")
}
