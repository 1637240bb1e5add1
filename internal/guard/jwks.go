package guard

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How keys are fetched.
const (
	defaultRefresh = time.Minute
	leastRefresh   = 10 * time.Second // a key id that is not known fetches no more often
	fileRefresh    = time.Second
	staleKeys      = time.Hour // keys that could not be fetched again are taken for so long
	fetchTimeout   = 5 * time.Second
	maxKeySet      = 1 << 20 // bytes
	minRSA         = 2048
)

// verifyKey is a public key of an issuer.
type verifyKey struct {
	id        string
	algorithm string // "" any of the issuer's that suits it
	public    any
	print     string // RFC 7638
}

// keySet is what an issuer had at one time.
type keySet struct {
	by      map[string]*verifyKey
	fetched time.Time // by the monotonic clock
}

// issuer signs tokens.
type issuer struct {
	cfg    Issuer
	path   string // of the file
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	keys atomic.Pointer[keySet]

	mu      sync.Mutex // held while keys are fetched
	tried   time.Time
	failed  error
	modTime time.Time
	address string        // found by discovery
	every   time.Duration // as its server asks
}

func newIssuer(cfg Issuer, path func(string) string, client *http.Client, log *slog.Logger, now func() time.Time) *issuer {
	x := &issuer{cfg: cfg, client: client, log: log, now: now}
	if cfg.JWKSFile != "" {
		x.path = path(cfg.JWKSFile)
	}
	x.every = defaultRefresh
	if x.path != "" {
		x.every = fileRefresh
	}
	if cfg.Refresh > 0 {
		x.every = cfg.Refresh
	}
	return x
}

func (x *issuer) takes(algorithm string) bool { return slices.Contains(x.cfg.Algorithms, algorithm) }

// has reports whether the issuer still has a key, unchanged.
func (x *issuer) has(k *verifyKey) bool {
	set := x.keys.Load()
	if set == nil || x.now().Sub(set.fetched) > staleKeys {
		return false
	}
	is := set.by[k.id]
	return is != nil && is.print == k.print
}

// key gives a key by its id. One that is not known is looked for at the issuer's, at most once in leastRefresh.
func (x *issuer) key(ctx context.Context, id string) (*verifyKey, *refusal) {
	set := x.keys.Load()
	if set != nil && x.now().Sub(set.fetched) <= staleKeys {
		if k := set.by[id]; k != nil {
			return k, nil
		}
	}
	// For all who come with a new key: whoever asks first must not end it by going.
	_ = x.refresh(context.WithoutCancel(ctx), leastRefresh) // kept in failed
	set = x.keys.Load()
	if set == nil || x.now().Sub(set.fetched) > staleKeys {
		return nil, refuse(CodeUnverifiable, "the keys of its issuer cannot be fetched")
	}
	if k := set.by[id]; k != nil {
		return k, nil
	}
	return nil, refuse(CodeUnknownKey, "its issuer has no key of that id")
}

// run fetches keys again and again until ctx ends.
func (x *issuer) run(ctx context.Context) {
	for {
		if err := x.refresh(ctx, 0); err != nil && ctx.Err() == nil {
			x.log.Error("the keys of an issuer cannot be fetched: those that are known are taken for an hour", "issuer", x.cfg.Issuer, "error", err)
		}
		x.mu.Lock()
		pause := x.every
		if x.failed != nil {
			pause = min(pause, leastRefresh)
		}
		x.mu.Unlock()
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// refresh fetches the keys, unless that was tried within the last pause.
func (x *issuer) refresh(ctx context.Context, pause time.Duration) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if pause > 0 && !x.tried.IsZero() && x.now().Sub(x.tried) < pause {
		return x.failed
	}
	x.tried = x.now()
	set, err := x.fetch(ctx)
	x.failed = err
	if err != nil {
		return err
	}
	if set != nil {
		x.keys.Store(set)
		return nil
	}
	if old := x.keys.Load(); old != nil { // the file has not changed
		x.keys.Store(&keySet{by: old.by, fetched: x.now()})
	}
	return nil
}

func (x *issuer) trouble() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failed
}

// fetch reads the keys; nil if the file has not changed.
func (x *issuer) fetch(ctx context.Context) (*keySet, error) {
	var data []byte
	var written time.Time
	if x.path != "" {
		info, err := os.Stat(x.path)
		if err != nil {
			return nil, fmt.Errorf("read jwks_file: %w", err)
		}
		if info.ModTime().Equal(x.modTime) && x.keys.Load() != nil {
			return nil, nil
		}
		if data, err = os.ReadFile(x.path); err != nil {
			return nil, fmt.Errorf("read jwks_file: %w", err)
		}
		written = info.ModTime()
	} else {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		if x.cfg.Discovery && x.address == "" {
			if err := x.discover(ctx); err != nil {
				return nil, err
			}
		}
		address := x.cfg.JWKSURL
		if address == "" {
			address = x.address
		}
		var err error
		var age time.Duration
		if data, age, err = x.get(ctx, address); err != nil {
			return nil, fmt.Errorf("fetch keys: %w", err)
		}
		if x.cfg.Refresh == 0 {
			x.every = defaultRefresh
			if age > 0 {
				x.every = max(leastRefresh, min(age, defaultRefresh))
			}
		}
	}
	by, err := parseKeys(data)
	if err != nil {
		return nil, err
	}
	x.modTime = written // of a file that was understood: another is read again until it is, and its trouble told as long
	return &keySet{by: by, fetched: x.now()}, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0).
func (x *issuer) discover(ctx context.Context) error {
	data, _, err := x.get(ctx, strings.TrimSuffix(x.cfg.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return fmt.Errorf("discover keys: %w", err)
	}
	var said struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return errors.New("discover keys: the answer is no JSON object")
	}
	if said.Issuer != x.cfg.Issuer {
		return errors.New("discover keys: the answer is another issuer's: give issuer as its server writes it")
	}
	if err := checkURL(said.JWKS); err != nil {
		return fmt.Errorf("discover keys: jwks_uri: %w", err)
	}
	x.address = said.JWKS
	return nil
}

func (x *issuer) get(ctx context.Context, address string) (data []byte, age time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the server answers with status %d", resp.StatusCode)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err == nil && len(data) > maxKeySet {
		err = errors.New("the answer is longer than 1 MiB")
	}
	return data, maxAge(resp.Header.Get("Cache-Control")), err
}

func maxAge(header string) time.Duration {
	for part := range strings.SplitSeq(header, ",") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(part), "max-age="); ok {
			if n, err := strconv.ParseInt(s, 10, 32); err == nil && n > 0 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}

// parseKeys takes the public signature keys of a set that have an id. A key that could be used as a shared secret is no public key.
func parseKeys(data []byte) (map[string]*verifyKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &raw); err != nil || raw.Keys == nil {
		return nil, errors.New("the keys are no JWK set (RFC 7517)")
	}
	by := map[string]*verifyKey{}
	for _, one := range raw.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil {
			continue // of a kind that is not known
		}
		if k.KeyID == "" || len(k.KeyID) > maxID || k.Use != "" && k.Use != "sig" || !k.Valid() || !k.IsPublic() {
			continue
		}
		switch p := k.Key.(type) {
		case *rsa.PublicKey:
			if p.N.BitLen() < minRSA {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			continue
		}
		sum, err := k.Thumbprint(cryptoSHA256)
		if err != nil {
			continue
		}
		if by[k.KeyID] != nil {
			return nil, errors.New("two keys of the set have one id")
		}
		by[k.KeyID] = &verifyKey{id: k.KeyID, algorithm: k.Algorithm, public: k.Key, print: string(sum)}
	}
	return by, nil
}
