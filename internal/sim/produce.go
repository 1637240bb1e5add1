package sim

import (
	"slices"
	"sync"
	"sync/atomic"
)

// The way of a day: tasks (a range of customers, the help desk, an attack, …) make its events side by side, each into a sink
// of its own; then slot after slot is put in order, numbered and written as lines, again side by side; one goroutine
// takes the slots in their order. What a task makes and where a slot begins to number does not depend on who does it when,
// so the bytes do not either.

const (
	customersPerTask = 2048
	agentsPerTask    = 128
	// sets is how many days are in memory: more would let one be made while the last slots of another are taken, for as
	// much memory again and little time.
	sets = 1
	// ahead is how many slots may be ready and not yet taken.
	ahead = 8
)

// batch is a slot's lines.
type batch struct {
	text  []byte
	lines []line
	keys  []uint64
	refs  []line
}

// line is one line of a batch.
type line struct {
	event  *event
	sink   *sink
	end    int // in the batch's text, behind the newline
	repeat bool
}

// daySet is one day on its way.
type daySet struct {
	sinks   []*sink
	first   [slots]uint64 // the id of each slot's first record
	batches [slots]chan *batch
	last    bool
}

// producer makes the days.
type producer struct {
	*run
	free    chan *daySet // to fill
	ready   chan *daySet // filled, their slots under way
	window  chan struct{}
	batches sync.Pool
	stop    atomic.Bool
	stopped chan struct{}
	next    uint64 // the next id
	rest    []event
}

// produce makes all days and gives their lines to the output.
func (r *run) produce(o *output) error {
	p := &producer{
		run: r, free: make(chan *daySet, sets), ready: make(chan *daySet, sets), window: make(chan struct{}, ahead),
		stopped: make(chan struct{}), next: 1,
		batches: sync.Pool{New: func() any { return new(batch) }},
	}
	for range sets {
		p.free <- new(daySet)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.days()
	}()
	err := p.drain(o)
	p.stop.Store(true)
	close(p.stopped)
	<-done
	return err
}

// drain takes the days' slots in order.
func (p *producer) drain(o *output) error {
	day := -1
	for set := range p.ready {
		for k := range slots {
			b := <-set.batches[k]
			<-p.window
			if err := o.take(b); err != nil {
				return err
			}
			p.batches.Put(b)
		}
		day++
		if f := p.cfg.Progress; f != nil {
			if err := f(min(day, p.run.days), p.run.days, o.tally.lines); err != nil {
				return err
			}
		}
		if set.last {
			return nil
		}
		p.free <- set
	}
	return nil
}

// days makes the days: first one on which the log is opened, and after the last those on which late lines still arrive.
func (p *producer) days() {
	defer close(p.ready)
	for day := -1; ; day++ {
		var set *daySet
		select {
		case set = <-p.free:
		case <-p.stopped:
			return
		}
		tasks := p.tasks(day)
		for len(set.sinks) < len(tasks) {
			set.sinks = append(set.sinks, new(sink))
		}
		p.side(len(set.sinks), func(i int) {
			s := set.sinks[i]
			s.reset(p.run, day, i)
			if i < len(tasks) {
				tasks[i](s)
			}
			s.arrange()
		})
		if p.stop.Load() {
			return
		}
		p.collect(set, day)
		for k := range slots {
			set.batches[k] = make(chan *batch, 1)
		}
		p.ready <- set
		p.write(set)
		if set.last || p.stop.Load() {
			return
		}
	}
}

// collect ends the making of a day: what it leaves for the next, and the ids of its slots.
func (p *producer) collect(set *daySet, day int) {
	p.rest = p.rest[:0]
	p.run.orders = p.run.orders[:0]
	for _, s := range set.sinks {
		p.rest = append(p.rest, s.rest...)
		p.run.orders = append(p.run.orders, s.orders...)
		if day < p.params.WarmUpDays {
			p.warm += s.accesses
		}
	}
	slices.Sort(p.run.orders)
	p.run.orders = slices.Compact(p.run.orders)
	set.last = day+1 >= p.run.days && len(p.rest) == 0
	for k := range slots {
		set.first[k] = p.next
		for _, s := range set.sinks {
			p.next += uint64(s.starts[k+1] - s.starts[k])
		}
	}
}

// write puts the slots in order, each a batch. A worker first waits for a place and then takes the next slot, so
// the slot that is taken out next is always under way.
func (p *producer) write(set *daySet) {
	var next atomic.Int64
	p.everyone(func() {
		for {
			select {
			case p.window <- struct{}{}:
			case <-p.stopped:
				return
			}
			k := int(next.Add(1)) - 1
			if k >= slots {
				<-p.window
				return
			}
			set.batches[k] <- p.batch(set, k)
		}
	})
}

// batch writes the lines of a slot.
func (p *producer) batch(set *daySet, k int) *batch {
	b := p.batches.Get().(*batch)
	b.text, b.lines, b.keys, b.refs = b.text[:0], b.lines[:0], b.keys[:0], b.refs[:0]
	for _, s := range set.sinks {
		from := s.start + int64(k)*slotMillis
		for _, i := range s.order[s.starts[k]:s.starts[k+1]] {
			e := &s.events[i]
			at := e.at - from
			b.keys = append(b.keys, uint64(at)<<40|uint64(len(b.refs)))
			b.refs = append(b.refs, line{event: e, sink: s})
			if e.double > 0 {
				b.keys = append(b.keys, uint64(at+int64(e.double))<<40|uint64(len(b.refs)))
				b.refs = append(b.refs, line{event: e, sink: s, repeat: true})
			}
		}
	}
	slices.Sort(b.keys)
	id := set.first[k]
	var one [1]uint32
	for _, key := range b.keys {
		l := b.refs[key&(1<<40-1)]
		if !l.repeat {
			l.event.id = id
			id++
		}
		b.text = append(appendRecord(b.text, l.event, l.sink.subjects(l.event, &one)), '\n')
		l.end = len(b.text)
		b.lines = append(b.lines, l)
	}
	return b
}

// side does n things, several at a time.
func (p *producer) side(n int, do func(i int)) {
	var next atomic.Int64
	p.everyone(func() {
		for !p.stop.Load() {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			do(i)
		}
	})
}

// everyone lets each worker work and waits for them.
func (p *producer) everyone(work func()) {
	var group sync.WaitGroup
	for range p.workers {
		group.Go(work)
	}
	group.Wait()
}

// tasks are what makes a day. Their order is that of records that arrive at the same instant.
func (p *producer) tasks(day int) []func(*sink) {
	// What arrives later than its day goes first: it is older.
	rest := slices.Clone(p.rest)
	tasks := []func(*sink){func(s *sink) {
		for i := range rest {
			s.pass(&rest[i])
		}
	}}
	r := p.run
	if day >= r.days {
		return tasks
	}
	add := func(task func(*sink)) { tasks = append(tasks, task) }
	split := func(n, size int, task func(s *sink, lo, hi int)) {
		for lo := 0; lo < n; lo += size {
			add(func(s *sink) { task(s, lo, min(n, lo+size)) })
		}
	}
	if day < 0 {
		add((*sink).open)
		split(r.cfg.Customers, customersPerTask, (*sink).known)
		split(len(r.gone), customersPerTask, (*sink).past)
		return tasks
	}
	add(func(s *sink) {
		s.declare(day)
		s.leaving()
		s.probes()
		s.qa()
		s.crawlers()
		s.storm()
	})
	split(r.cfg.Customers, customersPerTask, (*sink).customers)
	split(1+r.cfg.Customers/r.params.Guests.CustomersPerGuest, customersPerTask, (*sink).guests)
	split(len(r.gone), customersPerTask*8, (*sink).staleApps)
	split(r.agents(), agentsPerTask, (*sink).desk)
	split(r.partners(), 16, (*sink).partners)
	add(func(s *sink) { s.couriers(0) })
	add(func(s *sink) { s.couriers(1) })
	add((*sink).jobs)
	if day >= r.params.WarmUpDays {
		for _, a := range r.attacks {
			add(a.make)
		}
	}
	return tasks
}
