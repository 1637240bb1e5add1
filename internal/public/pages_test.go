package public_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/public"
)

// Every language has every text, with the same places for values.
func TestLanguagesSayTheSame(t *testing.T) {
	names, err := filepath.Glob("words/*.json")
	check(t, err)
	if len(names) != 4 {
		t.Fatalf("there are %v", names)
	}
	all := map[string]map[string]string{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		var words map[string]string
		check(t, json.Unmarshal(data, &words))
		all[strings.TrimSuffix(filepath.Base(name), ".json")] = words
	}
	places := regexp.MustCompile(`\{\d\}`)
	for lang, words := range all {
		for key, text := range all["en"] {
			a, b := places.FindAllString(text, -1), places.FindAllString(words[key], -1)
			slices.Sort(a)
			slices.Sort(b)
			if strings.TrimSpace(words[key]) == "" || !slices.Equal(a, b) {
				t.Errorf("%s: %s is %q, in English %q", lang, key, words[key], text)
			}
		}
		if len(words) != len(all["en"]) {
			t.Errorf("%s has %d texts, English %d", lang, len(words), len(all["en"]))
		}
	}
	// And every text that a page asks for is there.
	used := regexp.MustCompile(`\.T "([a-z.]+)"`)
	templates, err := filepath.Glob("templates/*.html")
	check(t, err)
	for _, name := range templates {
		data, err := os.ReadFile(name)
		check(t, err)
		for _, m := range used.FindAllStringSubmatch(string(data), -1) {
			if all["en"][m[1]] == "" {
				t.Errorf("%s asks for %s", name, m[1])
			}
		}
	}
}

// A code is answered by what it is, never shown again, never in the log, in pages of one length; a fault of the book is no "not genuine".
func TestCodes(t *testing.T) {
	broken := errors.New("the disk is broken")
	h := newHouse(t, func(c *public.Config) {
		c.Genuine = func(ctx context.Context, code string) (public.Genuine, error) {
			switch code {
			case "WN-BROKEN":
				return public.Genuine{}, broken
			case "WN-SAMPLE":
				return public.Genuine{Sample: true}, nil
			}
			return sent(ctx, code)
		}
	})
	h.story()
	lengths := map[int]bool{}
	for code, want := range map[string]string{
		"WN-GOOD-CODE": "The code is genuine", " WN-GOOD-CODE\n": "The code is genuine", "WN-SAMPLE": "This code is of a sample",
		"WN-BAD-4711": "This code is not known", strings.Repeat("Z", 201): "This code is not known", `"><script>alert(4711)</script>`: "This code is not known",
	} {
		a := h.post("/notice", url.Values{"code": {code}, "lang": {"en"}})
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%.20q: %d, not %q", code, a.status, want)
		}
		for _, word := range []string{"WN-", "4711", "ZZZ", "alert"} {
			if strings.Contains(a.body, word) || strings.Contains(h.logged.String(), word) {
				t.Errorf("%.20q is shown again, or in the log", code)
			}
		}
		if want == "The code is genuine" && (!strings.Contains(a.body, "23 November 2026") || !strings.Contains(a.body, "Customer data, November 2026") || strings.Contains(a.body, "backup key")) {
			t.Error("a genuine code is not explained")
		}
		lengths[len(a.body)] = true
	}
	if len(lengths) != 1 {
		t.Errorf("answers have the lengths %v", lengths)
	}
	if a := h.post("/notice", url.Values{"code": {"WN-BROKEN"}, "lang": {"en"}}); a.status != 500 || strings.Contains(a.body, "not known") || strings.Contains(a.body, "disk") {
		t.Errorf("a fault is answered with %d", a.status)
	}
	if a := h.post("/notice", url.Values{"code": {strings.Repeat("x", 9000)}}); a.status != 400 {
		t.Errorf("a long form is answered with %d", a.status)
	}
	off := newHouse(t)
	if a := off.get("/notice?lang=en"); !strings.Contains(a.body, "has sent no notices with codes") || strings.Contains(a.body, "<form") {
		t.Error("where no codes are sent, the page does not say so")
	}
}

// What every answer has: a policy without inline script and other hosts, no cookie, nothing kept.
func TestEveryAnswer(t *testing.T) {
	h := newHouse(t)
	n := h.story()
	s := h.shape(n)
	for _, path := range []string{"/", "/notice", "/affected", fmt.Sprintf("/affected/%d", n), s.path(n, 0), "/static/public.js", "/static/public.css", "/nothing", "/affected/99", s.path(n, 1<<s.bits), "/static/../pages.go", "/affected/1/../../notice", "/static/"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.server.URL+path, nil)
		check(t, err)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := http.DefaultTransport.RoundTrip(req)
		check(t, err)
		a := h.read(res)
		policy := a.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || a.header.Get("Set-Cookie") != "" || a.header.Get("Content-Encoding") != "" ||
			a.header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(a.header.Get("Cache-Control"), "no-") {
			if a.status/100 != 3 { // the mux itself, which mends a path
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
		}
		known := path != "/nothing" && path != "/affected/99" && path != s.path(n, 1<<s.bits) && !strings.Contains(path, "..") && path != "/static/"
		if ok := a.status == 200 || a.status == 302; ok != known && a.status/100 != 3 {
			t.Errorf("%s is answered with %d", path, a.status)
		}
	}
	if a := h.get(fmt.Sprintf("/affected/%d/%032x/0", n, 0)); a.status != 410 {
		t.Errorf("a build that never was is answered with %d", a.status)
	}
}

// A network that asks too often waits, and no other does. What the caller writes into X-Forwarded-For does not help.
func TestLimits(t *testing.T) {
	h := newHouse(t, func(c *public.Config) { c.Forwarded, c.Genuine = true, sent })
	ask := func(forwarded ...string) answer {
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.server.URL+"/notice", strings.NewReader("code=WN-BAD&lang=en"))
		check(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, f := range forwarded {
			req.Header.Add("X-Forwarded-For", f)
		}
		res, err := http.DefaultClient.Do(req)
		check(t, err)
		return h.read(res)
	}
	tries := 0
	for ; tries < 1000; tries++ {
		// The caller writes another address each time, in the same line or in one before: the proxy's is the last.
		a := ask(fmt.Sprintf("198.51.%d.7", tries%200), fmt.Sprintf("10.0.0.%d, 203.0.113.%d", tries%250, tries%250))
		if a.status == 429 {
			if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "Try again in") {
				t.Error("who has to wait is not told how long")
			}
			break
		}
	}
	if tries != 240 {
		t.Errorf("a network could ask %d times at once", tries)
	}
	for _, other := range []string{"203.0.114.1", "2001:db8:1::1"} {
		if a := ask(other); a.status != 200 {
			t.Errorf("%s has to wait too: %d", other, a.status)
		}
	}
	h.wait(time.Second)
	if a := ask("203.0.113.9"); a.status != 200 {
		t.Errorf("after a second: %d", a.status)
	}
}
