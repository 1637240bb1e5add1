package scope_test

import (
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

// This file is the counter's side of filters and answers; see oracle_test.go.

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
	d := json.NewDecoder(strings.NewReader(text))
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
	Of                                      []int     // sequences of the accesses to the asked subject, newest first
	Judged                                  [][2]bool // of these, by all records: issued, explained
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

// oSums is what one question adds up.
type oSums struct {
	*oracle
	filter []oTerm
	ask    oAsk
	a      oAnswer
	gaps   oGaps

	people   map[oID]*oPerson
	top      map[[2]string]*oGroup
	buckets  map[int64]*oGroup
	versions map[string]bool
	shown    map[string]bool
	of       []*oRecord
}

// oGroup is what accesses have in common for Top and Timeline.
type oGroup struct {
	accesses, disclosures int64
	people                map[oID]bool
}

// oHit is what the terms that match an access say of it together.
type oHit struct {
	terms     int
	disclosed bool
	covered   bool // by a feed
	unmatched bool
	kept      map[string]bool     // subjects, whatever the outcome
	pairs     map[string]*oPerson // subjects to whom it was a disclosure
}

// answer looks at every record.
func (o *oracle) answer(filter []oTerm, ask oAsk) oAnswer {
	s := oSums{
		oracle: o, filter: filter, ask: ask, gaps: oGaps{units: map[string]*oGap{}}, people: map[oID]*oPerson{},
		top: map[[2]string]*oGroup{}, buckets: map[int64]*oGroup{}, versions: map[string]bool{}, shown: map[string]bool{},
	}
	s.a = oAnswer{Fields: map[string]int64{}, Masked: map[string]int64{}, NotReached: []string{}, Matched: map[int]bool{}}
	for _, r := range o.records {
		if r.typ != "access" {
			continue
		}
		if h := s.meet(r); h.terms > 0 {
			s.add(r, h)
		}
	}
	s.sumPeople()
	for _, f := range o.catalog.known() {
		if !s.shown[f] {
			s.a.NotReached = append(s.a.NotReached, f)
		}
	}
	if o.catalog != nil {
		var used []string
		for _, v := range o.catalog.versions {
			if s.versions[v.name] {
				used = append(used, v.name)
			}
		}
		s.a.Catalog = strings.Join(used, ", ")
	}
	s.a.Gaps = o.gaps(filter, &s.gaps)
	s.sort()
	return s.a
}

// meet asks every term about an access.
func (s *oSums) meet(r *oRecord) oHit {
	h := oHit{kept: map[string]bool{}, pairs: map[string]*oPerson{}}
	latest := -1
	for i := range s.filter {
		asOf := s.asOf(&s.filter[i])
		if r.seq > asOf {
			continue
		}
		seen := s.see(r, asOf)
		kept, ok := s.matches(&s.filter[i], r, &seen)
		if !ok {
			continue
		}
		h.terms++
		h.unmatched = seen.unmatched
		if asOf > latest {
			latest, h.covered = asOf, s.covered(r, asOf)
		}
		if seen.version != "" {
			s.versions[seen.version] = true
		}
		for _, id := range kept {
			h.kept[id] = true
		}
		if seen.outcome != "disclosed" {
			continue
		}
		h.disclosed = true
		for _, f := range append(slices.Clone(seen.fields), seen.masked...) {
			s.shown[f] = true
		}
		for _, id := range kept {
			s.disclose(&h, id, &seen)
		}
	}
	return h
}

func (s *oSums) disclose(h *oHit, id string, seen *oSeen) {
	p := h.pairs[id]
	if p == nil {
		p = &oPerson{fields: map[string]bool{}, masked: map[string]bool{}}
		h.pairs[id] = p
	}
	for _, f := range seen.fields {
		p.fields[f] = true
	}
	for _, f := range seen.masked {
		p.masked[f] = true
	}
	creditTo := seen.subjects[0]
	if s.is("others go to the last subject") {
		creditTo = seen.subjects[len(seen.subjects)-1]
	}
	if id == creditTo {
		p.others = max(p.others, seen.others)
	}
}

// add adds a matching access to every sum.
func (s *oSums) add(r *oRecord, h oHit) {
	s.a.Matched[r.seq] = true
	s.a.Accesses++
	if s.is("a union counts twice") {
		s.a.Accesses += int64(h.terms) - 1
	}
	if h.kept[s.ask.subject] && (s.ask.realm == nil || *s.ask.realm == r.realm) {
		s.of = append(s.of, r)
	}
	if h.disclosed || s.is("first and last are of accesses") {
		if s.a.First == 0 || r.time < s.a.First {
			s.a.First = r.time
		}
		s.a.Last = max(s.a.Last, r.time)
	}
	disclosures := int64(len(h.pairs))
	if h.disclosed && len(h.pairs) == 0 {
		s.gaps.noSubject.add(r)
		if !s.is("a nameless disclosure is none") {
			disclosures = 1
		}
	}
	s.a.Disclosures += disclosures
	if h.unmatched {
		s.gaps.unmatched.add(r)
	}
	if !h.covered && (r.credential != "" || r.key != "") {
		unit := "key " + r.key
		if r.key == "" {
			unit = "client " + r.client
		}
		s.gaps.unit(r.realm + "\x00" + unit).add(r)
	}
	slot := s.ask.slot(r.time)
	groups := []*oGroup{group(s.buckets, slot)}
	if value := one(topValue(s.ask.by, r)); len(value) > 0 {
		zone := s.ask.zone
		if s.is("days are UTC") {
			zone = time.UTC
		}
		groups = append(groups, group(s.top, [2]string{time.UnixMilli(r.time).In(zone).Format("2006-01-02"), value[0]}))
	}
	for _, g := range groups {
		g.accesses++
		g.disclosures += disclosures
	}
	for id, p := range h.pairs {
		k := s.person(r.realm, id)
		for _, g := range groups {
			g.people[k] = true
		}
		s.addPerson(k, r, p)
	}
}

func group[K comparable](groups map[K]*oGroup, k K) *oGroup {
	if groups[k] == nil {
		groups[k] = &oGroup{people: map[oID]bool{}}
	}
	return groups[k]
}

func (s *oSums) addPerson(k oID, r *oRecord, p *oPerson) {
	all := s.people[k]
	if all == nil {
		all = &oPerson{first: r.time, last: r.time, fields: map[string]bool{}, masked: map[string]bool{}}
		s.people[k] = all
	}
	all.first, all.last = min(all.first, r.time), max(all.last, r.time)
	all.accesses++
	if s.is("others are added up") {
		all.others += p.others
	} else {
		all.others = max(all.others, p.others)
	}
	maps.Copy(all.fields, p.fields)
	maps.Copy(all.masked, p.masked)
}

// sort brings what was added up into the order of the answer.
func (s *oSums) sort() {
	a := &s.a
	for k, g := range s.top {
		a.Top = append(a.Top, oTop{k[0], k[1], int64(len(g.people)), g.accesses})
	}
	sort.Slice(a.Top, func(i, j int) bool {
		x, y := a.Top[i], a.Top[j]
		if x.Subjects != y.Subjects {
			return x.Subjects > y.Subjects
		}
		return x.Day+"\x00"+x.Value < y.Day+"\x00"+y.Value
	})
	sort.SliceStable(s.of, func(i, j int) bool {
		x, y := s.of[i], s.of[j]
		if x.time != y.time {
			return x.time > y.time
		}
		return x.seq > y.seq && !s.is("the same time is oldest first")
	})
	for _, r := range s.of {
		a.Of = append(a.Of, r.seq)
		seen := s.see(r, len(s.records))
		a.Judged = append(a.Judged, [2]bool{seen.issued, seen.explained})
	}
	fresh := map[int64]int64{}
	for _, p := range s.people {
		fresh[s.ask.slot(p.first)]++
	}
	for slot, g := range s.buckets {
		a.Line = append(a.Line, oBucket{slot, g.accesses, g.disclosures, int64(len(g.people)), fresh[slot]})
	}
	sort.Slice(a.Line, func(i, j int) bool { return a.Line[i].Time < a.Line[j].Time })
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

func (s *oSums) sumPeople() {
	a := &s.a
	for k, p := range s.people {
		a.Subjects++
		a.Others += p.others
		row := oRow{Realm: k.realm, Subject: k.subject, First: p.first, Last: p.last, Accesses: p.accesses, Fields: []string{}}
		for f := range p.fields {
			a.Fields[f]++
			row.Fields = append(row.Fields, f)
		}
		for f := range p.masked {
			if !p.fields[f] || s.is("masked counts what is shown in clear too") {
				a.Masked[f]++
			}
		}
		slices.Sort(row.Fields)
		a.List = append(a.List, row)
	}
	sort.Slice(a.List, func(i, j int) bool {
		x, y := a.List[i], a.List[j]
		if len(x.Subject) != len(y.Subject) && !s.is("the list is bytewise") {
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
