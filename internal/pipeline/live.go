package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// LiveConfig says how a running ledger is kept and judged.
type LiveConfig struct {
	Ledger  *ledger.Ledger // open; Close closes it
	Catalog *catalog.Catalog
	Detect  detect.Config
	// Raise keeps the findings that a record raised. It is called again until it returns nil, in the order of the
	// records, and once more for the same findings after a restart: it must know by their ids what it has.
	Raise func(ctx context.Context, raised []Raised) error
	// Grow keeps the steps by which findings grew, in the same way; nil: nobody does.
	Grow func(ctx context.Context, steps []detect.GrowthStep) error
	// Verdict is told of each judgement in the ledger, and of each act by which somebody takes a finding or gives it to somebody, in order, in
	// the same way; nil: nobody is.
	Verdict func(ctx context.Context, r *whosaw.Record) error
	// Watch is told of each access, as the detectors see it, in the order of the ledger; nil: nobody is. It must not wait.
	Watch func(*detect.Shown)
	// Appended is told of records that are on disk, before their sender is; of several calls at once in any order. It may not keep them.
	// nil: nobody is.
	Appended func(records []whosaw.Record, receipts []ledger.Receipt)
	// StateDir is the data directory: the state of the detectors, and how the sources send, is written there now and then, and read at the
	// start. "": neither.
	StateDir string
	// Anew has the ledger replayed all the same: what Raise and Verdict keep is new, or gone.
	Anew bool
	// Build is the version of the program: a state of another one is not read.
	Build string
	// WatchBack is how far back Watch wants to be told of accesses that the detectors saw before the start; those come beside the new ones.
	WatchBack time.Duration
	// Rejects keeps the lines that could not be taken; nil: they are counted only.
	Rejects *ingest.RejectLog
	// Backlog is how many records may wait in memory to be judged before senders are slowed. 0: 131,072.
	Backlog int
	Logger  *slog.Logger
	Now     func() time.Time
}

// Raised is a finding, and the record that raised it.
type Raised struct {
	Sequence uint64
	whosaw.Finding
}

// Live is a ledger that takes records from many senders, with the detectors that follow it. Its methods are safe
// for concurrent use.
type Live struct {
	cfg    LiveConfig
	ledger *ledger.Ledger
	index  *index.Store // left open: questions may still be read from it when Close returns
	known  scope.Known
	cancel context.CancelFunc
	ended  chan struct{} // closed when the judge has ended
	built  chan struct{} // closed when the index of older segments is built, or given up

	appending sync.WaitGroup
	sources   sources
	asked     asked
	position  atomic.Int64 // of whosaw's own records: never the same twice

	mu      sync.Mutex
	closed  bool
	waiting map[uint64]appended // on disk, not yet judged, by first sequence
	held    int                 // records in waiting and with the judge
	running int                 // appends under way
	missed  bool                // a batch was not held: it must be read from the ledger
	behind  bool                // the judge has not caught up since the start
	last    uint64              // greatest sequence that an append gave
	wake    chan struct{}       // for the judge: there may be something
	room    chan struct{}       // closed and made anew when held falls

	judging  sync.Mutex // held while the engine observes
	engine   *detect.Engine
	findings []whosaw.Finding
	sighted  []whosaw.Finding // and the places to which they spread
	raised   []Raised         // the findings, with their sequences; the judge's
	print    [32]byte         // of all that the detectors go by
	saved    saved            // the judge's
	torn     bool             // the engine has seen more than was kept; the judge's
	shown    chan struct{}    // closed when the watcher was told of the past
	judged   atomic.Uint64    // sequence
	refused  atomic.Int64     // when an append last found no space; 0: one succeeded since
	unkept   atomic.Pointer[error]
	accesses atomic.Int64 // accepted since the start
	records  atomic.Int64
}

const defaultBacklog = 1 << 17

// ErrClosing is returned for what comes when the server is stopping.
var ErrClosing = errors.New("the server is stopping: send it again later")

// Start lets the detectors follow the ledger from its first record on. Records are taken at once, while the detectors catch
// up. Close must be called; where Start fails, the ledger stays open.
func Start(cfg LiveConfig) (*Live, error) {
	if cfg.Backlog <= 0 {
		cfg.Backlog = defaultBacklog
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog.Rules()
	}
	led := cfg.Ledger
	ctx, cancel := context.WithCancel(context.Background())
	l := &Live{
		cfg: cfg, ledger: led, index: index.Attach(led, false), cancel: cancel, ended: make(chan struct{}), built: make(chan struct{}),
		shown: make(chan struct{}), waiting: map[uint64]appended{},
		behind: true, wake: make(chan struct{}, 1), room: make(chan struct{}),
	}
	l.engine = l.newEngine()
	l.position.Store(cfg.Now().UnixNano())
	l.sources.began = cfg.Now().UnixMilli()
	view, err := led.View(0)
	if err == nil {
		l.last = view.Last()
		err = l.sources.recover(ctx, view)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("look at the ledger: %w", err)
	}
	if err := l.sources.remember(l.habitsPath()); err != nil {
		cfg.Logger.Warn("it is not known how the sources sent before the start", "error", err)
	}
	l.resume(ctx, view)
	if past := l.judged.Load(); cfg.Watch != nil && cfg.WatchBack > 0 && past > 0 {
		go l.past(ctx, past)
	} else {
		close(l.shown)
	}
	go l.judge(ctx)
	go l.build(ctx, view)
	return l, nil
}

// newEngine gives an engine that has seen nothing.
func (l *Live) newEngine() *detect.Engine {
	e := detect.New(l.cfg.Detect, l.cfg.Catalog)
	if l.cfg.Watch != nil {
		e.Watch(l.cfg.Watch)
	}
	if l.cfg.StateDir != "" {
		e.KeepIssued(filepath.Join(l.cfg.StateDir, stateDir, liveIssued))
	}
	return e
}

// past tells the watcher of what the detectors saw before the start.
func (l *Live) past(ctx context.Context, upTo uint64) {
	defer close(l.shown)
	view, err := l.ledger.View(upTo)
	if err == nil {
		err = errors.Join(l.showPast(ctx, view, upTo), view.Close())
	}
	if err != nil && ctx.Err() == nil {
		l.cfg.Logger.Warn("what was shown before the start is not known", "error", err)
	}
}

// build builds what the index lacks of a view, as after an upgrade or on a restored directory, and then the side tables that segments
// lack, now and whenever some do. Questions are answered meanwhile, from the segments themselves.
func (l *Live) build(ctx context.Context, view *ledger.View) {
	defer close(l.built)
	err := l.index.Build(ctx, view)
	l.incomplete(ctx, errors.Join(err, view.Close()))
	for ctx.Err() == nil {
		l.incomplete(ctx, l.index.BuildIssued(ctx, func() (*ledger.View, error) { return l.ledger.View(0) }))
		select {
		case <-l.index.Lacking():
		case <-ctx.Done():
		}
	}
}

func (l *Live) incomplete(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		l.cfg.Logger.Warn("the index is not complete, so questions take longer", "error", err)
	}
}

// Close takes nothing more, waits until what was taken is judged or ctx ends, and gives the directory free. What was not
// judged is judged after the next start.
func (l *Live) Close(ctx context.Context) error {
	l.mu.Lock()
	gone := l.closed
	l.closed = true
	l.makeRoom() // who waits for room is refused
	l.mu.Unlock()
	if gone {
		return nil
	}
	l.appending.Wait()
	err := l.CaughtUp(ctx)
	if err != nil {
		l.cfg.Logger.Warn("stopping before all records are judged", "judged", l.judged.Load(), "last", l.Last())
	}
	l.cancel()
	<-l.ended
	<-l.built
	<-l.shown
	l.saveState(context.WithoutCancel(ctx), true)
	l.keepSources()
	return errors.Join(l.engine.Close(), l.asked.close(), l.ledger.Close())
}

// Ledger is the ledger itself.
func (l *Live) Ledger() *ledger.Ledger { return l.ledger }

// Index is what is derived from the ledger's segments.
func (l *Live) Index() *index.Store { return l.index }

// Catalog is what questions are answered with.
func (l *Live) Catalog() *catalog.Catalog { return l.cfg.Catalog }

// Last is the greatest sequence that is on disk.
func (l *Live) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// refusedFor is how long a refusal tells of the disk, where nothing else does: senders try again within that time.
const refusedFor = time.Minute

// Full gives nil, or a ledger.ErrDiskFull: records are refused until there is space.
func (l *Live) Full() error {
	if err := l.ledger.Room(); err != nil {
		return err
	}
	at := l.refused.Load()
	if age := l.cfg.Now().Sub(time.UnixMilli(at)); at != 0 && age >= 0 && age < refusedFor {
		return fmt.Errorf("%w: a write found no space; free some, and the ledger takes records again by itself", ledger.ErrDiskFull)
	}
	return nil
}

// Unkept says why findings or verdicts cannot be kept at present, so that the detectors wait; nil: they can.
func (l *Live) Unkept() error {
	if err := l.unkept.Load(); err != nil {
		return *err
	}
	return nil
}

// Judged is the sequence up to which the detectors have seen the ledger.
func (l *Live) Judged() uint64 { return l.judged.Load() }

// CaughtUp waits until the detectors have seen what was on disk at the call.
func (l *Live) CaughtUp(ctx context.Context) error {
	want := l.Last()
	for {
		l.mu.Lock()
		room := l.room
		l.mu.Unlock()
		if l.judged.Load() >= want {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return ErrClosing
		}
	}
}

// append makes records durable and hands them to the judge. It waits while too many wait to be judged. The records are
// the pipeline's from then on.
func (l *Live) append(ctx context.Context, records []whosaw.Record) ([]ledger.Receipt, error) {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return nil, ErrClosing
		}
		if l.behind || l.held < l.cfg.Backlog {
			break
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.running++
	l.appending.Add(1)
	l.mu.Unlock()
	defer l.appending.Done()
	receipts, err := l.ledger.Append(ctx, records)
	var first, last uint64
	var accesses, taken int64
	for i := range receipts {
		if receipts[i].Ack != ledger.Accepted {
			continue
		}
		if first == 0 {
			first = receipts[i].Sequence
		}
		last = receipts[i].Sequence
		taken++
		if records[i].Type == whosaw.TypeAccess {
			accesses++
		}
	}
	switch {
	case errors.Is(err, ledger.ErrDiskFull):
		l.refused.Store(l.cfg.Now().UnixMilli())
	case err == nil:
		l.refused.Store(0)
	}
	l.records.Add(taken)
	l.accesses.Add(accesses)
	if err == nil && l.cfg.Appended != nil {
		l.cfg.Appended(records, receipts)
	}
	l.mu.Lock()
	l.running--
	if errors.Is(err, ledger.ErrDiskFull) {
		l.missed = true // a first part of many records may be there
	}
	if first != 0 {
		l.last = max(l.last, last)
		if l.held < 2*l.cfg.Backlog {
			l.waiting[first] = appended{records: records, receipts: receipts}
			l.held += len(records)
		} else {
			l.missed = true
		}
	}
	l.mu.Unlock()
	l.alert()
	return receipts, err
}

// alert tells the judge to look.
func (l *Live) alert() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// judge lets the engine see every record in sequence order: what was just appended from memory, what is not there any
// more (or was there before the start) from the ledger.
func (l *Live) judge(ctx context.Context) {
	defer close(l.ended)
	l.tellAgain(ctx)
	for ctx.Err() == nil {
		l.saveState(ctx, false)
		batch, read := l.next()
		switch {
		case batch.records != nil:
			l.observe(ctx, batch)
		case read:
			if err := l.readOn(ctx); err != nil && ctx.Err() == nil {
				l.cfg.Logger.Error("read the ledger for the detectors", "error", err, "judged", l.judged.Load())
				l.pause(ctx, time.Second)
				l.again()
			}
		default:
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
		}
	}
}

// again has the ledger read once more.
func (l *Live) again() {
	l.mu.Lock()
	l.missed = true
	l.mu.Unlock()
}

func (l *Live) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// next gives the batch that holds the next sequence; read is true if the ledger has it and memory will not.
func (l *Live) next() (batch appended, read bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := l.judged.Load() + 1
	if b, ok := l.waiting[want]; ok {
		delete(l.waiting, want)
		return b, false
	}
	skipped := false
	for first, b := range l.waiting {
		if first < want { // the ledger was read up to its end, or to its middle
			delete(l.waiting, first)
			l.held -= len(b.records)
			skipped = true
		}
	}
	if skipped {
		l.makeRoom()
	}
	if want > l.last {
		l.behind = false
		return appended{}, false
	}
	read = l.missed || l.running == 0 || l.behind || skipped
	if read {
		l.missed = false
	}
	return appended{}, read
}

// makeRoom wakes who waits for the judge. mu must be held.
func (l *Live) makeRoom() {
	close(l.room)
	l.room = make(chan struct{})
}

// observe judges a batch from memory.
func (l *Live) observe(ctx context.Context, b appended) {
	var news news
	seen := l.judged.Load()
	l.judging.Lock()
	l.engine.ObserveBatch(b.records, func(i int) uint64 {
		if b.receipts[i].Ack != ledger.Accepted || b.receipts[i].Sequence <= seen {
			return 0
		}
		seen = b.receipts[i].Sequence
		l.keep(&b.records[i], &news)
		return seen
	}, func(i int, f whosaw.Finding) { news.raised = append(news.raised, Raised{b.receipts[i].Sequence, f}) })
	news.steps = l.engine.Grown()
	l.judging.Unlock()
	l.settle(ctx, seen, &news, len(b.records))
}

// news is what some records brought.
type news struct {
	raised   []Raised
	steps    []detect.GrowthStep
	verdicts []whosaw.Record
}

// see lets the engine observe a record. judging must be held.
func (l *Live) see(seq uint64, r *whosaw.Record, n *news) {
	for _, f := range l.engine.Observe(seq, r) {
		n.raised = append(n.raised, Raised{seq, f})
	}
	n.steps = append(n.steps, l.engine.Grown()...)
	l.keep(r, n)
}

// ActAssigned is the kind of an act by which a finding (of) was given to somebody (person).
const ActAssigned = "assigned"

// keep keeps a verdict, or who has a finding, for others who want to hear of it.
func (l *Live) keep(r *whosaw.Record, n *news) {
	if l.cfg.Verdict != nil && (r.Type == whosaw.TypeVerdict || r.Type == whosaw.TypeAct && r.Ref != nil && r.Ref.Kind == ActAssigned) {
		n.verdicts = append(n.verdicts, r.Clone())
	}
}

// readBatch is how many records of the ledger are judged before others may ask the engine.
const readBatch = 4096

// readOn judges what the ledger holds beyond what was judged.
func (l *Live) readOn(ctx context.Context) error {
	view, err := l.ledger.View(0)
	if err != nil {
		return err
	}
	var news news
	var seen uint64
	n := 0
	locked := false
	settle := func() {
		if locked {
			l.judging.Unlock()
			locked = false
		}
		if n > 0 {
			l.settle(ctx, seen, &news, 0)
			news.raised, news.steps, news.verdicts, n = nil, nil, nil, 0
		}
	}
	err = view.Records(ctx, l.judged.Load()+1, func(seq uint64, r *whosaw.Record) error {
		if !locked {
			l.judging.Lock()
			locked = true
		}
		l.see(seq, r, &news)
		seen = seq
		if n++; n == readBatch {
			settle()
			return ctx.Err()
		}
		return nil
	})
	settle()
	if last := view.Last(); err == nil && !l.torn && l.judged.Load() < last {
		l.settle(ctx, last, &news, 0) // retention removed what came last
	}
	return errors.Join(err, view.Close())
}

// settle keeps what was found before the records count as judged: after a crash they are judged again.
func (l *Live) settle(ctx context.Context, seen uint64, n *news, held int) {
	l.torn = true // until all is kept
	if len(n.raised) > 0 && !l.insist(ctx, "keep findings", func() error { return l.cfg.Raise(ctx, n.raised) }) {
		return
	}
	if len(n.steps) > 0 && l.cfg.Grow != nil && !l.insist(ctx, "keep how findings grow", func() error { return l.cfg.Grow(ctx, n.steps) }) {
		return
	}
	for i := range n.verdicts {
		if !l.insist(ctx, "keep a verdict", func() error { return l.cfg.Verdict(ctx, &n.verdicts[i]) }) {
			return
		}
	}
	l.torn = false
	l.judging.Lock()
	l.raised = append(l.raised, n.raised...)
	for i := range n.raised {
		l.findings = append(l.findings, n.raised[i].Finding)
		l.sighted = append(l.sighted, n.raised[i].Finding)
	}
	l.sighted = append(l.sighted, spread(n.steps)...)
	l.judging.Unlock()
	l.judged.Store(seen)
	l.mu.Lock()
	l.held -= held
	l.makeRoom()
	l.mu.Unlock()
}

// insist tries until it succeeds, and gives false if ctx ended before.
func (l *Live) insist(ctx context.Context, what string, try func() error) bool {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := try()
		if err == nil {
			l.unkept.Store(nil)
			return true
		}
		l.unkept.Store(&err)
		if ctx.Err() != nil {
			return false
		}
		l.cfg.Logger.Error("cannot "+what+": trying again", "error", err)
		l.pause(ctx, wait)
	}
}
