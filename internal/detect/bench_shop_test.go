package detect_test

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/sim"
)

const (
	shopCustomers = 100_000
	shopDays      = 2 // that are measured, after the warm-up
	shopBatch     = 2048
)

// BenchmarkShop runs the honest shop of package sim through all detectors that a server turns on without being told more: as it
// is, without the reasons of staff, partners and programs, and without log-ins, where nothing explains what customers open. The
// warm-up days are not measured: baselines are learnt and units are known then. Maccesses/cpu-s is by processor time, the collector's
// included; quiet is that of the fastest tenth of the batches, the collector's left out: what others on the machine do to its caches is least in it.
func BenchmarkShop(b *testing.B) {
	for _, c := range []struct {
		name     string
		scenario string
		without  whosaw.Type
	}{
		{"all", "honest", whosaw.TypeAccess},
		{"no-reasons", "honest", whosaw.TypeReason},
		{"no-log-ins", "honest", whosaw.TypeIssuance},
		{"stolen-key", "stolen-key", whosaw.TypeAccess},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took time.Duration
			var pace []float64
			accesses, mallocs, bytes := 0, uint64(0), uint64(0)
			for b.Loop() {
				s := newShopLines(b, c.scenario, c.without)
				d, m, n := s.measure(b)
				took, mallocs, bytes = took+d, mallocs+m, bytes+n
				accesses += s.accesses
				pace = append(pace, s.pace...)
			}
			b.ReportMetric(float64(accesses)/took.Seconds()/1e6, "Maccesses/cpu-s")
			b.ReportMetric(float64(mallocs)/float64(accesses), "allocs/access")
			b.ReportMetric(fastest(pace), "Mquiet/cpu-s")
			b.ReportMetric(float64(bytes)/float64(accesses), "B/access")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// shopLines is an engine after the warm-up, and the lines that come next.
type shopLines struct {
	e        *detect.Engine
	without  whosaw.Type // access: nothing is left out
	decoder  whosaw.Decoder
	batch    []whosaw.Record
	seq      uint64
	findings int

	text     []byte
	ends     []int
	accesses int
	pace     []float64 // nanoseconds an access, by batch
}

// shopEnd is after every record.
var shopEnd = sim.Example().Start + 400*day

func newShopLines(b *testing.B, scenario string, without whosaw.Type) *shopLines {
	s := &shopLines{e: detect.New(detect.Config{}, catalog.Rules()), without: without, batch: make([]whosaw.Record, 0, shopBatch)}
	from := sim.Example().Start
	_, err := sim.Run(sim.Config{
		Scenario: scenario, Seed: 1, Customers: shopCustomers, Days: shopDays, Start: from,
		Observe: func(line []byte, _ sim.Label) error {
			if len(s.text) > 0 {
				s.keep(line)
				return nil
			}
			r, err := s.decode(line)
			switch {
			case err != nil || r == nil:
				return err
			case r.Type == whosaw.TypeAccess && r.Time >= from:
				s.batch = s.batch[:len(s.batch)-1]
				s.keep(line)
				s.observe()
			case len(s.batch) == shopBatch:
				s.observe()
			}
			return nil
		},
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *shopLines) keep(line []byte) {
	s.text = append(s.text, line...)
	s.ends = append(s.ends, len(s.text))
}

// decode adds a record to the batch, nil if it is one of those left out.
func (s *shopLines) decode(line []byte) (*whosaw.Record, error) {
	s.batch = s.batch[:len(s.batch)+1]
	r := &s.batch[len(s.batch)-1]
	if err := s.decoder.Decode(line, shopEnd, r); err != nil {
		return nil, err
	}
	if s.lacks(r) {
		s.batch = s.batch[:len(s.batch)-1]
		return nil, nil
	}
	return r, nil
}

// lacks reports whether a record is left out, with those that speak of such records.
func (s *shopLines) lacks(r *whosaw.Record) bool {
	if r.Type == whosaw.TypeFeed && r.Ref != nil {
		return r.Ref.Of == s.without.String()
	}
	return s.without != whosaw.TypeAccess && r.Type == s.without
}

func (s *shopLines) observe() {
	s.e.ObserveBatch(s.batch, func(int) uint64 { s.seq++; return s.seq }, func(int, whosaw.Finding) { s.findings++ })
	s.batch = s.batch[:0]
}

// measure observes what was kept: the processor time, objects and bytes that took, decoding left out.
func (s *shopLines) measure(b *testing.B) (took time.Duration, mallocs, bytes uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	s.accesses = 0
	before := cpu()
	var decoding time.Duration
	var from, to runtime.MemStats
	at := 0
	for i := 0; i < len(s.ends); {
		began, before := threadTime(), s.accesses
		for ; i < len(s.ends) && len(s.batch) < shopBatch; i++ {
			r, err := s.decode(s.text[at:s.ends[i]])
			if err != nil {
				b.Fatal(err)
			}
			if at = s.ends[i]; r != nil && r.Type == whosaw.TypeAccess {
				s.accesses++
			}
		}
		runtime.ReadMemStats(&from)
		decoding += threadTime() - began
		now := threadTime()
		s.observe()
		began = threadTime()
		if n := s.accesses - before; n > 0 {
			s.pace = append(s.pace, float64(began-now)/float64(n))
		}
		runtime.ReadMemStats(&to)
		mallocs, bytes = mallocs+to.Mallocs-from.Mallocs, bytes+to.TotalAlloc-from.TotalAlloc
		decoding += threadTime() - began
	}
	return cpu() - before - decoding, mallocs, bytes
}

// fastest gives the speed of the fastest tenth of batches, in millions a second.
func fastest(pace []float64) float64 {
	slices.Sort(pace)
	return 1e3 / pace[len(pace)/10]
}

// threadTime is the processor time of the thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// cpu is the processor time of the process, the collector's included: on a shared machine the clock tells how busy others are.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
