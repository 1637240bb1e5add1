package whosaw

// Filter picks accesses: the union of its terms, each access counted once. The empty filter
// picks nothing; a filter of one zero Term picks every access.
//
// In JSON a filter is one object or a list of objects.
type Filter []Term

// Term is one object of a filter. All members that are not empty must hold. Several values of
// one member are alternatives. A value that begins with "!" must not hold, and an access without
// the member satisfies it; "!!x" stands for the literal "!x". Values match whole and
// case-sensitively.
//
// Values are kept as the contract writes them; [ParseValue] takes one apart. [ParseFilter] and [Term.Add]
// check them, write numbers plainly, and hash a credential that could be presented ([HashCredential]):
// what compares credentials compares hashed ones.
type Term struct {
	Key        []string `json:"key,omitempty"`
	Credential []string `json:"credential,omitempty"`
	Principal  []string `json:"principal,omitempty"`
	Client     []string `json:"client,omitempty"`
	IP         []string `json:"ip,omitempty"` // addresses or networks; IPv4-mapped IPv6 is IPv4
	Country    []string `json:"country,omitempty"`
	ASN        Numbers  `json:"asn,omitempty"`
	Agent      []string `json:"agent,omitempty"`
	AgentClass []string `json:"agent_class,omitempty"`
	TLS        []string `json:"tls,omitempty"`
	Route      []string `json:"route,omitempty"`
	Field      []string `json:"field,omitempty"` // accesses that show the field in clear, whatever the outcome
	Status     Numbers  `json:"status,omitempty"`
	Outcome    []string `json:"outcome,omitempty"`
	Issued     *bool    `json:"issued,omitempty"`
	Explained  *bool    `json:"explained,omitempty"`
	Subject    []string `json:"subject,omitempty"` // keeps only those subjects of an access
	Realm      []string `json:"realm,omitempty"`
	Source     []string `json:"source,omitempty"`
	From       Time     `json:"from,omitzero"`  // inclusive
	To         Time     `json:"to,omitzero"`    // exclusive
	AsOf       uint64   `json:"as_of,omitzero"` // a sequence: records up to and with it; 0: all
}

// Numbers are the values of a member that is a number in the contract. Each is kept as its
// decimal digits, with the leading "!" of a value that must not hold. In JSON a plain value is a
// number and a negated one a string. "AS4766" is read as 4766 where the member is asn.
type Numbers []string

// Time is an instant in milliseconds since 1970 UTC. In JSON answers it is
// "2006-01-02T15:04:05.000Z"; filters also take integers of milliseconds and dates, which are midnight
// UTC (a command line's --zone is applied before). The zero value means "not given".
type Time int64
