package guard

import (
	"math"
	"strconv"

	"github.com/go-jose/go-jose/v4/jwt"
)

// Fill has as many decisions hold as may.
func (b *Book) Fill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Standing{Expires: math.MaxInt64}
	for i := len(b.holding); i < maxStandings; i++ {
		b.holding["full-"+strconv.Itoa(i)] = s
	}
}

// ParseKeys gives the public keys of a set by their ids.
func ParseKeys(data []byte) (map[string]any, error) {
	by, err := parseKeys(data)
	out := map[string]any{}
	for id, k := range by {
		out[id] = k.public
	}
	return out, err
}

// Verifies reports whether a key signed a token.
func Verifies(token string, public any) bool {
	parsed, err := jwt.ParseSigned(token, signatureAlgorithms)
	if err != nil {
		return false
	}
	var c claims
	return parsed.Claims(public, &c) == nil
}
