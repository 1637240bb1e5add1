package scope

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// Config says how questions are answered. The zero value works.
type Config struct {
	Workers int            // parts read at once; 0: as many as there are processors to use
	Zone    *time.Location // where days begin in Top and Timeline; nil: UTC
	Memory  int64          // bytes that one question may use for what it counts, see ErrMemory; 0: no limit
	Index   *index.Store   // the blocks of the view's segments; nil: every part is read itself
	Known   *Known         // what is kept between views of the ledger; nil: nothing is
}

// Engine answers questions about one view. It keeps no answers: only what the view's reference records say
// and when its sources were silent, each worked out once, when the first question needs it. Its methods are safe
// for concurrent use. The view must stay open as long as the engine is asked.
type Engine struct {
	view    *ledger.View
	cat     *catalog.Catalog // nil: no route is known
	workers int
	zone    *time.Location
	memory  int64
	index   *index.Store
	known   *Known
	last    uint64

	mu    sync.Mutex
	world *making
	past  *making // of an earlier sequence, the one asked for last

	listening sync.Mutex // held while quiet is worked out, so that it is done once
	quiet     []silence
}

// making is a world that is made, or that a question makes: others wait if they need the same, so that it is made once.
type making struct {
	asOf  uint64
	over  chan struct{} // closed when it is made, or given up
	world *world        // nil until then, and if it was given up
}

// New gives an engine for a view. cat may be nil: then no route is known.
func New(view *ledger.View, cat *catalog.Catalog, cfg Config) *Engine {
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Engine{view: view, cat: cat, workers: cfg.Workers, zone: cfg.Zone, memory: cfg.Memory, index: cfg.Index, known: cfg.Known, last: view.Last()}
}

// world is what the reference records up to a sequence say.
type world struct {
	index *reference.Index
	// feeds has the realms in which a feed record speaks of issuances: only there does the route or the
	// time of an access decide whether it has a feed.
	feeds    map[string]bool
	rejected map[string]rejects // by source
	rhythms  rhythms            // of the records that are no accesses, and of all those of parts that were digested

	engine   *Engine
	asOf     uint64
	digested []bool // parts
	partial  bool   // some are: index knows of them what decides about feeds only
	issuers  map[index.Issuer]struct{}
	print    uint64 // of all that decides whether accesses have a feed: as long as it is the same, so is that

	areMany atomic.Bool // see many

	mu      sync.Mutex
	all     *reference.Index // see whole
	journal *journal         // see issuances
}

// rejects is what the reader said of a source's rejected lines. Times are of the source's accepted records beside them.
type rejects struct {
	count       int64 // of all that was read of the source
	from, until int64 // 0 if it has no accepted records
	lines       int64 // read when they were counted, 0 if not said

	sent                int64 // in batches that were sent
	anytime             bool  // some of those were nothing but rejected lines: nobody knows of when
	sentFrom, sentUntil int64

	lost                int64 // records that the sender lost before they came: in none of the counts above
	lostFrom, lostUntil int64
}

// all gives how many lines were rejected, and of when; 0 and 0 if nobody knows.
func (r *rejects) all() (count, from, until int64) {
	count = max(r.count, r.sent)
	switch {
	case r.anytime, r.count > 0 && r.from == 0 && r.until == 0:
		return count, 0, 0
	case r.sent == 0:
		return count, r.from, r.until
	case r.count == 0:
		return count, r.sentFrom, r.sentUntil
	}
	return count, min(r.from, r.sentFrom), max(r.until, r.sentUntil)
}

// worldAt gives the world as of a sequence. That of the whole view is kept, and of the others the one that was asked for last: a page asks several questions
// about the same moment. Nobody waits for another moment's.
func (e *Engine) worldAt(ctx context.Context, asOf uint64) (*world, error) {
	for {
		m, mine := e.making(asOf)
		if mine {
			return e.makeFor(ctx, m)
		}
		select {
		case <-m.over:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if m.world != nil {
			return m.world, nil
		}
	}
}

// making gives the making of a world; if it is mine, the caller is to make it.
func (e *Engine) making(asOf uint64) (m *making, mine bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.place(asOf)
	if *at == nil || (*at).asOf != asOf {
		*at, mine = &making{asOf: asOf, over: make(chan struct{})}, true
	}
	return *at, mine
}

// place is where the world as of a sequence is kept. mu must be held.
func (e *Engine) place(asOf uint64) **making {
	if asOf == e.last {
		return &e.world
	}
	return &e.past
}

// makeFor makes a world for all who wait for it. If it cannot, whoever needs it makes it anew.
func (e *Engine) makeFor(ctx context.Context, m *making) (*world, error) {
	defer func() { // also when a file that it reads is damaged, see [index.Guarded]
		e.mu.Lock()
		defer e.mu.Unlock()
		if at := e.place(m.asOf); m.world == nil && *at == m {
			*at = nil
		}
		close(m.over)
	}()
	var err error
	m.world, err = e.makeWorld(ctx, m.asOf)
	return m.world, err
}

// emptyWorld knows nothing.
func emptyWorld() *world {
	return &world{
		index: reference.New(), feeds: make(map[string]bool), rejected: make(map[string]rejects), rhythms: rhythms{}, issuers: map[index.Issuer]struct{}{},
	}
}

var errEnd = errors.New("no further records are needed")

// makeWorld reads what is known as of a sequence: of whole segments from their digests where they have them, of the rest from
// its records.
func (e *Engine) makeWorld(ctx context.Context, asOf uint64) (*world, error) {
	w := emptyWorld()
	w.engine, w.asOf = e, asOf
	parts := e.view.Parts()
	w.digested = make([]bool, len(parts))
	for i := range parts {
		p := &parts[i]
		if p.First > asOf {
			break
		}
		if e.index != nil && p.Last <= asOf {
			if d := e.index.Digest(p); d != nil {
				w.digested[i], w.partial = true, true
				w.digest(d)
				continue
			}
		}
		err := e.view.PartReferences(ctx, i, func(seq uint64, r *whosaw.Record) error {
			if seq > asOf {
				return errEnd
			}
			w.index.Apply(seq, r)
			switch r.Type {
			case whosaw.TypeVerdict, whosaw.TypeDecision, whosaw.TypeAct:
				// What whosaw writes itself says nothing about whether a source's records come.
			default:
				w.rhythms.of(r.Source).add(r.Time)
			}
			if r.Type == whosaw.TypeIssuance {
				w.issuer(index.Issuer{Realm: r.Realm, Key: r.Key, Client: r.Client})
			}
			w.take(seq, r)
			return nil
		})
		if err != nil && !errors.Is(err, errEnd) {
			return nil, fmt.Errorf("read reference records: %w", err)
		}
	}
	w.rhythms.close()
	return w, nil
}

// take takes what one record says beside the index.
func (w *world) take(seq uint64, r *whosaw.Record) {
	switch {
	case r.Ref == nil:
	case r.Type == whosaw.TypeFeed && r.Ref.Of == "issuance":
		w.feeds[r.Realm] = true
		w.print += maphash.Comparable(printSeed, seq)
	case r.Type == whosaw.TypeAct && r.Ref.Kind == "rejected":
		w.reject(r.Ref)
	}
}

// printSeed keeps a sender of keys from choosing ones that leave the print as it was.
var printSeed = maphash.MakeSeed()

// issuer notes whom an issuance names.
func (w *world) issuer(x index.Issuer) {
	if _, ok := w.issuers[x]; !ok {
		x = index.Issuer{Realm: strings.Clone(x.Realm), Key: strings.Clone(x.Key), Client: strings.Clone(x.Client)}
		w.issuers[x] = struct{}{}
		w.print += maphash.Comparable(printSeed, x)
	}
}

// digest takes a segment's digest. Of issuances it has what feeds are known by; for the rest see whole.
func (w *world) digest(d *index.Digest) {
	for _, x := range d.Issuers {
		w.issuer(x)
		w.index.Apply(0, &whosaw.Record{Type: whosaw.TypeIssuance, Realm: x.Realm, Key: x.Key, Client: x.Client, Ref: &whosaw.Reference{}})
	}
	for i := range d.Records {
		r := &d.Records[i]
		w.index.Apply(r.Seq, &r.Record)
		w.take(r.Seq, &r.Record)
	}
	for i := range d.Rhythms {
		x := &d.Rhythms[i]
		w.rhythms.of(x.Source).digest(x)
	}
}

// kept reports whether whole has its answer.
func (w *world) kept() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all != nil
}

// whole gives an index of all records, not only of those about feeds.
func (w *world) whole(ctx context.Context) (*reference.Index, error) {
	if !w.partial {
		return w.index, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all != nil {
		return w.all, nil
	}
	all := reference.New()
	err := w.engine.view.References(ctx, func(seq uint64, r *whosaw.Record) error {
		if seq > w.asOf {
			return errEnd
		}
		all.Apply(seq, r)
		return nil
	})
	if err != nil && !errors.Is(err, errEnd) {
		return nil, fmt.Errorf("read reference records: %w", err)
	}
	w.all = all
	return all, nil
}

// reject takes what an act says of rejected lines: of one batch that was sent, or of everything that was read of a source; or of
// records that never came.
func (w *world) reject(ref *whosaw.Reference) {
	old, ok := w.rejected[ref.Of]
	next := old
	switch ref.Note {
	case "lost by the sender": // each such act is of other records
		if next.lost == 0 || ref.From < next.lostFrom {
			next.lostFrom = ref.From
		}
		next.lost += ref.Count
		next.lostUntil = max(next.lostUntil, ref.Until)
	case "batch":
		next.sent += ref.Count
		next.anytime = next.anytime || ref.From == 0
		if ref.From != 0 && (next.sentFrom == 0 || ref.From < next.sentFrom) {
			next.sentFrom = ref.From
		}
		next.sentUntil = max(next.sentUntil, ref.Until)
	default:
		// A source that is read again says its total again. What read at least as much as before knows better; of two
		// that do not say how much they read the larger one holds.
		lines := readLines(ref.Note)
		if ok && (lines == 0 || lines < old.lines) && ref.Count <= old.count {
			return
		}
		next.count, next.from, next.until, next.lines = ref.Count, ref.From, ref.Until, max(lines, old.lines)
	}
	w.rejected[strings.Clone(ref.Of)] = next
}

// readLines is how many lines an act about rejected ones was written after, 0 if it does not say.
func readLines(note string) int64 {
	text, ok := strings.CutPrefix(note, "lines ")
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// question is one call's filters, made ready, with the numbers it gives to names.
type question struct {
	*Engine
	budget  *budget
	filters [][]*term
	terms   []*term       // of all filters
	asOf    []uint64      // of the terms, distinct
	parts   []ledger.Part // of the view, once blocks are asked
	ids     *names        // subject ids that are no integers
	realms  *names
	sets    *sets

	mu      sync.Mutex
	worlds  []*world // by index into asOf, made when first needed
	places  map[string]*index.Where
	readers map[int]*index.Reader // by part, see keep

	leased   *reference.Index // see Known
	releases []func()
	why      map[*world]*reference.Index // see reasons

	witnesses map[witness]struct{} // what the answer stands on
}

// witness is a file beside a segment that was read: its block, or the block's side table.
type witness interface {
	// Intact is an error if the file is not what it was when it was opened.
	Intact() error
}

// stands notes that the answer stands on what a file said.
func (q *question) stands(w witness) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.witnesses == nil {
		q.witnesses = map[witness]struct{}{}
	}
	q.witnesses[w] = struct{}{}
}

// intact is an error if a file that the answer stands on was cut or written to while it was read.
func (q *question) intact() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := range q.witnesses {
		if err := w.Intact(); err != nil {
			return err
		}
	}
	return nil
}

// answer has fn answer a question. If a block or a side table turns out not to be as it was written, it is asked anew, and that file
// no more; fn must begin anew then.
func (e *Engine) answer(filters []whosaw.Filter, fn func(q *question) error) error {
	return untilIntact(func() error {
		q, err := e.ask(filters...)
		if err != nil {
			return err
		}
		defer q.done()
		if err := fn(q); err != nil {
			return err
		}
		return q.intact()
	})
}

// untilIntact calls fn until no file that it reads turns out to be damaged.
func untilIntact(fn func() error) error {
	seen := map[string]bool{}
	for {
		err := index.Guarded(fn)
		var damage *index.DamageError
		if !errors.As(err, &damage) || seen[damage.Name] {
			return err
		}
		seen[damage.Name] = true // it is not used any more; a second time it is somebody who writes to it
	}
}

// ask makes filters ready.
func (e *Engine) ask(filters ...whosaw.Filter) (*question, error) {
	p := compiler{last: e.last}
	b := newBudget(e.memory)
	q := &question{Engine: e, budget: b, ids: newNames(b), realms: newNames(b), sets: newSets()}
	for _, f := range filters {
		terms, err := p.compile(f)
		if err != nil {
			return nil, err
		}
		q.filters = append(q.filters, terms)
	}
	q.terms, q.asOf = p.terms, p.asOf
	q.worlds = make([]*world, len(q.asOf))
	return q, nil
}

// at gives one of the question's worlds.
func (q *question) at(ctx context.Context, i int) (*world, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.worlds[i] == nil {
		w, err := q.worldAt(ctx, q.asOf[i])
		if err != nil {
			return nil, err
		}
		q.worlds[i] = w
	}
	return q.worlds[i], nil
}

// latest gives the index of the world with the greatest as_of that a term sees.
func (q *question) latest() int {
	at := 0
	for i, s := range q.asOf {
		if s > q.asOf[at] {
			at = i
		}
	}
	return at
}
