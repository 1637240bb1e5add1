package whosaw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// filterMembers lists the members of a term in the contract's order.
var filterMembers = []string{
	"key", "credential", "principal", "client", "ip", "country", "asn", "agent", "agent_class", "tls", "route", "field",
	"status", "outcome", "issued", "explained", "subject", "realm", "source", "from", "to", "as_of",
}

// FilterMembers lists the names of a filter's members in the contract's order.
func FilterMembers() []string { return slices.Clone(filterMembers) }

// FilterError says what is wrong with a filter: the member and the cure, never a value.
type FilterError struct {
	Member string // "" for the filter as a whole
	Reason string
	Hint   string
}

// Error gives "filter member keys: not known; did you mean key?".
func (e *FilterError) Error() string {
	s := "filter: " + e.Reason
	if e.Member != "" {
		s = "filter member " + e.Member + ": " + e.Reason
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func filterFault(member, reason, hint string) error {
	return &FilterError{Member: member, Reason: reason, Hint: hint}
}

// ParseValue takes a filter value apart: "!x" is x that must not hold, "!!x" the literal "!x".
func ParseValue(s string) (value string, not bool) {
	rest, mark := strings.CutPrefix(s, "!")
	if !mark {
		return s, false
	}
	if strings.HasPrefix(rest, "!") {
		return rest, false
	}
	return rest, true
}

// formatValue is the inverse of ParseValue.
func formatValue(value string, not bool) string {
	if not || strings.HasPrefix(value, "!") {
		return "!" + value
	}
	return value
}

// Values gives the place of a member that holds several values, nil for any other.
func (t *Term) Values(member string) *[]string {
	switch member {
	case "key":
		return &t.Key
	case "credential":
		return &t.Credential
	case "principal":
		return &t.Principal
	case "client":
		return &t.Client
	case "ip":
		return &t.IP
	case "country":
		return &t.Country
	case "asn":
		return (*[]string)(&t.ASN)
	case "agent":
		return &t.Agent
	case "agent_class":
		return &t.AgentClass
	case "tls":
		return &t.TLS
	case "route":
		return &t.Route
	case "field":
		return &t.Field
	case "status":
		return (*[]string)(&t.Status)
	case "outcome":
		return &t.Outcome
	case "subject":
		return &t.Subject
	case "realm":
		return &t.Realm
	case "source":
		return &t.Source
	}
	return nil
}

// Add adds one value to the member of that name, as a flag of the command line and each value of
// a JSON filter do. It checks the value and writes it as the contract does: asn without "AS", a
// credential hashed where it could be presented ([HashCredential]), so that no answer repeats it.
// Dates are midnight UTC: a caller with another zone makes milliseconds or RFC 3339 of them first.
func (t *Term) Add(member, value string) error {
	if list := t.Values(member); list != nil {
		value, err := cleanValue(member, value)
		if err != nil {
			return err
		}
		*list = append(*list, value)
		return nil
	}
	switch member {
	case "from", "to":
		at := &t.From
		if member == "to" {
			at = &t.To
		}
		ms, err := ParseTime(value)
		if err != nil {
			if ms, err = ParseDate(value); err != nil {
				return filterFault(member, "not a time", "give 2006-01-02, RFC 3339 or milliseconds since 1970")
			}
		}
		if err := checkBound(member, Time(ms)); err != nil {
			return err
		}
		return setOnce(member, at, Time(ms))
	case "as_of":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return filterFault(member, "not a sequence", "give the number of the last record to be looked at")
		}
		return setOnce(member, &t.AsOf, n)
	case "issued", "explained":
		at := &t.Issued
		if member == "explained" {
			at = &t.Explained
		}
		if value != "true" && value != "false" {
			return filterFault(member, "not a truth value", "give true or false")
		}
		if *at != nil {
			return filterFault(member, "given twice", "give it once")
		}
		yes := value == "true"
		*at = &yes
		return nil
	}
	hint := "it is one of " + list(filterMembers)
	if near := nearest(member, filterMembers); near != "" {
		hint = "did you mean " + near + "?"
	}
	return filterFault(shown(member), "not known", hint)
}

// Condition is one member of a term, taken apart for who words it.
type Condition struct {
	Member string
	Not    bool     // none of the values may hold
	Values []string // without the mark of those that must not hold; none for from, to and as_of
}

// Conditions takes a term apart, in the order in which a reader asks: whose key, was it issued, and the rest as the contract
// has it. A member with values that must hold and values that must not is two conditions.
func (t *Term) Conditions() []Condition {
	var out []Condition
	for i, member := range filterMembers {
		switch list := t.Values(member); {
		case list != nil:
			var is, not []string
			for _, v := range *list {
				if plain, negated := ParseValue(v); negated {
					not = append(not, plain)
				} else {
					is = append(is, plain)
				}
			}
			if len(is) > 0 {
				out = append(out, Condition{Member: member, Values: is})
			}
			if len(not) > 0 {
				out = append(out, Condition{Member: member, Not: true, Values: not})
			}
		case member == "from" && t.From != 0, member == "to" && t.To != 0, member == "as_of" && t.AsOf != 0:
			out = append(out, Condition{Member: member})
		}
		if i > 0 {
			continue
		}
		if t.Issued != nil {
			out = append(out, Condition{Member: "issued", Values: []string{strconv.FormatBool(*t.Issued)}})
		}
		if t.Explained != nil {
			out = append(out, Condition{Member: "explained", Values: []string{strconv.FormatBool(*t.Explained)}})
		}
	}
	return out
}

// checkBound refuses what was meant as another unit: a filter of 1970 would pick everything or nothing.
func checkBound(member string, t Time) error {
	switch ms := int64(t); {
	case ms > 0 && ms < minReferenceTime:
		return filterFault(member, "looks like seconds", "give milliseconds, RFC 3339 or 2006-01-02")
	case ms > maxReferenceTime:
		return filterFault(member, "looks like microseconds or nanoseconds", "give milliseconds, RFC 3339 or 2006-01-02")
	}
	return nil
}

func setOnce[T Time | uint64](member string, at *T, value T) error {
	if value == 0 {
		return filterFault(member, "is zero", "leave it out")
	}
	if *at != 0 {
		return filterFault(member, "given twice", "give it once")
	}
	*at = value
	return nil
}

// cleanValue checks one value of a member that holds several, and gives it as it is kept.
func cleanValue(member, s string) (string, error) {
	value, not := ParseValue(s)
	if !utf8.ValidString(value) {
		return "", filterFault(member, "is not valid UTF-8", "give it as UTF-8")
	}
	if value == "" && member != "realm" {
		return "", filterFault(member, "has an empty value", "leave it out")
	}
	switch member {
	case "credential":
		value = HashCredential(value)
	case "ip":
		if _, err := ParseNetwork(value); err != nil {
			return "", filterFault(member, "has a value that is no address or network", "give 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
		}
	case "country":
		if !isCountry(value) {
			return "", filterFault(member, "has a value that is no country", `give two letters in upper case, such as "KR"`)
		}
	case "asn":
		n, err := ParseASN(value)
		if err != nil || n == 0 {
			return "", filterFault(member, "has a value that is no AS number", `give it as 4766 or "AS4766"`)
		}
		value = strconv.FormatUint(uint64(n), 10)
	case "status":
		if n, ok := parseInt(value); !ok || n < 100 || n > 999 {
			return "", filterFault(member, "has a value that is no HTTP status", "give 100 to 999")
		}
	case "outcome":
		if o, ok := ParseOutcome(value); !ok || o == OutcomeUnstated {
			return "", filterFault(member, "has a value that is not known", "it is one of "+list(outcomeNames[1:]))
		}
	case "field":
		if len(value) > MaxName || !isName(value) {
			return "", filterFault(member, "has a value that is no name of a field", "a name has 1 to 64 bytes: letters, digits and _ . - : / [ ] $ @ *")
		}
	case "subject":
		if len(value) > MaxSubject {
			return "", filterFault(member, "has an id longer than 256 bytes", "no record has such an id")
		}
	}
	return formatValue(value, not), nil
}

// Validate reports the first fault of a filter that was built by hand. ParseFilter and Add give none,
// but for a time that ends before it begins.
func (f Filter) Validate() error {
	for i := range f {
		t := f[i]
		for _, member := range filterMembers {
			list := t.Values(member)
			if list == nil {
				continue
			}
			for _, v := range *list {
				clean, err := cleanValue(member, v)
				if err != nil {
					return err
				}
				if clean != v {
					return filterFault(member, "is not written as the contract does", "build terms with Add")
				}
			}
		}
		if err := checkBound("from", t.From); err != nil {
			return err
		}
		if err := checkBound("to", t.To); err != nil {
			return err
		}
		if t.From != 0 && t.To != 0 && t.To <= t.From {
			return filterFault("to", "is not later than from", "from is inclusive, to exclusive")
		}
	}
	return nil
}

// IsZero reports whether the term has no member, so that it picks every access.
func (t Term) IsZero() bool {
	for _, member := range filterMembers {
		if list := t.Values(member); list != nil && len(*list) > 0 {
			return false
		}
	}
	return t.Issued == nil && t.Explained == nil && t.From == 0 && t.To == 0 && t.AsOf == 0
}

// ParseFilter reads a filter, one object or a list of objects. Nothing that it does not understand is
// passed over: a filter that picks too much or too little names the wrong people.
func ParseFilter(data []byte) (Filter, error) {
	if !utf8.Valid(data) {
		return nil, filterFault("", "not valid UTF-8", "write it as UTF-8")
	}
	if !json.Valid(data) {
		return nil, filterFault("", "not JSON", `give one object such as {"key":["k1"]}, or a list of objects`)
	}
	data = bytes.TrimSpace(data)
	objects := []json.RawMessage{data}
	if data[0] == '[' {
		objects = nil
		if err := json.Unmarshal(data, &objects); err != nil {
			return nil, fmt.Errorf("decode filter: %w", err)
		}
	}
	f := make(Filter, len(objects))
	for i, object := range objects {
		if err := parseTerm(object, &f[i]); err != nil {
			return nil, err
		}
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return f, nil
}

// parseTerm reads one object of valid JSON.
func parseTerm(data []byte, t *Term) error {
	if data = bytes.TrimSpace(data); data[0] != '{' {
		return filterFault("", "not an object", `give one object such as {"key":["k1"]}, or a list of objects`)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("decode filter: %w", err)
	}
	given := make(map[string]bool)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fmt.Errorf("decode filter: %w", err)
		}
		member, ok := name.(string)
		if !ok {
			return errors.New("decode filter: a member has no name")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("decode filter: %w", err)
		}
		if given[member] {
			return filterFault(shown(member), "given twice", "give it once, with a list of values")
		}
		given[member] = true
		if err := addJSON(t, member, value); err != nil {
			return err
		}
	}
	return nil
}

// addJSON adds the value or values of one member.
func addJSON(t *Term, member string, value json.RawMessage) error {
	if !slices.Contains(filterMembers, member) {
		return t.Add(member, "")
	}
	several := t.Values(member) != nil
	switch value[0] {
	case 'n': // null: not given
		return nil
	case '[':
		if !several {
			return filterFault(member, "is a list", "give one value")
		}
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			return fmt.Errorf("decode filter: %w", err)
		}
		if len(items) == 0 {
			return filterFault(member, "is an empty list", "leave the member out to let every value pass")
		}
		for _, item := range items {
			if err := addScalar(t, member, item); err != nil {
				return err
			}
		}
		return nil
	}
	return addScalar(t, member, value)
}

func addScalar(t *Term, member string, value json.RawMessage) error {
	text := string(value)
	number := text[0] == '-' || text[0]-'0' <= 9
	truth := text == "true" || text == "false"
	switch {
	case text[0] == '"':
		if member == "issued" || member == "explained" || member == "as_of" {
			return filterFault(member, "is a string", "leave the quotes out")
		}
		if err := json.Unmarshal(value, &text); err != nil {
			return fmt.Errorf("decode filter: %w", err)
		}
		if _, isInt := parseInt(text); isInt && (member == "from" || member == "to") {
			return filterFault(member, "is a number in quotes", "leave the quotes out")
		}
	case number && (member == "asn" || member == "status" || member == "as_of" || member == "from" || member == "to" || member == "subject"):
	case truth && (member == "issued" || member == "explained"):
	default:
		hint := "give a string, or a list of strings"
		switch member {
		case "asn", "status":
			hint = `give a number, or a string such as "!404"`
		case "from", "to":
			hint = "give a string, or milliseconds as a number"
		case "as_of":
			hint = "give the number of the last record to be looked at"
		case "issued", "explained":
			hint = "give true or false"
		}
		return filterFault(member, "has a value of the wrong kind", hint)
	}
	if member == "subject" && number {
		if strings.ContainsAny(text, ".eE") || text == "-0" {
			return filterFault(member, "has a fraction or exponent", "put the id in quotes")
		}
	}
	return t.Add(member, text)
}

// shown gives a member's name for an error, cut, and without what would draw on a terminal.
func shown(name string) string {
	if len(name) > 32 {
		name = name[:32] + "…"
	}
	quoted := appendQuoted(nil, name)
	return string(quoted[1 : len(quoted)-1])
}

// nearest gives the name that differs least, "" if none is near.
func nearest(name string, names []string) string {
	if len(name) > 32 {
		return ""
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, least := "", 3
	for _, n := range names {
		if d := distance(name, n); d < least && d < len(n) {
			best, least = n, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// MarshalJSON gives one object for one term, else a list.
func (f Filter) MarshalJSON() ([]byte, error) {
	if len(f) == 1 {
		return json.Marshal(f[0])
	}
	if len(f) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]Term(f))
}

// UnmarshalJSON reads what ParseFilter reads; null is left alone, as everywhere in encoding/json.
func (f *Filter) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseFilter(data)
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}

// MarshalJSON gives plain values as numbers and negated ones as strings.
func (n Numbers) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, s := range n {
		if i > 0 {
			out = append(out, ',')
		}
		if _, ok := parseInt(s); ok {
			out = append(out, s...)
		} else {
			out = appendQuoted(out, s)
		}
	}
	return append(out, ']'), nil
}

// UnmarshalJSON reads a list of numbers and strings, or one of them alone.
func (n *Numbers) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	items := []json.RawMessage{data}
	if len(data) > 0 && data[0] == '[' {
		items = nil
		if err := json.Unmarshal(data, &items); err != nil {
			return fmt.Errorf("decode numbers: %w", err)
		}
	}
	numbers := make(Numbers, 0, len(items))
	for _, item := range items {
		s := string(item)
		if s[0] == '"' {
			if err := json.Unmarshal(item, &s); err != nil {
				return fmt.Errorf("decode numbers: %w", err)
			}
		}
		value, not := ParseValue(s)
		asn, err := ParseASN(value)
		if err != nil {
			return errors.New("decode numbers: not a number; give it as 404 or \"!404\"")
		}
		numbers = append(numbers, formatValue(strconv.FormatUint(uint64(asn), 10), not))
	}
	*n = numbers
	return nil
}
