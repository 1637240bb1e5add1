package ingest_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// checkParsed holds what every parser promises: an accepted line is a valid record in the form that Decode gives, and
// an error is one that may be shown.
func checkParsed(t *testing.T, r whosaw.Record, err error) {
	t.Helper()
	if err != nil {
		if _, ok := err.(*whosaw.RecordError); !ok {
			t.Fatalf("error of type %T", err)
		}
		return
	}
	v := r.Clone()
	if err := v.Validate(testNow); err != nil {
		t.Fatalf("accepted, but not valid: %v", err)
	}
	if d := cmp.Diff(r, v, cmpopts.EquateComparable(ip(""))); d != "" {
		t.Fatalf("not in the form that Decode gives:\n%s", d)
	}
}

func FuzzCombined(f *testing.F) {
	f.Add(`203.0.113.7 - kim ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "cu\"rl\x22" more`)
	f.Add(`a, b c [x] ` + when + ` "\x16\x03" 400 - "`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseLine(ingest.FormatCombined, "", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzPresets(f *testing.F) {
	f.Add(0, `{"time_iso8601":"2026-05-17T10:05:03+00:00","remote_addr":"203.0.113.7","request":"GET /u HTTP/1.1","status":"200","body_bytes_sent":1}`)
	f.Add(1, `{"start_time":"2026-05-17T10:05:03.000Z","method":"GET","path":"/u","response_code":200}`)
	f.Add(2, `{"StartUTC":"2026-05-17T10:05:03Z","RequestPath":"/u\u0041","DownstreamStatus":200}`)
	f.Add(3, `{"ts":1779012303.0004,"request":{"client_ip":"::1","headers":{"User-Agent":["curl\ud83d\ude00"]}},"status":200}`)
	formats := []string{ingest.FormatNginx, ingest.FormatEnvoy, ingest.FormatTraefik, ingest.FormatCaddy}
	f.Fuzz(func(t *testing.T, n int, line string) {
		r, err := ingest.ParseLine(formats[uint(n)%4], "", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzMapped(f *testing.F) {
	f.Add(`{"ts":1779012303000,"http":{"method":"GET","url":"/orders","status":200},"customer":[7,"8"],"shown":"a, b","masked":["c"],"geo":{"cc":"kr","asn":"AS1"}}`)
	f.Add(`{"ts":1e3,"size":1.0,"others":-0,"user.id":"\x41"}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseLine("", shopMapping+"jwt: auth\n", line, testNow)
		checkParsed(t, r, err)
	})
}

func FuzzMappingFile(f *testing.F) {
	f.Add(shopMapping)
	f.Add("version: 1\ntime: {member: [a, b], layout: '2006'}\njwt: {member: t, prefix: x}\n")
	f.Fuzz(func(t *testing.T, text string) { _ = ingest.CheckMapping(text) })
}

func FuzzCloudTrail(f *testing.F) {
	f.Add(`{"eventID":"e","eventTime":"2026-05-17T10:05:03Z","eventSource":"s3.amazonaws.com","eventName":"CopyObject","requestParameters":{"key":"k","bucketName":"b","x-amz-copy-source":"a/b?c"}}`)
	f.Add(`{"@timestamp":"2026-05-17T10:05:03Z","eventSource":"s","eventName":"n","errorCode":"NoSuchKey","userIdentity":{"type":"AssumedRole","arn":"a:assumed-role/b/c"}}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := ingest.ParseLine(ingest.FormatCloudTrail, "", line, testNow)
		checkParsed(t, r, err)
	})
}

// FuzzRead gives any bytes to the whole reader: every line is counted, positions are those of the lines, and it does
// not matter how the bytes arrive.
func FuzzRead(f *testing.F) {
	f.Add(uint8(0), []byte(recs(0, 3)+"\xef\xbb\xbf\n \r\n\x00\n{}"))
	f.Add(uint8(0), []byte("["+rec(1)+","+rec(2)+"]"))
	f.Add(uint8(1), []byte(`203.0.113.7 - - `+when+` "GET /users/7 HTTP/1.1" 200 1 "-" "curl"`))
	f.Add(uint8(6), []byte(`{"Records":[{"eventTime":"2026-05-17T10:05:03Z","eventSource":"s","eventName":"n"}], "a":[`))
	f.Add(uint8(0), []byte(gz(recs(0, 2))))
	formats := []string{ingest.FormatRecords, ingest.FormatCombined, ingest.FormatNginx, ingest.FormatEnvoy, ingest.FormatTraefik, ingest.FormatCaddy, ingest.FormatCloudTrail}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		o := ingest.Options{Format: formats[int(n)%len(formats)], Source: "s", Now: testNow, Stdin: bytes.NewReader(data), RejectFile: filepath.Join(dir, "r"), Workers: 1}
		p, err := ingest.NewPlan(context.Background(), []string{ingest.Stdin}, o)
		if err != nil {
			return
		}
		got := readPlan(t, p, o)
		o.Stdin = &drip{s: string(data)}
		if p, err = ingest.NewPlan(context.Background(), []string{ingest.Stdin}, o); err != nil {
			t.Fatalf("dripping: %v", err)
		}
		again := readPlan(t, p, o)
		same(t, "dripping", got.records, again.records)
		if got.Rejected != again.Rejected {
			t.Fatalf("dripping: %d rejected, want %d", again.Rejected, got.Rejected)
		}
		if got.Inputs[0].Compression != "" {
			return
		}
		starts := lineStarts(data)
		elements := looksLikeElements(o.Format, data)
		if !elements && got.Lines != int64(len(starts)) {
			t.Fatalf("%d lines, want %d", got.Lines, len(starts))
		}
		for i := range got.records {
			if at := got.records[i].Position; !elements && !starts[at] || elements && data[at] != '{' {
				t.Fatalf("no line begins at %d", at)
			}
			if delete(starts, got.records[i].Position); elements {
				starts[got.records[i].Position] = true
			}
		}
		for _, r := range got.rejects {
			if !elements && !starts[r.Position] {
				t.Fatalf("no rejected line begins at %d", r.Position)
			}
		}
	})
}

// lineStarts finds the lines that are not blank.
func lineStarts(data []byte) map[int64]bool {
	starts := map[int64]bool{}
	at := 0
	for i, line := range strings.SplitAfter(string(data), "\n") {
		start := at
		at += len(line)
		if text, ok := strings.CutPrefix(line, "\xef\xbb\xbf"); ok && i == 0 {
			line, start = text, start+3
		}
		if strings.Trim(line, " \t\r\n\v\f") != "" {
			starts[int64(start)] = true
		}
	}
	return starts
}

// looksLikeElements is generous: the count of elements is not checked here.
func looksLikeElements(format string, data []byte) bool {
	s := strings.TrimLeft(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), " \t\r\n")
	return format != ingest.FormatCombined && (strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{") && strings.Contains(s, `"Records"`))
}
