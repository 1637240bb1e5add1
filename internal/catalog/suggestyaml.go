package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// How many templates a suggested file lists: without and with a guess about the subject.
const (
	maxSuggested = 25
	maxGuessed   = 200
)

// YAML writes the suggestion as a catalog file to start from: it loads as it is. Routes with a guess about
// the subject show "unclassified"; the others show nothing until somebody says what.
func (s Suggestion) YAML() []byte {
	var b strings.Builder
	b.WriteString("# A catalog suggested from " + plural(s.Accesses, "access", "accesses") + ". It loads as it is; please review:\n")
	b.WriteString(`#  1. fields: put what each page shows in place of "unclassified": name, email, phone, address, door_code,
#     order_history, payment, credential, birth_date, national_id, location, contents, or your own words.
#  2. subject: whose data it is. A wrong guess counts the wrong people. Write path.NAME, query.NAME, principal,
#     credential, either or none.
#  3. Routes under "no subject found" show nothing as they stand. If one shows a customer's data, say which.
#  4. elsewhere: fields that you hold but no page should show, so that an answer can say they were not reached.
catalog: 1
name: suggested-from-log
elsewhere: []
routes:
`)
	listed := 0
	var with, logins, without []Template
	for _, t := range s.Templates {
		switch {
		case t.Login:
			logins = append(logins, t)
		case t.Subject != "":
			with = append(with, t)
		default:
			without = append(without, t)
		}
	}
	left := with[min(len(with), maxGuessed):]
	for _, t := range with[:len(with)-len(left)] {
		listed += t.yaml(&b)
	}
	for _, t := range logins {
		listed += t.yaml(&b)
	}
	if len(without) > 0 {
		b.WriteString("\n  # No subject found: no word for people stands before these ids. If one of the pages shows a customer's data,\n" +
			"  # write its fields and subject.\n")
	}
	shown := without[:min(len(without), maxSuggested)]
	for _, t := range shown {
		listed += t.yaml(&b)
	}
	var hits int64
	left = append(slices.Clip(left), without[len(shown):]...)
	for _, t := range left {
		hits += t.Hits
	}
	if listed == 0 {
		b.WriteString("  ANY /{rest...}: # no paths were found: name your routes here\n")
	}
	b.WriteString("\n")
	if len(left) > 0 {
		fmt.Fprintf(&b, "# Left out: %s with %s.\n", plural(int64(len(left)), "less used route", "less used routes"), plural(hits, "access", "accesses"))
	}
	if s.Assets > 0 {
		fmt.Fprintf(&b, "# Left out: %s to files that are the same for everybody (styles, scripts, pictures).\n", plural(s.Assets, "access", "accesses"))
	}
	if s.Failed > 0 {
		fmt.Fprintf(&b, "# Left out: %s to %s that never answered.\n", plural(s.Failed, "access", "accesses"), plural(int64(s.FailedOn), "path", "paths"))
	}
	if s.NoPath > 0 {
		fmt.Fprintf(&b, "# Left out: %s without a path.\n", plural(s.NoPath, "access", "accesses"))
	}
	if s.Uncounted > 0 {
		fmt.Fprintf(&b, "# Not counted: %s; there are too many different paths to keep apart.\n", plural(s.Uncounted, "access", "accesses"))
	}
	return []byte(b.String())
}

// yaml writes one route; it gives 0 for one that a catalog cannot hold.
func (t Template) yaml(b *strings.Builder) int {
	if _, err := parseTemplate(t.Route); err != nil {
		return 0
	}
	fmt.Fprintf(b, "  # %s", plural(t.Hits, "access", "accesses"))
	for i, p := range t.Places {
		sep, least := ", ", ""
		if i == 0 {
			sep = " to "
		}
		if p.AtLeast {
			least = ">= "
		}
		name := p.Name
		if p.In == "path" {
			name = "{" + name + "}"
		}
		fmt.Fprintf(b, "%s%s%d different %s", sep, least, p.Distinct, name)
	}
	for i, name := range []string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if i > 0 && t.Status[i] > 0 && t.Status[i] < t.Hits {
			fmt.Fprintf(b, ", %d x %s", t.Status[i], name)
		}
	}
	if t.Subject != "" || t.Login {
		fmt.Fprintf(b, ": %s", t.Why)
	}
	fmt.Fprintf(b, "\n  %s:", strconv.Quote(t.Route))
	switch {
	case t.Login && t.Useable:
		b.WriteString("\n    login: {credential: record, subject: principal}\n")
	case t.Login:
		b.WriteString("\n    # login: {credential: record, subject: principal} # once the log says who logs in and with which session\n")
	case t.Subject != "":
		fmt.Fprintf(b, "\n    fields: [%s]\n    subject: %s\n", Unclassified, strconv.Quote(t.Subject))
	default:
		b.WriteString(" []\n")
	}
	return 1
}

// Top gives the templates worth a person's look: those with a guess about the subject, log-ins, then the most
// used, n in all.
func (s Suggestion) Top(n int) []Template {
	top := slices.Clone(s.Templates)
	slices.SortStableFunc(top, func(a, b Template) int { return b.weight() - a.weight() })
	return top[:min(n, len(top))]
}

func (t Template) weight() int {
	switch {
	case t.Subject != "":
		return 2
	case t.Login:
		return 1
	}
	return 0
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
