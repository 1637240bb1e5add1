package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/keys"
)

// vaultAudit is the response entry of an export of the transit key "backup" by a person.
func vaultAudit(at time.Time, who string) string {
	return fmt.Sprintf(`{"time":%q,"type":"response","auth":{"accessor":"hmac-sha256:77a0","display_name":%q,"policies":["default"],"token_type":"service"},"request":{"id":"8a7c-%d","operation":"read","mount_type":"transit","path":"transit/export/signing-key/backup/1","remote_address":"10.0.0.7"},"response":{"mount_type":"transit","data":{"keys":{"1":"hmac-sha256:9f"}}}}`+"\n",
		at.UTC().Format(time.RFC3339Nano), who, at.UnixNano())
}

// honest gives honest sessions of the key "main", one a quarter of an hour.
func honest(from, to time.Time) string {
	var b strings.Builder
	i := 0
	for at := from; at.Before(to); at = at.Add(15 * time.Minute) {
		i++
		id := 1 + i%300
		fmt.Fprintf(&b, `{"type":"issuance","time":%d,"credential":"c%d-%d","key":"main","subject":"%d"}`+"\n", at.UnixMilli(), from.Unix(), i, id)
		fmt.Fprintf(&b, `{"time":%d,"route":"GET /me","status":200,"fields":["name"],"subject":"%d","principal":"customer:%d","credential":"c%d-%d","key":"main","ip":"198.18.0.%d"}`+"\n",
			at.Add(time.Second).UnixMilli(), id, id, from.Unix(), i, id%250)
	}
	return b.String()
}

// send posts lines of a source to a server.
func (c *child) send(t *testing.T, secret, source, lines string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.url+"/v1/records?source="+source, strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got api.Received
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Rejected != 0 || got.Accepted == 0 {
		t.Fatalf("records of %s: %+v, %v", source, got, err)
	}
}

// TestTheLeaversKey is the case as a story. An engineer exports the backup key (the audit log of Vault tells), leaves, all accounts are
// closed, and the key is not replaced: the policy is broken within the hour after its time is over, the offboarding is open and overdue,
// and the first forged use is a finding. In the other house the offboarding is worked, and closes only because the guard refuses each item.
func TestTheLeaversKey(t *testing.T) {
	for _, worked := range []bool{false, true} {
		t.Run(fmt.Sprintf("worked %v", worked), func(t *testing.T) {
			l := newLeaver(t)
			now := time.Now().Truncate(time.Second)
			at := func(days float64) time.Time { return now.Add(time.Duration(days * 24 * float64(time.Hour))) }
			l.run("keys", "policy", "--rotate-within", "24h", "--no-human-readers", "--reason", "the house rules")
			l.send("house", fmt.Sprintf(`{"type":"key","time":%d,"key":"backup","state":"active","person":"lee","use":"the backup log-in"}`+"\n", at(-30).UnixMilli()))
			l.send("shop", honest(at(-30), at(-20)))
			l.send("vault", vaultAudit(at(-20), "oidc-kim.s@shop.example"))
			l.send("shop", honest(at(-20), at(-12)))
			if worked {
				l.send("shop", honest(at(-12), at(-1)))
				l.run("people", "leave", "kim", "--principal", "staff:ksy")
				l.run("keys", "rotate", "backup", "--to", "backup-2", "--reason", "kim has left")
			} else { // the accounts were closed, and that is all
				l.send("house", fmt.Sprintf(`{"type":"person","time":%d,"person":"kim","state":"left","principals":["staff:kim","staff:ksy"]}`+"\n", at(-12).UnixMilli()))
				l.send("shop", honest(at(-12), at(-1)))
			}
			var k keys.Key
			decode(t, l.run("keys", "show", "backup", "--json"), &k)
			if len(k.Readers) != 1 || k.Readers[0].Who != "kim" || k.Readers[0].Exported != 1 || k.Readers[0].Typed != 0 || k.Readers[0].Left == 0 {
				t.Errorf("who read the key: %+v", k.Readers)
			}
			if worked {
				l.closes()
				l.refused(forge(t, l.stolen, "backup"))
				return
			}
			l.broken(at(-11))
			l.overdue()
			l.send("shop", fmt.Sprintf(`{"time":%d,"route":"GET /me","status":200,"fields":["name"],"subject":"77","principal":"customer:77","credential":"forged-1","key":"backup","ip":"203.0.113.9"}`+"\n", at(-1).UnixMilli()))
			first := false
			for _, f := range l.found() {
				first = first || f.Detector == "offboarded" && f.Unit == "key:backup" && f.Accesses == 1
			}
			if !first {
				t.Errorf("the first forged use is no finding: %v", l.found())
			}
		})
	}
}

// leaver is a house with a server, and the key that somebody took with them.
type leaver struct {
	t      *testing.T
	c      *child
	dir    string
	secret string
	stolen *ecdsa.PrivateKey
}

func newLeaver(t *testing.T) *leaver {
	t.Helper()
	l := &leaver{t: t, dir: filepath.Join(t.TempDir(), "data")}
	jwks := filepath.Join(t.TempDir(), "jwks.json")
	var public string
	l.stolen, public = pair(t, "backup")
	_, login := pair(t, "main")
	if err := os.WriteFile(jwks, []byte(`{"keys":[`+login+`,`+public+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l.c = startServer(t, l.dir, `keys:
  material: [{key: backup, vault: [transit/keys/backup]}]
  people: [{person: kim, as: [oidc-kim.s@shop.example]}]
ingest:
  sources: [{name: vault, format: vault}]
guard:
  mode: enforce
  doors: [{name: api, kind: decide}]
  tokens:
    issuers: [{issuer: https://login.shop.example, jwks_file: `+jwks+`, algorithms: [ES256]}]
`)
	l.secret = strings.TrimSpace(l.run("token", "create", "all", "--source", "*", "--types", "access,issuance,key,person"))
	return l
}

func (l *leaver) run(args ...string) string {
	l.t.Helper()
	stdout, stderr, code := whosawRun(l.t, append(args, "--data", l.dir)...)
	if code != exitOK {
		l.t.Fatalf("%v: exit %d\n%s", args, code, stderr)
	}
	return stdout
}

func (l *leaver) send(source, lines string) {
	l.t.Helper()
	l.c.send(l.t, l.secret, source, lines)
}

func (l *leaver) found() []api.Found {
	l.t.Helper()
	var list struct{ Findings []api.Found }
	decode(l.t, l.run("finding", "list", "--json"), &list)
	return list.Findings
}

// broken holds the policy's finding against when the time for the rotation was over.
func (l *leaver) broken(over time.Time) {
	l.t.Helper()
	for _, f := range l.found() {
		if f.Detector != "key_policy" || !strings.HasPrefix(f.Says, `Key "backup" could be read by a person who left on`) {
			continue
		}
		if got := time.UnixMilli(int64(f.Time)).Sub(over).Abs(); got > time.Second || time.Duration(f.Seen-f.Time)*time.Millisecond > time.Hour+time.Minute {
			l.t.Errorf("the breach is of %v, seen at %v; the time was over at %v", f.Time, f.Seen, over)
		}
		return
	}
	l.t.Errorf("the policy is not broken: %v", l.found())
}

// overdue holds that the offboarding is open, and that somebody is told. It is looked for once a minute, first at the start.
func (l *leaver) overdue() {
	l.t.Helper()
	var o keys.Offboarding
	decode(l.t, l.run("offboarding", "show", "kim", "--json"), &o)
	if o.State != "open" || !o.Overdue || o.Open != 3 {
		l.t.Errorf("the offboarding: %+v", o)
	}
	if err := l.c.terminate(); err != nil {
		l.t.Fatal(err)
	}
	l.c = startServer(l.t, l.dir, "")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		for _, f := range l.found() {
			if f.Detector == "offboarding" && !strings.Contains(f.Says, "kim") {
				return
			}
		}
	}
	l.t.Error("nobody is told of the overdue offboarding")
}

// closes works the offboarding to its end.
func (l *leaver) closes() {
	t := l.t
	_, stderr, code := whosawRun(t, "offboarding", "close", "kim", "--reason", "done", "--data", l.dir)
	if code != exitFailed || !strings.Contains(stderr, "principal:staff:kim is not done") {
		t.Errorf("it closed with accounts open: exit %d %s", code, stderr)
	}
	l.run("offboarding", "revoke", "kim", "--reason", "her last day")
	var o keys.Offboarding
	decode(t, l.run("offboarding", "close", "kim", "--reason", "all tried", "--json"), &o)
	if o.State != "closed" || o.Closed == nil || !strings.HasPrefix(o.Closed.Tried, "3 tried at the guard") {
		t.Fatalf("%+v", o)
	}
	for _, i := range o.Items {
		if i.Tried == nil || !i.Tried.Refused || i.Tried.How != "guard" {
			t.Errorf("%s: %+v", i.Item, i.Tried)
		}
	}
	if preview, stderr, code := whosawRun(t, "keys", "kill", "main", "--data", l.dir); code != exitOK || preview != "" || !strings.Contains(stderr, "nothing was done") {
		t.Errorf("kill without --yes: exit %d %s", code, stderr)
	}
	if _, stderr, code := whosawRun(t, "keys", "kill", "backup", "--yes", "--reason", "not needed any more", "--data", l.dir); code != exitOK || !strings.Contains(stderr, "within 60 seconds") {
		t.Errorf("kill: exit %d %s", code, stderr)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// refused asks the guard's door with a credential that the leaver forged: its signature is good.
func (l *leaver) refused(token string) {
	t := l.t
	body := `{"door":"api","route":"GET /me","subjects":["77"],"ip":"203.0.113.9","credential":"` + token + `"}`
	req, err := http.NewRequestWithContext(t.Context(), "POST", l.c.url+"/v1/decide", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var d guard.Decision
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil || d.Action != guard.Deny || d.Because() != guard.CodeKeyRevoked || d.Identity.Key != "backup" || !d.Identity.Verified {
		t.Errorf("a forged credential at the door: %s %+v, %v", res.Status, d, err)
	}
}

// pair makes a key: the private one, and the public one as a JWK.
func pair(t *testing.T, kid string) (*ecdsa.PrivateKey, string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.ParsePublicKey(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), kid)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return k, string(text)
}

// forge signs a credential for customer 77 that no log-in ever gave out.
func forge(t *testing.T, k *ecdsa.PrivateKey, kid string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	head := b64([]byte(`{"alg":"ES256","kid":"`+kid+`"}`)) + "." +
		b64(fmt.Appendf(nil, `{"iss":"https://login.shop.example","sub":"77","jti":"forged-2","iat":%d,"exp":%d}`, time.Now().Unix()-5, time.Now().Add(time.Hour).Unix()))
	sum := sha256.Sum256([]byte(head))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return head + "." + b64(sig)
}
