package shop

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Two ways to keep a password, told apart by how the kept text begins.
//
// What a person chose is kept with Argon2id (19 MiB, two passes: OWASP's least), because it can be guessed. Generated customers have 100 random bits as
// a password: nobody guesses that however fast each try is, so one SHA-256 with a salt keeps it as safe, and ten thousand of them take milliseconds
// to make and to check.
// Both kept texts are in the PHC string format, which says how costly the hash is: a later shop may ask more of new ones.
const (
	slow = "$argon2id$"
	fast = "$sha256$"

	saltLength = 16
	sumLength  = 32
)

// cost of an Argon2id hash.
type cost struct {
	version        int
	memory, passes uint32 // KiB, and how often over it
	lanes          uint8
}

// chosen is what new passwords get. Tests that are not about it get less.
var chosen = cost{argon2.Version, 19 << 10, 2, 1}

// argonAtOnce bounds the memory that log-ins take, whoever tries them: others wait.
var argonAtOnce = make(chan struct{}, 4)

func (c cost) hash(password string, salt []byte) []byte {
	argonAtOnce <- struct{}{}
	defer func() { <-argonAtOnce }()
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.lanes, sumLength)
}

func (c cost) String() string {
	return fmt.Sprintf("v=%d$m=%d,t=%d,p=%d$", c.version, c.memory, c.passes, c.lanes)
}

func hashSlow(password string) (string, error) {
	return hash(slow+chosen.String(), chosen.hash, password)
}

func hashFast(password string) (string, error) { return hash(fast, salted, password) }

func salted(password string, salt []byte) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte(password))
	return h.Sum(nil)
}

func hash(head string, by func(string, []byte) []byte, password string) (string, error) {
	var salt [saltLength]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	e := base64.RawStdEncoding
	return head + e.EncodeToString(salt[:]) + "$" + e.EncodeToString(by(password, salt[:])), nil
}

// nobody's password is what is checked where there is no such account, so that an answer takes as long.
func nobody() string {
	return slow + chosen.String() + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)
}

var errKept = errors.New("check a password: what was kept cannot be read")

// matches reports whether a password is the one that was kept.
func matches(kept, password string) (bool, error) {
	parts := strings.Split(kept, "$") // the first is empty
	by := salted
	switch {
	case strings.HasPrefix(kept, slow) && len(parts) == 6:
		var c cost
		if _, err := fmt.Sscanf(parts[2]+"$"+parts[3]+"$", "v=%d$m=%d,t=%d,p=%d$", &c.version, &c.memory, &c.passes, &c.lanes); err != nil ||
			c.version != argon2.Version || c.passes == 0 || c.lanes == 0 {
			return false, errKept
		}
		by = c.hash
	case strings.HasPrefix(kept, fast) && len(parts) == 4:
	default:
		return false, errKept
	}
	e := base64.RawStdEncoding
	salt, err := e.DecodeString(parts[len(parts)-2])
	if err != nil {
		return false, errKept
	}
	want, err := e.DecodeString(parts[len(parts)-1])
	if err != nil || len(want) != sumLength {
		return false, errKept
	}
	return subtle.ConstantTimeCompare(by(password, salt), want) == 1, nil
}
