package console_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

// page asks for a page as a browser does, and checks what every page must have and must not.
func (s *site) page(method, path string, form url.Values, mustNot ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(form.Encode()))
	check(s.t, err)
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", s.url)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := s.client.Do(req)
	check(s.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	check(s.t, err)
	text := string(data)
	csp := res.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		s.t.Errorf("%s: policy %q", path, csp)
	}
	for _, word := range append(mustNot, "<style", " style=", "onclick", "javascript:", "http://www", "https://", "<no value>") {
		if strings.Contains(text, word) {
			s.t.Errorf("%s holds %q", path, word)
		}
	}
	return res, text
}

func TestTheWayIn(t *testing.T) {
	s := newSite(t)
	res, text := s.page("GET", "/", nil, "Detectors", "token")
	if !strings.HasSuffix(res.Request.URL.Path, "/login") || !strings.Contains(text, "one-time link") {
		t.Errorf("nobody is led to %s", res.Request.URL.Path)
	}
	if res, text := s.page("POST", "/login", url.Values{"code": {"wsl_wrong"}}, "wsl_wrong"); res.StatusCode != 401 || !strings.Contains(text, "used already") {
		t.Errorf("a wrong code: %d", res.StatusCode)
	}
	code, err := s.auth.NewLink(t.Context(), "test")
	check(t, err)
	res, text = s.page("POST", "/login", url.Values{"code": {code}}, code)
	if res.Request.URL.Path != "/" || !strings.Contains(text, "Nothing has come in yet") || !strings.Contains(text, "None has sent anything") {
		t.Errorf("the empty page at %s:\n%s", res.Request.URL.Path, text)
	}
	for _, c := range s.client.Jar.Cookies(res.Request.URL) {
		if strings.Contains(text, c.Value) {
			t.Error("the page holds the session's secret")
		}
	}
	_, text = s.page("POST", "/tokens", url.Values{"name": {"gw-1"}, "type": {"access", "issuance"}})
	at := strings.Index(text, "wst_")
	if at < 0 {
		t.Fatalf("no secret of the new token:\n%s", text)
	}
	secret := text[at : at+len("wst_")+16+1+43]
	if k, err := s.auth.Authenticate(t.Context(), secret); err != nil || len(k.Types) != 2 || !k.MaySend("gw-1") {
		t.Errorf("the token on the page: %+v, %v", k, err)
	}
	if _, text := s.page("POST", "/tokens", url.Values{"name": {"gw-1"}}); !strings.Contains(text, "there is a token named gw-1") {
		t.Error("a name that is taken is not said to be")
	}
	s.page("GET", "/", nil, secret)
	res, _ = s.page("POST", "/logout", nil)
	if res.Request.URL.Path != "/login" {
		t.Errorf("signing out leads to %s", res.Request.URL.Path)
	}
	if res, _ := s.page("GET", "/", nil, "Detectors"); res.Request.URL.Path != "/login" {
		t.Error("signed out, and still in")
	}
}

// TestHostileValues: what a source or a finding is called is shown harmless.
func TestHostileValues(t *testing.T) {
	s := newSite(t)
	const evil = `<script>alert(1)</script>"'`
	_, err := s.alarms.Raise(t.Context(), alarm.Raised{Sequence: 1, Finding: whosaw.Finding{
		ID: "1", Time: 1, Seen: 1795000000000, Detector: evil, Unit: evil, Says: evil, Filter: whosaw.Filter{{Key: []string{evil}}},
	}})
	check(t, err)
	_, err = s.live.TakeRecords(t.Context(), []whosaw.Record{{Time: 1794000000000, Source: evil, Position: 1, Route: evil, Status: 200}})
	check(t, err)
	code, err := s.auth.NewLink(t.Context(), "test")
	check(t, err)
	s.page("POST", "/login", url.Values{"code": {code}}, "<script>alert")
	s.eventually("the finding is on the page", func() bool {
		_, text := s.page("GET", "/", nil, "<script>alert")
		return strings.Contains(text, "F-1") && strings.Contains(text, "&lt;script&gt;alert(1)")
	})
}

// TestFindingOnRecord: a finding that rests on what is on record, and accuses no access, has its page and names no scope but its key's.
func TestFindingOnRecord(t *testing.T) {
	s := newSite(t)
	_, err := s.alarms.Raise(t.Context(), alarm.Raised{Sequence: 1, Finding: whosaw.Finding{
		ID: "1", Time: 1795000000000, Seen: 1795000000000, Detector: "key_policy", Unit: "key:backup", Says: "Key \"backup\" has no owner on record.", Filter: whosaw.Filter{},
		Statistic: 1, Threshold: 1,
	}})
	check(t, err)
	code, err := s.auth.NewLink(t.Context(), "test")
	check(t, err)
	s.page("POST", "/login", url.Values{"code": {code}})
	for _, path := range []string{"/findings/1", "/findings/1/figures"} {
		if res, text := s.page("GET", path, nil); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %.300s", path, res.Status, text)
		}
	}
}

// TestOtherPages: what another page makes a browser send is refused.
func TestOtherPages(t *testing.T) {
	s := newSite(t)
	code, err := s.auth.NewLink(t.Context(), "test")
	check(t, err)
	s.page("POST", "/login", url.Values{"code": {code}})
	for _, path := range []string{"/tokens", "/logout", "/login"} {
		req, err := http.NewRequest("POST", s.url+path, strings.NewReader("name=evil"))
		check(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://evil.example")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := s.client.Do(req)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != 403 {
			t.Errorf("%s from another page: %d", path, res.StatusCode)
		}
	}
	req, err := http.NewRequest("GET", s.url+"/", nil)
	check(t, err)
	req.Host = "evil.example"
	res, err := s.client.Do(req)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", res.StatusCode)
	}
}
