package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// entry is what a drawn catalog says of its one route.
type entry struct {
	fields, masked []string
	others         int64
	rules          map[string]string // status or class to outcome
}

// naiveShow says it as the contract does, line by line.
func naiveShow(e *entry, fields, masked []string, status int, stated string, others int64) (f, m []string, o int64, outcome string, matched bool) {
	f, m, o = fields, masked, others
	if e != nil {
		matched = true
		if fields == nil {
			f = e.fields
		}
		if masked == nil {
			m = e.masked
		}
		if others == 0 {
			o = e.others
		}
	}
	if fields != nil || masked != nil {
		matched = true
	}
	var rest []string
	for _, s := range m {
		if !slices.Contains(f, s) {
			rest = append(rest, s)
		}
	}
	m = rest
	shows := len(f) > 0 || len(m) > 0
	if stated != "" {
		return f, m, o, stated, matched
	}
	if e != nil {
		if r, ok := e.rules[fmt.Sprint(status)]; ok {
			return f, m, o, r, matched
		}
		if r, ok := e.rules[fmt.Sprintf("%dxx", status/100)]; ok && status > 0 {
			return f, m, o, r, matched
		}
	}
	switch {
	case status >= 200 && status <= 299 && shows, status == 0 && shows:
		outcome = "disclosed"
	case status == 404, status == 410:
		outcome = "absent"
	case status == 401, status == 403, status == 429:
		outcome = "refused"
	default:
		outcome = "none"
	}
	return f, m, o, outcome, matched
}

func TestShowAgainstNaive(t *testing.T) {
	names := []string{"address", "door_code", "email", "name", "phone"}
	statuses := []int{0, 100, 200, 204, 206, 299, 301, 302, 304, 400, 401, 403, 404, 410, 429, 451, 500, 503, 999}
	words := []string{"disclosed", "absent", "refused", "none"}
	rapid.Check(t, func(t *rapid.T) {
		set := func(name string) []string {
			s := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID[string]).Draw(t, name)
			slices.Sort(s)
			return s
		}
		maybe := func(name string) []string {
			if rapid.Bool().Draw(t, "states "+name) {
				return append([]string{}, set(name)...)
			}
			return nil
		}
		var e *entry
		var rt *catalog.Route
		if rapid.IntRange(0, 3).Draw(t, "known") > 0 {
			e = &entry{fields: set("fields"), others: int64(rapid.IntRange(0, 2).Draw(t, "others")), rules: map[string]string{}}
			for _, f := range set("masked") {
				if !slices.Contains(e.fields, f) {
					e.masked = append(e.masked, f)
				}
			}
			text := ""
			for range rapid.IntRange(0, 3).Draw(t, "rules") {
				key := fmt.Sprint(rapid.SampledFrom(statuses[1:]).Draw(t, "status"))
				if rapid.Bool().Draw(t, "class") {
					key = key[:1] + "xx"
				}
				if _, ok := e.rules[key]; !ok {
					e.rules[key] = rapid.SampledFrom(words).Draw(t, "outcome")
					text += fmt.Sprintf("%s: %s, ", key, e.rules[key])
				}
			}
			c := parse(t, fmt.Sprintf("routes:\n  GET /x: {fields: [%s], masked: [%s], others: %d, outcomes: {%s}}\n",
				strings.Join(e.fields, ","), strings.Join(e.masked, ","), e.others, text))
			rt = c.At(0).Route("GET /x")
		}
		for range 5 {
			fields, masked := maybe("fields"), maybe("masked")
			status := rapid.SampledFrom(statuses).Draw(t, "status")
			stated := whosaw.Outcome(rapid.IntRange(0, 4).Draw(t, "stated"))
			others := int64(rapid.IntRange(0, 1).Draw(t, "others"))
			subject := rapid.Bool().Draw(t, "subject")
			got := catalog.Show(rt, fields, masked, status, stated, others, subject)
			f, m, o, outcome, matched := naiveShow(e, fields, masked, status, stated.String(), others)
			want := catalog.Shown{Fields: f, Masked: m, Others: o, Matched: matched}
			for i := range 5 {
				if whosaw.Outcome(i).String() == outcome {
					want.Outcome = whosaw.Outcome(i)
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%+v, fields %v, masked %v, status %d, stated %v, subject %v (-want +got):\n%s", e, fields, masked, status, stated, subject, diff)
			}
		}
	})
}

// TestShowByRules: what the rules call unclassified is shown only of somebody, and only by an answer
// with a body.
func TestShowByRules(t *testing.T) {
	v := catalog.Rules().At(whosaw.MinTime)
	disclosed, none, absent := whosaw.OutcomeDisclosed, whosaw.OutcomeNone, whosaw.OutcomeAbsent
	for _, tt := range []struct {
		route   string
		status  int
		subject bool
		fields  int
		outcome whosaw.Outcome
	}{
		{"GET /users/{user}", 200, true, 1, disclosed},
		{"GET /users/{user}", 200, false, 0, none},
		{"GET /users/{user}", 404, true, 1, absent},
		{"GET /users/{user}", 0, true, 1, disclosed},
		{"HEAD /users/{user}", 200, true, 0, none},
		{"OPTIONS /users/{user}", 200, true, 0, none},
		{"HEAD /users/{user}", 404, true, 0, absent},
		{"GET /static/{id}.js", 200, true, 0, none},
		{"GET /pictures/{id}.jpg", 200, true, 0, none},
		{"GET /users/{user}/{id}.jpg", 200, true, 1, disclosed},
		{"GET /users/{user}/app.js", 200, true, 0, none},
		{"GetObject /bucket/{id}.jpg", 200, true, 1, disclosed},
		{"HeadObject /bucket/{id}.jpg", 200, true, 0, none},
		{"sts.amazonaws.com:AssumeRole", 200, true, 1, disclosed},
		{"", 200, true, 1, disclosed},
	} {
		e := v.Route(tt.route)
		if e == nil {
			t.Errorf("the rules do not know %q", tt.route)
			continue
		}
		s := catalog.Show(e, nil, nil, tt.status, 0, 0, tt.subject)
		if len(s.Fields) != tt.fields || s.Outcome != tt.outcome || !s.Matched {
			t.Errorf("%s %d, subject %v: %+v", tt.route, tt.status, tt.subject, s)
		}
	}
	for route, join := range map[string]catalog.Join{
		"GET /me/addresses": catalog.JoinEither, "GET /my-account/orders": catalog.JoinEither, "POST /account/settings": catalog.JoinEither,
		"HEAD /me": catalog.JoinEither, "GET /products/{id}": catalog.JoinNone, "GET /account/{account}": catalog.JoinNone,
		"GET /users/{user}/profile": catalog.JoinNone, "GET /media": catalog.JoinNone,
	} {
		if e := v.Route(route); e.Join != join {
			t.Errorf("%s: join %d, want %d", route, e.Join, join)
		}
	}
}

func TestJoins(t *testing.T) {
	for _, tt := range []struct {
		join      catalog.Join
		principal string
		claimed   string
		issued    bool
	}{
		{catalog.JoinNone, "customer:7", "", false},
		{catalog.JoinPrincipal, "customer:7", "7", false},
		{catalog.JoinPrincipal, "customer:", "", false},
		{catalog.JoinPrincipal, "staff:kim", "", false},
		{catalog.JoinPrincipal, "", "", false},
		{catalog.JoinCredential, "customer:7", "", true},
		{catalog.JoinCredential, "", "", true},
		{catalog.JoinEither, "customer:7", "7", false},
		{catalog.JoinEither, "staff:kim", "", false},
		{catalog.JoinEither, "", "", true},
	} {
		claimed, ok := tt.join.Claimed(tt.principal)
		if claimed != tt.claimed || ok != (tt.claimed != "") || tt.join.Issued(tt.principal) != tt.issued {
			t.Errorf("join %d, principal %q: claims %q %v, issued %v", tt.join, tt.principal, claimed, ok, tt.join.Issued(tt.principal))
		}
	}
}
