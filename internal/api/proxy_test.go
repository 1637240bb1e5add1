package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/proxy"
)

const answers = `catalog: 1
routes:
    GET /api/orders:
      fields: [name, phone]
      masked: [door_code]
      answer: {subject: "orders[].buyer", others: "orders[].to[]", fields: {name: "orders[].name", phone: "orders[].phone", door_code: "orders[].door"}}
    GET /plain: []
`

// shopAPI is a service that knows nothing of guards.
func shopAPI(seen *[]http.Header) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/orders", func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.Header.Clone())
		q := r.URL.Query()
		body := fmt.Sprintf(`{"orders":[{"buyer":%q,"name":"Kim","phone":"010-2345-6789","door":"1**4","to":[1,2]}], "n":1}`, q.Get("of"))
		switch q.Get("how") {
		case "html":
			w.Header().Set("Content-Type", "text/html")
		case "gzip":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			fmt.Fprint(z, body)
			return
		case "part":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusPartialContent)
		case "none":
			w.Header().Set("Content-Type", "application/json")
			body = `{"orders":[]}`
		case "gone":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			body = `{"error":"not_found"}`
		case "broken":
			w.Header().Set("Content-Type", "application/json")
			body = body[:len(body)-3]
		case "long":
			w.Header().Set("Content-Type", "application/json")
			body = strings.Repeat(" ", 2<<20) + body
		default:
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("ETag", `"1"`)
		}
		fmt.Fprint(w, body)
	})
	mux.HandleFunc("GET /plain", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first")
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // the rest comes when nobody waits for it
	})
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "echo "+line)
		rw.Flush()
	})
	return mux
}

type proxied struct {
	*desk
	proxy *proxy.Proxy
	seen  []http.Header
}

func newProxied(t *testing.T, unreadable bool, change func(*guard.Config)) *proxied {
	t.Helper()
	p := &proxied{desk: newDesk(t, func(c *guard.Config) {
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindProxy}}
		change(c)
	}, nil)}
	up := httptest.NewServer(shopAPI(&p.seen))
	t.Cleanup(up.Close)
	u, err := url.Parse(up.URL)
	check(t, err)
	cat, err := catalog.Parse("c.yaml", []byte(answers))
	check(t, err)
	p.proxy, err = proxy.New(proxy.Config{
		Upstream: u, Guard: p.client, Catalog: cat, Logger: slog.New(slog.NewTextHandler(p.w, nil)), Now: func() time.Time { return time.UnixMilli(now) },
		MaxAnswer: 1 << 20, Unreadable: unreadable,
	})
	check(t, err)
	p.service = httptest.NewServer(p.proxy)
	t.Cleanup(p.service.Close)
	return p
}

// A service that knows nothing of guards: the third new customer of the day does not leave, and the ledger has who was shown what.
func TestProxyKeepsTheBudget(t *testing.T) {
	hold := true
	p := newProxied(t, false, func(c *guard.Config) {
		c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 2, Action: guard.Deny, Count: guard.CountAnswer}}
		c.Policy.Hold = &hold
	})
	for i, want := range []int{200, 200, 403, 200} {
		id := []string{"1", "2", "3", "1"}[i]
		code, body, header := p.get(t, "staff:kim", "/api/orders?of="+id)
		if code != want || (want == 200) != strings.Contains(body, "010-2345-6789") || want == 200 && (header.Get("ETag") == "" || !strings.Contains(body, ` "n":1}`)) {
			t.Errorf("customer %s: %d %q %v", id, code, body, header)
		}
	}
	if code, body, _ := p.get(t, "customer:8", "/api/orders?of=8"); code != 401 || strings.Contains(body, "Kim") || len(p.seen) != 4 {
		t.Errorf("what was never issued does not reach the service: %d %q", code, body)
	}
	var got []string
	for _, r := range p.accesses(t) {
		got = append(got, fmt.Sprint(r.Route, " ", r.Principal, " ", r.Subjects, r.Fields, r.Masked, r.Others))
	}
	slices.Sort(got)
	want := []string{
		"GET /api/orders staff:kim [1] [name phone] [door_code] 2", "GET /api/orders staff:kim [1] [name phone] [door_code] 2", "GET /api/orders staff:kim [2] [name phone] [door_code] 2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the ledger has %q", got)
	}
}

// TestProxyAndAnswersThatShowNothing: an empty list and an answer that there is nothing disclose nobody, whatever the catalog says of the route.
func TestProxyAndAnswersThatShowNothing(t *testing.T) {
	p := newProxied(t, false, func(*guard.Config) {})
	for how, want := range map[string]int{"none": 200, "gone": 404} {
		if code, _, _ := p.get(t, "customer:7", "/api/orders?how="+how); code != want {
			t.Errorf("%s: %d", how, code)
		}
	}
	rs := p.accesses(t)
	statuses := map[int]bool{}
	for _, r := range rs {
		statuses[r.Status] = true
		if r.Fields == nil || r.Masked == nil || len(r.Fields)+len(r.Masked)+len(r.Subjects) > 0 || r.Outcome == whosaw.OutcomeDisclosed {
			t.Errorf("recorded as %+v", r)
		}
	}
	if len(rs) != 2 || !statuses[404] {
		t.Errorf("%d records, %v", len(rs), statuses)
	}
}

func TestProxyMasks(t *testing.T) {
	p := newProxied(t, false, func(*guard.Config) {})
	admin := p.w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	if a := p.w.ask(admin, "POST", "/v1/guard/decisions", `{"action":"mask","mask":["phone"],"filter":{"principal":["staff:kim"]},"reason":"looked at too many","for":"24h"}`); a.status != 201 {
		t.Fatalf("decision: %d %s", a.status, a.body)
	}
	code, body, header := p.get(t, "staff:kim", "/api/orders?of=1")
	if want := `{"orders":[{"buyer":"1","name":"Kim","phone":"****","door":"1**4","to":[1,2]}], "n":1}`; code != 200 || body != want || header.Get("ETag") != "" {
		t.Errorf("%d %s %v", code, body, header)
	}
	if rs := p.accesses(t); len(rs) != 1 || !slices.Equal(rs[0].Masked, []string{"door_code", "phone"}) || !slices.Equal(rs[0].Fields, []string{"name"}) {
		t.Errorf("%+v", rs)
	}
}

// What cannot be looked into does not leave; with the switch it does, whole.
func TestProxyAndAnswersThatCannotBeRead(t *testing.T) {
	for _, let := range []bool{false, true} {
		p := newProxied(t, let, func(*guard.Config) {})
		for _, how := range []string{"html", "gzip", "part", "broken", "long"} {
			code, body, _ := p.get(t, "staff:kim", "/api/orders?of=1&how="+how)
			if !let && (code != 502 || strings.Contains(body, "Kim")) {
				t.Errorf("%s: %d %.80q", how, code, body)
			}
			if let && (code != 200 && code != 206 || how != "broken" && how != "gzip" && !strings.HasSuffix(body, `"n":1}`)) {
				t.Errorf("%s, let through: %d %.80q", how, code, body)
			}
		}
		if s := p.proxy.Stats(); s.Unreadable != 5 || s.Read != 0 {
			t.Errorf("%+v", s)
		}
		p.w.logMu.Lock()
		if strings.Contains(p.w.log.String(), "Kim") || strings.Contains(p.w.log.String(), "010-") {
			t.Error("the log has what an answer shows")
		}
		p.w.logMu.Unlock()
	}
}

func TestProxyAsksForWhatItCanRead(t *testing.T) {
	p := newProxied(t, false, func(*guard.Config) {})
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.service.URL+"/api/orders?of=1", nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+p.token(t, "staff:kim"))
	req.Header.Set("Range", "bytes=0-9")
	req.Header.Set("Accept-Encoding", "br, gzip")
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	defer res.Body.Close()
	if h := p.seen[0]; res.StatusCode != 200 || h.Get("Range") != "" || h.Get("Accept-Encoding") != "identity" || h.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("%d %v", res.StatusCode, h)
	}
}

// Of a route that is not looked into every byte comes as it is sent, and other protocols pass.
func TestProxyStreams(t *testing.T) {
	p := newProxied(t, false, func(*guard.Config) {})
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.service.URL+"/plain", nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+p.token(t, "staff:kim"))
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || !bytes.Equal(first, []byte("first")) {
		t.Errorf("%q, %v", first, err)
	}
	res.Body.Close()

	c, err := net.Dial("tcp", strings.TrimPrefix(p.service.URL, "http://"))
	check(t, err)
	defer c.Close()
	fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nAuthorization: Bearer %s\r\n\r\n", p.token(t, "staff:kim"))
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("%q, %v", line, err)
	}
	for line, err := in.ReadString('\n'); strings.TrimSpace(line) != ""; line, err = in.ReadString('\n') {
		check(t, err)
	}
	fmt.Fprint(c, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}
