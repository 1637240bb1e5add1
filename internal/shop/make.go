package shop

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Of each 30 numbers handed out, 13 belong to a customer, 2 to one who left, 15 to nobody (orders of guests take numbers too). So whoever counts from
// 1 meets nobody in 57 of 100, as in the case.
const (
	blockNumbers   = 30
	blockCustomers = 13
	blockWithdrawn = 2
)

// OthersAt is where people in address books have their mail.
const OthersAt = "@example.net"

// maker makes customers from a seed.
type maker struct {
	seed   uint64
	secret []byte // of the passwords: who knows the seed alone cannot log in
	now    time.Time
}

// draws gives the numbers of one thing: independent of how many others are made before.
func (m *maker) draws(purpose string, n int64) *rand.Rand {
	var in [16]byte
	binary.LittleEndian.PutUint64(in[:], m.seed)
	binary.LittleEndian.PutUint64(in[8:], uint64(n))
	return rand.New(rand.NewChaCha8(sha256.Sum256(append(in[:], purpose...))))
}

func pick[T any](d *rand.Rand, list []T) T { return list[d.IntN(len(list))] }

// password is that of a generated customer: 100 bits that follow from the shop's secret, so none needs to be kept to let a visitor log in.
func (m *maker) password(who string) string {
	h := hmac.New(sha256.New, m.secret)
	h.Write([]byte(who))
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil))[:20])
}

// numbers gives the numbers of n customers, in order, and of those who left among them.
func (m *maker) numbers(n int) (customers, withdrawn []int64) {
	for block := 0; len(customers) < n; block++ {
		order := m.draws("numbers", int64(block)).Perm(blockNumbers)
		role := [blockNumbers]int8{}
		for i, at := range order[:blockCustomers+blockWithdrawn] {
			role[at] = 1 + int8(i/blockCustomers)
		}
		for at, is := range role {
			switch number := int64(block*blockNumbers + at + 1); {
			case is == 1 && len(customers) < n:
				customers = append(customers, number)
			case is == 2:
				withdrawn = append(withdrawn, number)
			}
		}
	}
	return customers, withdrawn
}

// fullName gives a name, and whether it is a Korean one.
func fullName(d *rand.Rand) (string, bool) {
	if d.IntN(5) > 0 {
		return pick(d, koreanFamilies) + pick(d, koreanGivens), true
	}
	return pick(d, englishGivens) + " " + pick(d, englishFamilies), false
}

// phone gives a number that nobody has: Korean mobile numbers do not continue with 0 behind 010, and 555-0100 to 555-0199 are for fiction.
func phone(d *rand.Rand, korean bool) string {
	if korean {
		return fmt.Sprintf("010-0%03d-%04d", d.IntN(1000), d.IntN(10000))
	}
	return fmt.Sprintf("+1 %d-555-01%02d", pick(d, []int{202, 212, 303, 312, 415, 503, 617, 702}), d.IntN(100))
}

func street(d *rand.Rand, korean bool) string {
	if korean {
		return fmt.Sprintf("%s %s %d, %d동 %d호", pick(d, koreanDistricts), pick(d, koreanStreets), 1+d.IntN(240), 101+d.IntN(12), 101+100*d.IntN(19)+d.IntN(6))
	}
	return fmt.Sprintf("%d %s, %s", 1+d.IntN(240), pick(d, englishStreets), pick(d, englishTowns))
}

func doorCode(d *rand.Rand) string { return fmt.Sprintf("#%04d*", d.IntN(10000)) }

// customerOf makes the customer of a number, with addresses and orders.
func (m *maker) customerOf(number int64) (customer, []address, []order) {
	d := m.draws("customer", number)
	name, korean := fullName(d)
	day := int64(24 * time.Hour / time.Millisecond)
	now := m.now.UnixMilli()
	c := customer{Number: number, Name: name, Email: fmt.Sprintf("member%d@example.com", number), Phone: phone(d, korean)}
	c.Joined = now - (31+d.Int64N(2000))*day - d.Int64N(day)
	c.LastLogin = now - (1+d.Int64N(120))*day - d.Int64N(day)
	if c.LastLogin < c.Joined {
		c.LastLogin = c.Joined
	}
	own := address{Customer: number, Name: name, Phone: c.Phone, Line: street(d, korean), DoorCode: doorCode(d)}
	list := []address{own}
	others := [...]int{0, 0, 0, 0, 1, 1, 1, 2, 2, 3}[d.IntN(10)]
	if number <= blockNumbers { // whom a visitor of the demo logs in as has an address book worth a look
		others = max(others, 2)
	}
	for range others {
		other, k := fullName(d)
		list = append(list, address{Customer: number, Name: other, Phone: phone(d, k), Line: street(d, k), DoorCode: doorCode(d), Relation: pick(d, relations)})
	}
	mails := m.draws("others' mail", number)
	for i := range list[1:] {
		if mails.IntN(3) > 0 { // of one in three nobody gave one
			list[1+i].Email = fmt.Sprintf("recipient%d-%d%s", number, 1+i, OthersAt)
		}
	}
	var orders []order
	for range 1 + d.IntN(2) {
		p, n := pick(d, products), int64(1+d.IntN(3))
		orders = append(orders, order{Customer: number, Placed: now - d.Int64N(1+now-c.Joined), Items: fmt.Sprintf("%d × %s", n, p.Name), Won: n * p.Won})
	}
	return c, list, orders
}

// fill makes the shop's world in an empty file. Everything is one transaction: a file is whole, or as if it had never been.
func (m *maker) fill(ctx context.Context, tx *sql.Tx, customers, agents int) error {
	numbers, withdrawn := m.numbers(customers)
	chosen := m.hashChosen()
	people := &bulk{ctx: ctx, tx: tx, into: "customer (number, name, email, phone, password, state, since, joined, last_login)", columns: 9}
	places := &bulk{ctx: ctx, tx: tx, into: "address (customer, name, phone, line, door_code, relation, email)", columns: 7}
	orders := &bulk{ctx: ctx, tx: tx, into: "purchase (customer, placed, items, won)", columns: 4}
	for _, number := range numbers {
		c, list, bought := m.customerOf(number)
		var err error
		if c.Password, err = hashFast(m.password("customer:" + subjectID(number))); err != nil {
			return err
		}
		people.add(c.Number, c.Name, c.Email, c.Phone, c.Password, stateActive, c.Joined, c.Joined, c.LastLogin)
		for _, a := range list {
			places.add(a.Customer, a.Name, a.Phone, a.Line, a.DoorCode, a.Relation, a.Email)
		}
		for _, o := range bought {
			orders.add(o.Customer, o.Placed, o.Items, o.Won)
		}
	}
	for _, number := range withdrawn {
		d := m.draws("withdrawn", number)
		left := m.now.Add(-time.Duration(30+d.IntN(300)) * 24 * time.Hour)
		joined := left.Add(-time.Duration(30+d.IntN(1600)) * 24 * time.Hour)
		people.add(number, "", nil, "", "", stateWithdrawn, left.UnixMilli(), joined.UnixMilli(), 0)
	}
	desk := &bulk{ctx: ctx, tx: tx, into: "agent (id, name, password)", columns: 3}
	tickets := &bulk{ctx: ctx, tx: tx, into: "ticket (customer, agent, topic, opened, closes)", columns: 5}
	for i := range agents {
		d := m.draws("agent", int64(i))
		id := agentID(i)
		name, _ := fullName(d)
		hash, err := hashFast(m.password("staff:" + id))
		if err != nil {
			return err
		}
		desk.add(id, name, hash)
		for range min(openTickets, len(numbers)) {
			opened := m.now.Add(-time.Duration(1+d.IntN(90)) * time.Minute)
			tickets.add(pick(d, numbers), id, pick(d, topics), opened.UnixMilli(), opened.Add(ticketLife).UnixMilli())
		}
	}
	for _, b := range []*bulk{people, places, orders, desk, tickets} {
		if err := b.end(); err != nil {
			return err
		}
	}
	return chosen(ctx, tx, numbers[:min(demoLogins, len(numbers))])
}

// hashChosen keeps the passwords that a person can type the slow way, beside the making of everybody else. The function it gives waits and stores them.
func (m *maker) hashChosen() func(context.Context, *sql.Tx, []int64) error {
	var hashes [demoLogins + 1]string // the agent's is the last
	var errs [demoLogins + 1]error
	var all sync.WaitGroup
	for i := range hashes {
		all.Go(func() { hashes[i], errs[i] = hashSlow(m.friendly(i)) })
	}
	return func(ctx context.Context, tx *sql.Tx, numbers []int64) error {
		all.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		for i, number := range numbers {
			if _, err := tx.ExecContext(ctx, "UPDATE customer SET password = ? WHERE number = ?", hashes[i], number); err != nil {
				return fmt.Errorf("make the shop's customers: %w", err)
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE agent SET password = ? WHERE id = ?", hashes[demoLogins], agentID(0)); err != nil {
			return fmt.Errorf("make the shop's customers: %w", err)
		}
		return nil
	}
}

func agentID(i int) string { return fmt.Sprintf("desk-%02d", i+1) }

// friendly is a password that a person can type, of the customers and the agent (the last) that a visitor may try. It says what it is.
func (m *maker) friendly(i int) string {
	d := m.draws("friendly", int64(i))
	return fmt.Sprintf("%s-%s-%d", pick(d, []string{"blue", "warm", "quiet", "bright", "early"}), pick(d, []string{"lantern", "persimmon", "harbour", "kettle", "meadow"}), 100+d.IntN(900))
}

// bulk inserts many rows with each statement: row by row takes four times as long.
type bulk struct {
	ctx     context.Context
	tx      *sql.Tx
	into    string
	columns int
	values  []any
	full    *sql.Stmt
	err     error
}

const bulkRows = 64

func (b *bulk) statement(rows int) string {
	row := "(" + strings.Repeat("?,", b.columns-1) + "?)"
	return "INSERT INTO " + b.into + " VALUES " + strings.Repeat(row+",", rows-1) + row
}

func (b *bulk) add(values ...any) {
	if b.err != nil {
		return
	}
	b.values = append(b.values, values...)
	if len(b.values) < bulkRows*b.columns {
		return
	}
	if b.full == nil {
		if b.full, b.err = b.tx.PrepareContext(b.ctx, b.statement(bulkRows)); b.err != nil {
			return
		}
	}
	_, b.err = b.full.ExecContext(b.ctx, b.values...)
	b.values = b.values[:0]
}

func (b *bulk) end() error {
	if b.err == nil && len(b.values) > 0 {
		_, b.err = b.tx.ExecContext(b.ctx, b.statement(len(b.values)/b.columns), b.values...)
	}
	if b.full != nil {
		if err := b.full.Close(); b.err == nil {
			b.err = err
		}
	}
	if b.err != nil {
		return fmt.Errorf("make the shop's customers: %w", b.err)
	}
	return nil
}
