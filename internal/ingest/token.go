package ingest

import (
	"encoding/base64"
	"strings"

	"github.com/whosaw/whosaw"
)

// claims of a token that are wanted.
var (
	headerTree  = claimTree("kid")
	payloadTree = claimTree("sub", "jti", "client_id", "azp")
)

func claimTree(names ...string) *path {
	var p path
	for i, name := range names {
		p.child(name).slots = []int{i}
	}
	return &p
}

// tokenClaims fills principal, credential, key and client from a token, where the record has none yet. Nothing is
// verified: what a token claims is all that is taken, and called a claim. A token without an id is known by its
// hash, and so is one that is no JWT. The token is not kept.
func tokenClaims(token, prefix string, r *whosaw.Record) {
	token = strings.TrimSpace(token)
	if len(token) > 7 && strings.EqualFold(token[:7], "bearer ") {
		token = strings.TrimSpace(token[7:])
	}
	if token == "" {
		return
	}
	var header [1]value
	var payload [4]value
	parts := strings.Split(token, ".")
	if len(parts) == 3 && decodeClaims(parts[0], headerTree, header[:]) && decodeClaims(parts[1], payloadTree, payload[:]) {
		if sub := claim(payload[0]); sub != "" {
			r.Principal = prefix + sub
		}
		r.Credential = whosaw.HashCredential(claim(payload[1]))
		if claim(payload[1]) == "" {
			r.Credential = ""
		}
		if r.Client = claim(payload[2]); r.Client == "" {
			r.Client = claim(payload[3])
		}
		r.Key = claim(header[0])
	}
	if r.Credential == "" {
		r.Credential = hashToken(token)
	}
}

// hashToken hashes what stands where a token belongs, even if it is as short as an id: it opens doors.
func hashToken(token string) string {
	if h := whosaw.HashCredential(token); h != token || strings.HasPrefix(h, "sha256:") {
		return h
	}
	return whosaw.HashCredential("Bearer " + token)
}

func decodeClaims(part string, tree *path, vals []value) bool {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return false
	}
	twice, bad := capture(string(b), tree, vals)
	return bad == nil && twice < 0
}

// claim gives a claim's text; a number's digits.
func claim(v value) string {
	if v.kind == 'n' {
		if wholeNumber(v.raw) {
			return v.raw
		}
	}
	s, _ := v.text()
	return s
}
