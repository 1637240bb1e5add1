package detect_test

import (
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// BenchmarkFeedStands is a feed that stands still while 100,000 sessions begin, and then catches up log-in by log-in.
func BenchmarkFeedStands(b *testing.B) {
	const sessions = 100_000
	for b.Loop() {
		e := detect.New(detect.Config{}, nil)
		seq := uint64(0)
		observe := func(r whosaw.Record) {
			seq++
			e.Observe(seq, &r)
		}
		login := func(i int) whosaw.Record {
			return issuance(start+int64(i)*100, "s"+strconv.Itoa(i), "main", i)
		}
		for i := range 2000 {
			observe(login(i))
		}
		for i := 2000; i < sessions; i++ {
			r := get(start+int64(i)*100+1, i, true)
			r.Key, r.Credential, r.Principal = "main", "s"+strconv.Itoa(i), "customer:"+strconv.Itoa(i)
			observe(r)
		}
		for i := 2000; i < sessions; i++ {
			observe(login(i))
		}
		if w := e.Status()[0].Waiting; w > 700 {
			b.Fatalf("%d still wait", w)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*sessions), "ns/record")
}
