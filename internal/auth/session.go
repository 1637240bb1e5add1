package auth

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// LinkLife is how long a one-time link waits to be opened.
	LinkLife = time.Hour
	// SessionLife is how long a session lasts, however often it is used.
	SessionLife = 12 * time.Hour
)

// Session is a person who came by a one-time link.
type Session struct {
	Who     string
	Role    Role
	Made    int64 // milliseconds since 1970
	Expires int64
}

// NewLink gives the code of a one-time link that makes whoever opens it first an administrator for a while.
func (s *Store) NewLink(ctx context.Context, maker string) (code string, err error) {
	b, err := s.draw(32)
	if err != nil {
		return "", err
	}
	code = linkPrefix + base64.RawURLEncoding.EncodeToString(b)
	now := s.now()
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM link WHERE expires <= ?`, now.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO link (hash, made, maker, expires) VALUES (?, ?, ?, ?)`,
			hashOf(code), now.UnixMilli(), maker, now.Add(LinkLife).UnixMilli())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make a one-time link: %w", err)
	}
	return code, nil
}

// Fresh reports whether nobody has ever made a link or a token here: it is the server's first start.
func (s *Store) Fresh(ctx context.Context) (bool, error) {
	var n int
	err := s.db.Read().QueryRowContext(ctx, `SELECT (SELECT count(*) FROM link) + (SELECT count(*) FROM session) + (SELECT count(*) FROM token)`).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for accounts: %w", err)
	}
	return n == 0, nil
}

// Redeem uses a link up and gives the secret of a new session, for a cookie.
func (s *Store) Redeem(ctx context.Context, code string) (secret string, session Session, err error) {
	if !strings.HasPrefix(code, linkPrefix) {
		return "", Session{}, ErrLinkGone
	}
	b, err := s.draw(32)
	if err != nil {
		return "", Session{}, err
	}
	secret = cookiePart + base64.RawURLEncoding.EncodeToString(b)
	now := s.now()
	session = Session{Role: RoleAdmin, Made: now.UnixMilli(), Expires: now.Add(SessionLife).UnixMilli()}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		var maker string
		err := tx.QueryRowContext(ctx, `DELETE FROM link WHERE hash = ? AND expires > ? RETURNING maker`, hashOf(code), now.UnixMilli()).Scan(&maker)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrLinkGone
		}
		if err != nil {
			return err
		}
		session.Who = "admin by link of " + maker
		if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE expires <= ?`, now.UnixMilli()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO session (hash, who, role, made, expires) VALUES (?, ?, ?, ?, ?)`,
			hashOf(secret), session.Who, session.Role, session.Made, session.Expires)
		return err
	})
	if err != nil {
		return "", Session{}, fmt.Errorf("use a one-time link: %w", err)
	}
	return secret, session, nil
}

// Session finds the session of a cookie. Any reason to refuse it is ErrUnknown. The look-up is by hash: how long it takes
// says nothing about the secret.
func (s *Store) Session(ctx context.Context, secret string) (Session, error) {
	var out Session
	if !strings.HasPrefix(secret, cookiePart) {
		return out, ErrUnknown
	}
	err := s.db.Read().QueryRowContext(ctx, `SELECT who, role, made, expires FROM session WHERE hash = ? AND expires > ?`,
		hashOf(secret), s.now().UnixMilli()).Scan(&out.Who, &out.Role, &out.Made, &out.Expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, ErrUnknown
	}
	if err != nil {
		return Session{}, fmt.Errorf("look for session: %w", err)
	}
	return out, nil
}

// End ends a session; one that is not there is none.
func (s *Store) End(ctx context.Context, secret string) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE hash = ?`, hashOf(secret))
		return err
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
