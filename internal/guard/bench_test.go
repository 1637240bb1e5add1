package guard_test

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

var credentials = flag.Int("whosaw.credentials", 1_000_000, "issued credentials that BenchmarkCredentials holds")

// BenchmarkDecide judges requests with credentials that were seen before, with a thousand decisions standing; and at first sight.
func BenchmarkDecide(b *testing.B) {
	w := newWorld(b)
	w.complete()
	const n = 10_000
	tokens := make([]guard.Secret, n)
	for i := range tokens {
		tokens[i] = w.issue(fmt.Sprintf("jti-%016x", i), fmt.Sprint(i))
	}
	for i := range 1000 {
		if _, err := w.g.Book().Add(b.Context(), guard.Standing{
			Action: guard.Deny, Filter: whosaw.Filter{{Principal: []string{fmt.Sprint("customer:x", i)}}}, Reason: "bench", Who: "bench",
		}, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
	for range 2 {
		for _, t := range tokens {
			if d := w.g.Decide(b.Context(), ask(t)); d.Action != guard.Allow {
				b.Fatal(d.Reasons)
			}
		}
	}
	b.Run("seen", func(b *testing.B) {
		b.ReportAllocs()
		i, cpu := 0, processor()
		for b.Loop() {
			w.g.Decide(b.Context(), ask(tokens[i%n]))
			i++
		}
		b.ReportMetric(float64((processor()-cpu).Nanoseconds())/float64(i), "cpu-ns/op")
	})
	b.Run("seen, all processors", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				w.g.Decide(b.Context(), ask(tokens[i*7919%n]))
			}
		})
	})
	b.Run("first sight", func(b *testing.B) {
		fresh := make([]guard.Secret, 0, 4096)
		for i := range cap(fresh) {
			fresh = append(fresh, w.issue(fmt.Sprintf("new-%016x", i), fmt.Sprint(i)))
		}
		i, n, cpu := 0, 0, time.Duration(0)
		for b.Loop() {
			if i == len(fresh) { // all were seen: forget them
				b.StopTimer()
				w.open()
				i = 0
				b.StartTimer()
			}
			was := processor()
			w.g.Decide(b.Context(), ask(fresh[i]))
			cpu += processor() - was
			i++
			n++
		}
		b.ReportMetric(float64(cpu.Nanoseconds())/float64(n), "cpu-ns/op")
	})
}

// BenchmarkCredentials holds issued credentials and says what each costs in memory.
func BenchmarkCredentials(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := guard.NewState(0)
		before := heap()
		b.StartTimer()
		const batch = 1000
		records := make([]whosaw.Record, batch)
		for first := 0; first < *credentials; first += batch {
			for i := range records {
				n := first + i
				records[i] = whosaw.Record{
					Type: whosaw.TypeIssuance, Time: 1795000000000 + int64(n), Credential: fmt.Sprintf("%016x", uint64(n)*0x9e3779b97f4a7c15), Key: "login-2026-a",
					Subjects: []string{fmt.Sprint(n % (*credentials / 2))},
				}
			}
			s.Apply(records, func(i int) guard.Place { return guard.Place{Sequence: uint64(first + i + 1)} })
		}
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(*credentials), "bytes/credential")
		runtime.KeepAlive(s)
		b.StartTimer()
	}
}

// processor is the processor time of this process: on a machine that others use it says what wall time cannot.
func processor() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
