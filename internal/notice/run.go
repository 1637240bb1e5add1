package notice

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lookups   = 3  // questions to the shop at once
	chunkSize = 8  // mails that one connection takes up at once
	mostBad   = 50 // refusals one after another: then it is the notice that is refused, not people
)

// run sends one notice. soft ends the taking up of new people, hard cuts connections.
type run struct {
	b      *Book
	notice *Notice
	roster *roster
	letter *Letter
	lookup *lookup
	relay  *relay
	pace   *pace
	chunk  int // mails that one connection takes up at once

	soft, hard context.Context
	pause      context.CancelCauseFunc // of soft
	ended      chan struct{}

	quota   atomic.Int64
	wake    chan struct{} // something was settled, or the quota grew
	refused atomic.Int64  // one after another

	mu      sync.Mutex
	held    map[string]string // what holds it up, by where
	claimed map[uint32]bool   // rows taken up that have a due time
	open    map[uint32]*batch // batches that are not settled, by first row
	next    uint32            // the row from which on nobody was taken up
}

// batch is people taken up together.
type batch struct {
	first uint32
	fresh bool // they were waiting
	rows  []row
	left  atomic.Int64 // those without an outcome
}

// errPaused ends a run at a person's wish.
var errPaused = errors.New("paused")

// paused is why a run stopped by itself.
type pausedBy struct{ why string }

func (p *pausedBy) Error() string { return p.why }

func (r *run) trouble() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, where := range []string{"relay", "shop", "disk"} {
		if s := r.held[where]; s != "" {
			return s
		}
	}
	return ""
}

// hold notes what holds the sending up, "" when it is over.
func (r *run) hold(where, says string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[where] != says && says != "" {
		r.b.cfg.Log.Warn("notices are held up", "notice", r.notice.Number, "why", says)
	}
	r.held[where] = says
}

func (r *run) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// work sends until everybody the waves may reach has an outcome, or the run is paused. It returns why it ended; nil: it is through.
func (r *run) work() error {
	batches := make(chan *batch)
	ready := make(chan []*mail, r.relay.cfg.Connections)
	var asking, sending sync.WaitGroup
	feeding := make(chan error, 1)
	go func() {
		defer close(batches)
		feeding <- r.feed(batches)
	}()
	for range lookups {
		asking.Go(func() {
			for x := range batches {
				r.prepare(x, ready)
			}
		})
	}
	for range r.relay.cfg.Connections {
		sending.Go(func() { r.send(ready) })
	}
	asking.Wait()
	close(ready)
	sending.Wait()
	err := <-feeding
	if cause := context.Cause(r.soft); cause != nil {
		return cause
	}
	return err
}

// feed takes people up, those who are to be tried again first.
func (r *run) feed(out chan<- *batch) error {
	tally, err := r.roster.tally(r.hard)
	if err != nil {
		return err
	}
	tried := int64(r.roster.total) - tally[Waiting]
	if r.next, err = r.roster.next(r.hard); err != nil {
		return err
	}
	for r.soft.Err() == nil {
		x, err := r.take(tried)
		if err != nil {
			return err
		}
		if x != nil {
			if x.fresh {
				tried += int64(len(x.rows))
			}
			select {
			case out <- x:
			case <-r.soft.Done():
			}
			continue
		}
		over, wait, err := r.idle()
		if over || err != nil {
			return err
		}
		r.await(wait)
	}
	return nil
}

// take gives the next people, nil if there are none now.
func (r *run) take(tried int64) (*batch, error) {
	size := r.b.cfg.Config.Lookup.Batch
	// Who is being sent is known before it is asked who is due: what the question saw of them may be old.
	r.mu.Lock()
	busy := maps.Clone(r.claimed)
	r.mu.Unlock()
	rows, err := r.roster.due(r.hard, r.b.cfg.Now(), size+len(busy))
	if err != nil {
		return nil, err
	}
	x := &batch{}
	r.mu.Lock()
	for _, p := range rows {
		if !busy[p.Row] && len(x.rows) < size {
			r.claimed[p.Row] = true
			x.rows = append(x.rows, p)
		}
	}
	r.mu.Unlock()
	if len(x.rows) > 0 {
		x.left.Store(int64(len(x.rows)))
		return x, nil
	}
	most := min(int64(size), r.quota.Load()-tried)
	if most <= 0 {
		return nil, nil
	}
	if rows, err = r.roster.waiting(r.hard, r.next, int(most)); err != nil || len(rows) == 0 {
		return nil, err
	}
	x.rows, x.first, x.fresh = rows, rows[0].Row, true
	x.left.Store(int64(len(rows)))
	r.mu.Lock()
	r.open[x.first] = x
	r.next = rows[len(rows)-1].Row + 1
	r.mu.Unlock()
	return x, nil
}

// idle reports whether there is nothing left to do, and else how long to wait before looking again.
func (r *run) idle() (over bool, wait time.Duration, err error) {
	r.mu.Lock()
	busy := len(r.open) > 0 || len(r.claimed) > 0
	r.mu.Unlock()
	if busy {
		return false, time.Minute, nil
	}
	due, err := r.roster.nextDue(r.hard)
	if err != nil || due.IsZero() {
		return err == nil, 0, err
	}
	// Times in the file are whole seconds.
	return false, max(due.Sub(r.b.cfg.Now()), 10*time.Millisecond), nil
}

// await waits for something to be settled, or for a time.
func (r *run) await(most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-r.wake:
	case <-t.C:
	case <-r.soft.Done():
	}
}

// settled notes that rows of a batch have an outcome on disk.
func (r *run) settled(x *batch, rows ...uint32) {
	r.mu.Lock()
	if !x.fresh { // one that was waiting may have been taken up again since its outcome came on disk: that claim is another's
		for _, n := range rows {
			delete(r.claimed, n)
		}
	}
	if x.left.Add(-int64(len(rows))) == 0 && x.fresh {
		delete(r.open, x.first)
	}
	r.mu.Unlock()
	r.nudge()
}

// behind gives the row before which nobody waits any more.
func (r *run) behind() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	low := r.next
	for first := range r.open {
		low = min(low, first)
	}
	return low
}

// prepare asks the shop for the contacts of a batch and makes the mails. What cannot be mailed gets its outcome here. While the shop does not answer,
// it is asked again: nobody is passed over.
func (r *run) prepare(x *batch, ready chan<- []*mail) {
	people := make([]Person, len(x.rows))
	for i, p := range x.rows {
		k := r.roster.kind(p.What)
		people[i] = Person{ID: p.Subject, Realm: k.Realm, Other: k.Other}
	}
	var contacts []contact
	err := forever(r.soft, time.Second, time.Minute, func() (err error) {
		contacts, err = r.lookup.contacts(r.soft, people)
		if err != nil && r.soft.Err() == nil {
			r.hold("shop", err.Error())
		}
		return err
	})
	if err != nil {
		return // paused: they wait still
	}
	r.hold("shop", "")
	c, err := newComposer(&r.relay.cfg, uint32(r.notice.Number), r.notice.secret, r.letter)
	if err != nil {
		r.pause(&pausedBy{err.Error()})
		return
	}
	var without []change
	var rows []uint32
	var chunk []*mail
	now := r.b.now()
	for i, p := range x.rows {
		if r.soft.Err() != nil {
			return
		}
		to := &contacts[i]
		none := Waiting
		switch {
		case to.bad:
			none = BadContact
		case to.email == "":
			none = NoContact
		}
		if none != Waiting {
			without = append(without, change{row: p.Row, from: p.Outcome, to: none, tries: p.Tries, at: now})
			rows = append(rows, p.Row)
			continue
		}
		k := r.roster.kind(p.What)
		m, err := c.compose(&Recipient{Row: p.Row, Other: k.Other, Fields: k.Fields, Email: to.email, Name: to.name, Lang: to.lang}, now)
		if err != nil {
			r.pause(&pausedBy{err.Error()})
			return
		}
		m.person, m.batch = p, x
		if chunk = append(chunk, m); len(chunk) == r.chunk {
			if !r.pass(ready, chunk) {
				return
			}
			chunk = nil
		}
	}
	if len(without) > 0 {
		if !r.record(without) {
			return
		}
		r.settled(x, rows...)
	}
	if len(chunk) > 0 {
		r.pass(ready, chunk)
	}
}

func (r *run) pass(ready chan<- []*mail, chunk []*mail) bool {
	select {
	case ready <- chunk:
		return true
	case <-r.soft.Done():
		return false
	}
}

// record puts outcomes on disk. It reports false, and pauses the run, if they could not be.
func (r *run) record(changes []change) bool {
	// Not r.hard: what a relay took must be noted even while everything stops.
	err := r.roster.apply(context.Background(), changes, r.behind())
	if err != nil {
		r.pause(&pausedBy{err.Error()})
	}
	return err == nil
}

// send hands mails to the relay over one connection at a time.
func (r *run) send(ready <-chan []*mail) {
	var l *line
	defer func() {
		if l != nil {
			l.close()
		}
	}()
	for chunk := range ready {
		if l != nil && l.sent+len(chunk) > r.relay.cfg.PerConnection {
			l.close()
			l = nil
		}
		if r.pace.wait(r.soft, len(chunk)) != nil {
			continue // paused: they wait still
		}
		if l == nil {
			if l = r.dial(); l == nil {
				continue
			}
		}
		if !r.hand(l, chunk) {
			l.close()
			l = nil
		}
	}
}

// dial connects, however long it takes; nil: the run was paused meanwhile.
func (r *run) dial() *line {
	var l *line
	err := forever(r.soft, time.Second, time.Minute, func() (err error) {
		l, err = r.relay.dial(r.hard)
		if err != nil && r.soft.Err() == nil {
			r.hold("relay", err.Error())
		}
		return err
	})
	if err != nil {
		return nil
	}
	r.hold("relay", "")
	return l
}

// hand sends a chunk: that a text is about to be sent is on disk before, together with what became of the mails before it, so that of each connection
// one mail is in doubt when the process is killed. It reports whether the connection is still good.
func (r *run) hand(l *line, chunk []*mail) bool {
	noted := 0 // of the chunk, those with an outcome on disk
	begun := make([]bool, len(chunk))
	note := func(until int, so []result, more ...change) bool {
		now := r.b.cfg.Now()
		var changes []change
		sent := 0
		for i := noted; i < until; i++ {
			changes = append(changes, r.outcome(chunk[i], begun[i], so[i], now))
			if so[i].fate == taken {
				sent++
			}
		}
		if !r.record(append(changes, more...)) {
			return false
		}
		for ; noted < until; noted++ {
			r.settled(chunk[noted].batch, chunk[noted].person.Row)
		}
		r.pace.sent(sent)
		return true
	}
	results, t := l.deliver(chunk, func(i int, so []result) bool {
		m := chunk[i]
		begun[i] = note(i, so, change{row: m.person.Row, from: m.person.Outcome, to: InFlight, tries: m.person.Tries, at: r.b.cfg.Now(), lang: m.lang})
		return begun[i]
	})
	if !note(len(chunk), results) {
		return false
	}
	r.judge(results)
	if t != nil {
		r.hold("relay", t.Error())
		_ = rest(r.soft, time.Second) // a relay that drops every connection is not to be hammered
	}
	return t == nil
}

// soon is when a mail that the relay was not asked about is tried again.
const soon = 15 * time.Second

// outcome is what became of a mail; begun: its text was about to be sent.
func (r *run) outcome(m *mail, begun bool, res result, now time.Time) change {
	c := change{row: m.person.Row, from: m.person.Outcome, tries: m.person.Tries, at: now, reply: res.reply}
	if begun {
		c.from = InFlight
	}
	switch res.fate {
	case taken:
		c.to, c.tries = Sent, c.tries+1
	case refused:
		c.to, c.tries = Refused, c.tries+1
	case unsure:
		c.to, c.tries = InDoubt, c.tries+1
	case untouched, busy:
		c.to, c.due = Deferred, now.Add(min(soon, r.b.cfg.Config.RetryFirst))
	case later:
		c.tries++
		c.to, c.due = Deferred, now.Add(r.backoff(c.tries))
		if c.tries >= r.b.cfg.Config.Tries {
			c.to, c.due = GaveUp, time.Time{}
		}
	}
	return c
}

func (r *run) backoff(tries int) time.Duration {
	pause := r.b.cfg.Config.RetryFirst
	for range tries - 1 {
		if pause *= 2; pause >= r.b.cfg.Config.RetryMost {
			return r.b.cfg.Config.RetryMost
		}
	}
	return pause
}

// judge pauses a notice that the relay refuses from everybody: then it is the mail that it does not like, and no person is to pay for that.
func (r *run) judge(results []result) {
	for _, x := range results {
		switch x.fate {
		case taken:
			r.refused.Store(0)
		case refused:
			if r.refused.Add(1) == mostBad {
				r.pause(&pausedBy{fmt.Sprintf("the relay refused %d mails one after another, the last with %d: ask who runs it why; then whosaw notice again, and resume", mostBad, x.reply)})
			}
		}
	}
}

// forever tries until it works or ctx ends.
func forever(ctx context.Context, pause, most time.Duration, try func() error) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := try()
		if err == nil {
			return nil
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, most)
	}
}
