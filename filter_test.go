package whosaw_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

func ptr[T any](v T) *T { return &v }

func TestParseFilter(t *testing.T) {
	tests := []struct {
		name, in, out string
		want          whosaw.Filter
	}{
		{"everything", `{}`, `{}`, whosaw.Filter{{}}},
		{"nothing", ` [] `, `[]`, whosaw.Filter{}},
		{"one value", `{"key":"k1"}`, `{"key":["k1"]}`, whosaw.Filter{{Key: []string{"k1"}}}},
		{"several", `{"key":["k1","!k2","!!k3"]}`, `{"key":["k1","!k2","!!k3"]}`, whosaw.Filter{{Key: []string{"k1", "!k2", "!!k3"}}}},
		{"union", `[{"key":"k1"},{"client":"app"}]`, `[{"key":["k1"]},{"client":["app"]}]`, whosaw.Filter{{Key: []string{"k1"}}, {Client: []string{"app"}}}},
		{"list of one", `[{"key":"k1"}]`, `{"key":["k1"]}`, whosaw.Filter{{Key: []string{"k1"}}}},
		{"numbers", `{"asn":["AS4766",17858,"!as1"],"status":[404,"200","!500"]}`, `{"asn":[4766,17858,"!1"],"status":[404,200,"!500"]}`,
			whosaw.Filter{{ASN: whosaw.Numbers{"4766", "17858", "!1"}, Status: whosaw.Numbers{"404", "200", "!500"}}}},
		{"networks", `{"ip":["203.0.113.7","!2001:db8::/32","::ffff:10.0.0.0/104"]}`, `{"ip":["203.0.113.7","!2001:db8::/32","::ffff:10.0.0.0/104"]}`,
			whosaw.Filter{{IP: []string{"203.0.113.7", "!2001:db8::/32", "::ffff:10.0.0.0/104"}}}},
		{"times", `{"from":"2026-04-14","to":"2026-11-09T00:00:00+09:00","as_of":12}`, `{"from":"2026-04-14T00:00:00.000Z","to":"2026-11-08T15:00:00.000Z","as_of":12}`,
			whosaw.Filter{{From: whosaw.Time(ms("2026-04-14T00:00:00Z")), To: whosaw.Time(ms("2026-11-08T15:00:00Z")), AsOf: 12}}},
		{"milliseconds", `{"from":1794821400250}`, `{"from":"2026-11-16T09:30:00.250Z"}`, whosaw.Filter{{From: whosaw.Time(at)}}},
		{"truth", `{"issued":false,"explained":true}`, `{"issued":false,"explained":true}`, whosaw.Filter{{Issued: ptr(false), Explained: ptr(true)}}},
		{"null is not given", `{"key":null,"from":null,"issued":null,"client":"a"}`, `{"client":["a"]}`, whosaw.Filter{{Client: []string{"a"}}}},
		{"integer subjects", `{"subject":[7,"007"]}`, `{"subject":["7","007"]}`, whosaw.Filter{{Subject: []string{"7", "007"}}}},
		{"default realm", `{"realm":["","!x"]}`, `{"realm":["","!x"]}`, whosaw.Filter{{Realm: []string{"", "!x"}}}},
		{"credential hashed", `{"credential":["Bearer abc","!sid=1","c1"]}`,
			`{"credential":["sha256:ba7816bf8f01cfea414140de5dae2223","!` + whosaw.HashCredential("sid=1") + `","c1"]}`,
			whosaw.Filter{{Credential: []string{"sha256:ba7816bf8f01cfea414140de5dae2223", "!" + whosaw.HashCredential("sid=1"), "c1"}}}},
		{"every text member", `{"principal":"p","agent":"a","agent_class":"chrome","tls":"t","route":"GET /x","field":"name","outcome":"none","source":"s","country":"KR"}`,
			`{"principal":["p"],"country":["KR"],"agent":["a"],"agent_class":["chrome"],"tls":["t"],"route":["GET /x"],"field":["name"],"outcome":["none"],"source":["s"]}`,
			whosaw.Filter{{Principal: []string{"p"}, Agent: []string{"a"}, AgentClass: []string{"chrome"}, TLS: []string{"t"}, Route: []string{"GET /x"},
				Field: []string{"name"}, Outcome: []string{"none"}, Source: []string{"s"}, Country: []string{"KR"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := whosaw.ParseFilter([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			out, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != tt.out {
				t.Errorf("written as %s", out)
			}
			var back whosaw.Filter
			if err := json.Unmarshal(out, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, back); diff != "" {
				t.Errorf("came back otherwise: %s", diff)
			}
		})
	}
}

func TestParseFilterRejects(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"no JSON", `{"key":}`, `filter: not JSON; give one object such as {"key":["k1"]}, or a list of objects`},
		{"more behind", `{} {}`, "filter: not JSON"},
		{"invalid UTF-8", "{\"key\":\"\xff\"}", "filter: not valid UTF-8; write it as UTF-8"},
		{"a word", `"key"`, "filter: not an object"},
		{"null", `null`, "filter: not an object"},
		{"null in list", `[null]`, "filter: not an object"},
		{"unknown, near", `{"keys":["k"]}`, "filter member keys: not known; did you mean key?"},
		{"unknown, flag", `{"agent-class":["k"]}`, "filter member agent-class: not known; did you mean agent_class?"},
		{"unknown, far", `{"customer":["k"]}`, "filter member customer: not known; it is one of key, credential, principal"},
		{"unknown, drawing", `{"\u202e` + strings.Repeat("x", 40) + `":1}`, `filter member \u202e` + strings.Repeat("x", 29) + "…: not known"},
		{"case matters", `{"Key":"k"}`, "filter member Key: not known; did you mean key?"},
		{"twice", `{"key":"a","key":"b"}`, "filter member key: given twice; give it once, with a list of values"},
		{"empty list", `{"ip":[]}`, "filter member ip: is an empty list; leave the member out to let every value pass"},
		{"empty value", `{"key":""}`, "filter member key: has an empty value; leave it out"},
		{"not nothing", `{"key":"!"}`, "filter member key: has an empty value"},
		{"number for text", `{"key":7}`, "filter member key: has a value of the wrong kind; give a string, or a list of strings"},
		{"object", `{"key":{}}`, "filter member key: has a value of the wrong kind"},
		{"list in list", `{"key":[["k"]]}`, "filter member key: has a value of the wrong kind"},
		{"null in values", `{"key":[null]}`, "filter member key: has a value of the wrong kind"},
		{"truth for number", `{"asn":true}`, `filter member asn: has a value of the wrong kind; give a number, or a string such as "!404"`},
		{"asn", `{"asn":"KT"}`, `filter member asn: has a value that is no AS number; give it as 4766 or "AS4766"`},
		{"asn 0", `{"asn":0}`, "filter member asn: has a value that is no AS number"},
		{"status", `{"status":[200,20]}`, "filter member status: has a value that is no HTTP status; give 100 to 999"},
		{"status with AS", `{"status":"AS200"}`, "filter member status: has a value that is no HTTP status"},
		{"status with fraction", `{"status":200.0}`, "filter member status: has a value that is no HTTP status"},
		{"outcome", `{"outcome":"!shown"}`, "filter member outcome: has a value that is not known; it is one of disclosed, absent, refused or none"},
		{"country", `{"country":"kr"}`, `filter member country: has a value that is no country; give two letters in upper case, such as "KR"`},
		{"ip", `{"ip":"203.0.113.7:80"}`, "filter member ip: has a value that is no address or network; give 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32"},
		{"field", `{"field":"a b"}`, "filter member field: has a value that is no name of a field"},
		{"subject too long", `{"subject":"` + strings.Repeat("x", 257) + `"}`, "filter member subject: has an id longer than 256 bytes; no record has such an id"},
		{"subject with fraction", `{"subject":7.5}`, "filter member subject: has a fraction or exponent; put the id in quotes"},
		{"from", `{"from":"yesterday"}`, "filter member from: not a time; give 2006-01-02, RFC 3339 or milliseconds since 1970"},
		{"from list", `{"from":["2026-01-01"]}`, "filter member from: is a list; give one value"},
		{"from in quotes", `{"from":"1794821400250"}`, "filter member from: is a number in quotes; leave the quotes out"},
		{"from in seconds", `{"from":1794821400}`, "filter member from: looks like seconds; give milliseconds, RFC 3339 or 2006-01-02"},
		{"to in microseconds", `{"to":1794821400250000}`, "filter member to: looks like microseconds or nanoseconds"},
		{"from 0", `{"from":0}`, "filter member from: is zero; leave it out"},
		{"to before from", `{"from":"2026-01-02","to":"2026-01-02"}`, "filter member to: is not later than from; from is inclusive, to exclusive"},
		{"as_of", `{"as_of":-1}`, "filter member as_of: not a sequence; give the number of the last record to be looked at"},
		{"as_of in quotes", `{"as_of":"1"}`, "filter member as_of: is a string; leave the quotes out"},
		{"issued in quotes", `{"issued":"true"}`, "filter member issued: is a string; leave the quotes out"},
		{"issued 1", `{"issued":1}`, "filter member issued: has a value of the wrong kind; give true or false"},
		{"second term", `[{"key":"k"},{"kex":"k"}]`, "filter member kex: not known; did you mean key?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := whosaw.ParseFilter([]byte(tt.in))
			var bad *whosaw.FilterError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a FilterError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if bad.Hint == "" {
				t.Error("the error has no cure")
			}
		})
	}
}

func TestTermAdd(t *testing.T) {
	var term whosaw.Term
	for _, v := range [][2]string{{"key", "a,b"}, {"key", "!c"}, {"asn", "AS4766"}, {"status", "!404"}, {"issued", "false"}, {"from", "1794821400250"},
		{"to", "2026-12-01"}, {"as_of", "5"}, {"subject", "7"}, {"credential", "Bearer abc"}} {
		if err := term.Add(v[0], v[1]); err != nil {
			t.Errorf("add %s: %v", v[0], err)
		}
	}
	want := whosaw.Term{Key: []string{"a,b", "!c"}, ASN: whosaw.Numbers{"4766"}, Status: whosaw.Numbers{"!404"}, Issued: ptr(false), From: whosaw.Time(at),
		To: whosaw.Time(ms("2026-12-01T00:00:00Z")), AsOf: 5, Subject: []string{"7"}, Credential: []string{whosaw.HashCredential("Bearer abc")}}
	if diff := cmp.Diff(want, term); diff != "" {
		t.Error(diff)
	}
	if err := (whosaw.Filter{term}).Validate(); err != nil {
		t.Error(err)
	}
	for _, v := range [][2]string{{"issued", "true"}, {"issued", "1"}, {"from", "2026-01-01"}, {"as_of", "6"}, {"as_of", "0"}, {"keyy", "x"}} {
		if err := term.Add(v[0], v[1]); err == nil {
			t.Errorf("add %s a second time, or a wrong one: no error", v[0])
		}
	}
	for _, name := range whosaw.FilterMembers() {
		var one whosaw.Term
		value := map[string]string{"ip": "10.0.0.1", "country": "KR", "asn": "1", "status": "200", "outcome": "none", "issued": "true", "explained": "false",
			"from": "2026-01-01", "to": "2026-01-01", "as_of": "1"}[name]
		if value == "" {
			value = "x"
		}
		if err := one.Add(name, value); err != nil {
			t.Errorf("add %s: %v", name, err)
		}
		if one.IsZero() {
			t.Errorf("a term with %s is called zero", name)
		}
		if c := one.Conditions(); len(c) != 1 || c[0].Member != name || c[0].Not {
			t.Errorf("a term with %s is taken apart as %+v", name, c)
		}
	}
	if !(whosaw.Term{}).IsZero() {
		t.Error("the zero term is not called zero")
	}
}

func TestConditions(t *testing.T) {
	term := whosaw.Term{Client: []string{"!a", "b", "!!c", "!d"}, Key: []string{"k"}, Issued: ptr(false), To: whosaw.Time(at)}
	want := []whosaw.Condition{{Member: "key", Values: []string{"k"}}, {Member: "issued", Values: []string{"false"}}, {Member: "client", Values: []string{"b", "!c"}},
		{Member: "client", Not: true, Values: []string{"a", "d"}}, {Member: "to"}}
	if diff := cmp.Diff(want, term.Conditions()); diff != "" {
		t.Error(diff)
	}
}

func TestFilterValidateByHand(t *testing.T) {
	for _, f := range []whosaw.Filter{{{Key: []string{""}}}, {{ASN: whosaw.Numbers{"AS1"}}}, {{Status: whosaw.Numbers{"x"}}}, {{Credential: []string{"sid=1"}}},
		{{From: 5}}, {{To: 1 << 60}}, {{IP: []string{"x"}}}, {{Agent: []string{"\xff"}}}} {
		if err := f.Validate(); err == nil {
			t.Errorf("%+v is taken for valid", f)
		}
	}
}

func TestParseValue(t *testing.T) {
	for in, want := range map[string]struct {
		value string
		not   bool
	}{"x": {"x", false}, "!x": {"x", true}, "!!x": {"!x", false}, "!!!x": {"!!x", false}, "": {"", false}, "!": {"", true}, "!!": {"!", false}} {
		if value, not := whosaw.ParseValue(in); value != want.value || not != want.not {
			t.Errorf("%q: got %q, %v", in, value, not)
		}
	}
}
