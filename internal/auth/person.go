package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// byLink begins the name of a session; who made its one-time link comes after.
const byLink = "staff:admin by link of "

// SamePerson reports whether two names are one person's hands, for what needs two people. A session is whoever made its link, and a token is whoever made it: both
// knew the secret first. Only an account of the machine, whose owner hands tokens out, is not behind the tokens that it makes. Where a token's name was
// used again, whoever made one of them may be meant.
func (s *Store) SamePerson(ctx context.Context, a, b string) (bool, error) {
	of := map[string]bool{}
	if err := s.behind(ctx, a, map[string]bool{}, func(name string) { of[name] = true }); err != nil {
		return false, err
	}
	same := false
	err := s.behind(ctx, b, map[string]bool{}, func(name string) { same = same || of[name] })
	return same, err
}

// behind calls fn with who is behind a name.
func (s *Store) behind(ctx context.Context, name string, seen map[string]bool, fn func(name string)) error {
	for strings.HasPrefix(name, byLink) {
		name = strings.TrimPrefix(name, byLink)
	}
	if seen[name] {
		return nil
	}
	seen[name] = true
	token, ok := strings.CutPrefix(name, "token:")
	if !ok {
		fn(name)
		return nil
	}
	makers, err := s.makers(ctx, token)
	if err != nil {
		return err
	}
	if len(makers) == 0 {
		fn(name)
	}
	for _, maker := range makers {
		if !strings.HasPrefix(maker, "token:") && !strings.HasPrefix(maker, byLink) {
			fn(name)
		} else if err := s.behind(ctx, maker, seen, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) makers(ctx context.Context, token string) (out []string, err error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT maker FROM token WHERE name = ?`, token)
	if err != nil {
		return nil, fmt.Errorf("look for a token's maker: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var maker string
		if err := rows.Scan(&maker); err != nil {
			return nil, fmt.Errorf("look for a token's maker: %w", err)
		}
		out = append(out, maker)
	}
	return out, rows.Err()
}
