package door_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/sim"
)

// What a gateway asks about without saying what is refused, and so is what it asks twice.
func TestNginxQuestionsThatAreNone(t *testing.T) {
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(t, err)
	s := newStand(t, cat, guard.KindNginx)
	for name, c := range map[string]struct {
		header map[string][]string
		want   int
	}{
		"whole":           {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7"}}, 204},
		"no method":       {map[string][]string{"X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"no path":         {map[string][]string{"X-Original-Method": {"GET"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"no address":      {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}}, 403},
		"two paths":       {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search", "/me"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"two addresses":   {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7", "10.0.0.1"}}, 403},
		"address a name":  {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"localhost"}}, 403},
		"a bad token":     {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/me"}, "X-Real-IP": {"203.0.113.7"}, "Authorization": {"Bearer x"}}, 401},
		"a forged header": {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"::ffff:203.0.113.7"}}, 204},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			for k, v := range c.header {
				for _, x := range v {
					req.Header.Add(k, x)
				}
			}
			w := httptest.NewRecorder()
			s.nginx().ServeHTTP(w, req)
			if w.Code != c.want {
				t.Errorf("answered with %d, want %d", w.Code, c.want)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("nobody is told how to log in")
			}
		})
	}
}

// A question that cannot be read is refused in the form of the API's errors, and says nothing of itself.
func TestDecideQuestionsThatAreNone(t *testing.T) {
	s := newStand(t, catalog.Rules(), guard.KindDecide)
	for _, body := range []string{"", "no", `{"credential":7}`, `{"requests":7}`, `{"requests":[` + strings.Repeat("{},", 1000) + `{}]}`, strings.Repeat("x", 2<<20)} {
		res, err := http.Post(s.address("/v1/decide"), "application/json", strings.NewReader(body))
		check(t, err)
		data, err := io.ReadAll(res.Body)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != 400 || !strings.Contains(string(data), `"code":"invalid"`) {
			t.Errorf("%.40q is answered with %d %s", body, res.StatusCode, data)
		}
	}
}

// ears notes the credential, and the other methods, that a door asks about.
type ears struct {
	heard   guard.Secret
	methods []string
}

func (e *ears) Decide(_ context.Context, q *guard.Request) guard.Decision {
	e.heard, e.methods = q.Credential, q.Methods
	return guard.Decision{Action: guard.Allow}
}

func (e *ears) Observe(context.Context, *guard.Answer) guard.Decision { return guard.Decision{} }

// What a service may take for the credential is what the door asks about, and where two would do, neither alone.
func TestCredentialsInHeaders(t *testing.T) {
	d := guard.DoorConfig{Name: "edge", Kind: guard.KindNginx, Cookie: "sid"}
	for _, c := range []struct {
		authorization, cookie []string
		want                  guard.Secret
	}{
		{nil, nil, ""},
		{nil, []string{"a=1; sid=good; b=2"}, "good"},
		{nil, []string{"a=1; other=2"}, ""},
		{nil, []string{`sid="good"`}, "good"},
		{nil, []string{"sid=good; sid=good"}, "good"},
		{nil, []string{"sid=good; sid=forged"}, "good, forged"},
		{nil, []string{"sid=good", "sid=forged"}, "good, forged"},
		{nil, []string{"sid=; sid=forged"}, "forged"},
		{nil, []string{"sid =forged"}, "forged"},
		{nil, []string{"SID=forged"}, "forged"},
		{nil, []string{`sid=forged"`}, `forged"`},
		{nil, []string{"sid=for ged,\\"}, "for ged,\\"},
		{nil, []string{"sid=a=b=="}, "a=b=="},
		{[]string{"Bearer good"}, []string{"sid=x"}, "Bearer good"},
		{[]string{"Bearer good", "Bearer good"}, nil, "Bearer good"},
		{[]string{"Bearer good", "Bearer forged"}, nil, "Bearer good, Bearer forged"},
		{[]string{"", "Bearer forged"}, nil, "Bearer forged"},
		{[]string{"", ""}, []string{"sid=x"}, "x"},
	} {
		e := &ears{}
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Uri": {"/"}, "X-Real-Ip": {"203.0.113.7"}, "Authorization": c.authorization, "Cookie": c.cookie}
		door.NginxHandler(e, &d).ServeHTTP(httptest.NewRecorder(), req)
		if e.heard != c.want {
			t.Errorf("nginx, %q, %q: asked about %q, want %q", c.authorization, c.cookie, string(e.heard), string(c.want))
		}
		// Envoy joins lines by itself, and with encode_raw_headers it does not.
		texts, raw := map[string]string{}, &corev3.HeaderMap{}
		if c.authorization != nil {
			texts["authorization"] = strings.TrimPrefix(strings.Join(slices.Compact(slices.Clone(c.authorization)), ", "), ", ")
		}
		if c.cookie != nil {
			texts["cookie"] = strings.Join(c.cookie, "; ")
		}
		for _, v := range c.authorization {
			raw.Headers = append(raw.Headers, &corev3.HeaderValue{Key: "authorization", RawValue: []byte(v)})
		}
		for _, v := range c.cookie {
			raw.Headers = append(raw.Headers, &corev3.HeaderValue{Key: "cookie", RawValue: []byte(v)})
		}
		for how, in := range map[string]*authv3.AttributeContext_HttpRequest{"texts": {Headers: texts}, "raw": {HeaderMap: raw}} {
			in.Method, in.Path = "GET", "/"
			e.heard = ""
			if a := door.EnvoyCheck(e, &d, in, "203.0.113.7"); a != 0 || e.heard != c.want {
				t.Errorf("Envoy %s, %q, %q: answered with %d, asked about %q, want %q", how, c.authorization, c.cookie, a, string(e.heard), string(c.want))
			}
		}
	}
}

// A method that a header names beside the request's own reaches the guard through every door that sees headers.
func TestOtherMethodsInHeaders(t *testing.T) {
	d := guard.DoorConfig{Name: "edge", Kind: guard.KindNginx}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		e := &ears{}
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header = http.Header{"X-Original-Method": {"POST"}, "X-Original-Uri": {"/"}, "X-Real-Ip": {"203.0.113.7"}}
		req.Header.Add(name, "DELETE")
		req.Header.Add(name, "put, DELETE")
		door.NginxHandler(e, &d).ServeHTTP(httptest.NewRecorder(), req)
		if !slices.Equal(e.methods, []string{"DELETE", "put"}) {
			t.Errorf("nginx, %s: asked about %q", name, e.methods)
		}
		raw := &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: name, RawValue: []byte("DELETE")}, {Key: strings.ToLower(name), Value: "put"}}}
		for how, in := range map[string]*authv3.AttributeContext_HttpRequest{"texts": {Headers: map[string]string{strings.ToLower(name): "DELETE,put"}}, "raw": {HeaderMap: raw}} {
			in.Method, in.Path, e.methods = "POST", "/", nil
			if a := door.EnvoyCheck(e, &d, in, "203.0.113.7"); a != 0 || !slices.Equal(e.methods, []string{"DELETE", "put"}) {
				t.Errorf("Envoy %s, %s: answered with %d, asked about %q", how, name, a, e.methods)
			}
		}
	}
}
