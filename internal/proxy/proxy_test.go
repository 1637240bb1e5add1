package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/proxy"
)

const shop = `
routes:
  GET /customers/{id}:
    subject: path.id
    fields: [name, phone]
    answer:
      subject: people[].id
      fields: {name: 'people[].name', phone: 'people[].phone'}
  GET /profiles/{id}:
    subject: path.id
    fields: [phone]
    answer:
      fields: {phone: phone}
  GET /files/{id}:
`

// people is an answer that is looked into. Its spaces and order must survive.
const people = "{ \"people\":[{\"phone\":\"010-1\", \"name\":\"kim\",\"id\":7}],\n \"more\" : 1.50 }"

// stand is a service behind the proxy, and the server that the proxy asks.
type stand struct {
	*proxy.Proxy
	web     *httptest.Server
	client  *guard.Client
	service http.HandlerFunc

	mu      sync.Mutex
	answer  string // the decision about an answer
	asked   []map[string]any
	records []string
}

func newStand(t *testing.T, change func(*proxy.Config)) *stand {
	t.Helper()
	s := &stand{answer: `{"action":"allow"}`}
	api := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(api.Close)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.service(w, r) }))
	t.Cleanup(service.Close)
	up, err := url.Parse(service.URL)
	check(t, err)
	cat, err := catalog.Parse("catalog.yaml", []byte(shop))
	check(t, err)
	s.client, err = guard.New(guard.Config{Server: api.URL, Token: "wst_test", Door: "edge", Timeout: 20 * time.Second})
	check(t, err)
	cfg := proxy.Config{Upstream: up, Guard: s.client, Catalog: cat, Logger: slog.New(slog.DiscardHandler), Now: time.Now, MaxAnswer: 1000}
	if change != nil {
		change(&cfg)
	}
	s.Proxy, err = proxy.New(cfg)
	check(t, err)
	s.web = httptest.NewServer(s.Proxy)
	t.Cleanup(func() {
		s.web.Close()
		check(t, s.client.Close(context.Background()))
	})
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stand) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case "/v1/records":
		s.records = append(s.records, strings.Split(strings.TrimSpace(string(body)), "\n")...)
		_, _ = io.WriteString(w, `{"rejected":0}`)
	case "/v1/decide/answer":
		q := map[string]any{}
		_ = json.Unmarshal(body, &q)
		s.asked = append(s.asked, q)
		_, _ = io.WriteString(w, s.answer)
	default:
		_, _ = io.WriteString(w, `{"action":"allow"}`)
	}
}

func (s *stand) get(t *testing.T, path string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.web.URL+path, nil)
	check(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(t, err)
	return res.StatusCode, string(body), res.Header
}

func sends(kind, encoding, body string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		if encoding != "" {
			w.Header().Set("Content-Encoding", encoding)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// An answer leaves byte for byte as the service made it, but for what is masked; and what was found in it was asked about before.
func TestWholeButForWhatIsMasked(t *testing.T) {
	s := newStand(t, nil)
	s.service = sends("application/json; charset=utf-8", "", people, 200)
	if code, body, _ := s.get(t, "/customers/7"); code != 200 || body != people {
		t.Errorf("%d %q", code, body)
	}
	if len(s.asked) != 1 || len(s.asked[0]["subjects"].([]any)) != 1 || s.asked[0]["subjects"].([]any)[0] != "7" || s.asked[0]["route"] != "GET /customers/{id}" {
		t.Errorf("asked %v", s.asked)
	}
	s.answer = `{"action":"mask","masked":["phone"]}`
	want := strings.Replace(people, `"010-1"`, `"****"`, 1)
	if code, body, _ := s.get(t, "/customers/7"); code != 200 || body != want {
		t.Errorf("%d %q, want %q", code, body, want)
	}
	s.answer = `{"action":"deny","status":403,"reasons":[{"code":"budget"}]}`
	if code, body, _ := s.get(t, "/customers/7"); code != 403 || strings.Contains(body, "kim") || !strings.Contains(body, "budget") {
		t.Errorf("%d %q", code, body)
	}
	if n := s.Stats(); n.Read != 3 || n.Unreadable != 0 {
		t.Errorf("%+v", n)
	}
}

// Of a route that is looked into nothing leaves unread.
func TestNothingLeavesUnread(t *testing.T) {
	long := `{"people":[{"id":7,"name":"` + strings.Repeat("k", 2000) + `"}]}`
	for name, h := range map[string]http.HandlerFunc{
		"no JSON":      sends("text/html", "", "<p>kim</p>", 200),
		"broken JSON":  sends("application/json", "", `{"people":[{"id":7,"name":"kim"`, 200),
		"compressed":   sends("application/json", "br", "kim", 200),
		"partial":      sends("application/json", "", people, 206),
		"too long":     sends("application/json", "", long, 200),
		"an error too": sends("text/plain", "", "no such page, kim", 500),
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "500")
			_, _ = io.WriteString(w, people)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, nil)
			s.service = h
			if code, body, _ := s.get(t, "/customers/7"); code != 502 || strings.Contains(body, "k") && strings.Contains(body, "kim") {
				t.Errorf("%d %.80q", code, body)
			}
			if n := s.Stats(); n.Unreadable != 1 || n.Read != 0 {
				t.Errorf("%+v", n)
			}
			if len(s.asked) != 0 {
				t.Errorf("asked about what was not read: %v", s.asked)
			}
		})
	}
	s := newStand(t, func(c *proxy.Config) { c.Unreadable = true })
	s.service = sends("application/json", "", long, 200)
	if code, body, _ := s.get(t, "/customers/7"); code != 200 || body != long || s.Stats().Unreadable != 1 {
		t.Errorf("let through: %d, %d bytes of %d", code, len(body), len(long))
	}
}

// What a client sends to make an answer partial or compressed does not reach the service on a route that is looked into, and does elsewhere.
func TestAsksForWhatItCanRead(t *testing.T) {
	s := newStand(t, nil)
	var got http.Header
	s.service = func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		sends("application/json", "", people, 200)(w, r)
	}
	tricks := []string{"Range", "bytes=0-3", "If-Range", "x", "Accept-Encoding", "br"}
	s.get(t, "/customers/7", tricks...)
	if got.Get("Range") != "" || got.Get("If-Range") != "" || got.Get("Accept-Encoding") != "identity" {
		t.Errorf("the service was asked with %v", got)
	}
	s.get(t, "/files/7", tricks...)
	if got.Get("Range") != "bytes=0-3" || got.Get("Accept-Encoding") != "br" {
		t.Errorf("a route that is not looked into was asked for with %v", got)
	}
	if len(s.asked) != 1 {
		t.Errorf("asked about %d answers", len(s.asked))
	}
}

// Routes that are not looked into stream: a part that was flushed arrives before the next is made.
func TestOthersStream(t *testing.T) {
	s := newStand(t, nil)
	next := make(chan struct{})
	s.service = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "two\n")
	}
	res, err := http.Get(s.web.URL + "/files/1")
	check(t, err)
	defer res.Body.Close()
	buf := make([]byte, 4)
	_, err = io.ReadFull(res.Body, buf)
	check(t, err)
	close(next)
	rest, err := io.ReadAll(res.Body)
	check(t, err)
	if string(buf)+string(rest) != "one\ntwo\n" {
		t.Errorf("%q %q", buf, rest)
	}
}

// Where an answer does not say whose it is, its route does: the record names the customer of the path, also where there is nobody.
func TestTheRouteSaysWhose(t *testing.T) {
	s := newStand(t, nil)
	for _, c := range []struct {
		path, body string
		status     int
	}{{"/profiles/8", `{"phone":"010-1"}`, 200}, {"/profiles/9", `{"error":"not_found"}`, 404}, {"/customers/7", `{"people":[]}`, 404}, {"/customers/8", people, 200}} {
		s.service = sends("application/json", "", c.body, c.status)
		if code, _, _ := s.get(t, c.path); code != c.status {
			t.Errorf("%s: %d", c.path, code)
		}
	}
	check(t, s.client.Close(t.Context()))
	var got []string
	for _, line := range s.records {
		var r struct {
			Route    string
			Subjects []string
			Fields   []string
			Status   int
		}
		check(t, json.Unmarshal([]byte(line), &r))
		got = append(got, fmt.Sprint(r))
	}
	want := []string{
		"{GET /profiles/{id} [8] [phone] 200}", "{GET /profiles/{id} [9] [] 404}", "{GET /customers/{id} [7] [] 404}", "{GET /customers/{id} [7] [name phone] 200}",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded as %q, want %q", got, want)
	}
}

// What the service is sent is what was judged: no second target within the first, and no credential that is lost on the way.
func TestOneRequest(t *testing.T) {
	s := newStand(t, nil)
	var got []string
	s.service = func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.RequestURI+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Cookie"))
		sends("application/json", "", people, 200)(w, r)
	}
	for _, c := range []struct {
		target, header string
		status         int
	}{
		{"/customers/7", "Connection: keep-alive", 200},
		{"http://x/customers/7", "Connection: close", 200},
		{"x:http://x/customers/7", "Connection: close", 400},
		{"x:abcdefghijklmnop://x/customers/7", "Connection: close", 400},
		{"/customers/7", "Connection: close, authorization", 400},
		{"/customers/7", "Connection: Cookie, close", 400},
	} {
		conn, err := net.Dial("tcp", s.web.Listener.Addr().String())
		check(t, err)
		_, err = io.WriteString(conn, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\n"+c.header+"\r\nAuthorization: Bearer a\r\nCookie: sid=b\r\n\r\n")
		check(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		check(t, err)
		if res.StatusCode != c.status {
			t.Errorf("%s, %s: %d, want %d", c.target, c.header, res.StatusCode, c.status)
		}
		check(t, conn.Close())
	}
	for _, g := range got {
		if g != "/customers/7 Bearer a sid=b" {
			t.Errorf("the service was sent %q", g)
		}
	}
}

func TestUpstreamsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "ftp://a", "http://", "http://a/prefix", "a:80"} {
		u, err := url.Parse(bad)
		if err != nil {
			continue
		}
		if _, err := proxy.New(proxy.Config{Upstream: u}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A path that some service takes for a route that is looked into is looked into; one that may be two such routes is refused.
func TestSpelledOtherwise(t *testing.T) {
	s := newStand(t, nil)
	s.service = sends("application/json", "", people, 200)
	for _, path := range []string{"/Customers/7", "/CUSTOMERS%2f7", "/customers/7.", "/files/..%2fcustomers%2f7"} {
		s.mu.Lock()
		s.asked, s.answer = nil, `{"action":"deny","status":403}`
		s.mu.Unlock()
		code, body, _ := s.get(t, path)
		s.mu.Lock()
		if code != 403 || len(s.asked) != 1 || s.asked[0]["route"] != "GET /customers/{id}" {
			t.Errorf("%s: answered with %d %s after asking about %v", path, code, body, s.asked)
		}
		s.mu.Unlock()
	}
	if code, body, _ := s.get(t, "/profiles/..%2fcustomers%2f7"); code != 502 || strings.Contains(body, "kim") {
		t.Errorf("what may be two routes is answered with %d %s", code, body)
	}
	if code, body, _ := s.get(t, "/Files/7"); code != 200 {
		t.Errorf("a route that is not looked into is answered with %d %s", code, body)
	}
}
