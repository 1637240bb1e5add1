package catalog_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw"
)

func TestLogin(t *testing.T) {
	c := parse(t, `
routes:
  POST /login: {login: {}}
  POST /form: {login: {status: [302]}}
  POST /of/{user}/session: {subject: path.user, login: {subject: record}}
  POST /by/{user}: {login: {subject: path.user}}
  GET /sso: {login: {credential: query.sid, subject: query.user}}
  GET /me:
`)
	ip := netip.MustParseAddr("192.0.2.7")
	full := whosaw.Record{
		Method: "POST", Path: "/login", Time: whosaw.MinTime, Realm: "shop", Source: "log", Position: 40, Status: 200,
		Principal: "customer:7", Credential: "s1", Key: "k", Client: "app", IP: ip, Agent: "a browser", Request: "r", Bytes: 9,
	}
	with := func(change func(r *whosaw.Record)) whosaw.Record {
		r := full
		change(&r)
		return r
	}
	issued := whosaw.Record{
		Type: whosaw.TypeIssuance, ID: "login:log:40", Time: whosaw.MinTime, Realm: "shop", Source: "log", Position: 40,
		Principal: "customer:7", Credential: "s1", Key: "k", Client: "app", IP: ip,
	}
	issuedWith := func(change func(r *whosaw.Record)) *whosaw.Record {
		r := issued
		change(&r)
		return &r
	}
	for _, tt := range []struct {
		name string
		in   whosaw.Record
		want *whosaw.Record
	}{
		{"log-in", full, &issued},
		{"by its route alone", with(func(r *whosaw.Record) { r.Method, r.Path, r.Route = "", "", "POST /login" }), &issued},
		{"with an id", with(func(r *whosaw.Record) { r.ID = "x" }), issuedWith(func(r *whosaw.Record) { r.ID = "login:x" })},
		{"redirected", with(func(r *whosaw.Record) { r.Status = 303 }), &issued},
		{"refused", with(func(r *whosaw.Record) { r.Status = 401 }), nil},
		{"without status", with(func(r *whosaw.Record) { r.Status = 0 }), nil},
		{"stated refused", with(func(r *whosaw.Record) { r.Outcome = whosaw.OutcomeRefused }), nil},
		{"no credential", with(func(r *whosaw.Record) { r.Credential = "" }), nil},
		{"nobody", with(func(r *whosaw.Record) { r.Principal = "" }), nil},
		{"HEAD", with(func(r *whosaw.Record) { r.Method = "HEAD" }), nil},
		{"another method", with(func(r *whosaw.Record) { r.Method = "GET" }), nil},
		{"another page", with(func(r *whosaw.Record) { r.Method, r.Path = "GET", "/me" }), nil},
		{"a form shown again", with(func(r *whosaw.Record) { r.Path = "/form" }), nil},
		{"a form taken", with(func(r *whosaw.Record) { r.Path, r.Status = "/form", 302 }), &issued},
		{"subject of the record", with(func(r *whosaw.Record) { r.Path, r.Principal = "/of/8/session", "" }),
			issuedWith(func(r *whosaw.Record) { r.Principal, r.Subjects = "", []string{"8"} })},
		{"subject of the path", with(func(r *whosaw.Record) { r.Path, r.Principal = "/by/8", "" }),
			issuedWith(func(r *whosaw.Record) { r.Principal, r.Subjects = "", []string{"8"} })},
		{"credential in the query is hashed", with(func(r *whosaw.Record) {
			r.Method, r.Path, r.Principal, r.Credential = "GET", "/sso?sid=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&user=9", "", ""
		}), issuedWith(func(r *whosaw.Record) {
			r.Principal, r.Subjects = "", []string{"9"}
			r.Credential = whosaw.HashCredential("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
		})},
	} {
		r := tt.in
		iss, ok := c.Resolver().Resolve(&r)
		if ok != (tt.want != nil) {
			t.Errorf("%s: implies an issuance: %v", tt.name, ok)
			continue
		}
		if !ok {
			continue
		}
		iss.Ref = nil
		if diff := cmp.Diff(*tt.want, iss, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
