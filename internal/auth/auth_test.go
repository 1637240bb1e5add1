package auth_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newStore(t *testing.T) (*auth.Store, *clock, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := &clock{time.UnixMilli(1795000000000)}
	return auth.New(db, rand.Reader, c.now, []string{"access", "issuance", "reason"}), c, path
}

func TestTokens(t *testing.T) {
	s, c, path := newStore(t)
	ctx := t.Context()
	made, secret, err := s.Create(ctx, auth.Spec{Name: "gw-1", Role: auth.RoleIngest, Expires: time.Hour}, "staff:kim")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "wst_"+made.ID+"_") || made.Maker != "staff:kim" {
		t.Errorf("token %+v", made)
	}
	got, err := s.Authenticate(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if !got.MaySend("gw-1") || got.MaySend("gw-2") || len(got.Types) != 1 || got.Types[0] != "access" {
		t.Errorf("the rights of a token without any named: %+v", got)
	}
	for _, bad := range []string{
		"", "wst_", secret[:len(secret)-1], secret + "x", secret[:len(secret)-1] + "~", strings.Replace(secret, made.ID, "aaaaaaaaaaaaaaaa", 1), made.ID,
		strings.TrimPrefix(secret, "wst_"),
	} {
		if _, err := s.Authenticate(ctx, bad); !errors.Is(err, auth.ErrUnknown) {
			t.Errorf("a wrong token of %d bytes: %v", len(bad), err)
		}
	}
	if _, _, err := s.Create(ctx, auth.Spec{Name: "gw-1", Role: auth.RoleRead}, "x"); !errors.As(err, new(*auth.BadSpec)) {
		t.Errorf("the same name again: %v", err)
	}
	c.at = c.at.Add(time.Hour)
	if _, err := s.Authenticate(ctx, secret); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("an expired token: %v", err)
	}
	c.at = c.at.Add(-2 * time.Minute) // a clock that goes back
	if _, err := s.Authenticate(ctx, secret); err != nil {
		t.Errorf("after the clock went back: %v", err)
	}
	if _, err := s.Revoke(ctx, "gw-1", "staff:lee"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(ctx, secret); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := s.Revoke(ctx, "gw-1", "staff:lee"); !errors.Is(err, auth.ErrNoToken) {
		t.Errorf("revoked twice: %v", err)
	}
	if _, _, err := s.Create(ctx, auth.Spec{Name: "gw-1", Role: auth.RoleRead}, "x"); err != nil {
		t.Errorf("a revoked token's name: %v", err)
	}
	all, err := s.Tokens(ctx)
	if err != nil || len(all) != 2 || all[1].Revoked == 0 && all[0].Revoked == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	for _, name := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(secret[len(secret)-43:])) {
			t.Errorf("%s holds the secret", filepath.Base(name))
		}
	}
}

func TestBadSpecs(t *testing.T) {
	s, _, _ := newStore(t)
	for _, spec := range []auth.Spec{
		{}, {Name: "a b", Role: auth.RoleRead}, {Name: "a", Role: "root"}, {Name: "a", Role: auth.RoleRead, Types: []string{"access"}},
		{Name: "a", Role: auth.RoleIngest, Types: []string{"verdict"}}, {Name: "a", Role: auth.RoleIngest, Sources: []string{""}},
		{Name: strings.Repeat("a", 65), Role: auth.RoleAdmin}, {Name: "a", Role: auth.RoleAdmin, Expires: -1},
	} {
		if _, _, err := s.Create(t.Context(), spec, "x"); !errors.As(err, new(*auth.BadSpec)) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role, want auth.Role
		may        bool
	}{
		{auth.RoleAdmin, auth.RoleRead, true}, {auth.RoleAdmin, auth.RoleIngest, false}, {auth.RoleRead, auth.RoleAdmin, false},
		{auth.RoleIngest, auth.RoleRead, false}, {auth.RoleIngest, auth.RoleIngest, true}, {"", auth.RoleRead, false},
	} {
		if c.role.May(c.want) != c.may {
			t.Errorf("%q may %q: %v", c.role, c.want, !c.may)
		}
	}
}

func TestLinksAndSessions(t *testing.T) {
	s, c, _ := newStore(t)
	ctx := t.Context()
	if fresh, err := s.Fresh(ctx); err != nil || !fresh {
		t.Errorf("fresh %v, %v", fresh, err)
	}
	code, err := s.NewLink(ctx, "first start")
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := s.Fresh(ctx); err != nil || fresh {
		t.Errorf("fresh %v, %v", fresh, err)
	}
	secret, session, err := s.Redeem(ctx, code)
	if err != nil || session.Role != auth.RoleAdmin {
		t.Fatal(session, err)
	}
	if _, _, err := s.Redeem(ctx, code); !errors.Is(err, auth.ErrLinkGone) {
		t.Errorf("a link used twice: %v", err)
	}
	if _, err := s.Session(ctx, code); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("a link as a session: %v", err)
	}
	if got, err := s.Session(ctx, secret); err != nil || got != session {
		t.Errorf("session %+v, %v", got, err)
	}
	late, err := s.NewLink(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(auth.LinkLife)
	if _, _, err := s.Redeem(ctx, late); !errors.Is(err, auth.ErrLinkGone) {
		t.Errorf("an old link: %v", err)
	}
	if err := s.End(ctx, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Session(ctx, secret); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("an ended session: %v", err)
	}
}
