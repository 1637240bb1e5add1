package scope_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// This file makes random ledgers and filters for the property test. Everything is drawn from small pools, so
// that records meet each other and filters meet records.

// scenario is a ledger: what is sent to it, and how.
type scenario struct {
	seed    uint64
	sends   []send
	catalog *oCatalog // nil: none
	segment int       // records in a segment
	reopen  int       // before this send the ledger is closed and opened again
}

// send is a line as a reader hands it on.
type send struct {
	source   string
	position int64
	line     string
}

func (s send) String() string { return fmt.Sprintf("%s:%d %s", s.source, s.position, s.line) }

const (
	start = int64(1_772_323_200_000) // 2026-03-01T00:00:00Z
	hour  = int64(3_600_000)
	// now is the reader's clock.
	now = start + 70*24*hour
)

var (
	realmPool     = []string{"", "", "", "", "jp", "jp", "KR"}
	keyPool       = []string{"", "k1", "k1", "k2", "K1", "!odd", "k-unfed"}
	clientPool    = []string{"", "", "app", "web", "App"}
	sourcePool    = []string{"gw-1", "gw-2", "f00dfeed"}
	countryPool   = []string{"", "KR", "US", "T1"}
	asnPool       = []string{"", "4766", "4766", "9318", "4200000000"}
	tlsPool       = []string{"", "t13d1516h2_8daaf6152771_02713d6af862", "t12d1209h1_aaaaaaaaaaaa_bbbbbbbbbbbb"}
	statusPool    = []int{0, 200, 200, 200, 200, 204, 206, 302, 400, 401, 403, 404, 404, 410, 429, 500, 999}
	outcomePool   = []string{"", "", "", "", "", "disclosed", "disclosed", "absent", "refused", "none"}
	ipPool        = []string{"", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.77", "10.0.1.9", "2001:db8::1", "2001:db8:1:2::3", "192.0.2.200"}
	principalPool = []string{"", "customer:7", "customer:7", "customer:007", "customer:8", "customer:a", "customer:", "staff:kim", "service:dispatch", "Customer:7"}
	subjectPool   = []string{
		"7", "7", "007", "8", "9", "10", "11", "100", "0", "00", "-5", "a", "b", "B", "aa", "kim@x.example", " 7", "７", "!7",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", strings.Repeat("x", 256), strings.Repeat("9", 40),
	}
	plainPool      = []string{"7", "7", "8", "9", "10", "11", "100", "0", "65535", "65536", "4294967295"}
	credentialPool = []string{
		"", "c1", "c1", "c2", "c3", "c4", "c5", "c6", "8c6f5fd4-1c2b-4f4e-9f7b-0123456789ab"[:20],
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl", "a cookie; with=spaces",
	}
	routePool = []string{
		"", "GET /me", "GET /me", "HEAD /me", "GET /customers/{id}", "GET /customers/{customer}", "GET /customers/{id}/addresses",
		"POST /orders/{order}", "GET /session", "PUT /any/{x}", "DELETE /any/{y}", "GET /unknown", "whatever",
	}
	fieldPool = []string{"name", "email", "phone", "address", "door_code", "payment"}

	// agentClasses is written by hand from what docs/formats/records.md says of classes.
	agentClasses = map[string]string{
		"": "", "-": "", "curl/8.5.0": "library:curl", "okhttp/4.12.0": "library:okhttp",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36": "chrome",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0":                                          "firefox",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                        "crawler:googlebot",
	}
	agentPool = []string{
		"", "", "-", "curl/8.5.0", "okhttp/4.12.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
)

// gen draws.
type gen struct {
	*rand.Rand
	plain bool // subjects are integers below 2^32
}

func newGen(seed, stream uint64) gen { return gen{Rand: rand.New(rand.NewPCG(seed, stream))} }

func (g gen) of(pool []string) string { return pool[g.IntN(len(pool))] }

// in reports true n times out of 100.
func (g gen) in(n int) bool { return g.IntN(100) < n }

// object is a JSON object whose members stand in the order given.
type object []string

func (o *object) add(name string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	*o = append(*o, strconv.Quote(name)+":"+string(b))
}

// text adds a member unless it is empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.add(name, value)
	}
}

func (o object) String() string { return "{" + strings.Join(o, ",") + "}" }

// newScenario draws a ledger.
func newScenario(seed uint64) *scenario {
	g := newGen(seed, 1)
	s := &scenario{seed: seed, segment: []int{16, 48, 100, 1000}[g.IntN(4)]}
	switch g.IntN(8) {
	case 0:
	case 1:
		s.catalog = rulesCatalog()
	default:
		s.catalog = g.catalog()
	}
	n := 30 + g.IntN(270)
	s.reopen = g.IntN(n)
	var windows []int64 // busy stretches, so that sources can be silent between
	for range 1 + g.IntN(4) {
		windows = append(windows, start+g.Int64N(60*24*hour))
	}
	wide := g.in(20)
	var drawn []int64
	at := func() (t int64) {
		defer func() { drawn = append(drawn, t) }()
		if len(drawn) > 0 && g.in(12) {
			return drawn[g.IntN(len(drawn))]
		}
		if wide || g.in(1) {
			return start + g.Int64N(60*24*hour)
		}
		t = windows[g.IntN(len(windows))] + g.Int64N(2*hour)
		if g.in(20) {
			t -= t % 60_000 // so that times coincide
		}
		return t
	}
	if seed%3 == 0 {
		// An even flow of the plainest subjects, as most ledgers are: blocks answer most of it without looking at times.
		g.plain, s.segment = true, 16
		t := start
		at = func() int64 {
			if t += g.Int64N(hour); g.in(5) {
				return t - g.Int64N(hour)
			}
			return t
		}
	}
	manyFields := g.in(15)
	positions := map[string]int64{}
	for len(s.sends) < n {
		if len(s.sends) > 0 && g.in(6) {
			s.sends = append(s.sends, g.again(s.sends[g.IntN(len(s.sends))], positions))
			continue
		}
		x := send{source: g.of(sourcePool)}
		positions[x.source] += 1 + g.Int64N(300)
		x.position = positions[x.source]
		if g.in(70) {
			x.line = g.access(at(), manyFields).String()
		} else {
			x.line = g.reference(at()).String()
		}
		s.sends = append(s.sends, x)
	}
	return s
}

// again sends a record once more: as it was, from elsewhere, or with other content.
func (g gen) again(old send, positions map[string]int64) send {
	x := old
	if strings.Contains(x.line, `"id":`) && g.in(50) {
		x.source = g.of(sourcePool)
		positions[x.source] += 1 + g.Int64N(300)
		x.position = positions[x.source]
	}
	if g.in(40) && !strings.Contains(x.line, `"request"`) && !strings.Contains(x.line, `"note"`) {
		name := "request"
		if strings.Contains(x.line, `"type":"`) && !strings.Contains(x.line, `"type":"access"`) {
			return x
		}
		x.line = strings.TrimSuffix(x.line, "}") + `,"` + name + `":"again"}`
	}
	return x
}

func (g gen) stamp(t int64) any {
	switch g.IntN(3) {
	case 0:
		return time.UnixMilli(t).In(time.FixedZone("", 9*3600)).Add(999 * time.Microsecond).Format("2006-01-02T15:04:05.000000Z07:00")
	case 1:
		return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return t
}

// id gives a subject as JSON may name it.
func (g gen) id() any {
	s := g.of(subjectPool)
	if g.plain {
		s = g.of(plainPool)
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s && g.in(50) {
		return json.Number(s)
	}
	return s
}

func (g gen) access(t int64, manyFields bool) object {
	var o object
	if g.in(30) {
		o.add("type", "access")
	}
	if g.in(25) {
		o.add("id", "r"+strconv.Itoa(g.IntN(40)))
	}
	o.add("time", g.stamp(t))
	o.text("realm", g.of(realmPool))
	switch n := g.IntN(10); {
	case n < 5:
		o.add("subject", g.id())
	case n < 7:
		ids := []any{}
		for range 1 + g.IntN(4) {
			ids = append(ids, g.id())
		}
		o.add("subjects", ids)
	}
	if g.in(25) {
		o.add("others", []int{0, 1, 2, 3, 5, 1_000_000_000}[g.IntN(6)])
	}
	o.text("route", g.of(routePool))
	fields, masked := g.shown(manyFields)
	if fields != nil {
		o.add("fields", fields)
	}
	if masked != nil {
		o.add("masked", masked)
	}
	if s := statusPool[g.IntN(len(statusPool))]; s != 0 {
		o.add("status", s)
	}
	o.text("outcome", g.of(outcomePool))
	o.text("principal", g.of(principalPool))
	o.text("credential", g.of(credentialPool))
	o.text("key", g.of(keyPool))
	o.text("client", g.of(clientPool))
	o.text("ip", g.of(ipPool))
	if c := g.of(countryPool); g.in(50) {
		o.text("country", strings.ToLower(c))
	} else {
		o.text("country", c)
	}
	if a := g.of(asnPool); a != "" && g.in(50) {
		o.add("asn", json.Number(a))
	} else if a != "" {
		o.add("asn", "AS"+a)
	}
	o.text("agent", g.of(agentPool))
	o.text("tls", g.of(tlsPool))
	if g.in(20) {
		o.add("reason", "ticket")
	}
	if g.in(20) {
		o.add("bytes", g.IntN(5000))
	}
	return o
}

// shown draws fields and masked fields that do not overlap; nil: not stated.
func (g gen) shown(many bool) (fields, masked []string) {
	pool := fieldPool
	if many {
		pool = nil
		for i := range 90 {
			pool = append(pool, fmt.Sprintf("f%02d", i))
		}
	}
	for _, i := range g.Perm(len(pool))[:min(len(pool), 6)] {
		switch g.IntN(5) {
		case 0, 1:
			fields = append(fields, pool[i])
		case 2:
			masked = append(masked, pool[i])
		}
	}
	if g.in(50) {
		fields = nil
	} else if g.in(15) || fields == nil {
		fields = []string{}
	}
	if g.in(60) {
		masked = nil
	}
	return fields, masked
}

// reference draws a record that is no access. Most claims of issuances are those of accesses.
func (g gen) reference(t int64) object {
	var o object
	typ := []string{"issuance", "issuance", "issuance", "issuance", "subject", "subject", "reason", "reason", "feed", "act", "person", "key", "change", "verdict"}[g.IntN(14)]
	o.add("type", typ)
	if g.in(15) {
		o.add("id", "x"+strconv.Itoa(g.IntN(20)))
	}
	if typ == "act" || typ == "verdict" || g.in(80) {
		o.add("time", g.stamp(t))
	} else if typ == "subject" || typ == "person" || typ == "key" {
		o.add("since", g.stamp(t))
	} else if typ == "reason" || typ == "feed" || typ == "change" {
		o.add("from", g.stamp(t))
	} else {
		o.add("time", t)
	}
	o.text("realm", g.of(realmPool))
	span := func() {
		if from := t - g.Int64N(30*24*hour); g.in(40) && !strings.Contains(o.String(), `"from"`) {
			o.add("from", g.stamp(max(from, start)))
		}
		if g.in(50) {
			o.add("until", g.stamp(t+g.Int64N(40*24*hour)))
		}
	}
	switch typ {
	case "issuance":
		c := g.of(credentialPool[1:])
		o.add("credential", c)
		o.text("key", g.of([]string{"", "", "k1", "k2", "!odd"}))
		o.text("client", g.of([]string{"", "app"}))
		if g.in(60) {
			o.add("subject", g.id())
		}
		if g.in(40) {
			o.text("principal", g.of([]string{"customer:7", "customer:8", "customer:a", "staff:kim"}))
		}
	case "subject":
		o.add("subject", g.of([]string{"7", "007", "8", "9", "a"}))
		o.add("state", g.of([]string{"active", "withdrawn", "canary"}))
		contacts := []any{}
		for range g.IntN(4) {
			contacts = append(contacts, g.of([]string{"7", "007", "8", "9", "a"}))
		}
		if g.in(80) {
			o.add("contacts", contacts)
		}
	case "reason":
		o.add("kind", g.of([]string{"order", "delivery", "ticket", "job"}))
		n := g.IntN(3)
		if n != 0 {
			o.add("subject", g.id())
		}
		if n != 1 {
			o.add("principal", g.of([]string{"staff:kim", "service:dispatch", "customer:8"}))
		}
		span()
	case "feed":
		o.add("of", g.of([]string{"issuance", "issuance", "subject"}))
		o.text("key", g.of([]string{"", "k2", "k-unfed"}))
		o.text("client", g.of([]string{"", "web"}))
		if g.in(30) {
			o.add("route", "GET /me")
		}
		if g.in(30) {
			o.add("lost", 0)
		}
		span()
	case "act":
		o.add("kind", g.of([]string{"rejected", "rejected", "scope"}))
		o.add("of", g.of(sourcePool))
		o.add("count", g.IntN(9))
		if g.in(80) {
			o.add("from", t-g.Int64N(9*24*hour))
			o.add("until", t+g.Int64N(9*24*hour))
		}
	case "person":
		o.add("person", "p1")
		o.add("state", "left")
		o.add("keys", []string{"k1"})
	case "key":
		o.add("key", "k1")
		o.add("state", g.of([]string{"active", "retired", "revoked"}))
	case "change":
		o.add("kind", "release")
		if !strings.Contains(o.String(), `"from"`) {
			o.add("from", t)
		}
	case "verdict":
		o.add("kind", "confirmed")
	}
	return o
}

// catalog draws versions of a catalog; times without one are among them.
func (g gen) catalog() *oCatalog {
	c := &oCatalog{elsewhere: []string{"payment", "national_id"}}
	cuts := []int64{start + g.Int64N(20*24*hour), start + g.Int64N(20*24*hour) + 20*24*hour, start + g.Int64N(10*24*hour) + 40*24*hour}
	for i := range 1 + g.IntN(3) {
		v := oVersion{name: fmt.Sprintf("shop-%d", i+1)}
		if i > 0 {
			v.from = cuts[i-1]
		}
		v.until = cuts[i]
		if i == 0 && g.in(30) {
			v.from = cuts[0] - 24*hour
		}
		for _, route := range []string{"GET /me", "GET /customers/{id}", "GET /customers/{c}/addresses", "POST /orders/{id}", "GET /session", "ANY /any/{x}"} {
			if g.in(85) {
				v.routes = append(v.routes, g.route(route))
			}
		}
		if len(v.routes) == 0 {
			v.routes = append(v.routes, g.route("GET /me"))
		}
		c.versions = append(c.versions, v)
	}
	last := &c.versions[len(c.versions)-1]
	if g.in(80) {
		last.until = 0
	}
	return c
}

func (g gen) route(route string) oRoute {
	r := oRoute{route: route, outcomes: map[string]string{}}
	r.fields, r.masked = g.shown(false)
	if r.fields == nil {
		r.fields = []string{"name"}
	}
	r.masked = append([]string{}, r.masked...)
	for i := 0; i < len(r.masked); i++ {
		for _, f := range r.fields {
			if i < len(r.masked) && r.masked[i] == f {
				r.masked = append(r.masked[:i], r.masked[i+1:]...)
				i = -1
				break
			}
		}
	}
	if g.in(30) {
		r.others = g.Int64N(4)
	}
	r.subject = g.of([]string{"", "principal", "credential", "either"})
	if route == "GET /me" && r.subject == "" {
		r.subject = "principal"
	}
	for _, status := range []string{"200", "204", "404", "2xx", "4xx", "500"} {
		if g.in(12) {
			r.outcomes[status] = g.of([]string{"disclosed", "absent", "refused", "none"})
		}
	}
	return r
}

// yaml prints the catalog as the product reads it.
func (c *oCatalog) yaml() string {
	var b strings.Builder
	list := func(names []string) string { return "[" + strings.Join(names, ", ") + "]" }
	date := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	fmt.Fprintf(&b, "catalog: 1\nname: shop\nelsewhere: %s\nversions:\n", list(c.elsewhere))
	for _, v := range c.versions {
		fmt.Fprintf(&b, "  - name: %s\n", v.name)
		if v.from != 0 {
			fmt.Fprintf(&b, "    from: %s\n", date(v.from))
		}
		if v.until != 0 {
			fmt.Fprintf(&b, "    until: %s\n", date(v.until))
		}
		b.WriteString("    routes:\n")
		for _, r := range v.routes {
			fmt.Fprintf(&b, "      %s:\n        fields: %s\n        masked: %s\n        others: %d\n", r.route, list(r.fields), list(r.masked), r.others)
			if r.subject != "" {
				fmt.Fprintf(&b, "        subject: %s\n", r.subject)
			}
			if len(r.outcomes) > 0 {
				b.WriteString("        outcomes:\n")
				for status, outcome := range r.outcomes {
					fmt.Fprintf(&b, "          %s: %s\n", status, outcome)
				}
			}
		}
	}
	return b.String()
}

// rulesCatalog says by hand what the product's own rules make of the routes of routePool.
func rulesCatalog() *oCatalog {
	v := oVersion{name: "suggested"}
	for _, route := range routePool {
		r := oRoute{route: route, fields: []string{"unclassified"}, masked: []string{}, needsSubject: true}
		switch route {
		case "GET /me":
			r.subject = "either"
		case "HEAD /me":
			r.subject, r.fields = "either", []string{}
		}
		v.routes = append(v.routes, r)
	}
	return &oCatalog{rules: true, versions: []oVersion{v}}
}

// filter draws a filter as JSON for a ledger with these records.
func (g gen) filter(records []*oRecord) string {
	if g.in(5) {
		return "{}"
	}
	n := 1
	if g.in(35) {
		n = 2 + g.IntN(3)
	}
	var terms []string
	for range n {
		terms = append(terms, g.term(records).String())
	}
	if n == 1 && g.in(70) {
		return terms[0]
	}
	return "[" + strings.Join(terms, ",") + "]"
}

// members has, for each member of a filter with values, what they are drawn from.
var members = map[string][]string{
	"key": append(keyPool[1:], "k9"), "credential": append(credentialPool[1:], "c99"), "principal": append(principalPool[1:], "staff:x"),
	"client": clientPool[2:], "country": {"KR", "US", "T1", "JP"}, "asn": {"4766", "AS9318", "4200000000", "1"},
	"agent": agentPool[2:], "agent_class": {"chrome", "firefox", "library:curl", "library:okhttp", "crawler:googlebot", "Chrome"},
	"tls": tlsPool[1:], "route": append(routePool[1:], "get /me"), "field": append(fieldPool, "f00", "f77", "unclassified", "Name"),
	"status": {"200", "200", "204", "404", "403", "999", "100"}, "outcome": {"disclosed", "disclosed", "absent", "refused", "none"},
	"subject": subjectPool, "realm": {"", "jp", "KR", "kr"}, "source": append(sourcePool, "GW-1"),
	"ip": {
		"10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1", "10.0.0.0/24", "10.0.0.9/24", "::ffff:10.0.0.0/120", "10.0.0.0/15", "0.0.0.0/0", "::/0",
		"2001:db8::1", "2001:db8::/32", "2001:db8:1::/48", "2001:0db8:0001:0002::3/128", "192.0.2.128/25", "203.0.113.1",
	},
}

// memberNames keeps the order of draws the same from run to run.
var memberNames = []string{
	"key", "credential", "principal", "client", "country", "asn", "agent", "agent_class", "tls", "route", "field", "status",
	"outcome", "subject", "realm", "source", "ip",
}

func (g gen) term(records []*oRecord) object {
	var o object
	for range g.IntN(4) {
		name := memberNames[g.IntN(len(memberNames))]
		if strings.Contains(o.String(), `"`+name+`":`) {
			continue
		}
		var values []any
		for range 1 + g.IntN(3)*g.IntN(2) {
			values = append(values, g.value(name))
		}
		if len(values) == 1 && g.in(30) {
			o.add(name, values[0])
		} else {
			o.add(name, values)
		}
	}
	if g.in(15) {
		o.add("issued", g.in(50))
	}
	if g.in(15) {
		o.add("explained", g.in(50))
	}
	at := func() int64 { // often the very time of a record
		if len(records) > 0 && g.in(60) {
			return records[g.IntN(len(records))].time
		}
		return start + g.Int64N(60*24*hour)
	}
	if g.in(15) {
		from := at()
		if day := time.UnixMilli(from).UTC().Format("2006-01-02"); g.in(30) {
			o.add("from", day)
		} else {
			o.add("from", g.stamp(from))
		}
		if to := at(); to > from {
			o.add("to", g.stamp(to))
		}
	} else if g.in(10) {
		o.add("to", g.stamp(at()))
	}
	if g.in(20) {
		o.add("as_of", 1+g.IntN(len(records)+20))
	}
	return o
}

// value draws one value of a member, sometimes negated.
func (g gen) value(name string) any {
	s := g.of(members[name])
	if strings.HasPrefix(s, "!") {
		return "!" + s // the literal; its negation cannot be written
	}
	if g.in(25) {
		return "!" + s
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s && (name == "status" || name == "asn" || name == "subject") && g.in(50) {
		return json.Number(s)
	}
	return s
}
