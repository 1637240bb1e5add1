package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
)

var (
	noticePeople    = flag.Int("whosaw.notices", 400, "people of the tests of notices")
	noticeTransport = flag.String("whosaw.noticetransport", "discard:", "where the postfix of TestNoticeSpeed gives the mails on to")
	noticeDKIM      = flag.String("whosaw.noticedkim", "rsa", "what TestNoticeSpeed signs with: rsa, ed25519 or both")
	noticeKills     = flag.Int("whosaw.noticekills", 6, "kills of TestNoticeKill")
)

// inbox is where mail ends up: it knows who got what.
type inbox struct {
	port int

	mu   sync.Mutex
	got  map[string][]string // address to the Message-IDs that came
	all  int
	more chan struct{} // closed and made anew with each mail
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{got: map[string][]string{}, more: make(chan struct{})}
	s := smtp.NewServer(b)
	s.Domain = "inbox.test"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	b.port = l.Addr().(*net.TCPAddr).Port
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return b
}

type delivery struct {
	b  *inbox
	to []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{b: b}, nil }

func (d *delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.to = append(d.to, to)
	return nil
}
func (d *delivery) Reset()        { d.to = nil }
func (d *delivery) Logout() error { return nil }

func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	for _, to := range d.to {
		d.b.got[to] = append(d.b.got[to], m.Header.Get("Message-Id"))
		d.b.all++
	}
	close(d.b.more)
	d.b.more = make(chan struct{})
	return nil
}

// until waits until n mails have come, at most so long; it reports how many have.
func (b *inbox) until(n int, most time.Duration) int {
	end := time.NewTimer(most)
	defer end.Stop()
	for {
		b.mu.Lock()
		all, more := b.all, b.more
		b.mu.Unlock()
		if all >= n {
			return all
		}
		select {
		case <-more:
		case <-end.C:
			return all
		}
	}
}

// shopOf answers the look-up for customers 1, 2, 3 …: each has an address but every 97th.
func shopOf(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ People []notice.Person }
		if r.Header.Get("Authorization") != "Bearer s3cret" || json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		people := make([]map[string]any, 0, len(in.People))
		for _, p := range in.People {
			n, _ := strconv.Atoi(p.ID)
			if n%97 != 0 {
				people = append(people, map[string]any{"id": p.ID, "email": addressOf(p.ID), "name": "Customer " + p.ID, "language": []string{"en", "ko", "ar", "bn"}[n%4]})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"people": people})
	}))
	t.Cleanup(s.Close)
	return s
}

func addressOf(id string) string { return "c" + id + "@customer.example" }

// noticeKit is a server with an incident whose notice is approved, in processes of their own.
type noticeKit struct {
	t      *testing.T
	dir    string
	config string
	server *child
	people int
	inbox  *inbox
}

// relayCertificate makes one for 127.0.0.1 and gives its files.
func relayCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	fatal(t, err)
	keyDER, err := x509.MarshalECPrivateKey(k)
	fatal(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	fatal(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	fatal(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}

// newNoticeKit starts a server, gives it accesses of so many people, and brings the notice to its approval. A second key signs beside the first.
func newNoticeKit(t *testing.T, people, relayPort int, ca, more string, keys ...crypto.Signer) *noticeKit {
	t.Helper()
	k := &noticeKit{t: t, dir: filepath.Join(t.TempDir(), "data"), people: people}
	files := t.TempDir()
	fatal(t, os.WriteFile(filepath.Join(files, "secret"), []byte("s3cret\n"), 0o600))
	dkim := "domain: shop.example"
	for i, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		fatal(t, err)
		file := filepath.Join(files, fmt.Sprintf("dkim%d.pem", i))
		fatal(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
		dkim += fmt.Sprintf(", %[1]sselector: n%[2]d, %[1]skey_file: %[3]s", []string{"", "also_"}[i], i+1, file)
	}
	security := "security: none"
	if ca != "" {
		security = "security: starttls\n    ca_file: " + ca
	}
	k.config = fmt.Sprintf(`notice:
  organisation: {en: Example Shop, ko: 예시몰, ar: متجر المثال, bn: উদাহরণ শপ}
  address: https://shop.example/notice
  languages: [en, ko, ar, bn]
  lookup:
    url: %s
    secret_file: %s
  mail:
    host: 127.0.0.1
    port: %d
    %s
    from: Example Shop <notice@shop.example>
%s    dkim: {%s}
`, shopOf(t).URL, filepath.Join(files, "secret"), relayPort, security, more, dkim)
	k.server = startServer(t, k.dir, k.config)
	k.fill()
	k.approve()
	return k
}

// quickKey signs in a tenth of the time that RSA takes.
func quickKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	fatal(t, err)
	return key
}

var kitFields = []string{"name", "email", "phone", "address", "door_code", "order_history"}

// fill sends the accesses: each person is shown some fields, by their number.
func (k *noticeKit) fill() {
	k.t.Helper()
	var b bytes.Buffer
	send := func() {
		res, err := k.server.r.do(k.t.Context(), "POST", "/v1/records?source=log", &b)
		fatal(k.t, err)
		res.Body.Close()
		b.Reset()
	}
	began := time.Now().Add(-time.Hour).UnixMilli()
	for i := 1; i <= k.people; i++ {
		fields, err := json.Marshal([]string{kitFields[i%len(kitFields)], kitFields[(i/7)%len(kitFields)]})
		fatal(k.t, err)
		fmt.Fprintf(&b, `{"id":"a%d","time":%d,"subject":"%d","route":"GET /me","key":"backup","principal":"customer:%d","fields":%s,"status":200}`+"\n", i, began+int64(i), i, i, fields)
		if i%20_000 == 0 || i == k.people {
			send()
		}
	}
}

func (k *noticeKit) call(method, path string, in, into any) {
	k.t.Helper()
	fatal(k.t, k.server.r.call(k.t.Context(), method, path, in, into))
}

func (k *noticeKit) approve() {
	k.t.Helper()
	k.call("POST", "/v1/incidents", api.IncidentSpec{Title: "the backup key", Note: "a customer wrote"}, nil)
	k.call("POST", "/v1/incidents/1/versions", map[string]any{"filter": map[string]any{"key": []string{"backup"}}, "reason": "by cause"}, nil)
	for _, lang := range []string{"en", "ko", "ar", "bn"} {
		for content, text := range map[string]string{"when_and_how": "2026-11-22", "measures": "2026-11-23", "contact": "privacy@shop.example"} {
			k.call("POST", "/v1/incidents/1/events", api.EventSpec{Kind: incident.Stated, Body: incident.Body{Statement: &incident.Statement{Content: content, Lang: lang, Text: text}}}, nil)
		}
	}
	var n notice.Notice
	k.call("POST", "/v1/incidents/1/notices", api.NoticeSpec{}, &n)
	if n.People != int64(k.people) || len(n.Faults) > 0 {
		k.t.Fatalf("%+v", n)
	}
	var made api.NewToken
	k.call("POST", "/v1/tokens", map[string]any{"name": "second", "role": auth.RoleAdmin}, &made)
	fatal(k.t, callServer(k.t.Context(), k.server.url, made.Secret, "/v1/notices/1/approve", map[string]string{"hash": n.Hash}, &n))
}

func (k *noticeKit) notice() *notice.Notice {
	k.t.Helper()
	var n notice.Notice
	k.call("GET", "/v1/notices/1", nil, &n)
	return &n
}

// settled waits until nothing is being sent, and says every ten seconds how far it is.
func (k *noticeKit) settled(most time.Duration) *notice.Notice {
	k.t.Helper()
	began := time.Now()
	deadline, say := began.Add(most), began.Add(10*time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		n := k.notice()
		if n.State != notice.Sending {
			return n
		}
		if now := time.Now(); now.After(say) {
			k.t.Logf("%s: %d of %d people have an outcome, %d were sent it, %.0f a second now", now.Sub(began).Round(time.Second), n.People-n.Outcomes["waiting"]-n.Outcomes["in_flight"], n.People, n.Outcomes["sent"], n.PerSecond)
			say = now.Add(10 * time.Second)
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("after %s: %+v\n%s", most, n, k.server.log())
		}
		<-tick.C
	}
}

// with gives the ids of people with an outcome.
func (k *noticeKit) with(outcome string) []string {
	k.t.Helper()
	body, err := json.Marshal(api.ExportSpec{Outcomes: []string{outcome}})
	fatal(k.t, err)
	res, err := k.server.r.do(k.t.Context(), "POST", "/v1/notices/1/export", bytes.NewReader(body))
	fatal(k.t, err)
	defer res.Body.Close()
	rows, err := csv.NewReader(res.Body).ReadAll()
	fatal(k.t, err)
	var out []string
	for _, r := range rows[1:] {
		out = append(out, r[1])
	}
	return out
}

// TestNoticeKill sends notices through a real postfix and kills the server at random moments: in the end each person got the notice once, or is one of those who
// were in doubt, and whoever has no address is counted. make notices does it with 100,000 people.
func TestNoticeKill(t *testing.T) {
	box := newInbox(t)
	cert, key := relayCertificate(t)
	relay := startPostfix(t, cert, key, fmt.Sprintf("smtp:[127.0.0.1]:%d", box.port))
	k := newNoticeKit(t, *noticePeople, relay.port, cert, "    connections: 24\n", quickKey(t))
	k.inbox = box
	k.killed(relay)
}

// TestNoticeKillSink is the same through a relay that gives every mail on at once, where there is no postfix.
func TestNoticeKillSink(t *testing.T) {
	box := newInbox(t)
	k := newNoticeKit(t, min(*noticePeople, 400), box.port, "", "", quickKey(t))
	k.inbox = box
	k.killed(nil)
}

// The commands, as a privacy officer and a second person use them.
func TestNoticeCommands(t *testing.T) {
	box := newInbox(t)
	k := newNoticeKit(t, 200, box.port, "", "", quickKey(t)) // its notice 1 is approved
	data := []string{"--data", k.dir}
	says := func(want string, args ...string) string {
		t.Helper()
		out := must(t, append(args, data...)...)
		if !strings.Contains(out, want) {
			t.Errorf("whosaw %s: no %q in\n%s", strings.Join(args, " "), want, out)
		}
		return out
	}
	says("Notice 2, of incident 1, scope version 1: made", "notice", "make", "1")
	says("공동현관", "notice", "preview", "2", "--lang", "ko")
	says(`dir="rtl"`, "notice", "preview", "2", "--lang", "ar", "--html")
	says(`"mailable":`, "notice", "dry", "2", "--people", "50")
	var n notice.Notice
	k.call("GET", "/v1/notices/2", nil, &n)
	if _, stderr, code := whosawRun(t, append([]string{"notice", "approve", "2", "--hash", n.Hash}, data...)...); code == 0 || !strings.Contains(stderr, "a second person approves it") {
		t.Errorf("who made it approved it: %d %s", code, stderr)
	}
	var made api.NewToken
	k.call("POST", "/v1/tokens", map[string]any{"name": "third", "role": auth.RoleAdmin}, &made)
	file := filepath.Join(t.TempDir(), "token")
	fatal(t, os.WriteFile(file, []byte(made.Secret+"\n"), 0o600))
	if out := must(t, "notice", "approve", "2", "--hash", n.Hash, "--server", k.server.url, "--token-file", file); !strings.Contains(out, "approved by token:third") {
		t.Errorf("approve over HTTP: %s", out)
	}
	says("approved", "notice", "sample", "2", "--to", "test@shop.example", "--lang", "bn")
	says("wave_over", "notice", "send", "2", "--size", "50", "--watch")
	says("done", "notice", "send", "2", "--watch")
	out := says("have no address that the shop knows", "notice", "show", "2")
	if !strings.Contains(out, "198 were sent") {
		t.Errorf("%s", out)
	}
	says("approved", "notice", "list")
	says(`"outcome": "sent"`, "notice", "person", "2", "7")
	out = says("no_contact", "notice", "export", "2")
	if strings.Count(out, "https://shop.example/notice") != 2 {
		t.Errorf("exported\n%s", out)
	}
	box.mu.Lock()
	id := box.got[addressOf("7")][0]
	box.mu.Unlock()
	m := &Main{Stdin: strings.NewReader("Message-ID: " + id + "\n"), Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer), Now: time.Now}
	if code := m.Run(t.Context(), append([]string{"notice", "bounced", "2"}, data...)); code != 0 || !strings.Contains(m.Stdout.(*bytes.Buffer).String(), "1 came back") {
		t.Errorf("bounced: %d %s%s", code, m.Stdout, m.Stderr)
	}
	says("people are to be tried again", "notice", "again", "2", "--outcome", "bounced", "--note", "the mailbox is mended")
	says("Notice 2", "notice", "resume", "2")
	says("done", "notice", "watch", "2")
	says("stopped", "notice", "stop", "1", "--note", "notice 2 is the right one")
}

// A backup has the people of notices and what became of each; what is restored sends nothing by itself, since it may not know who had a notice after it.
func TestNoticeRestore(t *testing.T) {
	box := newInbox(t)
	k := newNoticeKit(t, 60, box.port, "", "", quickKey(t))
	k.call("POST", "/v1/notices/1/send", api.WaveSpec{Size: 30}, nil)
	if n := k.settled(time.Minute); n.Outcomes["sent"] != 30 {
		t.Fatalf("%+v", n)
	}
	k.call("POST", "/v1/notices/1/send", api.WaveSpec{Rate: 5}, nil) // it is being sent while it is copied
	to, again := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "again")
	must(t, "backup", "--data", k.dir, "--to", to)
	k.server.kill()
	must(t, "restore", "--from", to, "--data", again)
	k.dir = again
	k.server = startServer(t, again, k.config)
	n := k.notice()
	if n.State != notice.Paused || !strings.Contains(n.Why, "restored from a backup") || n.Outcomes["sent"] < 30 || n.People != 60 {
		t.Fatalf("%+v", n)
	}
	k.call("POST", "/v1/notices/1/acts", api.NoticeAct{Do: "resume"}, nil)
	if n = k.settled(time.Minute); n.Outcomes["sent"]+n.Outcomes["in_doubt"] != 60 {
		t.Errorf("%+v", n)
	}
}

// TestNoticeSpeed measures how many notices an hour a real postfix takes from a real server. It is held to 500,000 where there are people enough to measure.
func TestNoticeSpeed(t *testing.T) {
	cert, key := relayCertificate(t)
	relay := startPostfix(t, cert, key, *noticeTransport)
	// As most domains sign: it is half of what a mail costs here.
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	fatal(t, err)
	keys, ok := map[string][]crypto.Signer{"rsa": {rsaKey}, "ed25519": {quickKey(t)}, "both": {rsaKey, quickKey(t)}}[*noticeDKIM]
	if !ok {
		t.Fatalf("-whosaw.noticedkim=%s: give rsa, ed25519 or both", *noticeDKIM)
	}
	k := newNoticeKit(t, *noticePeople, relay.port, cert, "    connections: 40\n", keys...)
	fatal(t, k.server.terminate()) // so that its processor time is that of the sending
	k.server = startServer(t, k.dir, k.config)
	began := time.Now()
	k.call("POST", "/v1/notices/1/send", api.WaveSpec{}, nil)
	n := k.settled(time.Hour)
	took := time.Since(began)
	fatal(t, k.server.terminate())
	each := func(d time.Duration) time.Duration {
		return (d / time.Duration(n.Outcomes["sent"])).Round(time.Microsecond)
	}
	state := k.server.cmd.ProcessState
	hour := float64(n.Outcomes["sent"]) / took.Seconds() * 3600
	t.Log(table(
		"people", figure.Int(int64(k.people)),
		"taken by postfix", fmt.Sprintf("%s in %s (then %s)", figure.Int(n.Outcomes["sent"]), took.Round(time.Millisecond), *noticeTransport),
		"no address", figure.Int(n.Outcomes["no_contact"]),
		"in doubt", figure.Int(n.Outcomes["in_doubt"]),
		"an hour", figure.Int(int64(hour)),
		"signed with", *noticeDKIM,
		"processor time each", fmt.Sprintf("whosaw %s, postfix %s", each(state.UserTime()+state.SystemTime()), each(relay.stop())),
	))
	if n.State != notice.Done || n.Outcomes["sent"] != int64(k.people-k.people/97) {
		t.Errorf("%s: %v", n.State, n.Outcomes)
	}
	if k.people >= 10_000 && hour < 500_000 {
		t.Errorf("%.0f an hour is less than 500,000", hour)
	}
}

// table sets names and what they are below one another.
func table(cells ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(cells); i += 2 {
		fmt.Fprintf(&b, "\n    %-46s %s", cells[i], cells[i+1])
	}
	return b.String()
}

func (k *noticeKit) killed(relay *postfix) {
	t := k.t
	random := mathrand.New(mathrand.NewPCG(uint64(time.Now().UnixNano()), 1))
	began := time.Now()
	k.call("POST", "/v1/notices/1/send", api.WaveSpec{}, nil)
	var marks []int
	for range *noticeKills {
		marks = append(marks, random.IntN(k.people*9/10))
	}
	slices.Sort(marks)
	kills := 0
	for _, mark := range marks {
		for k.inbox.until(mark, time.Second) < mark && k.notice().State == notice.Sending {
		}
		if k.notice().State != notice.Sending {
			break // it was through before
		}
		k.server.kill()
		kills++
		t.Logf("kill %d after %s, when %d of %d had come", kills, time.Since(began).Round(time.Second), k.inbox.until(0, 0), k.people)
		k.server = startServer(t, k.dir, k.config)
	}
	n := k.settled(time.Hour)
	doubt := n.Outcomes["in_doubt"]
	unsure := map[string]bool{}
	for _, id := range k.with("in_doubt") {
		unsure[id] = true
	}
	missing := k.people / 97
	if n.Outcomes["no_contact"] != int64(missing) || n.Outcomes["sent"]+doubt+int64(missing) != int64(k.people) || int64(len(unsure)) != doubt {
		t.Fatalf("the outcomes do not add up to %d people: %v", k.people, n.Outcomes)
	}
	took := time.Since(began)
	// The relay has what it took; it delivers it in its own time. Mails of those in doubt come among the others, so mails are not counted but people.
	arrived := k.inbox.until(int(n.Outcomes["sent"]), 5*time.Minute)
	lost, twice, ofDoubt := k.count(unsure)
	for deadline := time.Now().Add(5 * time.Minute); lost > 0 && time.Now().Before(deadline); lost, twice, ofDoubt = k.count(unsure) {
		arrived = k.inbox.until(arrived+1, time.Second)
	}
	if lost > 0 || twice > 0 {
		t.Errorf("%d of those who were sent one got none, and %d got more than one", lost, twice)
	}
	said := []string{
		"people", figure.Int(int64(k.people)),
		"kill -9 while it was sent", figure.Int(int64(kills)),
		"sent", figure.Int(n.Outcomes["sent"]),
		"no address", figure.Int(int64(missing)),
		"in doubt", fmt.Sprintf("%s, of whom %s had it", figure.Int(doubt), figure.Int(int64(ofDoubt))),
		"sent, but it never came", figure.Int(int64(lost)),
		"came twice", figure.Int(int64(twice)),
		"mails that arrived, after", fmt.Sprintf("%s, %s", figure.Int(int64(arrived)), took.Round(time.Second)),
	}

	// Sent again by choice: everybody has it, at most those in doubt twice, and then under the same id.
	if doubt > 0 {
		k.call("POST", "/v1/notices/1/acts", api.NoticeAct{Do: "again", Outcome: "in_doubt", Note: "better twice than never"}, nil)
		k.call("POST", "/v1/notices/1/acts", api.NoticeAct{Do: "resume"}, nil)
		n = k.settled(time.Hour)
	}
	if n.State != notice.Done || n.Outcomes["sent"]+int64(missing) != int64(k.people) {
		t.Fatalf("%s: %v", n.State, n.Outcomes)
	}
	k.inbox.until(k.people-missing+ofDoubt, time.Minute)
	again, none, wrong := k.everybody(unsure)
	t.Log(table(append(said,
		"then those in doubt sent again: had it twice", fmt.Sprintf("%d, each under one Message-ID", again),
		"then had none though there is an address", figure.Int(int64(none)),
		"then had two and was never in doubt", figure.Int(int64(wrong)))...))
	if relay != nil && t.Failed() {
		t.Log(relay.log())
	}
	k.onRecord(kills)
}

// everybody looks at what each person got in the end: how many of those who were in doubt got it twice, who got none, who got two though nobody chose that.
func (k *noticeKit) everybody(unsure map[string]bool) (again, none, wrong int) {
	t := k.t
	k.inbox.mu.Lock()
	defer k.inbox.mu.Unlock()
	for i := 1; i <= k.people; i++ {
		id := strconv.Itoa(i)
		got := k.inbox.got[addressOf(id)]
		if unsure[id] && len(got) > 1 {
			again++
		}
		switch {
		case i%97 == 0 && len(got) > 0:
			t.Errorf("%s has no address and got %d", id, len(got))
		case i%97 != 0 && len(got) == 0:
			none++
			t.Errorf("%s got none", id)
		case len(got) > 1 && !unsure[id]:
			wrong++
			t.Errorf("%s got %d and was never in doubt", id, len(got))
		case len(slices.Compact(slices.Clone(got))) > 1:
			t.Errorf("%s got mails with several ids: %q", id, got)
		}
	}
	return again, none, wrong
}

// count gives how many who are not in doubt got none, or more than one, and how many of those in doubt got it.
func (k *noticeKit) count(unsure map[string]bool) (lost, twice, ofDoubt int) {
	k.inbox.mu.Lock()
	defer k.inbox.mu.Unlock()
	for i := 1; i <= k.people; i++ {
		id := strconv.Itoa(i)
		got := len(k.inbox.got[addressOf(id)])
		switch {
		case unsure[id]:
			if got > 1 {
				twice++
			}
			ofDoubt += min(got, 1)
		case i%97 != 0 && got == 0:
			lost++
		case got > 1:
			twice++
		}
	}
	return lost, twice, ofDoubt
}

// onRecord checks that what was done is in the incident, and that no contact stayed behind.
func (k *noticeKit) onRecord(kills int) {
	var in api.IncidentAnswer
	k.call("GET", "/v1/incidents/1", nil, &in)
	did := map[string]int{}
	for _, e := range in.Timeline {
		if e.Kind == incident.Noticed {
			did[e.Title]++
		}
	}
	if did["made"] != 1 || did["approved"] != 1 || did["wave"] != 1 || did["done"] != 1 || did["in doubt"] > kills {
		k.t.Errorf("on record is %v", did)
	}
	fatal(k.t, k.server.terminate())
	fatal(k.t, filepath.WalkDir(k.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && (bytes.Contains(data, []byte("customer.example")) || bytes.Contains(data, []byte("s3cret"))) {
			k.t.Errorf("%s holds contact data or the secret", filepath.Base(path))
		}
		return err
	}))
	if strings.Contains(k.server.log(), "customer.example") {
		k.t.Error("the log holds contact data")
	}
}
