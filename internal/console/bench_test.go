package console_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
)

var (
	benchAccesses = flag.Int("console.accesses", 500_000, "accesses in the ledger of BenchmarkPages")
	benchLedger   = flag.String("console.ledger", "", "a directory with a ledger for BenchmarkPages, as bench/ makes one with -dir; the detectors read it meanwhile")
)

// BenchmarkPages asks for pages over a ledger, warm: milliseconds of wall time and of processor time each.
func BenchmarkPages(b *testing.B) {
	s := newSite(b)
	if *benchLedger == "" {
		s.million(*benchAccesses)
		check(b, s.ledger.Seal(b.Context()))
		check(b, s.live.CaughtUp(b.Context()))
	} // else the detectors read on meanwhile, on a core of their own
	s.signIn()
	var paths []string
	found, _, err := s.alarms.Findings(b.Context(), alarmAll)
	check(b, err)
	for i := range found[:min(3, len(found))] {
		name := fmt.Sprintf("finding-%s /findings/%d", found[i].Finding.Detector, found[i].Number)
		paths = append(paths, name, name+"/figures")
	}
	for name, f := range map[string]whosaw.Filter{
		"key": {{Key: []string{"login-2024-b"}}}, "key-route": {{Key: []string{"login-2024-b"}, Route: []string{"GET /me"}}}, "all": {{}},
	} {
		id, err := s.console.HandleOf(b.Context(), f)
		if err != nil {
			b.Fatal(err)
		}
		for _, part := range []string{"", "/counts", "/list", "/narrow?by=route", "/course"} {
			paths = append(paths, name+" /scope/"+id+part)
		}
	}
	paths = append(paths, "now /", "findings /findings", "server /server", "keys /keys")
	for _, p := range paths {
		var name, path string
		if _, err := fmt.Sscan(p, &name, &path); err != nil {
			b.Fatal(err)
		}
		if len(path) > 23 && path[:7] == "/scope/" {
			name += path[23:]
		}
		b.Run(name, func(b *testing.B) {
			get := func() {
				res, err := s.client.Get(s.url + path)
				if err != nil {
					b.Fatal(err)
				}
				defer res.Body.Close()
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(res.StatusCode, err)
				}
			}
			get()
			before := processor()
			for b.Loop() {
				get()
			}
			b.ReportMetric(float64((processor()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
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
				list := make([]whosaw.Record, 0, 8192)
				for range cap(list) {
					n++
					id := fmt.Sprint(10_000_000 + n%40_000)
					list = append(list, whosaw.Record{
						Time: s.now().UnixMilli(), Source: "gateway-1", Position: n, Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{id},
						Principal: "customer:" + id, Credential: "c" + id, Key: "login-main", IP: netip.AddrFrom4([4]byte{100, 64, byte(n % 40_000 >> 8), byte(n)}),
					})
				}
				s.take("gateway-1", list)
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
