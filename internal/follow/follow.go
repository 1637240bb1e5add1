package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// A Sink keeps what is read: a [pipeline.Live].
type Sink interface {
	// Take returns once the batch is durable, with what became of its lines. It blocks while there is more than can be judged. After
	// an error the lines are handed over again, decoded anew; those that it has already must do no harm.
	Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error)
}

// Options are what a follower needs.
type Options struct {
	Logs    []Config
	Catalog *catalog.Catalog
	Keys    *ingest.KeyMap // where key material lies; nil: nobody says
	Sink    Sink
	State   *sqlite.DB
	Logger  *slog.Logger
	Now     func() time.Time // nil: time.Now
}

const (
	saveEvery = time.Second            // positions are stored so often while lines come
	firstWait = 200 * time.Millisecond // after an error of the sink or the state; doubled up to lastWait
	lastWait  = 10 * time.Second
	stopTime  = 5 * time.Second // to store the last positions
	lookShare = 20              // looking takes at most a twentieth of the time
)

// Follower follows logs.
type Follower struct {
	entries []*entry
}

// New checks the configuration. It reads nothing yet.
func New(o Options) (*Follower, error) {
	if err := CheckAll(o.Logs); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{}
	for i := range o.Logs {
		e := &entry{cfg: &o.Logs[i], o: &o, store: &store{o.State}, logs: map[string]*log{}, wait: firstWait}
		if _, err := e.newStream(e.cfg.sourceOf(e.cfg.Path)); err != nil {
			return nil, fmt.Errorf("follow %s: %w", e.cfg.Path, err)
		}
		f.entries = append(f.entries, e)
	}
	return f, nil
}

// Run follows the logs until ctx ends. Then it stores how far it is, and returns nil, or what kept it from storing. Whatever
// goes wrong with a log, the ledger or the state before shows in Status and is tried again.
func (f *Follower) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(f.entries))
	for i, e := range f.entries {
		wg.Go(func() { errs[i] = e.run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// An entry is one entry of the configuration, with the logs that its path names. One goroutine does all of its work.
type entry struct {
	cfg   *Config
	o     *Options
	store *store
	logs  map[string]*log // by the path of the live file
	wait  time.Duration
	saved time.Time

	looking  time.Duration // what the last look at the directories took
	problems []Problem

	taking atomic.Int64 // since when the sink has a batch, milliseconds; 0: it has none

	mu     sync.Mutex
	status []LogStatus
}

func (e *entry) newStream(source string) (*ingest.Stream, error) {
	return ingest.NewStream(ingest.StreamOptions{Source: source, Format: e.cfg.Format, Mapping: e.cfg.Mapping, Keys: e.o.Keys, Catalog: e.o.Catalog})
}

func (e *entry) run(ctx context.Context) error {
	defer e.close()
	for ctx.Err() == nil {
		busy, err := e.round(ctx)
		pause := max(e.cfg.poll(), lookShare*e.looking) // thousands of files are looked at less often
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = e.wait
			e.wait = min(2*e.wait, lastWait)
		case busy:
			pause = 0
		}
		if err == nil {
			e.wait = firstWait
		}
		e.publish(err)
		if pause > 0 {
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return e.store.save(last, e.list())
}

// round looks for files, gives each log its turn, and stores positions when it is time.
func (e *entry) round(ctx context.Context) (busy bool, err error) {
	began := time.Now()
	files, problems := e.cfg.list()
	e.looking = time.Since(began)
	e.problems = problems
	for live := range files {
		if e.logs[live] != nil {
			continue
		}
		l, err := e.newLog(ctx, live)
		if err != nil {
			return false, err
		}
		e.logs[live] = l
	}
	var errs []error
	for live, l := range e.logs {
		l.assign(files[live])
		more, err := l.turn(ctx)
		if err != nil && ctx.Err() == nil {
			errs = append(errs, err)
		}
		busy = busy || more
	}
	if now := e.o.Now(); now.Sub(e.saved) >= saveEvery || now.Before(e.saved) {
		e.saved = now
		if err := e.store.save(ctx, e.list()); err != nil && ctx.Err() == nil {
			e.o.Logger.Warn("positions of followed logs are not stored", slog.Any("error", err))
			errs = append(errs, err)
		}
	}
	return busy, errors.Join(errs...)
}

func (e *entry) newLog(ctx context.Context, live string) (*log, error) {
	source := e.cfg.sourceOf(live)
	stream, err := e.newStream(source)
	if err != nil {
		return nil, err
	}
	types, err := pipeline.ParseTypes(e.cfg.Types)
	if err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	l := &log{
		types: types, source: source, live: live, files: map[fileID]*file{}, cfg: e.cfg, stream: stream,
		sink: e.o.Sink, taking: &e.taking, store: e.store, clock: e.o.Now, logger: e.o.Logger,
	}
	if err := e.store.load(ctx, l); err != nil {
		return nil, err
	}
	return l, nil
}

// list gives the logs by their paths.
func (e *entry) list() []*log {
	logs := slices.Collect(maps.Values(e.logs))
	slices.SortFunc(logs, func(a, b *log) int { return cmp.Compare(a.live, b.live) })
	return logs
}

func (e *entry) close() {
	for _, l := range e.logs {
		for _, f := range l.files {
			f.close()
		}
	}
}
