package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/api"
)

// freeAddress is where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// must runs the program and gives what it prints.
func must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := whosawRun(t, args...)
	if code != 0 {
		t.Fatalf("whosaw %s: exit %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// becomes asks again until something is so.
func becomes(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("not so: " + what)
		}
	}
}

// TestPublicPages: the posted notice, its days over a stop of the server, the look-up from the shop's token to the answer, and nothing
// else on the address.
func TestPublicPages(t *testing.T) {
	base := t.TempDir()
	dir, clock := filepath.Join(base, "data"), filepath.Join(base, "clock")
	t.Setenv(clockEnv, clock)
	address := freeAddress(t)
	config := fmt.Sprintf("public: {listen: %q, url: \"http://%s\", organisation: Mirae Market}\nincident: {jurisdictions: [KR]}\n", address, address)
	c := startServer(t, dir, config)
	var records strings.Builder
	for i := range 40 {
		fmt.Fprintf(&records, `{"time":"%s","route":"GET /me","status":200,"fields":["name","door_code"],"subject":"c-%d","key":"backup","principal":"customer:c-%d"}`+"\n", time.Now().UTC().Format(time.RFC3339), i, i)
	}
	ask(t, c.url+"/v1/records", strings.TrimSpace(must(t, "token", "create", "gw", "--data", dir)), records.String(), nil)
	must(t, "incident", "open", "--title", "the backup key", "--note", "a complaint", "--data", dir)
	must(t, "incident", "mark", "1", "aware", "--note", "read it", "--data", dir)
	must(t, "incident", "scope", "1", "--key", "backup", "--reason", "by cause", "--data", dir)
	for _, content := range []string{"what_leaked", "when_and_how", "advice", "measures", "remedy", "rights", "contact"} {
		must(t, "incident", "state", "1", content, "The names and door codes of {subjects} customers leaked.", "--verified", "scope version 1", "--data", dir)
	}
	if _, stderr, code := whosawRun(t, "incident", "post", "1", "kr-pipa-34/posted", "--title", "Customer data, 2026", "--data", dir); code == 0 || !strings.Contains(stderr, "signed off") {
		t.Errorf("posted what nobody signed: exit %d\n%s", code, stderr)
	}
	var doc struct{ Hash string }
	if err := json.Unmarshal([]byte(must(t, "incident", "report", "1", "kr-pipa-34/posted", "--json", "--data", dir)), &doc); err != nil {
		t.Fatal(err)
	}
	must(t, "incident", "sign", "1", "kr-pipa-34/posted", "--hash", doc.Hash, "--data", dir)
	must(t, "incident", "post", "1", "kr-pipa-34/posted", "--title", "Customer data, 2026", "--data", dir)
	page := func(path string) string {
		status, text, err := get(t, http.DefaultClient, "http://"+address+path)
		if err != nil || status != 200 {
			t.Fatalf("%s: %d %v", path, status, err)
		}
		return text
	}
	if text := page("/?lang=en"); !strings.Contains(text, "door codes of at least 40 customers leaked") || !strings.Contains(text, "Mirae Market") || strings.Contains(text, "backup key") || strings.Contains(text, "staff:") {
		t.Errorf("the posted notice:\n%s", strings.TrimSpace(text))
	}
	for _, path := range []string{"/login", "/findings", "/v1/status", "/v1/openapi.yaml", "/metrics", "/healthz", "/static/whosaw.css"} {
		if status, _, err := get(t, http.DefaultClient, "http://"+address+path); err != nil || status != 404 {
			t.Errorf("%s is on the public address: %d %v", path, status, err)
		}
	}

	// The look-up: the shop's token, the link, the answer.
	token := strings.TrimSpace(must(t, "token", "create", "shop", "--role", "lookup", "--data", dir))
	must(t, "incident", "offer", "1", "Customer data, 2026", "--data", dir)
	for subject, want := range map[string]string{"c-7": "Yes, your data was in the leak", "nobody": "You are not in the list"} {
		var answer struct{ Lookups []api.LookupSecret }
		becomes(t, "the look-up is there", func() bool {
			return ask(t, c.url+"/v1/lookup-secrets", token, `{"subject":"`+subject+`"}`, &answer) == 200 && len(answer.Lookups) == 1
		})
		l := answer.Lookups[0]
		if l.Link != "http://"+address+"/affected/1#"+l.Secret {
			t.Errorf("the link is %q", strings.ReplaceAll(l.Link, l.Secret, "…"))
		}
		res, err := http.PostForm("http://"+address+"/affected/1?lang=en", url.Values{"secret": {l.Secret}, "lang": {"en"}})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if !strings.Contains(strings.Split(text, "<template")[0], want) {
			t.Errorf("%s: %s is not said", subject, want)
		}
		if log := c.log(); strings.Contains(log, l.Secret) || strings.Contains(log, "c-7") {
			t.Error("the server's log holds a secret or a customer")
		}
	}

	// Four hours without a server are a gap, and the days are longer by it.
	shown := func() string { return must(t, "incident", "show", "1", "--data", dir) }
	before := regexp.MustCompile(`0 gaps; until (\S+ \S+) UTC`).FindStringSubmatch(shown())
	if before == nil {
		t.Fatalf("the incident says\n%s", shown())
	}
	end(t, c)
	if err := os.WriteFile(clock, []byte("4h"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = startServer(t, dir, config)
	becomes(t, "the gap is counted", func() bool { return strings.Contains(shown(), "1 gap; until") })
	if text := page("/?lang=en"); !strings.Contains(text, "It could not be read at these times") {
		t.Error("the page does not say its gap")
	}
	event := regexp.MustCompile(`Posted notice (\d+)`).FindStringSubmatch(shown())[1]
	if _, stderr, code := whosawRun(t, "incident", "remove", "1", event, "--data", dir); code == 0 || !strings.Contains(stderr, "30 more days") {
		t.Errorf("taken down without a reason: exit %d\n%s", code, stderr)
	}
	if err := os.WriteFile(clock, []byte("725h"), 0o600); err != nil { // 30 days and 5 hours, all but the gap of them stood
		t.Fatal(err)
	}
	end(t, c)
	c = startServer(t, dir, config)
	becomes(t, "the second gap is counted", func() bool { return strings.Contains(shown(), "2 gaps; until") })
	must(t, "incident", "remove", "1", event, "--note", "a figure was wrong", "--data", dir)
	if text := shown(); !strings.Contains(text, "TAKEN DOWN EARLY") || !strings.Contains(text, "a figure was wrong") {
		t.Errorf("the incident says\n%s", text)
	}
	if text := page("/?lang=en"); strings.Contains(text, "door codes") {
		t.Error("it still stands")
	}
	end(t, c)
	for _, args := range [][]string{{"verify", dir}, {"incident", "verify", "--data", dir}} {
		if text := must(t, args...); !strings.Contains(text, "in 1 incident are as they were recorded") || !strings.Contains(text, "1 list of scope versions") {
			t.Errorf("%v says\n%s", args, text)
		}
	}
	copied(t, dir, base)
}

// copied backs a directory with an incident up, restores it, and breaks its list.
func copied(t *testing.T, dir, base string) {
	t.Helper()
	to, again := filepath.Join(base, "backup"), filepath.Join(base, "again")
	for range 2 { // the second one copies what is new only
		must(t, "backup", "--data", dir, "--to", to, "--verify")
	}
	must(t, "restore", "--from", to, "--data", again)
	if text := must(t, "incident", "people", "1", "--data", again); strings.Count(text, "\n") != 40 {
		t.Errorf("the list is restored with %d people", strings.Count(text, "\n"))
	}
	for _, name := range []string{"lookup.key"} {
		a, err := os.ReadFile(filepath.Join(dir, "incident", name))
		b, err2 := os.ReadFile(filepath.Join(again, "incident", name))
		if err := errors.Join(err, err2); err != nil || string(a) != string(b) {
			t.Errorf("%s is not restored: %v", name, err)
		}
	}
	if text := must(t, "retention", "--older-than", "1d", "--data", again); !strings.Contains(text, "Kept: the list of scope version 1 of incident 1: the incident is not closed") {
		t.Errorf("retention says\n%s", text)
	}
	lists, err := filepath.Glob(filepath.Join(again, "incident", "1", "*.jsonl.zst"))
	if err != nil || len(lists) != 1 {
		t.Fatalf("%v, %v", lists, err)
	}
	data, err := os.ReadFile(lists[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(lists[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", again}, {"incident", "verify", "--data", again}, {"verify", again, "--json"}} {
		if stdout, stderr, code := whosawRun(t, args...); code != exitFailed || !strings.Contains(stdout+stderr, "list of scope version 1 of incident 1") {
			t.Errorf("%v of a list that was changed: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// ask sends a body with a token, and reads what is answered.
func ask(t *testing.T, url, token, body string, answer any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer != nil {
		if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode
}

// end ends a server as an operator does.
func end(t *testing.T, c *child) {
	t.Helper()
	if err := c.terminate(); err != nil {
		t.Errorf("stopped by SIGTERM: %v", err)
	}
}
