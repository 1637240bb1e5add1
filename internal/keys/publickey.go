package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// PublicKey is a public key as a key set holds it (RFC 7517): for signatures, nothing private in it.
type PublicKey struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
}

// maxKeyText bounds what a public key or a key set may be.
const maxKeyText = 1 << 20

var errPrivate = errors.New("it holds a private key: give the public one alone, and replace this key, for it has now been copied")

// ParsePublicKey reads a public key: PEM (PUBLIC KEY, RSA PUBLIC KEY, CERTIFICATE) or a JWK. Its id is set to kid; "" takes the JWK's own.
func ParsePublicKey(text, kid string) (PublicKey, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxKeyText {
		return PublicKey{}, errors.New("read public key: it is longer than a megabyte")
	}
	if strings.HasPrefix(text, "{") {
		list, err := ParseKeySet(text)
		if err != nil {
			return PublicKey{}, err
		}
		if len(list) != 1 {
			return PublicKey{}, fmt.Errorf("read public key: a set of %d keys: use whosaw keys import", len(list))
		}
		if kid != "" {
			list[0].ID = kid
		}
		return list[0], list[0].check()
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return PublicKey{}, fmt.Errorf("read public key: %w", errPrivate)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return PublicKey{}, errors.New("read public key: it is neither PEM nor a JWK; openssl pkey -in KEY -pubout writes PEM")
	}
	var pub any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		pub, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		pub, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			pub = c.PublicKey
		}
	default:
		err = errors.New("the PEM is no public key and no certificate")
	}
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", err)
	}
	k, err := fromKey(pub)
	if err != nil {
		return k, err
	}
	k.ID = kid
	return k, k.check()
}

func fromKey(pub any) (PublicKey, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch p := pub.(type) {
	case *rsa.PublicKey:
		return PublicKey{Type: "RSA", Use: "sig", Algorithm: "RS256", N: b64(p.N.Bytes()), E: b64(big.NewInt(int64(p.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		raw, err := p.Bytes() // 4, X, Y
		if err != nil {
			return PublicKey{}, fmt.Errorf("read public key: %w", err)
		}
		half := (len(raw) - 1) / 2
		alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[p.Curve.Params().Name]
		return PublicKey{Type: "EC", Use: "sig", Algorithm: alg, Curve: p.Curve.Params().Name, X: b64(raw[1 : 1+half]), Y: b64(raw[1+half:])}, nil
	case ed25519.PublicKey:
		return PublicKey{Type: "OKP", Use: "sig", Algorithm: "EdDSA", Curve: "Ed25519", X: b64(p)}, nil
	}
	return PublicKey{}, fmt.Errorf("read public key: keys of the kind %T sign no tokens: give RSA, EC or Ed25519", pub)
}

// ParseKeySet reads a key set, or a single JWK. Keys that are not for signatures are left out; what holds a private or shared key is refused.
func ParseKeySet(text string) ([]PublicKey, error) {
	if len(text) > maxKeyText {
		return nil, errors.New("read key set: it is longer than a megabyte")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
		Type string            `json:"kty"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return nil, fmt.Errorf("read key set: it is no JSON: %w", err)
	}
	if set.Keys == nil && set.Type != "" {
		set.Keys = []json.RawMessage{json.RawMessage(text)}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("read key set: there is no key in it")
	}
	var out []PublicKey
	for i, raw := range set.Keys {
		var private struct {
			D json.RawMessage `json:"d"`
			K json.RawMessage `json:"k"`
			P json.RawMessage `json:"p"`
		}
		var k PublicKey
		if err := json.Unmarshal(raw, &private); err != nil {
			return nil, fmt.Errorf("read key set: key %d: %w", i+1, err)
		}
		if private.D != nil || private.K != nil || private.P != nil {
			return nil, fmt.Errorf("read key set: key %d: %w", i+1, errPrivate)
		}
		if err := json.Unmarshal(raw, &k); err != nil {
			return nil, fmt.Errorf("read key set: key %d: %w", i+1, err)
		}
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		k.Use = "sig"
		if k.ID != "" {
			if err := k.check(); err != nil {
				return nil, fmt.Errorf("read key set: key %d: %w", i+1, err)
			}
			if slices.ContainsFunc(out, func(o PublicKey) bool { return o.ID == k.ID }) {
				return nil, fmt.Errorf("read key set: key %d: its id is there twice", i+1)
			}
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, errors.New("read key set: no key in it is for signatures")
	}
	return out, nil
}

// check judges a key's numbers: what a verifier would choke on, or should not trust, is not served.
func (k *PublicKey) check() error {
	num := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	var algorithms []string
	switch k.Type {
	case "RSA":
		n, e := new(big.Int).SetBytes(num(k.N)), new(big.Int).SetBytes(num(k.E))
		if n.BitLen() < 2048 || n.BitLen() > 16384 {
			return fmt.Errorf("public key: an RSA key of %d bits: at least 2048 are safe", n.BitLen())
		}
		if !e.IsInt64() || e.Int64() < 3 || e.Bit(0) == 0 {
			return errors.New("public key: the exponent e is none of RSA")
		}
		algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
		if curve == nil {
			return errors.New("public key: the curve is not P-256, P-384 or P-521")
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := num(k.X), num(k.Y)
		if len(x) != size || len(y) != size {
			return errors.New("public key: x and y have not the length of the curve")
		}
		if _, err := ecdsa.ParseUncompressedPublicKey(curve, bytes.Join([][]byte{{4}, x, y}, nil)); err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		algorithms = []string{map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Curve]}
	case "OKP":
		if k.Curve != "Ed25519" || len(num(k.X)) != ed25519.PublicKeySize {
			return errors.New("public key: of the kind OKP only Ed25519 is known")
		}
		algorithms = []string{"EdDSA", "Ed25519"}
	default:
		return errors.New("public key: the kind (kty) is not RSA, EC or OKP")
	}
	if k.Algorithm != "" && !slices.Contains(algorithms, k.Algorithm) {
		return fmt.Errorf("public key: an algorithm that does not go with its kind: give one of %s", strings.Join(algorithms, ", "))
	}
	return nil
}
