package alarm_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/alarm"
)

// envelope is a mail that the relay took.
type envelope struct {
	from string
	to   []string
	data string
	tls  bool
	user string
}

type relayOptions struct {
	listener net.Listener
	tls      *tls.Config // offers STARTTLS, or with implicit speaks it at once
	implicit bool
	login    bool
	answer   func(n int, to string) error // to the nth RCPT
	data     func(n int) error            // to the nth DATA
}

type relay struct {
	o     relayOptions
	got   chan envelope
	mu    sync.Mutex
	rcpts int
	datas int
}

// newRelay gives a mail relay, its port and what it takes.
func newRelay(t *testing.T, o relayOptions) (int, <-chan envelope) {
	t.Helper()
	if o.listener == nil {
		var err error
		if o.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	port := o.listener.Addr().(*net.TCPAddr).Port
	r := &relay{o: o, got: make(chan envelope, 100)}
	s := smtp.NewServer(r)
	s.Domain = "relay.test"
	s.ErrorLog = log.New(io.Discard, "", 0)
	listener := o.listener
	if o.implicit {
		listener = tls.NewListener(listener, o.tls)
	} else {
		s.TLSConfig = o.tls
	}
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
	return port, r.got
}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	s := &session{r: r, e: envelope{tls: secure}}
	if r.o.login {
		return &loginSession{s}, nil
	}
	return s, nil
}

type session struct {
	r *relay
	e envelope
}

func (s *session) Reset()        { s.e.from, s.e.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.r.o.login && s.e.user == "" {
		return smtp.ErrAuthRequired
	}
	s.e.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.rcpts++
	if s.r.o.answer != nil {
		if err := s.r.o.answer(s.r.rcpts, to); err != nil {
			return err
		}
	}
	s.e.to = append(s.e.to, to)
	return nil
}

func (s *session) Data(body io.Reader) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.datas++
	if s.r.o.data != nil {
		if err := s.r.o.data(s.r.datas); err != nil {
			return err
		}
	}
	e := s.e
	e.data = string(b)
	s.r.got <- e
	return nil
}

type loginSession struct{ *session }

func (s *loginSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *loginSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "whosaw" || password != "pass word" {
			return smtp.ErrAuthFailed
		}
		s.e.user = user
		return nil
	}), nil
}

func mailTo(port int, to ...string) *alarm.MailConfig {
	return &alarm.MailConfig{Host: "127.0.0.1", Port: port, Security: "none", From: "whosaw@shop.example", To: to}
}

func TestMail(t *testing.T) {
	port, got := newRelay(t, relayOptions{})
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "oncall", Mail: mailTo(port, "a@shop.example", "b@shop.example")})
	f := finding(1, "unissued", "key:login-2024-b", 4012)
	f.Finding.Accesses = 4383
	f.Finding.Says = "Someone uses credentials – nothing else."
	l.raise(f)
	e := receive(t, got)
	if e.from != "whosaw@shop.example" || !slices.Equal(e.to, []string{"a@shop.example", "b@shop.example"}) {
		t.Errorf("from %s to %v", e.from, e.to)
	}
	m, body := parseMail(t, e.data)
	for name, want := range map[string]string{"Message-Id": "<f-0001.oncall@shop.example>", "Auto-Submitted": "auto-generated", "X-Whosaw-Finding": "f-0001",
		"X-Whosaw-Severity": "critical", "Importance": "high"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var words mime.WordDecoder
	subject, err := words.DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Credentials that were never issued are accepted: key login-2024-b" {
		t.Errorf("subject %q, %v", subject, err)
	}
	want := "Someone uses credentials – nothing else.\r\n\r\nUp to 2025-10-09 08:53 UTC: 4,383 accesses; the data of 4,012 customers was shown.\r\n" +
		"Accused: key login-2024-b in realm shop.\r\nDetector unissued, T1606. Finding f-0001.\r\n\r\nNobody has judged this yet.\r\n" +
		"Judge it: https://whosaw.shop.example/findings/f-0001\r\n"
	if body != want {
		t.Errorf("body:\n%s\nwant:\n%s", body, want)
	}
}

// parseMail decodes a mail without the library that wrote it.
func parseMail(t *testing.T, data string) (*netmail.Message, string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	b, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		if b, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(b))); err != nil {
			t.Fatal(err)
		}
	}
	return m, string(b)
}

// A unit that holds line ends makes no header.
func TestMailHeadersCannotBeInjected(t *testing.T) {
	port, got := newRelay(t, relayOptions{})
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "oncall", Mail: mailTo(port, "a@shop.example")})
	f := finding(1, "unissued", "key:k\r\nBcc: thief@evil.example\r\n\r\nHello", 1)
	l.raise(f)
	e := receive(t, got)
	m, _ := parseMail(t, e.data)
	if len(e.to) != 1 || m.Header.Get("Bcc") != "" || strings.Contains(e.data, "\nBcc:") {
		t.Errorf("to %v, mail:\n%s", e.to, e.data)
	}
}

func TestMailSecurity(t *testing.T) {
	cert, ca := authority(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, security := range []string{"starttls", "tls"} {
		port, got := newRelay(t, relayOptions{tls: config, implicit: security == "tls", login: true})
		c := mailTo(port, "a@shop.example")
		c.Security, c.User, c.PasswordFile, c.CAFile = security, "whosaw", write(t, "pass word\n"), ca
		if err := send(t, alarm.ChannelConfig{Mail: c}); err != nil {
			t.Errorf("%s: %v", security, err)
			continue
		}
		if e := receive(t, got); !e.tls || e.user != "whosaw" {
			t.Errorf("%s: %+v", security, e)
		}
		c.PasswordFile = write(t, "wrong")
		if err := send(t, alarm.ChannelConfig{Mail: c}); err == nil || !strings.Contains(err.Error(), "log-in: the relay answered 535") {
			t.Errorf("%s with a wrong password: %v", security, err)
		}
		c.CAFile = ""
		if err := send(t, alarm.ChannelConfig{Mail: c}); err == nil || !strings.Contains(err.Error(), "signed by nobody known") {
			t.Errorf("%s without the authority: %v", security, err)
		}
	}
	// Somebody between who hides STARTTLS gets neither mail nor password.
	port, got := newRelay(t, relayOptions{login: true})
	c := mailTo(port, "a@shop.example")
	c.Security, c.User, c.PasswordFile = "starttls", "whosaw", write(t, "pass word")
	if err := send(t, alarm.ChannelConfig{Mail: c}); err == nil || !strings.Contains(err.Error(), "offers no STARTTLS") {
		t.Errorf("without STARTTLS: %v", err)
	}
	select {
	case e := <-got:
		t.Errorf("sent without TLS: %+v", e)
	default:
	}
}

func smtpError(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// A mailbox that is gone does not keep the mail from the others; if it is the only one, it is asked for again.
func TestMailRecipients(t *testing.T) {
	gone := func(_ int, to string) error {
		if strings.HasPrefix(to, "gone") {
			return smtpError(550, "gone@shop.example is no mailbox")
		}
		return nil
	}
	port, got := newRelay(t, relayOptions{answer: gone})
	path := filepath.Join(t.TempDir(), "state.db")
	l := runLive(t, path, alarm.ChannelConfig{Name: "m", Mail: mailTo(port, "gone@shop.example", "a@shop.example")})
	l.raise(key(1))
	if e := receive(t, got); !slices.Equal(e.to, []string{"a@shop.example"}) {
		t.Errorf("to %v", e.to)
	}
	l.stop()
	l = runLive(t, path, alarm.ChannelConfig{Name: "m", Mail: mailTo(port, "gone@shop.example")})
	s, err := l.d.Status(t.Context())
	if err != nil || s.Channels[0].Sent != 1 || s.Channels[0].Error != "1 of 2 recipients were refused; remove those who left" {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := l.d.Test(t.Context(), "m"); err == nil || strings.Contains(err.Error(), "gone@") || !strings.Contains(err.Error(), "recipient: the relay answered 550") {
		t.Errorf("test: %v", err)
	}
}

// A relay that is gone, that greylists, and that breaks off in the middle: the mail comes once, with the same Message-ID at each try.
func TestDeadMailRelayComesBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, portText, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(portText)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	l := runLive(t, path, alarm.ChannelConfig{Name: "m", Mail: mailTo(port, "a@shop.example")})
	l.raise(key(1))
	if err := l.d.Test(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("test of a dead relay gave %v", err)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skip("the port was taken by somebody else")
	}
	_, got := newRelay(t, relayOptions{listener: listener,
		answer: func(n int, _ string) error {
			if n < 3 {
				return smtpError(451, "greylisted")
			}
			return nil
		},
		data: func(n int) error {
			if n < 3 {
				return smtpError(452, "no space")
			}
			return nil
		}})
	e := receive(t, got)
	if m, _ := parseMail(t, e.data); m.Header.Get("Message-Id") != "<f-0001.m@shop.example>" {
		t.Errorf("message id %s", m.Header.Get("Message-Id"))
	}
	l.stop()
	l = runLive(t, path, alarm.ChannelConfig{Name: "m", Mail: mailTo(port, "a@shop.example")})
	s, err := l.d.Status(t.Context())
	if err != nil || s.Channels[0].Sent != 1 || s.Channels[0].Pending != 0 {
		t.Errorf("status %+v, %v", s, err)
	}
	select {
	case e := <-got:
		t.Errorf("a second mail: %+v", e)
	default:
	}
}
