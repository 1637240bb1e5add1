package alarm

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Config says whom to tell and how: the section alarm of whosaw.yaml.
type Config struct {
	// Link leads a person from an alarm to the page where it is judged; {id} stands for the finding.
	// As in https://whosaw.shop.example/findings/{id}. Empty: alarms carry no link.
	Link string `yaml:"link"`
	// Source names this server in CloudEvents, as a URI or a path. Empty: /whosaw.
	Source string `yaml:"source"`
	// RetryFirst is the pause after the first failed try; each next one is twice as long. 0: 10s.
	RetryFirst time.Duration `yaml:"retry_first"`
	// RetryMost is the longest pause: a channel that is back is found within it. 0: 1h, which is also the limit.
	RetryMost time.Duration `yaml:"retry_most"`
	// Nag reminds the channels of findings that nobody took.
	Nag NagConfig `yaml:"nag"`
	// Channels are told of every finding, each in its own time. None: findings are recorded, and nobody is told.
	Channels []ChannelConfig `yaml:"channels"`
}

// ChannelConfig is one way out: a name, and exactly one of the sections that say of which kind it is.
type ChannelConfig struct {
	// Name is what deliveries are kept under, so a channel that is renamed is a new one, and what the old one had not told yet waits
	// for its name to come back. Small letters, digits, - and _.
	Name string `yaml:"name"`
	// Quiet are hours in which the channel waits.
	Quiet *QuietConfig `yaml:"quiet"`

	// Webhook tells an address by POST.
	Webhook *WebhookConfig `yaml:"webhook"`
	// Mail tells people by e-mail.
	Mail *MailConfig `yaml:"mail"`
	// Syslog tells a receiver of RFC 5424.
	Syslog *SyslogConfig `yaml:"syslog"`
	// Slack tells a channel of Slack, or of anything that takes its incoming hooks.
	Slack *SlackConfig `yaml:"slack"`
	// File appends a line to a file, for what ships logs.
	File *FileConfig `yaml:"file"`
}

// WebhookConfig is an address that takes a POST for each message.
type WebhookConfig struct {
	URL     string `yaml:"url"`      // https://…; or, if the address is a secret itself, one of the next two
	URLFile string `yaml:"url_file"` // a file that holds it
	URLEnv  string `yaml:"url_env"`  // an environment variable that holds it
	// Format is cloudevents (also when empty) or ocsf.
	Format string `yaml:"format"`
	// The secret that signs each body: "whsec_" and base64 of 24 to 64 bytes; two, on two lines, while they are exchanged.
	SecretFile string `yaml:"secret_file"`
	// An environment variable that holds the same.
	SecretEnv string `yaml:"secret_env"`
	// A token for the header Authorization: Bearer.
	BearerFile string `yaml:"bearer_file"`
	// An environment variable that holds the same.
	BearerEnv string `yaml:"bearer_env"`
	// CAFile holds the authorities that may sign the server's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// Plaintext allows http:// to another machine.
	Plaintext bool `yaml:"plaintext"`
}

// MailConfig is a relay and who gets mail through it.
type MailConfig struct {
	// Host is the name of the relay.
	Host string `yaml:"host"`
	Port int    `yaml:"port"` // 0: 587 for starttls, 465 for tls, 25 for none
	// Security is starttls (also when empty), tls, or none, which takes no password and only a relay on this machine unless
	// plaintext allows another.
	Security string `yaml:"security"`
	// User is the name to sign in with; empty: nobody signs in.
	User string `yaml:"user"`
	// PasswordFile holds the password of User.
	PasswordFile string `yaml:"password_file"`
	// PasswordEnv is an environment variable that holds it.
	PasswordEnv string `yaml:"password_env"`
	From        string `yaml:"from"` // whosaw@shop.example
	// To are the people who get the mail.
	To []string `yaml:"to"`
	// CAFile holds the authorities that may sign the relay's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// Plaintext allows security: none to a relay on another machine.
	Plaintext bool `yaml:"plaintext"`
}

// SyslogConfig is a receiver of RFC 5424.
type SyslogConfig struct {
	// Transport is tls, tcp, udp or unix. Only tls keeps others from reading and changing what is sent; udp loses messages
	// without anybody knowing.
	Transport string `yaml:"transport"`
	Address   string `yaml:"address"`  // host:port, or the path of a socket such as /dev/log
	Facility  string `yaml:"facility"` // authpriv (also when empty), auth, daemon, user, local0 to local7
	// CAFile holds the authorities that may sign the receiver's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are our own certificate for a receiver that asks for one.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the private key of CertFile.
	KeyFile string `yaml:"key_file"`
}

// SlackConfig is an incoming hook. Its address is a password, so it stands in a file or a variable.
type SlackConfig struct {
	// URLFile is a file that holds the address.
	URLFile string `yaml:"url_file"`
	// URLEnv is an environment variable that holds the address.
	URLEnv string `yaml:"url_env"`
	// CAFile holds the authorities that may sign the server's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// Plaintext allows http:// to another machine.
	Plaintext bool `yaml:"plaintext"`
}

// FileConfig is a file that gets a line for each message, for what ships logs.
type FileConfig struct {
	Path   string `yaml:"path"`   // absolute
	Format string `yaml:"format"` // ocsf (also when empty) or cloudevents
}

var channelName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// Check says all that is wrong, each with its key below alarm and the cure. It reads the files of secrets, and repeats nothing of them.
func (c *Config) Check() error {
	var errs []error
	if c.Link != "" {
		u, err := url.Parse(c.Link)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || !strings.Contains(c.Link, "{id}") ||
			strings.ContainsAny(c.Link, " <>|\"\r\n") {
			errs = append(errs, errors.New("alarm.link: write a URL with {id} for the finding, like https://whosaw.shop.example/findings/{id}"))
		}
	}
	if _, err := url.Parse(c.Source); err != nil {
		errs = append(errs, errors.New("alarm.source: write a URI or a path, like /whosaw/shop"))
	}
	if c.RetryFirst < 0 || c.RetryMost < 0 || c.RetryMost > maxPause || c.pauses().first > c.pauses().most {
		errs = append(errs, errors.New("alarm.retry_first, alarm.retry_most: give pauses like 10s and 1h, the first not longer than the most, the most not longer than 1h"))
	}
	if err := c.Nag.check(); err != nil {
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	for i := range c.Channels {
		ch := &c.Channels[i]
		key := fmt.Sprintf("alarm.channels[%d]", i)
		switch {
		case !channelName.MatchString(ch.Name):
			errs = append(errs, fmt.Errorf("%s.name: give each channel a name of small letters, digits, - and _ (at most 40)", key))
		case seen[ch.Name]:
			errs = append(errs, fmt.Errorf("%s.name: %s is there twice; give each channel its own", key, ch.Name))
		}
		seen[ch.Name] = true
		if err := ch.check(); err != nil {
			errs = append(errs, prefix(key, err))
		}
	}
	return errors.Join(errs...)
}

// prefix puts the key before each error of a joined one.
func prefix(key string, err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, prefix(key, e))
		}
		return errors.Join(out...)
	}
	return fmt.Errorf("%s.%w", key, err)
}

// kinds lists the sections that are there.
func (c *ChannelConfig) kinds() []string {
	var out []string
	add := func(is bool, name string) {
		if is {
			out = append(out, name)
		}
	}
	add(c.Webhook != nil, "webhook")
	add(c.Mail != nil, "mail")
	add(c.Syslog != nil, "syslog")
	add(c.Slack != nil, "slack")
	add(c.File != nil, "file")
	return out
}

func (c *ChannelConfig) check() error {
	var errs []error
	if _, err := newQuiet(c.Quiet); err != nil {
		errs = append(errs, prefix("quiet", err))
	}
	if k := c.kinds(); len(k) != 1 {
		return errors.Join(append(errs, fmt.Errorf("webhook, mail, syslog, slack, file: give exactly one of these sections, not %d", len(k)))...)
	}
	var err error
	key := c.kinds()[0]
	switch {
	case c.Webhook != nil:
		err = c.Webhook.check()
	case c.Mail != nil:
		err = c.Mail.check()
	case c.Syslog != nil:
		err = c.Syslog.check()
	case c.Slack != nil:
		err = c.Slack.check()
	case c.File != nil:
		err = c.File.check()
	}
	if err != nil {
		errs = append(errs, prefix(key, err))
	}
	return errors.Join(errs...)
}

func (c *WebhookConfig) check() error {
	var errs []error
	hidden := secret{c.URLFile, c.URLEnv}
	errs = append(errs, hidden.check("url"))
	switch {
	case (c.URL != "") == hidden.given():
		errs = append(errs, errors.New("url, url_file, url_env: give one of them"))
	case c.URL != "":
		if err := checkURL(c.URL, c.Plaintext); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		}
	default:
		errs = append(errs, checkHidden(hidden, c.Plaintext))
	}
	if c.Format != "" && c.Format != formatCloudEvents && c.Format != formatOCSF {
		errs = append(errs, errors.New("format: write cloudevents or ocsf"))
	}
	signing := secret{c.SecretFile, c.SecretEnv}
	errs = append(errs, signing.check("secret"))
	if text, err := signing.read(); signing.given() && err == nil {
		if _, err := signingKeys(text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", signing.key("secret"), err))
		}
	}
	errs = append(errs, secret{c.BearerFile, c.BearerEnv}.check("bearer"))
	_, err := authorities(c.CAFile)
	return errors.Join(append(errs, err)...)
}

// checkHidden looks at an address that is a secret. An empty one is complained of elsewhere.
func checkHidden(s secret, plain bool) error {
	address, err := s.read()
	if err != nil {
		return nil
	}
	if err := checkURL(address, plain); err != nil {
		return fmt.Errorf("%s: %w", s.key("url"), err)
	}
	return nil
}

func (c *SlackConfig) check() error {
	hidden := secret{c.URLFile, c.URLEnv}
	if !hidden.given() {
		return errors.New("url_file, url_env: give one of them; the hook's address is a password, so it does not stand here")
	}
	_, err := authorities(c.CAFile)
	return errors.Join(hidden.check("url"), checkHidden(hidden, c.Plaintext), err)
}

func (c *MailConfig) check() error {
	var errs []error
	if c.Host == "" || strings.ContainsAny(c.Host, " :/") && net.ParseIP(c.Host) == nil {
		errs = append(errs, errors.New("host: give the name of a mail relay; its port goes to port"))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, errors.New("port: give a number up to 65535"))
	}
	switch c.Security {
	case "", "starttls", "tls":
	case "none":
		if !c.Plaintext && !loopback(c.Host) {
			errs = append(errs, errors.New("security: none would send alarms readable by everyone between; use starttls or tls, or allow it with plaintext: true"))
		}
		if c.User != "" {
			errs = append(errs, errors.New("user: a password never goes over a connection without TLS; use starttls or tls"))
		}
	default:
		errs = append(errs, errors.New("security: write starttls, tls or none"))
	}
	password := secret{c.PasswordFile, c.PasswordEnv}
	if (c.User != "") != password.given() {
		errs = append(errs, errors.New("user, password_file, password_env: a user goes with a password, and a password with a user"))
	}
	errs = append(errs, password.check("password"))
	if !address(c.From) {
		errs = append(errs, errors.New("from: give an address like whosaw@shop.example"))
	}
	if len(c.To) == 0 {
		errs = append(errs, errors.New("to: give at least one address"))
	}
	for i, to := range c.To {
		if !address(to) {
			errs = append(errs, fmt.Errorf("to[%d]: give an address like oncall@shop.example, without a name", i))
		}
	}
	_, err := authorities(c.CAFile)
	return errors.Join(append(errs, err)...)
}

// address reports whether s is a bare mail address.
func address(s string) bool {
	a, err := netmail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" && !strings.ContainsAny(s, "<>\" \r\n")
}

func (c *SyslogConfig) check() error {
	var errs []error
	switch c.Transport {
	case "udp", "tcp", "tls":
		if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
			errs = append(errs, errors.New("address: write host:port, as in log.shop.example:6514"))
		}
	case "unix":
		if !filepath.IsAbs(c.Address) {
			errs = append(errs, errors.New("address: write the path of the socket, as in /dev/log"))
		}
	default:
		errs = append(errs, errors.New("transport: write tls, tcp, udp or unix"))
	}
	if _, ok := facilities[c.Facility]; !ok {
		errs = append(errs, errors.New("facility: write authpriv, auth, daemon, user or local0 to local7"))
	}
	if c.Transport != "tls" && (c.CAFile != "" || c.CertFile != "" || c.KeyFile != "") {
		errs = append(errs, errors.New("ca_file, cert_file, key_file: these go with transport: tls"))
	}
	_, err := c.tls()
	return errors.Join(append(errs, err)...)
}

func (c *SyslogConfig) tls() (*tls.Config, error) {
	if c.Transport != "tls" {
		return nil, nil
	}
	pool, err := authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(c.Address)
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: host}
	if (c.CertFile != "") != (c.KeyFile != "") {
		return nil, errors.New("cert_file, key_file: a certificate goes with its key")
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, errors.New("cert_file, key_file: they cannot be read or do not belong together; give both in PEM")
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

func (c *FileConfig) check() error {
	var errs []error
	if !filepath.IsAbs(c.Path) {
		errs = append(errs, errors.New("path: write an absolute path, like /var/log/whosaw/findings.json"))
	} else if info, err := os.Stat(filepath.Dir(c.Path)); err != nil || !info.IsDir() {
		errs = append(errs, errors.New("path: its directory is not there; make it, writable for whosaw's user"))
	}
	if c.Format != "" && c.Format != formatCloudEvents && c.Format != formatOCSF {
		errs = append(errs, errors.New("format: write ocsf or cloudevents"))
	}
	return errors.Join(errs...)
}

func (c *MailConfig) port() string {
	switch {
	case c.Port != 0:
		return strconv.Itoa(c.Port)
	case c.Security == "tls":
		return "465"
	case c.Security == "none":
		return "25"
	}
	return "587"
}
