package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/whosaw/whosaw"
	public "github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/guard"
)

var people = []string{"staff:kim", "staff:lee", "customer:7"}

// desk is a service behind the middleware: it shows a customer's name and phone to whoever has a session.
type desk struct {
	w       *world
	key     *ecdsa.PrivateKey
	client  *public.Client
	service *httptest.Server
}

func newDesk(t *testing.T, change func(*guard.Config), config func(*public.Config)) *desk {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	d := &desk{key: key}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	check(t, err)
	file := filepath.Join(t.TempDir(), "jwks.json")
	check(t, os.WriteFile(file, set, 0o600))
	d.w = newWorld(t, withGuard(t, func(c *guard.Config) {
		c.Tokens.Issuers = []guard.Issuer{
			{Issuer: "https://staff.example", JWKSFile: file, Algorithms: []string{"ES256"}, Principal: "staff:"},
			{Issuer: "https://shop.example", JWKSFile: file, Algorithms: []string{"ES256"}},
		}
		c.Doors = []guard.DoorConfig{{Name: "mid", Kind: guard.KindMiddleware}}
		change(c)
	}))
	token := d.w.token(auth.Spec{Name: "desk", Role: auth.RoleIngest, Sources: []string{"desk"}, Types: []string{"access", "issuance", "reason"}})
	for i, who := range people {
		a := d.w.ask(token, "POST", "/v1/records?source=desk", fmt.Sprintf(`{"type":"issuance","id":"i%d","time":%d,"credential":"token-%d","key":"k1","principal":%q}`, i, int64(now), i, who)+"\n")
		if a.status != 200 {
			t.Fatalf("issuance: %d %s", a.status, a.body)
		}
	}
	cfg := public.Config{
		Server: d.w.public.URL, Token: token, Door: "mid", Source: "desk", Now: func() time.Time { return time.UnixMilli(now) }, Timeout: 10 * time.Second,
	}
	if config != nil {
		config(&cfg)
	}
	d.client, err = public.New(cfg)
	check(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Secret", "of the answer")
		mask, err := public.Show(r.Context(), public.Shown{Subjects: []string{r.PathValue("id")}, Fields: []string{"name", "phone"}, Route: "GET /customers/{id}"})
		if err != nil {
			fmt.Fprint(w, "name and phone of ", r.PathValue("id")) // goes nowhere
			return
		}
		phone := "010-2345-6789"
		if mask.Has("phone") {
			phone = "010-****-6789"
		}
		fmt.Fprintf(w, "customer %s, %s", r.PathValue("id"), phone)
	})
	mux.HandleFunc("GET /late/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begun")
		http.NewResponseController(w).Flush()
		if _, err := public.Show(r.Context(), public.Shown{Subjects: []string{r.PathValue("id")}, Fields: []string{"name"}, Route: "GET /customers/{id}"}); err != nil {
			return
		}
		fmt.Fprint(w, " and shown")
	})
	mux.HandleFunc("GET /forgot", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "everybody's data") })
	d.service = httptest.NewServer(d.client.Wrap(mux))
	t.Cleanup(d.service.Close)
	return d
}

// token signs a token; only those of the first three people were ever issued.
func (d *desk) token(t *testing.T, who string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: d.key, KeyID: "k1"}}, nil)
	check(t, err)
	class, sub, _ := strings.Cut(who, ":")
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": map[string]string{"staff": "https://staff.example", "customer": "https://shop.example"}[class], "sub": sub,
		"jti": fmt.Sprint("token-", slices.Index(people, who)), "iat": now / 1000, "exp": now/1000 + 3600,
	}).Serialize()
	check(t, err)
	return text
}

func (d *desk) get(t *testing.T, who, path string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", d.service.URL+path, nil)
	check(t, err)
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+d.token(t, who))
	}
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		body = append(body, " (broken off)"...)
	}
	return res.StatusCode, string(body), res.Header
}

// accesses are those that the ledger has of the desk, whole.
func (d *desk) accesses(t *testing.T) []whosaw.Record {
	t.Helper()
	check(t, d.client.Close(context.Background()))
	var out []whosaw.Record
	view, err := d.w.live.Ledger().View(0)
	check(t, err)
	defer view.Close()
	check(t, view.Records(t.Context(), 0, func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAccess && r.Source == "desk" {
			c := *r
			c.Subjects, c.Fields, c.Masked = slices.Clone(r.Subjects), slices.Clone(r.Fields), slices.Clone(r.Masked)
			out = append(out, c)
		}
		return nil
	}))
	return out
}

// An agent may be shown two new customers a day: the third never leaves, and what left is in the ledger, once each.
func TestMiddlewareKeepsTheBudget(t *testing.T) {
	for _, hold := range []bool{false, true} {
		t.Run(fmt.Sprintf("hold %v", hold), func(t *testing.T) {
			d := newDesk(t, func(c *guard.Config) {
				c.Budgets = []guard.Budget{{Of: "principal:staff", Day: 2, Action: guard.Deny, Count: guard.CountAnswer}}
				c.Policy.Hold = &hold
			}, nil)
			for i, want := range []int{200, 200, 403, 200, 403} {
				id := []string{"1", "2", "3", "1", "4"}[i]
				code, body, header := d.get(t, "staff:kim", "/customers/"+id)
				if code != want || want == 403 && (strings.Contains(body, "phone") || header.Get("X-Secret") != "") {
					t.Errorf("customer %s: %d %q %v", id, code, body, header)
				}
			}
			if code, _, _ := d.get(t, "staff:lee", "/customers/3"); code != 200 {
				t.Errorf("another agent has a budget of its own: %d", code)
			}
			if code, body, _ := d.get(t, "staff:kim", "/late/9"); code != 200 || !strings.Contains(body, "broken off") || strings.Contains(body, "shown") {
				t.Errorf("an answer that was begun is broken off: %d %q", code, body)
			}
			var got []string
			for _, r := range d.accesses(t) {
				got = append(got, r.Principal+" "+strings.Join(r.Subjects, ",")+" "+strings.Join(r.Fields, ","))
			}
			slices.Sort(got)
			want := []string{"staff:kim 1 name,phone", "staff:kim 1 name,phone", "staff:kim 2 name,phone", "staff:lee 3 name,phone"}
			if !slices.Equal(got, want) {
				t.Errorf("the ledger has %q, want %q", got, want)
			}
			if s := d.client.Stats(); s.Lost != 0 || s.Waiting != 0 || s.Sent != 4 || s.Refused != 3 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestMiddlewareRefusesWhatWasNeverIssued(t *testing.T) {
	d := newDesk(t, func(c *guard.Config) {}, nil)
	if code, body, _ := d.get(t, "customer:8", "/customers/8"); code != 401 || strings.Contains(body, "customer 8") || strings.Contains(body, "ey") {
		t.Errorf("%d %q", code, body)
	}
	if code, _, _ := d.get(t, "customer:7", "/customers/7"); code != 200 {
		t.Errorf("an issued session: %d", code)
	}
	if rs := d.accesses(t); len(rs) != 1 || rs[0].Subjects[0] != "7" || rs[0].Outcome != whosaw.OutcomeDisclosed {
		t.Errorf("%+v", rs)
	}
}

func TestMiddlewareMasks(t *testing.T) {
	d := newDesk(t, func(c *guard.Config) {}, nil)
	admin := d.w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	if a := d.w.ask(admin, "POST", "/v1/guard/decisions", `{"action":"mask","mask":["phone"],"filter":{"principal":["staff:kim"]},"reason":"looked at too many","for":"24h"}`); a.status != 201 {
		t.Fatalf("decision: %d %s", a.status, a.body)
	}
	if code, body, _ := d.get(t, "staff:kim", "/customers/1"); code != 200 || !strings.Contains(body, "010-****-6789") {
		t.Errorf("%d %q", code, body)
	}
	rs := d.accesses(t)
	if len(rs) != 1 || !slices.Equal(rs[0].Fields, []string{"name"}) || !slices.Equal(rs[0].Masked, []string{"phone"}) {
		t.Errorf("%+v", rs)
	}
}

func TestMiddlewareWantsToKnow(t *testing.T) {
	d := newDesk(t, func(c *guard.Config) {}, func(c *public.Config) {
		c.Declared = func(r *http.Request) bool { return r.URL.Path == "/forgot" }
	})
	if code, body, _ := d.get(t, "staff:kim", "/forgot"); code != 500 || strings.Contains(body, "everybody") {
		t.Errorf("%d %q", code, body)
	}
	if code, _, _ := d.get(t, "staff:kim", "/customers/1"); code != 200 {
		t.Errorf("%d", code)
	}
	if _, err := public.Show(t.Context(), public.Shown{}); !errors.Is(err, public.ErrNotWrapped) {
		t.Errorf("%v", err)
	}
}

// What a sender lost before it reached the server is a gap in the answers about that time, once however often it is told.
func TestLostBySender(t *testing.T) {
	w := newWorld(t)
	token := w.token(auth.Spec{Name: "desk", Role: auth.RoleIngest, Sources: []string{"desk"}, Types: []string{"access"}})
	at := fmt.Sprintf("&lost_from=%d&lost_until=%d&lost_id=ab12", int64(now)-60_000, int64(now))
	for range 2 {
		if a := w.ask(token, "POST", "/v1/records?source=desk&lost=7"+at, ""); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for _, bad := range []string{"&lost=0" + at, "&lost=x" + at, "&lost=7", "&lost=7&lost_from=5&lost_until=4&lost_id=ab", "&lost=7" + strings.ReplaceAll(at, "ab12", "it's")} {
		if a := w.ask(token, "POST", "/v1/records?source=desk"+url.PathEscape(bad), ""); a.status != 400 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	if a := w.ask(token, "POST", "/v1/records?source=other&lost=7"+at, ""); a.status != 403 {
		t.Errorf("of a source that is not the sender's: %d", a.status)
	}
	reader := w.token(auth.Spec{Name: "reader", Role: auth.RoleRead})
	a := w.ask(reader, "POST", "/v1/scope", fmt.Sprintf(`{"filter":{"from":%d}}`, int64(now)-3600_000))
	if n := strings.Count(string(a.body), "7 "); a.status != 200 || n != 1 || !strings.Contains(string(a.body), "desk") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// The server is gone: each request gets what the configuration says for it, and records wait and then count as lost.
func TestMiddlewareWithoutServer(t *testing.T) {
	d := newDesk(t, func(c *guard.Config) {}, func(c *public.Config) {
		c.Open = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/customers/1") }
	})
	d.w.public.Close()
	if code, body, header := d.get(t, "staff:kim", "/customers/2"); code != 503 || strings.Contains(body, "customer 2") || header.Get("Retry-After") == "" {
		t.Errorf("closed: %d %q", code, body)
	}
	if code, _, _ := d.get(t, "staff:kim", "/customers/1"); code != 200 {
		t.Errorf("open: %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := d.client.Close(ctx)
	if s := d.client.Stats(); err == nil || s.Lost != 1 || s.Closed != 1 || s.Opened == 0 {
		t.Errorf("%v, %+v", err, s)
	}
}
