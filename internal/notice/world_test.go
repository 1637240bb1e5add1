package notice_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

var start = time.Date(2026, 11, 22, 3, 12, 44, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shop answers the look-up from tables.
type shop struct {
	*httptest.Server
	secret string

	mu       sync.Mutex
	contacts map[string]map[string]any // by id; "other:" before those of entries
	books    map[string][]map[string]any
	fail     func() int // a status instead of an answer; 0: none
	asked    map[string]int
	whole    string // an answer as a whole
}

func newShop(t testing.TB) *shop {
	s := &shop{secret: "the shop's secret", contacts: map[string]map[string]any{}, books: map[string][]map[string]any{}, asked: map[string]int{}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.fail != nil {
		if code := s.fail(); code != 0 {
			w.WriteHeader(code)
			return
		}
	}
	if s.whole != "" {
		_, _ = io.WriteString(w, s.whole)
		return
	}
	var in struct{ People, Customers []notice.Person }
	if r.Method != "POST" || json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	people, others := []map[string]any{}, []map[string]any{}
	for _, p := range in.People {
		id := p.ID
		if p.Other {
			id = "other:" + id
		}
		s.asked[id]++
		if c := s.contacts[id]; c != nil {
			row := map[string]any{"id": p.ID, "realm": p.Realm, "other": p.Other}
			for k, v := range c {
				row[k] = v
			}
			people = append(people, row)
		}
	}
	for _, p := range in.Customers {
		for _, e := range s.books[p.ID] {
			row := map[string]any{"of": p.ID, "realm": p.Realm}
			for k, v := range e {
				row[k] = v
			}
			others = append(others, row)
		}
	}
	answer := map[string]any{"people": people}
	if strings.HasSuffix(r.URL.Path, "/books") {
		answer = map[string]any{"others": others}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// sink is a relay that keeps what it takes.
type sink struct {
	server *smtp.Server
	addr   string

	mu       sync.Mutex
	got      []received
	rcpt     func(to string) error // nil: everybody is taken
	data     func(to string) error
	cut      func(to string) bool // cut the connection instead of an answer to the text
	sessions int
	secure   int // sessions with TLS
}

type received struct {
	to  string
	raw []byte
}

type session struct {
	s    *sink
	c    *smtp.Conn
	to   string
	seen bool
}

func (s *sink) NewSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &session{s: s, c: c}, nil
}

func (x *session) Mail(string, *smtp.MailOptions) error {
	if _, ok := x.c.TLSConnectionState(); ok && !x.seen {
		x.s.mu.Lock()
		x.seen = true
		x.s.secure++
		x.s.mu.Unlock()
	}
	return nil
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.to = to
	if x.s.rcpt != nil {
		return x.s.rcpt(to)
	}
	return nil
}

func (x *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	x.s.mu.Lock()
	cut, data := x.s.cut, x.s.data
	x.s.mu.Unlock()
	if cut != nil && cut(x.to) {
		x.c.Conn().Close()
		return errors.New("cut")
	}
	if data != nil {
		if err := data(x.to); err != nil {
			return err
		}
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.got = append(x.s.got, received{x.to, raw})
	return nil
}

func (x *session) Reset()        { x.to = "" }
func (x *session) Logout() error { return nil }

func newSink(t testing.TB, shop *shop) *sink {
	s := &sink{}
	s.server = smtp.NewServer(s)
	s.server.Domain = "sink.test"
	s.server.AllowInsecureAuth = true
	if shop != nil {
		s.server.TLSConfig = shop.TLS.Clone() // the certificate of the shop's test server, which names example.com and 127.0.0.1
		s.server.TLSConfig.NextProtos = nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(l) }()
	t.Cleanup(func() { s.server.Close(); <-done })
	return s
}

func (s *sink) mails() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

// world is a book of notices over a real ledger.
type world struct {
	now   func() time.Time // of the book; nil: the machine\'s
	zone  *time.Location
	t     testing.TB
	dir   string
	db    *sqlite.DB
	led   *ledger.Ledger
	inc   *incident.Book
	book  *notice.Book
	shop  *shop
	sink  *sink
	cfg   notice.Config
	log   bytes.Buffer
	logMu sync.Mutex
	acts  []whosaw.Reference
	mu    sync.Mutex

	shown map[string]map[string]bool // subject to fields, counted here
	at    int64
	stop  func()
}

func (w *world) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), shown: map[string]map[string]bool{}}
	w.shop = newShop(t)
	w.sink = newSink(t, w.shop)
	var err error
	w.db, err = sqlite.Open(t.Context(), filepath.Join(w.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { w.db.Close() })
	w.led, err = ledger.Open(ledger.Config{Dir: filepath.Join(w.dir, "data"), Throwaway: true})
	check(t, err)
	t.Cleanup(func() { w.led.Close() })
	w.inc = incident.NewBook(incident.Config{
		DB: w.db, Dir: filepath.Join(w.dir, "incident"), Now: time.Now,
		Act: func(_ context.Context, _ string, act whosaw.Reference) (uint64, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.acts = append(w.acts, act)
			return uint64(len(w.acts)), nil
		},
		Hold: func(context.Context, string, string) (uint64, error) { return 1, nil },
	})
	host, port, err := net.SplitHostPort(w.sink.addr)
	check(t, err)
	n, err := strconv.Atoi(port)
	check(t, err)
	w.cfg = notice.Config{
		Organisation: map[string]string{"en": "Example Shop", "ko": "예시몰", "ar": "متجر المثال", "bn": "উদাহরণ শপ"},
		Address:      "https://shop.example/notice", Languages: []string{"en", "ko", "ar", "bn"},
		Lookup: notice.LookupConfig{URL: w.shop.URL + "/contacts", BooksURL: w.shop.URL + "/books", SecretFile: w.file("secret", []byte(w.shop.secret)), CAFile: w.file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.shop.Certificate().Raw})), Batch: 50},
		Mail: notice.MailConfig{
			Host: host, Port: n, From: "Example Shop <notice@shop.example>", CAFile: filepath.Join(w.dir, "ca.pem"), Connections: 4, PerConnection: 20,
			DKIM: notice.DKIMConfig{Domain: "shop.example", Selector: "n1", KeyFile: w.file("dkim.pem", dkimKey(t))},
		},
	}
	return w
}

var dkimPair struct {
	sync.Once
	key *rsa.PrivateKey
}

func dkimKey(t testing.TB) []byte {
	dkimPair.Do(func() {
		var err error
		dkimPair.key, err = rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
	})
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(dkimPair.key)})
}

func (w *world) file(name string, data []byte) string {
	path := filepath.Join(w.dir, name)
	check(w.t, os.WriteFile(path, data, 0o600))
	return path
}

// clock is the book's: the machine's, unless a test sets another.
func (w *world) clock() time.Time {
	if w.now != nil {
		return w.now()
	}
	return time.Now()
}

// open makes the book, and runs it until the test ends or stop is called.
func (w *world) open() {
	w.t.Helper()
	check(w.t, w.cfg.Check())
	var err error
	w.book, err = notice.NewBook(notice.BookConfig{
		DB: w.db, Dir: filepath.Join(w.dir, "notice"), Incidents: w.inc, Config: w.cfg, Random: rand.Reader, Now: w.clock, Zone: w.zone, Log: slog.New(slog.NewTextHandler(w, nil)),
	})
	check(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	run := w.book.Begin(ctx)
	go func() { defer close(done); run() }()
	var once sync.Once
	book := w.book
	w.stop = func() {
		once.Do(func() {
			cancel()
			<-done
			check(w.t, book.Close())
		})
	}
	w.t.Cleanup(w.stop)
}

// show records that a page showed fields of a customer.
func (w *world) show(subject string, fields ...string) {
	if w.shown[subject] == nil {
		w.shown[subject] = map[string]bool{}
	}
	for _, f := range fields {
		w.shown[subject][f] = true
	}
	w.at++
	_, err := w.led.Append(w.t.Context(), []whosaw.Record{{
		Type: whosaw.TypeAccess, Time: start.UnixMilli() + w.at, Source: "log", Position: w.at, Key: "backup", Subjects: []string{subject}, Fields: fields, Outcome: whosaw.OutcomeDisclosed,
	}})
	check(w.t, err)
}

// showAll records many at once.
func (w *world) showAll(n int, fields func(i int) []string) {
	records := make([]whosaw.Record, 0, 10_000)
	for i := 1; i <= n; i++ {
		id, list := strconv.Itoa(i), fields(i)
		w.shown[id] = map[string]bool{}
		for _, f := range list {
			w.shown[id][f] = true
		}
		w.at++
		records = append(records, whosaw.Record{Type: whosaw.TypeAccess, Time: start.UnixMilli() + w.at, Source: "log", Position: w.at, Key: "backup", Subjects: []string{id}, Fields: list, Outcome: whosaw.OutcomeDisclosed})
		if len(records) == cap(records) || i == n {
			_, err := w.led.Append(w.t.Context(), records)
			check(w.t, err)
			records = records[:0]
		}
	}
}

// incident opens an incident with a scope version of all that was shown, and what is to be said in all languages.
func (w *world) incident() int64 {
	w.t.Helper()
	n, err := w.inc.Open(w.t.Context(), "staff:kim", incident.Body{Title: "the backup key", Findings: []string{"f1"}}, time.Now())
	check(w.t, err)
	w.version(n)
	for _, lang := range []string{"en", "ko", "ar", "bn"} {
		for content, text := range map[string]string{"when_and_how": happened[lang], "measures": measures[lang], "contact": contacts[lang], "remedy": remedies[lang]} {
			_, err := w.inc.Record(w.t.Context(), n, "staff:kim", incident.Stated, incident.Body{Statement: &incident.Statement{Content: content, Lang: lang, Text: text}})
			check(w.t, err)
		}
	}
	return n
}

func (w *world) version(n int64) {
	view, err := w.led.View(0)
	check(w.t, err)
	defer view.Close()
	_, err = w.inc.MakeVersion(w.t.Context(), n, "staff:kim", scope.New(view, nil, scope.Config{}), view.Last(), whosaw.Filter{{Key: []string{"backup"}}}, "by cause")
	check(w.t, err)
}

var happened = map[string]string{
	"en": "From 2026-11-22 on, somebody used a signing key of ours to open pages of accounts. We knew on 2026-11-23.",
	"ko": "2026-11-22부터 누군가 저희의 서명 키를 이용하여 계정 페이지를 열람하였습니다. 저희는 2026-11-23에 이를 알았습니다.",
	"ar": "ابتداءً من 2026-11-22 استخدم شخص أحد مفاتيح التوقيع لدينا لفتح صفحات الحسابات. علمنا بذلك في 2026-11-23.",
	"bn": "2026-11-22 থেকে কেউ আমাদের একটি স্বাক্ষর-চাবি ব্যবহার করে অ্যাকাউন্টের পাতা খুলেছে। আমরা 2026-11-23 তারিখে তা জেনেছি।",
}
var measures = map[string]string{
	"en": "The key was replaced, and the police and the authority were told.", "ko": "키를 교체하였으며 경찰과 감독기관에 신고하였습니다.",
	"ar": "استُبدل المفتاح وأُبلغت الشرطة والسلطة المختصة.", "bn": "চাবিটি বদলানো হয়েছে, এবং পুলিশ ও কর্তৃপক্ষকে জানানো হয়েছে।",
}
var contacts = map[string]string{
	"en": "Privacy office, privacy@shop.example, 02-1234-5678", "ko": "개인정보 보호팀, privacy@shop.example, 02-1234-5678",
	"ar": "مكتب الخصوصية، privacy@shop.example، 02-1234-5678", "bn": "গোপনীয়তা দপ্তর, privacy@shop.example, 02-1234-5678",
}
var remedies = map[string]string{
	"en": "Write to the privacy office; we answer within ten days.", "ko": "개인정보 보호팀에 접수하시면 10일 안에 답변드립니다.",
	"ar": "اكتب إلى مكتب الخصوصية ونجيب خلال عشرة أيام.", "bn": "গোপনীয়তা দপ্তরে লিখুন; আমরা দশ দিনের মধ্যে উত্তর দিই।",
}

// made makes a notice and has a second person approve it.
func (w *world) made(spec notice.Spec) *notice.Notice {
	w.t.Helper()
	n, err := w.book.Make(w.t.Context(), w.incident(), "staff:kim", spec)
	check(w.t, err)
	if len(n.Faults) > 0 {
		w.t.Fatalf("faults: %+v", n.Faults)
	}
	check(w.t, w.book.Approve(w.t.Context(), n.Number, "staff:lee", n.Hash))
	return n
}

// until waits for a notice to be as it should, with a deadline.
func (w *world) until(number int64, is func(n *notice.Notice) bool) *notice.Notice {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := w.book.Notice(w.t.Context(), number)
		check(w.t, err)
		if is(n) {
			return n
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("after a minute the notice is %+v\n%s", n, w.logged())
		}
		<-tick.C
	}
}

func (w *world) logged() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

func inState(s notice.State) func(n *notice.Notice) bool {
	return func(n *notice.Notice) bool { return n.State == s }
}

// read takes a mail apart.
type read struct {
	header     netmail.Header
	subject    string
	text, html string
}

func parseMail(t testing.TB, raw []byte) read {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	check(t, err)
	out := read{header: m.Header}
	out.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	check(t, err)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	check(t, err)
	if kind != "multipart/alternative" {
		t.Fatalf("the mail is %s", kind)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		var body io.Reader = p
		switch p.Header.Get("Content-Transfer-Encoding") {
		case "quoted-printable":
			body = quotedprintable.NewReader(p)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		data, err := io.ReadAll(body)
		check(t, err)
		text := strings.ReplaceAll(string(data), "\r\n", "\n")
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			out.html = text
		} else {
			out.text = text
		}
	}
	return out
}

func (w *world) contact(id, email, lang string) {
	w.shop.mu.Lock()
	defer w.shop.mu.Unlock()
	w.shop.contacts[id] = map[string]any{"email": email, "language": lang, "name": "Name of " + id}
}

// visit gives the acts, for the incident's verification.
func (w *world) visit(visit func(uint64, *whosaw.Reference) error) error {
	for i := range w.acts {
		if err := visit(uint64(i+1), &w.acts[i]); err != nil {
			return err
		}
	}
	return nil
}
