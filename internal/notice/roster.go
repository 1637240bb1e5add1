package notice

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

//go:embed roster/*.sql
var rosterFiles embed.FS

// roster is the people of one notice. Its methods are safe for concurrent use.
type roster struct {
	db    *sqlite.DB
	total uint32
	books uint32 // the first row of people who come from address books
	// masked is how many customers were shown masked values only; told (0 or 1): they are among the rows, with no field.
	masked, told uint32

	mu    sync.Mutex
	whats []what
	langs []string
	lang  map[string]int

	changes chan *commit
	ended   chan struct{}
}

// what is what people of a row share.
type what struct {
	Realm  string
	Other  bool
	Fields []string
	People int64
}

// row is a person's.
type row struct {
	Row      uint32
	Subject  string
	What     int
	Outcome  Outcome
	Tries    int
	At       time.Time // zero: never
	Reply    int
	Lang     string
	Exported time.Time
}

// change is one step of a person's.
type change struct {
	row      uint32
	from, to Outcome
	tries    int
	at, due  time.Time // zero: none
	reply    int
	lang     string
}

type commit struct {
	changes []change
	after   uint32 // rows below are not waiting any more; 0: it says nothing
	done    chan error
}

func openRoster(ctx context.Context, path string) (*roster, error) {
	files, err := fs.Sub(rosterFiles, "roster")
	if err != nil {
		return nil, fmt.Errorf("open roster: %w", err)
	}
	db, err := sqlite.OpenWith(ctx, path, files)
	if err != nil {
		return nil, err
	}
	r := &roster{db: db, lang: map[string]int{}, changes: make(chan *commit, 256), ended: make(chan struct{})}
	if err := r.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go r.write()
	return r, nil
}

func (r *roster) load(ctx context.Context) error {
	rows, err := r.db.Read().QueryContext(ctx, "SELECT id, realm, other, fields, people FROM what ORDER BY id")
	if err != nil {
		return fmt.Errorf("read roster: %w", err)
	}
	defer rows.Close()
	r.whats = []what{{}} // ids begin with 1
	for rows.Next() {
		var id int
		var w what
		var fields string
		if err := rows.Scan(&id, &w.Realm, &w.Other, &fields, &w.People); err != nil {
			return fmt.Errorf("read roster: %w", err)
		}
		w.Fields = splitFields(fields)
		r.whats = append(r.whats, w)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read roster: %w", err)
	}
	langs, err := r.db.Read().QueryContext(ctx, "SELECT tag FROM lang ORDER BY id")
	if err != nil {
		return fmt.Errorf("read roster: %w", err)
	}
	defer langs.Close()
	r.langs = []string{""}
	for langs.Next() {
		var tag string
		if err := langs.Scan(&tag); err != nil {
			return fmt.Errorf("read roster: %w", err)
		}
		r.lang[tag] = len(r.langs)
		r.langs = append(r.langs, tag)
	}
	if err := langs.Err(); err != nil {
		return fmt.Errorf("read roster: %w", err)
	}
	for name, to := range map[string]*uint32{"total": &r.total, "books": &r.books, "masked": &r.masked, "masked_told": &r.told} {
		err := r.db.Read().QueryRowContext(ctx, "SELECT value FROM mark WHERE name = ?", name).Scan(to)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read roster: %w", err)
		}
	}
	return nil
}

func (r *roster) close() error {
	close(r.changes)
	<-r.ended
	return r.db.Close()
}

func splitFields(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, "|")
}

// keep gives what an id is kept as: a number if nothing is lost by it.
func keep(id string) any {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && strconv.FormatInt(n, 10) == id {
		return n
	}
	return id
}

// apply makes changes and returns when they are on disk. Changes that wait at the same time share a sync.
func (r *roster) apply(ctx context.Context, changes []change, after uint32) error {
	if len(changes) == 0 && after == 0 {
		return nil
	}
	c := &commit{changes: changes, after: after, done: make(chan error, 1)}
	select {
	case r.changes <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return <-c.done // on disk or not: who asked must know
}

// write is the only writer of the rows.
func (r *roster) write() {
	defer close(r.ended)
	for c := range r.changes {
		group := []*commit{c}
	more:
		for len(group) < 256 {
			select {
			case c, ok := <-r.changes:
				if !ok {
					break more
				}
				group = append(group, c)
			default:
				break more
			}
		}
		err := r.db.Write(context.Background(), func(tx *sql.Tx) error { return r.put(tx, group) })
		for _, c := range group {
			c.done <- err
		}
	}
}

func (r *roster) put(tx *sql.Tx, group []*commit) error {
	set, err := tx.Prepare("UPDATE person SET outcome = ?1, tries = ?2, at = coalesce(?3, at), reply = coalesce(?4, reply), lang = coalesce(?5, lang), due = ?6 WHERE row = ?7 AND outcome = ?8")
	if err != nil {
		return fmt.Errorf("record outcome: %w", err)
	}
	defer set.Close()
	tally := map[Outcome]int64{}
	var after uint32
	for _, c := range group {
		after = max(after, c.after)
		for i := range c.changes {
			x := &c.changes[i]
			if !slices.Contains(may[x.from], x.to) {
				return fmt.Errorf("BUG: from %s to %s", x.from, x.to)
			}
			lang, err := r.langID(tx, x.lang)
			if err != nil {
				return err
			}
			res, err := set.Exec(int(x.to), x.tries, seconds(x.at), none(x.reply), lang, seconds(x.due), x.row, int(x.from))
			if err != nil {
				return fmt.Errorf("record outcome: %w", err)
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return errors.Join(fmt.Errorf("BUG: row %d is not %s", x.row, x.from), err)
			}
			tally[x.from]--
			tally[x.to]++
		}
	}
	if err := count(tx, tally); err != nil {
		return err
	}
	if after > 0 {
		if _, err := tx.Exec("INSERT INTO mark (name, value) VALUES ('next', ?1) ON CONFLICT (name) DO UPDATE SET value = max(value, ?1)", after); err != nil {
			return fmt.Errorf("record outcome: %w", err)
		}
	}
	return nil
}

func count(tx *sql.Tx, tally map[Outcome]int64) error {
	for o, n := range tally {
		if _, err := tx.Exec("INSERT INTO tally (outcome, people) VALUES (?1, ?2) ON CONFLICT (outcome) DO UPDATE SET people = people + ?2", int(o), n); err != nil {
			return fmt.Errorf("count outcomes: %w", err)
		}
	}
	return nil
}

func seconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}

func none(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

// langID gives the number of a language. One whose transaction fails is asked for again, and found to be there or not.
func (r *roster) langID(tx *sql.Tx, tag string) (any, error) {
	if tag == "" {
		return nil, nil
	}
	r.mu.Lock()
	id, ok := r.lang[tag]
	r.mu.Unlock()
	if ok {
		return id, nil
	}
	if _, err := tx.Exec("INSERT OR IGNORE INTO lang (tag) VALUES (?)", tag); err != nil {
		return nil, fmt.Errorf("record language: %w", err)
	}
	if err := tx.QueryRow("SELECT id FROM lang WHERE tag = ?", tag).Scan(&id); err != nil {
		return nil, fmt.Errorf("record language: %w", err)
	}
	return id, nil // not remembered: the transaction may yet fail. There are few languages, and few first times
}

const columns = "row, subject, what, outcome, tries, at, reply, (SELECT tag FROM lang WHERE id = lang), exported"

// waiting gives up to n people from a row on of whom nothing is known yet.
func (r *roster) waiting(ctx context.Context, from uint32, n int) ([]row, error) {
	return r.list(ctx, "SELECT "+columns+" FROM person WHERE row >= ? AND outcome = 0 ORDER BY row LIMIT ?", from, n)
}

// due gives up to n people whose next try has come.
func (r *roster) due(ctx context.Context, now time.Time, n int) ([]row, error) {
	return r.list(ctx, "SELECT "+columns+" FROM person WHERE due <= ? ORDER BY due LIMIT ?", now.Unix(), n)
}

// with gives up to n people from a row on who have one of some outcomes.
func (r *roster) with(ctx context.Context, from uint32, outcomes []Outcome, n int) ([]row, error) {
	var in []string
	for _, o := range outcomes {
		in = append(in, strconv.Itoa(int(o)))
	}
	return r.list(ctx, "SELECT "+columns+" FROM person WHERE row >= ? AND outcome IN ("+strings.Join(in, ",")+") ORDER BY row LIMIT ?", from, n)
}

func (r *roster) at(ctx context.Context, n uint32) (row, error) {
	rows, err := r.list(ctx, "SELECT "+columns+" FROM person WHERE row = ?", n)
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("row %d: %w", n, ErrUnknown)
	}
	if err != nil {
		return row{}, err
	}
	return rows[0], nil
}

func (r *roster) list(ctx context.Context, query string, args ...any) ([]row, error) {
	rows, err := r.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read roster: %w", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var p row
		var id any
		var at, reply, exported sql.NullInt64
		var lang sql.NullString
		if err := rows.Scan(&p.Row, &id, &p.What, &p.Outcome, &p.Tries, &at, &reply, &lang, &exported); err != nil {
			return nil, fmt.Errorf("read roster: %w", err)
		}
		p.Subject, p.Reply, p.Lang = idText(id), int(reply.Int64), lang.String
		if at.Valid {
			p.At = time.Unix(at.Int64, 0).UTC()
		}
		if exported.Valid {
			p.Exported = time.Unix(exported.Int64, 0).UTC()
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read roster: %w", err)
	}
	return out, nil
}

func idText(id any) string {
	switch v := id.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case []byte:
		return string(v)
	case string:
		return v
	}
	return fmt.Sprint(id)
}

// kind gives what people of a row share.
func (r *roster) kind(id int) *what { return &r.whats[id] }

// tally gives how many people have each outcome.
func (r *roster) tally(ctx context.Context) (map[Outcome]int64, error) {
	rows, err := r.db.Read().QueryContext(ctx, "SELECT outcome, people FROM tally WHERE people <> 0")
	if err != nil {
		return nil, fmt.Errorf("count outcomes: %w", err)
	}
	defer rows.Close()
	out := map[Outcome]int64{}
	for rows.Next() {
		var o Outcome
		var n int64
		if err := rows.Scan(&o, &n); err != nil {
			return nil, fmt.Errorf("count outcomes: %w", err)
		}
		out[o] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count outcomes: %w", err)
	}
	return out, nil
}

// next is the row before which nobody waits any more, as far as it was noted.
func (r *roster) next(ctx context.Context) (next uint32, err error) {
	err = r.db.Read().QueryRowContext(ctx, "SELECT value FROM mark WHERE name = 'next'").Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read roster: %w", err)
	}
	return next, nil
}

// nextDue is when the next try comes; zero: none does.
func (r *roster) nextDue(ctx context.Context) (time.Time, error) {
	var due sql.NullInt64
	if err := r.db.Read().QueryRowContext(ctx, "SELECT min(due) FROM person WHERE due IS NOT NULL").Scan(&due); err != nil {
		return time.Time{}, fmt.Errorf("read roster: %w", err)
	}
	if !due.Valid {
		return time.Time{}, nil
	}
	return time.Unix(due.Int64, 0), nil
}

// step takes all people with one outcome to another and gives how many they were. due is when they are tried; zero: they are not.
func (r *roster) step(ctx context.Context, from, to Outcome, due time.Time) (n int64, err error) {
	if !slices.Contains(may[from], to) {
		return 0, fmt.Errorf("from %s to %s: there is no such way", from, to)
	}
	err = r.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE person SET outcome = ?, due = ? WHERE outcome = ?", int(to), seconds(due), int(from))
		if err != nil {
			return fmt.Errorf("record outcome: %w", err)
		}
		if n, err = res.RowsAffected(); err != nil {
			return fmt.Errorf("record outcome: %w", err)
		}
		return count(tx, map[Outcome]int64{from: -n, to: n})
	})
	return n, err
}

// exported notes that people were handed over for another channel.
func (r *roster) exported(ctx context.Context, rows []uint32, at time.Time) error {
	return r.db.Write(ctx, func(tx *sql.Tx) error {
		for _, n := range rows {
			if _, err := tx.ExecContext(ctx, "UPDATE person SET exported = ? WHERE row = ?", at.Unix(), n); err != nil {
				return fmt.Errorf("record export: %w", err)
			}
		}
		return nil
	})
}

// find gives the row of a person. Customers lie in the order of the scope's list, so it is looked for by halving.
func (r *roster) find(ctx context.Context, p Person) (row, error) {
	unknown := fmt.Errorf("%w: nobody with this id gets this notice", ErrUnknown)
	if !p.Other {
		lo, hi := uint32(0), r.books
		for lo < hi {
			mid := lo + (hi-lo)/2
			x, err := r.at(ctx, mid)
			if err != nil {
				return row{}, err
			}
			switch c := compare(x.Subject, r.kind(x.What).Realm, p.ID, p.Realm); {
			case c == 0:
				return x, nil
			case c < 0:
				lo = mid + 1
			default:
				hi = mid
			}
		}
	}
	rows, err := r.list(ctx, "SELECT "+columns+" FROM person WHERE subject = ? AND row >= ?", keep(p.ID), r.books)
	if err != nil {
		return row{}, err
	}
	for _, x := range rows {
		if k := r.kind(x.What); k.Other == p.Other && k.Realm == p.Realm {
			return x, nil
		}
	}
	return row{}, unknown
}

// compare is the order of a scope's list: shorter ids first, then bytewise, then by realm.
func compare(id, realm, otherID, otherRealm string) int {
	if len(id) != len(otherID) {
		return len(id) - len(otherID)
	}
	if c := strings.Compare(id, otherID); c != 0 {
		return c
	}
	return strings.Compare(realm, otherRealm)
}
