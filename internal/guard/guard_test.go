package guard_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

// What is issued passes; what only has a valid signature does not.
func TestIssued(t *testing.T) {
	w := newWorld(t)
	w.addKey("backup")
	w.complete()
	token := w.issue("jti-1", "7")
	for range 2 { // checked, then remembered
		d := w.want(ask(token), guard.Allow, guard.CodeOK)
		if d.Identity.Principal != "customer:7" || d.Identity.Credential != "jti-1" || !d.Identity.Issued || d.Route != "GET /me/addresses" {
			t.Errorf("identity %+v on route %s", d.Identity, d.Route)
		}
	}
	forged := w.token("main", w.claims("jti-forged", "8"))
	for range 2 {
		if d := w.want(ask(forged), guard.Deny, guard.CodeUnissued); d.Status() != 401 {
			t.Errorf("a credential that was never issued is answered with %d: its holder should log in", d.Status())
		}
	}
	// A copied id under another name, or another key, was not issued either.
	w.want(ask(w.token("main", w.claims("jti-1", "8"))), guard.Deny, guard.CodeUnissued)
	w.want(ask(w.token("backup", w.claims("jti-1", "7"))), guard.Allow, guard.CodeOK) // no feed for that key
}

// Nobody gets in with what is none of the issuer's.
func TestInvalidTokens(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Tokens.Issuers[0].Audience = []string{"shop"} })
	w.complete()
	ok := w.claims("jti-1", "7")
	ok["aud"] = "shop"
	w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":"jti-1","key":"main","subject":"7"}`, time.Now().UnixMilli()))
	w.want(ask(w.token("main", ok)), guard.Allow, guard.CodeOK)
	with := func(name string, value any) map[string]any {
		c := map[string]any{}
		for k, v := range ok {
			c[k] = v
		}
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
		return c
	}
	now := time.Now().Unix()
	good := string(w.token("main", ok))
	parts := strings.Split(good, ".")
	flipped := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuerName+`","sub":"8","exp":99999999999}`)) + "." + parts[2]
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"main"}`)) + "." + parts[1] + "."
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := json.Marshal(jose.JSONWebKey{Key: w.keys["main"].Public(), KeyID: "main"})
	if err != nil {
		t.Fatal(err)
	}
	point, err := w.keys["main"].PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	stranger := newWorld(t)
	for name, c := range map[string]struct {
		token guard.Secret
		code  guard.Code
	}{
		"empty signature":               {guard.Secret(parts[0] + "." + parts[1] + "."), guard.CodeSignature},
		"other claims, same signature":  {guard.Secret(flipped), guard.CodeSignature},
		"alg none":                      {guard.Secret(none), guard.CodeMalformed},
		"public key as shared secret":   {sign(t, jose.HS256, jose.JSONWebKey{Key: point, KeyID: "main"}, ok), guard.CodeMalformed},
		"JWK text as shared secret":     {sign(t, jose.HS256, jose.JSONWebKey{Key: pub, KeyID: "main"}, ok), guard.CodeMalformed},
		"algorithm that is not pinned":  {sign(t, jose.RS256, jose.JSONWebKey{Key: rsaKey, KeyID: "main"}, ok), guard.CodeSignature},
		"another's key under that id":   {stranger.token("main", ok), guard.CodeSignature},
		"no key id":                     {sign(t, jose.ES256, w.keys["main"], ok), guard.CodeUnknownKey},
		"key that the issuer lacks":     {sign(t, jose.ES256, jose.JSONWebKey{Key: w.keys["main"], KeyID: "other"}, ok), guard.CodeUnknownKey},
		"another issuer":                {w.token("main", with("iss", "https://evil.example")), guard.CodeSignature},
		"no issuer":                     {w.token("main", with("iss", nil)), guard.CodeSignature},
		"over":                          {w.token("main", with("exp", now-1)), guard.CodeExpired},
		"without end":                   {w.token("main", with("exp", nil)), guard.CodeExpired},
		"not yet":                       {w.token("main", with("nbf", now+600)), guard.CodeExpired},
		"issued tomorrow":               {w.token("main", with("iat", now+86400)), guard.CodeExpired},
		"for another service":           {w.token("main", with("aud", "bank")), guard.CodeAudience},
		"for nobody":                    {w.token("main", with("aud", nil)), guard.CodeAudience},
		"no token at all":               {"hello", guard.CodeMalformed},
		"longer than any":               {guard.Secret(strings.Repeat("a", 20_000)), guard.CodeMalformed},
		"subject as an object":          {w.token("main", with("sub", map[string]any{"a": 1})), guard.CodeMalformed},
		"claims that are no object":     {guard.Secret(parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`[]`)) + "." + parts[2]), guard.CodeMalformed},
		"two words":                     {guard.Secret("Basic " + good), guard.CodeMalformed},
		"longer subject than any taken": {w.token("main", with("sub", strings.Repeat("7", 1000))), guard.CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			d := w.g.Decide(t.Context(), ask(c.token))
			if d.Action != guard.Deny || d.Because() != c.code {
				t.Errorf("got %s because of %v, want deny because of %s", d.Action, d.Reasons, c.code)
			}
			if d.Identity.Verified && c.code != guard.CodeExpired && c.code != guard.CodeAudience && c.code != guard.CodeMalformed {
				t.Errorf("called verified: %+v", d.Identity)
			}
		})
	}
	w.want(ask(guard.Secret("Bearer "+good)), guard.Allow, guard.CodeOK)
	w.want(ask(""), guard.Allow, guard.CodeAnonymous)
}

// Keys that could serve as secrets, that are weak, or that are not for signatures are no keys of an issuer.
func TestKeysThatAreNotTaken(t *testing.T) {
	w := newWorld(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no weak keys: ", err)
	}
	w.publish(
		jose.JSONWebKey{Key: []byte("a secret that everybody can read in a public set"), KeyID: "shared"},
		jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"},
		jose.JSONWebKey{Key: w.keys["main"].Public(), KeyID: "enc", Use: "enc"},
		jose.JSONWebKey{Key: w.keys["main"], KeyID: "private"},
	)
	w.open()
	for _, kid := range []string{"enc", "private"} {
		w.want(ask(sign(t, jose.ES256, jose.JSONWebKey{Key: w.keys["main"], KeyID: kid}, w.claims("a", "7"))), guard.Deny, guard.CodeUnknownKey)
	}
	w.want(ask(w.token("main", w.claims("a", "7"))), guard.Allow, guard.CodeOK)
}

// A key that its issuer withdraws ends its tokens, those that are remembered too.
func TestKeyRotation(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Tokens.Issuers[0].Refresh = time.Millisecond })
	w.addKey("old")
	token := w.token("old", w.claims("a", "7"))
	run(t, w.g)
	eventually(t, func() bool { return w.g.Decide(t.Context(), ask(token)).Action == guard.Allow })
	old := w.keys["old"]
	delete(w.keys, "old")
	w.publish()
	eventually(t, func() bool { return w.g.Decide(t.Context(), ask(token)).Because() == guard.CodeUnknownKey })
	w.keys["old"] = w.keys["main"] // another key under the same id
	w.publish()
	eventually(t, func() bool { return w.g.Decide(t.Context(), ask(token)).Because() == guard.CodeSignature })
	w.keys["old"] = old
	w.publish()
	eventually(t, func() bool { return w.g.Decide(t.Context(), ask(token)).Action == guard.Allow })
}

// No state that records tell of is remembered with a token.
func TestStateIsReadEachTime(t *testing.T) {
	w := newWorld(t)
	w.complete()
	token := w.issue("jti-1", "7")
	w.want(ask(token), guard.Allow, guard.CodeOK)
	now := w.now()
	w.say(fmt.Sprintf(`{"type":"key","key":"main","state":"retired","since":%d}`, now.Add(2*time.Second).UnixMilli()))
	w.want(ask(token), guard.Allow, guard.CodeOK) // not yet
	w.advance(3 * time.Second)
	w.want(ask(token), guard.Allow, guard.CodeOK) // issued before it was retired
	w.want(ask(w.issue("jti-2", "7")), guard.Deny, guard.CodeKeyRetired)
	w.say(fmt.Sprintf(`{"type":"key","key":"main","state":"revoked","since":%d}`, w.now().UnixMilli()))
	w.want(ask(token), guard.Deny, guard.CodeKeyRevoked)
}

// The customer of a credential that nobody issued, where there is no feed, must at least exist.
func TestNonexistent(t *testing.T) {
	w := newWorld(t)
	w.want(ask(w.token("main", w.claims("a", "8"))), guard.Allow, guard.CodeOK) // nobody can say
	w.say(`{"type":"subject","subject":"7","state":"active","since":"2020-01-01T00:00:00Z"}`)
	w.want(ask(w.token("main", w.claims("b", "7"))), guard.Allow, guard.CodeOK)
	w.want(ask(w.token("main", w.claims("c", "8"))), guard.Deny, guard.CodeNonexistent)
	// A customer who has just signed up has a log-in before there is a record of them.
	w.want(ask(w.issue("d", "9")), guard.Allow, guard.CodeOK)
}

// Who has left is not let in, whatever they hold.
func TestPersonLeft(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Tokens.Issuers[0].Principal = "staff:" })
	token := w.token("main", w.claims("a", "kim"))
	w.want(ask(token), guard.Allow, guard.CodeOK)
	w.say(`{"type":"person","person":"p1","state":"left","since":"2025-01-01T00:00:00Z","principals":["staff:kim"],"keys":["main"]}`)
	w.want(ask(token), guard.Deny, guard.CodePersonLeft)
	w.want(ask(w.token("main", w.claims("b", "lee"))), guard.Allow, guard.CodeKeyLeaver) // noted
	w.say(fmt.Sprintf(`{"type":"person","person":"p1","state":"active","since":%d,"principals":["staff:kim"]}`, w.now().UnixMilli()))
	if d := w.g.Decide(t.Context(), ask(token)); d.Action != guard.Allow {
		t.Errorf("who came back is not let in: %v", d.Reasons)
	}
}

// Session ids are known by their log-ins; what is no secret is none.
func TestSessions(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Tokens.Issuers, c.Tokens.Sessions.Enabled = nil, true })
	const id = "f1d2d2f924e986ac86fdf7b36c94bcdf32beec15"
	w.want(ask(id), guard.Deny, guard.CodeUnissued) // no feed, and nothing else vouches for it
	w.say(
		fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"subject":"7"}`, w.now().UnixMilli(), id),
		fmt.Sprintf(`{"type":"issuance","time":%d,"credential":"jti-of-a-jwt","key":"main","subject":"8"}`, w.now().UnixMilli()),
		`{"type":"feed","of":"issuance","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`,
	)
	if d := w.want(ask(id), guard.Allow, guard.CodeOK); d.Identity.Principal != "customer:7" || d.Identity.Credential == id {
		t.Errorf("identity %+v", d.Identity)
	}
	d := w.g.Decide(t.Context(), ask(id))
	w.want(ask(guard.Secret(d.Identity.Credential)), guard.Deny, guard.CodeUnissued) // the hash that stands in the ledger
	w.want(ask("jti-of-a-jwt"), guard.Deny, guard.CodeUnissued)                      // the id of a signed token
	w.want(ask("e3b0c44298fc1c149afbf4c8996fb924"), guard.Deny, guard.CodeUnissued)
}

// No token, and no part of one, is in what is logged, recorded or answered.
func TestNoTokenIsKept(t *testing.T) {
	var logged bytes.Buffer
	w := newWorld(t, func(c *guard.Config) { c.Record.Allowed, c.Tokens.Sessions.Enabled = 100, true })
	w.log = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.open()
	w.complete()
	const session = "s3cr3t-session-id-of-somebody-0001"
	tokens := []guard.Secret{
		w.issue("jti-1", "7"), w.token("main", w.claims("forged-id-0001", "8")), w.token("main", map[string]any{"iss": issuerName, "sub": "9"}), session,
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0.",
	}
	stop := run(t, w.g)
	var answers []byte
	for _, token := range tokens {
		d := w.g.Decide(t.Context(), ask(token))
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, b...)
		answers = fmt.Appendf(answers, "%v %+v %#v", d, d, ask(token))
	}
	stop()
	if n := len(w.decisions("request")); n != len(tokens) {
		t.Errorf("%d decisions are on record, want %d", n, len(tokens))
	}
	all := logged.String() + string(answers)
	w.mu.Lock()
	for i := range w.records {
		b, err := json.Marshal(w.records[i])
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	w.mu.Unlock()
	for _, token := range tokens {
		parts := strings.Split(string(token), ".")
		if last := parts[len(parts)-1]; len(last) > 8 && strings.Contains(all, last) {
			t.Errorf("a token, or its signature, is in what is kept or shown")
		}
		if strings.Contains(all, string(token)) {
			t.Errorf("a token is in what is kept or shown")
		}
	}
}

// In shadow mode everything passes, and what would have been done is on record with the request's id.
func TestShadow(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Mode = guard.ModeShadow })
	w.complete()
	stop := run(t, w.g)
	d := w.g.Decide(t.Context(), ask(w.token("main", w.claims("forged", "8"))))
	if d.Action != guard.Allow || d.Would != guard.Deny || !d.Shadow {
		t.Errorf("got %+v", d)
	}
	stop()
	list := w.decisions("request")
	if len(list) != 1 || list[0].Request != "r-1" || list[0].Ref.Kind != "deny" || list[0].Ref.State != "shadow" || list[0].Ref.Of != "unissued" {
		t.Errorf("records %+v", list)
	}
}

// Beyond the rate decisions are sums: each is counted once.
func TestRecordsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Record = guard.Record{Refused: 3, Allowed: 2} })
	w.complete()
	token := w.issue("jti-1", "7")
	for i := range 50 {
		w.want(ask(token), guard.Allow, guard.CodeOK)
		w.want(ask(w.token("main", w.claims(fmt.Sprint("forged-", i), "8"))), guard.Deny, guard.CodeUnissued)
	}
	run(t, w.g)()
	var sum int64
	for _, r := range w.decisions("requests") {
		sum += r.Ref.Count
	}
	if n := len(w.decisions("request")); n != 5 || sum != 95 {
		t.Errorf("%d single records and %d in sums, want 5 and 95", n, sum)
	}
}

// run runs the guard until the returned function is called, or the test ends.
func run(t testing.TB, g *guard.Guard) (stop func()) {
	t.Helper()
	ctx, cancel := contextOf(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// A kill by an operator stands against whatever a sender with the right to write key records says, after a restart too, until an operator lifts it.
func TestAKillStands(t *testing.T) {
	w := newWorld(t)
	token := w.issue("c1", "7")
	operator := func(state string) {
		r := whosaw.Record{Type: whosaw.TypeKey, Time: w.now().UnixMilli(), Key: "main", Source: "operator", Position: 1, Ref: &whosaw.Reference{State: state}}
		if _, err := w.write(t.Context(), []whosaw.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(0)
	w.want(ask(token), guard.Allow, guard.CodeOK)
	operator("revoked")
	w.want(ask(token), guard.Deny, guard.CodeKeyRevoked)
	w.advance(time.Minute)
	w.say(fmt.Sprintf(`{"type":"key","time":%d,"key":"main","state":"active"}`, w.now().UnixMilli()))
	w.want(ask(token), guard.Deny, guard.CodeKeyRevoked)
	w.open()
	w.want(ask(token), guard.Deny, guard.CodeKeyRevoked)
	w.advance(time.Minute)
	operator("active")
	w.want(ask(token), guard.Allow, guard.CodeOK)
}
