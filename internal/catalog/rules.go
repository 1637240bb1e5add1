package catalog

import "strings"

// Rules gives the catalog that is used where the user gave none: it knows every route by the shape
// rules, finds subjects in id-like segments, and calls what is shown Unclassified.
//
// What it takes for a subject: the segment behind a person noun (/users/7), unless it is a known word
// (/users/search); a query parameter that names a customer (customer_id=7); and on pages of the one who
// asks (/me/orders) the principal's claim or the credential's issuance. What it shows counts only with a subject.
func Rules() *Catalog { return rules }

var rules = &Catalog{
	name:      SuggestedName,
	versions:  []*Version{{Name: SuggestedName, rules: true}},
	known:     []string{},
	suggested: true,
}

// The four entries of the rules: with the body or without, on everybody's pages or one's own. They
// carry no route: they stand for every one.
var (
	ruleData     = &Route{Fields: []string{Unclassified}, Masked: none, NeedsSubject: true}
	ruleSelf     = &Route{Fields: []string{Unclassified}, Masked: none, NeedsSubject: true, Join: JoinEither}
	ruleBare     = &Route{Fields: none, Masked: none, NeedsSubject: true}
	ruleSelfBare = &Route{Fields: none, Masked: none, NeedsSubject: true, Join: JoinEither}
)

// ruleRoute gives the rules' entry for a stored route.
func ruleRoute(route string) *Route {
	method, path, _ := strings.Cut(route, " ")
	self, person := marks(path)
	bare := method == "HEAD" || method == "OPTIONS" || method == "HeadObject"
	if !operations[method] {
		code, media := fileKind(path[strings.LastIndexByte(path, '/')+1:])
		bare = bare || code || media && !person
	}
	switch self = self && !person; {
	case self && bare:
		return ruleSelfBare
	case self:
		return ruleSelf
	case bare:
		return ruleBare
	}
	return ruleData
}

// marks reports whether a route has a segment that means the one who asks, and whether it has a
// placeholder that stands for somebody.
func marks(path string) (self, person bool) {
	for seg := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(seg, "{") {
			name, _, _ := strings.Cut(seg[1:], "}")
			person = person || nouns[name].rank > 0
			continue
		}
		seg = strings.ToLower(seg)
		self = self || selves[seg] || seg == "account" || seg == "profile"
	}
	return self, person
}
