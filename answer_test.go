package whosaw_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
)

func TestAnswersHaveNoNullLists(t *testing.T) {
	tests := []struct {
		name   string
		answer any
		want   string
	}{
		{"scope", whosaw.ScopeAnswer{}, `{"filter":[],"accesses":0,"disclosures":0,"subjects":0,"others":0,"fields":{},"masked":{},"not_reached":[],"first":null,"last":null,"catalog":"","gaps":[]}`},
		{"scope in an investigation", &whosaw.ScopeAnswer{Filter: whosaw.Filter{{Key: []string{"k"}}}, Findings: []string{"f1"}, First: ptr(whosaw.Time(at)), Gaps: []whosaw.Gap{{Kind: whosaw.GapSilent}}},
			`{"filter":{"key":["k"]},"accesses":0,"disclosures":0,"subjects":0,"others":0,"fields":{},"masked":{},"not_reached":[],"first":"2026-11-16T09:30:00.250Z","last":null,"catalog":"","gaps":[{"kind":"silent","from":null,"to":null,"source":"","count":0,"says":""}],"findings":["f1"]}`},
		{"row", whosaw.ListRow{Subject: "7"}, `{"subject":"7","first":null,"last":null,"accesses":0,"fields":[]}`},
		{"subject", whosaw.SubjectAnswer{Subject: "7"}, `{"subject":"7","accesses":[],"next":""}`},
		{"subject with accesses", whosaw.SubjectAnswer{Subject: "7", Accesses: []whosaw.Record{{Time: at, Subjects: []string{"7"}, Agent: "<b>", Source: "s", Position: 9}}},
			`{"subject":"7","accesses":[{"time":"2026-11-16T09:30:00.250Z","subject":"7","agent":"\u003cb\u003e"}],"next":""}`},
		{"investigation", whosaw.Investigation{}, `{"read":{"lines":0,"accepted":0,"rejected":0,"duplicates":0,"from":null,"to":null,"seconds":0},"findings":[],"scopes":[],"doctor":{"accesses":0,"shares":{},"detectors":[],"silent":[],"add":[],"says":[]}}`},
		{"advice", whosaw.DoctorAnswer{Add: []whosaw.MemberAdvice{{Member: "subject"}}}, `{"accesses":0,"shares":{},"detectors":[],"silent":[],"add":[{"member":"subject","why":"","opens":[],"setup":""}],"says":[]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAnswersComeBack(t *testing.T) {
	want := whosaw.Investigation{
		Findings: []whosaw.Finding{{ID: "f", Time: whosaw.Time(at), Filter: whosaw.Filter{{Key: []string{"k"}, Issued: ptr(false)}}}},
		Scopes: []whosaw.ScopeAnswer{{Filter: whosaw.Filter{{Status: whosaw.Numbers{"!404", "200"}}, {}}, Fields: map[string]int64{"name": 2},
			Masked: map[string]int64{}, NotReached: []string{"payment"}, Last: ptr(whosaw.Time(at)), Gaps: []whosaw.Gap{}, Findings: []string{"f"}}},
		Doctor: whosaw.DoctorAnswer{Shares: map[string]whosaw.Share{}, Detectors: []whosaw.DetectorState{}, Silent: []whosaw.Gap{}, Add: []whosaw.MemberAdvice{}, Says: []string{}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got whosaw.Investigation
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTopRow(t *testing.T) {
	for want, row := range map[string]whosaw.TopRow{
		`{"day":"2026-11-16","ip":"203.0.113.7","subjects":3,"accesses":4}`: {Day: "2026-11-16", By: "ip", Value: "203.0.113.7", Subjects: 3, Accesses: 4},
		`{"day":"2026-11-16","asn":4766,"subjects":3,"accesses":4}`:         {Day: "2026-11-16", By: "asn", Value: "4766", Subjects: 3, Accesses: 4},
		`{"day":"2026-11-16","key":"4766","subjects":0,"accesses":0}`:       {Day: "2026-11-16", By: "key", Value: "4766"},
		`{"day":"2026-11-16","agent":"a\"b","subjects":0,"accesses":0}`:     {Day: "2026-11-16", By: "agent", Value: `a"b`},
	} {
		got, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		var back whosaw.TopRow
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if back != row {
			t.Errorf("came back as %+v", back)
		}
	}
	if _, err := json.Marshal(whosaw.TopRow{Day: "2026-11-16"}); err == nil {
		t.Error("a row without dimension was written")
	}
	for _, s := range []string{`{"day":"x"}`, `{"day":"x","ip":"a","key":"b"}`, `{"day":1,"ip":"a"}`, `[]`} {
		var row whosaw.TopRow
		if err := json.Unmarshal([]byte(s), &row); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}

func TestNumbers(t *testing.T) {
	var n whosaw.Numbers
	if err := json.Unmarshal([]byte(`["AS4766",17858,"!as1","404"]`), &n); err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(n); string(got) != `[4766,17858,"!1",404]` {
		t.Errorf("got %s", got)
	}
	if err := json.Unmarshal([]byte(`404`), &n); err != nil || len(n) != 1 || n[0] != "404" {
		t.Errorf("one alone: %v, %v", n, err)
	}
	for _, s := range []string{`"x"`, `[null]`, `[1.5]`, `{}`, `[-1]`} {
		if err := json.Unmarshal([]byte(s), &n); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}
