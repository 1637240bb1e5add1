package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/sim"
)

// benchLog is a log of the simulated shop with some 0.9 million records, made once a run, plain and gzipped.
var benchLog = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "whosaw-bench-"); err != nil {
		return "", err
	}
	plain, err := os.Create(filepath.Join(dir, "access.jsonl"))
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(plain, 1<<20)
	if _, err := sim.Run(sim.Config{Scenario: "stolen-key", Seed: 5, Customers: 18_000, Days: 7, Start: sim.Example().Start}, w); err != nil {
		return "", err
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	if _, err := plain.Seek(0, 0); err != nil {
		return "", err
	}
	zipped, err := os.Create(filepath.Join(dir, "access.jsonl.gz"))
	if err != nil {
		return "", err
	}
	gz := gzip.NewWriter(zipped)
	if _, err := plain.WriteTo(gz); err != nil {
		return "", err
	}
	if err := gz.Close(); err != nil {
		return "", err
	}
	if err := zipped.Close(); err != nil {
		return "", err
	}
	return dir, plain.Close()
})

func benchLogs(b *testing.B, name string) (path string, records int64) {
	b.Helper()
	dir, err := benchLog()
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "access.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, name), int64(strings.Count(string(data), "\n"))
}

// BenchmarkInvestigate is the whole way: read, sort, append to a durable ledger, detect, count, answer.
func BenchmarkInvestigate(b *testing.B) {
	for _, name := range []string{"access.jsonl", "access.jsonl.gz"} {
		b.Run(name, func(b *testing.B) {
			path, records := benchLogs(b, name)
			for b.Loop() {
				m := &Main{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: os.Stderr, Now: func() time.Time { return testNow }}
				data := filepath.Join(b.TempDir(), "case")
				if code := m.Run(b.Context(), []string{"investigate", "--json", "--data", data, path}); code != exitOK {
					b.Fatalf("exit %d", code)
				}
				if err := os.RemoveAll(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkPeerPipeline is what people do today: one question, its key known in advance.
func BenchmarkPeerPipeline(b *testing.B) {
	path, records := benchLogs(b, "access.jsonl.gz")
	for b.Loop() {
		cmd := exec.Command("sh", "-c", `zcat "$1" | grep '"key":"backup-2024"' | grep -o '"subject":"[0-9]*"' | LC_ALL=C sort -u | wc -l`, "sh", path)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
