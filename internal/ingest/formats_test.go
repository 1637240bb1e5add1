package ingest_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const (
	elasticLog = "../../../shared/data/elastic_apache_logs.log"
	trailLog   = "../../../shared/data/otrf_ec2_proxy_s3_exfiltration.json"
)

// shared skips a test that needs real data where they are missing.
func shared(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: the real data are missing: %v", err)
	}
	return path
}

func TestElasticLog(t *testing.T) {
	got := read(t, ingest.Options{}, shared(t, elasticLog))
	if got.Lines != 10_000 || got.Accepted != 9_999 || got.Rejected != 1 {
		t.Fatalf("lines %d, accepted %d, rejected %d", got.Lines, got.Accepted, got.Rejected)
	}
	if f := got.Inputs[0].Format; f != ingest.FormatCombined {
		t.Errorf("format %q", f)
	}
	r := got.rejects[0]
	if r.Line != 8_899 || !strings.Contains(r.Reason, "closing quote") || !strings.Contains(r.Reason, "missing") {
		t.Errorf("reject %+v", r.Reject)
	}
	data, err := os.ReadFile(elasticLog)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data[r.Position:]), r.Raw+"\n") {
		t.Errorf("position %d is not where the line is", r.Position)
	}
	absent := 0
	for i := range got.records {
		if r := &got.records[i]; r.Status == 404 {
			absent++
		} else if !r.IP.IsValid() || r.Route == "" {
			t.Errorf("record at %d has no address or route", r.Position)
		}
	}
	if absent != 213 {
		t.Errorf("%d times 404, want 213", absent)
	}
}

func TestCloudTrailLog(t *testing.T) {
	got := read(t, ingest.Options{}, shared(t, trailLog))
	if got.Lines != 103 || got.Accepted != 103 || got.Inputs[0].Format != ingest.FormatCloudTrail {
		t.Fatalf("%+v", got.Summary)
	}
	checkTrail(t, got)
}

// TestCloudTrailDelivery reads the same events the way CloudTrail delivers them.
func TestCloudTrailDelivery(t *testing.T) {
	data, err := os.ReadFile(shared(t, trailLog))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	want := read(t, ingest.Options{Source: "s"}, trailLog)
	for _, text := range []string{
		`{"Records":[` + strings.Join(lines, ",") + `]}`,
		" \n{ \"Records\" : [\r\n" + strings.Join(lines, "\n ,\n") + "\n]\n, \"more\": {\"a\":[\"]}\"]}}\n",
		`[` + strings.Join(lines, ",") + `]`,
		`{"Records":[` + strings.Join(lines[:50], ",") + `]}` + "\n" + `{"Records":[` + strings.Join(lines[50:], ",") + `]}`,
		`{"Records":[]}` + strings.Join(lines, "\n"),
	} {
		got := read(t, ingest.Options{Source: "s"}, file(t, "trail.json", text))
		if got.Lines != 103 || got.Accepted != 103 || got.Inputs[0].Format != ingest.FormatCloudTrail {
			t.Errorf("%+v", got.Summary)
			continue
		}
		checkTrail(t, got)
		for i := range got.records {
			p := got.records[i].Position
			var e struct {
				ID string `json:"eventID"`
			}
			if err := json.NewDecoder(strings.NewReader(text[p:])).Decode(&e); err != nil || e.ID != got.records[i].ID {
				t.Errorf("position %d is not where the event is: %v", p, err)
			}
		}
		if d := cmp.Diff(want.records, got.records, cmpopts.EquateComparable(ip("")), cmpopts.IgnoreFields(whosaw.Record{}, "Position"),
			cmpopts.SortSlices(func(a, b whosaw.Record) bool { return a.ID < b.ID })); d != "" {
			t.Errorf("the delivered events differ:\n%s", d)
		}
	}
}

func checkTrail(t *testing.T, got result) {
	t.Helper()
	reads, principals := 0, map[string]int{}
	for i := range got.records {
		r := &got.records[i]
		principals[r.Principal]++
		if !strings.HasPrefix(r.Route, "GET /") {
			if len(r.Subjects) > 0 {
				t.Errorf("%s has a subject", r.Route)
			}
			continue
		}
		reads++
		if r.Route != "GET /mordors3stack-s3bucket-llp2yingx64a/{key...}" || !cmp.Equal(r.Subjects, []string{"ring.txt"}) || r.Bytes != 89 || r.Status != 200 {
			t.Errorf("read of an object: %s %v %d %d", r.Route, r.Subjects, r.Bytes, r.Status)
		}
	}
	want := map[string]int{"staff:pedro": 87, "service:MordorNginxStack-BankingWAFRole-9S3E0UAE1MM0": 11, "service:ec2.amazonaws.com": 5}
	if d := cmp.Diff(want, principals); reads != 2 || d != "" {
		t.Errorf("%d reads; %s", reads, d)
	}
}

func TestCloudTrailEvents(t *testing.T) {
	const head = `{"eventID":"e-1","eventTime":"2026-05-17T10:05:03Z","eventSource":"s3.amazonaws.com",`
	for _, c := range []struct {
		name, line string
		check      func(r *whosaw.Record) bool
	}{
		{"key with a meaning", head + `"eventName":"GetObject","requestParameters":{"bucketName":"b","key":"a b/50%?x#y;z"}}`,
			func(r *whosaw.Record) bool { return r.Method == "GET" && r.Path == "/b/a%20b/50%25%3Fx%23y%3Bz" }},
		{"head", head + `"eventName":"HeadObject","requestParameters":{"bucketName":"b","key":"a"}}`,
			func(r *whosaw.Record) bool { return r.Method == "HEAD" && r.Path == "/b/a" }},
		{"copy out of the bucket", head + `"eventName":"CopyObject","requestParameters":{"bucketName":"mine","key":"k","x-amz-copy-source":"/theirs/7.json?versionId=1"}}`,
			func(r *whosaw.Record) bool { return r.Method == "GET" && r.Path == "/theirs/7.json" }},
		{"write", head + `"eventName":"PutObject","requestParameters":{"bucketName":"b","key":"a"}}`,
			func(r *whosaw.Record) bool { return r.Path == "" && r.Route == "s3.amazonaws.com:PutObject" }},
		{"no such key", head + `"eventName":"GetObject","errorCode":"NoSuchKey","requestParameters":{"bucketName":"b","key":"a"}}`,
			func(r *whosaw.Record) bool { return r.Status == 404 }},
		{"denied", head + `"eventName":"GetObject","errorCode":"AccessDenied","requestParameters":{"bucketName":"b","key":"a"}}`,
			func(r *whosaw.Record) bool { return r.Status == 403 }},
		{"throttled", head + `"eventName":"GetObject","errorCode":"SlowDown"}`, func(r *whosaw.Record) bool { return r.Status == 429 }},
		{"null error", head + `"eventName":"GetObject","errorCode":null}`, func(r *whosaw.Record) bool { return r.Status == 200 }},
		{"role by ARN", head + `"eventName":"A","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/app/i-7"}}`,
			func(r *whosaw.Record) bool { return r.Principal == "service:app" }},
		{"root", head + `"eventName":"A","userIdentity":{"type":"Root"}}`, func(r *whosaw.Record) bool { return r.Principal == "staff:root" }},
		{"other account", head + `"eventName":"A","userIdentity":{"type":"AWSAccount","accountId":"123"}}`,
			func(r *whosaw.Record) bool { return r.Principal == "service:123" }},
		{"anonymous", head + `"eventName":"A","userIdentity":{"type":"AWSAccount","accountId":"ANONYMOUS_PRINCIPAL"}}`,
			func(r *whosaw.Record) bool { return r.Principal == "" }},
		{"service as address", head + `"eventName":"A","sourceIPAddress":"ec2.amazonaws.com","userAgent":"[x]"}`,
			func(r *whosaw.Record) bool { return !r.IP.IsValid() && r.Agent == "x" }},
		{"IPv6", head + `"eventName":"A","sourceIPAddress":"2001:db8::7"}`, func(r *whosaw.Record) bool { return r.IP == ip("2001:db8::7") }},
	} {
		r, err := ingest.ParseLine(ingest.FormatCloudTrail, "", c.line, testNow)
		if err != nil || !c.check(&r) || r.ID != "e-1" || r.Time != whenMS {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
	for _, line := range []string{`{}`, `{"eventName":"A","eventSource":"b"}`, `{"eventName":"A","eventSource":"b","eventTime":"x"}`, `[]`,
		head + `"eventName":"A","eventName":"B"}`} {
		if _, err := ingest.ParseLine(ingest.FormatCloudTrail, "", line, testNow); err == nil {
			t.Errorf("accepted %s", line)
		}
	}
}

func TestPresets(t *testing.T) {
	want := whosaw.Record{Time: whenMS, IP: ip("203.0.113.7"), Method: "GET", Path: "/users/7?x=1", Status: 200, Bytes: 1436, Agent: "curl/8.0"}
	for _, c := range []struct{ format, line string }{
		{ingest.FormatNginx, `{"time_iso8601":"2026-05-17T10:05:03+00:00","remote_addr":"203.0.113.7","remote_user":"","request":"GET /users/7?x=1 HTTP/1.1","status":"200","body_bytes_sent":"1436","http_referer":"-","http_user_agent":"curl/8.0","http_x_forwarded_for":"198.51.100.1"}`},
		{ingest.FormatNginx, `{"msec":1779012303.000,"remote_addr":"10.0.0.8","request_method":"GET","request_uri":"/users/7?x=1","status":200,"body_bytes_sent":1436,"http_user_agent":"curl/8.0","http_x_forwarded_for":"198.51.100.1, 203.0.113.7"}`},
		{ingest.FormatNginx, `{"time_local":"17/May/2026:10:05:03 +0000","remote_addr":"203.0.113.7","request_method":"GET","request_uri":"\/users/7?x\u003d1","status":200,"body_bytes_sent":1436,"http_user_agent":"c\x75rl/8.0"}`},
		{ingest.FormatEnvoy, `{"start_time":"2026-05-17T10:05:03.000Z","method":"GET","path":"/users/7?x=1","protocol":"HTTP/2","response_code":200,"response_flags":"-","bytes_received":0,"bytes_sent":1436,"duration":3,"x_forwarded_for":"203.0.113.7","user_agent":"curl/8.0","authority":"shop.example","upstream_host":"10.0.0.9:80"}`},
		{ingest.FormatEnvoy, `{"start_time":"2026-05-17T10:05:03.000Z","method":"GET","path":"/users/7?x=1","response_code":"200","bytes_sent":"1436","x_forwarded_for":null,"downstream_remote_address":"203.0.113.7:4711","user_agent":"curl/8.0"}`},
		{ingest.FormatTraefik, `{"ClientAddr":"203.0.113.7:4711","ClientHost":"203.0.113.7","ClientPort":"4711","ClientUsername":"-","DownstreamContentSize":1436,"DownstreamStatus":200,"RequestMethod":"GET","RequestPath":"/users/7?x=1","RequestProtocol":"HTTP/2.0","StartUTC":"2026-05-17T10:05:03.000000001Z","entryPointName":"web","level":"info","msg":"","request_User-Agent":"curl/8.0","time":"2026-05-17T10:05:04Z"}`},
		{ingest.FormatCaddy, `{"level":"info","ts":1779012303.0004,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"10.0.0.1","remote_port":"4711","client_ip":"203.0.113.7","proto":"HTTP/2.0","method":"GET","host":"shop.example","uri":"/users/7?x=1","headers":{"User-Agent":["curl/8.0"],"Accept":["*/*"]}},"bytes_read":0,"user_id":"","duration":0.0009,"size":1436,"status":200}`},
		{ingest.FormatCaddy, `{"ts":"2026-05-17T10:05:03.000Z","request":{"remote_addr":"203.0.113.7:4711","method":"GET","uri":"/users/7?x=1","headers":{"User-Agent":["curl/8.0"]}},"size":1436,"status":200}`},
	} {
		got, err := ingest.ParseLine(c.format, "", c.line, testNow)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(ip(""))); d != "" {
			t.Errorf("%s:\n%s", c.line, d)
		}
		if whole := read(t, ingest.Options{}, file(t, "log", "not a line of it\n"+c.line+"\n")); whole.Inputs[0].Format != c.format || whole.Accepted != 1 || whole.Rejected != 1 {
			t.Errorf("%s read as %+v", c.format, whole.Inputs[0])
		}
	}
}

const shopMapping = `
version: 1
name: shop gateway
time: {member: ts, format: unix_ms}
method: http.method
path: http.url
status: [http.status, status]
ip: {member: [xff, peer], take: outer}
agent: http.headers.user-agent
bytes: size
request: rid
principal: {member: user.id, prefix: "staff:"}
credential: session
key: kid
client: {value: web}
subject: customer
fields: shown
masked: masked
others: others
country: geo.cc
asn: geo.asn
tls: ja4
realm: {value: eu}
id: uid
outcome: result
reason: why
`

func TestMapping(t *testing.T) {
	line := `{"ts":1779012303000,"http":{"method":"GET","url":"/orders","status":200,"headers":{"user-agent":["curl/8.0"]}},"xff":"203.0.113.7","peer":"10.0.0.2:80",` +
		`"size":"1436","rid":"r-1","user":{"id":42},"session":"s-1","kid":"k-1","customer":[7,"8"],"shown":"phone, name","masked":["address"],"others":2,` +
		`"geo":{"cc":"kr","asn":"AS4766"},"ja4":"t13d","uid":"u-1","result":"disclosed","why":"ticket"}`
	want := whosaw.Record{
		ID: "u-1", Time: whenMS, Realm: "eu", Subjects: []string{"7", "8"}, Others: 2, Method: "GET", Path: "/orders",
		Fields: []string{"name", "phone"}, Masked: []string{"address"}, Status: 200, Outcome: whosaw.OutcomeDisclosed,
		Principal: "staff:42", Credential: "s-1", Key: "k-1", Client: "web", IP: ip("203.0.113.7"), Country: "KR", ASN: 4766,
		Agent: "curl/8.0", TLS: "t13d", Reason: "ticket", Bytes: 1436, Request: "r-1",
	}
	got, err := ingest.ParseLine("", shopMapping, line, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(ip(""))); d != "" {
		t.Error(d)
	}
	// The same in a flat log, and record lines beside it.
	flat := `{"ts":1779012303000,"http.method":"GET","http.url":"/orders","status":"200","user.id":"42"}`
	dir := t.TempDir()
	write(t, dir+"/gateway.log", line+"\n"+flat+"\n")
	write(t, dir+"/issuances.log", `{"type":"issuance","time":1779012300000,"credential":"s-1","subject":"7"}`+"\n")
	write(t, dir+"/map.yaml", shopMapping)
	res := read(t, ingest.Options{Mapping: dir + "/map.yaml"}, dir+"/gateway.log", dir+"/issuances.log")
	if res.Accepted != 3 || res.Inputs[0].Format != "mapping shop gateway" || res.Inputs[1].Format != ingest.FormatRecords || res.records[0].Type != whosaw.TypeIssuance {
		t.Errorf("%+v", res.Summary)
	}
}

func TestMappingTimes(t *testing.T) {
	for _, c := range []struct {
		how, text string
		want      int64
	}{
		{"ts", `1779012303`, whenMS},
		{"ts", `"1779012303.123456"`, whenMS + 123},
		{"ts", `1.779012303e9`, whenMS},
		{"ts", `1779012303000`, whenMS},
		{"ts", `"2026-05-17T10:05:03Z"`, whenMS},
		{"ts", `"[17/May/2026:10:05:03 +0000]"`, whenMS},
		{"{member: ts, format: unix}", `1779012303.9999`, whenMS + 999},
		{"{member: ts, format: unix_ms}", `1779012303000.7`, whenMS},
		{"{member: ts, format: rfc3339}", `"2026-05-17T19:05:03+09:00"`, whenMS},
		{"{member: ts, format: apache}", `"17/May/2026:10:05:03 +0000"`, whenMS},
		{`{member: ts, layout: "2006-01-02 15:04:05,000", zone: Asia/Seoul}`, `"2026-05-17 19:05:03,250"`, whenMS + 250},
		{"[no, ts]", `1779012303`, whenMS},
		{"{member: ts, format: rfc3339}", `1779012303`, 0},
		{"{member: ts, format: unix_ms}", `1779012303`, 0},
		{"ts", `"yesterday"`, 0},
		{"ts", `true`, 0},
		{"ts", `1e400`, 0},
		{"ts", `{"a":1}`, 0},
		{"ts", `null`, 0},
	} {
		r, err := ingest.ParseLine("", "version: 1\ntime: "+c.how+"\nroute: {value: r}\n", `{"ts":`+c.text+`}`, testNow)
		if c.want == 0 && err == nil || c.want != 0 && (err != nil || r.Time != c.want) {
			t.Errorf("time %s: %s gives %d, %v; want %d", c.how, c.text, r.Time, err, c.want)
		}
	}
}

func TestMappingAddresses(t *testing.T) {
	for _, c := range []struct{ take, xff, want string }{
		{"outer", "198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"},
		{"outer", "10.0.0.1, 192.168.0.1", "192.168.0.1"},
		{"first", "198.51.100.1, 203.0.113.7", "198.51.100.1"},
		{"last", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		{"2", "198.51.100.1, 203.0.113.7, 192.0.2.9", "203.0.113.7"},
		{"2", "198.51.100.1", ""},
		{"4", "198.51.100.1, 203.0.113.7", ""},
		{"last", "unknown", ""},
		{"first", `[2001:db8::7]:80`, "2001:db8::7"},
	} {
		r, err := ingest.ParseLine("", "version: 1\ntime: ts\nip: {member: xff, take: "+c.take+"}\n", `{"ts":1779012303,"xff":"`+c.xff+`"}`, testNow)
		if err != nil || r.IP != ip(c.want) {
			t.Errorf("take %s of %s: %v, %v; want %s", c.take, c.xff, r.IP, err, c.want)
		}
	}
}

func TestMappingRejects(t *testing.T) {
	for _, c := range []struct{ line, reason string }{
		{`{"customer":"7"}`, "ts"},
		{`{"ts":1779012303000,"ts":1}`, "twice"},
		{`{"ts":1779012303000,"http":{"status":"fine"}}`, "three digits"},
		{`{"ts":1779012303000,"size":1.5}`, "whole number"},
		{`{"ts":1779012303000,"size":-1}`, "whole number"},
		{`{"ts":1779012303000,"customer":1.5}`, "fraction"},
		{`{"ts":1779012303000,"customer":{"id":7}}`, "object"},
		{`{"ts":1779012303000,"customer":[[7]]}`, "list"},
		{`{"ts":1779012303000,"customer":"` + strings.Repeat("7", 300) + `"}`, "256"},
		{`{"ts":1779012303000,"session":"` + "\xff" + `"}`, ""},
		{`{"ts":1779012303000,"user":{"id":"` + "\xff" + `"}}`, "UTF-8"},
		{`{"ts":1779012303000,"rid":"\q"}`, "escape"},
		{`{"ts":1779012303000,"result":"shown"}`, "disclosed"},
		{`{"ts":1779012303000,"shown":"name","masked":["name"]}`, "masked"},
		{`{"ts":1779012303000} more`, "JSON"},
		{`{"ts":1779012303000`, "JSON"},
		{`"ts"`, "JSON"},
		{`{"ts":1779012303000,"deep":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, "deep"},
	} {
		r, err := ingest.ParseLine("", shopMapping, c.line, testNow)
		if c.reason == "" {
			if err != nil || !strings.HasPrefix(r.Credential, "sha256:") {
				t.Errorf("%s: %v", c.line, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%.80s: error %v, want one with %q", c.line, err, c.reason)
		}
	}
}

func TestMappingFileErrors(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "version"},
		{"version: 2\ntime: ts", "version"},
		{"version: 1", "time"},
		{"version: 1\ntime: ''", "empty"},
		{"version: 1\ntime: ts\nstats: x", "stats"},
		{"version: 1\ntime: {member: ts, fmt: unix}", "fmt"},
		{"version: 1\ntime: {member: ts, format: epoch}", "rfc3339"},
		{"version: 1\ntime: {member: ts, layout: '15:04'}", "year"},
		{"version: 1\ntime: {member: ts, layout: '2006', zone: Nowhere}", "zone"},
		{"version: 1\ntime: {member: ts, format: unix, zone: UTC}", "layout"},
		{"version: 1\ntime: ts\nip: {member: a, take: middle}", "take"},
		{"version: 1\ntime: ts\npath: p", "method"},
		{"version: 1\ntime: ts\nkey: {member: a, value: b}", "not both"},
		{"version: 1\ntime: ts\nstatus: {member: a, prefix: b}", "prefix"},
		{"version: 1\ntime: ts\njwt: {value: b}", "token"},
		{"version: 1\ntime: [ts, {a: b}]", "sequence"},
		{"version: 1\ntime: ts\ntime: ts", "time"},
		{"{", ""},
		{"version: 1\ntime: {member: !x #\n}", ""},
		{strings.Repeat("[", 30_000), "deep"},
		{strings.Repeat("a: {", 8_000), "deep"},
		{strings.Repeat("- ", 15_000), "deep"},
	} {
		if err := ingest.CheckMapping(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.says)
		}
	}
}

// TestLongIDs: an id that a log writes as a number may have as many digits as it likes.
func TestLongIDs(t *testing.T) {
	const long, longer = "1234567890123456789", "98765432109876543210"
	token := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":`+long+`}`)) + ".x"
	r, err := ingest.ParseLine("", "version: 1\ntime: ts\nsubject: id\njwt: auth\n", `{"ts":1779012303,"id":`+long+`,"auth":"`+token+`"}`, testNow)
	if err != nil || !slices.Equal(r.Subjects, []string{long}) || r.Principal != "customer:"+long {
		t.Errorf("%v, %q; %v", r.Subjects, r.Principal, err)
	}
	r, err = ingest.ParseLine("", "version: 1\ntime: ts\nsubject: id\n", `{"ts":1779012303,"id":[`+long+`,`+longer+`]}`, testNow)
	if err != nil || !slices.Equal(r.Subjects, []string{long, longer}) {
		t.Errorf("%v, %v", r.Subjects, err)
	}
	for _, id := range []string{"-7", "7.5", "7e3", "[7,-7]"} {
		if _, err := ingest.ParseLine("", "version: 1\ntime: ts\nsubject: id\n", `{"ts":1779012303,"id":`+id+`}`, testNow); err == nil {
			t.Errorf("%s is taken for an id", id)
		}
	}
}

func TestTokenClaims(t *testing.T) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	token := part(`{"alg":"RS256","kid":"login-2026-a"}`) + "." + part(`{"sub":"7","jti":"t-1","azp":"app"}`) + "." + part("signature")
	const m = "version: 1\ntime: ts\njwt: auth\n"
	line := func(token string) string { return `{"ts":1779012303,"auth":"` + token + `"}` }
	r, err := ingest.ParseLine("", m, line("Bearer "+token), testNow)
	if err != nil || r.Principal != "customer:7" || r.Credential != "t-1" || r.Key != "login-2026-a" || r.Client != "app" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = ingest.ParseLine("", "version: 1\ntime: ts\njwt: {member: auth, prefix: 'staff:'}\ncredential: sid\n", `{"sid":"s-9","ts":1779012303,"auth":"`+token+`"}`, testNow); err != nil || r.Principal != "staff:7" || r.Credential != "s-9" {
		t.Errorf("with a prefix and a session: %+v, %v", r, err)
	}
	// Without an id a token is known by its hash; nothing of the token itself is kept.
	noID := part(`{"alg":"none"}`) + "." + part(`{"sub":8,"client_id":"c","azp":"a"}`) + "."
	for _, token := range []string{noID, "opaque", "a.b.c", part("{") + ".x.y", strings.Repeat("z", 4000)} {
		r, err := ingest.ParseLine("", m, line(token), testNow)
		if err != nil || !strings.HasPrefix(r.Credential, "sha256:") || strings.Contains(string(whosaw.AppendJSON(nil, &r)), token) {
			t.Errorf("%.40s: %+v, %v", token, r, err)
		}
		if token == noID && (r.Principal != "customer:8" || r.Client != "c") {
			t.Errorf("claims without an id: %+v", r)
		}
	}
}
