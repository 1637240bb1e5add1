package notice

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// ErrUnknown is a notice or a person that is not there.
var ErrUnknown = errors.New("not known")

// ErrInvalid is what somebody asked for that cannot be done; the error says the cure.
var ErrInvalid = errors.New("not as it must be")

type fault struct{ error }

func (f fault) Is(target error) bool { return target == ErrInvalid }
func (f fault) Unwrap() error        { return f.error }

func invalid(err error) error { return fault{err} }

func refuse(format string, args ...any) error { return invalid(fmt.Errorf(format, args...)) }

// State is how far a notice has come.
type State string

// The states.
const (
	Made     State = "made"     // nobody approved it
	Approved State = "approved" // a second person did
	Sending  State = "sending"
	Paused   State = "paused"    // by a person, or because something is wrong: Why says what
	WaveOver State = "wave_over" // the next wave waits for a person
	Stopped  State = "stopped"   // for good
	Done     State = "done"      // everybody has an outcome
)

// Service is in whose name a notice comes to an end by itself.
const Service = "service:whosaw"

// BookConfig is what notices stand on.
type BookConfig struct {
	DB        *sqlite.DB // the state file
	Dir       string     // of the rosters, one file a notice; made when it is needed
	Incidents *incident.Book
	Config    Config
	Random    io.Reader // of secrets
	Now       func() time.Time
	Zone      *time.Location // of the days that notices bear, as of the page on which codes are checked; nil: UTC
	Log       *slog.Logger
	// Same reports whether two names are one person's, be it that one is a token which the other made. nil: names and links alone say.
	Same func(ctx context.Context, a, b string) (bool, error)
}

// Book keeps notices and sends them. Its methods are safe for concurrent use.
type Book struct {
	cfg   BookConfig
	texts map[string]*Texts

	running sync.WaitGroup // runs, until how they ended is on record

	mu      sync.Mutex // of what follows
	rosters map[int64]*roster
	runs    map[int64]*run
	begin   func(number int64) error // set from Begin until its end
	act     map[int64]*sync.Mutex    // one act of a person on a notice at a time
}

// NewBook gives a book. Close it when nothing uses it any more.
func NewBook(cfg BookConfig) (*Book, error) {
	texts, err := LoadTexts(cfg.Config.Texts)
	if err != nil {
		return nil, err
	}
	cfg.Config = cfg.Config.defaults()
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Book{cfg: cfg, texts: texts, rosters: map[int64]*roster{}, runs: map[int64]*run{}, act: map[int64]*sync.Mutex{}}, nil
}

// now is the time as notices write it.
func (b *Book) now() time.Time { return b.cfg.Now().In(b.cfg.Zone) }

// dayOf is the beginning of the day that a notice of a time bears.
func (b *Book) dayOf(t time.Time) time.Time {
	y, m, d := t.In(b.cfg.Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, b.cfg.Zone)
}

// Languages are those in which notices are sent, the first for people of whom no other is known.
func (b *Book) Languages() []string { return b.cfg.Config.languages() }

// Close closes the rosters. What Begin gave must have ended.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, r := range b.rosters {
		errs = append(errs, r.close())
	}
	b.rosters = map[int64]*roster{}
	return errors.Join(errs...)
}

// Notice is one notice to many people, as it stands.
type Notice struct {
	Number   int64     `json:"number"`
	Incident int64     `json:"incident"`
	Version  int       `json:"version"` // of the scope
	Since    int       `json:"since,omitempty"`
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"`
	MadeAt   time.Time `json:"made_at"`
	MadeBy   string    `json:"made_by"`
	Approved string    `json:"approved_by,omitempty"`
	Hash     string    `json:"hash"` // of the letter: what was approved, or what would be

	People int64 `json:"people"`
	Books  int64 `json:"people_in_address_books"` // of them
	// MaskedOnly are customers of whom nothing was shown in clear. They are among the people only if MaskedTold.
	MaskedOnly int64            `json:"masked_only"`
	MaskedTold bool             `json:"masked_told"`
	Outcomes   map[string]int64 `json:"outcomes"`
	Quota      int64            `json:"quota"` // people the waves so far may reach
	Rate       float64          `json:"rate"`  // a second; 0: as fast as it goes
	// PerSecond is how many were sent in the last seconds; Trouble is what holds the sending up now.
	PerSecond float64          `json:"per_second"`
	Trouble   string           `json:"trouble,omitempty"`
	NextTry   *time.Time       `json:"next_try,omitempty"`
	Faults    []incident.Fault `json:"faults"` // why it cannot be approved

	// Purged is when retention removed who was told; the counts are those of then.
	Purged *time.Time `json:"purged,omitempty"`

	letter string
	left   string // JSON of what is left over
	secret []byte
}

// lock gives the lock of a notice's acts.
func (b *Book) lock(number int64) *sync.Mutex {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.act[number] == nil {
		b.act[number] = &sync.Mutex{}
	}
	return b.act[number]
}

func (b *Book) read(ctx context.Context, number int64) (*Notice, error) {
	n := &Notice{Number: number, Faults: []incident.Fault{}, Outcomes: map[string]int64{}}
	var made, purged int64
	err := b.cfg.DB.Read().QueryRowContext(ctx, "SELECT incident, version, since, state, why, made_at, made_by, hash, letter, approved_by, quota, rate, secret, purged, left_over FROM notice WHERE number = ?", number).
		Scan(&n.Incident, &n.Version, &n.Since, &n.State, &n.Why, &made, &n.MadeBy, &n.Hash, &n.letter, &n.Approved, &n.Quota, &n.Rate, &n.secret, &purged, &n.left)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("notice %d: %w; list the notices for their numbers", number, ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("read notice: %w", err)
	}
	n.MadeAt = time.UnixMilli(made).UTC()
	if purged != 0 {
		at := time.UnixMilli(purged).UTC()
		n.Purged = &at
	}
	return n, nil
}

// Notices gives all notices, the newest first.
func (b *Book) Notices(ctx context.Context) ([]*Notice, error) {
	numbers, err := b.numbers(ctx)
	if err != nil {
		return nil, err
	}
	slices.Reverse(numbers)
	out := make([]*Notice, len(numbers))
	for i, n := range numbers {
		if out[i], err = b.Notice(ctx, n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Book) numbers(ctx context.Context) ([]int64, error) {
	rows, err := b.cfg.DB.Read().QueryContext(ctx, "SELECT number FROM notice ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("read notices: %w", err)
		}
		out = append(out, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return out, nil
}

// Notice gives a notice as it stands.
func (b *Book) Notice(ctx context.Context, number int64) (*Notice, error) {
	n, err := b.read(ctx, number)
	if err != nil {
		return nil, err
	}
	if n.Purged != nil {
		var l leftOver
		if err := json.Unmarshal([]byte(n.left), &l); err != nil {
			return nil, fmt.Errorf("read notice: %w", err)
		}
		n.People, n.Books, n.MaskedOnly, n.MaskedTold, n.Outcomes = l.People, l.Books, l.MaskedOnly, l.MaskedTold, l.Outcomes
		return n, nil
	}
	r, err := b.roster(ctx, number)
	if err != nil {
		return nil, err
	}
	tally, err := r.tally(ctx)
	if err != nil {
		return nil, err
	}
	for o, k := range tally {
		n.Outcomes[o.String()] = k
	}
	n.People, n.Books = int64(r.total), int64(r.total-r.books)
	n.MaskedOnly, n.MaskedTold = int64(r.masked), r.told != 0
	if due, err := r.nextDue(ctx); err != nil {
		return nil, err
	} else if !due.IsZero() {
		due = due.UTC()
		n.NextTry = &due
	}
	b.mu.Lock()
	run := b.runs[number]
	b.mu.Unlock()
	if run != nil {
		n.PerSecond, n.Trouble = run.pace.perSecond(), run.trouble()
	}
	if n.State == Made {
		l, faults, err := b.letter(ctx, n, r)
		if err != nil {
			return nil, err
		}
		if n.Hash, err = l.hash(); err != nil {
			return nil, err
		}
		n.Faults = append(n.Faults, faults...)
	}
	return n, nil
}

// letter gives what a notice says: what was approved, or what stands now with what keeps it from being approved.
func (b *Book) letter(ctx context.Context, n *Notice, r *roster) (*Letter, []incident.Fault, error) {
	if n.Approved != "" {
		l := new(Letter)
		if err := json.Unmarshal([]byte(n.letter), l); err != nil {
			return nil, nil, fmt.Errorf("read letter of notice %d: %w", n.Number, err)
		}
		return l, nil, nil
	}
	in, err := b.cfg.Incidents.Incident(ctx, n.Incident)
	if err != nil {
		return nil, nil, err
	}
	v, err := in.Version(n.Version)
	if err != nil {
		return nil, nil, err
	}
	l, faults := letterOf(in, v, &b.cfg.Config, b.texts)
	l.Notice = n.Number
	if r.told != 0 {
		l.Masked = slices.Sorted(maps.Keys(v.Answer.Masked))
		faults = append(faults, l.leavesMasked()...)
	}
	return l, append(faults, l.leaves(r.fields())...), nil
}

// fields are all that are shown of anybody.
func (r *roster) fields() []string {
	var out []string
	for _, w := range r.whats {
		out = union(out, w.Fields)
	}
	return out
}

// roster opens the people of a notice, once.
func (b *Book) roster(ctx context.Context, number int64) (*roster, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.rosters[number]; r != nil {
		return r, nil
	}
	if n, err := b.read(ctx, number); err == nil && n.Purged != nil {
		return nil, n.purgedFault()
	}
	if _, err := os.Stat(b.path(number)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the people of notice %d are gone: take %s from a backup", number, b.path(number))
	}
	r, err := openRoster(context.WithoutCancel(ctx), b.path(number))
	if err != nil {
		return nil, err
	}
	b.rosters[number] = r
	return r, nil
}

func (b *Book) path(number int64) string {
	return filepath.Join(b.cfg.Dir, fmt.Sprintf("%d.db", number))
}

// Spec is who is to get a notice.
type Spec struct {
	Version int // of the scope; 0: the last
	// Since leaves out whoever was in this earlier version with the same fields, as a notice after that one told them; and of people in address books,
	// who are in no version, whom a notice of that version or of one before it did tell of the same. 0: nobody.
	Since int
	// Books are the customers of whose address books something was shown, with the fields. nil: nobody of them is told.
	Books List
	// Masked tells those too of whom masked values only were shown. Nothing of them was shown in clear, so they are left out else.
	Masked bool
}

// Make fixes who gets a notice.
func (b *Book) Make(ctx context.Context, inc int64, by string, spec Spec) (*Notice, error) {
	in, err := b.cfg.Incidents.Incident(ctx, inc)
	if err != nil {
		return nil, err
	}
	v, err := in.Version(spec.Version)
	if err != nil {
		return nil, err
	}
	who := whom{books: spec.Books, masked: spec.Masked && len(v.Answer.Masked) > 0}
	who.customers = func(yield func(was, is *whosaw.ListRow) error) error {
		return b.cfg.Incidents.List(ctx, inc, v, func(row whosaw.ListRow) error { return yield(nil, &row) })
	}
	if spec.Since != 0 {
		old, err := in.Version(spec.Since)
		if err != nil {
			return nil, err
		}
		who.since = true
		who.customers = func(yield func(was, is *whosaw.ListRow) error) error {
			return b.cfg.Incidents.Compare(ctx, inc, old, v, func(was, is *whosaw.ListRow) error {
				if is == nil {
					return nil
				}
				return yield(was, is)
			})
		}
	}
	if spec.Since != 0 && spec.Books != nil {
		if who.earlier, err = b.upTo(ctx, inc, spec.Since); err != nil {
			return nil, err
		}
	}
	// One at a time: the number is the next one.
	making := b.lock(0)
	making.Lock()
	defer making.Unlock()
	var number int64
	if err := b.cfg.DB.Read().QueryRowContext(ctx, "SELECT coalesce(max(number), 0) + 1 FROM notice").Scan(&number); err != nil {
		return nil, fmt.Errorf("make notice: %w", err)
	}
	if number > maxNumber {
		return nil, refuse("there can be %d notices, and there are", maxNumber)
	}
	r, err := b.newRoster(ctx, number, &who)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, secretSize)
	if _, err := io.ReadFull(b.cfg.Random, secret); err != nil {
		return nil, errors.Join(fmt.Errorf("make notice: %w", err), r.close())
	}
	total := int64(r.total)
	body := incident.Body{Notice: number, Title: DeedMade, Version: v.Number, Count: &total, Note: maskedSays(int64(r.masked), r.told != 0)}
	err = b.cfg.Incidents.Notice(ctx, inc, by, body, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO notice (number, incident, version, since, state, why, made_at, made_by, hash, letter, approved_by, quota, rate, secret)
			VALUES (?, ?, ?, ?, ?, '', ?, ?, '', '', '', 0, 0, ?)`, number, inc, v.Number, spec.Since, Made, b.cfg.Now().UnixMilli(), by, secret)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	b.mu.Lock()
	b.rosters[number] = r
	b.mu.Unlock()
	return b.Notice(ctx, number)
}

// upTo gives the people of an incident's notices that were made from a scope version or one before it.
func (b *Book) upTo(ctx context.Context, inc int64, version int) ([]*roster, error) {
	numbers, err := b.numbers(ctx)
	if err != nil {
		return nil, err
	}
	var out []*roster
	for _, number := range numbers {
		n, err := b.read(ctx, number)
		if err != nil {
			return nil, err
		}
		if n.Incident != inc || n.Version > version {
			continue
		}
		r, err := b.roster(ctx, number)
		if err != nil {
			return nil, fmt.Errorf("look for whom of the address books notice %d told, which since leaves out: %w; without since all are told", number, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// newRoster makes the file of a notice that is not recorded yet: what lies there is of one that never was.
func (b *Book) newRoster(ctx context.Context, number int64, who *whom) (_ *roster, err error) {
	if err := os.MkdirAll(b.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make roster: %w", err)
	}
	clear := func() error {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(b.path(number) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("make roster: %w", err)
			}
		}
		return nil
	}
	if err := clear(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil { // who is in it gets no notice, and is not to lie here
			err = errors.Join(err, clear())
		}
	}()
	r, err := openRoster(ctx, b.path(number))
	if err != nil {
		return nil, err
	}
	var ask func(context.Context, []Person) ([]entry, error)
	if who.books != nil {
		if b.cfg.Config.Lookup.BooksURL == "" {
			return nil, errors.Join(refuse("nobody can say who is in the address books: set notice.lookup.books_url"), r.close())
		}
		l, err := newLookup(b.cfg.Config.Lookup)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		defer l.close()
		ask = func(ctx context.Context, of []Person) (out []entry, err error) {
			err = patient(ctx, bookTries, time.Second, func() error { out, err = l.books(ctx, of); return err })
			return out, err
		}
	}
	if err := r.fill(ctx, who, ask); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if r.total == 0 && who.since {
		return nil, errors.Join(refuse("nobody would get this notice: whoever is in the scope version was in the earlier one with the same fields, or nothing of theirs was shown in clear%s", maskedCure(r.masked)), r.close())
	}
	if r.total == 0 {
		return nil, errors.Join(refuse("nobody would get this notice: nothing was shown in clear of anybody in the scope version%s", maskedCure(r.masked)), r.close())
	}
	return r, nil
}

// bookTries is how often the shop is asked for address books before making the notice is given up.
const bookTries = 6

// patient tries until it works, with a pause that doubles. It gives the last error.
func patient(ctx context.Context, tries int, pause time.Duration, try func() error) error {
	for i := 1; ; i++ {
		err := try()
		if err == nil || i == tries || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		pause = min(2*pause, time.Minute)
	}
}

// Approve approves a notice in the words that were read, by their hash. Who made it cannot.
func (b *Book) Approve(ctx context.Context, number int64, who, hash string) error {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, err := b.read(ctx, number)
	if err != nil {
		return err
	}
	r, err := b.roster(ctx, number)
	if err != nil {
		return err
	}
	letter, faults, err := b.letter(ctx, n, r)
	if err != nil {
		return err
	}
	is, err := letter.hash()
	if err != nil {
		return err
	}
	maker := n.ByMaker(who)
	if !maker && b.cfg.Same != nil {
		if maker, err = b.cfg.Same(ctx, n.MadeBy, who); err != nil {
			return err
		}
	}
	switch {
	case n.State != Made:
		return refuse("notice %d was approved by %s already", number, n.Approved)
	case maker:
		return refuse("notice %d was made by %s: a second person approves it", number, who)
	case is != hash:
		return refuse("the words are not those that were read: read them again (whosaw notice preview %d), and approve those", number)
	case len(faults) > 0:
		f := faults[0]
		return refuse("it has %d faults, the first: %s", len(faults), strings.TrimLeft(f.Content+": "+f.Says, ": "))
	}
	text, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("keep letter: %w", err)
	}
	total := int64(r.total)
	return b.cfg.Incidents.Notice(ctx, n.Incident, who, incident.Body{Notice: number, Title: DeedApproved, Version: n.Version, Hash: hash, Count: &total}, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notice SET state = ?, hash = ?, letter = ?, approved_by = ? WHERE number = ?", Approved, hash, string(text), who, number)
		return err
	})
}

// byLink begins the name of who came by a one-time link, as the accounts give it; who made the link comes after.
const byLink = "staff:admin by link of "

// ByMaker reports whether somebody is who made the notice, be it that one of them came by a link which the other made: a link is no second person.
func (n *Notice) ByMaker(who string) bool {
	return strings.TrimPrefix(n.MadeBy, byLink) == strings.TrimPrefix(who, byLink)
}

// set records a step of a notice with its event.
func (b *Book) set(ctx context.Context, n *Notice, who, title, note string, count int64, also func(tx *sql.Tx) error) error {
	body := incident.Body{Notice: n.Number, Title: title, Note: note, Version: n.Version}
	if count >= 0 {
		body.Count = &count
	}
	return b.cfg.Incidents.Notice(ctx, n.Incident, who, body, also)
}

func state(ctx context.Context, number int64, s State, why string) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notice SET state = ?, why = ? WHERE number = ?", s, why, number)
		return err
	}
}

// maskedSays says in a sentence what is with people of whom masked values only were shown; "": there are none.
func maskedSays(n int64, told bool) string {
	switch {
	case n == 0:
		return ""
	case told:
		return figure.Of(n, "person was", "people were") + " shown masked values only, and are told that"
	}
	return figure.Of(n, "person was", "people were") + " shown masked values only: not notified, because nothing of theirs was shown in clear"
}

func maskedCure(n uint32) string {
	if n == 0 {
		return ""
	}
	return "; " + maskedSays(int64(n), false) + ", unless --masked is given"
}

// Preview makes the notice as somebody with some fields would get it; nil: all fields, none: masked values only. Its code is nobody's.
func (b *Book) Preview(ctx context.Context, number int64, lang string, fields []string, other bool) (*Message, error) {
	n, r, l, err := b.open(ctx, number)
	if err != nil {
		return nil, err
	}
	if fields == nil {
		fields = r.fields()
	}
	m, err := l.Render(&Recipient{Row: sampleRow, Other: other, Fields: fields, Lang: lang}, codeOf(n.secret, uint32(n.Number), sampleRow), b.now(), true)
	if err != nil {
		return nil, invalid(err)
	}
	return m, nil
}

func (b *Book) open(ctx context.Context, number int64) (*Notice, *roster, *Letter, error) {
	n, err := b.read(ctx, number)
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := b.roster(ctx, number)
	if err != nil {
		return nil, nil, nil, err
	}
	l, _, err := b.letter(ctx, n, r)
	return n, r, l, err
}

// Sample sends the notice to a test address, marked as a sample. The address is recorded nowhere.
func (b *Book) Sample(ctx context.Context, number int64, who, to, lang string) error {
	n, r, l, err := b.open(ctx, number)
	if err != nil {
		return err
	}
	if !mailable(to) {
		return refuse("give an address, as in test@shop.example")
	}
	if b.cfg.Config.Mail.Host == "" {
		return refuse("no mail is configured: set notice.mail")
	}
	c, err := newComposer(&b.cfg.Config.Mail, uint32(number), n.secret, l)
	if err != nil {
		return err
	}
	c.isSample = true
	m, err := c.compose(&Recipient{Row: sampleRow, Fields: r.fields(), Email: to, Lang: lang}, b.now())
	if err != nil {
		return invalid(err)
	}
	relay, err := newRelay(b.cfg.Config.Mail)
	if err != nil {
		return err
	}
	line, err := relay.dial(ctx)
	if err != nil {
		return invalid(err)
	}
	defer line.close()
	out, t := line.deliver([]*mail{m}, func(int, []result) bool { return true })
	if t != nil {
		return invalid(t)
	}
	if out[0].fate != taken {
		return refuse("the relay answered %d", out[0].reply)
	}
	return b.set(ctx, n, who, DeedSample, "in "+l.LangOf(lang), 1, nothing)
}

// PersonOutcome is what became of one person's notice.
type PersonOutcome struct {
	Notice   int64      `json:"notice"`
	Fields   []string   `json:"fields"`
	Outcome  Outcome    `json:"outcome"`
	Tries    int        `json:"tries"`
	Last     *time.Time `json:"last,omitempty"`
	Reply    int        `json:"reply,omitempty"`
	Language string     `json:"language,omitempty"`
	Exported *time.Time `json:"exported,omitempty"`
	Code     string     `json:"code"`
}

// Person says what became of one person's notice.
func (b *Book) Person(ctx context.Context, number int64, p Person) (*PersonOutcome, error) {
	n, err := b.read(ctx, number)
	if err != nil {
		return nil, err
	}
	r, err := b.roster(ctx, number)
	if err != nil {
		return nil, err
	}
	x, err := r.find(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &PersonOutcome{Notice: number, Fields: r.kind(x.What).Fields, Outcome: x.Outcome, Tries: x.Tries, Reply: x.Reply, Language: x.Lang, Code: codeOf(n.secret, uint32(number), x.Row)}
	if !x.At.IsZero() {
		out.Last = &x.At
	}
	if !x.Exported.IsZero() {
		out.Exported = &x.Exported
	}
	return out, nil
}

// Genuine is what anybody may know of a code: nothing personal.
type Genuine struct {
	Organisation string    `json:"organisation"`
	Incident     int64     `json:"incident"`
	Notice       int64     `json:"notice"`
	Sent         time.Time `json:"sent"` // the day, not the second
	Language     string    `json:"language"`
	Sample       bool      `json:"sample"` // it is of a sample: nobody got this
}

// Genuine says whether a code is of a true notice that went out. ErrUnknown: it is not, whatever the reason; the answer does not tell the reasons apart.
func (b *Book) Genuine(ctx context.Context, code string) (*Genuine, error) {
	unknown := fmt.Errorf("%w: this code is of no notice that was sent", ErrUnknown)
	s, err := parse(code)
	if err != nil {
		return nil, unknown
	}
	n, err := b.read(ctx, int64(s.number))
	if errors.Is(err, ErrUnknown) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	number, ok := s.open(n.secret, forCode)
	if !ok {
		return nil, unknown
	}
	if n.Purged != nil { // the code is true; of whose notice it was nothing is known any more
		if n.Approved == "" {
			return nil, unknown // stopped before anybody was sent it
		}
		l := new(Letter)
		if err := json.Unmarshal([]byte(n.letter), l); err != nil {
			return nil, fmt.Errorf("read letter of notice %d: %w", n.Number, err)
		}
		w := l.Langs[l.LangOf("")]
		if w == nil {
			return nil, unknown
		}
		return &Genuine{Organisation: w.Organisation, Incident: n.Incident, Notice: n.Number, Sent: b.dayOf(n.MadeAt), Language: l.LangOf(""), Sample: number == sampleRow}, nil
	}
	r, err := b.roster(ctx, n.Number)
	if err != nil {
		return nil, err
	}
	l, _, err := b.letter(ctx, n, r)
	if err != nil {
		return nil, err
	}
	out := &Genuine{Incident: n.Incident, Notice: n.Number}
	if number == sampleRow {
		out.Sample, out.Language, out.Sent = true, l.First, n.MadeAt
	} else {
		x, err := r.at(ctx, number)
		if err != nil {
			return nil, err
		}
		// Whoever has the code has a notice, or what was handed over: the outcome may since have become another.
		if out.Language, out.Sent = x.Lang, x.At; out.Sent.Before(x.Exported) {
			out.Sent = x.Exported
		}
		if x.Lang == "" && x.Exported.IsZero() {
			return nil, unknown
		}
	}
	out.Language = l.LangOf(out.Language)
	out.Sent = b.dayOf(out.Sent)
	out.Organisation = l.Langs[out.Language].Organisation
	return out, nil
}
