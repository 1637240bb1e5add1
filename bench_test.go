package whosaw_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/whosaw/whosaw"
)

// benchLines are accesses of about 390 bytes, as a shop writes them.
func benchLines() (lines [][]byte, bytes int) {
	routes := []string{"GET /me", "GET /me/addresses", "GET /me/orders", "GET /me/addresses/{id}"}
	fields := []string{`["name","email"]`, `["name","phone","address"]`, `["name","order_history"]`, `["name","phone","address","door_code"]`}
	for i := range 1000 {
		line := fmt.Sprintf(`{"time":%d,"id":"e%015d","subject":"%d","others":%d,"route":"%s","fields":%s,"masked":["door_code2"],"status":200,`+
			`"principal":"customer:%d","credential":"s%012d","key":"login-2024-b","client":"web","ip":"203.0.%d.%d","country":"KR","asn":4766,`+
			`"agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ","bytes":%d}`,
			1794821400250+i, i, i*7919, i%5+1, routes[i%4], fields[i%4], i*7919, i, i%256, i/4, 500+i)
		lines = append(lines, []byte(line))
		bytes += len(line)
	}
	return lines, bytes
}

func BenchmarkDecode(b *testing.B) {
	lines, bytes := benchLines()
	b.Run("whosaw", func(b *testing.B) {
		b.SetBytes(int64(bytes / len(lines)))
		b.ReportAllocs()
		var d whosaw.Decoder
		var r whosaw.Record
		for i := 0; b.Loop(); i++ {
			if err := d.Decode(lines[i%len(lines)], clock, &r); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(bytes / len(lines)))
		b.ReportAllocs()
		type access struct {
			Time                                                                       int64
			ID, Subject, Route, Principal, Credential, Key, Client, IP, Country, Agent string
			Others, Status, ASN, Bytes                                                 int64
			Fields, Masked                                                             []string
		}
		for i := 0; b.Loop(); i++ {
			var r access
			if err := json.Unmarshal(lines[i%len(lines)], &r); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

func BenchmarkEncode(b *testing.B) {
	lines, bytes := benchLines()
	var d whosaw.Decoder
	records := make([]whosaw.Record, len(lines))
	for i, line := range lines {
		if err := d.Decode(line, clock, &records[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(bytes / len(lines)))
	b.ReportAllocs()
	var buf []byte
	for i := 0; b.Loop(); i++ {
		buf = whosaw.AppendJSON(buf[:0], &records[i%len(records)])
	}
}

func BenchmarkValidate(b *testing.B) {
	lines, _ := benchLines()
	var d whosaw.Decoder
	var r whosaw.Record
	if err := d.Decode(lines[7], clock, &r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Validate(clock); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAgentClass(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		whosaw.AgentClass("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.6.1 Mobile/15E148 Safari/604.1")
	}
}
