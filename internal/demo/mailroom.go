package demo

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// mailroom takes the mail of everybody in the demo, over SMTP, and shows it. Mails lie in a file, one behind the other; in memory is who got which.
type mailroom struct {
	server   *smtp.Server
	listener net.Listener
	log      *slog.Logger
	now      func() time.Time
	done     chan error

	mu   sync.Mutex
	file *os.File
	size int64
	got  []envelope
	of   map[string][]int // by address: places in got, the oldest first
	from map[string]int64 // by sender: how many
}

// envelope is what is kept of a mail in memory.
type envelope struct {
	from, to string
	at       time.Time
	offset   int64
	size     int
}

// maxMail is the longest mail that is taken.
const maxMail = 1 << 20

// openMailroom listens. Mails go into the file of that name.
func openMailroom(name string, now func() time.Time, log *slog.Logger) (*mailroom, error) {
	m := &mailroom{of: map[string][]int{}, from: map[string]int64{}, now: now, log: log, done: make(chan error, 1)}
	var err error
	if m.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, fmt.Errorf("open the mail room: %w", err)
	}
	if m.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("open the mail room: %w", err), m.file.Close())
	}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &delivery{room: m}, nil }))
	m.server.Domain, m.server.MaxMessageBytes, m.server.MaxRecipients = "localhost", maxMail, 1
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	go func() { m.done <- m.server.Serve(m.listener) }()
	return m, nil
}

// address is where it listens.
func (m *mailroom) address() *net.TCPAddr { return m.listener.Addr().(*net.TCPAddr) }

func (m *mailroom) close() error {
	err := m.server.Close()
	if e := <-m.done; !errors.Is(e, smtp.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, m.file.Close())
}

// delivery is one sender's connection.
type delivery struct {
	room     *mailroom
	from, to string
}

func (d *delivery) Mail(from string, _ *smtp.MailOptions) error { d.from = from; return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error   { d.to = to; return nil }
func (d *delivery) Reset()                                      { d.from, d.to = "", "" }
func (d *delivery) Logout() error                               { return nil }

// Data takes a mail. It is in the file before the sender is told so.
func (d *delivery) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read a mail: %w", err)
	}
	m := d.room
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.file.WriteAt(raw, m.size); err != nil {
		m.log.Error("a mail could not be written", "error", err)
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "there is no room"}
	}
	to := strings.ToLower(d.to)
	m.of[to] = append(m.of[to], len(m.got))
	m.from[strings.ToLower(d.from)]++
	m.got = append(m.got, envelope{from: strings.ToLower(d.from), to: to, at: m.now(), offset: m.size, size: len(raw)})
	m.size += int64(len(raw))
	return nil
}

// count is how many mails came from an address.
func (m *mailroom) count(from string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.from[from]
}

// first gives the number of the first mail that is so.
func (m *mailroom) first(is func(*envelope) bool) (int, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.got, func(e envelope) bool { return is(&e) })
	return i, i >= 0
}

// box gives the numbers of an address's mails, the newest first.
func (m *mailroom) box(to string) []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Clone(m.of[strings.ToLower(strings.TrimSpace(to))])
	slices.Reverse(out)
	return out
}

// letter is a mail as its reader sees it.
type letter struct {
	number            int
	to, from, subject string
	lang              string
	at                time.Time
	signed            string // the domain of its DKIM signature
	plain, page       string
	code              string // of a notice
}

// codeLine is a notice's code on a line of its own.
var codeLine = regexp.MustCompile(`(?m)^[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){6}$`)

var signingDomain = regexp.MustCompile(`\bd=([^;\s]+)`)

// letter opens a mail; nil: there is none of that number.
func (m *mailroom) letter(number int) (*letter, error) {
	m.mu.Lock()
	if number < 0 || number >= len(m.got) {
		m.mu.Unlock()
		return nil, nil
	}
	e := m.got[number]
	m.mu.Unlock()
	raw := make([]byte, e.size)
	if _, err := m.file.ReadAt(raw, e.offset); err != nil {
		return nil, fmt.Errorf("read a mail: %w", err)
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, errors.New("read a mail: it is none")
	}
	l := &letter{number: number, to: e.to, from: msg.Header.Get("From"), subject: msg.Header.Get("Subject"), lang: msg.Header.Get("Content-Language"), at: e.at}
	dec := new(mime.WordDecoder)
	for _, text := range []*string{&l.from, &l.subject} {
		if plain, err := dec.DecodeHeader(*text); err == nil {
			*text = plain
		}
	}
	if d := signingDomain.FindStringSubmatch(msg.Header.Get("DKIM-Signature")); d != nil {
		l.signed = d[1]
	}
	if err := l.read(msg.Header.Get, msg.Body); err != nil {
		return nil, err
	}
	l.code = codeLine.FindString(l.plain)
	return l, nil
}

// read takes the forms out of a body: a text, or parts.
func (l *letter) read(header func(string) string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = l.read(p.Header.Get, p)
			}
			if err != nil {
				return fmt.Errorf("read a mail: %w", err)
			}
		}
	}
	switch header("Content-Transfer-Encoding") {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read a mail: %w", err)
	}
	plain := strings.ReplaceAll(string(text), "\r\n", "\n")
	if kind == "text/html" {
		l.page = plain
	} else {
		l.plain += plain
	}
	return nil
}
