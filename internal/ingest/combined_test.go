package ingest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const when = "[17/May/2026:10:05:03 +0000]"

const whenMS = 1779012303000

func TestCombinedAccepts(t *testing.T) {
	base := whosaw.Record{Time: whenMS, IP: ip("203.0.113.7"), Method: "GET", Path: "/users/7?x=1", Status: 200, Bytes: 1436, Agent: "curl/8.0"}
	with := func(change func(*whosaw.Record)) whosaw.Record {
		r := base
		change(&r)
		return r
	}
	for _, c := range []struct {
		name, line string
		want       whosaw.Record
	}{
		{"combined", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"common", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436`, with(func(r *whosaw.Record) { r.Agent = "" })},
		{"zone", `203.0.113.7 - - [17/May/2026:12:35:03 +0230] "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"zone west", `203.0.113.7 - - [17/May/2026:03:05:03 -0700] "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"fraction", `203.0.113.7 - - [17/May/2026:10:05:03.0789 +0000] "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Time += 78 })},
		{"time in RFC 3339", `203.0.113.7 - - [2026-05-17T12:05:03+02:00] "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"user", `203.0.113.7 - kim ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Principal = "user:kim" })},
		{"user with a space and a bracket", `203.0.113.7 - kim [a] lee ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Principal = "user:kim [a] lee" })},
		{"empty user", `203.0.113.7 - "" ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"virtual host", `shop.example:443 203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"forwarded list", `198.51.100.9, 203.0.113.7, 10.0.0.3 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"host name", `h7.example.net - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.IP = ip("") })},
		{"IPv6", `2001:db8::7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.IP = ip("2001:db8::7") })},
		{"IPv6 in brackets with port", `[2001:db8::7]:1234 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.IP = ip("2001:db8::7") })},
		{"IPv6 with zone", `fe80::7%eth0 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.IP = ip("fe80::7") })},
		{"mapped IPv4", `::ffff:203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"trailing members", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0" "198.51.100.1" 0.003 "open`, base},
		{"time between size and referer", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 0.003 "https://a/" "curl/8.0"`, base},
		{"agent without referer", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "curl/8.0"`, base},
		{"referer without agent", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "https://a/"`,
			with(func(r *whosaw.Record) { r.Agent = "" })},
		{"no size", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 - "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Bytes = 0 })},
		{"no answer", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 000 0 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Bytes, r.Status = 0, 0 })},
		{"escaped quotes", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "a \" b" "c\"u\\rl \x22"`,
			with(func(r *whosaw.Record) { r.Agent = `c"u\rl "` })},
		{"bare quotes in the agent", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "cu"r"l"`,
			with(func(r *whosaw.Record) { r.Agent = `cu"r"l` })},
		{"UTF-8 in escapes", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "\xC3\xA9"`,
			with(func(r *whosaw.Record) { r.Agent = "é" })},
		{"other bytes in escapes", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "\xE9\x07\n"`,
			with(func(r *whosaw.Record) { r.Agent = `\xE9\x07\n` })},
		{"other bytes", `203.0.113.7 - - ` + when + ` "GET /users/7?x=1 HTTP/1.1" 200 1436 "-" "` + "\xe9" + `"`,
			with(func(r *whosaw.Record) { r.Agent = `\xE9` })},
		{"spaces in the path", `203.0.113.7 - - ` + when + ` "GET /a b c HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Path = "/a b c" })},
		{"HTTP/0.9", `203.0.113.7 - - ` + when + ` "GET /a" 200 1436 "-" "curl/8.0"`, with(func(r *whosaw.Record) { r.Path = "/a" })},
		{"absolute form", `203.0.113.7 - - ` + when + ` "GET http://shop.example/users/7?x=1 HTTP/1.1" 200 1436 "-" "curl/8.0"`, base},
		{"absolute form without path", `203.0.113.7 - - ` + when + ` "GET http://shop.example HTTP/1.1" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Path = "/" })},
		{"bytes of TLS", `203.0.113.7 - - ` + when + ` "\x16\x03\x01\x00\xEE\x01" 400 1436 "-" "-"`,
			with(func(r *whosaw.Record) { r.Method, r.Path, r.Route, r.Status, r.Agent = "", "", "(no request)", 400, "" })},
		{"no request", `203.0.113.7 - - ` + when + ` "-" 408 - "-" "-"`,
			with(func(r *whosaw.Record) {
				r.Method, r.Path, r.Route, r.Status, r.Bytes, r.Agent = "", "", "(no request)", 408, 0, ""
			})},
		{"CONNECT", `203.0.113.7 - - ` + when + ` "CONNECT a.example:443 HTTP/1.1" 405 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Method, r.Path, r.Route, r.Status = "", "", "(no request)", 405 })},
		{"OPTIONS *", `203.0.113.7 - - ` + when + ` "OPTIONS * HTTP/1.0" 200 1436 "-" "curl/8.0"`,
			with(func(r *whosaw.Record) { r.Method, r.Path = "OPTIONS", "*" })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ingest.ParseLine(ingest.FormatCombined, "", c.line, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(ip(""))); d != "" {
				t.Error(d)
			}
			valid := got.Clone()
			if err := valid.Validate(testNow); err != nil {
				t.Errorf("not a valid record: %v", err)
			}
			if d := cmp.Diff(got, valid, cmpopts.EquateComparable(ip(""))); d != "" {
				t.Errorf("not in the form that Decode gives:\n%s", d)
			}
		})
	}
}

func TestCombinedRejects(t *testing.T) {
	for _, c := range []struct{ name, line, reason string }{
		{"prose", `what is this`, "no time in brackets"},
		{"only a time", when, "no request in quotes"},
		{"cut in the time", `203.0.113.7 - - [17/May/2026:10:0`, "no time in brackets"},
		{"month", `203.0.113.7 - - [17/Mai/2026:10:05:03 +0000] "GET / HTTP/1.1" 200 1`, "cannot be read"},
		{"31 April", `203.0.113.7 - - [31/Apr/2026:10:05:03 +0000] "GET / HTTP/1.1" 200 1`, "cannot be read"},
		{"hour 25", `203.0.113.7 - - [17/May/2026:25:05:03 +0000] "GET / HTTP/1.1" 200 1`, "cannot be read"},
		{"1970", `203.0.113.7 - - [01/Jan/1970:00:00:03 +0000] "GET / HTTP/1.1" 200 1`, "before 2000"},
		{"9999", `203.0.113.7 - - [01/Jan/9999:00:00:03 +0000] "GET / HTTP/1.1" 200 1`, "ahead of the clock"},
		{"cut after the time", `203.0.113.7 - - ` + when, "no request in quotes"},
		{"cut in the request", `203.0.113.7 - - ` + when + ` "GET /users`, "closing quote of the request"},
		{"cut after the request", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1"`, "before the status"},
		{"cut after the status", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200`, "before the size"},
		{"cut in the referer", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200 1 "https://a`, "closing quote of the referer"},
		{"cut in the agent", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200 1 "-" "curl`, "closing quote of the agent"},
		{"agent ends with an escaped quote", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200 1 "-" "curl\"`, "closing quote of the agent"},
		{"status of words", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" OK 1 "-" "curl"`, "three digits"},
		{"size of words", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200 many "-" "curl"`, "can be a size"},
		{"size beyond reason", `203.0.113.7 - - ` + when + ` "GET /users HTTP/1.1" 200 99999999999999999 "-" "curl"`, "can be a size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ingest.ParseLine(ingest.FormatCombined, "", c.line, testNow)
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("error %v, want one with %q", err, c.reason)
			}
		})
	}
}
