package scope_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"sort"
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
		return false
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

// oTerm is one object of a filter.
type oTerm struct {
	values            map[string][]string
	issued, explained *bool
	from, to          int64
	asOf              int
}

func parseFilter(text string) []oTerm {
	var list []map[string]any
	if strings.HasPrefix(text, "{") {
		text = "[" + text + "]"
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&list); err != nil {
		panic(err)
	}
	var terms []oTerm
	for _, m := range list {
		t := oTerm{values: map[string][]string{}}
		for name, v := range m {
			switch name {
			case "issued", "explained":
				b := v.(bool)
				if name == "issued" {
					t.issued = &b
				} else {
					t.explained = &b
				}
			case "from":
				t.from = oTime(v)
			case "to":
				t.to = oTime(v)
			case "as_of":
				n, _ := v.(json.Number).Int64()
				t.asOf = int(n)
			default:
				several, ok := v.([]any)
				if !ok {
					several = []any{v}
				}
				for _, x := range several {
					t.values[name] = append(t.values[name], plainText(x))
				}
			}
		}
		terms = append(terms, t)
	}
	return terms
}

// passes reports whether the values of a member let an access pass that has these values there; equal says
// when a value is met.
func (o *oracle) passes(values, has []string, equal func(value, has string) bool) bool {
	wanted, met := false, false
	for _, v := range values {
		negated := strings.HasPrefix(v, "!")
		if v = strings.TrimPrefix(v, "!"); negated && strings.HasPrefix(v, "!") {
			negated = false
		}
		if negated && len(has) == 0 && o.is("a missing member fails !x") {
			return false
		}
		any := slices.ContainsFunc(has, func(h string) bool { return equal(v, h) })
		if negated {
			if any {
				return false
			}
			continue
		}
		wanted, met = true, met || any
	}
	return met || !wanted
}

func (o *oracle) equal(a, b string) bool {
	if o.is("values match in any case") {
		return strings.EqualFold(a, b)
	}
	return a == b
}

func (o *oracle) inNetwork(value, ip string) bool {
	addr := net.ParseIP(ip)
	if !strings.Contains(value, "/") {
		if o.is("mapped addresses are IPv6") && strings.Contains(value, ":") != strings.Contains(ip, ":") {
			return false
		}
		return net.ParseIP(value).Equal(addr)
	}
	_, network, err := net.ParseCIDR(value)
	if err != nil {
		panic(err)
	}
	return network.Contains(addr)
}

// one gives a member's values: none if it is missing.
func one(s string) []string {
	if s == "" || s == "0" {
		return nil
	}
	return []string{s}
}

// matches says whether a term matches an access, and which of its subjects it keeps.
func (o *oracle) matches(t *oTerm, r *oRecord, s *oSeen) (kept []string, ok bool) {
	before, after := r.time < t.from, t.to != 0 && r.time >= t.to
	if o.is("from is exclusive") {
		before = t.from != 0 && r.time <= t.from
	}
	if o.is("to is inclusive") {
		after = t.to != 0 && r.time > t.to
	}
	if before || after {
		return nil, false
	}
	for name, values := range t.values {
		var has []string
		equal := o.equal
		switch name {
		case "key":
			has = one(r.key)
		case "credential":
			has = one(r.credential)
			equal = func(v, h string) bool { return storedCredential(v) == h }
		case "principal":
			has = one(r.principal)
		case "client":
			has = one(r.client)
		case "ip":
			has, equal = one(r.ip), o.inNetwork
		case "country":
			has = one(r.country)
		case "asn":
			has = one(strconv.FormatInt(r.asn, 10))
			equal = func(v, h string) bool { return strings.TrimPrefix(v, "AS") == h }
		case "agent":
			has = one(r.agent)
		case "agent_class":
			has = one(agentClasses[r.agent])
		case "tls":
			has = one(r.tls)
		case "route":
			has = one(r.route)
		case "field":
			if has = s.fields; o.is("field matches what is masked") {
				has = append(slices.Clone(has), s.masked...)
			}
		case "status":
			has = one(strconv.FormatInt(r.status, 10))
		case "outcome":
			has = one(s.outcome)
		case "realm":
			has = []string{r.realm}
		case "source":
			has = one(r.source)
		case "subject":
			continue
		default:
			panic(name)
		}
		if !o.passes(values, has, equal) {
			return nil, false
		}
	}
	if t.issued != nil && *t.issued != s.issued || t.explained != nil && *t.explained != s.explained {
		return nil, false
	}
	values := t.values["subject"]
	for _, id := range s.subjects {
		if o.passes(values, []string{id}, o.equal) {
			kept = append(kept, id)
		}
	}
	if len(kept) == 0 && (len(s.subjects) > 0 || !o.passes(values, nil, o.equal)) {
		return nil, false
	}
	if o.is("all subjects are kept") {
		kept = s.subjects
	}
	return kept, true
}

// oID is a subject within its realm.
type oID struct{ realm, subject string }

// oPerson is what was disclosed of a subject.
type oPerson struct {
	first, last, accesses, others int64
	fields, masked                map[string]bool
}

// oAnswer is everything a filter's accesses say.
type oAnswer struct {
	Accesses, Disclosures, Subjects, Others int64
	Fields, Masked                          map[string]int64
	NotReached                              []string
	First, Last                             int64
	Catalog                                 string
	Gaps                                    []oGap
	List                                    []oRow
	Top                                     []oTop
	Of                                      []int // sequences of the accesses to the asked subject, newest first
	Line                                    []oBucket
	Matched                                 map[int]bool // sequences; of the counter only
}

type oGap struct {
	Kind, Source, Unit string
	From, To, Count    int64
}

type oRow struct {
	Realm, Subject        string
	First, Last, Accesses int64
	Fields                []string
}

type oTop struct {
	Day, Value         string
	Subjects, Accesses int64
}

type oBucket struct {
	Time, Accesses, Disclosures, Subjects, New int64
}

// oAsk is what is asked beside the counts.
type oAsk struct {
	by      string
	zone    *time.Location
	realm   *string
	subject string
	bucket  int64 // milliseconds; 0: days of the zone
}

// answer looks at every record.
func (o *oracle) answer(filter []oTerm, ask oAsk) oAnswer {
	a := oAnswer{Fields: map[string]int64{}, Masked: map[string]int64{}, NotReached: []string{}, Matched: map[int]bool{}}
	people := map[oID]*oPerson{}
	type group struct {
		accesses int64
		people   map[oID]bool
	}
	top := map[[2]string]*group{}
	buckets := map[int64]*oBucket{}
	bucketPeople := map[int64]map[oID]bool{}
	versions, shown := map[string]bool{}, map[string]bool{}
	g := oGaps{units: map[string]*oGap{}}
	var ofSubject []*oRecord
	for _, r := range o.records {
		if r.typ != "access" {
			continue
		}
		var disclosed, isOf bool
		pairs := map[string]*oPerson{}
		matched, covered, unmatched := 0, false, false
		latest := -1
		for i := range filter {
			asOf := o.asOf(&filter[i])
			if r.seq > asOf {
				continue
			}
			s := o.see(r, asOf)
			kept, ok := o.matches(&filter[i], r, &s)
			if !ok {
				continue
			}
			matched++
			unmatched = s.unmatched
			if asOf > latest {
				latest, covered = asOf, o.covered(r, asOf)
			}
			if s.version != "" {
				versions[s.version] = true
			}
			isOf = isOf || slices.Contains(kept, ask.subject)
			if s.outcome != "disclosed" {
				continue
			}
			disclosed = true
			for _, f := range append(slices.Clone(s.fields), s.masked...) {
				shown[f] = true
			}
			for _, id := range kept {
				p := pairs[id]
				if p == nil {
					p = &oPerson{fields: map[string]bool{}, masked: map[string]bool{}}
					pairs[id] = p
				}
				for _, f := range s.fields {
					p.fields[f] = true
				}
				for _, f := range s.masked {
					p.masked[f] = true
				}
				creditTo := s.subjects[0]
				if o.is("others go to the last subject") {
					creditTo = s.subjects[len(s.subjects)-1]
				}
				if id == creditTo {
					p.others = max(p.others, s.others)
				}
			}
		}
		if matched == 0 {
			continue
		}
		a.Matched[r.seq] = true
		if o.is("a union counts twice") {
			a.Accesses += int64(matched)
		} else {
			a.Accesses++
		}
		if isOf && (ask.realm == nil || *ask.realm == r.realm) {
			ofSubject = append(ofSubject, r)
		}
		if disclosed || o.is("first and last are of accesses") {
			if a.First == 0 || r.time < a.First {
				a.First = r.time
			}
			a.Last = max(a.Last, r.time)
		}
		disclosures := int64(len(pairs))
		if disclosed && len(pairs) == 0 && !o.is("a nameless disclosure is none") {
			disclosures = 1
		}
		a.Disclosures += disclosures
		if disclosed && len(pairs) == 0 {
			g.noSubject.add(r)
		}
		if unmatched {
			g.unmatched.add(r)
		}
		if !covered && (r.credential != "" || r.key != "") {
			unit := "key " + r.key
			if r.key == "" {
				unit = "client " + r.client
			}
			g.unit(r.realm + "\x00" + unit).add(r)
		}
		slot := ask.slot(r.time)
		if buckets[slot] == nil {
			buckets[slot], bucketPeople[slot] = &oBucket{Time: slot}, map[oID]bool{}
		}
		buckets[slot].Accesses++
		buckets[slot].Disclosures += disclosures
		value := one(topValue(ask.by, r))
		var gr *group
		if len(value) > 0 {
			zone := ask.zone
			if o.is("days are UTC") {
				zone = time.UTC
			}
			k := [2]string{time.UnixMilli(r.time).In(zone).Format("2006-01-02"), value[0]}
			if gr = top[k]; gr == nil {
				gr = &group{people: map[oID]bool{}}
				top[k] = gr
			}
			gr.accesses++
		}
		for id, p := range pairs {
			k := o.person(r.realm, id)
			bucketPeople[slot][k] = true
			if gr != nil {
				gr.people[k] = true
			}
			all := people[k]
			if all == nil {
				all = &oPerson{first: r.time, last: r.time, fields: map[string]bool{}, masked: map[string]bool{}}
				people[k] = all
			}
			all.first, all.last = min(all.first, r.time), max(all.last, r.time)
			all.accesses++
			if o.is("others are added up") {
				all.others += p.others
			} else {
				all.others = max(all.others, p.others)
			}
			maps.Copy(all.fields, p.fields)
			maps.Copy(all.masked, p.masked)
		}
	}
	o.sum(&a, people)
	for _, f := range o.catalog.known() {
		if !shown[f] {
			a.NotReached = append(a.NotReached, f)
		}
	}
	if o.catalog != nil {
		var used []string
		for _, v := range o.catalog.versions {
			if versions[v.name] {
				used = append(used, v.name)
			}
		}
		a.Catalog = strings.Join(used, ", ")
	}
	a.Gaps = o.gaps(filter, &g)
	for k, gr := range top {
		a.Top = append(a.Top, oTop{k[0], k[1], int64(len(gr.people)), gr.accesses})
	}
	sort.Slice(a.Top, func(i, j int) bool {
		x, y := a.Top[i], a.Top[j]
		if x.Subjects != y.Subjects {
			return x.Subjects > y.Subjects
		}
		return x.Day+"\x00"+x.Value < y.Day+"\x00"+y.Value
	})
	sort.SliceStable(ofSubject, func(i, j int) bool {
		x, y := ofSubject[i], ofSubject[j]
		if x.time != y.time {
			return x.time > y.time
		}
		return x.seq > y.seq && !o.is("the same time is oldest first")
	})
	for _, r := range ofSubject {
		a.Of = append(a.Of, r.seq)
	}
	for _, p := range people {
		buckets[ask.slot(p.first)].New++
	}
	for slot, b := range buckets {
		b.Subjects = int64(len(bucketPeople[slot]))
		a.Line = append(a.Line, *b)
	}
	sort.Slice(a.Line, func(i, j int) bool { return a.Line[i].Time < a.Line[j].Time })
	return a
}

func (o *oracle) asOf(t *oTerm) int {
	switch {
	case t.asOf == 0 || t.asOf > len(o.records) || o.is("as_of is not looked at"):
		return len(o.records)
	case o.is("as_of is exclusive"):
		return t.asOf - 1
	}
	return t.asOf
}

func (o *oracle) person(realm, id string) oID {
	if o.is("realms share subjects") {
		realm = ""
	}
	if o.is("007 is 7") {
		if n, ok := new(big.Int).SetString(id, 10); ok {
			id = n.String()
		}
	}
	return oID{realm, id}
}

func (o *oracle) sum(a *oAnswer, people map[oID]*oPerson) {
	for k, p := range people {
		a.Subjects++
		a.Others += p.others
		row := oRow{Realm: k.realm, Subject: k.subject, First: p.first, Last: p.last, Accesses: p.accesses, Fields: []string{}}
		for f := range p.fields {
			a.Fields[f]++
			row.Fields = append(row.Fields, f)
		}
		for f := range p.masked {
			if !p.fields[f] || o.is("masked counts what is shown in clear too") {
				a.Masked[f]++
			}
		}
		slices.Sort(row.Fields)
		a.List = append(a.List, row)
	}
	sort.Slice(a.List, func(i, j int) bool {
		x, y := a.List[i], a.List[j]
		if len(x.Subject) != len(y.Subject) && !o.is("the list is bytewise") {
			return len(x.Subject) < len(y.Subject)
		}
		if x.Subject != y.Subject {
			return x.Subject < y.Subject
		}
		return x.Realm < y.Realm
	})
}

// slot gives the first instant of a time's bucket.
func (a oAsk) slot(t int64) int64 {
	if a.bucket != 0 {
		return t / a.bucket * a.bucket
	}
	date := func(ms int64) string { return time.UnixMilli(ms).In(a.zone).Format("2006-01-02") }
	first := t - 26*3_600_000 // no day is longer
	today := date(t)
	return first + int64(sort.Search(26*3_600_000, func(i int) bool { return date(first+int64(i)) == today }))
}

func topValue(by string, r *oRecord) string {
	switch by {
	case "ip":
		return r.ip
	case "network":
		ip := net.ParseIP(r.ip)
		if ip == nil {
			return ""
		}
		if v4 := ip.To4(); v4 != nil {
			return (&net.IPNet{IP: v4.Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)}).String()
		}
		return (&net.IPNet{IP: ip.Mask(net.CIDRMask(48, 128)), Mask: net.CIDRMask(48, 128)}).String()
	case "principal":
		return r.principal
	case "key":
		return r.key
	case "credential":
		return r.credential
	case "client":
		return r.client
	case "country":
		return r.country
	case "asn":
		return strconv.FormatInt(r.asn, 10)
	case "agent":
		return r.agent
	case "agent_class":
		return agentClasses[r.agent]
	case "tls":
		return r.tls
	case "route":
		return r.route
	case "source":
		return r.source
	}
	panic(by)
}

// oGaps gathers what accesses add to gaps.
type oGaps struct {
	noSubject, unmatched oGap
	units                map[string]*oGap
}

func (g *oGaps) unit(name string) *oGap {
	if g.units[name] == nil {
		g.units[name] = &oGap{Unit: name}
	}
	return g.units[name]
}

func (g *oGap) add(r *oRecord) {
	if g.Count == 0 {
		g.Source, g.From, g.To = r.source, r.time, r.time
	}
	if g.Source != r.source {
		g.Source = ""
	}
	g.From, g.To = min(g.From, r.time), max(g.To, r.time)
	g.Count++
}

func (o *oracle) gaps(filter []oTerm, g *oGaps) []oGap {
	var out []oGap
	asOf := 0
	for i := range filter {
		asOf = max(asOf, o.asOf(&filter[i]))
	}
	// looks reports whether a term looks at a source at an instant between from and to.
	looks := func(source string, from, to int64) bool {
		return slices.ContainsFunc(filter, func(t oTerm) bool {
			return o.passes(t.values["source"], []string{source}, o.equal) && to >= t.from && (t.to == 0 || from < t.to)
		})
	}
	times := map[string][]int64{}
	rejected := map[string]*oRecord{}
	for _, r := range o.records {
		if r.seq > asOf {
			continue
		}
		switch r.typ {
		case "act":
			if old := rejected[r.of]; r.kind == "rejected" && (old == nil || old.count < r.count) {
				rejected[r.of] = r
			}
		case "verdict", "decision":
		default:
			times[r.source] = append(times[r.source], r.time)
		}
	}
	for source, list := range times {
		slices.Sort(list)
		var spacing []int64
		for i := 1; i < len(list); i++ {
			spacing = append(spacing, list[i]-list[i-1])
		}
		ranked := slices.Clone(spacing)
		slices.Sort(ranked)
		rank := (99*len(ranked) + 99) / 100 // of 0.99 n, rounded up
		if o.is("silence by the median") {
			rank = (len(ranked) + 1) / 2
		}
		for i, d := range spacing {
			if d >= 600_000 && d > 10*ranked[rank-1] && looks(source, list[i]+1, list[i+1]-1) {
				out = append(out, oGap{Kind: "silent", Source: source, From: list[i], To: list[i+1], Count: 1})
			}
		}
	}
	for source, r := range rejected {
		if r.count > 0 && (looks(source, r.from, r.until) || r.from == 0 && r.until == 0 && looks(source, 0, 1<<60)) {
			out = append(out, oGap{Kind: "rejected", Source: source, From: r.from, To: r.until, Count: r.count})
		}
	}
	for kind, gap := range map[string]oGap{"no_subject": g.noSubject, "unmatched": g.unmatched} {
		if gap.Count > 0 {
			gap.Kind = kind
			out = append(out, gap)
		}
	}
	for _, gap := range g.units {
		gap.Kind = "no_feed"
		out = append(out, *gap)
	}
	sortGaps(out)
	return out
}

func sortGaps(gaps []oGap) {
	sort.Slice(gaps, func(i, j int) bool { return fmt.Sprint(gaps[i]) < fmt.Sprint(gaps[j]) })
}
