package keys

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// MaxAge is how long a gateway may go on with a key set that it has: the time in which a kill has reached everybody.
const MaxAge = time.Minute

// KeySet is the answer for gateways.
type KeySet struct {
	Body []byte
	ETag string
}

// store keeps public keys in state.db.
type store struct{ db *sqlite.DB }

// put keeps a public key. One that was killed is never put again: a killed id is not used anew.
func (s *store) put(ctx context.Context, realm string, k PublicKey, who string, now int64) error {
	text, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep public key: %w", err)
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO key_public (realm, key, jwk, added, adder) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (realm, key) DO UPDATE SET jwk = excluded.jwk, added = excluded.added, adder = excluded.adder`, realm, k.ID, string(text), now, who)
		if err != nil {
			return fmt.Errorf("keep public key: %w", err)
		}
		return nil
	})
}

// end takes a key out of the set for good, retire until a time, revive puts it back.
func (s *store) end(ctx context.Context, realm, key string, now int64) error {
	return s.exec(ctx, "UPDATE key_public SET ended = coalesce(ended, ?) WHERE realm = ? AND key = ?", now, realm, key)
}

func (s *store) retire(ctx context.Context, realm, key string, until int64) error {
	return s.exec(ctx, "UPDATE key_public SET until = ? WHERE realm = ? AND key = ?", until, realm, key)
}

func (s *store) revive(ctx context.Context, realm, key string) error {
	return s.exec(ctx, "UPDATE key_public SET ended = NULL, until = NULL WHERE realm = ? AND key = ?", realm, key)
}

func (s *store) exec(ctx context.Context, query string, args ...any) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("keep key set: %w", err)
		}
		return nil
	})
}

// stored is a public key and how it stands in the set.
type stored struct {
	realm, key   string
	jwk          PublicKey
	until, ended int64
}

func (k *stored) served(now int64) bool { return k.ended == 0 && (k.until == 0 || k.until > now) }

func (s *store) all(ctx context.Context) ([]stored, error) {
	rows, err := s.db.Read().QueryContext(ctx, "SELECT realm, key, jwk, coalesce(until, 0), coalesce(ended, 0) FROM key_public ORDER BY realm, key")
	if err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	defer rows.Close()
	var out []stored
	for rows.Next() {
		var k stored
		var text []byte
		if err := rows.Scan(&k.realm, &k.key, &text, &k.until, &k.ended); err != nil {
			return nil, fmt.Errorf("read public keys: %w", err)
		}
		if err := json.Unmarshal(text, &k.jwk); err != nil {
			return nil, fmt.Errorf("read public keys: %w", err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	return out, nil
}

// keySet gives the key set of a realm as of now.
func (s *store) keySet(ctx context.Context, realm string, now int64) (KeySet, error) {
	list, err := s.all(ctx)
	if err != nil {
		return KeySet{}, err
	}
	set := struct {
		Keys []PublicKey `json:"keys"`
	}{[]PublicKey{}}
	for i := range list {
		if k := &list[i]; k.realm == realm && k.served(now) {
			set.Keys = append(set.Keys, k.jwk)
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return KeySet{}, fmt.Errorf("write key set: %w", err)
	}
	sum := sha256.Sum256(body)
	return KeySet{append(body, '\n'), `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
}
