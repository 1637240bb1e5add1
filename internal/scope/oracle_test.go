package scope_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file is the brute-force counter that the product is compared with. It shares no code with it: it
// reads the same lines and filters with encoding/json, looks at every record for every question, and holds its own
// reading of the contract. It is written to be plainly right, not fast. A flaw, if one is named, turns one of its rules
// around: TestFlaws shows that the comparison notices each.

// oRecord is a record as its line tells it.
type oRecord struct {
	seq      int
	source   string
	position int64
	oContent
}

// oContent is what makes two records with one id the same.
type oContent struct {
	typ, id, realm, route, outcome, principal, credential, key, client, ip, country, agent, tls, reason, request string

	time, others, status, asn, bytes   int64
	subjects                           []string
	fields, masked, contacts           []string // nil: not stated
	state, kind, of                    string
	since, from, until, expires, count int64
}

// oracle holds the accepted records and what the catalog says.
type oracle struct {
	records []*oRecord
	catalog *oCatalog // nil: none
	flaw    string

	seen map[[2]int]oSeen // what see has found, by sequence and as_of
}

// oCatalog is a catalog by hand: it is printed as YAML for the product.
type oCatalog struct {
	rules     bool // no file: the product's own rules, for the few routes below
	versions  []oVersion
	elsewhere []string
}

type oVersion struct {
	name        string
	from, until int64
	routes      []oRoute
}

type oRoute struct {
	route          string
	fields, masked []string
	others         int64
	subject        string // "", principal, credential, either
	outcomes       map[string]string
	needsSubject   bool
}

func (o *oracle) is(flaw string) bool { return o.flaw == flaw }

// add takes a record as the ledger should: "accepted", "repeat" or "conflict", with the sequence.
func (o *oracle) add(source string, position int64, line string) (string, int) {
	c := parseLine(line)
	for _, r := range o.records {
		if c.id != "" && r.id == c.id && r.realm == c.realm && r.time == c.time {
			if fmt.Sprintf("%#v", r.oContent) == fmt.Sprintf("%#v", c) {
				if o.is("repeats are counted") {
					break
				}
				return "repeat", r.seq
			}
			return "conflict", r.seq
		}
		if c.id == "" && r.id == "" && r.source == source && r.position == position && r.time == c.time {
			if fmt.Sprintf("%#v", r.oContent) == fmt.Sprintf("%#v", c) {
				if o.is("repeats are counted") {
					break
				}
				return "repeat", r.seq
			}
			return "conflict", r.seq
		}
	}
	o.records = append(o.records, &oRecord{len(o.records) + 1, source, position, c})
	return "accepted", len(o.records)
}

func parseLine(line string) oContent {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		panic(err)
	}
	str := func(name string) string { s, _ := m[name].(string); return s }
	num := func(name string) int64 {
		n, _ := m[name].(json.Number)
		v, _ := n.Int64()
		return v
	}
	list := func(name string) []string {
		v, ok := m[name].([]any)
		if !ok {
			return nil
		}
		out := []string{}
		for _, x := range v {
			out = append(out, plainText(x))
		}
		return out
	}
	set := func(name string) []string {
		out := list(name)
		slices.Sort(out)
		return slices.Compact(out)
	}
	c := oContent{
		typ: str("type"), id: str("id"), realm: str("realm"), route: str("route"), outcome: str("outcome"), principal: str("principal"),
		credential: storedCredential(str("credential")), key: str("key"), client: str("client"), country: strings.ToUpper(str("country")),
		agent: str("agent"), tls: str("tls"), reason: str("reason"), request: str("request"),
		time: oTime(m["time"]), others: num("others"), status: num("status"), bytes: num("bytes"),
		fields: set("fields"), masked: set("masked"), state: str("state"), kind: str("kind"), of: str("of"),
		since: oTime(m["since"]), from: oTime(m["from"]), until: oTime(m["until"]), expires: oTime(m["expires"]), count: num("count"),
	}
	if c.typ == "" {
		c.typ = "access"
	}
	if ip := net.ParseIP(str("ip")); ip != nil {
		c.ip = ip.String()
	}
	switch v := m["asn"].(type) {
	case string:
		c.asn, _ = strconv.ParseInt(strings.TrimPrefix(v, "AS"), 10, 64)
	case json.Number:
		c.asn = num("asn")
	}
	if s, ok := m["subject"]; ok {
		c.subjects = []string{plainText(s)}
	}
	for _, s := range list("subjects") {
		if !slices.Contains(c.subjects, s) {
			c.subjects = append(c.subjects, s)
		}
	}
	if l := list("contacts"); len(l) > 0 {
		c.contacts = l
	}
	if c.time == 0 {
		c.time = max(c.since, c.from)
	}
	return c
}

func plainText(v any) string {
	if n, ok := v.(json.Number); ok {
		return n.String()
	}
	s, _ := v.(string)
	return s
}

func oTime(v any) int64 {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return n
	case string:
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UnixMilli()
			}
		}
		panic("time " + v)
	}
	return 0
}

// storedCredential: ids of up to 20 harmless bytes stay, everything else is a hash.
func storedCredential(s string) string {
	plain := len(s) <= 20
	for _, c := range s {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@/", c) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s)))[:39]
}

// version gives the version valid at a time.
func (c *oCatalog) version(t int64, newest bool) *oVersion {
	if c == nil {
		return nil
	}
	if newest {
		return &c.versions[len(c.versions)-1]
	}
	for i := range c.versions {
		if v := &c.versions[i]; (v.from == 0 || v.from <= t) && (v.until == 0 || t < v.until) {
			return v
		}
	}
	return nil
}

// find gives a version's entry for a route; whatever is in braces is the same.
func (v *oVersion) find(route string) *oRoute {
	if v == nil {
		return nil
	}
	plain := unnamed(route)
	for i := range v.routes {
		if unnamed(v.routes[i].route) == plain {
			return &v.routes[i]
		}
	}
	method, path, ok := strings.Cut(route, " ")
	if !ok {
		return nil
	}
	if method == "HEAD" { // the answer to HEAD has no body
		page := v.find("GET " + path)
		if page == nil {
			return nil
		}
		bare := &oRoute{route: route, subject: page.subject, needsSubject: page.needsSubject, fields: []string{}, masked: []string{}, outcomes: map[string]string{}}
		for status, outcome := range page.outcomes {
			if outcome == "disclosed" {
				outcome = "none"
			}
			bare.outcomes[status] = outcome
		}
		return bare
	}
	if method != "ANY" {
		return v.find("ANY " + path)
	}
	return nil
}

func unnamed(route string) string {
	parts := strings.Split(route, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

func (c *oCatalog) known() []string {
	if c == nil || c.rules {
		return nil
	}
	known := map[string]bool{}
	for _, f := range c.elsewhere {
		known[f] = true
	}
	for _, v := range c.versions {
		for _, r := range v.routes {
			for _, f := range append(slices.Clone(r.fields), r.masked...) {
				known[f] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// oSeen is an access as it is seen as of a sequence.
type oSeen struct {
	subjects       []string
	fields, masked []string
	others         int64
	outcome        string
	version        string
	unmatched      bool
	issued         bool
	explained      bool
}

func (o *oracle) see(r *oRecord, asOf int) oSeen {
	if s, ok := o.seen[[2]int{r.seq, asOf}]; ok {
		return s
	}
	s := o.look(r, asOf)
	if o.seen == nil {
		o.seen = map[[2]int]oSeen{}
	}
	o.seen[[2]int{r.seq, asOf}] = s
	return s
}

func (o *oracle) look(r *oRecord, asOf int) oSeen {
	var s oSeen
	v := o.catalog.version(r.time, o.is("the newest version applies") && o.catalog != nil)
	if v != nil {
		s.version = v.name
	}
	route := v.find(r.route)
	if o.is("HEAD shows what GET shows") {
		route = v.find(strings.Replace(r.route, "HEAD ", "GET ", 1))
	}
	s.subjects = r.subjects
	if len(s.subjects) == 0 && route != nil {
		how := route.subject
		if how == "either" && !o.is("either is the principal") {
			if how = "principal"; r.principal == "" {
				how = "credential"
			}
		}
		switch {
		case (how == "principal" || how == "either") && strings.HasPrefix(r.principal, "customer:") && len(r.principal) > 9 && !o.is("no join by principal"):
			s.subjects = []string{r.principal[9:]}
		case how == "credential":
			if owner := o.owner(r, asOf); owner != "" {
				s.subjects = []string{owner}
			}
		}
	}
	s.fields, s.masked, s.others = r.fields, r.masked, r.others
	if o.is("stated empty fields are missing") && len(s.fields) == 0 {
		s.fields = nil
	}
	if route != nil && (len(s.subjects) > 0 || !route.needsSubject) {
		if s.fields == nil {
			s.fields = route.fields
		}
		if s.masked == nil || o.is("stated masked does not win") {
			s.masked = route.masked
		}
		if s.others == 0 {
			s.others = route.others
		}
	}
	s.masked = slices.DeleteFunc(slices.Clone(s.masked), func(f string) bool { return slices.Contains(s.fields, f) })
	s.outcome = o.outcome(r, route, len(s.fields)+len(s.masked) > 0)
	s.unmatched = route == nil && (r.fields == nil && r.masked == nil || o.is("stated fields do not match a route"))
	s.issued = o.issued(r, asOf)
	s.explained = o.explained(r, s.subjects, s.issued, asOf)
	return s
}

func (o *oracle) outcome(r *oRecord, route *oRoute, shows bool) string {
	if r.outcome != "" && !o.is("a stated outcome does not win") {
		return r.outcome
	}
	if route != nil && !o.is("no outcomes by catalog") {
		status := strconv.FormatInt(r.status, 10)
		if out := route.outcomes[status]; out != "" {
			return out
		}
		if out := route.outcomes[status[:1]+"xx"]; out != "" && r.status != 0 {
			return out
		}
	}
	switch {
	case r.status == 404 || r.status == 410 && !o.is("410 is not absent"):
		return "absent"
	case r.status == 401 || r.status == 403 || r.status == 429 && !o.is("429 is not refused"):
		return "refused"
	case r.status >= 200 && r.status <= 299 && shows:
		return "disclosed"
	case r.status == 0 && shows && !o.is("no status is none"):
		return "disclosed"
	}
	return "none"
}

// refs calls fn with each record of a type in a realm as of a sequence.
func (o *oracle) refs(typ, realm string, asOf int, fn func(r *oRecord)) {
	for _, r := range o.records {
		if r.typ == typ && (r.realm == realm || o.is("realms share issuances")) && r.seq <= asOf {
			fn(r)
		}
	}
}

// claims is the principal that an issuance is for.
func (r *oRecord) claims() string {
	if r.principal == "" && len(r.subjects) > 0 {
		return "customer:" + r.subjects[0]
	}
	return r.principal
}

// owner is whose credential an access carries, by the latest issuance that says so.
func (o *oracle) owner(a *oRecord, asOf int) string {
	owner, at := "", int64(-1)
	if a.credential == "" {
		return ""
	}
	o.refs("issuance", a.realm, asOf, func(r *oRecord) {
		subject := ""
		if len(r.subjects) > 0 {
			subject = r.subjects[0]
		} else if strings.HasPrefix(r.principal, "customer:") {
			subject = r.principal[9:]
		}
		if r.credential == a.credential && subject != "" {
			if r.time >= at && !(o.is("the first issuance owns") && at >= 0) {
				owner, at = subject, r.time
			}
		}
	})
	return owner
}

func (o *oracle) issued(a *oRecord, asOf int) bool {
	found := false
	if a.credential == "" {
		return false
	}
	o.refs("issuance", a.realm, asOf, func(r *oRecord) {
		key := r.key == "" || a.key == "" || r.key == a.key || o.is("issued does not look at keys")
		who := r.claims() == "" || a.principal == "" || r.claims() == a.principal || o.is("issued does not look at principals")
		found = found || r.credential == a.credential && key && who
	})
	return found
}

func (o *oracle) explained(a *oRecord, subjects []string, issued bool, asOf int) bool {
	if a.principal == "" {
		// Whose log-in issued the credential, that customer it is.
		owner := o.owner(a, asOf)
		if !issued || owner == "" {
			return false
		}
		named := *a
		named.principal = "customer:" + owner
		a = &named
	}
	n := 0
	for _, s := range subjects {
		if o.explains(a, s, issued, asOf) {
			n++
		}
	}
	if o.is("one explained subject is enough") {
		return n > 0
	}
	return n > 0 && n == len(subjects)
}

func (o *oracle) explains(a *oRecord, subject string, issued bool, asOf int) bool {
	if issued && a.principal == "customer:"+subject {
		return true
	}
	found := false
	o.refs("reason", a.realm, asOf, func(r *oRecord) {
		from, until := r.from, r.until
		if from == 0 {
			from = r.time
		}
		inside := from <= a.time && (until == 0 || a.time < until)
		if o.is("reasons never end") {
			inside = from <= a.time
		}
		if inside && (len(r.subjects) == 0 || r.subjects[0] == subject) && (r.principal == "" || r.principal == a.principal) {
			found = true
		}
	})
	if found {
		return true
	}
	other, ok := strings.CutPrefix(a.principal, "customer:")
	if !ok || other == subject {
		return false
	}
	if o.is("a household needs one side") {
		return o.contact(a, subject, other, asOf) || o.contact(a, other, subject, asOf)
	}
	return o.contact(a, subject, other, asOf) && o.contact(a, other, subject, asOf)
}

// contact reports whether the subject record of one named the other when the access was made.
func (o *oracle) contact(a *oRecord, one, other string, asOf int) bool {
	var best *oRecord
	since := func(r *oRecord) int64 {
		if r.since != 0 {
			return r.since
		}
		return r.time
	}
	o.refs("subject", a.realm, asOf, func(r *oRecord) {
		if r.subjects[0] == one && r.contacts != nil && since(r) <= a.time && (best == nil || since(r) >= since(best)) {
			best = r
		}
	})
	return best != nil && slices.Contains(best.contacts, other)
}

// covered reports whether somebody reports issuances for an access.
func (o *oracle) covered(a *oRecord, asOf int) bool {
	found := false
	o.refs("issuance", a.realm, asOf, func(r *oRecord) {
		found = found || r.key == "" && r.client == "" || a.key != "" && r.key == a.key ||
			a.client != "" && r.client == a.client && !o.is("feeds are by key only")
	})
	o.refs("feed", a.realm, asOf, func(r *oRecord) {
		from := r.from
		if from == 0 {
			from = r.time
		}
		if r.of == "issuance" && from <= a.time && (r.until == 0 || a.time < r.until) && (r.key == "" || r.key == a.key) &&
			(r.client == "" || r.client == a.client) && (r.route == "" || r.route == a.route) && !o.is("feed records say nothing") {
			found = true
		}
	})
	return found
}
