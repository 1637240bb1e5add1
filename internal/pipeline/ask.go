package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// asked keeps the engine of the last question: as long as nothing comes in, and retention removes nothing, the next one is answered with it.
type asked struct {
	mu  sync.Mutex
	now *Question
}

func (a *asked) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		return nil
	}
	q := a.now
	a.now = nil
	return q.release()
}

// Question is a snapshot of the ledger that can be asked.
type Question struct {
	*scope.Engine
	View *ledger.View

	cfg  scope.Config
	mu   sync.Mutex
	uses int
}

// Ask gives a snapshot of everything acknowledged so far. It must be closed.
func (l *Live) Ask(cfg scope.Config) (*Question, error) {
	l.asked.mu.Lock()
	defer l.asked.mu.Unlock()
	cfg.Index, cfg.Known = l.index, &l.known
	view, err := l.ledger.View(0)
	if err != nil {
		return nil, err
	}
	if q := l.asked.now; q != nil && q.View.Last() == view.Last() && q.View.Removed() == view.Removed() && q.cfg == cfg {
		q.mu.Lock()
		q.uses++
		q.mu.Unlock()
		if err := view.Close(); err != nil {
			return nil, errors.Join(err, q.release())
		}
		return q, nil
	}
	if old := l.asked.now; old != nil {
		l.asked.now = nil
		if err := old.release(); err != nil {
			return nil, errors.Join(err, view.Close())
		}
	}
	l.asked.now = &Question{Engine: scope.New(view, l.cfg.Catalog, cfg), View: view, cfg: cfg, uses: 2}
	return l.asked.now, nil
}

// Close lets go of the snapshot.
func (q *Question) Close() error { return q.release() }

func (q *Question) release() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.uses--; q.uses == 0 {
		return q.View.Close()
	}
	return nil
}

// Findings lists what was found so far, in the order it was raised.
func (l *Live) Findings() []whosaw.Finding {
	l.judging.Lock()
	defer l.judging.Unlock()
	return slices.Clone(l.findings)
}

// sightings are the findings with the places to which they spread.
func (l *Live) sightings() []whosaw.Finding {
	l.judging.Lock()
	defer l.judging.Unlock()
	return slices.Clone(l.sighted)
}

// Growth says how far a finding has grown; ok is false for one that the detectors do not remember, or have not met yet.
func (l *Live) Growth(id string) (detect.Growth, bool) {
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.engine.Growth(id)
}

// Detectors gives the detectors' account of themselves, and what they hold in memory.
func (l *Live) Detectors() ([]detect.Status, detect.Load) {
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.engine.Status(), l.engine.Load()
}

// Climb gives how the statistic of a finding rose to its threshold; false for facts, and for findings of long ago.
func (l *Live) Climb(id string) (detect.Climb, bool) {
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.engine.Climb(id)
}

// Spent gives the n actors nearest their budgets of new customers, on a day since the given one (counted from 1970, UTC).
func (l *Live) Spent(since int64, n int) []detect.Spent {
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.engine.Spent(since, n)
}

// Counts are what was accepted since the start.
func (l *Live) Counts() (records, accesses int64) { return l.records.Load(), l.accesses.Load() }

// CatchingUp reports whether the detectors have yet to see what was there at the start.
func (l *Live) CatchingUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// Investigate answers from what the ledger holds now, as [Case.Investigate] does.
func (l *Live) Investigate(ctx context.Context, cfg scope.Config) (Result, error) {
	if err := l.CaughtUp(ctx); err != nil {
		return Result{}, err
	}
	findings, sighted := l.Findings(), l.sightings()
	status, _ := l.Detectors()
	q, err := l.Ask(cfg)
	if err != nil {
		return Result{}, err
	}
	result, err := investigate(ctx, q.View, q.Engine, l.cfg.Catalog, findings, sighted, status)
	return result, errors.Join(err, q.Close())
}
