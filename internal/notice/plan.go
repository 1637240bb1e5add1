package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

// planner fills a new roster: customers in the order of the scope's list, then people from address books.
type planner struct {
	r     *roster
	who   *whom
	tx    *sql.Tx
	put   *sql.Stmt
	next  uint32
	kinds map[string]int // of realm, other and fields
	whats []what         // ids begin with 1
	known int64          // customers who wait among the people of address books
}

// List gives rows, those of a scope version or of what was shown with address books.
type List func(yield func(row whosaw.ListRow) error) error

// whom is who gets a notice.
type whom struct {
	// customers are those of the scope version, each with how they were in the one since which the notice is; nil: they were not, or it is since none.
	customers func(yield func(was, is *whosaw.ListRow) error) error
	// books are the customers of whose address books something was shown, with the fields; nil: there are none, or they are not asked for.
	books  List
	masked bool // who was shown masked values only gets a row too
	since  bool
	// earlier are the people of notices up to the version since which this one is: who is in an address book stands in no version.
	earlier []*roster
}

// fill makes the rows.
func (r *roster) fill(ctx context.Context, who *whom, ask func(ctx context.Context, of []Person) ([]entry, error)) error {
	if who.masked {
		r.told = 1
	}
	if who.books != nil {
		if err := r.entries(ctx, who.books, ask); err != nil {
			return err
		}
	}
	return r.db.Write(ctx, func(tx *sql.Tx) error {
		p := &planner{r: r, who: who, tx: tx, kinds: map[string]int{}, whats: []what{{}}}
		var err error
		if p.put, err = tx.PrepareContext(ctx, "INSERT INTO person (row, subject, what, outcome, tries) VALUES (?, ?, ?, 0, 0)"); err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
		defer p.put.Close()
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM entry WHERE other = 0").Scan(&p.known); err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
		if err := who.customers(func(was, is *whosaw.ListRow) error { return p.customer(ctx, was, is) }); err != nil {
			return err
		}
		r.books = p.next
		if err := p.others(ctx); err != nil {
			return err
		}
		return p.end(ctx)
	})
}

// customer adds a customer of the scope, unless an earlier notice said the same. Somebody who is in an address book too gets one notice, with both.
func (p *planner) customer(ctx context.Context, was, row *whosaw.ListRow) error {
	fields, inBook := row.Fields, false
	if p.known > 0 {
		var more string
		err := p.tx.QueryRowContext(ctx, "DELETE FROM entry WHERE other = 0 AND realm = ? AND id = ? RETURNING fields", row.Realm, keep(row.Subject)).Scan(&more)
		if err == nil {
			fields, inBook = union(fields, splitFields(more)), true
			p.known--
		} else if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("make roster: %w", err)
		}
	}
	if was != nil && slices.Equal(was.Fields, fields) {
		return nil
	}
	if inBook {
		if told, err := p.toldOf(ctx, Person{ID: row.Subject, Realm: row.Realm}, fields); err != nil || told {
			return err
		}
	}
	if len(fields) == 0 {
		if p.r.masked++; p.r.told == 0 {
			return nil
		}
	}
	return p.add(ctx, row.Subject, what{Realm: row.Realm, Fields: fields})
}

// toldOf reports whether an earlier notice told somebody of exactly these fields: it was sent, and did not come back, or was handed over for another channel.
// One that waits or is in doubt does not count: better twice than not at all.
func (p *planner) toldOf(ctx context.Context, who Person, fields []string) (bool, error) {
	for _, r := range p.who.earlier {
		x, err := r.find(ctx, who)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return false, err
		}
		if (x.Outcome == Sent || !x.Exported.IsZero()) && slices.Equal(r.kind(x.What).Fields, fields) {
			return true, nil
		}
	}
	return false, nil
}

func (p *planner) add(ctx context.Context, subject string, w what) error {
	if p.next == maxRows {
		return invalid(errors.New("a notice has at most 268,435,455 people: make several, from narrower scopes"))
	}
	fields := strings.Join(w.Fields, "|")
	key := fmt.Sprintf("%t\x00%s\x00%s", w.Other, w.Realm, fields)
	id, ok := p.kinds[key]
	if !ok {
		id = len(p.whats)
		p.kinds[key] = id
		p.whats = append(p.whats, w)
	}
	p.whats[id].People++
	if _, err := p.put.ExecContext(ctx, p.next, keep(subject), id); err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	p.next++
	return nil
}

// others adds who came from address books alone.
func (p *planner) others(ctx context.Context) error {
	rows, err := p.tx.QueryContext(ctx, "SELECT other, realm, id, fields FROM entry ORDER BY other, realm, id")
	if err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var w what
		var id any
		var fields string
		if err := rows.Scan(&w.Other, &w.Realm, &id, &fields); err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
		w.Fields = splitFields(fields)
		told, err := p.toldOf(ctx, Person{ID: idText(id), Realm: w.Realm, Other: w.Other}, w.Fields)
		if err != nil {
			return err
		}
		if told {
			continue
		}
		if err := p.add(ctx, idText(id), w); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	return nil
}

func (p *planner) end(ctx context.Context) error {
	for id, w := range p.whats[1:] {
		_, err := p.tx.ExecContext(ctx, "INSERT INTO what (id, realm, other, fields, people) VALUES (?, ?, ?, ?, ?)", id+1, w.Realm, w.Other, strings.Join(w.Fields, "|"), w.People)
		if err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
	}
	for name, v := range map[string]uint32{"total": p.next, "books": p.r.books, "masked": p.r.masked, "masked_told": p.r.told} {
		if _, err := p.tx.ExecContext(ctx, "INSERT INTO mark (name, value) VALUES (?, ?)", name, v); err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
	}
	if err := count(p.tx, map[Outcome]int64{Waiting: int64(p.next)}); err != nil {
		return err
	}
	// People from address books are found by their id; customers by halving.
	if _, err := p.tx.ExecContext(ctx, fmt.Sprintf("CREATE INDEX person_book ON person (subject) WHERE row >= %d", p.r.books)); err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	if _, err := p.tx.ExecContext(ctx, "DELETE FROM entry"); err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	p.r.whats, p.r.total = p.whats, p.next
	return nil
}

// entries asks who is in the address books, and keeps each person once with the fields of all books.
func (r *roster) entries(ctx context.Context, books List, ask func(context.Context, []Person) ([]entry, error)) error {
	var batch []Person
	shown := map[Person][]string{}
	realms := map[string][]string{} // by id
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		found, err := ask(ctx, batch)
		if err != nil {
			return err
		}
		err = r.db.Write(ctx, func(tx *sql.Tx) error {
			for _, e := range found {
				if n := realms[e.Of]; e.Realm == "" && len(n) == 1 {
					e.Realm = n[0] // an answer need not say what there is no doubt about
				}
				fields, ok := shown[Person{ID: e.Of, Realm: e.Realm}]
				if !ok && len(realms[e.Of]) > 0 {
					return invalid(errors.New("ask the shop: in its answer about address books the realm is missing, or another than was asked for: docs/formats/notice.md"))
				}
				if !ok {
					continue // nobody asked for this book
				}
				if err := keepEntry(ctx, tx, &e, fields); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		clear(shown)
		clear(realms)
		return err
	}
	err := books(func(row whosaw.ListRow) error {
		if len(row.Fields) == 0 && r.told == 0 {
			return nil
		}
		p := Person{ID: row.Subject, Realm: row.Realm}
		batch = append(batch, p)
		shown[p] = slices.Clone(row.Fields)
		realms[p.ID] = append(realms[p.ID], p.Realm)
		if len(batch) < booksBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// booksBatch is how many customers' address books are asked for at once.
const booksBatch = 500

func keepEntry(ctx context.Context, tx *sql.Tx, e *entry, fields []string) error {
	other, id := 1, e.ID
	if e.Subject != "" {
		other, id = 0, e.Subject
	}
	var had string
	err := tx.QueryRowContext(ctx, "SELECT fields FROM entry WHERE other = ? AND realm = ? AND id = ?", other, e.Realm, keep(id)).Scan(&had)
	if err == nil {
		fields = union(fields, splitFields(had))
	} else if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("make roster: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO entry (other, realm, id, fields) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET fields = ?4", other, e.Realm, keep(id), strings.Join(fields, "|")); err != nil {
		return fmt.Errorf("make roster: %w", err)
	}
	return nil
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
