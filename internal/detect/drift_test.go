package detect_test

import (
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
)

// A page that begins to show what its catalog does not list is news once; not in a log's first week, not during a declared
// release, and not where nobody wrote a catalog.
func TestFieldDrift(t *testing.T) {
	cat, err := catalog.Parse("catalog.yaml", []byte("name: shop\nroutes:\n  GET /me:\n    fields: [name]\n    masked: [phone]\n"))
	if err != nil {
		t.Fatal(err)
	}
	show := func(at int64, route string, fields ...string) whosaw.Record {
		r := get(at, 7, true)
		r.Route, r.Fields, r.Principal = route, fields, "customer:7"
		return r
	}
	var rs []whosaw.Record
	for d := range int64(30) {
		rs = append(rs, show(start+d*day, "GET /me", "name", "email"), show(start+d*day, "GET /other", "name")) // the catalog forgot it
	}
	rs = append(rs,
		whosaw.Record{Type: whosaw.TypeChange, Time: start + 30*day, Ref: &whosaw.Reference{Kind: "release", From: start + 30*day, Until: start + 31*day}},
		show(start+30*day+hour, "GET /me", "name", "points"),
		show(start+32*day, "GET /me", "points", "phone"),
		show(start+32*day+hour, "GET /me", "phone"),
		show(start+32*day+2*hour, "GET /other", "anything"),
	)
	e := detect.New(detect.Config{}, cat)
	var got []whosaw.Finding
	for i := range rs {
		got = append(got, e.Observe(uint64(i+1), &rs[i])...)
	}
	if len(got) != 1 || got[0].Detector != "field_drift" || got[0].Unit != "route:GET /me" || got[0].Filter[0].Field[0] != "phone" ||
		int64(got[0].Filter[0].From) != start+32*day || got[0].Filter.Validate() != nil {
		t.Errorf("findings %+v", got)
	}
	if _, fs := run(detect.Config{}, rs); len(fs) != 0 {
		t.Errorf("without a catalog: %v", fs)
	}
}

// Two fields that begin with the same access are two findings, which a verdict, an alarm and a case tell apart by their ids.
func TestFieldDriftOfTwoAtOnce(t *testing.T) {
	cat, err := catalog.Parse("catalog.yaml", []byte("name: shop\nroutes:\n  GET /me:\n    fields: [name]\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := detect.New(detect.Config{}, cat)
	var got []whosaw.Finding
	for i, fields := range [][]string{{"name"}, {"name", "phone", "iban"}} {
		r := get(start+int64(i)*30*day, 7, true)
		r.Route, r.Fields, r.Principal = "GET /me", fields, "customer:7"
		got = append(got, e.Observe(uint64(i+1), &r)...)
	}
	if len(got) != 2 || got[0].ID == got[1].ID {
		t.Fatalf("findings %+v, want two with ids of their own", got)
	}
	for i := range got {
		if g, ok := e.Growth(got[i].ID); !ok || len(g.Filter) != 1 || g.Filter[0].Field[0] != got[i].Filter[0].Field[0] {
			t.Errorf("finding %s of %v is remembered as %+v", got[i].ID, got[i].Filter, g)
		}
	}
}
