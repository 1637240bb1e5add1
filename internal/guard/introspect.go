package guard

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
)

const cryptoSHA256 = crypto.SHA256

const (
	defaultAskTimeout = time.Second
	maxAsking         = 64 // questions under way at one server: a flood of made-up tokens must not become one there
	maxAnswer         = 64 << 10
)

// introspector asks a server whether a token is valid (RFC 7662).
type introspector struct {
	cfg    Introspection
	secret string
	client *http.Client
	now    func() time.Time
	turns  chan struct{}

	mu    sync.Mutex
	under map[digest]*asking
}

// asking is a question under way; those who ask the same wait for its answer.
type asking struct {
	done    chan struct{}
	checked *checked
	refusal *refusal
}

func newIntrospector(cfg Introspection, path func(string) string, client *http.Client, now func() time.Time) (*introspector, error) {
	x := &introspector{cfg: cfg, client: client, now: now, turns: make(chan struct{}, maxAsking), under: map[digest]*asking{}}
	if x.cfg.Timeout == 0 {
		x.cfg.Timeout = defaultAskTimeout
	}
	if cfg.SecretEnv != "" {
		x.secret = os.Getenv(cfg.SecretEnv)
		if x.secret == "" {
			return nil, fmt.Errorf("guard.tokens.introspection: the environment variable %s is empty: set it to the client's secret", cfg.SecretEnv)
		}
		return x, nil
	}
	data, err := os.ReadFile(path(cfg.SecretFile))
	if err != nil {
		return nil, fmt.Errorf("guard.tokens.introspection: read secret_file: %w", err)
	}
	x.secret = strings.TrimSpace(string(data))
	return x, nil
}

// ask asks the server that answers for a token.
func (v *verifier) ask(ctx context.Context, token string, sum digest, now time.Time) (*checked, *refusal) {
	for _, x := range v.asked {
		if strings.HasPrefix(token, x.cfg.Prefix) {
			return x.ask(ctx, token, sum, now)
		}
	}
	panic("BUG: a token is opaque, and nobody is asked about it")
}

func (x *introspector) ask(ctx context.Context, token string, sum digest, now time.Time) (*checked, *refusal) {
	empty := &checked{id: Identity{Scheme: SchemeOpaque, Credential: hashToken(token), Realm: x.cfg.Realm}}
	x.mu.Lock()
	if a := x.under[sum]; a != nil {
		x.mu.Unlock()
		select {
		case <-a.done:
			return a.checked, a.refusal
		case <-ctx.Done():
			return empty, refuse(CodeUnverifiable, "its issuer did not answer in time")
		}
	}
	a := &asking{done: make(chan struct{}), checked: empty}
	x.under[sum] = a
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		delete(x.under, sum)
		x.mu.Unlock()
		close(a.done)
	}()
	// The answer is for all who ask the same: it does not end with the first of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.cfg.Timeout)
	defer cancel()
	select {
	case x.turns <- struct{}{}:
		defer func() { <-x.turns }()
	case <-ctx.Done():
		a.refusal = refuse(CodeUnverifiable, "too many are asked about at its issuer")
		return a.checked, a.refusal
	}
	said, err := x.post(ctx, token)
	if err != nil {
		a.refusal = refuse(CodeUnverifiable, "its issuer cannot be asked")
		return a.checked, a.refusal
	}
	a.refusal = x.accept(a.checked, said, now)
	return a.checked, a.refusal
}

// introspected is what the server says of a token.
type introspected struct {
	Active   bool   `json:"active"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`
	ID       string `json:"jti"`
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
}

func (x *introspector) post(ctx context.Context, token string) (*introspected, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("make the question")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(x.cfg.Client), url.QueryEscape(x.secret))
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var said introspected
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&said); err != nil {
		return nil, errors.New("the answer is no JSON object")
	}
	return &said, nil
}

func (x *introspector) accept(c *checked, said *introspected, now time.Time) *refusal {
	if !said.Active {
		return refuse(CodeInactive, "its issuer says that it is not valid")
	}
	if len(said.ID) > maxID || len(said.Subject) > maxID || len(said.ClientID) > maxID {
		return refuse(CodeMalformed, "a claim is longer than any that is taken")
	}
	id := &c.id
	if said.ID != "" {
		id.Credential = whosaw.HashCredential(said.ID)
	}
	id.Client, id.Principal, id.Verified = said.ClientID, prefixed(x.cfg.Principal, said.Subject), true
	c.until = now.Add(x.cfg.Remember)
	if said.Issued > 0 {
		id.IssuedAt = time.Unix(said.Issued, 0)
	}
	if said.Expires > 0 {
		id.Expires = time.Unix(said.Expires, 0)
		left := id.Expires.Sub(now)
		if left <= 0 {
			return refuse(CodeExpired, "its time is over")
		}
		c.until = now.Add(min(left, x.cfg.Remember))
	}
	return nil
}
