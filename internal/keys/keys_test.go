package keys_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/reference"
)

// TestTypedAndHappened: who typed that somebody could read a key is told apart from who read it, and neither takes from the other.
func TestTypedAndHappened(t *testing.T) {
	w := newWorld(t, false)
	_, err := w.keeper.Add(t.Context(), "staff:lee", keys.Spec{Key: "backup", Owner: "lee", Use: "log-ins", Readers: []string{"park", "service:mint"}, Created: 1704067200000})
	check(t, err)
	w.clock = w.clock.Add(time.Hour)
	w.say(`{"type":"key","key":"backup","kind":"exported","readers":["kim"],"principal":"staff:kim","ip":"10.0.0.7"}`,
		`{"type":"key","key":"backup","kind":"read","readers":["kim"]}`,
		`{"type":"key","key":"backup","kind":"used","principal":"staff:choi"}`)
	k := w.key("backup")
	got := map[string]string{}
	for _, r := range k.Readers {
		got[r.Who] = fmt.Sprintf("typed %v read %v times %d exported %d used %d", r.Typed != 0, r.Read != 0, r.Times, r.Exported, r.Used)
	}
	want := map[string]string{
		"park": "typed true read false times 0 exported 0 used 0", "service:mint": "typed true read false times 0 exported 0 used 0",
		"kim": "typed false read true times 2 exported 1 used 0", "choi": "typed false read false times 0 exported 0 used 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if k.State != "active" || k.Owner != "lee" || k.Created != 1704067200000 || len(k.History) != 4 || k.History[0].Source != "operator" || k.History[1].Source != "test" {
		t.Errorf("%+v", k)
	}
	people, err := w.keeper.People(t.Context())
	check(t, err)
	if len(people) != 0 {
		t.Errorf("nobody was named as a person: %+v", people)
	}
	before := w.key("backup")
	w.open()
	if d := cmp.Diff(before, w.key("backup")); d != "" {
		t.Errorf("after a restart: %s", d)
	}
}

// TestLife: each change is on record with who and why, what does not fit is refused, and the end is the end.
func TestLife(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	why := keys.Change{Reason: "a test"}
	_, err := w.keeper.Add(ctx, "staff:lee", keys.Spec{Key: "a", Owner: "lee"})
	check(t, err)
	refused := func(what string, err error, conflict bool) {
		t.Helper()
		var f *keys.Fault
		if !errors.As(err, &f) || f.Conflict != conflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = w.keeper.Dispose(ctx, "staff:lee", "", "a", why)
	refused("dispose of a key in use", err, true)
	_, err = w.keeper.Retire(ctx, "staff:lee", "", "a", keys.Change{})
	refused("retire without a reason", err, false)
	_, err = w.keeper.Rotate(ctx, "staff:lee", "", "a", keys.Change{Reason: "x", Into: "a"})
	refused("rotate into itself", err, false)
	w.clock = w.clock.Add(time.Hour)
	_, err = w.keeper.Rotate(ctx, "staff:lee", "", "a", keys.Change{Reason: "kim leaves", Into: "b"})
	check(t, err)
	if a, b := w.key("a"), w.key("b"); a.State != "retired" || a.Into != "b" || b.State != "active" || b.Owner != "lee" {
		t.Errorf("rotated: %+v, %+v", a, b)
	}
	w.clock = w.clock.Add(time.Hour)
	_, err = w.keeper.Revive(ctx, "staff:lee", "", "a", why)
	check(t, err)
	w.clock = w.clock.Add(time.Hour)
	_, err = w.keeper.Kill(ctx, "staff:lee", "", "a", why)
	check(t, err)
	_, err = w.keeper.Kill(ctx, "staff:lee", "", "a", why)
	refused("kill it twice", err, true)
	_, err = w.keeper.Add(ctx, "staff:lee", keys.Spec{Key: "a", Use: "again"})
	refused("register a killed key again", err, true)
	w.clock = w.clock.Add(time.Hour)
	_, err = w.keeper.Dispose(ctx, "staff:lee", "", "a", why)
	check(t, err)
	_, err = w.keeper.Revive(ctx, "staff:lee", "", "a", why)
	refused("revive what is destroyed", err, true)
	_, err = w.keeper.Kill(ctx, "staff:lee", "", "nobody-knows-it", why)
	var f *keys.Fault
	if !errors.As(err, &f) || !f.Missing {
		t.Errorf("kill a key that nothing names: %v", err)
	}
	w.say(`{"route":"GET /me","status":200,"subject":"7","principal":"customer:7","credential":"c","key":"unregistered"}`)
	if _, err = w.keeper.Kill(ctx, "staff:lee", "", "unregistered", why); err != nil || w.key("unregistered").State != "revoked" {
		t.Errorf("kill a key that signs and nobody registered: %v", err)
	}
}

// TestKilledStaysOut: a kill that cannot be put on record is out of the set all the same, and a restart does not bring a killed key back; nor
// is one served that a log says was revoked.
func TestKilledStaysOut(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	for _, kid := range []string{"a", "b", "c"} {
		_, err := w.keeper.Add(ctx, "staff:lee", keys.Spec{Key: kid, Public: pemOf(t, elliptic.P256())})
		check(t, err)
	}
	served := func() string {
		t.Helper()
		set, err := w.keeper.KeySet(ctx, "")
		check(t, err)
		var out struct{ Keys []keys.PublicKey }
		check(t, json.Unmarshal(set.Body, &out))
		kids := ""
		for _, k := range out.Keys {
			kids += k.ID
		}
		return kids
	}
	if served() != "abc" {
		t.Fatalf("served: %s", served())
	}
	w.fail = errors.New("the disk is full")
	if _, err := w.keeper.Kill(ctx, "staff:lee", "", "a", keys.Change{Reason: "stolen"}); err == nil {
		t.Error("a kill that is not on record was acknowledged")
	}
	w.fail = nil
	if served() != "bc" {
		t.Errorf("after a kill that failed half-way: %s", served())
	}
	w.open()
	if served() != "bc" {
		t.Errorf("after a restart: %s", served())
	}
	w.say(`{"type":"key","key":"b","state":"revoked"}`)
	if _, err := w.keeper.Overdue(ctx); err != nil { // what the server does each minute
		t.Fatal(err)
	}
	if served() != "c" {
		t.Errorf("after a log said that b was revoked: %s", served())
	}
	// What an operator killed no log calls active again; only an operator does.
	_, err := w.keeper.Kill(ctx, "staff:lee", "", "a", keys.Change{Reason: "stolen"})
	check(t, err)
	w.clock = w.clock.Add(time.Minute)
	w.say(`{"type":"key","key":"a","state":"active"}`)
	if k, err := w.keeper.Key(ctx, "", "a"); err != nil || k.State != "revoked" {
		t.Errorf("a log called a killed key active, and it is %q, %v", k.State, err)
	}
	if served() != "c" {
		t.Errorf("after a log called a killed key active: %s", served())
	}
	// Of a retired key the last credential counts.
	w.say(fmt.Sprintf(`{"type":"issuance","credential":"x","key":"c","subject":"7","expires":%d}`, w.clock.Add(72*time.Hour).UnixMilli()),
		fmt.Sprintf(`{"type":"issuance","credential":"y","key":"c","subject":"8","expires":%d}`, w.clock.Add(24*time.Hour).UnixMilli()))
	_, err = w.keeper.Retire(ctx, "staff:lee", "", "c", keys.Change{Reason: "old"})
	check(t, err)
	w.clock = w.clock.Add(71 * time.Hour)
	if served() != "c" {
		t.Error("a retired key is gone before its last credential")
	}
	w.clock = w.clock.Add(time.Hour)
	if served() != "" {
		t.Error("a retired key outlives its last credential")
	}
}

func pemOf(t *testing.T, c elliptic.Curve) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	check(t, err)
	return publicPEM(t, &k.PublicKey)
}

func publicPEM(t *testing.T, pub any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestPublicKeys(t *testing.T) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err) // this Go makes none so small
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	for _, c := range []struct{ text, kind, fault string }{
		{publicPEM(t, &r.PublicKey), "RSA", ""},
		{string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&r.PublicKey)})), "RSA", ""},
		{pemOf(t, elliptic.P256()), "EC", ""},
		{pemOf(t, elliptic.P521()), "EC", ""},
		{publicPEM(t, ed), "OKP", ""},
		{publicPEM(t, &small.PublicKey), "", "at least 2048"},
		{pemOf(t, elliptic.P224()), "", "P-256"},
		{string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r)})), "", "private key"},
		{`{"kty":"oct","k":"c2VjcmV0","kid":"a"}`, "", "private key"},
		{`{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}`, "", "at least 2048"},
		{`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `","kid":"a"}`, "", "public key"},
		{`{"keys":[]}`, "", "no key"}, {"hello", "", "neither PEM nor a JWK"}, {`{"keys":`, "", "no JSON"},
	} {
		k, err := keys.ParsePublicKey(c.text, "kid")
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) || err == nil && (k.Type != c.kind || k.ID != "kid" || k.Use != "sig") {
			t.Errorf("%.60s: %+v, %v; want %q", c.text, k, err, c.fault)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("the error holds the key: %v", err)
		}
		if err != nil {
			continue
		}
		text, err := json.Marshal(k)
		check(t, err)
		again, err := keys.ParsePublicKey(string(text), "")
		if d := cmp.Diff(k, again); err != nil || d != "" {
			t.Errorf("as a JWK: %v %s", err, d)
		}
	}
}

func FuzzPublicKey(f *testing.F) {
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`)
	f.Add("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := keys.ParsePublicKey(text, "kid"); err == nil && k.ID != "kid" {
			t.Errorf("%+v", k)
		}
		_, _ = keys.ParseKeySet(text)
	})
}

// TestPreviewIsExact holds the preview against a count that shares nothing with it, over random histories.
func TestPreviewIsExact(t *testing.T) {
	for seed := range uint64(6) {
		rng := mathrand.New(mathrand.NewPCG(seed, 7))
		w := newWorld(t, false)
		type cred struct {
			key, owner string
			expires    int64
		}
		issued := map[string]cred{}
		used := map[string]map[string]bool{} // credential to principals, under "k" in the last 7 days
		now := w.clock.UnixMilli()
		const day = int64(24 * 3_600_000)
		names := []string{"customer:1", "customer:2", "customer:3", "service:dispatch", "partner:acme"}
		accesses, all := int64(0), int64(0)
		for i := range 400 {
			credential := fmt.Sprintf("c%d", rng.IntN(60))
			key := []string{"k", "other"}[rng.IntN(2)]
			if i < 60 && rng.IntN(3) > 0 {
				if _, ok := issued[credential]; ok {
					continue
				}
				c := cred{key, names[rng.IntN(len(names))], []int64{0, now - day, now + day}[rng.IntN(3)]}
				issued[credential] = c
				w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":%q,"principal":%q,"expires":%d}`, now-20*day, credential, c.key, c.owner, c.expires))
				continue
			}
			principal := names[rng.IntN(len(names))]
			if c, ok := issued[credential]; ok && rng.IntN(4) > 0 {
				principal, key = c.owner, c.key
			}
			at := now - int64(rng.IntN(10))*day - 1
			w.say(fmt.Sprintf(`{"time":%d,"route":"GET /me","status":200,"principal":%q,"credential":%q,"key":%q,"subject":"1"}`, at, principal, credential, key))
			if at < now-7*day {
				continue
			}
			all++
			if key == "k" {
				accesses++
				if used[credential] == nil {
					used[credential] = map[string]bool{}
				}
				used[credential][principal] = true
			}
		}
		want := keys.Preview{Key: "k", Days: 7, Classes: map[string]int64{}, Accesses: accesses}
		who := map[string]bool{}
		for credential, principals := range used {
			c, ok := issued[credential]
			honest := ok && c.key == "k" && principals[c.owner]
			switch {
			case honest && c.expires != 0 && c.expires <= now:
				want.Expired++
			case honest:
				want.Sessions++
				who[c.owner] = true
			default:
				want.Never++
			}
		}
		for name := range who {
			class, _, _ := strings.Cut(name, ":")
			want.Classes[class]++
		}
		want.Principals = int64(len(who))
		got, err := w.keeper.Preview(t.Context(), "", "k", 7)
		check(t, err)
		if !got.Feed || got.Share != float64(accesses)/float64(all) || got.MaxAge != 60 {
			t.Errorf("seed %d: %+v", seed, got)
		}
		got.Feed, got.Share, got.MaxAge, got.From, got.Programs = false, 0, 0, 0, nil
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}

// TestPolicyOnRecord: the policy stands in the ledger, with who set it, and says what each key breaks.
func TestPolicyOnRecord(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	p := reference.KeyPolicy{LongestLife: 24, NoHumanReaders: true, Owner: true}
	if err := w.keeper.SetPolicy(ctx, "staff:lee", p, " "); err == nil {
		t.Error("a policy without a reason")
	}
	if err := w.keeper.SetPolicy(ctx, "staff:lee", reference.KeyPolicy{LongestLife: -1}, "x"); err == nil {
		t.Error("a policy that cannot be")
	}
	check(t, w.keeper.SetPolicy(ctx, "staff:lee", p, "the board"))
	_, err := w.keeper.Add(ctx, "staff:lee", keys.Spec{Key: "a", Readers: []string{"kim", "service:mint"}})
	check(t, err)
	w.open()
	got, by, err := w.keeper.Policy(ctx)
	check(t, err)
	if got != p || by.Who != "staff:lee" || by.Reason != "the board" {
		t.Errorf("%+v %+v", got, by)
	}
	kinds := func(list []reference.Breach) (out []string) {
		for _, b := range list {
			out = append(out, string(b.Kind))
		}
		return out
	}
	k := w.key("a")
	if d := cmp.Diff([]string{"human_reader"}, kinds(k.Breaches)) + cmp.Diff([]string{"no_owner", "too_old"}, kinds(k.Due)); d != "" {
		t.Error(d)
	}
	w.clock = w.clock.Add(25 * time.Hour)
	if d := cmp.Diff([]string{"human_reader", "no_owner", "too_old"}, kinds(w.key("a").Breaches)); d != "" {
		t.Error(d)
	}
}
