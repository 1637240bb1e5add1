package notice_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
)

// many shows a name of n customers who have addresses.
func (w *world) many(n int) {
	w.showAll(n, func(int) []string { return []string{"name"} })
	for i := range n {
		w.contact(fmt.Sprint(i+1), fmt.Sprintf("c%d@customer.example", i+1), "en")
	}
}

// Somebody else's verifier finds the signature good, over the headers that matter.
func TestDKIM(t *testing.T) {
	w := newWorld(t)
	w.many(3)
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	dkimKey(t)
	public, err := x509.MarshalPKIXPublicKey(&dkimPair.key.PublicKey)
	check(t, err)
	lookup := func(name string) ([]string, error) {
		if name != "n1._domainkey.shop.example" {
			return nil, errors.New("no such name")
		}
		return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}, nil
	}
	for _, m := range w.sink.mails() {
		checks, err := dkim.VerifyWithOptions(bytes.NewReader(m.raw), &dkim.VerifyOptions{LookupTXT: lookup})
		check(t, err)
		if len(checks) != 1 || checks[0].Err != nil || checks[0].Domain != "shop.example" {
			t.Fatalf("%+v", checks)
		}
		var signed []string
		for _, h := range checks[0].HeaderKeys {
			signed = append(signed, strings.ToLower(h))
		}
		for _, h := range []string{"from", "to", "subject", "date", "message-id"} {
			if !slices.Contains(signed, h) {
				t.Errorf("%s is not signed: %v", h, signed)
			}
		}
		bad := bytes.Replace(m.raw, []byte("door"), []byte("d00r"), 1)
		bad = bytes.Replace(bad, []byte("Subject: Ex"), []byte("Subject: Ax"), 1)
		if checks, err := dkim.VerifyWithOptions(bytes.NewReader(bad), &dkim.VerifyOptions{LookupTXT: lookup}); err == nil && len(checks) == 1 && checks[0].Err == nil {
			t.Error("a changed mail is good too")
		}
	}
}

// A true notice with something put above it, to be sent on as ours, is not good; and a signature is, however long the domain.
func TestDKIMCoversWhatIsPutAbove(t *testing.T) {
	w := newWorld(t)
	w.many(1)
	w.cfg.Mail.DKIM.Domain = strings.Repeat("long.", 20) + "shop.example"
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	public, err := x509.MarshalPKIXPublicKey(&dkimPair.key.PublicKey)
	check(t, err)
	good := func(raw []byte) bool {
		checks, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if name != "n1._domainkey."+w.cfg.Mail.DKIM.Domain {
				return nil, errors.New("no such name")
			}
			return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}, nil
		}})
		return err == nil && len(checks) == 1 && checks[0].Err == nil
	}
	raw := w.sink.mails()[0].raw
	if !good(raw) {
		t.Fatalf("the signature is not good:\n%s", raw[:1500])
	}
	for _, line := range []string{"Subject: claim your compensation", "From: Example Shop <thief@evil.example>", "Reply-To: thief@evil.example", "To: everybody@customer.example", `Content-Type: multipart/alternative; boundary="x"`, "Date: Thu, 1 Jan 2026 00:00:00 +0000"} {
		if good(append([]byte(line+"\r\n"), raw...)) {
			t.Errorf("good with %q above it", line)
		}
	}
}

// With a second key each mail bears both signatures, and each is good for a receiver who knows that kind only.
func TestDKIMBoth(t *testing.T) {
	w := newWorld(t)
	w.many(3)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	w.cfg.Mail.DKIM.AlsoSelector, w.cfg.Mail.DKIM.AlsoKeyFile = "e1", w.file("ed.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	check(t, w.cfg.Check())
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	rsaPublic, err := x509.MarshalPKIXPublicKey(&dkimPair.key.PublicKey)
	check(t, err)
	keys := map[string]string{
		"n1._domainkey.shop.example": "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(rsaPublic),
		"e1._domainkey.shop.example": "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public),
	}
	for _, m := range w.sink.mails() {
		for _, known := range [][]string{{"n1"}, {"e1"}, {"n1", "e1"}} {
			checks, err := dkim.VerifyWithOptions(bytes.NewReader(m.raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
				if selector, _, _ := strings.Cut(name, "."); slices.Contains(known, selector) {
					return []string{keys[name]}, nil
				}
				return nil, errors.New("no such name")
			}})
			check(t, err)
			good := 0
			for _, c := range checks {
				if c.Err == nil && c.Domain == "shop.example" {
					good++
				}
			}
			if len(checks) != 2 || good != len(known) {
				t.Errorf("who knows %v finds %d of %d good", known, good, len(checks))
			}
		}
	}
}

// Waves, a pause in the middle, and a stop: nobody gets two, and the quota is never exceeded.
func TestWaves(t *testing.T) {
	w := newWorld(t)
	w.many(90)
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 30, 0))
	n = w.until(n.Number, inState(notice.WaveOver))
	if n.Outcomes["sent"] != 30 || n.Outcomes["waiting"] != 60 || n.Quota != 30 {
		t.Fatalf("%+v", n)
	}
	// A slow wave that is paused: what is on the way ends, nobody else is taken up.
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 40, 20))
	w.until(n.Number, func(n *notice.Notice) bool { return n.Outcomes["sent"] > 32 })
	check(t, w.book.Pause(t.Context(), n.Number, "staff:lee", "the help desk asks for an hour"))
	now, err := w.book.Notice(t.Context(), n.Number)
	check(t, err)
	if now.State != notice.Paused || now.Outcomes["in_flight"] != 0 || now.Outcomes["sent"] >= 70 || int64(len(w.sink.mails())) != now.Outcomes["sent"] {
		t.Fatalf("%+v, %d mails", now, len(w.sink.mails()))
	}
	if err := w.book.Pause(t.Context(), n.Number, "staff:lee", "again"); err == nil {
		t.Error("paused what is paused")
	}
	check(t, w.book.Resume(t.Context(), n.Number, "staff:kim"))
	// A second person's wave while one runs adds to it.
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 10, 0))
	n = w.until(n.Number, inState(notice.WaveOver))
	if n.Outcomes["sent"] != 80 {
		t.Fatalf("%+v", n)
	}
	check(t, w.book.Stop(t.Context(), n.Number, "staff:lee", "the wording is wrong"))
	if err := w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0); err == nil {
		t.Error("sent what was stopped for good")
	}
	got := map[string]int{}
	for _, m := range w.sink.mails() {
		got[m.to]++
	}
	if len(got) != 80 || len(w.sink.mails()) != 80 {
		t.Errorf("%d people got %d mails", len(got), len(w.sink.mails()))
	}
	in, err := w.inc.Incident(t.Context(), n.Incident)
	check(t, err)
	var did []string
	for _, e := range in.Timeline {
		if e.Kind == incident.Noticed {
			did = append(did, e.Who+" "+e.Title)
		}
	}
	want := []string{"staff:kim made", "staff:lee approved", "staff:kim wave", "service:whosaw wave over", "staff:kim wave", "staff:lee paused", "staff:kim resumed", "staff:kim wave", "service:whosaw wave over", "staff:lee stopped"}
	if !slices.Equal(did, want) {
		t.Errorf("on record is %q", did)
	}
	if _, err := w.inc.Verify(t.Context(), w.visit); err != nil {
		t.Error(err)
	}
}

// A server that is stopped in order leaves nothing in doubt and goes on at its next start by itself.
func TestStopAndStart(t *testing.T) {
	w := newWorld(t)
	w.many(60)
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 40))
	w.until(n.Number, func(n *notice.Notice) bool { return n.Outcomes["sent"] > 5 })
	w.stop()
	w.open()
	now := w.until(n.Number, func(n *notice.Notice) bool { return n.State != notice.Sending })
	if now.State != notice.Done || now.Outcomes["sent"] != 60 || len(w.sink.mails()) != 60 {
		t.Errorf("%+v, %d mails", now, len(w.sink.mails()))
	}
}

// A relay that refuses everybody refuses the notice: it pauses, and nobody pays for it.
func TestARelayThatRefusesAll(t *testing.T) {
	w := newWorld(t)
	w.many(200)
	w.sink.data = func(string) error { return &smtp.SMTPError{Code: 554, Message: "we do not like this"} }
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	n = w.until(n.Number, inState(notice.Paused))
	if !strings.Contains(n.Why, "554") || n.Outcomes["refused"] < 50 || n.Outcomes["refused"] > 120 {
		t.Fatalf("%s: %v", n.Why, n.Outcomes)
	}
	w.sink.mu.Lock()
	w.sink.data = nil
	w.sink.mu.Unlock()
	_, err := w.book.Again(t.Context(), n.Number, "staff:lee", notice.Refused, "")
	if err == nil {
		t.Error("again without a reason")
	}
	if _, err = w.book.Again(t.Context(), n.Number, "staff:lee", notice.Sent, "x"); err == nil {
		t.Error("sent again to everybody who has it")
	}
	_, err = w.book.Again(t.Context(), n.Number, "staff:lee", notice.Refused, "the relay knows us now")
	check(t, err)
	check(t, w.book.Resume(t.Context(), n.Number, "staff:kim"))
	if n = w.until(n.Number, inState(notice.Done)); n.Outcomes["sent"] != 200 {
		t.Errorf("%v", n.Outcomes)
	}
}

// asked tells when it is first asked for its end: whoever was called with it is at work.
type asked struct {
	context.Context
	once  sync.Once
	begun chan struct{}
}

func (a *asked) Done() <-chan struct{} {
	a.once.Do(func() { close(a.begun) })
	return a.Context.Done()
}

// Who stops a notice for good while it comes to a pause by itself has stopped it: the pause that is recorded after that does not revive it.
func TestStopWhileItPauses(t *testing.T) {
	w := newWorld(t)
	w.many(200)
	w.cfg.Mail.Connections = 2 // one is held, the other pauses the notice after its seventh chunk of eight
	held, free := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	t.Cleanup(func() { freed.Do(func() { close(free) }) })
	w.sink.data = func(to string) error {
		if to == "c1@customer.example" {
			once.Do(func() { close(held) })
			<-free
		}
		return &smtp.SMTPError{Code: 554, Message: "we do not like this"}
	}
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	<-held
	w.until(n.Number, func(n *notice.Notice) bool { return n.Outcomes["refused"] >= 56 })
	ctx := &asked{Context: t.Context(), begun: make(chan struct{})}
	stopped := make(chan error, 1)
	go func() { stopped <- w.book.Stop(ctx, n.Number, "staff:lee", "the wording is wrong") }()
	<-ctx.begun
	freed.Do(func() { close(free) })
	check(t, <-stopped)
	w.stop() // what the run's end records is on record
	w.open()
	if n, err := w.book.Notice(t.Context(), n.Number); err != nil || n.State != notice.Stopped {
		t.Errorf("it is %s: %s, %v", n.State, n.Why, err)
	}
	if err := w.book.Resume(t.Context(), n.Number, "staff:kim"); err == nil {
		t.Error("what was stopped for good goes on")
	}
}

// A notice that was stopped before anybody approved it has words to look at, and none to hand over.
func TestStoppedBeforeItWasApproved(t *testing.T) {
	w, n := letterWorld(t)
	m, err := w.book.Preview(t.Context(), n.Number, "en", nil, false)
	check(t, err)
	check(t, w.book.Stop(t.Context(), n.Number, "staff:lee", "the wrong scope"))
	if _, err := w.book.Preview(t.Context(), n.Number, "ko", nil, false); err != nil {
		t.Error(err)
	}
	if g, err := w.book.Genuine(t.Context(), codeLine.FindString(m.Text)); err != nil || !g.Sample {
		t.Errorf("the code of a sample: %v %+v", err, g)
	}
	if _, err := w.book.Export(t.Context(), n.Number, "staff:kim", []notice.Outcome{notice.Waiting}, "", io.Discard); !errors.Is(err, notice.ErrInvalid) || !strings.Contains(err.Error(), "not approved") {
		t.Errorf("handed over in words that nobody approved: %v", err)
	}
}

// A rate that is none is refused: as not a number it would be no limit, and the notice could be read no more.
func TestRates(t *testing.T) {
	w := newWorld(t)
	w.many(1)
	w.open()
	n := w.made(notice.Spec{})
	for _, rate := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e-12, 1e9} {
		if err := w.book.Send(t.Context(), n.Number, "staff:kim", 0, rate); !errors.Is(err, notice.ErrInvalid) || !strings.Contains(err.Error(), "one an hour") {
			t.Errorf("%g a second: %v", rate, err)
		}
	}
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 1.0/3600))
	w.until(n.Number, inState(notice.Done))
}

// While the shop or the relay is down, everybody waits, and it is said why; no error holds an address of the look-up or what it said.
func TestTrouble(t *testing.T) {
	w := newWorld(t)
	w.many(20)
	w.shop.mu.Lock()
	w.shop.fail = func() int { return http.StatusForbidden }
	w.shop.mu.Unlock()
	w.open()
	n := w.made(notice.Spec{})
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, func(n *notice.Notice) bool { return strings.Contains(n.Trouble, "it answered 403") })
	w.shop.mu.Lock()
	w.shop.fail, w.shop.whole = nil, `{"people": "c1@customer.example"}`
	w.shop.mu.Unlock()
	now := w.until(n.Number, func(n *notice.Notice) bool { return strings.Contains(n.Trouble, "docs/formats/notice.md") })
	if now.Outcomes["waiting"] != 20 {
		t.Errorf("%v", now.Outcomes)
	}
	w.shop.mu.Lock()
	w.shop.whole = ""
	w.shop.mu.Unlock()
	if now = w.until(n.Number, inState(notice.Done)); now.Outcomes["sent"] != 20 || now.Trouble != "" {
		t.Errorf("%+v", now)
	}
	w.stop()
	noContacts(t, w)
	if strings.Contains(w.logged(), w.shop.URL) {
		t.Error("the log has the look-up's address")
	}
}

// A relay without STARTTLS gets nothing, and one with a certificate of nobody's neither.
func TestNothingInClear(t *testing.T) {
	for name, plain := range map[string]bool{"no STARTTLS": true, "an unknown certificate": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.many(3)
			if plain {
				w.sink.server.TLSConfig = nil
			} else {
				w.cfg.Mail.CAFile = ""
			}
			w.open()
			n := w.made(notice.Spec{})
			check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
			now := w.until(n.Number, func(n *notice.Notice) bool { return strings.Contains(n.Trouble, "STARTTLS") })
			if now.Outcomes["waiting"] != 3 || len(w.sink.mails()) != 0 {
				t.Errorf("%v, %d mails", now.Outcomes, len(w.sink.mails()))
			}
		})
	}
}

// What is handed over for another channel has ids, texts and codes, no contact, and no formula; bounces are known by their Message-ID.
func TestExportAndBounces(t *testing.T) {
	w := newWorld(t)
	w.show("1", "name")
	w.show("2", "phone")
	w.show("=cmd()", "door_code")
	w.contact("2", "c2@customer.example", "ko")
	w.open()
	n := w.made(notice.Spec{})
	var out bytes.Buffer
	if _, err := w.book.Export(t.Context(), n.Number, "staff:kim", []notice.Outcome{notice.Waiting}, "", &out); err != nil || strings.Count(out.String(), "shop.example/notice") != 3 {
		t.Errorf("%v %s", err, out.String())
	}
	check(t, w.book.Send(t.Context(), n.Number, "staff:kim", 0, 0))
	w.until(n.Number, inState(notice.Done))
	out.Reset()
	count, err := w.book.Export(t.Context(), n.Number, "staff:kim", nil, "ko", &out)
	if err != nil || count != 2 {
		t.Fatalf("%d %v", count, err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	check(t, err)
	if len(rows) != 3 || rows[1][1] != "1" || rows[2][1] != "'=cmd()" || rows[1][4] != "ko" || rows[2][5] != "door_code" || !strings.Contains(rows[2][8], "공동현관") {
		t.Errorf("%q", rows)
	}
	g, err := w.book.Genuine(t.Context(), rows[1][6])
	if err != nil || g.Notice != n.Number {
		t.Errorf("the code of a letter: %v %+v", err, g)
	}
	mails := w.sink.mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	head, _, _ := strings.Cut(string(mails[0].raw), "\r\n\r\n")
	_, id, _ := strings.Cut(head, "Message-ID: <")
	id, _, _ = strings.Cut(id, ">")
	ids, _ := notice.Bounces(report("Action: failed", id))
	if len(ids) != 1 || strings.Contains(ids[0], "customer.example") {
		t.Fatalf("%q", ids)
	}
	for i, want := range []int64{1, 0} { // the second time it is noted already
		if count, err := w.book.Bounced(t.Context(), n.Number, "staff:kim", append(ids, "notice."+strings.Repeat("0", 28)+"@shop.example")); err != nil || count != want {
			t.Errorf("time %d: %d %v", i, count, err)
		}
	}
	if p, err := w.book.Person(t.Context(), n.Number, notice.Person{ID: "2"}); err != nil || p.Outcome != notice.Bounced {
		t.Errorf("%v %+v", err, p)
	}
	d, err := w.book.Dry(t.Context(), n.Number, 100)
	if err != nil || d.People != 3 || d.Mailable != 1 || d.Missing != 2 {
		t.Errorf("%v %+v", err, d)
	}
	w.stop()
	noContacts(t, w)
}

// A sample goes to the test address, is marked, and its code is nobody's.
func TestSample(t *testing.T) {
	w := newWorld(t)
	w.many(1)
	w.open()
	n, err := w.book.Make(t.Context(), w.incident(), "staff:kim", notice.Spec{})
	check(t, err)
	check(t, w.book.Sample(t.Context(), n.Number, "staff:kim", "test@shop.example", "ar"))
	if err := w.book.Sample(t.Context(), n.Number, "staff:kim", "test@shop.example>\r\nRCPT TO:<x@y.example", "ar"); err == nil {
		t.Error("a command for an address")
	}
	mails := w.sink.mails()
	if len(mails) != 1 || mails[0].to != "test@shop.example" {
		t.Fatalf("%+v", mails)
	}
	m := parseMail(t, mails[0].raw)
	texts, err := notice.LoadTexts("")
	check(t, err)
	if !strings.Contains(m.text, texts["ar"].Sample) || !strings.Contains(m.subject, texts["ar"].Sample) {
		t.Error("a sample is not marked")
	}
	if g, err := w.book.Genuine(t.Context(), codeLine.FindString(m.text)); err != nil || !g.Sample {
		t.Errorf("%v %+v", err, g)
	}
}

// What cannot work is said before anything starts.
func TestConfigCheck(t *testing.T) {
	w := newWorld(t)
	good := w.cfg
	check(t, good.Check())
	empty := w.file("empty", nil)
	for want, change := range map[string]func(*notice.Config){
		"notice.address":              func(c *notice.Config) { c.Address = "http://shop.example/?x=1" },
		"notice.languages[1]":         func(c *notice.Config) { c.Languages = []string{"en", "xx"} },
		"notice.texts":                func(c *notice.Config) { c.Texts = filepath.Join(w.dir, "not there") },
		"notice.lookup.url":           func(c *notice.Config) { c.Lookup.URL = "http://shop.example/contacts" },
		"notice.lookup.books_url":     func(c *notice.Config) { c.Lookup.BooksURL = "ftp://shop.example" },
		"notice.lookup.secret_file":   func(c *notice.Config) { c.Lookup.SecretFile = empty },
		"notice.lookup:":              func(c *notice.Config) { c.Lookup.Batch = 1 << 20 },
		"notice.mail.from":            func(c *notice.Config) { c.Mail.From = "Example Shop" },
		"notice.mail.security":        func(c *notice.Config) { c.Mail.Security, c.Mail.Host = "none", "relay.shop.example" },
		"notice.mail.user":            func(c *notice.Config) { c.Mail.User = "x" },
		"notice.mail.dkim.key_file":   func(c *notice.Config) { c.Mail.DKIM.KeyFile = w.file("key", []byte("no key")) },
		"notice.mail.dkim: give both": func(c *notice.Config) { c.Mail.DKIM.AlsoSelector = "e1" },
		"a selector of its own": func(c *notice.Config) {
			c.Mail.DKIM.AlsoSelector, c.Mail.DKIM.AlsoKeyFile = c.Mail.DKIM.Selector, c.Mail.DKIM.KeyFile
		},
		"notice.mail.dkim: give dom":  func(c *notice.Config) { c.Mail.DKIM.Selector = "" },
		"notice.mail: connections":    func(c *notice.Config) { c.Mail.Connections = 1000 },
		"notice.mail.reply_to: it is": func(c *notice.Config) { c.Mail.ReplyTo = "nobody" },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := (&notice.Config{}).Check(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	check(t, os.Remove(empty))
}
