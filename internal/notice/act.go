package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/whosaw/whosaw/internal/figure"
)

// errNotRunning is an act that only a server can do.
var errNotRunning = errors.New("no server runs: notices are sent by whosaw serve")

// grace is how long a stop lets mails that are on the way come to an end.
const grace = 10 * time.Second

// Begin has waves begin and go on from now on. run sends what is to be sent until ctx ends: what was being sent when the process ended goes on, and what was
// on the way then is in doubt.
func (b *Book) Begin(ctx context.Context) (run func()) {
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	b.mu.Lock()
	b.begin = func(number int64) error { return b.start(hard, number) }
	b.mu.Unlock()
	return func() {
		defer cut()
		b.run(ctx, cut)
	}
}

func (b *Book) run(ctx context.Context, cut context.CancelFunc) {
	numbers, err := b.numbers(ctx)
	for _, number := range numbers {
		if e := b.recover(ctx, number); e != nil {
			err = errors.Join(err, fmt.Errorf("notice %d: %w", number, e))
		}
	}
	if err != nil {
		b.cfg.Log.Error("a notice cannot go on", "error", err)
	}
	<-ctx.Done()
	b.mu.Lock()
	b.begin = nil
	var all []*run
	for _, r := range b.runs {
		all = append(all, r)
	}
	b.mu.Unlock()
	for _, r := range all {
		r.pause(errStopping)
	}
	timer := time.AfterFunc(grace, cut) // what is on the way then is in doubt
	defer timer.Stop()
	b.running.Wait()
}

// errStopping ends runs with the process: they go on at its next start.
var errStopping = errors.New("the server stops")

// recover takes up a notice after a start.
func (b *Book) recover(ctx context.Context, number int64) error {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, err := b.read(ctx, number)
	if err == nil && n.Purged != nil {
		return b.unlink(number) // a crash may have come between the record and the removal
	}
	if err != nil || n.State == Made || n.State == Done || n.State == Approved {
		return err
	}
	if err := b.doubt(ctx, n); err != nil {
		return err
	}
	if n.State == Sending {
		return b.launch(number)
	}
	return nil
}

// doubt puts what was on the way when a process ended into doubt, and says so. Nobody sends this notice now.
func (b *Book) doubt(ctx context.Context, n *Notice) error {
	r, err := b.roster(ctx, n.Number)
	if err != nil {
		return err
	}
	count, err := r.step(ctx, InFlight, InDoubt, time.Time{})
	if err != nil || count == 0 {
		return err
	}
	b.cfg.Log.Warn("notices are in doubt: they were on the way when the process ended", "notice", n.Number, "people", count)
	return b.set(ctx, n, Service, DeedInDoubt, "they were on the way to the relay when the process ended, and may or may not have gone out", count, nothing)
}

// nothing is written beside the event.
func nothing(*sql.Tx) error { return nil }

func (b *Book) launch(number int64) error {
	b.mu.Lock()
	begin := b.begin
	b.mu.Unlock()
	if begin == nil {
		return invalid(errNotRunning)
	}
	return begin(number)
}

// start begins a run, or tells the one that runs of a new quota and rate.
func (b *Book) start(hard context.Context, number int64) error {
	n, ro, l, err := b.open(hard, number)
	if err != nil {
		return err
	}
	cfg := b.cfg.Config
	if cfg.Lookup.URL == "" || cfg.Mail.Host == "" {
		return refuse("set notice.lookup and notice.mail: without them nobody can be reached")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.runs[number]; r != nil && !r.over() {
		r.quota.Store(n.Quota)
		r.pace.limit(n.Rate)
		r.nudge()
		return nil
	}
	r := &run{
		b: b, notice: n, roster: ro, letter: l, pace: &pace{now: b.cfg.Now, rate: n.Rate}, chunk: min(chunkSize, cfg.Mail.PerConnection), hard: hard, ended: make(chan struct{}), wake: make(chan struct{}, 1),
		held: map[string]string{}, claimed: map[uint32]bool{}, open: map[uint32]*batch{},
	}
	if n.Rate > 0 && n.Rate < 4*chunkSize {
		r.chunk = 1 // or a slow rate would come in bursts
	}
	r.quota.Store(n.Quota)
	if r.lookup, err = newLookup(cfg.Lookup); err != nil {
		return err
	}
	if r.relay, err = newRelay(cfg.Mail); err != nil {
		return err
	}
	r.soft, r.pause = context.WithCancelCause(hard)
	b.runs[number] = r
	b.running.Go(func() {
		err := r.work()
		r.lookup.close()
		close(r.ended)
		b.end(context.WithoutCancel(hard), r, err)
	})
	return nil
}

// over reports whether a run has ended, though it may not be on record yet.
func (r *run) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// end records how a run ended, unless another took its place meanwhile.
func (b *Book) end(ctx context.Context, r *run, why error) {
	number := r.notice.Number
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	b.mu.Lock()
	current := b.runs[number] == r
	if current {
		delete(b.runs, number)
	}
	b.mu.Unlock()
	if !current || errors.Is(why, errPaused) || errors.Is(why, errStopping) {
		return // whoever paused it records it; the server's end is nobody's act
	}
	n, err := b.read(ctx, number)
	switch {
	case err != nil:
	case n.State == Stopped: // for good, by somebody who came between the run's end and its record
	case why != nil:
		err = b.set(ctx, r.notice, Service, DeedPaused, why.Error(), -1, state(ctx, number, Paused, why.Error()))
	default:
		err = b.through(ctx, r, n)
	}
	if err != nil {
		b.cfg.Log.Error("how a notice ended is not recorded", "notice", number, "error", err)
	}
}

// through records that a wave, or all, is over. One whose next wave came while it ended goes on.
func (b *Book) through(ctx context.Context, r *run, n *Notice) error {
	tally, err := r.roster.tally(ctx)
	if err != nil {
		return err
	}
	waiting := tally[Waiting]
	switch tried := int64(r.roster.total) - waiting; {
	case tally[Deferred] > 0 || waiting > 0 && n.Quota > tried:
		if n.State != Sending {
			return nil // somebody paused it as it ended
		}
		return b.launch(n.Number)
	case waiting > 0:
		return b.set(ctx, n, Service, DeedWaveOver, "", tally[Sent], state(ctx, n.Number, WaveOver, ""))
	case tally[InDoubt] > 0:
		why := figure.Of(tally[InDoubt], "notice is", "notices are") + " in doubt: whosaw notice again, or leave"
		return b.set(ctx, n, Service, DeedWaveOver, why, tally[Sent], state(ctx, n.Number, WaveOver, why))
	}
	return b.set(ctx, n, Service, DeedDone, outcomesText(tally), tally[Sent], state(ctx, n.Number, Done, ""))
}

func outcomesText(tally map[Outcome]int64) string {
	s := ""
	for o := range outcomeNames {
		if n := tally[Outcome(o)]; n > 0 {
			if s != "" {
				s += ", "
			}
			s += Outcome(o).String() + " " + figure.Int(n)
		}
	}
	return s
}

// The range of rates: one an hour, and more than any relay takes.
const (
	leastRate = 1.0 / 3600
	mostRate  = 1e6
)

// Send begins a wave of so many people more (0: all who are left), at so many a second (0: as fast as it goes).
func (b *Book) Send(ctx context.Context, number int64, who string, size int64, rate float64) error {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, r, _, err := b.open(ctx, number)
	if err != nil {
		return err
	}
	switch n.State {
	case Made:
		return refuse("notice %d is not approved: a second person approves it first (whosaw notice approve)", number)
	case Stopped:
		return refuse("notice %d was stopped for good: make a new one", number)
	}
	if size < 0 || rate != 0 && !(rate >= leastRate && rate <= mostRate) { // not a number is in no range
		return refuse("size is not below zero; rate is one an hour to a million a second, or missing")
	}
	tally, err := r.tally(ctx)
	if err != nil {
		return err
	}
	if tally[Waiting]+tally[Deferred] == 0 {
		return refuse("everybody of notice %d has an outcome: whosaw notice show %d", number, number)
	}
	total := int64(r.total)
	quota := max(n.Quota, total-tally[Waiting])
	if quota += size; size == 0 || quota > total {
		quota = total
	}
	if err := b.ready(number); err != nil {
		return err
	}
	if err := b.doubtIdle(ctx, n); err != nil {
		return err
	}
	note := fmt.Sprintf("at %g a second", rate)
	if rate == 0 {
		note = "as fast as it goes"
	}
	err = b.set(ctx, n, who, DeedWave, note, quota, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notice SET state = ?, why = '', quota = ?, rate = ? WHERE number = ?", Sending, quota, rate, number)
		return err
	})
	if err != nil {
		return err
	}
	return b.launch(number)
}

// ready refuses before anything is recorded what could not begin.
func (b *Book) ready(number int64) error {
	cfg := &b.cfg.Config
	if cfg.Lookup.URL == "" || cfg.Mail.Host == "" {
		return refuse("set notice.lookup and notice.mail: without them nobody can be reached")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begin == nil {
		return invalid(errNotRunning)
	}
	return nil
}

// doubtIdle is doubt where nobody sends.
func (b *Book) doubtIdle(ctx context.Context, n *Notice) error {
	b.mu.Lock()
	running := b.runs[n.Number] != nil
	b.mu.Unlock()
	if running {
		return nil
	}
	return b.doubt(ctx, n)
}

// Pause ends the taking up of people and returns when what was on the way has an outcome.
func (b *Book) Pause(ctx context.Context, number int64, who, why string) error {
	return b.halt(ctx, number, who, DeedPaused, why, Paused)
}

// Stop ends a notice for good.
func (b *Book) Stop(ctx context.Context, number int64, who, why string) error {
	return b.halt(ctx, number, who, DeedStopped, why, Stopped)
}

func (b *Book) halt(ctx context.Context, number int64, who, title, why string, to State) error {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, err := b.read(ctx, number)
	if err != nil {
		return err
	}
	if n.State != Sending && (to == Paused || n.State == Stopped || n.State == Done) {
		return refuse("notice %d is %s", number, n.State)
	}
	b.mu.Lock()
	r := b.runs[number]
	b.mu.Unlock()
	if r != nil {
		r.pause(errPaused)
		<-r.ended // what is on the way gets its outcome; a relay has replyTime for it
		ctx = context.WithoutCancel(ctx)
		if n, err = b.read(ctx, number); err != nil || n.State == Done && to == Paused {
			return err
		}
	}
	return b.set(ctx, n, who, title, why, -1, state(ctx, number, to, why))
}

// Resume goes on with a wave that was paused.
func (b *Book) Resume(ctx context.Context, number int64, who string) error {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, err := b.read(ctx, number)
	if err != nil {
		return err
	}
	if n.State != Paused {
		return refuse("notice %d is %s, not paused", number, n.State)
	}
	if err := b.ready(number); err != nil {
		return err
	}
	if err := b.doubt(ctx, n); err != nil {
		return err
	}
	if err := b.set(ctx, n, who, DeedResumed, "", -1, state(ctx, number, Sending, "")); err != nil {
		return err
	}
	return b.launch(number)
}

// Again has people with an outcome tried again, with the same Message-ID: those in doubt, or those whose contact data have been mended. It gives how many they are.
func (b *Book) Again(ctx context.Context, number int64, who string, from Outcome, why string) (int64, error) {
	return b.settle(ctx, number, who, from, Deferred, DeedAgain+deedOf+from.String(), why)
}

// Leave has those in doubt not tried again.
func (b *Book) Leave(ctx context.Context, number int64, who, why string) (int64, error) {
	return b.settle(ctx, number, who, InDoubt, Left, DeedLeft, why)
}

func (b *Book) settle(ctx context.Context, number int64, who string, from, to Outcome, title, why string) (int64, error) {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, r, _, err := b.open(ctx, number)
	if err != nil {
		return 0, err
	}
	switch {
	case n.State == Made || n.State == Stopped:
		return 0, refuse("notice %d is %s: there is nothing to try again", number, n.State)
	case why == "":
		return 0, refuse("give a reason: who reads it later was not there")
	case from == InFlight || from == Deferred || from == Waiting || from == Sent:
		return 0, refuse("%s: nobody with it is to be tried again", from)
	}
	tally, err := r.tally(ctx)
	if err != nil {
		return 0, err
	}
	// The event first: what it says was done may then not have happened, but nothing happens that is not on record.
	if err := b.set(ctx, n, who, title, why, tally[from], nothing); err != nil {
		return 0, err
	}
	due := time.Time{}
	if to == Deferred {
		due = b.cfg.Now()
	}
	count, err := r.step(ctx, from, to, due)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	run := b.runs[number]
	b.mu.Unlock()
	if run != nil {
		run.nudge()
		return count, nil
	}
	return count, b.reopen(ctx, n, r)
}

// reopen finds the state of a notice whose outcomes were changed while nobody sent.
func (b *Book) reopen(ctx context.Context, n *Notice, r *roster) error {
	tally, err := r.tally(ctx)
	if err != nil {
		return err
	}
	switch open := tally[Waiting] + tally[Deferred] + tally[InDoubt]; {
	case open > 0 && (n.State == Done || n.State == WaveOver):
		return b.cfg.DB.Write(ctx, state(ctx, n.Number, Paused, "people are to be tried again: whosaw notice resume"))
	case open == 0 && n.State == WaveOver:
		return b.set(ctx, n, Service, DeedDone, outcomesText(tally), tally[Sent], state(ctx, n.Number, Done, ""))
	}
	return nil
}
