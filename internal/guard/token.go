package guard

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/whosaw/whosaw"
)

// maxToken is the longest credential that is looked at, in bytes: servers take headers of 8 KiB as a rule.
const maxToken = 16 << 10

// maxID bounds what a claim may bring into the ledger and into memory.
const maxID = 512

// verifier finds out who a credential claims to be.
type verifier struct {
	issuers  map[string]*issuer
	asked    []*introspector
	sessions Sessions
	cache    *cache
	now      func() time.Time // with the monotonic clock
}

func newVerifier(cfg *Tokens, path func(string) string, client *http.Client, log *slog.Logger, now func() time.Time) (*verifier, error) {
	v := &verifier{issuers: map[string]*issuer{}, sessions: cfg.Sessions, cache: newCache(cfg.Cache), now: now}
	for i := range cfg.Issuers {
		x := newIssuer(cfg.Issuers[i], path, client, log, now)
		v.issuers[x.cfg.Issuer] = x
	}
	for i := range cfg.Introspection {
		x, err := newIntrospector(cfg.Introspection[i], path, client, now)
		if err != nil {
			return nil, err
		}
		v.asked = append(v.asked, x)
	}
	return v, nil
}

// refusal is a credential that is not valid, or cannot be checked now.
type refusal struct {
	code Code
	says string
}

func refuse(code Code, says string) *refusal { return &refusal{code, says} }

// bare leaves "Bearer " out of what was presented.
func bare(s Secret) string {
	t := strings.TrimSpace(string(s))
	if len(t) > 7 && strings.EqualFold(t[:7], "bearer ") {
		t = strings.TrimSpace(t[7:])
	}
	return t
}

// identify checks a credential. Where it is refused the identity says what could be read of it, and is not verified.
func (v *verifier) identify(ctx context.Context, presented Secret) (Identity, *refusal) {
	token := bare(presented)
	switch {
	case token == "":
		return Identity{}, nil
	case len(token) > maxToken:
		return Identity{Credential: hashToken(token)}, refuse(CodeMalformed, "the credential is longer than any that is taken")
	}
	sum := digest(sha256.Sum256([]byte(token)))
	now := v.now()
	if c := v.cache.get(sum, now); c != nil {
		if c.from == nil || c.from.has(c.key) {
			return c.id, nil
		}
		v.cache.forget(sum) // its issuer has that key no more
	}
	var c *checked
	var why *refusal
	switch kind := v.schemeOf(token); kind {
	case SchemeJWT:
		c, why = v.checkJWT(ctx, token, now)
	case SchemeOpaque:
		c, why = v.ask(ctx, token, sum, now)
	case SchemeSession:
		return v.session(token), nil
	default:
		return Identity{Credential: hashToken(token)}, refuse(CodeMalformed, "it is no JWT, and no introspection and no sessions are configured")
	}
	if why != nil {
		return c.id, why
	}
	if now.Before(c.until) {
		v.cache.put(sum, c)
	}
	return c.id, nil
}

// schemeOf tells the kinds of credentials apart.
func (v *verifier) schemeOf(token string) Scheme {
	if len(v.issuers) > 0 && looksSigned(token) {
		return SchemeJWT
	}
	for _, x := range v.asked {
		if strings.HasPrefix(token, x.cfg.Prefix) {
			return SchemeOpaque
		}
	}
	if v.sessions.Enabled {
		return SchemeSession
	}
	if looksSigned(token) {
		return SchemeJWT
	}
	return SchemeNone
}

// looksSigned reports whether a token is made as a JWS in compact form.
func looksSigned(token string) bool {
	head, rest, ok := strings.Cut(token, ".")
	if !ok || strings.Count(rest, ".") != 1 {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil && len(b) > 1 && b[0] == '{'
}

// session gives the identity of a session id: its issuance vouches for it. What stands for a credential in the ledger is no session
// id: who reads the ledger must not come in with it.
func (v *verifier) session(id string) Identity {
	cred := whosaw.HashCredential(id)
	if strings.HasPrefix(id, hashMark) {
		cred = hashToken(id)
	}
	return Identity{Scheme: SchemeSession, Credential: cred, Realm: v.sessions.Realm}
}

const hashMark = "sha256:"

// hashToken hashes a credential whatever it looks like: it could be presented.
func hashToken(token string) string {
	if h := whosaw.HashCredential(token); h != token && !strings.HasPrefix(token, hashMark) {
		return h
	}
	return whosaw.HashCredential("Bearer " + token)
}

// claims are what is read of a token beside the registered ones.
type claims struct {
	jwt.Claims
	ClientID string `json:"client_id"`
	AZP      string `json:"azp"`
}

var signatureAlgorithms = func() (list []jose.SignatureAlgorithm) {
	for _, a := range algorithms {
		list = append(list, jose.SignatureAlgorithm(a))
	}
	return list
}()

// checkJWT checks a signed token. Errors of the library are not passed on: they may quote the token.
func (v *verifier) checkJWT(ctx context.Context, token string, now time.Time) (*checked, *refusal) {
	c := &checked{id: Identity{Scheme: SchemeJWT, Credential: hashToken(token)}}
	parsed, err := jwt.ParseSigned(token, signatureAlgorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return c, refuse(CodeMalformed, "it is no JWT that is signed with a public-key algorithm")
	}
	var said claims
	if err := parsed.UnsafeClaimsWithoutVerification(&said); err != nil {
		return c, refuse(CodeMalformed, "its claims cannot be read")
	}
	from := v.issuers[said.Issuer]
	if from == nil {
		return c, refuse(CodeSignature, "no issuer of that name is configured")
	}
	c.id.Realm = from.cfg.Realm
	h := parsed.Headers[0]
	if !from.takes(h.Algorithm) {
		return c, refuse(CodeSignature, "it is signed with an algorithm that its issuer does not use")
	}
	if h.KeyID == "" || len(h.KeyID) > maxID {
		return c, refuse(CodeUnknownKey, "it names no key")
	}
	key, why := from.key(ctx, h.KeyID)
	if why != nil {
		return c, why
	}
	if key.algorithm != "" && key.algorithm != h.Algorithm {
		return c, refuse(CodeSignature, "its key is for another algorithm")
	}
	if err := parsed.Claims(key.public, &said); err != nil {
		return c, refuse(CodeSignature, "its signature is not that of the key it names")
	}
	c.key, c.from = key, from
	return c, from.accept(c, &said, h.KeyID, now)
}

// accept judges the claims of a token whose signature is right.
func (x *issuer) accept(c *checked, said *claims, kid string, now time.Time) *refusal {
	client := said.ClientID
	if client == "" {
		client = said.AZP
	}
	if len(said.ID) > maxID || len(said.Subject) > maxID || len(client) > maxID {
		return refuse(CodeMalformed, "a claim is longer than any that is taken")
	}
	if said.ID != "" {
		c.id.Credential = whosaw.HashCredential(said.ID)
	}
	c.id.Key, c.id.Client, c.id.Principal, c.id.Verified = kid, client, prefixed(x.cfg.Principal, said.Subject), true
	skew := x.cfg.Skew
	if said.Expiry == nil && x.cfg.MaxAge == 0 {
		return refuse(CodeExpired, "it has no end: give max_age for an issuer whose tokens have none")
	}
	var end time.Time
	if said.Expiry != nil {
		end = said.Expiry.Time()
	}
	if said.IssuedAt != nil {
		c.id.IssuedAt = said.IssuedAt.Time()
		if c.id.IssuedAt.After(now.Add(skew)) {
			return refuse(CodeExpired, "it was issued in the time to come")
		}
	}
	if x.cfg.MaxAge > 0 {
		if said.IssuedAt == nil {
			return refuse(CodeExpired, "it does not say when it was issued")
		}
		if oldest := c.id.IssuedAt.Add(x.cfg.MaxAge); end.IsZero() || oldest.Before(end) {
			end = oldest
		}
	}
	c.id.Expires = end
	left := end.Add(skew).Sub(now)
	if left <= 0 {
		return refuse(CodeExpired, "its time is over")
	}
	if said.NotBefore != nil && said.NotBefore.Time().After(now.Add(skew)) {
		return refuse(CodeExpired, "its time has not come")
	}
	if len(x.cfg.Audience) > 0 {
		ok := false
		for _, a := range x.cfg.Audience {
			ok = ok || said.Audience.Contains(a)
		}
		if !ok {
			return refuse(CodeAudience, "it was made for another service")
		}
	}
	c.until = now.Add(left)
	return nil
}

// trouble is what is wrong with the sources of keys; nil: nothing is.
func (v *verifier) trouble() []string {
	var out []string
	for _, x := range v.issuers {
		if err := x.trouble(); err != nil {
			out = append(out, fmt.Sprintf("issuer %s: %v", x.cfg.Issuer, err))
		}
	}
	return out
}
