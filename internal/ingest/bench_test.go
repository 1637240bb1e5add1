package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const benchLines = 200_000

func benchRecordLines() []byte {
	var b bytes.Buffer
	for i := range benchLines {
		fmt.Fprintf(&b, `{"time":%d,"subject":"%d","route":"GET /me/addresses","status":200,"principal":"customer:%d","credential":"c-%08x","key":"login-2026-a","ip":"203.0.%d.%d","agent":"Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0","bytes":%d}`+"\n",
			testNow-int64(benchLines-i)*7, 10_000_000+i*7919%90_000, 10_000_000+i*7919%90_000, i, i>>8&255, i&255, 500+i%1000)
	}
	return b.Bytes()
}

func benchCombinedLines() []byte {
	var b bytes.Buffer
	for i := range benchLines {
		fmt.Fprintf(&b, `203.0.%d.%d - - [17/May/2026:10:%02d:%02d +0000] "GET /users/%d/orders?page=%d HTTP/1.1" 200 %d "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0"`+"\n",
			i>>8&255, i&255, i/60%60, i%60, 10_000_000+i*7919%90_000, i%9, 500+i%1000)
	}
	return b.Bytes()
}

func benchEnvoyLines() []byte {
	var b bytes.Buffer
	for i := range benchLines {
		fmt.Fprintf(&b, `{"start_time":"2026-05-17T10:%02d:%02d.%03dZ","method":"GET","path":"/users/%d/orders","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","bytes_received":0,"bytes_sent":%d,"duration":12,"x_forwarded_for":"203.0.113.%d","user_agent":"Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0","request_id":"%032x","authority":"shop.example","upstream_host":"10.0.0.7:8080"}`+"\n",
			i/60%60, i%60, i%1000, 10_000_000+i*7919%90_000, 500+i%1000, i&255, i)
	}
	return b.Bytes()
}

func pack(b *testing.B, how string, data []byte) []byte {
	var out bytes.Buffer
	switch how {
	case "gzip":
		z := gzip.NewWriter(&out)
		z.Write(data)
		z.Close()
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			b.Fatal(err)
		}
		z.Write(data)
		z.Close()
	default:
		return data
	}
	return out.Bytes()
}

// BenchmarkRead is the whole way: open, split, decode, resolve, sort, emit.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name, how string
		lines     func() []byte
		memory    int
	}{
		{"records", "", benchRecordLines, 0},
		{"records-gzip", "gzip", benchRecordLines, 0},
		{"records-zstd", "zstd", benchRecordLines, 0},
		{"records-spilled", "", benchRecordLines, benchLines / 8},
		{"combined", "", benchCombinedLines, 0},
		{"envoy", "", benchEnvoyLines, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			raw := c.lines()
			path := filepath.Join(b.TempDir(), "log")
			if err := os.WriteFile(path, pack(b, c.how, raw), 0o600); err != nil {
				b.Fatal(err)
			}
			o := ingest.Options{Now: testNow, MemoryRecords: c.memory, TempDir: b.TempDir()}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				p, err := ingest.NewPlan(context.Background(), []string{path}, o)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				if _, err := ingest.Read(context.Background(), p, o, func(batch []whosaw.Record) error { n += len(batch); return nil }); err != nil {
					b.Fatal(err)
				}
				if n != benchLines {
					b.Fatalf("%d records", n)
				}
			}
			b.ReportMetric(float64(b.N)*benchLines/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkSmallFiles is a directory the way CloudTrail fills it.
func BenchmarkSmallFiles(b *testing.B) {
	dir := b.TempDir()
	const files = 1000
	for i := range files {
		write(b, fmt.Sprintf("%s/%d/%d.gz", dir, i/100, i), gz(recs(i*20, i*20+20)))
	}
	o := ingest.Options{Now: testNow}
	b.ReportAllocs()
	for b.Loop() {
		p, err := ingest.NewPlan(context.Background(), []string{dir}, o)
		if err != nil {
			b.Fatal(err)
		}
		if s, err := ingest.Read(context.Background(), p, o, func([]whosaw.Record) error { return nil }); err != nil || s.Accepted != files*20 {
			b.Fatal(s, err)
		}
	}
	b.ReportMetric(float64(b.N)*files/b.Elapsed().Seconds(), "files/s")
}
