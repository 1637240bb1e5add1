package whosaw_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

// clock is the reader's clock in these tests: 2026-11-22T03:00:00Z.
var clock = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC).UnixMilli()

// at is the event time of most records here: 2026-11-16T09:30:00.250Z.
var at = time.Date(2026, 11, 16, 9, 30, 0, 250e6, time.UTC).UnixMilli()

var sameRecord = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func ms(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

func TestDecode(t *testing.T) {
	const h = `"time":"2026-11-16T09:30:00.250Z"`
	tests := []struct {
		name, line string
		want       whosaw.Record
	}{
		{"least", `{` + h + `}`, whosaw.Record{Time: at}},
		{"type said", `{"type":"access",` + h + `}`, whosaw.Record{Time: at}},
		{"empty type", `{"type":"",` + h + `}`, whosaw.Record{Time: at}},
		{"space", " \t{ \"time\" :\r 1794821400250 , \"key\"\n: \"k\" } ", whosaw.Record{Time: at, Key: "k"}},
		{"byte order mark", "\ufeff{" + h + "}", whosaw.Record{Time: at}},
		{"time with offset", `{"time":"2026-11-16T18:30:00.25+09:00"}`, whosaw.Record{Time: at}},
		{"time cut to milliseconds", `{"time":"2026-11-16T09:30:00.250999999Z"}`, whosaw.Record{Time: at}},
		{"everything", `{"id":"e1",` + h + `,"realm":"shop","subject":"7","others":3,"route":"GET /me","fields":["phone","name"],
			"masked":["door_code"],"status":200,"outcome":"disclosed","principal":"customer:7","credential":"c1","key":"k1",
			"client":"app","ip":"203.0.113.7","country":"kr","asn":4766,"agent":"ShopApp/5","tls":"t13d","reason":"order 1",
			"bytes":512,"request":"r1"}`,
			whosaw.Record{ID: "e1", Time: at, Realm: "shop", Subjects: []string{"7"}, Others: 3, Route: "GET /me",
				Fields: []string{"name", "phone"}, Masked: []string{"door_code"}, Status: 200, Outcome: whosaw.OutcomeDisclosed,
				Principal: "customer:7", Credential: "c1", Key: "k1", Client: "app", IP: netip.MustParseAddr("203.0.113.7"),
				Country: "KR", ASN: 4766, Agent: "ShopApp/5", TLS: "t13d", Reason: "order 1", Bytes: 512, Request: "r1"}},
		{"method and path", `{` + h + `,"method":"GET","path":"/me/7?x=1"}`, whosaw.Record{Time: at, Method: "GET", Path: "/me/7?x=1"}},
		{"integer subject", `{` + h + `,"subject":7}`, whosaw.Record{Time: at, Subjects: []string{"7"}}},
		{"negative subject", `{` + h + `,"subject":-7}`, whosaw.Record{Time: at, Subjects: []string{"-7"}}},
		{"large integer subject", `{` + h + `,"subject":123456789012345678901234567890}`, whosaw.Record{Time: at, Subjects: []string{"123456789012345678901234567890"}}},
		{"7 is not 007", `{` + h + `,"subjects":[7,"007","7",8]}`, whosaw.Record{Time: at, Subjects: []string{"7", "007", "8"}}},
		{"subject of 256 bytes", `{` + h + `,"subject":"` + strings.Repeat("x", 256) + `"}`, whosaw.Record{Time: at, Subjects: []string{strings.Repeat("x", 256)}}},
		{"no subjects", `{` + h + `,"subjects":[]}`, whosaw.Record{Time: at}},
		{"null is missing", `{` + h + `,"subject":null,"subjects":[1],"fields":null,"status":null,"ip":null,"type":null}`, whosaw.Record{Time: at, Subjects: []string{"1"}}},
		{"empty is missing", `{` + h + `,"realm":"","ip":"","country":"","outcome":"","asn":"","credential":""}`, whosaw.Record{Time: at}},
		{"zero is missing", `{` + h + `,"others":0,"bytes":0,"status":0,"asn":0}`, whosaw.Record{Time: at}},
		{"nothing was shown", `{` + h + `,"fields":[],"masked":[ ]}`, whosaw.Record{Time: at, Fields: []string{}, Masked: []string{}}},
		{"fields are a set", `{` + h + `,"fields":["b","a","b"]}`, whosaw.Record{Time: at, Fields: []string{"a", "b"}}},
		{"free field names", `{` + h + `,"fields":["전화번호","user.homeAddress[0]","x-1"]}`, whosaw.Record{Time: at, Fields: []string{"user.homeAddress[0]", "x-1", "전화번호"}}},
		{"escapes", `{"tim\u0065":"2026-11-16T09:30:00.250Z","agent":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"}`, whosaw.Record{Time: at, Agent: "\"\\/\b\f\n\r\té😀é"}},
		{"mapped address", `{` + h + `,"ip":"::ffff:203.0.113.7"}`, whosaw.Record{Time: at, IP: netip.MustParseAddr("203.0.113.7")}},
		{"ipv6", `{` + h + `,"ip":"2001:DB8::7"}`, whosaw.Record{Time: at, IP: netip.MustParseAddr("2001:db8::7")}},
		{"Tor", `{` + h + `,"country":"t1"}`, whosaw.Record{Time: at, Country: "T1"}},
		{"asn with AS", `{` + h + `,"asn":"AS4766"}`, whosaw.Record{Time: at, ASN: 4766}},
		{"asn in quotes", `{` + h + `,"asn":"4766"}`, whosaw.Record{Time: at, ASN: 4766}},
		{"bearer", `{` + h + `,"credential":"Bearer abc"}`, whosaw.Record{Time: at, Credential: "sha256:ba7816bf8f01cfea414140de5dae2223"}},
		{"issuance", `{"type":"issuance",` + h + `,"credential":"c1","key":"k1","subject":7,"principal":"customer:7","client":"app","ip":"203.0.113.7","expires":"2027-01-01T00:00:00Z"}`,
			whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: "c1", Key: "k1", Subjects: []string{"7"}, Principal: "customer:7", Client: "app",
				IP: netip.MustParseAddr("203.0.113.7"), Ref: &whosaw.Reference{Expires: ms("2027-01-01T00:00:00Z")}}},
		{"members out of order", `{"credential":"c1","expires":1798761600000,` + h + `,"type":"issuance"}`,
			whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: "c1", Ref: &whosaw.Reference{Expires: 1798761600000}}},
		{"subject, time from since", `{"type":"subject","subject":"7","state":"merged","into":"8","since":"2026-11-16T09:30:00.250Z","last_login":"1999-12-31T00:00:00Z","contacts":["9",10]}`,
			whosaw.Record{Type: whosaw.TypeSubject, Time: at, Subjects: []string{"7"}, Ref: &whosaw.Reference{State: "merged", Into: "8", Since: at,
				LastLogin: ms("1999-12-31T00:00:00Z"), Contacts: []string{"9", "10"}}}},
		{"empty time is missing", `{"type":"key","time":"","key":"k1","state":"active","since":"2026-11-16T09:30:00.250Z","until":""}`,
			whosaw.Record{Type: whosaw.TypeKey, Time: at, Key: "k1", Ref: &whosaw.Reference{State: "active", Since: at}}},
		{"the epoch is not known", `{"type":"subject",` + h + `,"subject":"7","state":"active","since":0,"last_login":"1970-01-01T00:00:00Z"}`,
			whosaw.Record{Type: whosaw.TypeSubject, Time: at, Subjects: []string{"7"}, Ref: &whosaw.Reference{State: "active"}}},
		{"person", `{"type":"person",` + h + `,"person":"kim","state":"left","since":"2025-01-01T00:00:00Z","keys":["k1"],"principals":["staff:kim"]}`,
			whosaw.Record{Type: whosaw.TypePerson, Time: at, Ref: &whosaw.Reference{Person: "kim", State: "left", Since: ms("2025-01-01T00:00:00Z"), Keys: []string{"k1"}, Principals: []string{"staff:kim"}}}},
		{"key valid for decades", `{"type":"key",` + h + `,"key":"k1","state":"active","since":"1999-01-01T00:00:00Z","until":"2099-01-01T00:00:00Z","readers":["kim"],"use":"sign"}`,
			whosaw.Record{Type: whosaw.TypeKey, Time: at, Key: "k1", Ref: &whosaw.Reference{State: "active", Since: ms("1999-01-01T00:00:00Z"), Until: ms("2099-01-01T00:00:00Z"), Readers: []string{"kim"}, Use: "sign"}}},
		{"key was exported", `{"type":"key",` + h + `,"key":"k1","kind":"exported","readers":["kim"],"principal":"staff:kim","ip":"10.0.0.7","request":"r1"}`,
			whosaw.Record{Type: whosaw.TypeKey, Time: at, Key: "k1", Principal: "staff:kim", IP: netip.MustParseAddr("10.0.0.7"), Request: "r1",
				Ref: &whosaw.Reference{Kind: "exported", Readers: []string{"kim"}}}},
		{"key was rotated", `{"type":"key",` + h + `,"key":"k1","state":"retired","kind":"rotated","person":"lee","into":"k2","note":"n"}`,
			whosaw.Record{Type: whosaw.TypeKey, Time: at, Key: "k1", Ref: &whosaw.Reference{State: "retired", Kind: "rotated", Person: "lee", Into: "k2", Note: "n"}}},
		{"reason, time from from", `{"type":"reason","subject":"7","principal":"staff:kim","kind":"ticket","from":"2026-11-16T09:30:00.250Z","until":"2026-11-17T00:00:00Z"}`,
			whosaw.Record{Type: whosaw.TypeReason, Time: at, Subjects: []string{"7"}, Principal: "staff:kim", Ref: &whosaw.Reference{Kind: "ticket", From: at, Until: ms("2026-11-17T00:00:00Z")}}},
		{"change to come", `{"type":"change",` + h + `,"kind":"campaign","from":"2026-12-24T00:00:00Z","note":"winter"}`,
			whosaw.Record{Type: whosaw.TypeChange, Time: at, Ref: &whosaw.Reference{Kind: "campaign", From: ms("2026-12-24T00:00:00Z"), Note: "winter"}}},
		{"complete feed", `{"type":"feed",` + h + `,"of":"issuance","key":"k1","lag":1.5e1,"lost":-0.0}`,
			whosaw.Record{Type: whosaw.TypeFeed, Time: at, Key: "k1", Ref: &whosaw.Reference{Of: "issuance", Lag: 15, HasLost: true}}},
		{"feed without loss stated", `{"type":"feed",` + h + `,"of":"reason","route":"GET /x","client":"app","lost":null}`,
			whosaw.Record{Type: whosaw.TypeFeed, Time: at, Route: "GET /x", Client: "app", Ref: &whosaw.Reference{Of: "reason"}}},
		{"act", `{"type":"act",` + h + `,"kind":"rejected","of":"log","count":3,"from":1794821400250,"until":1794821400250}`,
			whosaw.Record{Type: whosaw.TypeAct, Time: at, Ref: &whosaw.Reference{Kind: "rejected", Of: "log", Count: 3, From: at, Until: at}}},
		{"verdict", `{"type":"verdict",` + h + `,"kind":"true","of":"f1","person":"kim","note":"seen"}`,
			whosaw.Record{Type: whosaw.TypeVerdict, Time: at, Ref: &whosaw.Reference{Kind: "true", Of: "f1", Person: "kim", Note: "seen"}}},
		{"decision", `{"type":"decision",` + h + `,"kind":"deny","request":"r1","subjects":[1,2]}`,
			whosaw.Record{Type: whosaw.TypeDecision, Time: at, Request: "r1", Subjects: []string{"1", "2"}, Ref: &whosaw.Reference{Kind: "deny"}}},
	}
	var d whosaw.Decoder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := whosaw.Record{Source: "stale", Position: 9, Fields: []string{"stale"}, Ref: &whosaw.Reference{Note: "stale"}}
			line := []byte(tt.line)
			if err := d.Decode(line, clock, &r); err != nil {
				t.Fatal(err)
			}
			for i := range line {
				line[i] = '#' // the record must not lean on its line
			}
			if diff := cmp.Diff(tt.want, r, sameRecord); diff != "" {
				t.Error(diff)
			}
			again := r.Clone()
			if err := again.Validate(clock); err != nil {
				t.Errorf("validate: %v", err)
			}
			if diff := cmp.Diff(r, again, sameRecord); diff != "" {
				t.Errorf("validate changed the record: %s", diff)
			}
			var back whosaw.Record
			if err := d.Decode(whosaw.AppendJSON(nil, &r), clock, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, back, sameRecord); diff != "" {
				t.Errorf("encode and decode: %s", diff)
			}
		})
	}
}

func TestDecodeRejects(t *testing.T) {
	const h = `"time":"2026-11-16T09:30:00Z",`
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	many := strings.Repeat("1,", 100_000) + "1"
	tests := []struct{ name, line, want string }{
		{"blank", ` `, "the line is blank; give one JSON object a line"},
		{"no object", `[1]`, "the line is not a JSON object; give one JSON object a line, or name the format with --format"},
		{"cut off", `{"time":"2026-11-`, "the line is not JSON: at byte 17 it ends within a string; the line may have been cut off; write records with a JSON encoder, one object a line"},
		{"two objects", `{"time":1794821400250}{}`, "at byte 22 it has more behind the object; write"},
		{"comma at end", `{"time":1794821400250,}`, "at byte 22 it lacks a member's name in quotes"},
		{"no comma", `{"time":1794821400250 "key":"k"}`, "it lacks a comma or a closing brace"},
		{"no colon", `{"time" 1}`, "it lacks a colon behind a member's name"},
		{"no value", `{"time":}`, "it has something that is no JSON value"},
		{"single quotes", `{'time':1}`, "it lacks a member's name in quotes"},
		{"NaN", `{"x":NaN}`, "it has something that is no JSON value"},
		{"nul", "{\"agent\":\"a\x00b\"}", "it has a raw control character within a string"},
		{"bad escape", `{"agent":"\x"}`, "it has an escape that JSON does not know"},
		{"half a surrogate", `{"subject":"\ud800"}`, "it has an escape that JSON does not know"},
		{"low surrogate", `{"subject":"\udc00\ud800"}`, "it has an escape that JSON does not know"},
		{"leading zero", `{"status":0200}`, "it has a number with a leading zero"},
		{"leading zero, negative", `{"x":-01}`, "it has a number with a leading zero"},
		{"point at end", `{"x":1.}`, "it has a number that ends at its point"},
		{"exponent at end", `{"x":1e}`, "it has a number that ends within its exponent"},
		{"nested too deep", `{"x":` + deep + `}`, "it is nested too deep"},
		{"nested wrong", `{"x":{"a":[1,{"b" 1}]}}`, "it lacks a colon behind a member's name"},
		{"nested no name", `{"x":{a:1}}`, "it has an object member without a name"},
		{"nested bracket", `{"x":[1 2]}`, "it lacks a comma or a closing bracket"},
		{"invalid UTF-8", "{" + h + "\"principal\":\"\xff\"}", "the line is not valid UTF-8; write records as UTF-8, with bytes of other encodings replaced"},
		{"invalid UTF-8 in what is left out", "{" + h + "\"x\":\"\xc3\"}", "the line is not valid UTF-8"},
		{"too long", `{"x":"` + strings.Repeat("x", whosaw.MaxLine) + `"}`, "the line is longer than 1 MiB; split the record"},
		{"twice", `{` + h + `"key":"a","key":"b"}`, "member key: given twice; give it once"},
		{"twice, null", `{` + h + `"key":"a","k\u0065y":null}`, "member key: given twice"},
		{"unknown type", `{"type":"login"}`, "member type: not known; it is one of access, issuance, subject, person, key, reason, change, feed, verdict, decision or act"},
		{"type is a number", `{"type":1}`, "member type: is a number, not a string"},
		{"no time", `{"subject":"7"}`, "member time: missing; give the time of the access, in milliseconds or RFC 3339"},
		{"seconds", `{"time":1794821400}`, "member time: looks like seconds; give milliseconds or RFC 3339"},
		{"seconds with fraction", `{"time":1794821400.25}`, "member time: has a fraction or exponent; give integer milliseconds or RFC 3339; seconds with a fraction are to be multiplied by 1000"},
		{"microseconds", `{"time":1794821400250000}`, "member time: looks like microseconds; give milliseconds or RFC 3339"},
		{"nanoseconds", `{"time":1794821400250000000}`, "member time: looks like nanoseconds; give milliseconds or RFC 3339"},
		{"1970", `{"time":0}`, "member time: lies before 2000-01-01; give the time of the event, in milliseconds or RFC 3339"},
		{"1999", `{"time":"1999-12-31T23:59:59.999Z"}`, "member time: lies before 2000-01-01"},
		{"9999", `{"time":"9999-12-31T23:59:59Z"}`, "member time: lies more than one day ahead of the clock; check the clocks of both machines"},
		{"a number beyond all", `{"time":99999999999999999999999}`, "member time: lies more than one day ahead of the clock"},
		{"tomorrow and a bit", `{"time":"2026-11-23T03:00:00.001Z"}`, "member time: lies more than one day ahead"},
		{"time is a list", `{"time":[]}`, "member time: is a list, not a time; give milliseconds or RFC 3339"},
		{"time in quotes", `{"time":"1794821400250"}`, "member time: not RFC 3339; milliseconds are given as a number, without quotes"},
		{"only a date", `{"time":"2026-11-16"}`, "member time: not RFC 3339; give the time of day too, as in 2006-01-02T15:04:05Z"},
		{"no offset", `{"time":"2026-11-16 09:30:00"}`, "member time: not RFC 3339; give the offset too: 2006-01-02T15:04:05Z or 2006-01-02T15:04:05+09:00"},
		{"log time", `{"time":"16/Nov/2026:09:30:00 +0000"}`, "member time: not RFC 3339; give it as 2006-01-02T15:04:05Z, or as integer milliseconds"},
		{"subject with fraction", `{` + h + `"subject":7.0}`, "member subject: is a number, not a string or an integer; put ids with a fraction or exponent in quotes"},
		{"subject is a list", `{` + h + `"subject":[7]}`, "member subject: is a list, not a string or an integer; give several as subjects"},
		{"subject -0", `{` + h + `"subject":-0}`, "member subject: -0 is no id; put it in quotes if it is one"},
		{"empty among subjects", `{` + h + `"subjects":["7",""]}`, "member subject: is an empty id; leave it out"},
		{"null among subjects", `{` + h + `"subjects":["7",null]}`, "member subjects: holds null among its strings and integers; put ids in quotes, leave out what is not known"},
		{"subjects is a string", `{` + h + `"subjects":"7"}`, "member subjects: is a string, not a list; put it in brackets, a single one too"},
		{"long subject", `{` + h + `"subject":"` + strings.Repeat("x", 257) + `"}`, "member subject: is longer than 256 bytes; give the id itself; ids are never cut"},
		{"too many subjects", `{` + h + `"subjects":[` + many + `]}`, "member subjects: has more than 100000 entries; split the record"},
		{"subject twice over", `{` + h + `"subject":7,"subjects":[7]}`, "member subjects: given beside subject; give one of the two"},
		{"negative others", `{` + h + `"others":-1}`, "member others: is not between 0 and 1,000,000,000; give the number of entries shown, or leave it out"},
		{"others with fraction", `{` + h + `"others":1.5}`, "member others: is a number, not an integer; leave fraction and exponent out"},
		{"others in quotes", `{` + h + `"others":"1"}`, "member others: is a string, not an integer; leave the quotes out"},
		{"bytes too many", `{` + h + `"bytes":9007199254740993}`, "member bytes: is not between 0 and 2^53"},
		{"status 99", `{` + h + `"status":99}`, "member status: is no HTTP status; give 100 to 999, or leave it out"},
		{"status -200", `{` + h + `"status":-200}`, "member status: is no HTTP status"},
		{"status beyond all", `{` + h + `"status":99999999999999999999}`, "member status: is no HTTP status"},
		{"outcome", `{` + h + `"outcome":"shown"}`, "member outcome: not known; it is one of disclosed, absent, refused or none"},
		{"outcome is a number", `{` + h + `"outcome":1}`, "member outcome: is a number, not a string; put it in quotes"},
		{"route is an object", `{` + h + `"route":{}}`, "member route: is an object, not a string; give a plain value"},
		{"key is a number", `{` + h + `"key":3}`, "member key: is a number, not a string; put it in quotes"},
		{"fields is empty", `{` + h + `"fields":""}`, "member fields: is an empty string, not a list; give [] where nothing was shown, or leave it out where the catalog is to say"},
		{"subjects is empty", `{` + h + `"subjects":""}`, "member subjects: is an empty string, not a list; leave it out where it is not known"},
		{"others is empty", `{` + h + `"others":""}`, "member others: is an empty string, not an integer; leave it out where it is not known"},
		{"fields is a string", `{` + h + `"fields":"name"}`, "member fields: is a string, not a list; put it in brackets, a single one too"},
		{"field is a number", `{` + h + `"fields":["name",1]}`, "member fields: holds a number among its strings"},
		{"empty field", `{` + h + `"fields":[""]}`, "member fields: holds what is no name of a field; a name has 1 to 64 bytes: letters, digits and _ . - : / [ ] $ @ *"},
		{"field with bar", `{` + h + `"masked":["a|b"]}`, "member masked: holds what is no name of a field"},
		{"field with bidirectional mark", `{` + h + `"fields":["a\u202eb"]}`, "member fields: holds what is no name of a field"},
		{"long field", `{` + h + `"fields":["` + strings.Repeat("x", 65) + `"]}`, "member fields: holds what is no name of a field"},
		{"masked and not", `{` + h + `"fields":["a","b"],"masked":["b","c"]}`, "member masked: names a field that is in fields too; a field shown in clear is not masked: leave it out of masked"},
		{"address with port", `{` + h + `"ip":"203.0.113.7:443"}`, "member ip: not an IP address; leave the port out"},
		{"address in brackets", `{` + h + `"ip":"[2001:db8::7]"}`, "member ip: not an IP address; leave the brackets out"},
		{"address with zone", `{` + h + `"ip":"fe80::1%eth0"}`, "member ip: not an IP address; leave the zone out"},
		{"several addresses", `{` + h + `"ip":"203.0.113.7, 10.0.0.1"}`, "member ip: not an IP address; give one address: the client's, as your own proxy saw it"},
		{"network", `{` + h + `"ip":"203.0.113.0/24"}`, "member ip: not an IP address; give one address, not a network"},
		{"leading zero in address", `{` + h + `"ip":"203.0.113.07"}`, "member ip: not an IP address; give it as"},
		{"address is a number", `{` + h + `"ip":3405803783}`, "member ip: is a number, not a string; put it in quotes"},
		{"country by name", `{` + h + `"country":"Korea"}`, `member country: is no ISO 3166-1 alpha-2 code; give two letters such as "KR", or leave it out`},
		{"country unknown", `{` + h + `"country":"--"}`, "member country: is no ISO 3166-1 alpha-2 code"},
		{"asn by name", `{` + h + `"asn":"KT"}`, `member asn: not an AS number; give it as 4766 or "AS4766"`},
		{"asn negative", `{` + h + `"asn":-1}`, "member asn: not an AS number"},
		{"asn too large", `{` + h + `"asn":4294967296}`, "member asn: not an AS number"},
		{"asn truth", `{` + h + `"asn":true}`, `member asn: is true or false, not a number; give it as 4766 or "AS4766"`},
		{"issuance of nothing", `{"type":"issuance",` + h + `"key":"k"}`, "member credential: missing on an issuance; it is what the record says was issued"},
		{"issuance to several", `{"type":"issuance",` + h + `"credential":"c","subjects":[1,2]}`, "member subjects: has several ids; give one issuance record for each"},
		{"subject of nobody", `{"type":"subject",` + h + `"state":"active"}`, "member subject: missing on a subject; give the customer's id"},
		{"subject without state", `{"type":"subject",` + h + `"subject":7}`, "member state: missing on a subject; it is one of active, withdrawn, merged or canary"},
		{"subject left", `{"type":"subject",` + h + `"subject":7,"state":"left"}`, "member state: not known on a subject; it is one of active, withdrawn, merged or canary"},
		{"merged into nothing", `{"type":"subject",` + h + `"subject":7,"state":"merged"}`, "member into: missing on a merged subject; give the id of the subject it was merged into"},
		{"into without merged", `{"type":"subject",` + h + `"subject":7,"state":"active","into":8}`, "member into: given on a subject that is not merged; leave it out, or give the state merged"},
		{"into several", `{"type":"subject",` + h + `"subject":7,"state":"merged","into":["8"]}`, "member into: is a list, not a string or an integer; give the one that it was merged into"},
		{"into -0", `{"type":"subject",` + h + `"subject":7,"state":"merged","into":-0}`, "member into: -0 is no id; put it in quotes if it is one"},
		{"into itself", `{"type":"subject",` + h + `"subject":7,"state":"merged","into":7}`, "member into: is the subject itself"},
		{"empty contact", `{"type":"subject",` + h + `"subject":7,"state":"active","contacts":[""]}`, "member contacts: is an empty id; leave it out"},
		{"person", `{"type":"person",` + h + `"state":"left"}`, "member person: missing on a person; give the id under which the house knows them"},
		{"person retired", `{"type":"person",` + h + `"person":"kim","state":"retired"}`, "member state: not known on a person; it is one of active or left"},
		{"key", `{"type":"key",` + h + `"state":"retired"}`, "member key: missing on a key; give the key's id (kid)"},
		{"key left", `{"type":"key",` + h + `"key":"k","state":"left"}`, "member state: not known on a key; it is one of active, retired or revoked"},
		{"key in no state", `{"type":"key",` + h + `"key":"k"}`, "member state: missing on a key; it is one of active, retired or revoked"},
		{"key lent", `{"type":"key",` + h + `"key":"k","kind":"lent"}`, "member kind: not known on a key; it is one of created, read, exported, used, rotated or disposed"},
		{"key until before since", `{"type":"key",` + h + `"key":"k","state":"active","since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}`, "member until: lies before the beginning; leave it out if there is no end"},
		{"reason for nothing", `{"type":"reason",` + h + `"kind":"order"}`, "member principal: missing on a reason, and subject too; give at least one of the two"},
		{"reason of no kind", `{"type":"reason",` + h + `"subject":7}`, "member kind: missing on a reason; it is one of order, delivery, ticket or job"},
		{"change of no kind", `{"type":"change",` + h + `"from":"2026-01-01T00:00:00Z"}`, "member kind: missing on a change; it is one of campaign, release, forced_logout or migration"},
		{"change from never", `{"type":"change",` + h + `"kind":"release"}`, "member from: missing on a change"},
		{"feed of nothing", `{"type":"feed",` + h + `"key":"k"}`, "member of: missing on a feed; it is one of issuance, subject or reason"},
		{"lost more than all", `{"type":"feed",` + h + `"of":"issuance","lost":1.1}`, "member lost: is not between 0 and 1; give a share: 0.01 is one in a hundred"},
		{"lost beyond floats", `{"type":"feed",` + h + `"of":"issuance","lost":1e999}`, "member lost: is not between 0 and 1"},
		{"lost in quotes", `{"type":"feed",` + h + `"of":"issuance","lost":"0"}`, "member lost: is a string, not a number; leave the quotes out"},
		{"negative lag", `{"type":"feed",` + h + `"of":"issuance","lag":-1}`, "member lag: is not between 0 and 1,000,000,000; give seconds"},
		{"act of no kind", `{"type":"act",` + h + `"count":1}`, "member kind: missing on an act; say what was judged or done"},
		{"act with negative count", `{"type":"act",` + h + `"kind":"x","count":-1}`, "member count: is not between 0 and 2^53"},
		{"reference without time", `{"type":"feed","of":"issuance"}`, "member time: missing, and neither since nor from stands in for it; give one of them"},
		{"since before 2000 as time", `{"type":"person","person":"kim","state":"active","since":"1999-01-01T00:00:00Z"}`, "since and from stand in for a missing time, which is when this was said"},
		{"since in seconds", `{"type":"person",` + h + `"person":"kim","state":"active","since":1794821400}`, "member since: looks like seconds; give milliseconds or RFC 3339"},
		{"since year 1", `{"type":"person",` + h + `"person":"kim","state":"active","since":"0001-01-01T00:00:00Z"}`, "member since: lies before 1970; leave it out if it is not known"},
		{"until in microseconds", `{"type":"key",` + h + `"key":"k","state":"active","until":1794821400250000}`, "member until: looks like microseconds or nanoseconds"},
		{"until no time", `{"type":"key",` + h + `"key":"k","state":"active","until":"never"}`, "member until: not RFC 3339; give it as"},
		{"until with fraction", `{"type":"key",` + h + `"key":"k","state":"active","until":1.5}`, "member until: is a number, not a time; give milliseconds or RFC 3339"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d whosaw.Decoder
			var r whosaw.Record
			err := d.Decode([]byte(tt.line), clock, &r)
			var bad *whosaw.RecordError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a RecordError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if bad.Hint == "" {
				t.Error("the error has no cure")
			}
			if d.Unknown != 0 {
				t.Errorf("%d members of a rejected record are counted as left out", d.Unknown)
			}
		})
	}
}

// What a type does not use is left out and counted, whatever it is, as an unknown member is.
func TestDecodeLeavesOut(t *testing.T) {
	tests := []struct {
		name, line string
		left       int64
	}{
		{"unknown", `{"time":1794821400250,"x":1,"y":{"a":[1,"b",null,true,{}]},"z":[],"Key":"case matters","":false}`, 5},
		{"twice unknown", `{"time":1794821400250,"x":1,"x":2}`, 2},
		{"of other types", `{"time":1794821400250,"state":7,"since":"yesterday","from":"home","kind":[],"until":null}`, 4},
		{"of an access", `{"type":"key","time":1794821400250,"key":"k","state":"active","agent":9,"fields":7,"subject":{}}`, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d whosaw.Decoder
			var r whosaw.Record
			for range 2 {
				if err := d.Decode([]byte(tt.line), clock, &r); err != nil {
					t.Fatal(err)
				}
			}
			if d.Unknown != 2*tt.left {
				t.Errorf("left out %d, want %d", d.Unknown, 2*tt.left)
			}
		})
	}
}

// An error must not repeat what the record holds: values are personal data.
func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "kim-jiyoung-010-1234"
	for _, member := range []string{"type", "time", "subject", "subjects", "fields", "masked", "status", "outcome", "ip", "country", "asn", "others", "bytes", "x\x00"} {
		for _, value := range []string{`"` + secret + `|"`, `["` + secret + `|"]`, `{"` + secret + `":1}`, `["` + strings.Repeat(secret, 20) + `"]`} {
			for _, head := range []string{`{"time":1794821400250,`, `{`, `{"type":"subject",`} {
				var d whosaw.Decoder
				var r whosaw.Record
				err := d.Decode([]byte(head+`"`+member+`":`+value+`}`), clock, &r)
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("member %q: %v", member, err)
				}
			}
		}
	}
}

func TestDecodeKeepsRecordsApart(t *testing.T) {
	var d whosaw.Decoder
	var kept []whosaw.Record
	for i := range 3000 {
		var r whosaw.Record
		line := `{"time":1794821400250,"subjects":["s` + strings.Repeat("x", i%50) + `",` + string(rune('1'+i%9)) + `],"agent":"a` + strings.Repeat("y", i) + `","fields":["f` + strings.Repeat("z", i%20) + `"]}`
		if err := d.Decode([]byte(line), clock, &r); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, r)
	}
	for i, r := range kept {
		want := whosaw.Record{Time: at, Subjects: []string{"s" + strings.Repeat("x", i%50), string(rune('1' + i%9))},
			Agent: "a" + strings.Repeat("y", i), Fields: []string{"f" + strings.Repeat("z", i%20)}}
		if diff := cmp.Diff(want, r, sameRecord); diff != "" {
			t.Fatalf("record %d: %s", i, diff)
		}
		_ = append(r.Subjects, "must not reach the neighbour")
	}
}
