package alarm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

// write makes a file with a secret.
func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// authority is a certificate for 127.0.0.1 and the file of who signed it.
func authority(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// live is a dispatcher over real channels.
type live struct {
	t *testing.T
	d *alarm.Dispatcher
	// stop ends it as a server does: what is being sent is marked before.
	stop func()
}

func runLive(t *testing.T, path string, channels ...alarm.ChannelConfig) *live {
	t.Helper()
	c := alarm.Config{Link: "https://whosaw.shop.example/findings/{id}", Source: "/whosaw/shop", RetryFirst: 5 * time.Millisecond,
		RetryMost: 20 * time.Millisecond, Channels: channels}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	open, err := c.Open(alarm.Self{Version: "1.2.3", Host: "log1"})
	if err != nil {
		t.Fatal(err)
	}
	db := openState(t, path)
	d, err := alarm.New(db, open, alarm.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	l := &live{t: t, d: d}
	l.stop = func() {
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		l.stop = func() {}
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *live) raise(findings ...alarm.Raised) {
	l.t.Helper()
	if _, err := l.d.Raise(l.t.Context(), findings...); err != nil {
		l.t.Fatal(err)
	}
}

// send opens the channel of a configuration and gives its answer to a test alarm.
func send(t *testing.T, c alarm.ChannelConfig) error {
	t.Helper()
	c.Name = "c"
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), c)
	defer l.stop()
	return l.d.Test(t.Context(), "c")
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

// post is a request that arrived.
type post struct {
	header http.Header
	body   []byte
}

// hook is a server that answers with what answer gives.
func hook(t *testing.T, answer func(n int) int) (*httptest.Server, <-chan post) {
	t.Helper()
	got := make(chan post, 1000)
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s, %v", r.Method, err)
		}
		n++
		code := 204
		if answer != nil {
			code = answer(n)
		}
		w.WriteHeader(code)
		got <- post{r.Header.Clone(), body}
	}))
	t.Cleanup(s.Close)
	return s, got
}

const testKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// verify checks a signature as a receiver would, from the text of the specification.
func verify(t *testing.T, p post, secret string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(p.header.Get("webhook-id") + "." + p.header.Get("webhook-timestamp") + "." + string(p.body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, got := range strings.Split(p.header.Get("webhook-signature"), " ") {
		if got == want {
			return
		}
	}
	t.Errorf("no signature of %q fits", p.header.Get("webhook-signature"))
}

func TestWebhookCloudEvent(t *testing.T) {
	s, got := hook(t, nil)
	second := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another key of some 32 bytes ...."))
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{
		URL: s.URL, SecretFile: write(t, testKey+"\n"+second+"\n"), BearerFile: write(t, "tok\n")}})
	l.raise(key(7))
	p := receive(t, got)
	verify(t, p, testKey)
	verify(t, p, second)
	for name, want := range map[string]string{"webhook-id": "f-0007", "Content-Type": "application/cloudevents+json; charset=UTF-8",
		"Authorization": "Bearer tok", "User-Agent": "whosaw/1.2.3"} {
		if p.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, p.header.Get(name), want)
		}
	}
	var e map[string]any
	if err := json.Unmarshal(p.body, &e); err != nil {
		t.Fatal(err)
	}
	data, _ := e["data"].(map[string]any)
	raised, _ := e["time"].(string)
	if at, err := time.Parse(time.RFC3339, raised); err != nil || time.Since(at) > time.Minute || data["raised_at"] != raised {
		t.Errorf("time %v, raised_at %v: %v", raised, data["raised_at"], err)
	}
	delete(e, "time")
	delete(data, "raised_at")
	want := map[string]any{"specversion": "1.0", "id": "f-0007", "source": "/whosaw/shop", "type": "io.whosaw.finding.v1", "subject": "key:k7",
		"datacontenttype": "application/json", "data": map[string]any{
			"id": "f-0007", "test": false, "time": "2025-10-09T08:53:20.007Z", "seen": "2025-10-09T08:53:20.007Z", "detector": "unissued",
			"unit": "key:k7", "realm": "shop", "filter": map[string]any{"key": []any{"k7"}, "realm": []any{"shop"}}, "accesses": 15.0, "subjects": 12.0,
			"statistic": 31.5, "threshold": 25.8, "title": "Credentials that were never issued are accepted", "says": "Someone does something.",
			"severity": "high", "technique": "T1606", "link": "https://whosaw.shop.example/findings/f-0007"}}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if err := l.d.Test(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	p = receive(t, got)
	verify(t, p, testKey)
	if err := json.Unmarshal(p.body, &e); err != nil || e["type"] != "io.whosaw.test.v1" || e["data"].(map[string]any)["test"] != true {
		t.Errorf("test event %s, %v", p.body, err)
	}
}

// The server fails in each way that a later try can mend: the same body comes again under the same id.
func TestWebhookComesAgainUnderTheSameID(t *testing.T) {
	s, got := hook(t, func(n int) int { return []int{0, 500, 503, 429, 408, 404, 204}[min(n, 6)] })
	path := filepath.Join(t.TempDir(), "state.db")
	c := alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{URL: s.URL, SecretFile: write(t, testKey)}}
	l := runLive(t, path, c)
	l.raise(key(1))
	var first post
	for n := range 5 {
		p := receive(t, got)
		verify(t, p, testKey)
		if n == 0 {
			first = p
		}
		if string(p.body) != string(first.body) || p.header.Get("webhook-id") != "f-0001" {
			t.Errorf("try %d differs", n)
		}
	}
	l.stop() // a refused one is asked again at the next start
	l = runLive(t, path, c)
	receive(t, got)
	l.stop()
	l = runLive(t, path, c)
	ds, err := l.d.Deliveries(t.Context(), "f-0001")
	if err != nil || len(ds) != 1 || ds[0].State != "sent" || ds[0].Attempts != 6 || ds[0].Sent == nil || ds[0].Error != "" {
		t.Errorf("deliveries %+v, %v", ds, err)
	}
}

// A hook that is not there when the alarm is raised is told when it comes up, by itself.
func TestDeadWebhookComesBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{URL: "http://" + address}})
	l.raise(key(1), key(2))
	if err := l.d.Test(t.Context(), "w"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("test of a dead hook gave %v", err)
	}
	got := make(chan string, 10)
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("the port was taken by somebody else")
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("webhook-id") })}
	go server.Serve(again)
	defer server.Close()
	ids := map[string]bool{receive(t, got): true, receive(t, got): true}
	if !ids["f-0001"] || !ids["f-0002"] {
		t.Errorf("told %v", ids)
	}
}

func TestHTTPAnswers(t *testing.T) {
	elsewhere, leaked := hook(t, nil)
	for code, want := range map[int]string{
		301: "redirects are not followed", 307: "redirects are not followed", 400: "answered 400", 401: "check the address and the secret",
		403: "check the address", 404: "not in use", 410: "not in use", 413: "answered 413", 429: "answered 429", 500: "answered 500",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
			fmt.Fprint(w, "topsecret answer")
		}))
		err := send(t, alarm.ChannelConfig{Webhook: &alarm.WebhookConfig{URL: s.URL + "/path-secret"}})
		s.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d gave %v, want %q", code, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret answer") || strings.Contains(err.Error(), "path-secret")) {
			t.Errorf("%d: the error repeats what it must not: %v", code, err)
		}
	}
	select {
	case <-leaked:
		t.Error("a redirect was followed")
	default:
	}
}

func TestTLSIsVerified(t *testing.T) {
	cert, ca := authority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that we mean to fail
	s.StartTLS()
	defer s.Close()
	if err := send(t, alarm.ChannelConfig{Webhook: &alarm.WebhookConfig{URL: s.URL, CAFile: ca}}); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	err := send(t, alarm.ChannelConfig{Webhook: &alarm.WebhookConfig{URL: s.URL}})
	if err == nil || !strings.Contains(err.Error(), "signed by nobody known: name its authority with ca_file") {
		t.Errorf("without: %v", err)
	}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	err = send(t, alarm.ChannelConfig{Webhook: &alarm.WebhookConfig{URL: "https://localhost:" + port, CAFile: ca}})
	if err == nil || !strings.Contains(err.Error(), "for another name") {
		t.Errorf("under another name: %v", err)
	}
}

// What the configuration and the error hold of a hook's address is not its path.
func TestSlack(t *testing.T) {
	s, got := hook(t, nil)
	l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "s", Slack: &alarm.SlackConfig{URLFile: write(t, s.URL+"/services/T0/B0/hookpass")}})
	f := key(1)
	f.Finding.Unit, f.Finding.Says = "key:<!channel> & *x*", "Someone uses <http://evil|this> @here."
	l.raise(f)
	var body struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(receive(t, got).body, &body); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"*Credentials that were never issued are accepted: key &lt;!channel&gt; &amp; ∗x∗*\n", "15 accesses; the data of 12 customers was shown",
		"<https://whosaw.shop.example/findings/f-0001|Judge it>", "Nobody has judged this yet."} {
		if !strings.Contains(body.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, body.Text)
		}
	}
	for _, bad := range []string{"<!", "<http:", "@here"} {
		if strings.Contains(body.Text, bad) {
			t.Errorf("the text holds %q:\n%s", bad, body.Text)
		}
	}
	s.Close()
	err := l.d.Test(t.Context(), "s")
	if err == nil || strings.Contains(err.Error(), "hookpass") {
		t.Errorf("the error of a dead hook: %v", err)
	}
}

func TestOCSF(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "findings.json")
	if err := os.WriteFile(file, []byte(`{"cut off by a cra`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := runLive(t, filepath.Join(dir, "state.db"), alarm.ChannelConfig{Name: "f", File: &alarm.FileConfig{Path: file}})
	if err := l.d.Test(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	s, got := hook(t, nil)
	l.stop()
	l = runLive(t, filepath.Join(dir, "state.db"), alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{URL: s.URL, Format: "ocsf", SecretFile: write(t, testKey)}})
	f := finding(1, "key_state", "ip:203.0.113.7", 4321)
	f.Finding.Technique = "T1552.004"
	l.raise(f)
	p := receive(t, got)
	verify(t, p, testKey)
	if p.header.Get("Content-Type") != "application/json" {
		t.Error(p.header)
	}
	lines := strings.Split(read(t, file), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("the file has %d lines: %q", len(lines), lines)
	}
	checkOCSF(t, p.body)
	checkOCSF(t, []byte(lines[1]))
	var e map[string]any
	if err := json.Unmarshal(p.body, &e); err != nil {
		t.Fatal(err)
	}
	info := e["finding_info"].(map[string]any)
	want := map[string]any{"uid": "f-0001", "title": "A key is accepted that should not be", "desc": "Someone does something.",
		"created_time": e["time"], "last_seen_time": 1_760_000_000_001.0, "src_url": "https://whosaw.shop.example/findings/f-0001",
		"analytic": map[string]any{"name": "key_state", "type_id": 3.0, "type": "Statistical"},
		"attacks":  []any{map[string]any{"technique": map[string]any{"uid": "T1552"}, "sub_technique": map[string]any{"uid": "T1552.004"}}}}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("finding_info (-want +got):\n%s", diff)
	}
	if e["severity_id"] != 5.0 || e["is_alert"] != true || e["evidences"].([]any)[0].(map[string]any)["src_endpoint"].(map[string]any)["ip"] != "203.0.113.7" {
		t.Errorf("%s", p.body)
	}
	if err := json.Unmarshal([]byte(lines[1]), &e); err != nil || e["is_alert"] != false || e["severity_id"] != 1.0 {
		t.Errorf("test: %s", lines[1])
	}
}

// checkOCSF holds an event against what the schema requires of a Detection Finding: the members, their types, and the numbers that
// follow from each other.
func checkOCSF(t *testing.T, body []byte) {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"activity_id": 1, "category_uid": 2, "class_uid": 2004, "type_uid": 200401, "status_id": 1} {
		if e[name] != want {
			t.Errorf("%s is %v, want %v", name, e[name], want)
		}
	}
	at, _ := e["time"].(float64)
	if d := time.Since(time.UnixMilli(int64(at))); d < -time.Minute || d > time.Minute {
		t.Errorf("time %v is not milliseconds of now", e["time"])
	}
	if id, _ := e["severity_id"].(float64); id < 1 || id > 5 {
		t.Errorf("severity_id %v", e["severity_id"])
	}
	meta, _ := e["metadata"].(map[string]any)
	product, _ := meta["product"].(map[string]any)
	if meta["version"] != "1.5.0" || product["name"] != "whosaw" || product["vendor_name"] != "whosaw" || product["version"] != "1.2.3" {
		t.Errorf("metadata %v", meta)
	}
	info, _ := e["finding_info"].(map[string]any)
	if info["uid"] == "" || info["uid"] == nil || info["title"] == "" || info["title"] == nil || info["uid"] != meta["uid"] {
		t.Errorf("finding_info %v", info)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The file may be rotated between two messages, and is not readable by others.
func TestFileRotates(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "findings.json")
	l := runLive(t, filepath.Join(dir, "state.db"), alarm.ChannelConfig{Name: "f", File: &alarm.FileConfig{Path: file, Format: "cloudevents"}})
	if err := l.d.Test(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.d.Test(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := strings.Count(read(t, file+".1"), "\n"), strings.Count(read(t, file), "\n"); a != 1 || b != 2 {
		t.Errorf("%d and %d lines", a, b)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Nothing that could name a customer leaves in any form.
func TestNoCustomerIsNamed(t *testing.T) {
	s, got := hook(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "findings.json")
	relay, mails := newRelay(t, relayOptions{})
	udp, datagrams := udpSink(t)
	chat, texts := hook(t, nil)
	l := runLive(t, filepath.Join(dir, "state.db"),
		alarm.ChannelConfig{Name: "w", Webhook: &alarm.WebhookConfig{URL: s.URL}},
		alarm.ChannelConfig{Name: "f", File: &alarm.FileConfig{Path: file}},
		alarm.ChannelConfig{Name: "m", Mail: &alarm.MailConfig{Host: "127.0.0.1", Port: relay, Security: "none", From: "whosaw@shop.example", To: []string{"oncall@shop.example"}}},
		alarm.ChannelConfig{Name: "u", Syslog: &alarm.SyslogConfig{Transport: "udp", Address: udp}},
		alarm.ChannelConfig{Name: "s", Slack: &alarm.SlackConfig{URLFile: write(t, chat.URL)}})
	no := false
	term := func(f *alarm.Raised, t whosaw.Term) { f.Finding.Filter = whosaw.Filter{t} }
	canary := finding(1, "canary", "principal:customer:88123", 3)
	canary.Finding.Says = `A planted customer was opened by someone claiming to be "customer:88123".`
	term(&canary, whosaw.Term{Principal: []string{"customer:88123"}, Explained: &no})
	staff := finding(2, "traversal", "principal:staff:kim.lee", 3)
	staff.Finding.Says = `Someone behind principal "staff:kim.lee" opens customers.`
	term(&staff, whosaw.Term{Principal: []string{"staff:kim.lee"}})
	narrow := finding(3, "nonexistent", "ip:198.51.100.9", 3)
	term(&narrow, whosaw.Term{IP: []string{"198.51.100.9"}, Subject: []string{"77001", "77002"}, Credential: []string{"cred-abcdef"}})
	credential := finding(4, "unissued", "credential:cred-abcdef", 3)
	credential.Finding.Says = `Someone uses credential "cred-abcdef".`
	term(&credential, whosaw.Term{Credential: []string{"cred-abcdef"}})
	service := finding(5, "traversal", "principal:service:export", 3)
	service.Finding.Says = `Someone behind principal "service:export" opens customers.`
	term(&service, whosaw.Term{Principal: []string{"service:export"}})
	l.raise(canary, staff, narrow, credential, service)

	var all []string
	for range 5 {
		all = append(all, string(receive(t, got).body), receive(t, mails).data, receive(t, datagrams), string(receive(t, texts).body))
	}
	l.stop()
	all = append(all, read(t, file))
	everything := strings.Join(all, "\n")
	for _, bad := range []string{"88123", "kim.lee", "77001", "77002", "cred-abcdef"} {
		if strings.Contains(everything, bad) {
			t.Errorf("%s left the machine", bad)
		}
	}
	for _, good := range []string{"service:export", "principal:customer:(withheld)", "principal:staff:(withheld)", "credential:(withheld)", "198.51.100.9",
		`"withheld":{"credential":1,"subject":2}`, `"withheld":{"principal":1}`, "Who it is is not established."} {
		if !strings.Contains(everything, good) {
			t.Errorf("%s is missing", good)
		}
	}
}
