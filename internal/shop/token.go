package shop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Who signs: customers' tokens and those of the desk.
const (
	Issuer     = "https://haneul-market.example"
	DeskIssuer = "https://desk.haneul-market.example"
)

// The keys. The backup one signs only while the main one cannot be used.
const (
	MainKey   = "main-2026"
	BackupKey = "backup-2024"
)

// Cookie holds the token of whoever uses the pages. A bearer header wins, here and at the middleware, which must be told this name.
const Cookie = "haneul_session"

// tokenLife is how long a token is good.
const tokenLife = 12 * time.Hour

var algorithms = []jose.SignatureAlgorithm{jose.ES256}

// claims of a token.
type claims struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	ID      string `json:"jti"`
	Client  string `json:"client_id"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
}

// who is the one a token says it was made for.
type who struct {
	claims
	Key string
}

func newKey(id string) (jose.JSONWebKey, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("make key %s: %w", id, err)
	}
	return jose.JSONWebKey{Key: k, KeyID: id, Use: "sig", Algorithm: string(jose.ES256)}, nil
}

func sign(key jose.JSONWebKey, c claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	text, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}

// newID is a random UUID: an id that is no secret, so it may stand in a ledger.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func claimsFor(issuer, subject, client string, now time.Time) claims {
	return claims{Issuer: issuer, Subject: subject, ID: newID(), Client: client, Issued: now.Unix(), Expires: now.Add(tokenLife).Unix()}
}

var errToken = errors.New("the token is not one of this shop")

// check says who a token was made for. This is the fault that the shop is here to show: a right signature of any of its keys is enough. Nobody asks whether
// a log-in issued the token, nor whether the key should be signing at all.
func (s *Shop) check(token, issuer string) (who, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return who{}, errToken // the library's own error may quote the token
	}
	id := parsed.Headers[0].KeyID
	for _, k := range s.keys {
		if k.KeyID != id {
			continue
		}
		var c claims
		if err := parsed.Claims(k.Public().Key, &c); err != nil || c.Issuer != issuer || s.cfg.Now().Unix() >= c.Expires {
			return who{}, errToken
		}
		return who{c, id}, nil
	}
	return who{}, errToken
}

// JWKS gives the public halves of the shop's keys, for jwks_file of the guard.
func (s *Shop) JWKS() []byte {
	var set jose.JSONWebKeySet
	for _, k := range s.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	b, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		panic("BUG: encode public keys: " + err.Error())
	}
	return append(b, '\n')
}

// Stolen is the backup key in the hands of somebody who should not have it. It exists for demonstrations and tests.
type Stolen struct {
	key jose.JSONWebKey
}

// StolenKey is what a person who could read the backup key took along. Only a demo's thief has a use for it.
func (s *Shop) StolenKey() *Stolen { return &Stolen{key: s.keys[1]} }

// ID is the key's id.
func (k *Stolen) ID() string { return k.key.KeyID }

// Forge signs a token for a customer who never logged in. It looks like one of the shop's own.
func (k *Stolen) Forge(customer string, now time.Time) (string, error) {
	return sign(k.key, claimsFor(Issuer, customer, "web", now))
}
