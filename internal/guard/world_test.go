package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

const issuerName = "https://login.shop.example"

// world is a guard with a ledger in memory.
type world struct {
	t    testing.TB
	dir  string
	g    *guard.Guard
	db   *sqlite.DB
	cfg  guard.Config
	keys map[string]*ecdsa.PrivateKey

	mu      sync.Mutex
	records []whosaw.Record
	full    error // what writing gives
	clock   time.Time
	log     *slog.Logger
	told    []string
}

func (w *world) alarm(_ context.Context, title, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, title)
	return nil
}

func (w *world) alarms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

// newWorld gives a world with a door of each kind, an issuer with the key "main", and a feed that is complete.
func newWorld(t testing.TB, change ...func(c *guard.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), keys: map[string]*ecdsa.PrivateKey{}, log: slog.New(slog.DiscardHandler)}
	w.cfg = guard.Default()
	w.cfg.Mode = guard.ModeEnforce
	w.cfg.Doors = []guard.DoorConfig{{Name: "api", Kind: guard.KindDecide}, {Name: "mid", Kind: guard.KindMiddleware}}
	w.cfg.Tokens.Issuers = []guard.Issuer{{Issuer: issuerName, JWKSFile: filepath.Join(w.dir, "jwks.json"), Algorithms: []string{"ES256"}}}
	w.cfg.Unconfirmed.Wait = 0
	for _, f := range change {
		f(&w.cfg)
	}
	if faults := w.cfg.Check(); len(faults) > 0 {
		t.Fatalf("configuration: %v", faults)
	}
	w.addKey("main")
	w.open()
	t.Cleanup(func() { w.db.Close() })
	return w
}

// open makes a guard anew, as after a restart, and loads it.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.db != nil {
		if err := w.db.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.db, err = sqlite.Open(w.t.Context(), filepath.Join(w.dir, "state.db")); err != nil {
		w.t.Fatal(err)
	}
	w.g, err = guard.New(w.t.Context(), guard.Options{
		Config: w.cfg, Catalog: shopCatalog(w.t), DB: w.db, Write: w.write, Logger: w.log, Now: w.now, Health: w.health, Alarm: w.alarm,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.g.Load(w.t.Context(), w, 0); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) health() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clock.IsZero() {
		return time.Now()
	}
	return w.clock
}

// advance stops the clock and moves it.
func (w *world) advance(d time.Duration) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = now.Add(d)
}

func shopCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Parse("catalog.yaml", []byte(`
routes:
  GET /me/addresses:
    subject: principal
    fields: [name, phone, address]
  GET /staff/customers/{id}:
    subject: path.id
    fields: [name, phone]
`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) References(_ context.Context, fn func(seq uint64, r *whosaw.Record) error) error {
	return w.Records(context.Background(), 0, func(seq uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAccess {
			return nil
		}
		return fn(seq, r)
	})
}

func (w *world) Records(_ context.Context, from uint64, fn func(seq uint64, r *whosaw.Record) error) error {
	w.mu.Lock()
	list := append([]whosaw.Record(nil), w.records...)
	w.mu.Unlock()
	for i := range list {
		if seq := uint64(i + 1); seq >= from {
			if err := fn(seq, &list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) write(_ context.Context, records []whosaw.Record) (uint64, error) {
	w.mu.Lock()
	if w.full != nil {
		defer w.mu.Unlock()
		return 0, w.full
	}
	first := len(w.records) + 1
	for i := range records {
		r := records[i].Clone()
		if r.Time == 0 {
			r.Time = time.Now().UnixMilli()
		}
		if err := r.Validate(time.Now().Add(366 * 24 * time.Hour).UnixMilli()); err != nil {
			w.mu.Unlock()
			return 0, fmt.Errorf("a record that is none of the contract: %w", err)
		}
		w.records = append(w.records, r)
	}
	w.mu.Unlock()
	if w.g != nil {
		w.g.Apply(records, func(i int) guard.Place { return guard.Place{Sequence: uint64(first + i)} })
	}
	return uint64(first), nil
}

// say puts records into the ledger.
func (w *world) say(lines ...string) {
	w.t.Helper()
	var list []whosaw.Record
	var d whosaw.Decoder
	for _, line := range lines {
		var r whosaw.Record
		if err := d.Decode([]byte(line), w.now().UnixMilli(), &r); err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		list = append(list, r.Clone())
	}
	if _, err := w.write(w.t.Context(), list); err != nil {
		w.t.Fatal(err)
	}
}

// decisions gives the decision records that are in the ledger.
func (w *world) decisions(use string) (out []whosaw.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if r.Type == whosaw.TypeDecision && r.Ref.Use == use {
			out = append(out, r)
		}
	}
	return out
}

// addKey gives the issuer one more key.
func (w *world) addKey(kid string) {
	w.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys[kid] = k
	w.publish()
}

// publish writes the issuer's key set.
func (w *world) publish(extra ...jose.JSONWebKey) {
	w.t.Helper()
	var set jose.JSONWebKeySet
	for kid, k := range w.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Use: "sig", Algorithm: "ES256"})
	}
	set.Keys = append(set.Keys, extra...)
	data, err := json.Marshal(set)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "jwks.json"), data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// claims of a token that is in order.
func (w *world) claims(jti, sub string) map[string]any {
	now := w.now().Unix()
	return map[string]any{"iss": issuerName, "sub": sub, "jti": jti, "iat": now, "exp": now + 3600}
}

// token signs claims with a key.
func (w *world) token(kid string, claims map[string]any) guard.Secret {
	w.t.Helper()
	return sign(w.t, jose.ES256, jose.JSONWebKey{Key: w.keys[kid], KeyID: kid}, claims)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, claims map[string]any) guard.Secret {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return guard.Secret(s)
}

// issue has a log-in issue a token, and gives it.
func (w *world) issue(jti, sub string) guard.Secret {
	w.t.Helper()
	w.say(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":"main","subject":%q}`, w.now().UnixMilli(), jti, sub))
	return w.token("main", w.claims(jti, sub))
}

func (w *world) complete() {
	w.t.Helper()
	w.say(`{"type":"feed","of":"issuance","key":"main","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`)
}

func ask(token guard.Secret) *guard.Request {
	return &guard.Request{ID: "r-1", Door: "api", Method: "GET", Path: "/me/addresses", Credential: token, IP: netip.MustParseAddr("203.0.113.7"), Agent: "ShopApp/7.1"}
}

func (w *world) want(q *guard.Request, action guard.Action, code guard.Code) guard.Decision {
	w.t.Helper()
	d := w.g.Decide(w.t.Context(), q)
	if d.Action != action || d.Because() != code {
		w.t.Errorf("got %s because of %v, want %s because of %s", d.Action, d.Reasons, action, code)
	}
	return d
}

var errGone = errors.New("the disk is gone")
