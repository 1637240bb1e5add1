package api_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// relay takes every mail and counts them.
type relay struct{ taken atomic.Int64 }

func (r *relay) NewSession(*smtp.Conn) (smtp.Session, error) { return r, nil }
func (r *relay) Mail(string, *smtp.MailOptions) error        { return nil }
func (r *relay) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (r *relay) Reset()                                      {}
func (r *relay) Logout() error                               { return nil }
func (r *relay) Data(body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	r.taken.Add(1)
	return err
}

// openNotices gives a book of notices with a shop that knows everybody but those whose id ends in 3, and a relay.
func (w *world) openNotices(db *sqlite.DB, inc *incident.Book, logger *slog.Logger) *notice.Book {
	w.t.Helper()
	shop := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var in struct{ People []notice.Person }
		_ = json.NewDecoder(r.Body).Decode(&in)
		people := []map[string]any{}
		for _, p := range in.People {
			if !strings.HasSuffix(p.ID, "3") {
				people = append(people, map[string]any{"id": p.ID, "realm": p.Realm, "email": "c" + p.ID + "@customer.example"})
			}
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"people": people})
	}))
	w.t.Cleanup(shop.Close)
	server := smtp.NewServer(&w.relay)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(w.t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	w.t.Cleanup(func() { server.Close(); <-done })
	host, port, err := net.SplitHostPort(listener.Addr().String())
	check(w.t, err)
	number, err := strconv.Atoi(port)
	check(w.t, err)
	secret := filepath.Join(w.dir, "shop.secret")
	check(w.t, os.WriteFile(secret, []byte("s"), 0o600))
	book, err := notice.NewBook(notice.BookConfig{
		DB: db, Dir: filepath.Join(w.dir, "notice"), Incidents: inc, Random: rand.Reader, Now: time.Now, Log: logger, Same: w.auth.SamePerson,
		Config: notice.Config{
			Organisation: map[string]string{"en": "Example Shop"}, Address: "https://shop.example/notice", Lookup: notice.LookupConfig{URL: shop.URL, SecretFile: secret},
			Mail: notice.MailConfig{Host: host, Port: number, Security: "none", From: "notice@shop.example"},
		},
	})
	check(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	run := book.Begin(ctx)
	go func() { defer close(over); run() }()
	w.t.Cleanup(func() { cancel(); <-over; check(w.t, book.Close()) })
	return book
}

// noticeContract asks for everything about notices, each against openapi.yaml. Incident 1 has a scope version.
func (w *world) noticeContract(admin string) {
	t := w.t
	t.Helper()
	for content, text := range map[string]string{"when_and_how": "In November somebody used a key of ours.", "measures": "The key was replaced.", "contact": "privacy@shop.example"} {
		body := fmt.Sprintf(`{"kind":"stated","statement":{"content":%q,"lang":"en","text":%q}}`, content, text)
		if a := w.ask(admin, "POST", "/v1/incidents/1/events", body); a.status != 200 {
			t.Fatalf("state: %d %s", a.status, a.body)
		}
	}
	second := w.token(auth.Spec{Name: "second", Role: auth.RoleAdmin})
	var n notice.Notice
	must := func(a answer, status int) {
		t.Helper()
		if a.status != status {
			t.Fatalf("%d %s, want %d", a.status, a.body, status)
		}
	}
	a := w.ask(admin, "POST", "/v1/incidents/1/notices", `{}`)
	must(a, 201)
	a.decode(t, &n)
	if len(n.Faults) > 0 || n.People == 0 {
		t.Fatalf("%+v", n)
	}
	must(w.ask(admin, "POST", "/v1/incidents/1/notices", `{"books":true}`), 400)
	must(w.ask(admin, "POST", "/v1/incidents/1/notices", `{"routes":["GET /book"]}`), 400)
	must(w.ask(admin, "POST", "/v1/incidents/99/notices", `{}`), 404)
	must(w.ask(admin, "GET", "/v1/notices/9", ""), 404)
	must(w.ask(admin, "POST", "/v1/notices/1/preview", `{"lang":"en"}`), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/dry", `{"people":10}`), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/send", `{}`), 400) // nobody approved it
	must(w.ask(admin, "POST", "/v1/notices/1/approve", `{"hash":"`+n.Hash+`"}`), 400)
	var own struct{ Secret string }
	made := w.ask(admin, "POST", "/v1/tokens", `{"name":"own","role":"admin"}`)
	must(made, 201)
	made.decode(t, &own)
	if a := w.ask(own.Secret, "POST", "/v1/notices/1/approve", `{"hash":"`+n.Hash+`"}`); a.status != 400 || !strings.Contains(a.body, "a second person approves it") {
		t.Errorf("a token that the notice's maker made approves it: %d %s", a.status, a.body)
	}
	must(w.ask(second, "POST", "/v1/notices/1/approve", `{"hash":"another"}`), 400)
	must(w.ask(second, "POST", "/v1/notices/1/approve", `{"hash":"`+n.Hash+`"}`), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/acts", `{"do":"sample","to":"test@shop.example"}`), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/acts", `{"do":"dance"}`), 400)
	must(w.ask(admin, "POST", "/v1/notices/1/send", `{}`), 200)
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); n.State != notice.Done; <-tick.C {
		a = w.ask(admin, "GET", "/v1/notices/1", "")
		a.decode(t, &n)
		if time.Now().After(deadline) {
			t.Fatalf("%+v", n)
		}
	}
	if n.Outcomes["sent"]+n.Outcomes["no_contact"] != n.People || w.relay.taken.Load() != n.Outcomes["sent"]+1 {
		t.Errorf("%+v, and the relay took %d", n.Outcomes, w.relay.taken.Load())
	}
	must(w.ask(admin, "GET", "/v1/notices", ""), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/person", `{"id":"no such"}`), 404)
	if a = w.ask(admin, "POST", "/v1/notices/1/export", `{"outcomes":["no_contact","sent"]}`); a.status != 200 || int64(strings.Count(a.body, "https://shop.example/notice")) != n.People || strings.Contains(a.body, "customer.example") {
		t.Errorf("export: %d %s", a.status, a.body)
	}
	id := strings.Split(strings.Split(a.body, "\n")[1], ",")[1]
	must(w.ask(admin, "POST", "/v1/notices/1/person", `{"id":"`+id+`"}`), 200)
	must(w.ask(admin, "POST", "/v1/notices/1/acts", `{"do":"bounced","message_ids":["<notice.x@shop.example>"]}`), 200)
}
