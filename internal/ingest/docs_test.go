package ingest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// TestDocumentedMapping reads the document's example line by the document's example mapping.
func TestDocumentedMapping(t *testing.T) {
	data, err := os.ReadFile("../../docs/formats/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		_, rest, _ := strings.Cut(string(data), "```"+kind+"\n")
		text, _, ok := strings.Cut(rest, "```")
		if !ok {
			t.Fatalf("no %s in the document", kind)
		}
		return text
	}
	got, err := ingest.ParseLine("", block("yaml"), strings.TrimSpace(block("json")), testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := whosaw.Record{
		Time: whenMS, Realm: "eu", Subjects: []string{"10482213"}, Method: "GET", Path: "/orders?page=2", Fields: []string{"name", "phone"}, Status: 200,
		Principal: "staff:kim", Credential: "s-1", IP: ip("203.0.113.7"), Agent: "curl/8.0", Bytes: 1436, Request: "r-1",
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(ip(""))); d != "" {
		t.Error(d)
	}
	for _, format := range ingest.Formats() {
		if !strings.Contains(string(data), "| `"+format+"` |") {
			t.Errorf("the document does not list %s", format)
		}
	}
}

// TestOddRequests are lines that nginx 1.22 wrote: bytes of TLS, a path and an agent that are not UTF-8.
func TestOddRequests(t *testing.T) {
	text := `{"time_iso8601":"2026-05-17T10:05:03+00:00","remote_addr":"203.0.113.7","request":"\u0016\u0003\u0001\u0000` + "\xee" + `\u0001","status":"400","body_bytes_sent":"157","http_user_agent":""}
{"time_iso8601":"2026-05-17T10:05:03+00:00","remote_addr":"203.0.113.7","request":"GET /users/7/a\"b` + "\xff" + ` HTTP/1.0","status":"200","body_bytes_sent":"2","http_user_agent":"x\ty` + "\xfe" + `"}
{"msec":1779012303.782,"remote_addr":"203.0.113.7","request_method":"-","request_uri":"-","status":400,"body_bytes_sent":157,"http_user_agent":"-"}
{"msec":1779012303.787,"remote_addr":"203.0.113.7","request_method":"GET","request_uri":"/users/7/a\x22b\xFF","status":200,"body_bytes_sent":2,"http_user_agent":"x\x09y\xFE"}
`
	got := read(t, ingest.Options{}, file(t, "log", text))
	if got.Accepted != 4 || got.Inputs[0].Format != ingest.FormatNginx {
		t.Fatalf("%+v", got.Summary)
	}
	for i, want := range []string{"(no request)", "GET ", "(no request)", "GET "} {
		if r := &got.records[i]; !strings.HasPrefix(r.Route, want) || want == "GET " && (len(r.Subjects) != 1 || r.Agent != "x\ty\\xFE") {
			t.Errorf("record %d: %s %q %q", i, r.Route, r.Subjects, r.Agent)
		}
	}
}
