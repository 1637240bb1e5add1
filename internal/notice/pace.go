package notice

import (
	"context"
	"sync"
	"time"
)

// pace holds the sending to a rate, and says how fast it goes.
type pace struct {
	now func() time.Time

	mu    sync.Mutex
	rate  float64   // a second; 0: no limit
	next  time.Time // when the next one may go
	began int64     // second of the first slot
	slots [paceSeconds]struct{ second, n int64 }
}

// paceSeconds is over how many seconds the speed is measured.
const paceSeconds = 10

func (p *pace) limit(rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = rate
}

// wait returns when n more may go.
func (p *pace) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	var pause time.Duration
	if p.rate > 0 {
		now := p.now()
		if p.next.Before(now) {
			p.next = now
		}
		pause = p.next.Sub(now)
		p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	}
	p.mu.Unlock()
	return rest(ctx, pause)
}

// rest waits, unless ctx ends first.
func rest(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pace) sent(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	second := p.now().Unix()
	if p.began == 0 {
		p.began = second
	}
	s := &p.slots[second%paceSeconds]
	if s.second != second {
		s.second, s.n = second, 0
	}
	s.n += int64(n)
}

func (p *pace) perSecond() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now().Unix()
	var n int64
	for _, s := range p.slots {
		if now-s.second < paceSeconds {
			n += s.n
		}
	}
	if p.began == 0 {
		return 0
	}
	return float64(n) / float64(min(paceSeconds, now-p.began+1))
}
