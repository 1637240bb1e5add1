package guard_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// visit is an access of the small world in which filters are compared.
type visit struct {
	record whosaw.Record
	token  guard.Secret
}

// TestFiltersMeanTheSame: a standing decision covers a request if and only if scope counts the access that the request becomes. So a
// preview counts whom a decision would have hit, no others and no fewer.
func TestFiltersMeanTheSame(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors[0].Tells, c.Doors[1].Tells = []string{"country", "asn", "tls"}, []string{"country", "asn", "tls"}
		c.Policy.Unissued = guard.Allow
		c.Tokens.Cache = 1 << 12
	})
	w.addKey("backup")
	w.open()
	led, err := ledger.Open(ledger.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	w.advance(0)
	start := w.now()
	var records []whosaw.Record
	for i, c := range []string{"a", "b", "c"} {
		line := fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"key":"main","subject":"%d"}`, start.UnixMilli(), c, i)
		w.say(line)
	}
	w.say(`{"type":"reason","subject":"2","kind":"order","from":"2020-01-01T00:00:00Z"}`)
	for i := range w.records {
		r := w.records[i].Clone()
		r.Source, r.Position = "world", int64(i)
		records = append(records, r)
	}
	var visits []visit
	pick := func(i, salt int, list ...string) string { return list[(i*7919+salt*104729+i*i*salt)%len(list)] }
	for i := range 60 {
		r := whosaw.Record{
			Time: start.UnixMilli() + int64(i+1)*60_000, Source: "world", Position: int64(1000 + i), Credential: pick(i, 1, "a", "b", "c", "d"), Key: pick(i, 2, "main", "backup"),
			Client: pick(i, 3, "", "app", "!odd"), Route: pick(i, 4, "GET /me/addresses", "GET /staff/customers/{id}"), Country: pick(i, 5, "", "KR", "US"),
			Agent: pick(i, 6, "ShopApp/7.1", "curl/8.5.0", "ShopApp/7.2"), TLS: pick(i, 7, "", "t13d"), Status: 200,
		}
		subject := pick(i, 8, "0", "1", "2")
		r.Principal, r.Subjects = "customer:"+subject, []string{pick(i, 9, subject, "2")}
		r.IP = netip.MustParseAddr(pick(i, 10, "203.0.113.7", "203.0.113.8", "198.51.100.1", "2001:db8::7"))
		if i%3 == 0 {
			r.ASN = 64499
		}
		claims := map[string]any{"iss": issuerName, "sub": subject, "jti": r.Credential, "iat": start.Unix(), "exp": start.Unix() + 86400}
		if r.Client != "" {
			claims["client_id"] = r.Client
		}
		visits = append(visits, visit{r, w.token(r.Key, claims)})
		records = append(records, r)
	}
	receipts, err := led.Append(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	sequences := receipts[len(records)-len(visits):]
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { view.Close() })
	engine := scope.New(view, shopCatalog(t), scope.Config{Workers: 1, Zone: time.UTC})
	clock := func(at time.Time) { w.mu.Lock(); w.clock = at; w.mu.Unlock() }

	rapid.Check(t, func(t *rapid.T) {
		filter := whosaw.Filter(rapid.SliceOfN(drawTerm(start), 1, 2).Draw(t, "filter"))
		want, err := engine.Sequences(w.t.Context(), filter)
		if err != nil {
			t.Fatalf("scope: %v", err)
		}
		clock(start)
		made, err := w.g.Book().Add(w.t.Context(), guard.Standing{Action: guard.Deny, Filter: filter, Reason: "test", Who: "test"}, 24*time.Hour)
		if err != nil {
			t.Fatalf("make a decision of %+v: %v", filter, err)
		}
		for i := range visits {
			r := &visits[i].record
			clock(time.UnixMilli(r.Time))
			d := w.g.Decide(w.t.Context(), &guard.Request{
				Door: "api", Route: r.Route, Credential: visits[i].token, Subjects: r.Subjects, IP: r.IP, Country: r.Country, ASN: r.ASN, Agent: r.Agent, TLS: r.TLS,
			})
			covered := slices.ContainsFunc(d.Reasons, func(x guard.Reason) bool { return x.Decision == made.ID })
			if counted := slices.Contains(want, sequences[i].Sequence); covered != counted {
				t.Fatalf("visit %d %+v: scope counts it: %v, the decision covers it: %v", i, *r, counted, covered)
			}
		}
		clock(start)
		if _, err := w.g.Book().Undo(w.t.Context(), made.ID, "test", "next"); err != nil {
			t.Fatal(err)
		}
	})
}

// drawTerm draws a term that can be held against requests and is not empty.
func drawTerm(start time.Time) *rapid.Generator[whosaw.Term] {
	return rapid.Custom(func(t *rapid.T) whosaw.Term {
		var f whosaw.Term
		add := func(member string, values ...string) {
			if rapid.IntRange(0, 2).Draw(t, member+" given") > 0 {
				return
			}
			for range rapid.IntRange(1, 2).Draw(t, member+" values") {
				v := rapid.SampledFrom(values).Draw(t, member)
				if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
					v = "!" + v
				}
				if err := f.Add(member, v); err != nil {
					t.Fatalf("%s %s: %v", member, v, err)
				}
			}
		}
		add("key", "main", "backup", "other")
		add("credential", "a", "b", "d", "z")
		add("principal", "customer:0", "customer:1", "customer:2")
		add("client", "app", "!odd", "web")
		add("ip", "203.0.113.7", "203.0.113.0/24", "2001:db8::/32", "198.51.100.1", "::ffff:203.0.113.8")
		add("country", "KR", "US")
		add("asn", "64499", "AS1")
		add("agent", "curl/8.5.0")
		add("agent_class", whosaw.AgentClass("ShopApp/7.1"), whosaw.AgentClass("curl/8.5.0"))
		add("tls", "t13d")
		add("route", "GET /me/addresses", "GET /staff/customers/{id}")
		add("subject", "0", "2")
		for _, x := range []struct {
			name string
			to   **bool
		}{{"issued", &f.Issued}, {"explained", &f.Explained}} {
			switch rapid.IntRange(0, 5).Draw(t, x.name) {
			case 0:
				yes := true
				*x.to = &yes
			case 1:
				no := false
				*x.to = &no
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "from given") == 0 {
			f.From = whosaw.Time(start.UnixMilli() + int64(rapid.IntRange(0, 60).Draw(t, "from"))*60_000)
		}
		if rapid.IntRange(0, 5).Draw(t, "to given") == 0 {
			f.To = whosaw.Time(start.UnixMilli() + int64(rapid.IntRange(0, 60).Draw(t, "to"))*60_000)
		}
		if f.From != 0 && f.To != 0 && f.To <= f.From {
			f.To = 0
		}
		if f.IsZero() {
			f.Key = []string{"main"}
		}
		return f
	})
}
