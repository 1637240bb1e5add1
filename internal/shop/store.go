package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"
	_ "modernc.org/sqlite" // the driver
)

const schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE customer (
  number INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, phone TEXT NOT NULL, password TEXT NOT NULL,
  state TEXT NOT NULL, since INTEGER NOT NULL, joined INTEGER NOT NULL, last_login INTEGER NOT NULL -- since: when the state began
);
CREATE TABLE address (
  id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL, line TEXT NOT NULL, door_code TEXT NOT NULL,
  relation TEXT NOT NULL, email TEXT NOT NULL DEFAULT '' -- email: told when a parcel comes, and on no page
);
CREATE TABLE purchase (number INTEGER PRIMARY KEY, customer INTEGER NOT NULL, placed INTEGER NOT NULL, items TEXT NOT NULL, won INTEGER NOT NULL);
CREATE TABLE agent (id TEXT PRIMARY KEY, name TEXT NOT NULL, password TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ticket (number INTEGER PRIMARY KEY, customer INTEGER NOT NULL, agent TEXT NOT NULL, topic TEXT NOT NULL, opened INTEGER NOT NULL, closes INTEGER NOT NULL);
`

// indexes are made when the rows are there: that is faster.
const indexes = `
CREATE INDEX address_customer ON address (customer);
CREATE INDEX address_phone ON address (phone);
CREATE INDEX customer_phone ON customer (phone);
CREATE INDEX purchase_customer ON purchase (customer);
CREATE INDEX ticket_agent ON ticket (agent);
`

// The states of a customer.
const (
	stateActive    = "active"
	stateWithdrawn = "withdrawn"
)

type customer struct {
	Number             int64
	Name, Email, Phone string
	Password           string // as it is kept
	Joined, LastLogin  int64
}

type address struct {
	ID, Customer                int64
	Name, Phone, Line, DoorCode string
	Email                       string // of somebody else, if the customer gave one
	Relation                    string // to whom else it belongs: family, friend, gift; empty: the customer's own
}

type order struct {
	Number, Customer, Placed int64
	Items                    string
	Won                      int64
}

type ticket struct {
	Number, Customer int64
	Agent, Topic     string
	Opened, Closes   int64
}

// errNone is a row that is not there.
var errNone = errors.New("there is none")

// store is the shop's file.
type store struct {
	write *sql.DB // one connection: SQLite takes one writer
	read  *sql.DB
}

func openFile(path string) (*store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the shop's file: %w", err)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600) // it holds keys
	if err != nil {
		return nil, fmt.Errorf("open the shop's file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the shop's file: %w", err)
	}
	connect := func(n int, more string) (*sql.DB, error) {
		u := url.URL{Scheme: "file", Path: abs, RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-16000)&" + more}
		db, err := sql.Open("sqlite", u.String())
		if err != nil {
			return nil, fmt.Errorf("open the shop's file: %w", err)
		}
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		return db, nil
	}
	s := &store{}
	if s.write, err = connect(1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if s.read, err = connect(4, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *store) close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// begin makes an empty file the shop's, or leaves a full one as it is.
func (s *store) begin(ctx context.Context, fresh func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("open the shop's file: %w", err)
	}
	defer tx.Rollback() // after a commit there is nothing to take back
	var tables int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return fmt.Errorf("read the shop's file: %w", err)
	}
	if tables > 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("make the shop's tables: %w", err)
	}
	if err := fresh(tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, indexes); err != nil {
		return fmt.Errorf("make the shop's tables: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("make the shop's customers: %w", err)
	}
	return nil
}

// world is what must stay the same when the file is opened again.
type world struct {
	Seed   uint64            `json:"seed"`
	Secret []byte            `json:"secret"`
	Made   int64             `json:"made"` // when, in milliseconds
	Keys   []jose.JSONWebKey `json:"keys"` // main, backup
}

func putWorld(ctx context.Context, tx *sql.Tx, w *world) error {
	b, err := json.Marshal(w)
	if err != nil {
		return errors.New("keep the shop's keys: they cannot be encoded")
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO meta VALUES ('world', ?)", b); err != nil {
		return fmt.Errorf("keep the shop's keys: %w", err)
	}
	return nil
}

func (s *store) world(ctx context.Context) (*world, error) {
	var b []byte
	if err := s.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'world'").Scan(&b); err != nil {
		return nil, fmt.Errorf("read the shop's keys: %w; is it a file of this shop?", err)
	}
	w := &world{}
	if err := json.Unmarshal(b, w); err != nil || len(w.Keys) != 2 {
		return nil, errors.New("read the shop's keys: they cannot be read; remove the file and it is made anew")
	}
	return w, nil
}

const customerColumns = "number, name, coalesce(email, ''), phone, password, joined, last_login"

func (s *store) customer(ctx context.Context, where string, arg any) (*customer, error) {
	c := &customer{}
	row := s.read.QueryRowContext(ctx, "SELECT "+customerColumns+" FROM customer WHERE state = 'active' AND "+where, arg)
	err := row.Scan(&c.Number, &c.Name, &c.Email, &c.Phone, &c.Password, &c.Joined, &c.LastLogin)
	return c, found("customer", err)
}

// found makes of a missing row what callers ask for.
func found(what string, err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("find the %s: %w", what, errNone)
	case err != nil:
		return fmt.Errorf("find the %s: %w", what, err)
	}
	return nil
}

func (s *store) byNumber(ctx context.Context, number int64) (*customer, error) {
	return s.customer(ctx, "number = ?", number)
}

func (s *store) byEmail(ctx context.Context, email string) (*customer, error) {
	return s.customer(ctx, "email = ?", email)
}

// list reads rows.
func list[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the shop's file: %w", err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, fmt.Errorf("read the shop's file: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the shop's file: %w", err)
	}
	return out, nil
}

func scanAddress(r *sql.Rows, a *address) error {
	return r.Scan(&a.ID, &a.Customer, &a.Name, &a.Phone, &a.Line, &a.DoorCode, &a.Relation)
}

const addressColumns = "id, customer, name, phone, line, door_code, relation"

func (s *store) addresses(ctx context.Context, number int64) ([]address, error) {
	return list(ctx, s.read, scanAddress, "SELECT "+addressColumns+" FROM address WHERE customer = ? ORDER BY relation <> '', id", number)
}

// address is one of a customer's; of somebody else it is none.
func (s *store) address(ctx context.Context, number, id int64) (*address, error) {
	all, err := list(ctx, s.read, scanAddress, "SELECT "+addressColumns+" FROM address WHERE customer = ? AND id = ?", number, id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("find the address: %w", errNone)
	}
	return &all[0], nil
}

func (s *store) saveAddress(ctx context.Context, a *address) error {
	_, err := s.write.ExecContext(ctx, "UPDATE address SET name = ?, phone = ?, line = ?, door_code = ? WHERE customer = ? AND id = ?",
		a.Name, a.Phone, a.Line, a.DoorCode, a.Customer, a.ID)
	if err != nil {
		return fmt.Errorf("save an address: %w", err)
	}
	return nil
}

func (s *store) orders(ctx context.Context, number int64) ([]order, error) {
	return list(ctx, s.read, func(r *sql.Rows, o *order) error { return r.Scan(&o.Number, &o.Customer, &o.Placed, &o.Items, &o.Won) },
		"SELECT number, customer, placed, items, won FROM purchase WHERE customer = ? ORDER BY placed DESC, number DESC LIMIT 100", number)
}

func (s *store) agent(ctx context.Context, id string) (password string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT password FROM agent WHERE id = ?", id).Scan(&password)
	return password, found("agent", err)
}

func (s *store) agents(ctx context.Context) ([]string, error) {
	return list(ctx, s.read, func(r *sql.Rows, id *string) error { return r.Scan(id) }, "SELECT id FROM agent ORDER BY id")
}

func scanTicket(r *sql.Rows, t *ticket) error {
	return r.Scan(&t.Number, &t.Customer, &t.Agent, &t.Topic, &t.Opened, &t.Closes)
}

const ticketColumns = "number, customer, agent, topic, opened, closes"

func (s *store) tickets(ctx context.Context, where string, args ...any) ([]ticket, error) {
	return list(ctx, s.read, scanTicket, "SELECT "+ticketColumns+" FROM ticket WHERE "+where+" ORDER BY number DESC", args...)
}

func (s *store) addTicket(ctx context.Context, t *ticket) error {
	res, err := s.write.ExecContext(ctx, "INSERT INTO ticket (customer, agent, topic, opened, closes) VALUES (?, ?, ?, ?, ?)", t.Customer, t.Agent, t.Topic, t.Opened, t.Closes)
	if err != nil {
		return fmt.Errorf("open a ticket: %w", err)
	}
	if t.Number, err = res.LastInsertId(); err != nil {
		return fmt.Errorf("open a ticket: %w", err)
	}
	return nil
}

// signUp makes a customer with an address, and gives the number. taken: somebody has that mail address.
func (s *store) signUp(ctx context.Context, c *customer, a *address) (taken bool, err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	defer tx.Rollback() // after a commit there is nothing to take back
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM customer WHERE email = ?", c.Email).Scan(&n); err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	if n > 0 {
		return true, nil
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO customer (name, email, phone, password, state, since, joined, last_login) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		c.Name, c.Email, c.Phone, c.Password, stateActive, c.Joined, c.Joined, c.LastLogin)
	if err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	if c.Number, err = res.LastInsertId(); err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO address (customer, name, phone, line, door_code, relation) VALUES (?, ?, ?, ?, ?, '')",
		c.Number, a.Name, a.Phone, a.Line, a.DoorCode); err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("sign up: %w", err)
	}
	return false, nil
}

// withdraw removes what the shop knows of a customer; the number stays, so that it is never given to anybody else.
func (s *store) withdraw(ctx context.Context, number, now int64) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	defer tx.Rollback() // after a commit there is nothing to take back
	if _, err := tx.ExecContext(ctx, "UPDATE customer SET name = '', email = NULL, phone = '', password = '', state = 'withdrawn', since = ?, last_login = 0 WHERE number = ?", now, number); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	for _, q := range []string{
		"DELETE FROM address WHERE customer = ?", "DELETE FROM purchase WHERE customer = ?", "DELETE FROM ticket WHERE customer = ?",
	} {
		if _, err := tx.ExecContext(ctx, q, number); err != nil {
			return fmt.Errorf("withdraw: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	return nil
}

// ownAddress is the customer's own; nil: there is none.
func (s *store) ownAddress(ctx context.Context, number int64) (*address, error) {
	all, err := s.addresses(ctx, number)
	if err != nil || len(all) == 0 || all[0].Relation != "" {
		return nil, err
	}
	return &all[0], nil
}

func (s *store) ticketCustomer(ctx context.Context, number int64) (customer int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT customer FROM ticket WHERE number = ?", number).Scan(&customer)
	return customer, found("ticket", err)
}

func (s *store) loggedIn(ctx context.Context, number, now int64) error {
	if _, err := s.write.ExecContext(ctx, "UPDATE customer SET last_login = ? WHERE number = ?", now, number); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

func (s *store) addOrder(ctx context.Context, o *order) error {
	if _, err := s.write.ExecContext(ctx, "INSERT INTO purchase (customer, placed, items, won) VALUES (?, ?, ?, ?)", o.Customer, o.Placed, o.Items, o.Won); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	return nil
}
