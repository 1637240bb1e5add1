package console_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/console"
)

// raise keeps open findings of these ids.
func (s *site) raise(ids ...string) {
	s.t.Helper()
	for i, id := range ids {
		now := whosaw.Time(s.now().UnixMilli())
		_, err := s.alarms.Raise(s.t.Context(), alarm.Raised{Sequence: uint64(i + 1), Finding: whosaw.Finding{
			ID: id, Detector: "unissued", Unit: "key:k" + id, Filter: whosaw.Filter{{Key: []string{"k" + id}}}, Time: now, Seen: now,
		}})
		check(s.t, err)
	}
}

// TestCountEnds: Run waits for the count that it began.
func TestCountEnds(t *testing.T) {
	var cfg console.Config
	s := newSite(t, func(c *console.Config) { cfg = *c })
	s.raise("1")
	c, err := console.New(cfg)
	check(t, err)
	began, over, waited := make(chan struct{}), make(chan struct{}), make(chan bool, 1)
	c.CountBy(func(ctx context.Context, _ []string) []string {
		close(began)
		<-ctx.Done()
		select {
		case <-over:
			waited <- false
		case <-time.After(100 * time.Millisecond):
			waited <- true
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(over); c.Run(ctx) }()
	<-began
	cancel()
	if !<-waited {
		t.Error("Run ended before the count did")
	}
	<-over
}

// TestJudgedIsOver: what a judged finding was shown is no harvest any more, however long the next count takes.
func TestJudgedIsOver(t *testing.T) {
	var cfg console.Config
	s := newSite(t, func(c *console.Config) { cfg = *c })
	s.raise("1", "2")
	c, err := console.New(cfg)
	check(t, err)
	var once sync.Once
	c.CountBy(func(ctx context.Context, _ []string) (going []string) {
		once.Do(func() { going = []string{"1"} })
		if going == nil {
			<-ctx.Done()
		}
		return going
	})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); c.Run(ctx) }()
	defer func() { cancel(); <-over }()
	level := func() string { l, _, _ := c.Level("en"); return l }
	s.eventually("the finding is a harvest", func() bool { return level() == "harvest" })
	check(t, s.api.Judge(t.Context(), api.Who{Name: "staff:kim", Role: auth.RoleAdmin}, "1", api.Judgement{Verdict: "false", Reason: "a test"}))
	s.eventually("a judged finding is no harvest", func() bool { return level() != "harvest" })
}

// TestPace: a pace is of the time that has passed, however often, or seldom, somebody looks.
func TestPace(t *testing.T) {
	for _, x := range []struct {
		at       []time.Duration
		accepted []int64
		want     float64
	}{
		{[]time.Duration{0, 5 * time.Second}, []int64{0, 500}, 100},
		{[]time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, time.Second}, []int64{0, 10, 20, 100}, 100},
		{[]time.Duration{0, 20 * time.Second, 25 * time.Second, 30 * time.Second}, []int64{0, 9000, 9000, 9000}, 0},
		{[]time.Duration{0}, []int64{7}, 0},
	} {
		var at []time.Time
		for _, d := range x.at {
			at = append(at, base.Add(d))
		}
		if got := console.PaceOf(at, x.accepted); got != x.want {
			t.Errorf("%v accepted at %v: %v a second, want %v", x.accepted, x.at, got, x.want)
		}
	}
}

// TestStreamEnds: who has signed out is told nothing more, on no page that is open still.
func TestStreamEnds(t *testing.T) {
	s := newSite(t)
	cookie := s.signIn()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/live?page=now", nil)
	check(t, err)
	res, err := s.client.Do(req)
	check(t, err)
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for line := ""; !strings.HasPrefix(line, "data: "); {
		line, err = in.ReadString('\n')
		check(t, err)
	}
	check(t, s.auth.End(t.Context(), cookie.Value))
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the stream goes on after its session: %v", err)
	}
}

// TestSilentIsBlind: a source from which nothing comes any more makes the plate Blind, and is told by name.
func TestSilentIsBlind(t *testing.T) {
	s := newSite(t)
	at := s.now()
	s.take("gateway-1", []whosaw.Record{{ID: "1", Source: "gateway-1", Time: at.UnixMilli(), Route: "GET /customers/{id}", Subjects: []string{"7"}, Outcome: whosaw.OutcomeDisclosed}})
	plate := func() string { level, word, says := s.console.Level("en"); return level + " " + word + " " + says }
	if got := plate(); strings.Contains(got, "silent") {
		t.Errorf("silent at once: %s", got)
	}
	s.mu.Lock()
	s.started = s.started.Add(-11 * time.Minute)
	s.mu.Unlock()
	s.eventually("the silent source is Blind", func() bool {
		return strings.HasPrefix(plate(), "blind") && strings.Contains(plate(), "gateway-1 silent")
	})
}
