package console_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/ledger"
)

var (
	benchAccesses = flag.Int("console.accesses", 500_000, "accesses in the ledger of BenchmarkPages")
	benchFresh    = flag.Int("console.fresh", 100, "accesses that come in before each look of BenchmarkPages, and log-ins with them")
	benchLedger   = flag.String("console.ledger", "", "a directory with a ledger for BenchmarkPages: DIR/whosaw, as bench/ makes it with -dir DIR; the detectors stand still at their first finding")
)

// BenchmarkPages asks for every page and part that a console serves, over a ledger: how long the first look takes until it is whole (first-ms), and its
// longest turn (turn-ms); then, warm, after some accesses and log-ins more each time, milliseconds of wall time and of processor time each.
func BenchmarkPages(b *testing.B) {
	s := newSite(b, guardedPages(b))
	if *benchLedger == "" {
		s.million(*benchAccesses)
		check(b, s.ledger.Seal(b.Context()))
		check(b, s.live.CaughtUp(b.Context()))
	}
	s.visited = s.now().UnixMilli() * 1000 // behind what an earlier run appended to the ledger
	s.signIn()
	x := s.everyPage(b)
	for _, a := range x.all {
		var first, turn time.Duration
		b.Run(a.name, func(b *testing.B) {
			x.t = b
			path := a.path()
			a.path = func() string { return path }
			for next := path; first == 0 || next != ""; {
				began := time.Now()
				_, next = x.get(asking{name: a.name, path: func() string { return next }, form: a.form})
				took := time.Since(began)
				first, turn = first+took, max(turn, took)
			}
			before := processor()
			for b.Loop() {
				b.StopTimer()
				got, err := s.ledger.Append(b.Context(), s.logins(s.visits(*benchFresh)))
				check(b, err)
				if slices.ContainsFunc(got, func(r ledger.Receipt) bool { return r.Ack != ledger.Accepted }) {
					b.Fatal("what should have come in anew was there before")
				}
				b.StartTimer()
				if _, next := x.get(a); next != "" {
					b.Fatal("a page that was whole is not any more")
				}
			}
			b.ReportMetric(float64((processor()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(first.Microseconds())/1000, "first-ms")
			b.ReportMetric(float64(turn.Microseconds())/1000, "turn-ms")
		})
	}
}

// visits makes accesses of customers to their own page.
func (s *site) visits(n int) (list []whosaw.Record) {
	for range n {
		s.visited++
		id := fmt.Sprint(10_000_000 + s.visited%40_000)
		list = append(list, whosaw.Record{
			Time: s.now().UnixMilli(), Source: "gateway-1", Position: s.visited, Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{id},
			Principal: "customer:" + id, Credential: "c" + id, Key: "login-main", IP: netip.AddrFrom4([4]byte{100, 64, byte(s.visited % 40_000 >> 8), byte(s.visited)}),
		})
	}
	return list
}

// logins adds the log-ins of some of those who make accesses.
func (s *site) logins(list []whosaw.Record) []whosaw.Record {
	n := len(list)
	for i := 0; i < n; i += 20 {
		r := list[i]
		list = append(list, whosaw.Record{
			Type: whosaw.TypeIssuance, Time: r.Time, Source: "login", Position: r.Position, Credential: r.Credential, Key: r.Key, Subjects: r.Subjects, Ref: &whosaw.Reference{},
		})
	}
	return list
}

// raised has a detector raise a finding about a filter.
func (s *site) raised(b testing.TB, f whosaw.Filter) {
	now := whosaw.Time(s.now().UnixMilli())
	_, err := s.alarms.Raise(b.Context(), alarm.Raised{Sequence: s.live.Last(), Finding: whosaw.Finding{ID: "bench", Detector: "unissued", Filter: f, Time: now, Seen: now}})
	check(b, err)
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWatched takes accesses in while nobody, and while two hundred, watch Now: accesses a processor-second and by the clock, and how often each
// watcher was told. Making the accesses is in.
func BenchmarkWatched(b *testing.B) {
	for _, watchers := range []int{0, 200} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			s := newSite(b)
			s.signIn()
			ctx, cancel := context.WithCancel(b.Context())
			var events atomic.Int64
			var watching sync.WaitGroup
			for range watchers {
				watching.Go(func() {
					req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/live?page=now", nil)
					if err != nil {
						return
					}
					res, err := s.client.Do(req)
					if err != nil {
						return
					}
					defer res.Body.Close()
					in := bufio.NewScanner(res.Body)
					in.Buffer(nil, 1<<20)
					for in.Scan() {
						if in.Text() == "" {
							events.Add(1)
						}
					}
				})
			}
			s.eventually("everybody watches", func() bool { return events.Load() >= int64(watchers) })
			n, told, began, before := int64(0), events.Load(), time.Now(), processor()
			for b.Loop() {
				s.take("gateway-1", s.visits(8192))
				n += 8192
			}
			took := time.Since(began)
			b.ReportMetric(float64(n)/took.Seconds(), "accesses/s")
			b.ReportMetric(float64(n)/(processor()-before).Seconds(), "accesses/cpu-s")
			if watchers > 0 {
				b.ReportMetric(float64(events.Load()-told)/float64(watchers)/took.Seconds(), "told/s")
			}
			cancel()
			watching.Wait()
		})
	}
}
