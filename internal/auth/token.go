package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Role is what somebody may do.
type Role string

const (
	RoleIngest Role = "ingest" // send records, and ask the guard: what the middleware and the proxy do with one token
	RoleSend   Role = "send"   // send records; nothing else
	RoleDoor   Role = "door"   // ask the guard and read its feed; nothing else
	RoleRead   Role = "read"   // ask
	RoleAdmin  Role = "admin"  // ask, judge findings, make tokens
	RoleLookup Role = "lookup" // hand customers their look-up secrets; nothing else. No other role may: it would be able to fish
)

// May reports whether the role includes what another allows. Sending is a right of its own: an admin may not do it.
func (r Role) May(want Role) bool {
	return r == want || r == RoleAdmin && want == RoleRead
}

// Sends reports whether tokens of the role send records.
func (r Role) Sends() bool { return r == RoleIngest || r == RoleSend }

// Asks reports whether tokens of the role ask the guard.
func (r Role) Asks() bool { return r == RoleIngest || r == RoleDoor }

// AnySource allows a token to send every source.
const AnySource = "*"

// Spec is a token to be made.
type Spec struct {
	Name    string   // 1 to 64 letters, digits, - _ .; unique among tokens that are not revoked
	Role    Role     //
	Sources []string // roles that send: names of sources, or AnySource. Empty: the token's name
	Types   []string // roles that send: record types. Empty: access
	Expires time.Duration
}

// Token is a token without its secret. Times are milliseconds since 1970, 0 where there is none.
type Token struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Role    Role     `json:"role"`
	Sources []string `json:"sources,omitempty"`
	Types   []string `json:"types,omitempty"`
	Made    int64    `json:"made"`
	Maker   string   `json:"maker"`
	Expires int64    `json:"expires,omitempty"`
	Revoked int64    `json:"revoked,omitempty"`
	Used    int64    `json:"used,omitempty"`
}

// MaySend reports whether the token may send a source.
func (t *Token) MaySend(source string) bool {
	return t.Role.Sends() && (slices.Contains(t.Sources, AnySource) || slices.Contains(t.Sources, source))
}

// Errors that callers branch on. They tell nothing about what exists.
var (
	ErrUnknown  = errors.New("the token is not known here, was revoked, or has expired: make one with whosaw token create")
	ErrNoToken  = errors.New("there is no such token: whosaw token list shows those that are there")
	ErrLinkGone = errors.New("the link was used already or is older than an hour: make another with whosaw admin link")
)

// BadSpec is an error of a token's description.
type BadSpec struct{ text string }

func (e *BadSpec) Error() string { return e.text }

// Store keeps tokens, links and sessions. Its methods are safe for concurrent use.
type Store struct {
	db     *sqlite.DB
	random io.Reader
	now    func() time.Time
	types  []string
}

// New gives a store. types are the names of the record types that exist.
func New(db *sqlite.DB, random io.Reader, now func() time.Time, types []string) *Store {
	return &Store{db: db, random: random, now: now, types: types}
}

const (
	tokenPrefix = "wst_" // secret scanners look for it
	linkPrefix  = "wsl_"
	cookiePart  = "wss_"
)

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// draw gives n random bytes.
func (s *Store) draw(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.random, b); err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	return b, nil
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func (s *Store) check(spec *Spec) error {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if n := len(spec.Name); n == 0 || n > 64 || strings.IndexFunc(spec.Name, func(r rune) bool { return !plain(r) }) >= 0 {
		return &BadSpec{"the token's name: give 1 to 64 letters, digits, hyphens, dots and underscores"}
	}
	switch spec.Role {
	case RoleRead, RoleAdmin, RoleLookup, RoleDoor:
		if len(spec.Sources)+len(spec.Types) > 0 {
			return &BadSpec{fmt.Sprintf("a token with role %s sends nothing: leave out sources and types, or give it role ingest", spec.Role)}
		}
	case RoleIngest, RoleSend:
		if len(spec.Sources) == 0 {
			spec.Sources = []string{spec.Name}
		}
		if len(spec.Types) == 0 {
			spec.Types = []string{"access"}
		}
		for _, t := range spec.Types {
			if !slices.Contains(s.types, t) {
				return &BadSpec{fmt.Sprintf("record type %q: give some of %s", t, strings.Join(s.types, ", "))}
			}
		}
		for _, source := range spec.Sources {
			if source == "" || len(source) > 256 {
				return &BadSpec{"a source's name has 1 to 256 bytes"}
			}
		}
	default:
		return &BadSpec{fmt.Sprintf("role %q: give ingest, send, door, read, admin or lookup", spec.Role)}
	}
	if spec.Expires < 0 {
		return &BadSpec{"the token would have expired already: give a time to come"}
	}
	return nil
}

// Create makes a token in the name of maker and gives its secret, which is shown this once.
func (s *Store) Create(ctx context.Context, spec Spec, maker string) (Token, string, error) {
	if err := s.check(&spec); err != nil {
		return Token{}, "", err
	}
	b, err := s.draw(10 + 32)
	if err != nil {
		return Token{}, "", err
	}
	now := s.now()
	t := Token{
		ID: idText.EncodeToString(b[:10]), Name: spec.Name, Role: spec.Role, Sources: spec.Sources, Types: spec.Types,
		Made: now.UnixMilli(), Maker: maker,
	}
	if spec.Expires > 0 {
		t.Expires = now.Add(spec.Expires).UnixMilli()
	}
	secret := base64.RawURLEncoding.EncodeToString(b[10:])
	sources, types := listText(t.Sources), listText(t.Types)
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		var taken int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM token WHERE name = ? AND ended IS NULL`, t.Name).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return &BadSpec{fmt.Sprintf("there is a token named %s: give another name, or revoke that one first", t.Name)}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO token (id, name, role, sources, types, hash, made, maker, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.ID, t.Name, t.Role, sources, types, hashOf(secret), t.Made, t.Maker, none(t.Expires))
		return err
	})
	if err != nil {
		return Token{}, "", fmt.Errorf("make token: %w", err)
	}
	return t, tokenPrefix + t.ID + "_" + secret, nil
}

func none(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func listText(list []string) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic("BUG: encode a list of names: " + err.Error())
	}
	return string(b)
}

const tokenColumns = `id, name, role, sources, types, hash, made, maker, coalesce(expires, 0), coalesce(ended, 0), coalesce(used, 0)`

func scanToken(row interface{ Scan(...any) error }) (Token, []byte, error) {
	var t Token
	var sources, types string
	var hash []byte
	err := row.Scan(&t.ID, &t.Name, &t.Role, &sources, &types, &hash, &t.Made, &t.Maker, &t.Expires, &t.Revoked, &t.Used)
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(sources), &t.Sources), json.Unmarshal([]byte(types), &t.Types))
	}
	return t, hash, err
}

// nobody is compared with where there is no such token, so that both cases take the same time.
var nobody = make([]byte, sha256.Size)

// Authenticate finds the token of a secret that was presented. Any reason to refuse it is ErrUnknown.
func (s *Store) Authenticate(ctx context.Context, presented string) (*Token, error) {
	rest, ok := strings.CutPrefix(presented, tokenPrefix)
	id, secret, ok2 := strings.Cut(rest, "_")
	if !ok || !ok2 || len(id) != 16 || len(secret) != 43 {
		return nil, ErrUnknown
	}
	t, hash, err := scanToken(s.db.Read().QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM token WHERE id = ?`, id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		hash = nobody
	case err != nil:
		return nil, fmt.Errorf("look for token: %w", err)
	}
	now := s.now().UnixMilli()
	if subtle.ConstantTimeCompare(hash, hashOf(secret)) != 1 || t.Revoked != 0 || t.Expires != 0 && t.Expires <= now {
		return nil, ErrUnknown
	}
	if now-t.Used >= time.Minute.Milliseconds() || now < t.Used {
		// When it was used is for people to find tokens that nobody needs; a full disk must not stop it.
		_ = s.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE token SET used = ? WHERE id = ?`, now, t.ID)
			return err
		})
	}
	return &t, nil
}

// Tokens lists the tokens, the newest first; revoked ones too.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT `+tokenColumns+` FROM token ORDER BY made DESC, id`)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	defer rows.Close()
	out := []Token{}
	for rows.Next() {
		t, _, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("list tokens: %w", err)
		}
		out = append(out, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return out, nil
}

// Revoke ends a token, named by id or name, in the name of who, and gives it as it was.
func (s *Store) Revoke(ctx context.Context, name, who string) (Token, error) {
	var t Token
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		var err error
		t, _, err = scanToken(tx.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM token WHERE (id = ? OR name = ?) AND ended IS NULL`, name, name))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoToken
		}
		if err == nil {
			t.Revoked = s.now().UnixMilli()
			_, err = tx.ExecContext(ctx, `UPDATE token SET ended = ?, ender = ? WHERE id = ?`, t.Revoked, who, t.ID)
		}
		return err
	})
	if err != nil {
		return Token{}, fmt.Errorf("revoke token: %w", err)
	}
	return t, nil
}
