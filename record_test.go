package whosaw_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
)

func TestValidateNormalizes(t *testing.T) {
	fields, subjects := []string{"b", "a", "b"}, []string{"7", "8", "7"}
	shared := &whosaw.Reference{Since: at, State: "active", Contacts: []string{"1", "1"}, Keys: []string{"k"}}
	tests := []struct {
		name     string
		in, want whosaw.Record
	}{
		{"access",
			whosaw.Record{Time: at, Source: "s", Position: 7, Subjects: subjects, Fields: fields, Masked: []string{}, Country: "kr", IP: netip.MustParseAddr("::ffff:1.2.3.4"),
				Credential: "Bearer abc", Path: "/p", Ref: &whosaw.Reference{Note: "x"}},
			whosaw.Record{Time: at, Source: "s", Position: 7, Subjects: []string{"7", "8"}, Fields: []string{"a", "b"}, Masked: []string{}, Country: "KR",
				IP: netip.MustParseAddr("1.2.3.4"), Credential: whosaw.HashCredential("Bearer abc"), Path: "/p"}},
		{"empty subjects", whosaw.Record{Time: at, Subjects: []string{}}, whosaw.Record{Time: at}},
		{"subject, members of other types cleared",
			whosaw.Record{Type: whosaw.TypeSubject, Subjects: []string{"7"}, Agent: "x", Fields: fields, IP: netip.MustParseAddr("::1"), Status: 200, Ref: shared},
			whosaw.Record{Type: whosaw.TypeSubject, Time: at, Subjects: []string{"7"}, Ref: &whosaw.Reference{Since: at, State: "active", Contacts: []string{"1"}}}},
		{"person has no subject",
			whosaw.Record{Type: whosaw.TypePerson, Time: at, Subjects: []string{"7"}, Others: 1, ASN: 1, Bytes: 1, Outcome: 1, Ref: &whosaw.Reference{State: "left", Person: "kim", Count: 1, Lag: 1, Lost: 1, Until: at}},
			whosaw.Record{Type: whosaw.TypePerson, Time: at, Ref: &whosaw.Reference{State: "left", Person: "kim"}}},
		{"issuance without Ref", whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: "c"}, whosaw.Record{Type: whosaw.TypeIssuance, Time: at, Credential: "c", Ref: &whosaw.Reference{}}},
		{"lost stated by its value", whosaw.Record{Type: whosaw.TypeFeed, Time: at, Ref: &whosaw.Reference{Of: "issuance", Lost: 0.5, Lag: math.Copysign(0, -1)}},
			whosaw.Record{Type: whosaw.TypeFeed, Time: at, Ref: &whosaw.Reference{Of: "issuance", Lost: 0.5, HasLost: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.in
			if err := r.Validate(clock); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, r, sameRecord); diff != "" {
				t.Error(diff)
			}
		})
	}
	if !slices.Equal(fields, []string{"b", "a", "b"}) || !slices.Equal(subjects, []string{"7", "8", "7"}) || len(shared.Contacts) != 2 || shared.Keys == nil {
		t.Error("Validate wrote to what the caller may share")
	}
}

func TestValidateRejects(t *testing.T) {
	many := make([]string, whosaw.MaxList+1)
	names := make([]string, whosaw.MaxNames+1)
	for i := range many {
		many[i] = "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune(0x4e00+i%20000)) + string(rune(0x4e00+i/20000))
	}
	copy(names, many)
	tests := []struct {
		name string
		r    whosaw.Record
		want string
	}{
		{"type", whosaw.Record{Type: 99, Time: at}, "member type: not known"},
		{"no time", whosaw.Record{}, "member time: missing; give the time of the access"},
		{"time", whosaw.Record{Time: 5}, "member time: lies before 2000-01-01"},
		{"agent", whosaw.Record{Time: at, Agent: "\xff"}, "member agent: is not valid UTF-8; replace the bytes of other encodings"},
		{"subject text", whosaw.Record{Time: at, Subjects: []string{"\xff"}}, "member subjects: is not valid UTF-8"},
		{"note", whosaw.Record{Type: whosaw.TypeChange, Time: at, Ref: &whosaw.Reference{Kind: "release", From: at, Note: "\xff"}}, "member note: is not valid UTF-8"},
		{"names", whosaw.Record{Time: at, Fields: []string{"a b"}}, "member fields: holds what is no name"},
		{"many names", whosaw.Record{Time: at, Masked: names}, "member masked: has more than 1,000 names"},
		{"many subjects", whosaw.Record{Time: at, Subjects: many}, "member subject: has more than 100000 entries"},
		{"long subject", whosaw.Record{Time: at, Subjects: []string{strings.Repeat("x", 257)}}, "member subject: is longer than 256 bytes"},
		{"outcome", whosaw.Record{Time: at, Outcome: 9}, "member outcome: not known"},
		{"zone", whosaw.Record{Time: at, IP: netip.MustParseAddr("fe80::1%x")}, "member ip: not an IP address; leave the zone out"},
		{"overlap", whosaw.Record{Time: at, Fields: []string{"b", "c"}, Masked: []string{"a", "c"}}, "member masked: names a field that is in fields too"},
		{"lag", whosaw.Record{Type: whosaw.TypeFeed, Time: at, Ref: &whosaw.Reference{Of: "issuance", Lag: math.NaN()}}, "member lag: is not between"},
		{"lost", whosaw.Record{Type: whosaw.TypeFeed, Time: at, Ref: &whosaw.Reference{Of: "issuance", Lost: math.Inf(1)}}, "member lost: is not between"},
		{"long into", whosaw.Record{Type: whosaw.TypeSubject, Time: at, Subjects: []string{"7"}, Ref: &whosaw.Reference{State: "merged", Into: strings.Repeat("x", 257)}}, "member into: is longer than 256 bytes"},
		{"since", whosaw.Record{Type: whosaw.TypePerson, Ref: &whosaw.Reference{State: "left", Person: "kim", Since: ms("1999-01-01T00:00:00Z")}}, "since and from stand in for a missing time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.r.Validate(clock)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestClone(t *testing.T) {
	for _, r := range []whosaw.Record{
		{},
		{Time: at, Fields: []string{}, Subjects: []string{"7"}, Agent: "a", Source: "s"},
		{Type: whosaw.TypePerson, Time: at, Ref: &whosaw.Reference{Person: "kim", Keys: []string{"k", "l"}}},
	} {
		c := r.Clone()
		if diff := cmp.Diff(r, c, sameRecord); diff != "" {
			t.Error(diff)
		}
		if r.Ref != nil && r.Ref == c.Ref {
			t.Error("the clone shares Ref")
		}
	}
}

// What would draw on a terminal is written as an escape.
func TestAppendJSONDrawsNothing(t *testing.T) {
	r := whosaw.Record{Time: at, Agent: "\x1b[2J\x7f\u0085\u202e\u2066\u200f\u061c\ufeff\u2028é한\xff\x00\"\\"}
	got := string(whosaw.AppendJSON([]byte("x"), &r))
	want := `x{"time":"2026-11-16T09:30:00.250Z","agent":"\u001b[2J\u007f\u0085\u202e\u2066\u200f\u061c\ufeff\u2028é한\ufffd\u0000\"\\"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAppendJSONOrder(t *testing.T) {
	r := whosaw.Record{Type: whosaw.TypeAct, ID: "i", Time: at, Realm: "r", Subjects: []string{"1", "2"}, Others: 1, Route: "R", Fields: []string{}, Masked: []string{"m"},
		Status: 200, Outcome: whosaw.OutcomeNone, Principal: "p", Credential: "c", Key: "k", Client: "cl", IP: netip.MustParseAddr("::1"), Country: "KR", ASN: 1, Agent: "a", TLS: "t",
		Reason: "re", Bytes: 2, Request: "rq", Ref: &whosaw.Reference{State: "s", Kind: "kd", Into: "in", Person: "pe", Of: "of", Use: "u", Note: "n", Since: at, From: at, Until: at,
			Expires: at, LastLogin: at, Lag: 1.5, Lost: 0, HasLost: true, Count: 3, Contacts: []string{"x"}, Keys: []string{"y"}, Principals: []string{"z"}, Readers: []string{"w"}}}
	const when = `"2026-11-16T09:30:00.250Z"`
	want := `{"type":"act","id":"i","time":` + when + `,"realm":"r","subjects":["1","2"],"state":"s","into":"in","person":"pe","of":"of","kind":"kd","others":1,"route":"R","fields":[],` +
		`"masked":["m"],"status":200,"outcome":"none","principal":"p","credential":"c","key":"k","client":"cl","ip":"::1","country":"KR","asn":1,"agent":"a","tls":"t","reason":"re",` +
		`"bytes":2,"request":"rq","since":` + when + `,"from":` + when + `,"until":` + when + `,"expires":` + when + `,"last_login":` + when + `,"contacts":["x"],"keys":["y"],` +
		`"principals":["z"],"readers":["w"],"use":"u","lag":1.5,"lost":0,"count":3,"note":"n"}`
	if got := string(whosaw.AppendJSON(nil, &r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var d whosaw.Decoder
	var back whosaw.Record
	if err := d.Decode([]byte(want), clock, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back, sameRecord); diff != "" {
		t.Error(diff)
	}
}

// randomRecord draws a record that Validate accepts.
func randomRecord(t *rapid.T) whosaw.Record {
	text := func(label string) string { return rapid.StringN(0, 30, -1).Draw(t, label) }
	ids := func(label string) []string {
		return rapid.SliceOfN(rapid.StringN(1, 20, 200), 0, 20).Draw(t, label)
	}
	when := func(label string) int64 {
		if rapid.Bool().Draw(t, label+" stated") {
			return rapid.Int64Range(10_000_000_000, 253_402_300_799_999).Draw(t, label)
		}
		return 0
	}
	pick := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	name := rapid.StringMatching(`[a-zA-Z0-9_.:/\[\]$@*-]{1,20}|[가-힣]{1,10}`)
	r := whosaw.Record{
		Type: whosaw.Type(rapid.IntRange(0, 10).Draw(t, "type")), ID: text("id"), Time: rapid.Int64Range(whosaw.MinTime, clock+whosaw.MaxAhead).Draw(t, "time"),
		Realm: text("realm"), Subjects: ids("subjects"), Others: rapid.Int64Range(0, whosaw.MaxOthers).Draw(t, "others"), Route: text("route"), Method: text("method"),
		Path: text("path"), Outcome: whosaw.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome")), Principal: text("principal"), Credential: text("credential"), Key: text("key"),
		Client: text("client"), Country: pick("country", "", "KR", "us", "T1"), ASN: rapid.Uint32().Draw(t, "asn"), Agent: text("agent"), TLS: text("tls"),
		Reason: text("reason"), Bytes: rapid.Int64Range(0, whosaw.MaxNumber).Draw(t, "bytes"), Request: text("request"),
	}
	if rapid.Bool().Draw(t, "status stated") {
		r.Status = rapid.IntRange(100, 999).Draw(t, "status")
	}
	if rapid.Bool().Draw(t, "fields stated") {
		r.Fields = rapid.SliceOfN(name, 0, 6).Draw(t, "fields")
	}
	if rapid.Bool().Draw(t, "masked stated") {
		r.Masked = slices.DeleteFunc(rapid.SliceOfN(name, 0, 6).Draw(t, "masked"), func(s string) bool { return slices.Contains(r.Fields, s) })
	}
	switch rapid.IntRange(0, 2).Draw(t, "ip") {
	case 1:
		r.IP = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip4")))
	case 2:
		r.IP = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip6")))
	}
	if r.Type == whosaw.TypeAccess {
		return r
	}
	ref := &whosaw.Reference{Into: "", Person: text("person") + "p", Of: text("of"), Kind: text("kind") + "k", Use: text("use"), Note: text("note"), Since: when("since"),
		From: when("from"), Expires: when("expires"), LastLogin: when("last_login"), Lag: rapid.Float64Range(0, 1e9).Draw(t, "lag"), Lost: rapid.Float64Range(0, 1).Draw(t, "lost"),
		Count: rapid.Int64Range(0, whosaw.MaxNumber).Draw(t, "count"), Contacts: ids("contacts"), Keys: ids("keys"), Principals: ids("principals"), Readers: ids("readers")}
	r.Ref = ref
	if len(r.Subjects) > 1 && r.Type <= whosaw.TypeFeed {
		r.Subjects = r.Subjects[:1]
	}
	switch r.Type {
	case whosaw.TypeIssuance:
		r.Credential += "c"
	case whosaw.TypeSubject:
		r.Subjects = []string{"7"}
		if ref.State = pick("state", "active", "withdrawn", "merged", "canary"); ref.State == "merged" {
			ref.Into = "8"
		}
	case whosaw.TypePerson:
		ref.State = pick("state", "active", "left")
	case whosaw.TypeKey:
		ref.Kind = pick("kind", "", "created", "read", "exported", "used", "rotated", "disposed")
		if ref.State = pick("state", "", "active", "retired", "revoked"); ref.State == "" && ref.Kind == "" {
			ref.State = "active"
		}
		r.Key += "k"
	case whosaw.TypeReason:
		ref.Kind = pick("kind", "order", "delivery", "ticket", "job")
		r.Principal += "p"
	case whosaw.TypeChange:
		ref.Kind = pick("kind", "campaign", "release", "forced_logout", "migration")
		ref.From = max(ref.From, at)
	case whosaw.TypeFeed:
		ref.Of = pick("of", "issuance", "subject", "reason")
	}
	if until := when("until"); until >= max(ref.From, ref.Since) {
		ref.Until = until
	}
	return r
}

// Every valid record comes back from its encoding, through AppendJSON and Decode and through encoding/json.
func TestRecordComesBack(t *testing.T) {
	var d whosaw.Decoder
	rapid.Check(t, func(t *rapid.T) {
		r := randomRecord(t)
		if err := r.Validate(clock); err != nil {
			t.Fatalf("validate: %v", err)
		}
		once := r.Clone()
		if err := r.Validate(clock); err != nil {
			t.Fatalf("validate twice: %v", err)
		}
		if diff := cmp.Diff(once, r, sameRecord); diff != "" {
			t.Fatalf("validating twice changes it: %s", diff)
		}
		line := whosaw.AppendJSON(nil, &r)
		var back whosaw.Record
		if err := d.Decode(line, clock, &back); err != nil {
			t.Fatalf("decode %s: %v", line, err)
		}
		if diff := cmp.Diff(r, back, sameRecord); diff != "" {
			t.Fatal(diff)
		}
		if d.Unknown != 0 {
			t.Fatal("a member was left out")
		}
		data, err := json.Marshal([]whosaw.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		var list []whosaw.Record
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]whosaw.Record{r}, list, sameRecord); diff != "" {
			t.Fatal(diff)
		}
	})
}
