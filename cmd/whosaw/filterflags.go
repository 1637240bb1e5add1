package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw"
)

// filterFlags are the members of a filter as flags: the contract's names, repeated for several
// values and never split at commas. A value @FILE reads a list, one value a line.
type filterFlags struct {
	values    map[string]*[]string
	issued    string
	explained string
	from, to  string
	asOf      uint64
	file      string
	zone      string
}

// listMembers are the members with values, in the order of --help.
var listMembers = []struct{ name, help string }{
	{"key", "signing key id"},
	{"credential", "token id or session"},
	{"principal", "who the credential claims to be, as in customer:7 or staff:kim"},
	{"client", "OAuth client or app"},
	{"ip", "address or network, as in 203.0.113.7 or 203.0.113.0/24"},
	{"country", "ISO alpha-2"},
	{"asn", "number of the autonomous system"},
	{"agent", "user agent, whole"},
	{"agent-class", "class of user agent, as in chrome or library:curl"},
	{"tls", "JA4 fingerprint"},
	{"route", `route, as in "GET /me/addresses"`},
	{"field", "accesses that show this field"},
	{"status", "HTTP status"},
	{"outcome", "disclosed, absent, refused or none"},
	{"subject", "keeps only these customers"},
	{"realm", "name space"},
	{"source", "where the records were read"},
}

func (f *filterFlags) add(flags *pflag.FlagSet) {
	f.values = make(map[string]*[]string, len(listMembers))
	for _, m := range listMembers {
		f.values[m.name] = flags.StringArray(m.name, nil, m.help+" (repeatable; ! before a value excludes it; @FILE reads a list)")
	}
	flags.StringVar(&f.issued, "issued", "", "yes or no: only accesses whose credential a log-in issued, or did not")
	flags.StringVar(&f.explained, "explained", "", "yes or no: only accesses that are explained, or are not")
	flags.StringVar(&f.from, "from", "", "from this time on: 2026-11-02 or 2026-11-02T15:04:05Z")
	flags.StringVar(&f.to, "to", "", "before this time")
	flags.Uint64Var(&f.asOf, "as-of", 0, "as the ledger stood at this sequence")
	flags.StringVar(&f.file, "filter", "", "read the filter from a JSON file (- for standard input)")
	addZone(flags, &f.zone)
	// The contract's names have underscores; a hand types hyphens. Both work.
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
}

func addZone(flags *pflag.FlagSet, zone *string) {
	flags.StringVar(zone, "zone", "UTC", "time zone of dates and of days in tables, as in Asia/Seoul")
}

// filter reads the flags into a filter. Without any, it is the filter of every access.
// given says whether any member of a filter was asked for.
func (f *filterFlags) given(cmd *cobra.Command) bool {
	for _, name := range append([]string{"filter", "issued", "explained", "from", "to", "as-of"}, listNames()...) {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (f *filterFlags) filter(cmd *cobra.Command, stdin io.Reader) (whosaw.Filter, *time.Location, error) {
	zone, err := loadZone(f.zone)
	if err != nil {
		return nil, nil, err
	}
	if f.file != "" {
		for _, name := range append([]string{"issued", "explained", "from", "to", "as-of"}, listNames()...) {
			if cmd.Flags().Changed(name) {
				return nil, nil, usagef("--filter and --%s together: put the member into the file", name)
			}
		}
		data, err := readFile(f.file, stdin)
		if err != nil {
			return nil, nil, fmt.Errorf("read the filter: %w", err)
		}
		filter, err := whosaw.ParseFilter(datesIn(data, zone))
		if err != nil {
			return nil, nil, usagef("filter %s: %w", f.file, err)
		}
		return filter, zone, nil
	}
	term := whosaw.Term{AsOf: f.asOf}
	for _, m := range listMembers {
		values, err := expand(*f.values[m.name], stdin)
		if err != nil {
			return nil, nil, fmt.Errorf("--%s: %w", m.name, err)
		}
		for _, v := range values {
			if err := term.Add(strings.ReplaceAll(m.name, "-", "_"), v.text); err != nil {
				return nil, nil, usagef("--%s%s: %w", m.name, v.from, err)
			}
		}
	}
	if term.Issued, err = yesNo("issued", f.issued); err != nil {
		return nil, nil, err
	}
	if term.Explained, err = yesNo("explained", f.explained); err != nil {
		return nil, nil, err
	}
	if term.From, err = flagTime("from", f.from, zone); err != nil {
		return nil, nil, err
	}
	if term.To, err = flagTime("to", f.to, zone); err != nil {
		return nil, nil, err
	}
	filter := whosaw.Filter{term}
	if err := filter.Validate(); err != nil {
		return nil, nil, usagef("filter: %w", err)
	}
	return filter, zone, nil
}

// termValues gives the members with values by the names of their flags.
func termValues(t *whosaw.Term) map[string]*[]string {
	return map[string]*[]string{
		"key": &t.Key, "credential": &t.Credential, "principal": &t.Principal, "client": &t.Client,
		"ip": &t.IP, "country": &t.Country, "asn": (*[]string)(&t.ASN), "agent": &t.Agent,
		"agent-class": &t.AgentClass, "tls": &t.TLS, "route": &t.Route, "field": &t.Field,
		"status": (*[]string)(&t.Status), "outcome": &t.Outcome, "subject": &t.Subject,
		"realm": &t.Realm, "source": &t.Source,
	}
}

var filterDate = regexp.MustCompile(`("(?:from|to)"\s*:\s*)"(\d{4}-\d{2}-\d{2})"`)

// datesIn turns the dates of a filter file, which are midnight of the zone, into instants.
func datesIn(data []byte, zone *time.Location) []byte {
	return filterDate.ReplaceAllFunc(data, func(found []byte) []byte {
		parts := filterDate.FindSubmatch(found)
		day, err := time.ParseInLocation(time.DateOnly, string(parts[2]), zone)
		if err != nil {
			return found // ParseFilter says what is wrong with it
		}
		return fmt.Appendf(nil, "%s%q", parts[1], day.Format(time.RFC3339))
	})
}

func listNames() []string {
	names := make([]string, len(listMembers))
	for i, m := range listMembers {
		names[i] = m.name
	}
	return names
}

// value is one value of a member, and where it stands if that is a list.
type value struct{ text, from string }

// expand replaces each @FILE by the file's lines; blank ones and those that begin with # are passed over. A literal leading
// @ is written @@.
func expand(values []string, stdin io.Reader) ([]value, error) {
	var out []value
	for _, v := range values {
		name, isFile := strings.CutPrefix(v, "@")
		if !isFile {
			if strings.HasPrefix(v, "!@") {
				return nil, usagef("a list cannot be excluded as a whole: write ! before each value in the list")
			}
			out = append(out, value{text: v})
			continue
		}
		if strings.HasPrefix(name, "@") {
			out = append(out, value{text: name})
			continue
		}
		data, err := readFile(name, stdin)
		if err != nil {
			return nil, fmt.Errorf("read the list: %w", err)
		}
		n := len(out)
		lines := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, value{line, fmt.Sprintf(", %s line %d", name, n)})
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read the list %s: %w", name, err)
		}
		if len(out) == n {
			return nil, usagef("the list %s is empty: it would match everything", name)
		}
	}
	return out, nil
}

func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

func yesNo(name, s string) (*bool, error) {
	yes := true
	switch strings.ToLower(s) {
	case "":
		return nil, nil
	case "yes", "true":
	case "no", "false":
		yes = false
	default:
		return nil, usagef("--%s takes yes or no", name)
	}
	return &yes, nil
}

func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, usagef("--zone %s: %w; a zone is UTC or a name such as Asia/Seoul", name, err)
	}
	return zone, nil
}

// flagTime reads a time with an offset, or a local one or a date in the zone.
func flagTime(name, s string, zone *time.Location) (whosaw.Time, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return whosaw.Time(t.UnixMilli()), nil
		}
	}
	return 0, usagef("--%s %q is no time: write 2026-11-02, or 2026-11-02T15:04:05Z", name, s)
}

// filterArgs writes a filter of one term as flags, with a space before each. It gives false for one that only a
// filter file can say.
func filterArgs(f whosaw.Filter) (string, bool) {
	if len(f) != 1 {
		return "", false
	}
	t := &f[0]
	var b strings.Builder
	add := func(name string, values []string) {
		for _, v := range values {
			if strings.HasPrefix(v, "@") {
				v = "@" + v
			}
			b.WriteString(" --" + name + " " + quote(v))
		}
	}
	values := termValues(t)
	for _, m := range listMembers {
		add(m.name, *values[m.name])
	}
	for _, yes := range []struct {
		name string
		b    *bool
	}{{"issued", t.Issued}, {"explained", t.Explained}} {
		if yes.b != nil {
			add(yes.name, []string{map[bool]string{true: "yes", false: "no"}[*yes.b]})
		}
	}
	if t.From != 0 {
		add("from", []string{t.From.String()})
	}
	if t.To != 0 {
		add("to", []string{t.To.String()})
	}
	if t.AsOf != 0 {
		add("as-of", []string{fmt.Sprint(t.AsOf)})
	}
	return b.String(), b.Len() < 1000
}
