package detect_test

import (
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// BenchmarkMemory prints what the engine holds for each of ten million principals: customers who log in (an issuance) and open their own page,
// of whom one in ten comes without an issuance, so that nothing explains it. Run it with -benchtime 1x.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for range b.N {
				measureMemory(b, n)
			}
		})
	}
}

func measureMemory(b *testing.B, n int) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e := detect.New(detect.Config{}, nil)
	e.KeepIssued(filepath.Join(b.TempDir(), "memory.issued"))
	batch := make([]whosaw.Record, 0, 64)
	seq := uint64(0)
	flush := func() {
		e.ObserveBatch(batch, func(int) uint64 { seq++; return seq }, func(_ int, f whosaw.Finding) { b.Fatalf("finding on honest traffic: %s %s", f.Detector, f.Unit) })
		batch = batch[:0]
	}
	for i := range n {
		t := start + int64(i)*30*day/int64(n)
		id := strconv.Itoa(1 + i)
		who, session := "customer:"+id, "s"+id
		if i%10 != 0 {
			batch = append(batch, whosaw.Record{Type: whosaw.TypeIssuance, Time: t, Credential: session, Key: "main", Subjects: []string{id}, Ref: &whosaw.Reference{}})
		} else {
			session = ""
		}
		batch = append(batch, whosaw.Record{
			Time: t + second, Route: "GET /me", Subjects: []string{id}, Outcome: whosaw.OutcomeDisclosed, Principal: who, Credential: session, Key: "main",
			IP: ip(i * 7919 % (1 << 24)), ASN: uint32(4760 + i%5), Country: "KR", Agent: chrome,
		})
		if len(batch) >= 62 {
			flush()
		}
	}
	flush()
	batch = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	load := e.Load()
	held := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	b.ReportMetric(held/float64(n), "bytes/principal")
	b.ReportMetric(float64(load.ArchivedFiles)/float64(n), "file-bytes/principal")
	b.ReportMetric(float64(len(detect.SaveState(b, e)))/float64(n), "state-bytes/principal")
	b.Logf("%d principals: %+v", n, load)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
