package whosaw

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// In answers a list or map without entries is [] or {}, never null: a script may loop over it unasked.
// The methods here see to it, so that code that builds answers need not.

// set gives an empty slice for nil.
func set[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// table gives an empty map for nil.
func table[T any](m map[string]T) map[string]T {
	if m == nil {
		return map[string]T{}
	}
	return m
}

// MarshalJSON gives empty lists and maps for nil ones. Findings are left out if nil.
func (a ScopeAnswer) MarshalJSON() ([]byte, error) {
	type plain ScopeAnswer
	a.Fields, a.Masked = table(a.Fields), table(a.Masked)
	a.NotReached, a.Gaps = set(a.NotReached), set(a.Gaps)
	return json.Marshal(plain(a))
}

// MarshalJSON gives an empty list for nil fields.
func (r ListRow) MarshalJSON() ([]byte, error) {
	type plain ListRow
	r.Fields = set(r.Fields)
	return json.Marshal(plain(r))
}

// MarshalJSON gives empty lists and maps for nil ones.
func (a DoctorAnswer) MarshalJSON() ([]byte, error) {
	type plain DoctorAnswer
	a.Shares = table(a.Shares)
	a.Detectors, a.Silent, a.Add, a.Says = set(a.Detectors), set(a.Silent), set(a.Add), set(a.Says)
	return json.Marshal(plain(a))
}

// MarshalJSON gives an empty list for nil.
func (a MemberAdvice) MarshalJSON() ([]byte, error) {
	type plain MemberAdvice
	a.Opens = set(a.Opens)
	return json.Marshal(plain(a))
}

// MarshalJSON gives empty lists for nil ones.
func (a Investigation) MarshalJSON() ([]byte, error) {
	type plain Investigation
	a.Findings, a.Scopes = set(a.Findings), set(a.Scopes)
	return json.Marshal(plain(a))
}

// MarshalJSON gives an empty list for nil.
func (a SubjectAnswer) MarshalJSON() ([]byte, error) {
	type plain SubjectAnswer
	a.Accesses = set(a.Accesses)
	return json.Marshal(plain(a))
}

// MarshalJSON gives {"day":…,"ip":…,"subjects":…,"accesses":…} where By is ip. Values of asn and status are
// numbers.
func (r TopRow) MarshalJSON() ([]byte, error) {
	if r.By == "" || r.By == "day" || r.By == "subjects" || r.By == "accesses" {
		return nil, errors.New("encode top row: By names no dimension")
	}
	out := append([]byte(`{"day":`), appendQuoted(nil, r.Day)...)
	out = append(appendQuoted(append(out, ','), r.By), ':')
	if _, ok := parseInt(r.Value); ok && (r.By == "asn" || r.By == "status") {
		out = append(out, r.Value...)
	} else {
		out = appendQuoted(out, r.Value)
	}
	out = strconv.AppendInt(append(out, `,"subjects":`...), r.Subjects, 10)
	out = strconv.AppendInt(append(out, `,"accesses":`...), r.Accesses, 10)
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON gives: the one member with another name is the dimension.
func (r *TopRow) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("decode top row: %w", err)
	}
	var row TopRow
	for name, value := range members {
		var err error
		switch name {
		case "day":
			err = json.Unmarshal(value, &row.Day)
		case "subjects":
			err = json.Unmarshal(value, &row.Subjects)
		case "accesses":
			err = json.Unmarshal(value, &row.Accesses)
		default:
			if row.By != "" {
				return errors.New("decode top row: more than one dimension")
			}
			row.By = name
			if row.Value = string(value); value[0] == '"' {
				err = json.Unmarshal(value, &row.Value)
			}
		}
		if err != nil {
			return fmt.Errorf("decode top row: %w", err)
		}
	}
	if row.By == "" {
		return errors.New("decode top row: the dimension is missing")
	}
	*r = row
	return nil
}
