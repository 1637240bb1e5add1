package shop

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/whosaw/whosaw"
)

// Config is what a shop stands on. Path must be given.
type Config struct {
	// The shop's own file: SQLite, made if it is not there. Whoever reads it has the shop's keys.
	Path string
	// How many customers and agents a new file gets. 0: 10,000 and 8.
	Customers, Agents int
	// What a new file's customers follow from.
	Seed uint64
	// The clock. nil: time.Now.
	Now func() time.Time
	// The middleware that judges the pages: the Wrap of a guard.Client that reads [Cookie]. nil: nobody judges them, and nothing is recorded.
	Guard func(http.Handler) http.Handler
	// The header in which something in front says the client's address, as at the middleware: its last one counts, and at the API, which stands behind
	// one proxy more, the one before. Empty: the connection's own, and at the API the last of X-Forwarded-For.
	AddressHeader string
	// Where log-ins, sign-ups, withdrawals and tickets are told; it returns once they are on record, and is called by one goroutine at a time but for
	// Announce. An error that wraps ErrNotTaken is final, others are tried again. [Post] makes one. nil: nowhere.
	Send func(ctx context.Context, records []whosaw.Record) error
	// Where a customer who has logged in gets the codes for finding out whether a leak concerns them. nil: nowhere. [Codes] makes one.
	Codes func(ctx context.Context, customer string) ([]Code, error)
	// How long a log-in waits for its issuance to be on record. 0: 300 ms.
	Wait time.Duration
	// What goes wrong is said here. nil: nowhere.
	Logger *slog.Logger
}

const (
	demoLogins  = 5 // customers with a password that a person can type
	openTickets = 4 // each agent's at the beginning
	ticketLife  = 8 * time.Hour
)

// Shop is an open shop. Its methods are safe for concurrent use.
type Shop struct {
	cfg    Config
	db     *store
	world  *world
	keys   []jose.JSONWebKey // main, backup
	backup atomic.Bool       // the main key cannot be used
	tell   *reporter         // nil: nobody is told
	make   maker
	tries  tries
	log    *slog.Logger
}

// Open opens a shop, and makes it if its file is new.
func Open(ctx context.Context, cfg Config) (*Shop, error) {
	if cfg.Path == "" {
		return nil, errors.New("open the shop: give Path, where its file is to be")
	}
	if cfg.Customers < 0 || cfg.Agents < 0 || cfg.Customers > 10_000_000 || cfg.Agents > 90 {
		return nil, errors.New("open the shop: give up to 10,000,000 customers and 90 agents")
	}
	cfg.Customers, cfg.Agents, cfg.Wait = cmp.Or(cfg.Customers, 10_000), cmp.Or(cfg.Agents, 8), cmp.Or(cfg.Wait, 300*time.Millisecond)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Shop{cfg: cfg, log: cfg.Logger}
	var err error
	if s.db, err = openFile(cfg.Path); err != nil {
		return nil, err
	}
	err = s.db.begin(ctx, func(tx *sql.Tx) error { return s.fresh(ctx, tx) })
	if err == nil {
		s.world, err = s.db.world(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.db.close())
	}
	s.keys = s.world.Keys
	s.make = s.world.maker()
	if cfg.Send != nil {
		s.tell = newReporter(cfg.Send, cfg.Wait, cfg.Logger)
	}
	return s, nil
}

func (w *world) maker() maker {
	return maker{seed: w.Seed, secret: w.Secret, now: time.UnixMilli(w.Made)}
}

func (s *Shop) fresh(ctx context.Context, tx *sql.Tx) error {
	w := &world{Seed: s.cfg.Seed, Secret: make([]byte, 32), Made: s.cfg.Now().UnixMilli()}
	if _, err := rand.Read(w.Secret); err != nil {
		return fmt.Errorf("draw the shop's secret: %w", err)
	}
	for _, id := range []string{MainKey, BackupKey} {
		k, err := newKey(id)
		if err != nil {
			return err
		}
		w.Keys = append(w.Keys, k)
	}
	if err := putWorld(ctx, tx, w); err != nil {
		return err
	}
	m := w.maker()
	return m.fill(ctx, tx, s.cfg.Customers, s.cfg.Agents)
}

// Close sends what whosaw has not been told yet, until ctx ends, and closes the file. Requests must have ended before.
func (s *Shop) Close(ctx context.Context) error {
	return errors.Join(s.tell.close(ctx), s.db.close())
}

// Login is how somebody gets in.
type Login struct {
	ID       string // a customer's number, or an agent's id
	Name     string `json:"-"`
	Email    string `json:"-"` // of a customer: what is typed
	Password string `json:"-"`
}

// Visitors gives log-ins of customers that a person can type.
func (s *Shop) Visitors(ctx context.Context) ([]Login, error) {
	var out []Login
	numbers, _ := s.make.numbers(demoLogins)
	for i, number := range numbers {
		c, err := s.db.byNumber(ctx, number)
		switch {
		case errors.Is(err, errNone): // withdrew
		case err != nil:
			return nil, err
		default:
			out = append(out, Login{ID: subjectID(number), Name: c.Name, Email: c.Email, Password: s.make.friendly(i)})
		}
	}
	return out, nil
}

// EmailOf gives a customer's mail address; "": there is none, or no such customer.
func (s *Shop) EmailOf(ctx context.Context, customer string) (string, error) {
	who, err := s.db.contact(ctx, asked{ID: customer})
	if err != nil || who == nil {
		return "", err
	}
	return who.Email, nil
}

// CustomerOf gives the number of the customer with a mail address; "": there is none.
func (s *Shop) CustomerOf(ctx context.Context, email string) (string, error) {
	c, err := s.db.byEmail(ctx, email)
	if errors.Is(err, errNone) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return subjectID(c.Number), nil
}

// VisitingAgent gives the log-in of an agent that a person can type.
func (s *Shop) VisitingAgent() Login {
	return Login{ID: agentID(0), Password: s.make.friendly(demoLogins)}
}

// Logins gives log-ins of n generated customers from the one in place from, for traffic: to check one costs a single SHA-256. Visitors are not among them.
func (s *Shop) Logins(ctx context.Context, from, n int) ([]Login, error) {
	return list(ctx, s.db.read, func(r *sql.Rows, l *Login) error {
		var number int64
		if err := r.Scan(&number, &l.Name, &l.Email); err != nil {
			return err
		}
		l.ID = subjectID(number)
		l.Password = s.make.password("customer:" + l.ID)
		return nil
	}, "SELECT number, name, email FROM customer WHERE state = 'active' AND password LIKE '$sha256$%' ORDER BY number LIMIT ? OFFSET ?", n, from)
}

// AgentLogins gives the log-ins of the desk, for traffic. The visiting agent is not among them.
func (s *Shop) AgentLogins(ctx context.Context) ([]Login, error) {
	return list(ctx, s.db.read, func(r *sql.Rows, l *Login) error {
		if err := r.Scan(&l.ID, &l.Name); err != nil {
			return err
		}
		l.Password = s.make.password("staff:" + l.ID)
		return nil
	}, "SELECT id, name FROM agent WHERE password LIKE '$sha256$%' ORDER BY id")
}

// UseBackup says whether the main key cannot be used: while it is so, log-ins are signed with the backup key.
func (s *Shop) UseBackup(is bool) { s.backup.Store(is) }

// Size says how many customers there are, and what the highest number is that was ever given out.
func (s *Shop) Size(ctx context.Context) (customers, highest int64, err error) {
	err = s.db.read.QueryRowContext(ctx, "SELECT count(*) FILTER (WHERE state = 'active'), coalesce(max(number), 0) FROM customer").Scan(&customers, &highest)
	if err != nil {
		err = fmt.Errorf("count the shop's customers: %w", err)
	}
	return customers, highest, err
}

// OpenTicket has an agent look after a customer, and gives the ticket's number: a reason for the agent to open that customer's data for some hours.
func (s *Shop) OpenTicket(ctx context.Context, customer, agent, topic string) (string, error) {
	number, err := strconv.ParseInt(customer, 10, 64)
	if err != nil {
		return "", fmt.Errorf("open a ticket: find the customer: %w", errNone)
	}
	if _, err := s.db.byNumber(ctx, number); err != nil {
		return "", err
	}
	if _, err := s.db.agent(ctx, agent); err != nil {
		return "", err
	}
	return s.openTicket(ctx, number, agent, topic)
}

func (s *Shop) openTicket(ctx context.Context, number int64, agent, topic string) (string, error) {
	now := s.cfg.Now()
	t := &ticket{Customer: number, Agent: agent, Topic: topic, Opened: now.UnixMilli(), Closes: now.Add(ticketLife).UnixMilli()}
	if err := s.db.addTicket(ctx, t); err != nil {
		return "", err
	}
	s.tell.tell(ctx, t.reason())
	return t.name(), nil
}
