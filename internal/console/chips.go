package console

import (
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// chip is one condition of a filter.
type chip struct {
	Term         int
	Member, Word string // as in the contract, and in words
	Op           string
	Not          bool
	Value        string
	Mono         bool
}

// chips words a filter; each list is one term, of which all must hold.
func (f *frame) chips(filter whosaw.Filter) [][]chip {
	var out [][]chip
	for i := range filter {
		out = append(out, f.termChips(i, &filter[i]))
	}
	return out
}

func (f *frame) termChips(n int, t *whosaw.Term) []chip {
	var out []chip
	add := func(c chip) {
		c.Term, c.Word = n, f.T("member."+c.Member)
		out = append(out, c)
	}
	list := func(member string, values []string, mono bool) {
		var is, not []string
		for _, v := range values {
			if plain, negated := whosaw.ParseValue(v); negated {
				not = append(not, plain)
			} else {
				is = append(is, plain)
			}
		}
		if len(is) > 0 {
			op := "op.is"
			if len(is) > 1 {
				op = "op.any"
			}
			add(chip{Member: member, Op: f.T(op), Value: f.several(is), Mono: mono})
		}
		if len(not) > 0 {
			add(chip{Member: member, Op: f.T("op.not"), Not: true, Value: f.several(not), Mono: mono})
		}
	}
	truth := func(member string, v *bool) {
		if v != nil {
			add(chip{Member: member, Op: f.T("op.is"), Value: f.T("truth." + strconv.FormatBool(*v))})
		}
	}
	list("key", t.Key, true)
	truth("issued", t.Issued)
	truth("explained", t.Explained)
	list("outcome", t.Outcome, false)
	list("credential", t.Credential, true)
	list("principal", t.Principal, false)
	list("client", t.Client, true)
	list("ip", t.IP, false)
	list("country", t.Country, false)
	list("asn", t.ASN, false)
	list("agent", t.Agent, false)
	list("agent_class", t.AgentClass, false)
	list("tls", t.TLS, true)
	list("route", t.Route, false)
	list("field", t.Field, false)
	list("status", t.Status, false)
	list("subject", t.Subject, false)
	list("realm", t.Realm, false)
	list("source", t.Source, false)
	if t.From != 0 {
		add(chip{Member: "from", Value: f.Full(int64(t.From))})
	}
	if t.To != 0 {
		add(chip{Member: "to", Value: f.Full(int64(t.To))})
	}
	if t.AsOf != 0 {
		add(chip{Member: "as_of", Value: figure.Int(int64(t.AsOf))})
	}
	return out
}

// several writes the first of many values.
func (f *frame) several(values []string) string {
	shown := make([]string, 0, 3)
	for _, v := range values[:min(3, len(values))] {
		shown = append(shown, safe(v))
	}
	s := strings.Join(shown, ", ")
	if more := len(values) - len(shown); more > 0 {
		s += " " + f.N("andmore", int64(more))
	}
	return s
}

// edit gives a filter with a condition more or less. A condition is added to every term: it narrows the whole.
func edit(f whosaw.Filter, add bool, term int, member, value string, not bool) (whosaw.Filter, error) {
	out := slices.Clone(f)
	if len(out) == 0 {
		out = whosaw.Filter{{}}
	}
	for i := range out {
		t := &out[i]
		if !add && i != term {
			continue
		}
		values := membersOf(t)[member]
		switch {
		case add && values != nil:
			v := value
			if not || strings.HasPrefix(v, "!") {
				v = "!" + v
			}
			if slices.Contains(*values, v) {
				continue
			}
			// A second value of a member widens; what is clicked narrows, so it takes the place of the first ones.
			*values = slices.DeleteFunc(slices.Clone(*values), func(have string) bool {
				_, negated := whosaw.ParseValue(have)
				return !not && !negated
			})
			if err := t.Add(member, v); err != nil {
				return nil, err
			}
		case add:
			clear(t, member)
			if err := t.Add(member, value); err != nil {
				return nil, err
			}
		case values != nil:
			*values = slices.DeleteFunc(slices.Clone(*values), func(have string) bool {
				_, negated := whosaw.ParseValue(have)
				return negated == not
			})
		default:
			clear(t, member)
		}
	}
	return out, out.Validate()
}

// clear takes a member with one value out.
func clear(t *whosaw.Term, member string) {
	switch member {
	case "issued":
		t.Issued = nil
	case "explained":
		t.Explained = nil
	case "from":
		t.From = 0
	case "to":
		t.To = 0
	case "as_of":
		t.AsOf = 0
	}
}

// membersOf gives the members with several values.
func membersOf(t *whosaw.Term) map[string]*[]string {
	return map[string]*[]string{
		"key": &t.Key, "credential": &t.Credential, "principal": &t.Principal, "client": &t.Client, "ip": &t.IP, "country": &t.Country,
		"asn": (*[]string)(&t.ASN), "agent": &t.Agent, "agent_class": &t.AgentClass, "tls": &t.TLS, "route": &t.Route, "field": &t.Field,
		"status": (*[]string)(&t.Status), "outcome": &t.Outcome, "subject": &t.Subject, "realm": &t.Realm, "source": &t.Source,
	}
}
