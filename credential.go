package whosaw

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxPlainCredential is the longest credential that is kept as it came, in bytes. 128 random bits,
// the least that session ids and opaque tokens should have (OWASP ASVS 3.2), need 22 characters
// of base64; a shorter id is not a sound secret.
const maxPlainCredential = 20

const hashMark = "sha256:"

// HashCredential gives the form in which a credential is stored and looked for: what could itself
// be presented at the door must not lie in a ledger. It is idempotent.
//
//   - "sha256:" and 32 or 64 hex digits: already hashed; its first 32 digits, lower case.
//   - A UUID, or up to 20 bytes of A-Z a-z 0-9 . _ - : @ / : an id, kept as it is.
//   - Anything else (cookie, JWT, opaque token, "Bearer …"): "sha256:" and the first 16 bytes of its
//     SHA-256 in hex. The word Bearer is no part of what is hashed.
func HashCredential(s string) string {
	if len(s) <= maxPlainCredential {
		if plainCredential(s) {
			return s
		}
	} else if isUUID(s) {
		return s
	}
	if rest, ok := strings.CutPrefix(s, hashMark); ok && (len(rest) == 32 || len(rest) == 64) && isHex(rest) {
		return hashMark + strings.ToLower(rest[:32])
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "bearer ") {
		if token := strings.TrimSpace(s[7:]); token != "" {
			s = token
		}
	}
	sum := sha256.Sum256([]byte(s))
	var out [len(hashMark) + 32]byte
	copy(out[:], hashMark)
	hex.Encode(out[len(hashMark):], sum[:16])
	return string(out[:])
}

// plainCredential reports whether s is made of an id's characters only.
func plainCredential(s string) bool {
	for i := range len(s) {
		if !idByte[s[i]] {
			return false
		}
	}
	return true
}

var idByte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@/" {
		t[c] = true
	}
	return t
}()

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}
