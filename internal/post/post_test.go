package post_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw/internal/post"
)

// server notes what it is sent, after it has given the answers it was told to give first.
type server struct {
	first  []func(w http.ResponseWriter)
	lines  bytes.Buffer
	bodies int
	seen   http.Header
	query  string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.seen, s.query = r.Header.Clone(), r.URL.Path+"?"+r.URL.RawQuery
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	if len(s.first) > 0 {
		answer := s.first[0]
		s.first = s.first[1:]
		answer(w)
		return
	}
	if r.Header.Get("Content-Encoding") == "zstd" {
		z, err := zstd.NewReader(nil)
		if err != nil {
			panic(err)
		}
		defer z.Close()
		if body, err = z.DecodeAll(body, nil); err != nil {
			http.Error(w, "unpack", http.StatusBadRequest)
			return
		}
	}
	s.bodies++
	s.lines.Write(body)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, `{"source":"sim","lines":`+itoa(bytes.Count(body, []byte{'\n'}))+`,"accepted":1,"rejected":1,"rejects":[{"line":1,"reason":"time is missing","hint":""}]}`)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func status(code int, header, value string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(code)
	}
}

func start(t *testing.T, s *server, cfg post.Config) (*post.Sender, *[]time.Duration) {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	waits := &[]time.Duration{}
	cfg.URL, cfg.Client = web.URL, web.Client()
	cfg.Now = func() time.Time { return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) }
	cfg.Sleep = func(_ context.Context, d time.Duration) error { *waits = append(*waits, d); return nil }
	sender, err := post.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sender, waits
}

// What is written arrives: in order, whole lines, in bodies of a mebibyte.
func TestLinesArrive(t *testing.T) {
	for _, packed := range []bool{false, true} {
		s := &server{}
		sender, _ := start(t, s, post.Config{Source: "sim", Token: "secret-7", Zstd: packed})
		var want bytes.Buffer
		for i := range 400 {
			chunk := strings.Repeat(`{"time":1772409600000,"subject":"`+itoa(i)+"\"}\n", 200)
			want.WriteString(chunk)
			if _, err := io.WriteString(sender, chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := sender.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.lines.Bytes(), want.Bytes()) {
			t.Errorf("packed %v: other lines arrived than were written", packed)
		}
		if least := want.Len() / (1 << 20); s.bodies < least || s.bodies > least+2 {
			t.Errorf("packed %v: %d bodies for %d bytes", packed, s.bodies, want.Len())
		}
		if got := s.seen.Get("Authorization"); got != "Bearer secret-7" {
			t.Errorf("Authorization was %q", got)
		}
		if s.query != "/v1/records?source=sim" {
			t.Errorf("asked for %q", s.query)
		}
		got, why := sender.Received()
		if got.Lines != int64(bytes.Count(want.Bytes(), []byte{'\n'})) || got.Rejected != int64(s.bodies) || why != "time is missing" {
			t.Errorf("received %+v, %q", got, why)
		}
	}
}

// A server that asks for patience gets it, and the body again.
func TestWaitsAsAsked(t *testing.T) {
	s := &server{first: []func(http.ResponseWriter){
		status(429, "Retry-After", "7"), status(503, "Retry-After", "Mon, 02 Mar 2026 00:00:40 GMT"),
		status(503, "Retry-After", "99999"), status(502, "", ""), status(503, "Retry-After", "0"),
	}}
	sender, waits := start(t, s, post.Config{})
	if _, err := io.WriteString(sender, "{}\n"); err != nil {
		t.Fatal(err)
	}
	if err := sender.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 40 * time.Second, 5 * time.Minute, 4 * time.Second, time.Second}, *waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if s.lines.String() != "{}\n" {
		t.Errorf("arrived: %q", s.lines.String())
	}
}

// A fault that stays is an error that says the cure, and no more lines are taken; the token is not in it.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		code int
		want string
		n    int
	}{
		{401, "WHOSAW_TOKEN", 1}, {403, "may not", 1}, {404, "no whosaw server", 1}, {307, "redirects", 1}, {500, "gave up after 6 tries", 6},
	} {
		s := &server{}
		for range tt.n {
			s.first = append(s.first, status(tt.code, "Location", "http://127.0.0.1:1/elsewhere"))
		}
		sender, _ := start(t, s, post.Config{Token: "secret-7"})
		if _, err := io.WriteString(sender, "{}\n"); err != nil {
			t.Fatal(err)
		}
		err := sender.Close()
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v, want %q in it", tt.code, err, tt.want)
		}
		if len(s.first) > 0 || s.lines.Len() > 0 {
			t.Errorf("%d: %d answers left, %q arrived", tt.code, len(s.first), s.lines.String())
		}
		if _, again := io.WriteString(sender, "{}\n"); !errors.Is(again, err) && again.Error() != err.Error() {
			t.Errorf("%d: wrote on after %v: %v", tt.code, err, again)
		}
	}
}

// A sender whose context ends stops waiting.
func TestStops(t *testing.T) {
	s := &server{first: []func(http.ResponseWriter){status(503, "Retry-After", "9")}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	ctx, cancel := context.WithCancel(t.Context())
	sender, err := post.New(ctx, post.Config{URL: web.URL, Sleep: func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sender, "{}\n"); err != nil {
		t.Fatal(err)
	}
	if err := sender.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestRefusesAddresses(t *testing.T) {
	for _, tt := range []struct{ url, token string }{
		{"", ""}, {"whosaw.example", ""}, {"ftp://whosaw.example", ""}, {"https://kim:secret-7@whosaw.example", ""}, {"https://whosaw.example?token=secret-7", ""},
		{"http://whosaw.example", "secret-7"},
	} {
		if _, err := post.New(t.Context(), post.Config{URL: tt.url, Token: tt.token}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
	for _, ok := range []string{"http://127.0.0.1:8080", "http://[::1]:8080/", "https://whosaw.example/base"} {
		if _, err := post.New(t.Context(), post.Config{URL: ok, Token: "secret-7"}); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}
