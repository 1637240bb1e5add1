package public

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Key makes the look-up secrets of all incidents. Whoever has it can look up everybody, so it lies in a file of its own, not in the state.
type Key struct{ b [32]byte }

// String keeps the key out of logs and errors.
func (Key) String() string { return "[look-up key]" }

// GoString too.
func (Key) GoString() string { return "[look-up key]" }

// KeyName is the key's file in the directory of incidents.
const KeyName = "lookup.key"

// OpenKey reads the key of a directory, or makes it there. It returns once a new one is on disk: secrets made with a key that is gone would
// be refused for ever.
func OpenKey(dir string) (Key, error) {
	var k Key
	name := filepath.Join(dir, KeyName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, name)
	}
	if err != nil {
		return k, fmt.Errorf("read look-up key: %w", err)
	}
	if n, err := hex.Decode(k.b[:], []byte(strings.TrimSpace(string(data)))); err != nil || n != len(k.b) {
		return Key{}, fmt.Errorf("read look-up key: %s is damaged: take it from a backup; without one remove it, and links that people were given end", name)
	}
	return k, nil
}

func makeKey(dir, name string) (k Key, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, fmt.Errorf("make look-up key: %w", err)
	}
	if _, err := rand.Read(k.b[:]); err != nil {
		return k, fmt.Errorf("make look-up key: %w", err)
	}
	f, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return k, fmt.Errorf("make look-up key: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(k.b[:]) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), name) // never over one that is there
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make look-up key: %w", err)
	}
	return k, nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ID tells keys apart, and says nothing else of them.
func (k Key) ID() [8]byte {
	m := hmac.New(sha256.New, k.b[:])
	m.Write([]byte("whosaw look-up key id\x00"))
	return [8]byte(m.Sum(nil))
}

// Secret is what one customer needs for one look-up: 128 bits that nobody can work out without the key, and 32 that tell a slip of
// the pen from a secret.
type Secret struct{ b [secretLen]byte }

const (
	secretLen = 20
	secretKey = 16 // of it, the bits nobody can guess
)

// String keeps the secret out of logs and errors.
func (Secret) String() string { return "[look-up secret]" }

// GoString too.
func (Secret) GoString() string { return "[look-up secret]" }

// Secret gives the secret of a customer. It is made of what the customer is called, never of what happened to him: so it is there for everybody,
// and having one says nothing.
func (k Key) Secret(incident int64, realm, subject string) Secret {
	m := hmac.New(sha256.New, k.b[:])
	m.Write([]byte("whosaw look-up secret\x00"))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(incident))
	m.Write(n[:])
	binary.BigEndian.PutUint64(n[:], uint64(len(realm)))
	m.Write(n[:])
	m.Write([]byte(realm))
	m.Write([]byte(subject))
	var s Secret
	copy(s.b[:secretKey], m.Sum(nil))
	check := checkOf(incident, k.ID(), s.b[:secretKey])
	copy(s.b[secretKey:], check[:])
	return s
}

// checkOf is over the incident and the key's id too: a secret of another incident, or of a key that was lost, is refused instead of being
// answered with "not in the list".
func checkOf(incident int64, id [8]byte, secret []byte) [secretLen - secretKey]byte {
	h := sha256.New()
	h.Write([]byte("whosaw look-up check\x00"))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(incident))
	h.Write(n[:])
	h.Write(id[:])
	h.Write(secret)
	return [secretLen - secretKey]byte(h.Sum(nil))
}

// Text writes the secret as people type it: eight groups of four, without letters that look like digits.
func (s Secret) Text() string {
	plain := base32.StdEncoding.EncodeToString(s.b[:])
	var out strings.Builder
	for i := 0; i < len(plain); i += 4 {
		if i > 0 {
			out.WriteByte('-')
		}
		out.WriteString(plain[i : i+4])
	}
	return out.String()
}

// errSlip is a text that is no secret of this incident.
var errSlip = errors.New("this is no personal code of this look-up")

// ParseSecret reads what somebody typed.
func ParseSecret(incident int64, id [8]byte, text string) (Secret, error) {
	var s Secret
	if len(text) > 200 {
		return s, errSlip
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r == '0':
			return 'O'
		case r == '8':
			return 'B'
		case r == ' ' || r == '-' || r == '\t' || r == '\n' || r == '\r' || r == '\u00a0' || r == '\u2010' || r == '\u2011':
			return -1
		}
		return r
	}, text)
	data, err := base32.StdEncoding.DecodeString(plain)
	if err != nil || len(data) != secretLen {
		return s, errSlip
	}
	copy(s.b[:], data)
	if check := checkOf(incident, id, s.b[:secretKey]); subtle.ConstantTimeCompare(check[:], s.b[secretKey:]) != 1 {
		return Secret{}, errSlip
	}
	return s, nil
}

// trace is what a secret leaves in one build: its bucket, its tag, and what hides the payload. Another build has another salt, so nobody can
// see which entries of two builds belong together.
type trace struct {
	place uint32 // its first bits are the bucket
	tag   [8]byte
	veil  [8]byte
}

func (s *Secret) trace(salt *[16]byte) trace {
	m := hmac.New(sha256.New, s.b[:secretKey])
	m.Write([]byte("whosaw look-up entry\x00"))
	m.Write(salt[:])
	sum := m.Sum(nil)
	return trace{binary.BigEndian.Uint32(sum), [8]byte(sum[4:]), [8]byte(sum[12:])}
}

func (t *trace) bucket(bits uint) uint32 {
	if bits == 0 {
		return 0
	}
	return t.place >> (32 - bits)
}
