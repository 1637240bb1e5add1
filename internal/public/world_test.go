package public_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/public"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

var start = time.Date(2026, 11, 22, 3, 12, 44, 0, time.UTC)

// house is a book of incidents over a real ledger, with the public pages on it.
type house struct {
	t        testing.TB
	dir      string
	db       *sqlite.DB
	led      *ledger.Ledger
	book     *incident.Book
	lookups  *public.Lookups
	pages    *public.Pages
	server   *httptest.Server
	logged   *strings.Builder
	position int64

	mu  sync.Mutex
	now time.Time
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t testing.TB, change ...func(*public.Config)) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: start, logged: &strings.Builder{}}
	var err error
	h.db, err = sqlite.Open(t.Context(), filepath.Join(h.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { h.db.Close() })
	h.led, err = ledger.Open(ledger.Config{Dir: filepath.Join(h.dir, "data"), Throwaway: true})
	check(t, err)
	t.Cleanup(func() { h.led.Close() })
	acts := uint64(0)
	next := func() uint64 { h.mu.Lock(); defer h.mu.Unlock(); acts++; return acts }
	h.book = incident.NewBook(incident.Config{
		DB: h.db, Dir: filepath.Join(h.dir, "incident"), Now: h.clock,
		Act:  func(context.Context, string, whosaw.Reference) (uint64, error) { return next(), nil },
		Hold: func(context.Context, string, string) (uint64, error) { return next(), nil },
	})
	log := slog.New(slog.NewTextHandler(&locked{w: h.logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.lookups, err = public.OpenLookups(h.book, filepath.Join(h.dir, "incident"), log)
	check(t, err)
	t.Cleanup(func() { h.lookups.Close() })
	seoul, err := time.LoadLocation("Asia/Seoul")
	check(t, err)
	cfg := public.Config{Organisation: "Mirae Market", Book: h.book, Lookups: h.lookups, Zone: seoul, Now: h.clock, Logger: log}
	for _, fn := range change {
		fn(&cfg)
	}
	h.pages, err = public.New(cfg)
	check(t, err)
	h.server = httptest.NewServer(h.pages.Handler())
	t.Cleanup(h.server.Close)
	return h
}

// locked is a writer for several.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.w.Write(b) }

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *house) wait(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }

// open opens an incident.
func (h *house) open() int64 {
	h.t.Helper()
	n, err := h.book.Open(h.t.Context(), "staff:kim", incident.Body{Title: "the backup key", Findings: []string{"f1"}}, h.clock())
	check(h.t, err)
	return n
}

// show has the data of customers shown.
func (h *house) show(fields func(id int) []string, ids ...int) {
	h.t.Helper()
	records := make([]whosaw.Record, len(ids))
	for i, id := range ids {
		h.position++
		records[i] = whosaw.Record{Type: whosaw.TypeAccess, Time: start.UnixMilli() + h.position, Source: "log", Position: h.position, Key: "backup",
			Subjects: []string{strconv.Itoa(id)}, Fields: fields(id), Outcome: whosaw.OutcomeDisclosed}
	}
	for len(records) > 0 {
		n := min(len(records), 8192)
		_, err := h.led.Append(h.t.Context(), records[:n])
		check(h.t, err)
		records = records[n:]
	}
}

// count makes the next scope version.
func (h *house) count(n int64) *incident.Version {
	h.t.Helper()
	view, err := h.led.View(0)
	check(h.t, err)
	defer view.Close()
	v, err := h.book.MakeVersion(h.t.Context(), n, "staff:kim", scope.New(view, nil, scope.Config{}), view.Last(), whosaw.Filter{{Key: []string{"backup"}}}, "by cause")
	check(h.t, err)
	return v
}

// offer begins a look-up and waits until it is there.
func (h *house) offer(n int64) {
	h.t.Helper()
	_, err := h.book.Record(h.t.Context(), n, "staff:kim", incident.Offered, incident.Body{Title: "Customer data, November 2026"})
	check(h.t, err)
	check(h.t, h.lookups.Sync(h.t.Context()))
}

// answer is what a page answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (h *house) get(path string) answer {
	h.t.Helper()
	res, err := http.Get(h.server.URL + path)
	check(h.t, err)
	return h.read(res)
}

func (h *house) post(path string, form url.Values) answer {
	h.t.Helper()
	res, err := http.PostForm(h.server.URL+path, form)
	check(h.t, err)
	return h.read(res)
}

func (h *house) read(res *http.Response) answer {
	h.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(h.t, err)
	return answer{res.StatusCode, res.Header, string(body)}
}

// shape is what the page says of a look-up.
type shape struct {
	salt, key   string
	bits, width int
}

var attribute = regexp.MustCompile(`data-(salt|key|bits|width)="([0-9a-f]+)"`)

func (h *house) shape(n int64) shape {
	h.t.Helper()
	var s shape
	for _, m := range attribute.FindAllStringSubmatch(h.get(fmt.Sprintf("/affected/%d", n)).body, -1) {
		switch m[1] {
		case "salt":
			s.salt = m[2]
		case "key":
			s.key = m[2]
		case "bits":
			s.bits, _ = strconv.Atoi(m[2])
		case "width":
			s.width, _ = strconv.Atoi(m[2])
		}
	}
	if len(s.salt) != 32 || len(s.key) != 16 || s.width == 0 {
		h.t.Fatalf("the page of the look-up says %+v", s)
	}
	return s
}

func (s shape) path(n int64, bucket int) string {
	return fmt.Sprintf("/affected/%d/%s/%0*x", n, s.salt, s.width, bucket)
}
