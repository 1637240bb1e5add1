package sim_test

import (
	"testing"

	"github.com/whosaw/whosaw/internal/sim"
)

// BenchmarkRun is the speed promised: 500,000 accesses a second on two cores.
func BenchmarkRun(b *testing.B) {
	cfg := sim.Config{Scenario: "stolen-key", Seed: 1, Customers: 100_000, Days: 2, Start: start}
	accesses, bytes := int64(0), int64(0)
	for b.Loop() {
		w := &counter{}
		truth, err := sim.Run(cfg, w)
		if err != nil {
			b.Fatal(err)
		}
		accesses += truth.All.Accesses
		bytes += w.n
	}
	b.ReportMetric(float64(accesses)/b.Elapsed().Seconds(), "accesses/s")
	b.SetBytes(bytes / int64(b.N))
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
