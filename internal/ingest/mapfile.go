package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// mappingVersion is the version of the mapping file's format.
const mappingVersion = 1

// mapFile is a mapping file as it is written.
type mapFile struct {
	Version int      `yaml:"version"`
	Name    string   `yaml:"name"`
	Time    mapTime  `yaml:"time"`
	Method  mapFrom  `yaml:"method"`
	Path    mapFrom  `yaml:"path"`
	Line    mapFrom  `yaml:"request_line"`
	Status  mapFrom  `yaml:"status"`
	IP      mapIP    `yaml:"ip"`
	Agent   mapFrom  `yaml:"agent"`
	Bytes   mapFrom  `yaml:"bytes"`
	Request mapFrom  `yaml:"request"`
	JWT     *mapFrom `yaml:"jwt"`

	Principal  mapFrom `yaml:"principal"`
	Credential mapFrom `yaml:"credential"`
	Key        mapFrom `yaml:"key"`
	Client     mapFrom `yaml:"client"`
	Subject    mapFrom `yaml:"subject"`
	Fields     mapFrom `yaml:"fields"`
	Masked     mapFrom `yaml:"masked"`
	Others     mapFrom `yaml:"others"`
	Route      mapFrom `yaml:"route"`
	Country    mapFrom `yaml:"country"`
	ASN        mapFrom `yaml:"asn"`
	TLS        mapFrom `yaml:"tls"`
	Realm      mapFrom `yaml:"realm"`
	ID         mapFrom `yaml:"id"`
	Outcome    mapFrom `yaml:"outcome"`
	Reason     mapFrom `yaml:"reason"`
}

// mapFrom is one entry: the name of a log member, several in order of preference, or an object.
type mapFrom struct {
	Member mapNames `yaml:"member"`
	Prefix *string  `yaml:"prefix"`
	Value  string   `yaml:"value"`
}

type mapTime struct {
	Member mapNames `yaml:"member"`
	Format string   `yaml:"format"`
	Layout string   `yaml:"layout"`
	Zone   string   `yaml:"zone"`
}

type mapIP struct {
	Member mapNames `yaml:"member"`
	Take   string   `yaml:"take"`
}

// mapNames is a name or a list of names.
type mapNames []string

func (n *mapNames) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*n = mapNames{one}
		return nil
	}
	var many []string
	if err := decode(&many); err != nil {
		return errors.New("member: give the name of a log member, or a list of names")
	}
	*n = many
	return nil
}

func (f *mapFrom) UnmarshalYAML(decode func(any) error) error {
	if decode(&f.Member) == nil {
		return nil
	}
	type plain mapFrom
	return decode((*plain)(f))
}

func (f *mapTime) UnmarshalYAML(decode func(any) error) error {
	if decode(&f.Member) == nil {
		return nil
	}
	type plain mapTime
	return decode((*plain)(f))
}

func (f *mapIP) UnmarshalYAML(decode func(any) error) error {
	if decode(&f.Member) == nil {
		return nil
	}
	type plain mapIP
	return decode((*plain)(f))
}

// maxMappingFile is far beyond any mapping written by hand.
const maxMappingFile = 32 << 10

// loadMapping reads and checks a mapping file.
func loadMapping(file string) (*mapping, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, readError(file, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxMappingFile {
		return nil, fmt.Errorf("read mapping %s: not a file of at most %s; see docs/formats/sources.md", file, sizeText(maxMappingFile))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read mapping: %w", err)
	}
	m, err := parseMapping(data)
	if err != nil {
		return nil, fmt.Errorf("read mapping %s: %w", file, err)
	}
	if m.name == "" {
		m.name = filepath.Base(file)
	}
	return m, nil
}

func parseMapping(data []byte) (m *mapping, err error) {
	// The YAML library panics on some tags. A mapping file needs none of them.
	defer func() {
		if recover() != nil {
			m, err = nil, errors.New("uses YAML beyond names, texts, lists and mappings; write it plainly (docs/formats/sources.md)")
		}
	}()
	if tooDeep(data) {
		return nil, errors.New("brackets nested too deep; a mapping needs two levels")
	}
	var f mapFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s (docs/formats/sources.md lists what can be mapped)", strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if f.Version != mappingVersion {
		return nil, fmt.Errorf("version %d: write \"version: %d\"", f.Version, mappingVersion)
	}
	return f.compile()
}

// tooDeep keeps from the YAML library what it would take minutes for.
func tooDeep(data []byte) bool {
	depth, deepest := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		deepest = max(deepest, depth)
	}
	return deepest > 100 || bytes.Count(data, []byte("- -")) > 100
}

func (f *mapFile) compile() (*mapping, error) {
	m := &mapping{name: f.Name}
	if err := f.compileTime(m); err != nil {
		return nil, err
	}
	if err := f.compileIP(m); err != nil {
		return nil, err
	}
	for _, e := range []struct {
		name  string
		in    *mapFrom
		out   *from
		fixed bool // may be a constant or have a prefix
	}{
		{"method", &f.Method, &m.method, false}, {"path", &f.Path, &m.path, false}, {"request_line", &f.Line, &m.line, false},
		{"status", &f.Status, &m.status, false}, {"agent", &f.Agent, &m.agent, false}, {"bytes", &f.Bytes, &m.bytes, false},
		{"request", &f.Request, &m.request, false}, {"principal", &f.Principal, &m.principal, true},
		{"credential", &f.Credential, &m.credential, false}, {"key", &f.Key, &m.key, true}, {"client", &f.Client, &m.client, true},
		{"subject", &f.Subject, &m.subject, false}, {"fields", &f.Fields, &m.fields, false}, {"masked", &f.Masked, &m.masked, false},
		{"others", &f.Others, &m.others, false}, {"route", &f.Route, &m.route, true}, {"country", &f.Country, &m.country, false},
		{"asn", &f.ASN, &m.asn, false}, {"tls", &f.TLS, &m.tls, false}, {"realm", &f.Realm, &m.realm, true},
		{"id", &f.ID, &m.id, false}, {"outcome", &f.Outcome, &m.outcome, false}, {"reason", &f.Reason, &m.reason, false},
	} {
		if err := e.in.compile(m, e.name, e.fixed, e.out); err != nil {
			return nil, err
		}
	}
	if f.JWT != nil {
		if err := f.JWT.compile(m, "jwt", true, &m.jwt); err != nil {
			return nil, err
		}
		if f.JWT.Value != "" || len(f.JWT.Member) == 0 {
			return nil, errors.New("jwt: name the member that holds the token")
		}
		if f.JWT.Prefix == nil {
			m.jwt.prefix = "customer:"
		}
	}
	if len(m.path.slots) > 0 && len(m.method.slots) == 0 {
		return nil, errors.New("method: missing beside path; map it too, or map request_line if the log holds whole request lines")
	}
	return m, nil
}

func (f *mapFrom) compile(m *mapping, name string, fixed bool, out *from) error {
	if f.Value != "" && len(f.Member) > 0 {
		return fmt.Errorf("%s: give member or value, not both", name)
	}
	if !fixed && (f.Value != "" || f.Prefix != nil) {
		return fmt.Errorf("%s: has neither value nor prefix; only member", name)
	}
	if err := f.Member.check(name); err != nil {
		return err
	}
	*out = m.src(f.Member...)
	out.value = f.Value
	if f.Prefix != nil {
		out.prefix = *f.Prefix
	}
	return nil
}

func (n mapNames) check(name string) error {
	for _, s := range n {
		if s == "" {
			return fmt.Errorf("%s: the name of a log member is empty; leave the entry out", name)
		}
	}
	return nil
}

func (f *mapFile) compileTime(m *mapping) error {
	t := &f.Time
	if len(t.Member) == 0 {
		return errors.New("time: missing; name the member that holds the time of the request, as in \"time: timestamp\"")
	}
	if err := t.Member.check("time"); err != nil {
		return err
	}
	m.time = m.src(t.Member...)
	m.zone = time.UTC
	if t.Layout != "" && t.Format == "" {
		t.Format = "layout"
	}
	switch t.Format {
	case "", "auto":
	case "rfc3339":
		m.timeFormat = timeRFC3339
	case "unix":
		m.timeFormat = timeUnix
	case "unix_ms":
		m.timeFormat = timeUnixMS
	case "apache":
		m.timeFormat = timeApache
	case "layout":
		m.timeFormat, m.layout = timeLayout, t.Layout
		if !strings.Contains(t.Layout, "2006") && !strings.Contains(t.Layout, "06") {
			return errors.New(`time: the layout has no year; write the time 2 January 2006 15:04:05 the way the log would, as in "2006-01-02 15:04:05"`)
		}
		if t.Zone != "" {
			zone, err := time.LoadLocation(t.Zone)
			if err != nil {
				return fmt.Errorf("time: zone: %w; give a name such as Asia/Seoul", err)
			}
			m.zone = zone
		}
	default:
		return errors.New("time: format: give rfc3339, unix, unix_ms, apache, layout, or leave it out")
	}
	if t.Format != "layout" && (t.Layout != "" || t.Zone != "") {
		return errors.New("time: layout and zone go with format: layout only")
	}
	return nil
}

func (f *mapFile) compileIP(m *mapping) error {
	if err := f.IP.Member.check("ip"); err != nil {
		return err
	}
	m.ip = m.src(f.IP.Member...)
	switch f.IP.Take {
	case "", "outer":
		m.take = takeOuter
	case "first":
		m.take = takeFirst
	case "last":
		m.take = takeLast
	default:
		n, err := strconv.Atoi(f.IP.Take)
		if err != nil || n < 1 || n > 100 {
			return errors.New("ip: take: give outer, first, last, or which one from the right (1 is the last)")
		}
		m.take = n
	}
	return nil
}
