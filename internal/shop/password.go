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
const (
	slow = "$argon2id$"
	fast = "$sha256$"

	argonPasses = 2
	argonMemory = 19 << 10 // KiB
	argonLength = 32
	saltLength  = 16
)

// argonAtOnce bounds the memory that log-ins take, whoever tries them: others wait.
var argonAtOnce = make(chan struct{}, 4)

func argon(password string, salt []byte) []byte {
	argonAtOnce <- struct{}{}
	defer func() { <-argonAtOnce }()
	return argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, 1, argonLength)
}

func hashSlow(password string) (string, error) { return hash(slow, argon, password) }

func hashFast(password string) (string, error) { return hash(fast, salted, password) }

func salted(password string, salt []byte) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte(password))
	return h.Sum(nil)
}

func hash(kind string, by func(string, []byte) []byte, password string) (string, error) {
	var salt [saltLength]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", fmt.Errorf("draw a salt: %w", err)
	}
	e := base64.RawStdEncoding
	return kind + e.EncodeToString(salt[:]) + "$" + e.EncodeToString(by(password, salt[:])), nil
}

// nobody's password is what is checked where there is no such account, so that an answer takes as long.
var nobody = slow + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)

// matches reports whether a password is the one that was kept.
func matches(kept, password string) (bool, error) {
	by, rest := argon, ""
	switch {
	case strings.HasPrefix(kept, slow):
		rest = kept[len(slow):]
	case strings.HasPrefix(kept, fast):
		by, rest = salted, kept[len(fast):]
	default:
		return false, errors.New("check a password: what was kept is of no known kind")
	}
	salt, sum, _ := strings.Cut(rest, "$")
	e := base64.RawStdEncoding
	s, err := e.DecodeString(salt)
	if err != nil {
		return false, errors.New("check a password: what was kept cannot be read")
	}
	want, err := e.DecodeString(sum)
	if err != nil || len(want) == 0 {
		return false, errors.New("check a password: what was kept cannot be read")
	}
	return subtle.ConstantTimeCompare(by(password, s), want) == 1, nil
}
