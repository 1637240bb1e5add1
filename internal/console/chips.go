package console

import (
	"slices"
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
		t := &filter[i]
		var term []chip
		for _, x := range t.Conditions() {
			c := chip{Term: i, Member: x.Member, Word: f.T("member." + x.Member), Not: x.Not}
			switch x.Member {
			case "from":
				c.Value = f.Full(int64(t.From))
			case "to":
				c.Value = f.Full(int64(t.To))
			case "as_of":
				c.Value = figure.Int(int64(t.AsOf))
			case "issued", "explained":
				c.Op, c.Value = f.T("op.is"), f.T("truth."+x.Values[0])
			default:
				op := "op.is"
				if x.Not {
					op = "op.not"
				} else if len(x.Values) > 1 {
					op = "op.any"
				}
				c.Op, c.Value, c.Mono = f.T(op), f.several(x.Values), slices.Contains(mono, x.Member)
			}
			term = append(term, c)
		}
		out = append(out, term)
	}
	return out
}

// plain words a filter in a line.
func (f *frame) plain(filter whosaw.Filter) string {
	var terms []string
	for _, term := range f.chips(filter) {
		var all []string
		for _, c := range term {
			all = append(all, strings.Join(slices.DeleteFunc([]string{c.Word, c.Op, c.Value}, func(s string) bool { return s == "" }), " "))
		}
		terms = append(terms, strings.Join(all, ", "))
	}
	return strings.Join(terms, " "+f.T("or")+" ")
}

// mono are the members whose values are names that programs gave.
var mono = []string{"key", "credential", "client", "tls"}

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
		values := t.Values(member)
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
