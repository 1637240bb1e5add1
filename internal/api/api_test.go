package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/incident"
)

// mustNot lists what an answer, and the server's log, must not hold.
func (w *world) mustNot(a answer, words ...string) {
	w.t.Helper()
	for _, word := range words {
		if strings.Contains(a.body, word) || strings.Contains(w.logged(), word) {
			w.t.Errorf("%q is in the answer or the log: %d %s", word, a.status, a.body)
		}
	}
}

// TestContract: handlers and openapi.yaml describe the same, and every operation gives a good answer that is as described.
func TestContract(t *testing.T) {
	w := newWorld(t, withGuard(t), func(c *api.Config) {
		c.Secrets = func(_ context.Context, who string, n int64, _, subject string) ([]api.LookupSecret, error) {
			if n > 1 || who != "token:shop" {
				return nil, incident.ErrUnknown
			}
			return []api.LookupSecret{{Incident: 1, Secret: "S", Link: "https://notice.example/affected/1#S"}}, nil
		}
	})
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	var received api.Received
	a := w.ask(ingest, "POST", "/v1/records", shop(true))
	a.decode(t, &received)
	if a.status != 200 || received.Accepted != 3400 || received.Source != "gw" {
		t.Fatalf("records: %d %+v", a.status, received)
	}
	var list struct{ Findings []api.Found }
	answer := w.ask(admin, "GET", "/v1/findings?wait=true", "")
	answer.decode(t, &list)
	if len(list.Findings) == 0 {
		t.Fatal("no finding: the test shows nothing")
	}
	id := list.Findings[0].ID
	w.ask(admin, "GET", "/v1/findings/"+id, "")
	w.ask(admin, "POST", "/v1/findings/"+id[:8]+"/assign", `{"owner":"kim","reason":"on call"}`)
	w.ask(admin, "POST", "/v1/findings/"+id[:6]+"/assign", `{}`)
	w.ask(admin, "GET", "/v1/findings?state=assigned", "")
	w.ask(admin, "POST", "/v1/findings/"+id+"/verdict", `{"verdict":"harvest","reason":"nobody of ours"}`)
	w.ask(admin, "POST", "/v1/suppressions", `{"unit":"key:test","reason":"load test","until":"2026-11-30T00:00:00Z"}`)
	w.ask(admin, "GET", "/v1/suppressions?all=true", "")
	w.ask(admin, "DELETE", "/v1/suppressions/1", "")
	w.ask(admin, "GET", "/v1/channels", "")
	w.ask(admin, "POST", "/v1/channels/desk/test", "")
	w.ask(admin, "GET", "/v1/status", "")
	w.ask(admin, "POST", "/v1/scope", `{"filter":{"key":["backup"],"issued":false}}`)
	w.ask(admin, "POST", "/v1/scope", "")
	w.ask(admin, "POST", "/v1/scope/list", `{"filter":[{"key":["backup"]},{"ip":["203.0.113.0/24"]}],"form":"csv"}`)
	w.ask(admin, "POST", "/v1/subject", `{"subject":"7"}`)
	w.ask(admin, "POST", "/v1/top", `{"by":"ip","zone":"Asia/Seoul","limit":3}`)
	w.ask(admin, "GET", "/v1/investigation", "")
	w.explained(admin, list.Findings[0])
	w.ask(admin, "POST", "/v1/tokens", `{"name":"grafana","role":"read","days":30}`)
	w.ask(admin, "GET", "/v1/tokens", "")
	w.ask(admin, "DELETE", "/v1/tokens/grafana", "")
	w.ask(admin, "POST", "/v1/incidents", `{"title":"the backup key","findings":["`+id+`"]}`)
	w.ask(admin, "GET", "/v1/incidents?lang=ko", "")
	w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"marked","moment":"aware","when":"2026-11-18T00:00:00Z","note":"the responder read the finding"}`)
	w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"answered","fact":"intrusion","answer":"yes","note":"forged tokens"}`)
	w.ask(admin, "POST", "/v1/incidents/1/versions", `{"reason":"by cause"}`)
	w.ask(admin, "POST", "/v1/incidents/1/versions", `{"filter":{"key":["backup"]},"reason":"the whole key"}`)
	w.ask(admin, "POST", "/v1/incidents/1/versions/2/list", `{"form":"csv"}`)
	for _, content := range []string{"what_leaked", "when_and_how", "people", "measures", "remedy", "rights", "contact"} {
		w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"stated","statement":{"content":"`+content+`","lang":"en","text":"Names, addresses, phone numbers, e-mail addresses and unclassified data of {subjects} customers leaked.","verified":true,"source":"scope version 2"}}`)
	}
	var doc incident.Document
	d := w.ask(admin, "GET", "/v1/incidents/1/document?law=kr-pipa-34&duty=authority", "")
	d.decode(t, &doc)
	if len(doc.Faults) > 0 {
		t.Errorf("faults %+v", doc.Faults)
	}
	if a := w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"signed","document":"kr-pipa-34/authority en","hash":"`+doc.Hash+`"}`); a.status != 400 || !strings.Contains(a.body, "a way of its own") {
		t.Errorf("signed past the checks: %d %s", a.status, a.body)
	}
	if a := w.ask(admin, "POST", "/v1/incidents/1/sign", `{"law":"kr-pipa-34","duty":"authority","lang":"en","hash":"another"}`); a.status != 409 {
		t.Errorf("signed what nobody read: %d", a.status)
	}
	if a := w.ask(admin, "POST", "/v1/incidents/1/sign", `{"law":"kr-pipa-34","duty":"authority","lang":"en","hash":"`+doc.Hash+`"}`); a.status != 200 {
		t.Errorf("sign: %d %s", a.status, a.body)
	}
	w.postings(admin)
	w.noticeContract(admin)
	w.ask(admin, "GET", "/v1/incidents/1", "")
	if a := w.ask(admin, "GET", "/v1/incident-verification", ""); !strings.Contains(a.body, `"ok":true`) {
		t.Errorf("incidents: %s", a.body)
	}
	w.ask(admin, "GET", "/v1/clocks", "")
	w.ask(admin, "GET", "/v1/questions?lang=ko", "")
	w.ask(admin, "POST", "/v1/holds", `{"reason":"order 17","from":"2026-01-01T00:00:00Z"}`)
	w.ask(admin, "GET", "/v1/holds", "")
	w.ask(admin, "POST", "/v1/retention", `{"days":1,"apply":true}`)
	w.ask(admin, "POST", "/v1/holds/1/release", `{"reason":"closed"}`)
	w.ask(admin, "POST", "/v1/retention", `{"days":36500}`)
	w.ask("", "GET", "/v1/openapi.yaml", "")
	w.guarded(ingest, admin)
	w.keyContract(admin)
	w.watch(admin)
	for _, r := range api.Routes() {
		if r.Local {
			continue
		}
		path := strings.NewReplacer("{id}", "1", "{name}", "x", "{version}", "1").Replace(r.Path)
		req, err := http.NewRequest(r.Method, w.public.URL+path, nil)
		check(t, err)
		route, _, err := w.router.FindRoute(req)
		if err != nil {
			t.Errorf("%s %s is not in openapi.yaml", r.Method, r.Path)
			continue
		}
		if !w.seen[route.Operation.OperationID] {
			t.Errorf("no good answer of %s was seen", route.Operation.OperationID)
		}
		delete(w.seen, route.Operation.OperationID)
	}
	for op := range w.seen {
		t.Errorf("openapi.yaml has %s, and no route serves it", op)
	}
}

// postings puts a notice onto the public pages and takes it down again, and asks for a customer's secret.
func (w *world) postings(admin string) {
	w.t.Helper()
	w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"stated","statement":{"content":"advice","lang":"ar","text":"لا تعيدوا استخدام الأرقام.","verified":false}}`)
	for _, content := range []string{"what_leaked", "when_and_how", "measures", "remedy", "rights", "contact"} {
		w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"stated","statement":{"content":"`+content+`","lang":"ar","text":"تسربت الاسم والعنوان ورقم الهاتف والبريد الإلكتروني وبيانات unclassified تخص {subjects} من العملاء.","verified":false}}`)
	}
	var doc incident.Document
	a := w.ask(admin, "GET", "/v1/incidents/1/document?law=kr-pipa-34&duty=posted&lang=ar", "")
	a.decode(w.t, &doc)
	ask := `{"law":"kr-pipa-34","duty":"posted","langs":["ar"],"title":"Customer data, November 2026"}`
	if a := w.ask(admin, "POST", "/v1/incidents/1/post", ask); a.status != 400 || !strings.Contains(a.body, "signed off") {
		w.t.Errorf("posted what nobody signed: %d %s", a.status, a.body)
	}
	w.ask(admin, "POST", "/v1/incidents/1/sign", `{"law":"kr-pipa-34","duty":"posted","lang":"ar","hash":"`+doc.Hash+`"}`)
	var in api.IncidentAnswer
	a = w.ask(admin, "POST", "/v1/incidents/1/post", ask)
	a.decode(w.t, &in)
	if a.status != 201 || len(in.Postings) != 1 || in.Postings[0].Days != 30 || len(in.Told) != 1 {
		w.t.Fatalf("post: %d %s", a.status, a.body)
	}
	if a := w.ask(admin, "POST", "/v1/incidents/1/post", strings.NewReplacer("posted", "authority", `"ar"`, `"en"`).Replace(ask)); a.status != 400 || !strings.Contains(a.body, "no duty to the public") {
		w.t.Errorf("what is for the authority is posted to everybody: %d %s", a.status, a.body)
	}
	event := fmt.Sprint(in.Postings[0].Event)
	if a := w.ask(admin, "POST", "/v1/incidents/1/remove", `{"event":`+event+`}`); a.status != 400 || !strings.Contains(a.body, "30 more days") {
		w.t.Errorf("taken down without a reason: %d %s", a.status, a.body)
	}
	a = w.ask(admin, "POST", "/v1/incidents/1/remove", `{"event":`+event+`,"note":"a figure was wrong; version 3 replaces it"}`)
	a.decode(w.t, &in)
	if p := in.Postings[0]; a.status != 200 || p.Removed == nil || !p.Early || p.Why == "" {
		w.t.Errorf("taken down: %d %+v", a.status, p)
	}
	shop := w.token(auth.Spec{Name: "shop", Role: auth.RoleLookup})
	if a := w.ask(shop, "POST", "/v1/lookup-secrets", `{"subject":"7"}`); a.status != 200 || !strings.Contains(a.body, "#S") {
		w.t.Errorf("a secret: %d %s", a.status, a.body)
	}
	for _, body := range []string{`{"subject":"7","incident":9}`, `{"subject":""}`, `{"subject":"` + strings.Repeat("7", 300) + `"}`} {
		if a := w.ask(shop, "POST", "/v1/lookup-secrets", body); a.status != 404 && a.status != 400 || strings.Contains(a.body, "77") {
			w.t.Errorf("%.40s: %d %s", body, a.status, a.body)
		}
	}
}

// watch reads one event of the live figures.
func (w *world) watch(secret string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); w.api.Run(ctx) }()
	req, err := http.NewRequestWithContext(ctx, "GET", w.public.URL+"/v1/live", nil)
	check(w.t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	check(w.t, err)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var f api.Figures
			(&answer{body: data}).decode(w.t, &f)
			if f.Accesses == 0 || f.Findings == 0 {
				w.t.Errorf("live figures %s", data)
			}
			break
		}
	}
	w.seen["live"] = res.StatusCode == 200 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
	cancel()
	<-done
}

// TestWhoMayWhat: each route, each kind of asker; who may not learns nothing else.
func TestWhoMayWhat(t *testing.T) {
	w := newWorld(t)
	tokens := map[string]string{
		"nobody": "", "wrong": "wst_aaaaaaaaaaaaaaaa_" + strings.Repeat("A", 43),
		"ingest": w.token(auth.Spec{Name: "i", Role: auth.RoleIngest}), "read": w.token(auth.Spec{Name: "r", Role: auth.RoleRead}),
		"send": w.token(auth.Spec{Name: "s", Role: auth.RoleSend}), "door": w.token(auth.Spec{Name: "d", Role: auth.RoleDoor}),
		"admin": w.token(auth.Spec{Name: "a", Role: auth.RoleAdmin}), "lookup": w.token(auth.Spec{Name: "l", Role: auth.RoleLookup}),
	}
	for _, r := range api.Routes() {
		path := strings.NewReplacer("{id}", "1", "{name}", "x", "{version}", "1").Replace(r.Path)
		if r.Path == "/v1/live" || r.Path == "/v1/openapi.yaml" {
			continue
		}
		if r.Path == "/jwks.json" || r.Path == "/.well-known/jwks.json" {
			continue // public keys
		}
		ofKeys := strings.HasPrefix(r.Path, "/v1/key") || strings.Contains(r.Path, "people") || strings.Contains(r.Path, "offboarding")
		asks := strings.HasPrefix(r.Path, "/v1/decide") || r.Path == "/v1/guard/feed"
		sends := r.Path == "/v1/records" || asks
		secrets := r.Path == "/v1/lookup-secrets"
		changes := r.Method == "DELETE" || ofKeys && r.Method != "GET" || r.Method == "POST" && strings.HasPrefix(r.Path, "/v1/guard/") || strings.Contains(r.Path, "token") ||
			r.Method == "POST" && (strings.Contains(r.Path, "hold") || strings.Contains(r.Path, "retention") || strings.HasPrefix(r.Path, "/v1/incidents") && !strings.HasSuffix(r.Path, "/list")) ||
			r.Method == "POST" && strings.HasPrefix(r.Path, "/v1/notices") && !strings.HasSuffix(r.Path, "/preview") && !strings.HasSuffix(r.Path, "/person") ||
			r.Method == "POST" && (strings.Contains(r.Path, "verdict") || strings.Contains(r.Path, "assign") || strings.Contains(r.Path, "suppress") || strings.Contains(r.Path, "test"))
		for who, secret := range tokens {
			a := w.ask(secret, r.Method, path, "")
			may := map[string]bool{"ingest": sends, "read": !sends && !changes && !secrets, "admin": !sends && !secrets, "lookup": secrets, "send": sends && !asks, "door": asks}[who]
			refused := a.status == 401 || a.status == 403
			switch {
			case r.Local:
				if a.status != 404 && a.status != 405 {
					t.Errorf("%s asks the local %s: %d", who, r.Path, a.status)
				}
			case may && refused:
				t.Errorf("%s may not %s %s: %s", who, r.Method, r.Path, a.body)
			case !may && !refused:
				t.Errorf("%s may %s %s: %d %s", who, r.Method, r.Path, a.status, a.body)
			case who == "nobody" && a.header.Get("WWW-Authenticate") == "":
				t.Errorf("%s: nobody is not told how to be somebody", r.Path)
			}
			if secret != "" {
				w.mustNot(a, secret)
			}
		}
	}
	read := w.token(auth.Spec{Name: "r2", Role: auth.RoleRead, Expires: time.Hour})
	if _, err := w.auth.Revoke(t.Context(), "r2", "test"); err != nil {
		t.Fatal(err)
	}
	if a := w.ask(read, "GET", "/v1/status", ""); a.status != 401 {
		t.Errorf("a revoked token is answered %d", a.status)
	}
	if a := w.ask(tokens["read"], "GET", "/v1/nothing", ""); a.status != 404 {
		t.Errorf("a path that is not there: %d", a.status)
	}
	if a := w.ask(tokens["read"], "PUT", "/v1/status", ""); a.status != 405 || a.header.Get("Allow") != "GET" {
		t.Errorf("a method that is not there: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

// TestRecordsByLine: what is wrong is said by line, without a value of it; the rest is taken, once however often it comes.
func TestRecordsByLine(t *testing.T) {
	w := newWorld(t)
	secret := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest})
	body := `{"time":"2026-03-02T00:00:00Z","route":"GET /me","status":200,"fields":["name"],"subject":"kim-7781"}
{"time":"2026-03-02T00:00:00Z","subject":"lee-9912","status":"secret-0451"}

{"type":"issuance","time":"2026-03-02T00:00:00Z","credential":"c1"}
{"id":"a","time":"2026-03-02T00:00:01Z","route":"GET /me","status":200}
{"id":"a","time":"2026-03-02T00:00:01Z","route":"GET /me","status":404}
not a record, but park-5512`
	want := api.Received{Source: "gw", Lines: 6, Accepted: 2, Rejected: 4}
	for round := range 3 {
		if round > 0 {
			want.Accepted, want.Duplicates = 0, 2
		}
		var got api.Received
		a := w.ask(secret, "POST", "/v1/records", body)
		a.decode(t, &got)
		if a.status != 200 || got.Lines != want.Lines || got.Accepted != want.Accepted || got.Duplicates != want.Duplicates || got.Rejected != want.Rejected {
			t.Fatalf("round %d: %d %+v", round, a.status, got)
		}
		var lines []int64
		for _, r := range got.Rejects {
			lines = append(lines, r.Line)
		}
		if d := cmp.Diff([]int64{2, 4, 6, 7}, lines); d != "" {
			t.Errorf("rejected lines:\n%s", d)
		}
		w.mustNot(a, "kim-7781", "lee-9912", "secret-0451", "park-5512", secret)
	}
	kept, err := os.ReadFile(filepath.Join(w.dir, "rejects.jsonl"))
	check(t, err)
	if !strings.Contains(string(kept), "park-5512") {
		t.Error("the reject file has not kept the line")
	}
	// In parts: the first part that was taken is not taken again.
	var got api.Received
	a := w.ask(secret, "POST", "/v1/records", strings.Repeat(`{"time":"2026-03-03T00:00:00Z","route":"GET /me"}`+"\n", 3))
	a.decode(t, &got)
	if got.Accepted != 3 {
		t.Errorf("three equal lines in one body are three accesses: %+v", got)
	}
}

// TestBadRecords: requests that cannot be taken say why and what to do.
func TestBadRecords(t *testing.T) {
	w := newWorld(t)
	one := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest})
	two := w.token(auth.Spec{Name: "two", Role: auth.RoleIngest, Sources: []string{"a", "b"}})
	any := w.token(auth.Spec{Name: "any", Role: auth.RoleIngest, Sources: []string{"*"}})
	line := `{"time":"2026-03-02T00:00:00Z","route":"GET /me"}` + "\n"
	for _, c := range []struct {
		name, token, query, body, encoding string
		status                             int
		says                               string
	}{
		{"another's source", one, "?source=other", line, "", 403, "may not send that source"},
		{"no source", two, "", line, "", 400, "several sources"},
		{"one of two", two, "?source=b", line, "", 200, ""},
		{"a bad name", any, "?source=a%0ab", line, "", 400, "control characters"},
		{"whosaw's own mark", any, "?source=a%23issuance", line, "", 400, "own mark"},
		{"encoding", one, "", line, "br", 415, "content encoding"},
		{"cut gzip", one, "", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", 400, "ends early"},
		{"too long", one, "", strings.Repeat(line, 30_000), "", 413, "longer than"},
		{"empty", one, "", "", "", 200, ""},
		{"another format", any, "?source=nginx-1", `{"time_iso8601":"2026-03-02T00:00:00+00:00","request_method":"GET","request_uri":"/me","status":"200","remote_addr":"198.51.100.4"}` + "\n", "", 200, `"accepted":1`},
	} {
		header := []string{}
		if c.encoding != "" {
			header = []string{"Content-Encoding", c.encoding}
		}
		a := w.ask(c.token, "POST", "/v1/records"+c.query, c.body, header...)
		if a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s; want %d with %q", c.name, a.status, a.body, c.status, c.says)
		}
	}
}

// TestBadQuestions: wrong questions are refused by name, and what they held is nowhere.
func TestBadQuestions(t *testing.T) {
	w := newWorld(t)
	secret := w.token(auth.Spec{Name: "r", Role: auth.RoleRead})
	for _, c := range []struct{ path, body, says string }{
		{"/v1/scope", `{`, "no JSON"},
		{"/v1/scope", `{} {}`, "something follows"},
		{"/v1/scope", `{"filtre":{"key":["s3cr3t"]}}`, "not known"},
		{"/v1/scope", `{"filter":{"kee":["s3cr3t"]}}`, "kee"},
		{"/v1/scope", `{"filter":7}`, "filter"},
		{"/v1/scope", `{"zone":"Mars/s3cr3t"}`, "zone"},
		{"/v1/scope", `{"zone":"Asia//Seoul"}`, "zone"},
		{"/v1/scope/list", `{"form":"xml"}`, "form"},
		{"/v1/subject", `{}`, "subject"},
		{"/v1/subject", `{"subject":"` + strings.Repeat("9", 257) + `"}`, "subject"},
		{"/v1/subject", `{"subject":"7","filter":{"subject":["8"]}}`, "beside the filter"},
		{"/v1/subject", `{"subject":"7","next":"nonsense"}`, "cursor"},
		{"/v1/subject", `{"subject":"7","limit":100000}`, "limit"},
		{"/v1/top", `{"by":"name"}`, "by"},
		{"/v1/top", `{"by":"ip","limit":-1}`, "limit"},
	} {
		a := w.ask(secret, "POST", c.path, c.body)
		if a.status != 400 || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s: %d %s; want 400 with %q", c.path, c.body, a.status, a.body, c.says)
		}
		w.mustNot(a, "s3cr3t")
	}
	for _, path := range []string{"/v1/findings?state=odd", "/v1/findings?limit=0", "/v1/findings?next=x", "/v1/investigation?zone=Nowhere"} {
		if a := w.ask(secret, "GET", path, ""); a.status != 400 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := w.ask(secret, "GET", "/v1/findings/none", ""); a.status != 404 {
		t.Errorf("a finding that is not there: %d %s", a.status, a.body)
	}
}

// TestWhoAskedIsOnRecord: before the answer, by whom, with what; also what operators did.
func TestWhoAskedIsOnRecord(t *testing.T) {
	w := newWorld(t)
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	w.ask(admin, "POST", "/v1/scope", `{"filter":{"key":["k"]}}`)
	w.ask(admin, "POST", "/v1/subject", `{"subject":"7"}`)
	w.ask(admin, "POST", "/v1/tokens", `{"name":"gw","types":["access","issuance"]}`)
	w.ask(admin, "DELETE", "/v1/tokens/gw", "")
	view, err := w.live.Ledger().View(0)
	check(t, err)
	defer view.Close()
	var acts []string
	check(t, view.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		acts = append(acts, r.Principal+" "+r.Ref.Kind+" "+r.Ref.Of+" "+r.Ref.Note)
		return nil
	}))
	if d := cmp.Diff([]string{
		`token:boss scope  {"key":["k"]}`, `token:boss subject  {"subject":["7"]}`,
		"token:boss token_made token:gw ingest for gw, types access issuance", "token:boss token_revoked token:gw ",
	}, acts); d != "" {
		t.Errorf("acts:\n%s", d)
	}
	// What cannot be recorded is not answered.
	check(t, w.live.Close(t.Context()))
	if a := w.ask(admin, "POST", "/v1/scope", ""); a.status != 503 {
		t.Errorf("a question that is not on record is answered %d %s", a.status, a.body)
	}
	if a := w.ask(admin, "POST", "/v1/tokens", `{"name":"late"}`); a.status != 503 {
		t.Errorf("a token that is not on record is made: %d %s", a.status, a.body)
	}
	list, err := w.auth.Tokens(t.Context())
	check(t, err)
	for _, k := range list {
		if k.Name == "late" && k.Revoked == 0 {
			t.Error("a token that is not on record is alive")
		}
	}
}

// TestVerdictsThatTheBookRefuses: one in the ledger that is none of the contract stays there; the detectors do not stop at it.
func TestVerdictsThatTheBookRefuses(t *testing.T) {
	w := newWorld(t)
	keep := api.KeepVerdict(w.alarms)
	for _, ref := range []whosaw.Reference{
		{Kind: "harvest", Of: "x", Person: "staff:kim", Note: strings.Repeat("n", 5000)},
		{Kind: "harvest", Of: "x", Person: "staff:kim", Note: " "},
		{Kind: "harvest", Of: "x", Note: "why"},
		{Kind: "odd", Of: "x", Person: "staff:kim", Note: "why"},
		{Kind: "harvest", Of: "x", Person: "staff:kim", Note: "why"},
	} {
		if err := keep(t.Context(), &whosaw.Record{Type: whosaw.TypeVerdict, Time: now, Ref: &ref}); err != nil {
			t.Errorf("%+v: %v", ref, err)
		}
	}
}

// TestLimits: a question that takes too long or too much is given up with the cure, others wait for their turn, and
// records are taken meanwhile.
func TestLimits(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.QueryMemory = 2000; c.QueryConcurrent = 1 })
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	read := w.token(auth.Spec{Name: "r", Role: auth.RoleRead})
	w.ask(ingest, "POST", "/v1/records", shop(false))
	a := w.ask(read, "POST", "/v1/scope", "")
	if a.status != 507 || !strings.Contains(a.body, "query.memory") {
		t.Errorf("a question beyond its memory: %d %s", a.status, a.body)
	}
	if a := w.ask(read, "POST", "/v1/scope/list", ""); a.status != 507 {
		t.Errorf("a list beyond its memory: %d %s", a.status, a.body)
	}
	slow := newWorld(t, func(c *api.Config) { c.QueryTimeout = time.Nanosecond })
	read = slow.token(auth.Spec{Name: "r", Role: auth.RoleRead})
	if a := slow.ask(read, "POST", "/v1/scope", ""); a.status != 504 && a.status != 503 {
		t.Errorf("a question beyond its time: %d %s", a.status, a.body)
	}
	ingest = slow.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	if a := slow.ask(ingest, "POST", "/v1/records", shop(false)); a.status != 200 {
		t.Errorf("records beside it: %d %s", a.status, a.body)
	}
}

// TestToldOnce: a finding goes to the channel once, and a suppressed one to nobody.
func TestToldOnce(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.alarms.Run(ctx) }()
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	w.ask(admin, "POST", "/v1/suppressions", `{"detector":"traversal","reason":"a nightly job","until":"2026-11-30T00:00:00Z"}`)
	for range 2 {
		w.ask(ingest, "POST", "/v1/records", shop(true))
	}
	var list struct{ Findings []api.Found }
	for deadline := time.Now().Add(20 * time.Second); ; {
		a := w.ask(admin, "GET", "/v1/findings?wait=true", "")
		a.decode(t, &list)
		var st struct {
			Channels []struct{ Sent, Pending int64 } `json:"channels"`
		}
		ch := w.ask(admin, "GET", "/v1/channels", "")
		ch.decode(t, &st)
		if st.Channels[0].Sent > 0 && st.Channels[0].Pending == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody is told")
		}
	}
	cancel()
	<-done
	var told, want []string
	for _, m := range w.sent {
		told = append(told, m.ID)
	}
	suppressed := 0
	for _, f := range slices.Backward(list.Findings) {
		if f.Detector == "traversal" {
			suppressed++
			if f.SuppressedBy == 0 {
				t.Errorf("finding %s is not marked suppressed", f.ID)
			}
			continue
		}
		want = append(want, f.ID)
	}
	if d := cmp.Diff(want, told); d != "" || len(told) == 0 || suppressed == 0 {
		t.Errorf("told (-want +got), %d suppressed:\n%s", suppressed, d)
	}
}

// TestPagesOfOthers: requests by cookie from other pages, or under other names, are refused.
func TestPagesOfOthers(t *testing.T) {
	w := newWorld(t)
	code, err := w.auth.NewLink(t.Context(), "test")
	check(t, err)
	secret, _, err := w.auth.Redeem(t.Context(), code)
	check(t, err)
	cookie := api.CookieName + "=" + secret
	body := `{"name":"x","role":"read"}`
	for _, c := range []struct {
		name   string
		header []string
		status int
	}{
		{"our own page", []string{"Cookie", cookie, "Origin", w.public.URL, "Sec-Fetch-Site", "same-origin"}, 201},
		{"another page", []string{"Cookie", cookie, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another page, old browser", []string{"Cookie", cookie, "Origin", "https://evil.example"}, 403},
		{"no cookie", nil, 401},
		{"a wrong cookie", []string{"Cookie", api.CookieName + "=wss_x"}, 401},
	} {
		a := w.ask("", "POST", "/v1/tokens", body, c.header...)
		if a.status != c.status {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		w.mustNot(a, secret)
	}
	req, err := http.NewRequest("GET", w.public.URL+"/v1/status", nil)
	check(t, err)
	req.Host = "evil.example"
	req.Header.Set("Cookie", cookie)
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name (DNS rebinding): %d", res.StatusCode)
	}
}

// TestWatchersHoldUpNobody: one that does not read misses figures.
func TestWatchersHoldUpNobody(t *testing.T) {
	w := newWorld(t)
	read := w.token(auth.Spec{Name: "r", Role: auth.RoleRead})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); w.api.Run(ctx) }()
	for range 50 { // none of them reads
		req, err := http.NewRequestWithContext(ctx, "GET", w.public.URL+"/v1/live", nil)
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+read)
		res, err := http.DefaultClient.Do(req)
		check(t, err)
		t.Cleanup(func() { res.Body.Close() })
	}
	if n := w.api.Watchers(); n != 50 {
		t.Errorf("%d watchers of 50", n)
	}
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest})
	for i := range 20 {
		body := fmt.Sprintf(`{"time":"2026-03-02T00:00:%02dZ","route":"GET /me"}`, i)
		if a := w.ask(ingest, "POST", "/v1/records", body); a.status != 200 {
			t.Errorf("records beside watchers: %d", a.status)
		}
	}
	cancel()
	<-ran
}

// Who works on a finding is asked for by the beginning of its id, is in the book, and in the ledger.
func TestAssign(t *testing.T) {
	w := newWorld(t)
	admin := w.token(auth.Spec{Name: "console", Role: auth.RoleAdmin})
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	w.ask(ingest, "POST", "/v1/records", shop(true))
	var list struct{ Findings []api.Found }
	answer := w.ask(admin, "GET", "/v1/findings?wait=true", "")
	answer.decode(t, &list)
	id := list.Findings[0].ID
	assign := func(prefix, body string) (status int, f api.Found) {
		t.Helper()
		a := w.ask(admin, "POST", "/v1/findings/"+prefix+"/assign", body)
		if a.status == http.StatusOK {
			a.decode(t, &f)
		}
		return a.status, f
	}
	if status, f := assign(id[:6], `{"owner":"kim","reason":"on call"}`); status != 200 || f.ID != id || f.State != "assigned" || f.Owner != "kim" || f.Assigned == nil {
		t.Errorf("assigned: %d %+v", status, f)
	}
	if status, f := assign(id, `{}`); status != 200 || f.Owner == "kim" || f.Owner == "" {
		t.Errorf("taken: %d %+v", status, f)
	}
	if status, f := assign(id, `{"owner":""}`); status != 200 || f.Owner != "" || f.State != "open" || len(f.Assignments) != 3 {
		t.Errorf("given back: %d %+v", status, f)
	}
	if status, _ := assign("ffff0000ffff", `{}`); status != 404 {
		t.Errorf("of a finding that is not there: %d", status)
	}
	if status, _ := assign(id, `{"owner":"a\nb"}`); status != 400 {
		t.Errorf("to nobody's name: %d", status)
	}
	for _, body := range []string{
		`{"detector":"unissud","reason":"x","until":"2026-11-30T00:00:00Z"}`, `{"unit":"kye:a","reason":"x","until":"2026-11-30T00:00:00Z"}`,
		`{"unit":"key:","reason":"x","until":"2026-11-30T00:00:00Z"}`,
	} {
		if a := w.ask(admin, "POST", "/v1/suppressions", body); a.status != 400 {
			t.Errorf("suppression %s: %d %s", body, a.status, a.body)
		}
	}
}
