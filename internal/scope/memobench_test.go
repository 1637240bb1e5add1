package scope_test

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

var memoLedger = flag.String("scope.ledger", "", "a directory with a ledger for BenchmarkMemo, as bench/ makes one with -dir")

// processor is how much processor time the process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemo asks over a ledger what pages ask: first what nothing is kept of (first-ms of wall time, first-cpu-ms of processor time), then again and again.
func BenchmarkMemo(b *testing.B) {
	if *memoLedger == "" {
		b.Skip("give a ledger with -scope.ledger")
	}
	l, err := ledger.Open(ledger.Config{Dir: *memoLedger})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	blocks := index.Attach(l, false)
	defer blocks.Close()
	memo := scope.NewMemo(384 << 20)
	var known scope.Known
	for _, x := range []struct {
		name   string
		filter whosaw.Filter
	}{{"key", whosaw.Filter{{Key: []string{"login-2024-b"}}}}, {"key-route", whosaw.Filter{{Key: []string{"login-2024-b"}, Route: []string{"GET /me"}}}}, {"all", whosaw.Filter{{}}}} {
		for _, ask := range []struct {
			name string
			ask  func(e *scope.Engine) error
		}{
			{"count", func(e *scope.Engine) error {
				_, _, err := memo.Count(b.Context(), e, x.filter, time.Time{})
				return err
			}},
			{"page", func(e *scope.Engine) error {
				_, _, err := memo.Page(b.Context(), e, x.filter, 0, 20, time.Time{})
				return err
			}},
			{"course", func(e *scope.Engine) error {
				_, _, err := memo.Course(b.Context(), e, x.filter, time.Time{})
				return err
			}},
			{"route", func(e *scope.Engine) error {
				_, _, _, err := memo.Values(b.Context(), e, "route", x.filter, 10, time.Time{})
				return err
			}},
			{"network", func(e *scope.Engine) error {
				_, _, _, err := memo.Values(b.Context(), e, "network", x.filter, 10, time.Time{})
				return err
			}},
			{"ip", func(e *scope.Engine) error {
				_, _, _, err := memo.Values(b.Context(), e, "ip", x.filter, 10, time.Time{})
				return err
			}},
		} {
			var first, firstCPU time.Duration
			look := func() {
				view, err := l.View(0)
				if err != nil {
					b.Fatal(err)
				}
				defer view.Close()
				if err := ask.ask(scope.New(view, catalog.Rules(), scope.Config{Index: blocks, Known: &known})); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(x.name+"/"+ask.name, func(b *testing.B) {
				if first == 0 {
					began, before := time.Now(), processor()
					look()
					first, firstCPU = time.Since(began), processor()-before
				}
				before := processor()
				for b.Loop() {
					look()
				}
				b.ReportMetric(float64((processor()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(first.Microseconds())/1000, "first-ms")
				b.ReportMetric(float64(firstCPU.Microseconds())/1000, "first-cpu-ms")
			})
		}
	}
}
