package guard

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Standing is a decision that holds for all requests its filter covers, until it expires or is undone. Times are milliseconds since 1970.
type Standing struct {
	ID      string        `json:"id"`
	Action  Action        `json:"action"`
	Filter  whosaw.Filter `json:"filter"`
	Mask    []string      `json:"mask,omitempty"` // of the action mask; empty: as the route's policy says
	Reason  string        `json:"reason"`
	Who     string        `json:"who"`
	Finding string        `json:"finding,omitempty"`
	Made    int64         `json:"-"`
	Expires int64         `json:"-"`
	Undone  int64         `json:"-"` // 0: it was not
	Undoer  string        `json:"undoer,omitempty"`
	Why     string        `json:"why,omitempty"`

	recorded, unrecorded uint64 // sequences in the ledger; 0: not there yet
	terms                []term
}

// MarshalJSON writes times as the contract does.
func (s *Standing) MarshalJSON() ([]byte, error) {
	type plain Standing
	return json.Marshal(struct {
		*plain
		Made    whosaw.Time `json:"made"`
		Expires whosaw.Time `json:"expires"`
		Undone  whosaw.Time `json:"undone,omitzero"`
	}{(*plain)(s), whosaw.Time(s.Made), whosaw.Time(s.Expires), whosaw.Time(s.Undone)})
}

// Event is a change of the standing decisions. Numbers grow by time.
type Event struct {
	Number int64     `json:"number"`
	Kind   string    `json:"kind"` // add or remove
	Of     *Standing `json:"decision"`
}

// Book keeps the standing decisions: in state.db before they hold, and in the ledger.
type Book struct {
	db    *sqlite.DB
	write func(ctx context.Context, records []whosaw.Record) (uint64, error)
	cfg   *Config
	log   *slog.Logger
	now   func() time.Time

	index atomic.Pointer[index]

	mu      sync.Mutex
	holding map[string]*Standing // not expired, not undone
	owing   bool                 // some are not in the ledger yet
	last    int64                // number of the last event
	changed chan struct{}        // closed and made anew with each event
}

// Bounds of the book.
const (
	maxStandings = 100_000
	maxReason    = 2000
)

// Errors that callers branch on.
var (
	ErrNoDecision = errors.New("there is no such decision that still holds: whosaw guard decisions shows those that do")
	ErrFull       = fmt.Errorf("%d decisions hold already: undo some, or use one with a wider filter", maxStandings)
)

// BadDecision is an error of a decision's description.
type BadDecision struct{ text string }

func (e *BadDecision) Error() string { return e.text }

func badf(format string, args ...any) error { return &BadDecision{fmt.Sprintf(format, args...)} }

func openBook(ctx context.Context, db *sqlite.DB, write func(context.Context, []whosaw.Record) (uint64, error), cfg *Config, log *slog.Logger, now func() time.Time) (*Book, error) {
	b := &Book{db: db, write: write, cfg: cfg, log: log, now: now, holding: map[string]*Standing{}, changed: make(chan struct{}), owing: true}
	list, err := b.read(ctx, `WHERE expires > ? AND undone IS NULL`, now().UnixMilli())
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.terms, err = compileAll(s.Filter); err != nil {
			return nil, fmt.Errorf("decision %s: %w", s.ID, err)
		}
		b.holding[s.ID] = s
	}
	if err := db.Read().QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM guard_event`).Scan(&b.last); err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	b.publish()
	return b, nil
}

func compileAll(f whosaw.Filter) ([]term, error) {
	terms := make([]term, 0, len(f))
	for i := range f {
		t, err := compile(&f[i])
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return terms, nil
}

// publish makes the index that requests are held against. mu must be held, or nobody else has the book yet.
func (b *Book) publish() {
	list := make([]*Standing, 0, len(b.holding))
	for _, s := range b.holding {
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y *Standing) int { return strings.Compare(x.ID, y.ID) }) // equal states give equal answers
	b.index.Store(newIndex(list))
}

// Check judges a decision that is to be made: whether it says why, ends, and can be held against requests at all doors.
func (b *Book) Check(s *Standing, life time.Duration) error {
	switch {
	case s.Action <= Allow || s.Action > Deny:
		return badf("action: give mask, step_up, throttle or deny")
	case len(s.Filter) == 0:
		return badf("filter: give what it covers")
	case slices.ContainsFunc(s.Filter, whosaw.Term.IsZero):
		return badf("filter: an empty term covers every request there is: name a key, a credential, a principal, a client or an address")
	case strings.TrimSpace(s.Reason) == "" || len(s.Reason) > maxReason:
		return badf("reason: say why, in 1 to %d bytes", maxReason)
	case life <= 0 || life > maxStanding:
		return badf("for: give how long, above 0 and up to %v: every decision expires", maxStanding)
	case len(s.Mask) > 0 && s.Action != Mask:
		return badf("mask: goes with the action mask")
	}
	if err := s.Filter.Validate(); err != nil {
		return badf("filter: %v", err)
	}
	terms, err := compileAll(s.Filter)
	if err != nil {
		return badf("filter: %v", err)
	}
	s.terms = terms
	for i := range b.cfg.Doors {
		d := &b.cfg.Doors[i]
		if can := d.Kind.Can(); !can.Has(s.Action.control()) {
			return badf("action: %s cannot be enforced at door %s: kind %s does %s; use deny, or a door of kind %s there", s.Action, d.Name, d.Kind, can, which(s.Action.control()))
		}
		for k := range terms {
			if d.Kind == KindFeed && !terms[k].simple() {
				return badf("filter: door %s is of kind feed, whose readers compare values of key, credential, principal, client and ip alone: use only these, or a door of kind %s there", d.Name, which(CanJudge))
			}
			for _, name := range terms[k].needs() {
				if !slices.Contains(d.Tells, name) {
					return badf("filter: door %s does not tell %s, so the decision would not hold there: add it to guard.doors, or leave it out", d.Name, name)
				}
			}
		}
	}
	return nil
}

// simple reports whether a reader of the feed can hold the term against a request by comparing values.
func (t *term) simple() bool {
	for _, w := range []*words{&t.key, &t.credential, &t.principal, &t.client, &t.realm} {
		if len(w.not) > 0 {
			return false
		}
	}
	return len(t.ip.not) == 0 && !t.country.given() && !t.asn.given() && !t.agent.given() && !t.class.given() && !t.tls.given() && !t.route.given() &&
		!t.subject.given() && t.issued == nil && t.explained == nil && t.from == 0 && t.to == 0
}

// Add makes a decision. It holds when Add returns nil, and is on disk then.
func (b *Book) Add(ctx context.Context, s Standing, life time.Duration) (*Standing, error) {
	if err := b.Check(&s, life); err != nil {
		return nil, err
	}
	now := b.now()
	s.ID, s.Made, s.Expires = strings.ToLower(rand.Text()[:13]), now.UnixMilli(), now.Add(life).UnixMilli()
	return b.add(ctx, &s)
}

func (b *Book) add(ctx context.Context, s *Standing) (*Standing, error) {
	filter, err := json.Marshal(s.Filter)
	if err != nil {
		return nil, fmt.Errorf("write filter: %w", err)
	}
	mask, err := json.Marshal(s.Mask)
	if err != nil {
		return nil, fmt.Errorf("write fields: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.holding) >= maxStandings {
		return nil, ErrFull
	}
	var number int64
	err = b.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO guard_decision (id, action, filter, mask, reason, who, finding, made, expires, undone, undoer, why, recorded, unrecord)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			s.ID, s.Action.String(), string(filter), string(mask), s.Reason, s.Who, orNull(s.Finding), s.Made, s.Expires, zeroNull(s.Undone), orNull(s.Undoer), orNull(s.Why),
			int64(s.recorded), int64(s.unrecorded))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil || n == 0 || s.Undone != 0 {
			return err
		}
		number, err = event(ctx, tx, s.ID, "add", b.now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep decision: %w", err)
	}
	if number == 0 {
		return nil, nil // it is there already
	}
	b.holding[s.ID] = s
	b.publish()
	b.tell(number)
	b.owing = b.owing || s.recorded == 0
	return s, nil
}

func event(ctx context.Context, tx *sql.Tx, id, kind string, now time.Time) (int64, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO guard_event (decision, kind, at) VALUES (?, ?, ?)`, id, kind, now.UnixMilli())
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func zeroNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// tell wakes the followers. mu must be held.
func (b *Book) tell(number int64) {
	b.last = max(b.last, number)
	close(b.changed)
	b.changed = make(chan struct{})
}

// Undo ends a decision early.
func (b *Book) Undo(ctx context.Context, id, who, why string) (*Standing, error) {
	if strings.TrimSpace(why) == "" || len(why) > maxReason {
		return nil, badf("reason: say why, in 1 to %d bytes", maxReason)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.holding[id]
	if s == nil || s.Expires <= b.now().UnixMilli() {
		return nil, ErrNoDecision
	}
	undone := *s
	undone.Undone, undone.Undoer, undone.Why = b.now().UnixMilli(), who, why
	var number int64
	err := b.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE guard_decision SET undone = ?, undoer = ?, why = ? WHERE id = ? AND undone IS NULL`, undone.Undone, who, why, id); err != nil {
			return err
		}
		var err error
		number, err = event(ctx, tx, id, "remove", b.now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("undo decision: %w", err)
	}
	delete(b.holding, id)
	b.publish()
	b.tell(number)
	b.owing = true
	return &undone, nil
}

// Holding lists the decisions that hold, the latest first.
func (b *Book) Holding() []*Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().UnixMilli()
	out := make([]*Standing, 0, len(b.holding))
	for _, s := range b.holding {
		if s.Expires > now {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(x, y *Standing) int {
		if x.Made != y.Made {
			return int(min(1, max(-1, y.Made-x.Made)))
		}
		return strings.Compare(x.ID, y.ID)
	})
	return out
}

// All lists decisions, those that have ended too, the latest first; at most limit.
func (b *Book) All(ctx context.Context, limit int) ([]*Standing, error) {
	return b.read(ctx, `ORDER BY made DESC, id LIMIT ?`, limit)
}

// OfFinding lists the decisions that were made of a finding, those that have ended too, the earliest first; at most limit.
func (b *Book) OfFinding(ctx context.Context, finding string, limit int) ([]*Standing, error) {
	return b.read(ctx, `WHERE finding = ? ORDER BY made, id LIMIT ?`, finding, limit)
}

func (b *Book) read(ctx context.Context, where string, args ...any) ([]*Standing, error) {
	rows, err := b.db.Read().QueryContext(ctx, `SELECT id, action, filter, mask, reason, who, coalesce(finding, ''), made, expires,
		coalesce(undone, 0), coalesce(undoer, ''), coalesce(why, ''), recorded, unrecord FROM guard_decision `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	defer rows.Close()
	out := []*Standing{}
	for rows.Next() {
		s := &Standing{}
		var action, filter, mask string
		var recorded, unrecorded int64
		err := rows.Scan(&s.ID, &action, &filter, &mask, &s.Reason, &s.Who, &s.Finding, &s.Made, &s.Expires, &s.Undone, &s.Undoer, &s.Why, &recorded, &unrecorded)
		if err == nil {
			s.recorded, s.unrecorded = uint64(recorded), uint64(unrecorded)
			err = errors.Join(s.Action.UnmarshalText([]byte(action)), json.Unmarshal([]byte(filter), &s.Filter), json.Unmarshal([]byte(mask), &s.Mask))
		}
		if err != nil {
			return nil, fmt.Errorf("read decisions: %w", err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	return out, nil
}

// Since gives the events after a number, at most limit, and a channel that is closed when there are more.
func (b *Book) Since(ctx context.Context, number int64, limit int) ([]Event, <-chan struct{}, error) {
	b.mu.Lock()
	changed := b.changed
	b.mu.Unlock()
	rows, err := b.db.Read().QueryContext(ctx, `SELECT e.number, e.kind, e.decision FROM guard_event e WHERE e.number > ? ORDER BY e.number LIMIT ?`, number, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var out []Event
	var ids []string
	for rows.Next() {
		var e Event
		var id string
		if err := rows.Scan(&e.Number, &e.Kind, &id); err != nil {
			return nil, nil, fmt.Errorf("read events: %w", err)
		}
		out, ids = append(out, e), append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read events: %w", err)
	}
	for i := range out {
		list, err := b.read(ctx, `WHERE id = ?`, ids[i])
		if err != nil {
			return nil, nil, err
		}
		if len(list) == 1 {
			out[i].Of = list[0]
		}
	}
	return out, changed, nil
}

// Last is the number of the last event.
func (b *Book) Last() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// tend drops what has expired and writes into the ledger what is owed to it.
func (b *Book) tend(ctx context.Context) {
	b.mu.Lock()
	now := b.now().UnixMilli()
	n := len(b.holding)
	for id, s := range b.holding {
		if s.Expires <= now {
			delete(b.holding, id)
		}
	}
	if len(b.holding) < n {
		b.publish()
	}
	owing := b.owing
	b.mu.Unlock()
	if !owing {
		return
	}
	if err := b.pay(ctx); err != nil && ctx.Err() == nil {
		b.log.Error("a standing decision holds and is not in the ledger yet", "error", err)
	}
}

// pay writes decisions into the ledger that are not there.
func (b *Book) pay(ctx context.Context) error {
	b.mu.Lock()
	b.owing = false // what comes meanwhile is seen the next time
	b.mu.Unlock()
	list, err := b.read(ctx, `WHERE recorded = 0 OR undone IS NOT NULL AND unrecord = 0 ORDER BY made, id`)
	for i := 0; err == nil && i < len(list); i++ {
		s := list[i]
		if s.recorded == 0 {
			s.recorded, err = b.enter(ctx, s, false)
		}
		if err == nil && s.Undone != 0 && s.unrecorded == 0 {
			s.unrecorded, err = b.enter(ctx, s, true)
		}
	}
	if err != nil {
		b.mu.Lock()
		b.owing = true
		b.mu.Unlock()
	}
	return err
}

// enter writes one record of a decision into the ledger and marks it as written. Once it is there the mark is made even where a stop comes
// between: the ledger would know the record again by its id, but need not be asked to.
func (b *Book) enter(ctx context.Context, s *Standing, end bool) (sequence uint64, err error) {
	if sequence, err = b.write(ctx, []whosaw.Record{s.entry(end)}); err != nil {
		return 0, err
	}
	mark := `UPDATE guard_decision SET recorded = ? WHERE id = ?`
	if end {
		mark = `UPDATE guard_decision SET unrecord = ? WHERE id = ?`
	}
	ctx = context.WithoutCancel(ctx)
	return sequence, b.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, mark, int64(sequence), s.ID)
		return err
	})
}

// What a decision record is about, in its member use.
const (
	useStanding = "standing" // a standing decision was made, or undone
	useRequest  = "request"  // one request was judged
	useSum      = "requests" // many were: count says how many
)

// note is what a record of a standing decision holds beside its own members: enough to make the decision again.
type note struct {
	Filter  whosaw.Filter `json:"filter,omitempty"`
	Mask    []string      `json:"mask,omitempty"`
	Reason  string        `json:"reason"`
	Finding string        `json:"finding,omitempty"`
}

const kindUndo = "undo"

// entry is the decision as the ledger has it.
func (s *Standing) entry(end bool) whosaw.Record {
	n := note{Filter: s.Filter, Mask: s.Mask, Reason: s.Reason, Finding: s.Finding}
	ref := whosaw.Reference{Kind: s.Action.String(), Of: s.ID, Use: useStanding, Person: s.Who, From: s.Made, Until: s.Expires}
	id, at := "guard:"+s.ID, s.Made // the same each time: written twice it counts once
	if end {
		at = s.Undone
		n = note{Reason: s.Why}
		ref = whosaw.Reference{Kind: kindUndo, Of: s.ID, Use: useStanding, Person: s.Undoer, From: s.Undone}
		id += ":" + kindUndo
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic("BUG: encode a decision: " + err.Error())
	}
	ref.Note = string(text)
	return whosaw.Record{Type: whosaw.TypeDecision, ID: id, Time: at, Ref: &ref}
}

// recall takes decisions from the ledger that the book does not have: where state.db was lost, what was decided still holds.
func (b *Book) recall(ctx context.Context, found map[string]*recalled) error {
	now := b.now().UnixMilli()
	for _, id := range sortedKeys(found) {
		r := found[id]
		if r.made == nil || r.undone || r.made.Ref.Until <= now {
			continue
		}
		ref := r.made.Ref
		var n note
		s := Standing{ID: id, Who: ref.Person, Made: ref.From, Expires: ref.Until, recorded: r.sequence}
		if err := errors.Join(json.Unmarshal([]byte(ref.Note), &n), s.Action.UnmarshalText([]byte(ref.Kind))); err != nil {
			b.log.Error("a decision in the ledger cannot be read and does not hold", "decision", id)
			continue
		}
		s.Filter, s.Mask, s.Reason, s.Finding = n.Filter, n.Mask, n.Reason, n.Finding
		terms, err := compileAll(s.Filter)
		if err != nil {
			b.log.Error("a decision in the ledger cannot be held against requests", "decision", id, "error", err)
			continue
		}
		s.terms = terms
		added, err := b.add(ctx, &s)
		if err != nil {
			return err
		}
		if added != nil {
			b.log.Warn("a decision was not in state.db and is taken from the ledger", "decision", id)
		}
	}
	return nil
}

// recalled is what the ledger says of one decision.
type recalled struct {
	made     *whosaw.Record
	sequence uint64
	undone   bool
}

func sortedKeys(m map[string]*recalled) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Raise makes standing decisions of findings, as guard.findings says. The same finding makes one once, whatever became of it.
func (g *Guard) Raise(ctx context.Context, findings []whosaw.Finding) error {
	for i := range findings {
		if err := g.raise(ctx, &findings[i], "f-"+findings[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// Grow makes a standing decision of the place to which a finding spread, at a sequence of the ledger. Its filter is that place's alone.
func (g *Guard) Grow(ctx context.Context, f *whosaw.Finding, sequence uint64) error {
	if len(f.Filter) == 0 {
		return nil // it only counted on
	}
	return g.raise(ctx, f, fmt.Sprintf("f-%s-%d", f.ID, sequence))
}

func (g *Guard) raise(ctx context.Context, f *whosaw.Finding, id string) error {
	c := g.findingConfig(f.Detector)
	if c == nil {
		return nil
	}
	expires := int64(f.Seen) + c.For.Milliseconds()
	if expires <= g.now().UnixMilli() {
		return nil // an old ledger is read again
	}
	if c.Detector != f.Detector && ofEverybody(f.Filter) {
		g.log.Error("a finding is no standing decision: its filter would end every session of a key or client, and guard.findings does not name its detector; "+
			"look at it, then rotate the key or make the decision by hand", "finding", f.ID, "detector", f.Detector)
		return nil
	}
	s := Standing{Action: c.Action, Filter: f.Filter, Reason: "finding of detector " + f.Detector, Who: "whosaw", Finding: f.ID}
	if err := g.book.Check(&s, c.For); err != nil {
		var bad *BadDecision
		if errors.As(err, &bad) {
			g.log.Warn("a finding cannot be made a standing decision: make one by hand", "finding", f.ID, "detector", f.Detector, "error", err)
			return nil
		}
		return err
	}
	s.ID, s.Made, s.Expires = id, g.now().UnixMilli(), expires
	added, err := g.book.add(ctx, &s)
	if errors.Is(err, ErrFull) { // the finding is told all the same, and those that come are judged
		g.log.Error("a finding is no standing decision: as many hold as may", "finding", f.ID, "detector", f.Detector, "error", err)
		return nil
	}
	if err == nil && added != nil {
		g.log.Warn("a finding became a standing decision", "finding", f.ID, "decision", s.ID, "action", s.Action.String())
	}
	return err
}

// ofEverybody reports whether a term covers whoever comes with a key or client, honest or not: nothing in it tells the accused from them.
func ofEverybody(f whosaw.Filter) bool {
	return slices.ContainsFunc(f, func(t whosaw.Term) bool {
		forged := t.Issued != nil && !*t.Issued
		return len(t.Key)+len(t.Client) > 0 && !forged &&
			len(t.Credential)+len(t.Principal)+len(t.IP)+len(t.Country)+len(t.ASN)+len(t.Agent)+len(t.AgentClass)+len(t.TLS)+len(t.Subject)+len(t.Route)+len(t.Field) == 0 &&
			!slices.Equal(t.Outcome, []string{whosaw.OutcomeAbsent.String()})
	})
}

func (g *Guard) findingConfig(detector string) *FindingConfig {
	var any *FindingConfig
	for i := range g.cfg.Findings {
		switch c := &g.cfg.Findings[i]; c.Detector {
		case detector:
			return c
		case "*":
			any = c
		}
	}
	return any
}

// Judged undoes the decisions of a finding that was judged to be none, those of the places to which it spread too.
func (g *Guard) Judged(ctx context.Context, finding, kind, who string) error {
	if kind != "false" && kind != "explained" {
		return nil
	}
	for _, s := range g.book.Holding() {
		if s.Finding != finding {
			continue
		}
		if _, err := g.book.Undo(ctx, s.ID, who, "the finding was judged "+kind); err != nil && !errors.Is(err, ErrNoDecision) {
			return err
		}
	}
	return nil
}
