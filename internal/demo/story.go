package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/shop"
)

// step is one page of the story. Its words are step.ID.* in words/, its page is the template of its name.
type step struct {
	id string
	// do is the work of the step, until it is done or ctx ends. nil: there is only something to look at.
	do func(*world, context.Context) error
	// show is what the page has, as everything is now.
	show func(*world, *view) []panel
}

// steps are the story. A step is added by adding a line, a template and words.
var steps = []step{
	{"calm", nil, (*world).showCalm},
	{"tried", (*world).tryKey, (*world).showTried},
	{"harvest", (*world).harvest, (*world).showHarvest},
	{"guard", (*world).harvestGuarded, (*world).showGuarded},
	{"scope", (*world).countScope, (*world).showScope},
	{"key", (*world).previewKey, (*world).showKey},
	{"incident", (*world).workIncident, (*world).showIncident},
	{"report", (*world).workReport, (*world).showReport},
	{"notices", (*world).workNotices, (*world).showNotices},
}

func stepAt(id string) int { return slices.IndexFunc(steps, func(s step) bool { return s.id == id }) }

// visitor is who does what the visitor has done, in the ledger.
const visitor = "staff:visitor"

// story is how far the story is, and what each step came to. The world's methods fill it in.
type story struct {
	world *world

	moving sync.Mutex // one move at a time

	mu      sync.Mutex
	reached int
	running bool
	fault   error // of the step that was begun last
	cancel  context.CancelFunc
	done    chan struct{} // closed when the step's work has ended

	tried, off, on, last *attempt
	finding              *alarm.Recorded
	scoped               *scoped
	keyed                *keyed
	breach               breach
	calm                 calm
}

// calm is what is counted all the time.
type calm struct {
	at       time.Time
	forged   int64 // customers shown to forged tokens, ever
	accesses int64 // in the ledger
	exact    bool  // nobody was taking customers, and the records tell it exactly
}

// next begins the step behind from. What the step before does ends first. Asked twice, it is done once.
func (s *story) next(from int) {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	at := s.reached
	s.mu.Unlock()
	if from != at || at+1 >= len(steps) {
		return
	}
	s.stop()
	s.mu.Lock()
	s.reached, s.fault = at+1, nil
	s.mu.Unlock()
	if do := steps[at+1].do; do != nil {
		s.begin(do)
	}
}

// begin has work done beside the page.
func (s *story) begin(do func(*world, context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.mu.Lock()
	s.running, s.cancel, s.done = true, cancel, done
	s.mu.Unlock()
	go func() {
		defer close(done)
		err := do(s.world, ctx)
		if ctx.Err() != nil {
			err = nil // whoever went on has seen enough
		}
		if err != nil {
			s.world.log.Error("a step of the demo did not work", "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running, s.fault = false, err
	}()
}

// stop ends what is being done, and waits for it.
func (s *story) stop() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	<-done
}

// firstTokens are how many the thief tries to see whether the key still works.
const firstTokens = 8

func (w *world) tryKey(ctx context.Context) error {
	a := &attempt{first: 1, last: min(firstTokens, w.highest), span: 4 * time.Second}
	return w.attempt(ctx, a, &w.tried)
}

// harvest is all numbers, with a guard that only writes down what it would do.
func (w *world) harvest(ctx context.Context) error {
	a := &attempt{first: 1, last: w.highest, span: w.cfg.Span}
	return w.attempt(ctx, a, &w.off)
}

// harvestGuarded is the same again, at the same pace, with the guard switched on.
func (w *world) harvestGuarded(ctx context.Context) error {
	if err := w.srv.Guard().SetMode(context.WithoutCancel(ctx), guard.ModeEnforce, visitor, "the demo: the guard is switched on"); err != nil {
		return err
	}
	a := &attempt{first: 1, last: w.highest, span: w.cfg.Span}
	return w.attempt(ctx, a, &w.on)
}

// attempt has the thief at work, and ends when whosaw has counted all of it.
func (w *world) attempt(ctx context.Context, a *attempt, as **attempt) error {
	a.began = w.cfg.Now()
	w.mu.Lock()
	*as = a
	w.mu.Unlock()
	w.thief.run(ctx, a)
	return w.settle(context.WithoutCancel(ctx), a)
}

// settleTime is how long the records of an attempt may take to arrive.
const settleTime = 15 * time.Second

// settle counts what an attempt came to, once every record of it is in the ledger.
func (w *world) settle(ctx context.Context, a *attempt) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for sent := w.pages.Stats(); ; {
		// What waited when the thief stopped has been sent when as many records more have been.
		now := w.pages.Stats()
		if now.Sent+now.Lost >= sent.Sent+sent.Lost+sent.Waiting {
			break
		}
		if !wait(ctx, 20*time.Millisecond) {
			return fmt.Errorf("wait for the records of the shop's pages: %w", context.Cause(ctx))
		}
	}
	return w.measure(ctx, a, true)
}

// measure counts whom the forged tokens of an attempt have been shown up to now.
func (w *world) measure(ctx context.Context, a *attempt, exact bool) error {
	a.mu.Lock()
	began, ended := a.began, a.ended
	a.mu.Unlock()
	now := w.cfg.Now()
	f := forged()
	f[0].From = whosaw.Time(began.UnixMilli())
	if !ended.IsZero() {
		f[0].To = whosaw.Time(ended.UnixMilli() + 1)
		now = ended
	}
	answer, err := w.count(ctx, f)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.exact {
		return nil // a count that was begun before
	}
	a.lost, a.exact = answer.Subjects, exact
	a.points = append(a.points, point{now.Sub(began), answer.Subjects})
	return nil
}

// forged is the cause: tokens under the backup key that no log-in issued.
func forged() whosaw.Filter {
	no := false
	return whosaw.Filter{{Key: []string{shop.BackupKey}, Issued: &no}}
}

// questionMemory is what one of the demo's questions may use.
const questionMemory = 256 << 20

// ask puts a question to the ledger as it is now.
func (w *world) ask(fn func(*pipeline.Question) error) error {
	q, err := w.srv.Live().Ask(scope.Config{Workers: 1, Zone: w.zone, Memory: questionMemory})
	if err != nil {
		return err
	}
	return errors.Join(fn(q), q.Close())
}

// lookEvery is how often what goes on is counted.
const lookEvery = 250 * time.Millisecond

// watch counts while the thief is at work, and notes the first alarm, until ctx ends.
func (s *story) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%4 == 0 {
			s.rest(ctx)
		}
		if err := s.world.follow(ctx); err != nil && ctx.Err() == nil {
			s.world.log.Error("look how far the notices are", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		known := s.finding
		list := []*attempt{s.tried, s.off, s.on, s.last}
		s.mu.Unlock()
		for _, a := range list {
			if a == nil || a.settled() {
				continue
			}
			if err := s.world.measure(ctx, a, false); err != nil && ctx.Err() == nil {
				s.world.log.Error("count what the thief was shown", "error", err)
			}
		}
		if list[0] == nil || known != nil && known.Finding.Detector == bestDetector {
			continue
		}
		if f, err := s.world.firstFinding(ctx); err != nil && ctx.Err() == nil {
			s.world.log.Error("look for findings", "error", err)
		} else if f != nil {
			s.mu.Lock()
			s.finding = f
			s.mu.Unlock()
		}
	}
}

// rest counts what a calm day shows.
func (s *story) rest(ctx context.Context) {
	still := s.settled()
	answer, err := s.world.count(ctx, forged())
	if err == nil {
		var status api.Status
		if status, err = s.world.srv.API().Status(ctx); err == nil {
			s.mu.Lock()
			s.calm = calm{s.world.cfg.Now(), answer.Subjects, status.Ledger.Accesses, still && len(answer.Gaps) == 0}
			s.mu.Unlock()
		}
	}
	if err != nil && ctx.Err() == nil {
		s.world.log.Error("count what the shop's days were", "error", err)
	}
}

// settled reports whether every attempt until now is counted.
func (s *story) settled() bool {
	s.mu.Lock()
	list := []*attempt{s.tried, s.off, s.on, s.last}
	s.mu.Unlock()
	return !slices.ContainsFunc(list, func(a *attempt) bool { return a != nil && !a.settled() })
}

func (a *attempt) settled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exact
}

// bestDetector says most plainly what goes on.
const bestDetector = "unissued"

// firstFinding gives the first finding, of the detector that says it most plainly if it has found something.
func (w *world) firstFinding(ctx context.Context) (*alarm.Recorded, error) {
	list, _, err := w.srv.Alarms().Findings(ctx, alarm.Query{Limit: 50})
	if err != nil {
		return nil, err
	}
	var out *alarm.Recorded
	for i := range list { // the newest first
		if out == nil || list[i].Finding.Detector == bestDetector || out.Finding.Detector != bestDetector {
			out = &list[i]
		}
	}
	return out, nil
}
