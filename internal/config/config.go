package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/hint"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/jetstream"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/regime"
)

// Config is whosaw.yaml.
type Config struct {
	// Where HTTP is served. Loopback unless you name another address; beyond loopback, TLS is asked for.
	Listen string `yaml:"listen"`
	// The address under which people reach the server, for the links in alarms. Empty: http(s)://LISTEN.
	URL string `yaml:"url"`
	// Certificate and key of the server.
	TLS TLS `yaml:"tls"`
	// The catalog: which route shows which fields to whom. A relative path begins at this file. Empty: the one kept in the
	// data directory, else the suggested rules.
	Catalog string `yaml:"catalog"`
	// A directory of rules of your own, *.yaml, which replace the shipped ones or switch them off by name. A relative path begins at this
	// file. Empty: those kept in the data directory, else the shipped rules alone.
	Rules string `yaml:"rules"`
	// The time zone of days in answers and of quiet hours, as in Asia/Seoul.
	Zone string `yaml:"zone"`
	// What the server says of itself, on standard error.
	Log Log `yaml:"log"`
	// How much memory the server aims to stay under; beyond it the garbage collector works harder. 0: no limit.
	Memory Size `yaml:"memory"`
	// How records come over HTTP.
	Ingest Ingest `yaml:"ingest"`
	// Log files that the server follows, through rotation.
	Follow []follow.Config `yaml:"follow"`
	// Streams of NATS JetStream that the server reads.
	JetStream []jetstream.Config `yaml:"jetstream"`
	// Where the material of signing keys lies, so that the audit logs of Vault, OpenBao and AWS tell who read which key.
	Keys ingest.KeyMap `yaml:"keys"`
	// How long the offboarding of somebody who left may take before it is overdue, and somebody is told every day.
	Offboarding Duration `yaml:"offboarding"`
	// How much a question may cost: one analyst must not stop the records from coming in.
	Query Query `yaml:"query"`
	// How sensitive the detectors are, and how much they hold.
	Detect Detect `yaml:"detect"`
	// Who is told of findings, and how.
	Alarm alarm.Config `yaml:"alarm"`
	// What judges requests before data is shown.
	Guard guard.Config `yaml:"guard"`
	// What the law asks for after a breach.
	Incident Incident `yaml:"incident"`
	// How people are told that their data was leaked.
	Notice notice.Config `yaml:"notice"`
	// Pages for everybody: is this notice genuine, was I affected, the posted notice. They have an address of their own, and nothing else is on it.
	Public Public `yaml:"public"`

	file     string
	text     []byte                // of the file
	networks []detect.NetworkClass // of Detect.Networks, with what their lists say
}

// Incident is what the law asks for after a breach.
type Incident struct {
	// The jurisdictions whose laws are looked at, as in KR, EU, US-CA, US, JP. Empty: every law that is known.
	Jurisdictions []string `yaml:"jurisdictions"`
	// Which findings open an incident by themselves: suspected since they were seen, with a legal hold on everything. A finding that accuses the
	// same as an open incident joins it.
	Open OpenIncident `yaml:"open"`
	// A directory with laws of your own, YAML files as internal/regime/laws has them: a law there replaces the shipped one with its id. A relative
	// path begins at this file.
	Laws string `yaml:"laws"`
}

// OpenIncident says which findings open an incident.
type OpenIncident struct {
	// The detectors whose findings do, as in unissued; "*": every one's. Empty: only people open incidents.
	Detectors []string `yaml:"detectors"`
	// How many customers must have been shown before, as the finding was raised or has grown.
	Subjects int64 `yaml:"subjects"`
}

// Public is the pages for everybody.
type Public struct {
	// Where they are served. Empty: they are off. Beyond loopback, TLS is asked for.
	Listen string `yaml:"listen"`
	// The address under which people reach them, as it stands in links: https://notice.shop.example.
	URL string `yaml:"url"`
	// The organisation, as its customers know it.
	Organisation string `yaml:"organisation"`
	// Certificate and key of this address.
	TLS TLS `yaml:"tls"`
	// A proxy of your own is in front, which puts the caller's address at the end of X-Forwarded-For. How often a network may ask goes by it.
	Forwarded bool `yaml:"forwarded"`
}

func (c *Config) checkPublic(f *faults) {
	p := &c.Public
	if p.Listen == "" {
		if p.URL != "" || p.Organisation != "" {
			f.add("public.listen", "missing: give host:port, or leave out the rest of public")
		}
		return
	}
	f.listener("public", p.Listen, &p.TLS, "codes")
	if p.Listen == c.Listen && !strings.HasSuffix(p.Listen, ":0") {
		f.add("public.listen", "that is where the console is: give it an address of its own")
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())) || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		f.add("public.url", "%q: give the address as people type it, as in https://notice.shop.example, without a path", p.URL)
	}
	if strings.TrimSpace(p.Organisation) == "" {
		f.add("public.organisation", "missing: give the name that customers know")
	}
}

// Regimes are the laws that are looked at.
func (c *Config) Regimes() ([]*regime.Law, error) {
	dir := c.Incident.Laws
	if dir != "" {
		dir = c.Path(dir)
	}
	return regime.Load(dir)
}

func (c *Config) checkIncident(f *faults) {
	laws, err := c.Regimes()
	if err != nil {
		f.add("incident.laws", "%v", err)
		return
	}
	for i, d := range c.Incident.Open.Detectors {
		if d != "*" && !slices.Contains(detect.Detectors(), d) {
			f.add(fmt.Sprintf("incident.open.detectors[%d]", i), "%q: there is no such detector; give some of %s, or *", d, strings.Join(detect.Detectors(), ", "))
		}
	}
	if c.Incident.Open.Subjects < 0 {
		f.add("incident.open.subjects", "give 0 or more")
	}
	known := map[string]bool{}
	for _, l := range laws {
		known[l.Jurisdiction] = true
	}
	for i, j := range c.Incident.Jurisdictions {
		if !known[j] {
			f.add(fmt.Sprintf("incident.jurisdictions[%d]", i), "%q: no law of it is known; known are %s", j, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
}

// Notices is the section notice, with its paths as seen from here.
func (c *Config) Notices() notice.Config {
	n := c.Notice
	for _, path := range []*string{&n.Texts, &n.Lookup.SecretFile, &n.Lookup.CAFile, &n.Mail.PasswordFile, &n.Mail.CAFile, &n.Mail.DKIM.KeyFile, &n.Mail.DKIM.AlsoKeyFile} {
		*path = c.Path(*path)
	}
	return n
}

// TLS names a certificate.
type TLS struct {
	// File with the certificate chain, PEM. It is read again when it changes.
	Cert string `yaml:"cert"`
	// File with the private key, PEM.
	Key string `yaml:"key"`
	// Serve beyond loopback without TLS: only where something in front of the server does it.
	Off bool `yaml:"off"`
}

// Log is what the server says of itself.
type Log struct {
	// debug, info, warn or error.
	Level string `yaml:"level"`
	// text or json.
	Format string `yaml:"format"`
}

// Ingest is how records come over HTTP.
type Ingest struct {
	// The longest body of a request, as it is sent.
	MaxBody Size `yaml:"max_body"`
	// The longest body of a request, decompressed.
	MaxDecompressed Size `yaml:"max_decompressed"`
	// How many records may wait for the detectors before senders are slowed down.
	Backlog int `yaml:"backlog"`
	// The greatest size of DIR/rejects.jsonl, in which rejected lines are kept. There may be one older file of that size.
	RejectFile Size `yaml:"reject_file"`
	// Appends are refused, for senders to try again later, when the disk has less than this left.
	DiskReserve Size `yaml:"disk_reserve"`
	// Sources whose lines are not whosaw's own records.
	Sources []Source `yaml:"sources"`
}

// Source is a source that is sent in a format of its own.
type Source struct {
	// The name of the source, as senders give it.
	Name string `yaml:"name"`
	// records, combined, nginx, envoy, traefik, caddy, cloudtrail, vault or mapping.
	Format string `yaml:"format"`
	// A mapping file, for JSON lines with members of other names. A relative path begins at this file.
	Mapping string `yaml:"mapping"`
}

// Query is how much a question may cost.
type Query struct {
	// A question that takes longer is given up.
	Timeout Duration `yaml:"timeout"`
	// How many questions are worked on at once; others wait for their turn.
	Concurrent int `yaml:"concurrent"`
	// The processors that one question may use.
	Workers int `yaml:"workers"`
	// The memory that one question may use for what it counts.
	Memory Size `yaml:"memory"`
}

// Detect is how sensitive the detectors are, and how much they hold. docs/detection.md has the formulas.
type Detect struct {
	// The load that the bound on false alarms is stated for, in trials a month.
	TrialsPerMonth float64 `yaml:"trials_per_month"`
	// How many false alarms of the sequential tests a month, at that load, may come.
	AlarmsPerMonth float64 `yaml:"alarms_per_month"`
	// Caps of new customers for actors that cannot be made anew at will. Without one, what staff, partners and programs are
	// shown without a reason is held against their own past.
	Budgets []detect.Budget `yaml:"budgets"`
	// Kinds of networks that you know: offices, carriers that put many customers behind one address, hosting companies. Where those of a
	// kind have a higher honest rate than others (customers behind a VPN are always somewhere new), they are judged by it. What is in none
	// goes by its AS number, where records state one. Of several that fit, addresses go before AS numbers, and the kind that stands first holds.
	Networks []Networks `yaml:"networks"`
	// How long an issuance may come after its access where no feed record says so.
	FeedLag Duration `yaml:"feed_lag"`
	// How long credentials signed with a key may be met after it was retired.
	RetiredGrace Duration `yaml:"retired_grace"`
	// How many units (keys, principals, addresses, …) are held; about 200 bytes each.
	MaxUnits int `yaml:"max_units"`
	// How many accesses may wait for their issuance, or for a reason; a list of n customers counts as n.
	MaxPending int `yaml:"max_pending"`
	// How many accesses are held as evidence over all units; about 100 bytes each.
	MaxEvidence int `yaml:"max_evidence"`
}

// Reference is whosaw.yaml with every key, its meaning and its default.
//
//go:embed reference.yaml
var Reference string

// DefaultListen is where a server listens that was told nothing.
const DefaultListen = "127.0.0.1:8470"

// Default is what holds where the file says nothing.
func Default() *Config {
	return &Config{
		Listen:      DefaultListen,
		Zone:        "UTC",
		Offboarding: Duration(24 * time.Hour),
		Log:         Log{Level: "info", Format: "text"},
		Ingest:      Ingest{MaxBody: 64 << 20, MaxDecompressed: 1 << 30, Backlog: 1 << 17, RejectFile: 64 << 20, DiskReserve: ledger.DefaultReserve},
		Query:       Query{Timeout: Duration(time.Minute), Concurrent: 2, Workers: 1, Memory: 1 << 30},
		Detect: Detect{
			TrialsPerMonth: 3e9, AlarmsPerMonth: 1, FeedLag: Duration(time.Minute), RetiredGrace: Duration(24 * time.Hour),
			MaxUnits: 1 << 20, MaxPending: 1 << 17, MaxEvidence: 1 << 20,
		},
		Guard: guard.Default(),
	}
}

// Load reads a file; "" gives the defaults.
func Load(file string) (*Config, error) {
	c := Default()
	if file == "" {
		return c, c.Check()
	}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read configuration: %w; %s; whosaw config example > FILE begins one", err, hint.NotThere(file))
	case err != nil:
		return nil, fmt.Errorf("read configuration: %w: it must be a file that whoever runs whosaw may read", err)
	}
	c.file, c.text = file, data
	if err := c.decode(data); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) decode(data []byte) error {
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField()).Decode(c)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	text := strings.TrimRight(yaml.FormatError(err, false, false), "\n")
	if strings.Contains(text, "unknown field") {
		text += "; whosaw config example prints every key there is"
	}
	return errors.New(text)
}

// Write prints the configuration as a file that can be read again.
func (c *Config) Write(w io.Writer) error {
	data, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// faults collects what is wrong, so that a person mends it all at once.
type faults struct {
	file string
	tree *ast.File // of the file; nil: there is none
	errs []error
}

func (f *faults) add(key, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s: %s", f.place(key), key, fmt.Sprintf(format, args...)))
}

// place is the file, and the line where the key stands in it, or else what is around it.
func (f *faults) place(key string) string {
	if f.tree == nil {
		return f.file
	}
	for ; key != ""; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
		path, err := yaml.PathString("$." + key)
		if err != nil {
			continue
		}
		if node, err := path.FilterFile(f.tree); err == nil && node != nil && node.GetToken() != nil {
			return fmt.Sprintf("%s:%d", f.file, node.GetToken().Position.Line)
		}
	}
	return f.file
}

// Check finds what cannot work. Each line of the error names a key and the cure.
func (c *Config) Check() error {
	f := &faults{file: c.file}
	if f.file == "" {
		f.file = "configuration"
	}
	if len(c.text) > 0 {
		f.tree, _ = parser.ParseBytes(c.text, 0) // it was read already
	}
	c.checkListen(f)
	c.checkPublic(f)
	if _, err := c.Location(); err != nil {
		f.add("zone", "%v: give a name as in Asia/Seoul or UTC", err)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		f.add("log.level", "%q: give debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		f.add("log.format", "%q: give text or json", c.Log.Format)
	}
	if c.Memory != 0 && c.Memory < 128<<20 {
		f.add("memory", "less than 128MiB is not enough for the detectors: give more, or 0 for no limit")
	}
	c.checkIngest(f)
	if c.Query.Timeout <= 0 || c.Query.Concurrent <= 0 || c.Query.Workers <= 0 || c.Query.Memory <= 0 {
		f.add("query", "timeout, concurrent, workers and memory must be above zero")
	}
	d := &c.Detect
	if d.TrialsPerMonth < 1 || d.AlarmsPerMonth <= 0 || d.AlarmsPerMonth > d.TrialsPerMonth {
		f.add("detect", "alarms_per_month must be above 0 and below trials_per_month")
	}
	if d.FeedLag <= 0 || d.RetiredGrace <= 0 || d.MaxUnits <= 0 || d.MaxPending <= 0 || d.MaxEvidence <= 0 {
		f.add("detect", "feed_lag, retired_grace, max_units, max_pending and max_evidence must be above zero")
	}
	c.readNetworks(f)
	c.checkSources(f)
	if c.Offboarding < Duration(time.Hour) {
		f.add("offboarding", "give at least 1h")
	}
	if err := c.Keys.Check(); err != nil {
		f.add("keys", "%v", err)
	}
	for i, b := range d.Budgets {
		if err := b.Check(); err != nil {
			f.add(fmt.Sprintf("detect.budgets[%d]", i), "%v", err)
		}
	}
	c.checkIncident(f)
	notices := c.Notices()
	if err := notices.Check(); err != nil {
		f.errs = append(f.errs, fmt.Errorf("%s: %w", f.file, err))
	}
	for _, x := range c.Guard.Check() {
		f.add("guard."+x.Key, "%s", x.Says)
	}
	for _, err := range []error{c.Alarm.Check(), follow.CheckAll(c.Follow), jetstream.CheckAll(c.JetStream)} {
		if err != nil {
			f.errs = append(f.errs, fmt.Errorf("%s: %w", f.file, err))
		}
	}
	return errors.Join(f.errs...)
}

func (c *Config) checkListen(f *faults) { f.listener("", c.Listen, &c.TLS, "tokens") }

// listener checks an address and its certificate; what is said that would travel in clear. The keys begin with at.
func (f *faults) listener(at, listen string, keys *TLS, what string) {
	key := func(name string) string { return strings.TrimPrefix(at+"."+name, ".") }
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		f.add(key("listen"), "%q is no address: give host:port, as in %s", listen, DefaultListen)
		return
	}
	tls := keys.Cert != "" || keys.Key != ""
	switch {
	case (keys.Cert == "") != (keys.Key == ""):
		f.add(key("tls"), "give both cert and key")
	case tls && keys.Off:
		f.add(key("tls.off"), "a certificate is named too: leave one of them out")
	case !tls && !keys.Off && !IsLoopback(host):
		f.add(key("listen"), "%s is not loopback, and %s would travel in clear: give %s and %s, or %s: true where a proxy in front does TLS", listen, what, key("tls.cert"), key("tls.key"), key("tls.off"))
	}
}

// checkSources refuses one name for two sources: nobody could tell their records apart. Patterns name their sources when they meet files.
func (c *Config) checkSources(f *faults) {
	seen := map[string]string{}
	add := func(name, key string) {
		if name == "" {
			return
		}
		if other, ok := seen[name]; ok {
			f.add(key, "%s is the source of %s too: give each a name of its own", name, other)
		}
		seen[name] = key
	}
	for i := range c.Ingest.Sources {
		add(c.Ingest.Sources[i].Name, fmt.Sprintf("ingest.sources[%d].name", i))
	}
	for i := range c.Follow {
		add(c.Follow[i].Source, fmt.Sprintf("follow[%d].source", i))
	}
	for i := range c.JetStream {
		if s := c.JetStream[i].Source; s != "" {
			add(s+"/"+c.JetStream[i].Stream, fmt.Sprintf("jetstream[%d].source", i))
		}
	}
}

func (c *Config) checkIngest(f *faults) {
	in := &c.Ingest
	if in.MaxBody <= 0 || in.MaxDecompressed < in.MaxBody {
		f.add("ingest.max_decompressed", "must be at least max_body, and that above zero")
	}
	if in.Backlog < 1000 {
		f.add("ingest.backlog", "%d: give at least 1000", in.Backlog)
	}
	for i, s := range in.Sources {
		key := fmt.Sprintf("ingest.sources[%d]", i)
		if err := ingest.CheckSource(s.Name); err != nil {
			f.add(key+".name", "%v", err)
		}
		if err := ingest.CheckFormat(s.Format, s.Mapping); err != nil {
			f.add(key, "%v", err)
		}
	}
}

// IsLoopback reports whether a host of a listen address can be reached from this machine only.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Path gives a path of the file as seen from here: a relative one begins at the file.
func (c *Config) Path(name string) string {
	if name == "" || filepath.IsAbs(name) || c.file == "" {
		return name
	}
	return filepath.Join(filepath.Dir(c.file), name)
}

// File is where the configuration was read; "" if it is the default.
func (c *Config) File() string { return c.file }

// Location is the zone.
func (c *Config) Location() (*time.Location, error) { return time.LoadLocation(c.Zone) }

// Engine gives the detectors' part.
func (c *Config) Engine() detect.Config {
	d := &c.Detect
	return detect.Config{
		TrialsPerMonth: d.TrialsPerMonth, AlarmsPerMonth: d.AlarmsPerMonth,
		FeedLag: time.Duration(d.FeedLag).Milliseconds(), RetiredGrace: time.Duration(d.RetiredGrace).Milliseconds(),
		MaxUnits: d.MaxUnits, MaxPending: d.MaxPending, MaxEvidence: d.MaxEvidence, Budgets: d.Budgets, Networks: c.networks,
	}
}
