package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/server"
	"github.com/whosaw/whosaw/internal/sim"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a shop's server with a clock of its own, and whom it talks to: gateways, people with tokens, the shop's look-up, a relay, a webhook.
type house struct {
	t      testing.TB
	srv    *server.Server
	relay  *relay
	hook   *hook
	key    ed25519.PublicKey // of DKIM
	tokens map[string]string // by who has it

	mu  sync.Mutex
	now time.Time
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

// at moves the clock, never back.
func (h *house) at(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.After(h.now) {
		h.now = t
	}
}

func newHouse(t testing.TB) *house {
	h := &house{t: t, relay: newRelay(t), hook: newHook(t), now: opening, tokens: map[string]string{}}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, data, 0o600))
		return path
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	h.key = public
	der, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	shop := httptest.NewServer(http.HandlerFunc(lookUp))
	t.Cleanup(shop.Close)
	host, port, err := net.SplitHostPort(h.relay.address)
	check(t, err)
	cfg, err := config.Load(file("whosaw.yaml", []byte(fmt.Sprintf(`listen: 127.0.0.1:0
zone: Asia/Seoul
catalog: %s
incident: {jurisdictions: [KR], open: {detectors: ["*"]}}
alarm:
  channels:
    - {name: hook, webhook: {url: %s}}
    - {name: desk, mail: {host: %[3]s, port: %[4]s, security: none, from: whosaw@haneul.example, to: [desk@haneul.example]}}
notice:
  organisation: {en: Haneul Market, ko: 하늘마켓, ar: متجر هانول, bn: হানুল মার্কেট}
  address: https://notice.haneul.example/notice
  languages: [ko, en, ar, bn]
  lookup: {url: %[5]s/contacts, books_url: %[5]s/books, secret_file: %[6]s}
  mail:
    host: %[3]s
    port: %[4]s
    security: none
    from: Haneul Market <notice@haneul.example>
    dkim: {domain: haneul.example, selector: n1, key_file: %[7]s}
public: {listen: 127.0.0.1:0, url: https://notice.haneul.example, organisation: Haneul Market}
`, file("catalog.yaml", sim.Catalog()), h.hook.url, host, port, shop.URL, file("secret", []byte(shopSecret)),
		file("dkim.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))))))
	check(t, err)
	h.srv, err = server.Open(t.Context(), server.Config{
		Config: cfg, Dir: filepath.Join(dir, "data"), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: h.clock, Version: "test", Operator: "kim", SegmentRecords: 4096,
	})
	check(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		check(t, <-done)
		check(t, h.srv.Close())
	})
	for who, spec := range map[string]auth.Spec{
		"kim": {Role: auth.RoleAdmin}, "lee": {Role: auth.RoleAdmin},
		"gw-1": {Role: auth.RoleIngest}, "gw-2": {Role: auth.RoleIngest},
		"login": {Role: auth.RoleIngest, Types: []string{"issuance", "key", "person", "feed"}},
	} {
		spec.Name = who
		_, secret, err := h.srv.Auth().Create(t.Context(), spec, "test")
		check(t, err)
		h.tokens[who] = secret
	}
	return h
}

// request asks the API as somebody.
func (h *house) request(who, method, path, body string) (status int, answer string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.srv.URL()+path, strings.NewReader(body))
	check(h.t, err)
	req.Header.Set("Authorization", "Bearer "+h.tokens[who])
	req.Header.Set("Content-Type", "application/json")
	if path == "/v1/records" {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	res, err := http.DefaultClient.Do(req)
	check(h.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	check(h.t, err)
	return res.StatusCode, string(data)
}

// ask asks for what is given, and reads the answer into into, unless it is nil.
func (h *house) ask(who, method, path string, body, into any) {
	h.t.Helper()
	status, text := h.request(who, method, path, encode(h.t, body))
	if status >= 300 {
		h.t.Fatalf("%s %s as %s: %d %s", method, path, who, status, text)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			h.t.Fatalf("%s %s: %v\n%.500s", method, path, err, text)
		}
	}
}

// refused asks for what is not given, and checks that the answer says why.
func (h *house) refused(who, method, path string, body any, why string) {
	h.t.Helper()
	if status, text := h.request(who, method, path, encode(h.t, body)); status < 400 || status >= 500 || !strings.Contains(text, why) {
		h.t.Errorf("%s %s as %s: %d %.500s; want a refusal that says %q", method, path, who, status, text, why)
	}
}

func encode(t testing.TB, body any) string {
	t.Helper()
	if body == nil {
		return ""
	}
	data, err := json.Marshal(body)
	check(t, err)
	return string(data)
}

// m is a body.
type m = map[string]any

// send sends record lines as a source. Each must be taken.
func (h *house) send(source string, lines []byte) {
	h.t.Helper()
	if len(lines) == 0 {
		return
	}
	status, text := h.request(source, "POST", "/v1/records", string(lines))
	var got struct{ Lines, Accepted int }
	if json.Unmarshal([]byte(text), &got) != nil || status != 200 || got.Accepted != bytes.Count(lines, []byte("\n")) {
		h.t.Fatalf("%s sent %d lines: %d %.600s", source, bytes.Count(lines, []byte("\n")), status, text)
	}
}

// until waits for something that the server does by itself.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	over := time.NewTimer(5 * time.Minute) // on a machine that is busy otherwise
	defer over.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-over.C:
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// page gets a public page as anybody does; with a form it is posted.
func (h *house) page(path string, form map[string][]string) string {
	h.t.Helper()
	var res *http.Response
	var err error
	if form == nil {
		res, err = http.Get(h.srv.PublicURL() + path)
	} else {
		res, err = http.PostForm(h.srv.PublicURL()+path, form)
	}
	check(h.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	check(h.t, err)
	if res.StatusCode != 200 {
		h.t.Fatalf("the public page %s answers %d", path, res.StatusCode)
	}
	return string(data)
}

// told is a message that the webhook got.
type told struct {
	id, kind, says string
	at             time.Time // by the house's clock, when it was raised
}

// hook keeps what the webhook is told.
type hook struct {
	url string
	mu  sync.Mutex
	got []told
}

func newHook(t testing.TB) *hook {
	k := &hook{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct {
			ID   string
			Type string
			Time time.Time
			Data struct{ Kind, Says string }
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.got = append(k.got, told{e.ID, e.Data.Kind, e.Data.Says, e.Time})
	}))
	t.Cleanup(server.Close)
	k.url = server.URL
	return k
}

// deadlines are the messages about clocks.
func (k *hook) deadlines() []told {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []told
	for _, m := range k.got {
		if m.kind == "deadline" {
			out = append(out, m)
		}
	}
	return out
}

const shopSecret = "the shop's secret"

// languageOf is what a customer reads; nobody knows it of people in address books.
func languageOf(id string) string {
	n, err := strconv.Atoi(id)
	if err != nil {
		return ""
	}
	switch mix(n, 8) % 20 {
	case 0:
		return "ar"
	case 1:
		return "bn-BD"
	case 2, 3:
		return "en-US"
	}
	return "ko"
}

// addressOf is a person's e-mail address: some have none, and some one that nothing can be sent to. key is as in truth.due.
func addressOf(key string) string {
	sum := 0
	for _, c := range key {
		sum = sum*31 + int(c)
	}
	switch {
	case mix(sum, 9)%90 == 0:
		return ""
	case mix(sum, 10)%900 == 0:
		return "no address"
	}
	return strings.ReplaceAll(key, ":", ".") + "@customer.example"
}

// lookUp is the shop's: how to reach people, and who is in whose address book.
func lookUp(w http.ResponseWriter, r *http.Request) {
	var in struct{ People, Customers []notice.Person }
	if r.Header.Get("Authorization") != "Bearer "+shopSecret || json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	people, others := []m{}, []m{}
	for _, p := range in.People {
		key := p.ID
		if p.Other {
			key = "other:" + key
		}
		if to := addressOf(key); to != "" {
			people = append(people, m{"id": p.ID, "other": p.Other, "email": to, "language": languageOf(p.ID), "name": "Name of " + p.ID})
		}
	}
	for _, p := range in.Customers {
		n, _ := strconv.Atoi(p.ID)
		for _, e := range book(n) {
			row := m{"of": p.ID, "id": e.other}
			if e.other == "" {
				row = m{"of": p.ID, "subject": strconv.Itoa(e.subject)}
			}
			others = append(others, row)
		}
	}
	answer := m{"people": people}
	if r.URL.Path == "/books" {
		answer = m{"others": others}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// relay is a mail server that reads what it is given and keeps what the test asks of it.
type relay struct {
	address string
	take    func(raw []byte) // of notices, one at a time

	mu   sync.Mutex
	told []string // ids of messages about deadlines
}

func newRelay(t testing.TB) *relay {
	r := &relay{}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{relay: r}, nil }))
	server.Domain = "relay.test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r.address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return r
}

// deadlines are the ids of what the desk was told of clocks.
func (r *relay) deadlines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// deadlineMail finds the id of a message about deadlines.
var deadlineMail = regexp.MustCompile(`(?mi)^message-id: <(incident-\d+-[0-9a-f]+)\.`)

type session struct {
	relay *relay
	to    string
}

func (s *session) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *session) Reset()                                    {}
func (s *session) Logout() error                             { return nil }
func (s *session) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	if s.to == "desk@haneul.example" {
		if id := deadlineMail.FindSubmatch(raw); id != nil {
			s.relay.told = append(s.relay.told, string(id[1]))
		}
		return nil
	}
	s.relay.take(raw)
	return nil
}
