package whosaw

// ScopeAnswer is what a filter's accesses disclosed: exactly, or with the gaps that say what the
// records cannot tell.
type ScopeAnswer struct {
	Filter      Filter           `json:"filter"`
	Accesses    int64            `json:"accesses"`    // records that match
	Disclosures int64            `json:"disclosures"` // pairs of record and subject, disclosed, and disclosed records without a subject
	Subjects    int64            `json:"subjects"`    // distinct disclosed subjects
	Others      int64            `json:"others"`      // entries, not people: sum over subjects of the largest shown for each
	Fields      map[string]int64 `json:"fields"`      // distinct subjects of whom the field was shown in clear
	Masked      map[string]int64 `json:"masked"`      // distinct subjects of whom it was shown only masked
	NotReached  []string         `json:"not_reached"` // fields the catalog knows of which nothing was shown
	First       *Time            `json:"first"`       // of disclosures
	Last        *Time            `json:"last"`
	Catalog     string           `json:"catalog"` // the version or versions applied; "" without a catalog
	Gaps        []Gap            `json:"gaps"`
	Findings    []string         `json:"findings,omitempty"` // ids; in an investigation's scopes only
}

// Gap is something the records cannot tell.
type Gap struct {
	Kind   GapKind `json:"kind"`
	From   *Time   `json:"from"`
	To     *Time   `json:"to"`
	Source string  `json:"source"`
	Count  int64   `json:"count"`
	Says   string  `json:"says"`
}

// GapKind is one of the kinds below.
type GapKind string

// The kinds of gaps.
const (
	GapSilent    GapKind = "silent"     // a source without records for far longer than its habit
	GapRejected  GapKind = "rejected"   // lines that could not be read
	GapNoSubject GapKind = "no_subject" // disclosed, but nobody says whose
	GapNoFeed    GapKind = "no_feed"    // a key or client whose issuances nobody reports
	GapPurged    GapKind = "purged"     // removed by retention
	GapUnmatched GapKind = "unmatched"  // routes the catalog does not know
)

// ListRow is one disclosed subject of a scope.
type ListRow struct {
	Realm    string   `json:"realm,omitempty"`
	Subject  string   `json:"subject"`
	First    Time     `json:"first"`
	Last     Time     `json:"last"`
	Accesses int64    `json:"accesses"` // disclosed accesses of this subject
	Fields   []string `json:"fields"`   // shown in clear, sorted bytewise
}

// TopRow is one (day, value) of a `whosaw top` answer. In JSON the value's member is named after
// the dimension.
type TopRow struct {
	Day      string // 2006-01-02 in the zone asked for
	By       string // the dimension: ip, key, principal, …
	Value    string
	Subjects int64 // distinct disclosed subjects
	Accesses int64 // records that match
}

// Finding is an accusation with its evidence: what it was raised on, not what came later.
type Finding struct {
	ID        string  `json:"id"`       // from detector, unit and raising record
	Time      Time    `json:"time"`     // event time of the record that raised it
	Seen      Time    `json:"seen"`     // when it could be raised, by clocks that may be right: no record after it was needed
	Detector  string  `json:"detector"` // unissued, nonexistent, traversal, canary, key_state
	Unit      string  `json:"unit"`     // kind and value, as in "key:login-2024-b"
	Filter    Filter  `json:"filter"`   // what it accuses: more than half of what the filter matches
	Accesses  int64   `json:"accesses"` // the evidence up to Seen
	Subjects  int64   `json:"subjects"` // distinct disclosed subjects in the evidence
	Statistic float64 `json:"statistic"`
	Threshold float64 `json:"threshold"`
	Says      string  `json:"says"`
	Technique string  `json:"technique"` // MITRE ATT&CK or OWASP API id
}

// ReadAnswer says what an investigation read. Lines = Accepted + Rejected + Duplicates.
type ReadAnswer struct {
	Lines      int64   `json:"lines"` // records read, blank lines aside; array elements too
	Accepted   int64   `json:"accepted"`
	Rejected   int64   `json:"rejected"`
	Duplicates int64   `json:"duplicates"`
	From       *Time   `json:"from"` // of accepted records
	To         *Time   `json:"to"`
	Seconds    float64 `json:"seconds"`
}

// DoctorAnswer says what records can and cannot answer.
type DoctorAnswer struct {
	Accesses  int64            `json:"accesses"`
	Shares    map[string]Share `json:"shares"` // subject, credential, key, principal, origin, agent, fields, route
	Detectors []DetectorState  `json:"detectors"`
	Silent    []Gap            `json:"silent"`
	Add       []MemberAdvice   `json:"add"` // at most three members, the most useful first
	Says      []string         `json:"says"`
}

// Share is how many of the accesses have a member, and where it comes from.
type Share struct {
	Count int64   `json:"count"`
	Of    int64   `json:"of"`
	Share float64 `json:"share"` // Count/Of, 0 if Of is 0
	Says  string  `json:"says,omitempty"`
}

// DetectorState says whether a detector can judge these records.
type DetectorState struct {
	Detector string `json:"detector"`
	Judges   string `json:"judges"` // "yes", "partly", "no"
	Trials   int64  `json:"trials"` // accesses it could judge
	Says     string `json:"says"`   // why, and what would change it
}

// MemberAdvice is a log member worth adding.
type MemberAdvice struct {
	Member string   `json:"member"`
	Why    string   `json:"why"`
	Opens  []string `json:"opens"` // detectors that it lets judge
	Setup  string   `json:"setup"` // the command that prints the lines to add
}

// Investigation is the answer of `whosaw investigate --json`.
type Investigation struct {
	Read     ReadAnswer    `json:"read"`
	Findings []Finding     `json:"findings"`
	Scopes   []ScopeAnswer `json:"scopes"`
	Doctor   DoctorAnswer  `json:"doctor"`
}

// SubjectAnswer is the answer of `whosaw subject ID --json`.
type SubjectAnswer struct {
	Subject  string   `json:"subject"`
	Accesses []Record `json:"accesses"`       // newest first
	Next     string   `json:"next"`           // cursor of the next page; "" at the end
	Gaps     []Gap    `json:"gaps,omitempty"` // what retention removed of the times asked for; nothing else
}
