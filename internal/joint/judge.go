package joint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Source is a ledger that holds a part.
type Source struct {
	Name string // as people call it
	View *ledger.View
}

// Config says what is judged, and by what.
type Config struct {
	Sources []Source
	// Case takes the records. It may hold those of an earlier run over the same sources: only what is new is added then.
	Case    *pipeline.Case
	Detect  detect.Config    // those of Case
	Catalog *catalog.Catalog // likewise
	// First is the record that somebody did this, which stands in the joint ledger before all else.
	First whosaw.Record
	// Engines is how many may share the joint ledger where it has several realms; 0: one for each processor.
	Engines int
	// Progress is told now and then which part of the sources was read, 0 to 1. nil: nobody asks.
	Progress func(done float64)
}

// Part is what one source held, and what it would have shown alone.
type Part struct {
	Name     string           `json:"data"`
	Records  int64            `json:"records"`
	Accesses int64            `json:"accesses"`
	From     *whosaw.Time     `json:"from"` // of accesses
	To       *whosaw.Time     `json:"to"`
	LeftOut  int64            `json:"left_out"` // what operators did there
	Purged   int64            `json:"purged"`   // records that retention had removed
	Findings []whosaw.Finding `json:"findings"`

	sighted []whosaw.Finding // and where they spread
	engine  *detect.Engine
}

// Answer is what the sources show together, and what each would have shown alone.
type Answer struct {
	Directories []*Part `json:"directories"`
	Added       int64   `json:"added"`     // records of the directories that came into the joint ledger
	Accesses    int64   `json:"accesses"`  // in the joint ledger
	Repeats     int64   `json:"repeats"`   // records that were in it already: of another source, or from an earlier run
	Conflicts   int64   `json:"conflicts"` // records that were not taken: another one of the same id or position says something else
	Realms      int     `json:"realms"`
	Engines     int     `json:"engines"` // that shared the joint ledger by realms, and were merged
	// Findings are the joint ones, in the order in which they were raised.
	Findings []whosaw.Finding `json:"findings"`
	Attacks  []Attack         `json:"attacks"`
	// Alone are findings of one source alone about what all together do not accuse: with what the others hold it looks otherwise.
	Alone []Apart `json:"only_alone"`
}

// Judge reads all sources, side by side, and lets the case and an engine for each source alone judge their records.
func Judge(ctx context.Context, cfg Config) (*Answer, error) {
	out := &Answer{}
	of, engines, err := cfg.realms(ctx, out)
	if err != nil {
		return nil, err
	}
	before, err := cfg.size()
	if err != nil {
		return nil, err
	}
	if before > 0 {
		engines = 1 // what it judged before is in one engine
	}
	out.Engines = engines
	if engines > 1 {
		if err := cfg.Case.Share(engines, func(realm string) int { return of[realm] }); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		p := &Part{Name: s.Name, Findings: []whosaw.Finding{}, engine: detect.New(cfg.Detect, cfg.Catalog)}
		for _, gone := range s.View.Purged() {
			p.Purged += int64(gone.Accesses) + int64(gone.References)
		}
		out.Directories = append(out.Directories, p)
	}
	cfg.Case.Watch(func(_ uint64, r *whosaw.Record) {
		if r.Type != whosaw.TypeAct || r.Source != cfg.First.Source || r.Position != cfg.First.Position {
			out.Added++
		}
	})
	feed := cfg.Case.Feed(ctx)
	read, err := feed.Close(cfg.read(ctx, feed, out.Directories))
	for _, p := range out.Directories {
		err = errors.Join(err, p.engine.Close())
	}
	if err != nil {
		return nil, err
	}
	out.Repeats, out.Conflicts = -out.Added-read.Conflicts, read.Conflicts
	for _, p := range out.Directories {
		out.Repeats += p.Records - p.LeftOut
	}
	out.Findings = append([]whosaw.Finding{}, cfg.Case.Findings()...)
	return out, cfg.compare(ctx, out)
}

// size is how many records the joint ledger holds.
func (cfg *Config) size() (uint64, error) {
	view, err := cfg.Case.Ledger().View(0)
	if err != nil {
		return 0, err
	}
	return view.Last(), view.Close()
}

// realms deals the sources' realms out to engines, the largest first, each to the one that has least.
func (cfg *Config) realms(ctx context.Context, out *Answer) (of map[string]int, engines int, err error) {
	count := map[string]int64{}
	policy := false
	for i := range cfg.Sources {
		view := cfg.Sources[i].View
		for part := range view.Parts() {
			c, err := view.Load(ctx, part, ledger.ColRealm)
			if err != nil {
				return nil, 0, fmt.Errorf("look for realms in %s: %w", cfg.Sources[i].Name, err)
			}
			if len(c.Realm.Codes) == 0 {
				count[""] += int64(c.N)
			}
			for _, code := range c.Realm.Codes {
				count[c.Realm.Dict[code]]++
			}
		}
		err := view.References(ctx, func(_ uint64, r *whosaw.Record) error {
			if r.Type < whosaw.TypeVerdict {
				count[r.Realm]++
			}
			policy = policy || r.Type == whosaw.TypeAct && r.Ref != nil && r.Ref.Kind == detect.KeyPolicyAct
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("look for realms in %s: %w", cfg.Sources[i].Name, err)
		}
	}
	maps.DeleteFunc(count, func(_ string, n int64) bool { return n == 0 })
	out.Realms = len(count)
	engines = min(cmp.Or(cfg.Engines, runtime.GOMAXPROCS(0)), len(count))
	if policy || engines < 2 {
		return nil, 1, nil // a policy is of all realms together
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	of = make(map[string]int, len(names))
	load := make([]int64, engines)
	for _, name := range names {
		least := slices.Index(load, slices.Min(load))
		of[name] = least
		load[least] += count[name]
	}
	return of, engines, nil
}

// batchRecords is how many records a reader hands over at once, and feedRecords how many the case is given.
const (
	batchRecords = 1024
	feedRecords  = 2048
)

// read brings the records of all sources to the feed, in turn.
func (cfg *Config) read(ctx context.Context, feed *pipeline.Feed, parts []*Part) error {
	if err := feed.Take([]whosaw.Record{cfg.First}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	heads := make([]head, len(parts))
	var readers sync.WaitGroup
	for i, p := range parts {
		heads[i].ch = make(chan []timed, 4)
		readers.Go(func() {
			defer close(heads[i].ch)
			if err := p.read(ctx, cfg.Sources[i].View, heads[i].ch); err != nil {
				cancel(fmt.Errorf("read %s: %w", p.Name, err))
			}
		})
	}
	err := cfg.inTurn(heads, feed)
	if err != nil {
		cancel(err)
	}
	readers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// head is where a source's records come out.
type head struct {
	ch    chan []timed
	batch []timed
	at    int
}

// ready reports whether there is a next record.
func (h *head) ready() bool {
	for h.at == len(h.batch) {
		h.at = 0
		var ok bool
		if h.batch, ok = <-h.ch; !ok {
			return false
		}
	}
	return true
}

// inTurn takes always the record whose turn it is.
func (cfg *Config) inTurn(heads []head, feed *pipeline.Feed) error {
	total, done := uint64(0), uint64(0)
	for i := range cfg.Sources {
		total += cfg.Sources[i].View.Last()
	}
	batch := make([]whosaw.Record, 0, feedRecords)
	for {
		next := -1
		for i := range heads {
			if heads[i].ready() && (next < 0 || heads[i].batch[heads[i].at].at < heads[next].batch[heads[next].at].at) {
				next = i
			}
		}
		if next >= 0 {
			h := &heads[next]
			batch = append(batch, *h.batch[h.at].r)
			h.at++
		}
		if len(batch) == cap(batch) || next < 0 {
			if err := feed.Take(batch); err != nil {
				return err
			}
			if done += uint64(len(batch)); cfg.Progress != nil {
				cfg.Progress(float64(done) / float64(max(total, 1)))
			}
			batch = batch[:0]
		}
		if next < 0 {
			return nil
		}
	}
}

// read lets the source's own engine see its records, and hands over those of the joint ledger.
func (p *Part) read(ctx context.Context, view *ledger.View, to chan<- []timed) error {
	batch := make([]timed, 0, batchRecords)
	send := func() error {
		select {
		case to <- batch:
			batch = make([]timed, 0, batchRecords)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	t := &turns{emit: func(x timed) { batch = append(batch, x) }}
	err := view.Records(ctx, 1, func(seq uint64, r *whosaw.Record) error {
		p.observe(seq, r)
		if !taken(r) {
			p.LeftOut++
			return nil
		}
		t.add(r)
		if len(batch) >= batchRecords {
			return send()
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.end()
	return send()
}

func (p *Part) observe(seq uint64, r *whosaw.Record) {
	p.Records++
	if r.Type == whosaw.TypeAccess {
		p.Accesses++
		t := whosaw.Time(r.Time)
		if p.From == nil || t < *p.From {
			p.From = &t
		}
		if p.To == nil || t > *p.To {
			p.To = &t
		}
	}
	raised := p.engine.Observe(seq, r)
	p.Findings = append(p.Findings, raised...)
	p.sighted = append(p.sighted, raised...)
	for _, g := range p.engine.Grown() {
		if g.Spreads() {
			p.sighted = append(p.sighted, g.Finding)
		}
	}
}

// taken reports whether a record belongs into the joint ledger: see the package.
func taken(r *whosaw.Record) bool {
	if r.Type != whosaw.TypeAct {
		return true
	}
	return r.Ref != nil && (r.Ref.Kind == "rejected" || r.Ref.Kind == detect.KeyPolicyAct)
}
