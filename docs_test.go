package whosaw_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
)

// The documents name every member, and their examples are records.
func TestFormatsAreDocumented(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile("docs/formats/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	records, filters := read("records.md"), read("filters-and-answers.md")
	_, order, _ := strings.Cut(records, "## How whosaw writes a record")
	full := whosaw.Record{Type: whosaw.TypeAct, ID: "i", Time: at, Realm: "r", Others: 1, Route: "r", Method: "m", Path: "p", Fields: []string{}, Masked: []string{}, Status: 200,
		Outcome: 1, Principal: "p", Credential: "c", Key: "k", Client: "c", Country: "KR", ASN: 1, Agent: "a", TLS: "t", Reason: "r", Bytes: 1, Request: "r",
		Ref: &whosaw.Reference{State: "s", Kind: "k", Into: "i", Person: "p", Of: "o", Use: "u", Note: "n", Since: at, From: at, Until: at, Expires: at, LastLogin: at, Lag: 1,
			HasLost: true, Count: 1, Contacts: []string{"c"}, Keys: []string{"k"}, Principals: []string{"p"}, Readers: []string{"r"}}}
	for _, part := range strings.Split(string(whosaw.AppendJSON(nil, &full)), `":`) {
		name := part[strings.LastIndexByte(part, '"')+1:]
		if strings.Contains(name, "}") { // behind the last member
			continue
		}
		at := strings.Index(order, "`"+name+"`")
		if at < 0 {
			t.Errorf("records.md does not give %s its place in the order, or gives another", name)
			continue
		}
		order = order[at+len(name):]
	}
	for _, name := range whosaw.FilterMembers() {
		if !strings.Contains(filters, "`"+name+"`") {
			t.Errorf("filters-and-answers.md does not name %s", name)
		}
	}
	for _, answer := range []any{whosaw.ScopeAnswer{}, whosaw.Gap{}, whosaw.ListRow{}, whosaw.Finding{}, whosaw.ReadAnswer{}, whosaw.DoctorAnswer{}, whosaw.Share{},
		whosaw.DetectorState{}, whosaw.MemberAdvice{}, whosaw.Investigation{}, whosaw.SubjectAnswer{}} {
		typ := reflect.TypeOf(answer)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(filters, "`"+name+"`") && !strings.Contains(filters, `"`+name+`"`) && !strings.Contains(filters, name+",") {
				t.Errorf("filters-and-answers.md does not name %s of %s", name, typ.Name())
			}
		}
	}
	examples := 0
	var d whosaw.Decoder
	for line := range strings.Lines(records) {
		if strings.HasPrefix(line, `{"`) {
			var r whosaw.Record
			if err := d.Decode([]byte(line), clock, &r); err != nil || d.Unknown != 0 {
				t.Errorf("example: %v, %d members left out", err, d.Unknown)
			}
			examples++
		}
	}
	if examples < 2 {
		t.Error("records.md has no examples")
	}
}
