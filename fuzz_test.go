package whosaw_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

// FuzzDecode holds three things: no line makes the decoder panic; an accepted record is valid and comes back
// from its encoding; and encoding/json reads the same from the line.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"time":1794821400250,"subject":7,"fields":["a"],"masked":[]}`,
		`{"time":"2026-11-16T18:30:00.25+09:00","subjects":["7",007],"ip":"::ffff:1.2.3.4","agent":"\ud83d\ude00\u001b"}`,
		`{"type":"subject","subject":"7","state":"merged","into":8,"since":1794821400250,"contacts":[1,"2"]}`,
		`{"type":"key","key":"k","state":"retired","until":"2030-01-01T00:00:00Z","readers":["a","a"],"time":1794821400250}`,
		`{"type":"feed","of":"issuance","lost":0,"lag":1e1,"from":1794821400250}`,
		`{"type":"act","kind":"rejected","count":3,"from":1794821400250,"x":{"y":[true,null,-1.5e-3]}}`,
		`{"type":"issuance","credential":"eyJhbGciOi.eyJqdGkiOi.c2ln","time":1794821400250,"expires":1794821400251}`,
		"\ufeff{\"time\":1794821400250,\"country\":\"kr\",\"asn\":\"AS1\",\"status\":200,\"outcome\":\"none\",\"others\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var d whosaw.Decoder
		var r whosaw.Record
		err := d.Decode(line, clock, &r)
		plain := bytes.TrimPrefix(line, []byte("\ufeff"))
		if err != nil {
			var bad *whosaw.RecordError
			if !errors.As(err, &bad) || bad.Reason == "" || bad.Hint == "" {
				t.Fatalf("error without reason or cure: %#v", err)
			}
			if strings.Contains(bad.Reason, "not JSON: at") && utf8.Valid(plain) && json.Valid(plain) &&
				!strings.Contains(bad.Reason, "escape") && !strings.Contains(bad.Reason, "too deep") {
				t.Fatalf("encoding/json reads it: %v", err)
			}
			return
		}
		valid := r.Clone()
		if err := valid.Validate(clock); err != nil {
			t.Fatalf("decoded but not valid: %v", err)
		}
		if diff := cmp.Diff(r, valid, sameRecord); diff != "" {
			t.Fatalf("validate changed the record: %s", diff)
		}
		encoded := whosaw.AppendJSON(nil, &r)
		if !json.Valid(encoded) {
			t.Fatalf("encoded as no JSON: %q", encoded)
		}
		var back whosaw.Record
		if err := d.Decode(encoded, clock, &back); err != nil {
			t.Fatalf("decode %q: %v", encoded, err)
		}
		if diff := cmp.Diff(r, back, sameRecord); diff != "" {
			t.Fatalf("came back otherwise: %s", diff)
		}
		if err := d.Decode(line, clock, &back); err != nil {
			t.Fatalf("the decoder that has seen the line refuses it: %v", err)
		}
		if diff := cmp.Diff(r, back, sameRecord); diff != "" {
			t.Fatalf("the decoder that has seen the line reads it otherwise: %s", diff)
		}
		readIndependently(t, plain, &r)
	})
}

// readIndependently compares a decoded access with what encoding/json reads.
func readIndependently(t *testing.T, line []byte, r *whosaw.Record) {
	t.Helper()
	var members map[string]any
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&members); err != nil {
		t.Fatalf("encoding/json does not read it: %v", err)
	}
	same := func(name, got string) {
		want, _ := members[name].(string)
		if got != want {
			t.Fatalf("member %s: got %q, encoding/json reads %q", name, got, want)
		}
	}
	same("id", r.ID)
	same("realm", r.Realm)
	if r.Type != whosaw.TypeAccess {
		return
	}
	for name, got := range map[string]string{"route": r.Route, "method": r.Method, "path": r.Path, "principal": r.Principal, "key": r.Key,
		"client": r.Client, "agent": r.Agent, "tls": r.TLS, "reason": r.Reason, "request": r.Request, "outcome": r.Outcome.String()} {
		same(name, got)
	}
	if c, _ := members["credential"].(string); whosaw.HashCredential(c) != r.Credential {
		t.Fatalf("credential: got %q", r.Credential)
	}
	if c, _ := members["country"].(string); strings.ToUpper(c) != r.Country {
		t.Fatalf("country: got %q", r.Country)
	}
	for name, got := range map[string]int64{"others": r.Others, "status": int64(r.Status), "bytes": r.Bytes} {
		n, _ := members[name].(json.Number)
		if v, _ := n.Int64(); v != got {
			t.Fatalf("member %s: got %d, encoding/json reads %d", name, got, v)
		}
	}
	if text, ok := members["time"].(string); ok {
		if want, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil && want.UnixMilli() != r.Time {
			t.Fatalf("time: got %d, time.Parse gives %d", r.Time, want.UnixMilli())
		}
	} else if v, _ := members["time"].(json.Number).Int64(); v != r.Time {
		t.Fatalf("time: got %d", r.Time)
	}
	var subjects []string
	if s, ok := members["subject"]; ok && s != nil {
		subjects = append(subjects, fmt.Sprint(s))
	}
	if list, ok := members["subjects"].([]any); ok {
		for _, s := range list {
			if id := fmt.Sprint(s); !slices.Contains(subjects, id) {
				subjects = append(subjects, id)
			}
		}
	}
	if !slices.Equal(subjects, r.Subjects) {
		t.Fatalf("subjects: got %q, encoding/json reads %q", r.Subjects, subjects)
	}
	for name, got := range map[string][]string{"fields": r.Fields, "masked": r.Masked} {
		list, ok := members[name].([]any)
		if ok != (got != nil) {
			t.Fatalf("member %s: stated %v, got %q", name, ok, got)
		}
		var want []string
		for _, s := range list {
			want = append(want, s.(string))
		}
		slices.Sort(want)
		if !slices.Equal(slices.Compact(want), got) {
			t.Fatalf("member %s: got %q, want %q", name, got, want)
		}
	}
}

// FuzzFilter holds that a filter that was read comes back from its encoding and is valid.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"key":"k"}`, `[{"key":["k","!x","!!y"]},{"asn":["AS4766",1,"!2"],"status":404}]`,
		`{"ip":["10.0.0.0/8","!::1"],"from":"2026-01-01","to":1794821400250,"as_of":7,"issued":false,"explained":true}`,
		`{"credential":"Bearer abc","subject":7,"realm":"","field":"name","outcome":"!disclosed","country":"KR"}`,
		`{"keys":1}`, `{"key":[]}`, `null`, `{"issued":"true"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		filter, err := whosaw.ParseFilter(data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "filter") {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if err := filter.Validate(); err != nil {
			t.Fatalf("read but not valid: %v", err)
		}
		encoded, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		var back whosaw.Filter
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatalf("decode %s: %v", encoded, err)
		}
		if diff := cmp.Diff(filter, back); diff != "" {
			t.Fatalf("%s came back otherwise: %s", encoded, diff)
		}
		for _, term := range filter {
			for _, v := range slices.Concat(term.Key, term.Agent, term.Subject) {
				if value, not := whosaw.ParseValue(v); value == "" && !not {
					t.Fatal("an empty value was read")
				}
			}
		}
	})
}

func FuzzAgentClass(f *testing.F) {
	f.Add("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.6 Mobile/15E148 Safari/604.1")
	f.Add("ShopApp/5.1 (com.shop; build:1; iOS 16) Alamofire/5.6")
	f.Add("x:y:bot/(((((www.\xff\x00")
	f.Fuzz(func(t *testing.T, agent string) {
		class := whosaw.AgentClass(agent)
		if len(class) > 50 {
			t.Fatalf("%d bytes long", len(class))
		}
		if (class == "") != (agent == "" || agent == "-") {
			t.Fatalf("got %q", class)
		}
		for _, c := range class {
			if c <= ' ' || c >= 0x7f || strings.ContainsRune(`"'<>&|,;\`, c) {
				t.Fatalf("got %q", class)
			}
		}
		if class != whosaw.AgentClass(agent) {
			t.Fatal("not a function of the agent")
		}
	})
}

// FuzzParseTime compares with the standard library's strict reading of RFC 3339.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-11-16T09:30:00.250Z", "2024-02-29t23:59:59.9999z", "2026-11-16 18:30:00+09:00", "2016-12-31T23:59:60Z",
		"2017-01-01T08:59:60.5+09:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999-23:59", "1900-02-29T00:00:00Z", "1794821400250", "-1", "007"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := whosaw.ParseTime(s)
		if b, errBytes := whosaw.ParseTime([]byte(s)); b != got || (err == nil) != (errBytes == nil) {
			t.Fatal("bytes and string are read differently")
		}
		var want time.Time
		// The library lets an hour of one digit, a comma, and an offset of 24 hours or 60 minutes pass, which RFC 3339 does not know.
		lax := len(s) < 20 || s[13] != ':' || strings.Contains(s, ",") || strings.Contains(s[len(s)-6:], "24:") || strings.HasSuffix(s, ":60")
		if want.UnmarshalText([]byte(s)) == nil && (!lax || err == nil) {
			if err != nil || got != want.UnixMilli() {
				t.Fatalf("got %d, %v; the standard library reads %d", got, err, want.UnixMilli())
			}
			if text := whosaw.Time(got).String(); got != 0 && text != want.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z") {
				t.Fatalf("written as %s", text)
			}
			return
		}
		if err != nil {
			return
		}
		var n json.Number
		if json.Unmarshal([]byte(s), &n) == nil && json.Valid([]byte(s)) && s[0] != '"' {
			if v, err := n.Int64(); err != nil || v != got {
				t.Fatalf("got %d from the number %s", got, s)
			}
			return
		}
		// What is left are the forms that RFC 3339 allows and the library does not: lower case, space, leap second.
		upper := []byte(strings.ToUpper(s))
		upper[10] = 'T'
		leap := string(upper[17:19]) == "60"
		if leap {
			upper[17], upper[18] = '5', '9'
		}
		if err := want.UnmarshalText(upper); err != nil {
			t.Fatalf("read as %d, but %v", got, err)
		}
		if leap {
			if want = want.Add(time.Second); want.UTC().Hour() != 0 || want.UTC().Minute() != 0 || want.UTC().Second() != 0 {
				t.Fatal("leap second that is not before midnight UTC")
			}
		}
		if got != want.UnixMilli() {
			t.Fatalf("got %d, want %d", got, want.UnixMilli())
		}
	})
}
