package public

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/whosaw/whosaw"
)

// What tests of the look-up need of its inside.

// SecretOf gives a customer's secret.
func (s *Lookups) SecretOf(incident int64, realm, subject string) Secret {
	return s.key.Secret(incident, realm, subject)
}

// Match looks a secret up.
func (s *Lookups) Match(incident int64, secret Secret) (bool, []string, error) {
	return s.of(incident).match(&secret)
}

// Trace gives bucket and tag of a secret in a build.
func Trace(key []byte, salt string, bits uint) (bucket uint32, tag [8]byte) {
	var s Secret
	copy(s.b[:], key)
	var b [16]byte
	_, _ = hex.Decode(b[:], []byte(salt)) // of a page
	t := s.trace(&b)
	return t.bucket(bits), t.tag
}

// BitsFor is bitsFor.
func BitsFor(people int64) uint { return bitsFor(people) }

// BuildFile builds a look-up of rows that are given, and tells how many buckets it has.
func BuildFile(ctx context.Context, dir string, people int64, fields []string, rows func(ctx context.Context, yield func(*whosaw.ListRow) error) error) (int, error) {
	key, err := OpenKey(dir)
	if err != nil {
		return 0, err
	}
	b := &build{key: key, incident: 1, version: 1, fields: fields, people: people, rows: rows}
	name := filepath.Join(dir, "lookup-1.bin")
	if err := b.write(ctx, name); err != nil {
		return 0, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return int((info.Size() - headerLen) / storedLen), nil
}
