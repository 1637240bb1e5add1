package notice

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says how people are told that their data was leaked: the section notice of whosaw.yaml.
type Config struct {
	// Organisation is what the company is called, by language, as in {en: Example Shop, ko: 예시몰}. The first language's stands in for one that is missing.
	Organisation map[string]string `yaml:"organisation"`
	// Address is the page on which people check the code of a notice, as they type it: https://shop.example/notice.
	Address string `yaml:"address"`
	// Languages are those in which notices are sent; the first is for people of whom no other is known. Empty: en. Texts are shipped in en, ko, ar and bn.
	Languages []string `yaml:"languages"`
	// Texts is a directory with texts of your own, LANGUAGE.yaml, which replace the shipped ones. A relative path begins at this file.
	Texts string `yaml:"texts"`
	// Lookup is where the shop says how to reach people.
	Lookup LookupConfig `yaml:"lookup"`
	// Mail is the relay that notices are sent through.
	Mail MailConfig `yaml:"mail"`
	// RetryFirst is the pause after a relay said "later" of a person's mail; each next one is twice as long. 0: 5m.
	RetryFirst time.Duration `yaml:"retry_first"`
	// RetryMost is the longest pause. 0: 4h.
	RetryMost time.Duration `yaml:"retry_most"`
	// Tries is how often a person's mail is tried before it is given up. 0: 8.
	Tries int `yaml:"tries"`
	// KeepDays is for how long after a notice ended it is kept who was told by it: that is evidence. whosaw retention removes it after that, and never under a legal
	// hold. 0: 3650, ten years.
	KeepDays int `yaml:"keep_days"`
}

// LookupConfig is the shop's look-up: JSON over HTTP. What it answers is kept nowhere.
type LookupConfig struct {
	// URL takes a POST with ids and answers with address, language and name: docs/formats/notice.md. https, but for this machine.
	URL string `yaml:"url"`
	// BooksURL takes a POST with customers' ids and answers with who is in their address books. Empty: people in address books cannot be told.
	BooksURL string `yaml:"books_url"`
	// SecretFile holds what is sent as Authorization: Bearer. A relative path begins at this file.
	SecretFile string `yaml:"secret_file"`
	// CAFile holds the authorities that may sign the server's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// Plaintext allows http:// to another machine.
	Plaintext bool `yaml:"plaintext"`
	// Batch is how many people are asked for at once. 0: 500.
	Batch int `yaml:"batch"`
	// Timeout is for one question. 0: 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// MailConfig is a relay.
type MailConfig struct {
	// Host is the name of the relay. Empty: notices are not sent by mail.
	Host string `yaml:"host"`
	Port int    `yaml:"port"` // 0: 587 for starttls, 465 for tls, 25 for none
	// Security is starttls (also when empty), tls, or none, which takes no password and only a relay on this machine unless plaintext allows another.
	Security string `yaml:"security"`
	// User is the name to sign in with; empty: nobody signs in.
	User string `yaml:"user"`
	// PasswordFile holds the password of User.
	PasswordFile string `yaml:"password_file"`
	// From is the sender people see, as in Example Shop <notice@shop.example>. Bounces come to its address.
	From string `yaml:"from"`
	// ReplyTo is where answers go. Empty: From.
	ReplyTo string `yaml:"reply_to"`
	// CAFile holds the authorities that may sign the relay's certificate, instead of the system's. PEM.
	CAFile string `yaml:"ca_file"`
	// Plaintext allows security: none to a relay on another machine.
	Plaintext bool `yaml:"plaintext"`
	// Helo is the name this machine greets with. Empty: the system's.
	Helo string `yaml:"helo"`
	// Connections is how many are open at once. 0: 8.
	Connections int `yaml:"connections"`
	// PerConnection is how many mails go over one connection before it is closed. 0: 100.
	PerConnection int `yaml:"per_connection"`
	// DKIM signs each mail.
	DKIM DKIMConfig `yaml:"dkim"`
}

// DKIMConfig is a key by which receivers know that a mail comes from the domain. Without one most will not take millions of mails.
type DKIMConfig struct {
	// Domain is the one that signs: that of the sender's address.
	Domain string `yaml:"domain"`
	// Selector names the key below SELECTOR._domainkey.DOMAIN in DNS.
	Selector string `yaml:"selector"`
	// KeyFile holds the private key, RSA or Ed25519, PEM. RSA of 2048 bits is what every receiver checks; Ed25519 (RFC 8463) signs in a twentieth of the time, and
	// receivers that do not know it take the mail as unsigned.
	KeyFile string `yaml:"key_file"`
	// AlsoSelector names a second key of the domain: each mail bears a signature of both, as of RSA and of Ed25519.
	AlsoSelector string `yaml:"also_selector"`
	// AlsoKeyFile holds the second private key.
	AlsoKeyFile string `yaml:"also_key_file"`
}

func (c *Config) languages() []string {
	if len(c.Languages) == 0 {
		return []string{"en"}
	}
	return c.Languages
}

func (c *Config) organisation(lang string) string {
	if s := c.Organisation[lang]; s != "" {
		return s
	}
	return c.Organisation[c.languages()[0]]
}

// defaults fills in what the zero values stand for.
func (c Config) defaults() Config {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	pause := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	pause(&c.RetryFirst, 5*time.Minute)
	pause(&c.RetryMost, 4*time.Hour)
	pause(&c.Lookup.Timeout, 30*time.Second)
	set(&c.Tries, 8)
	set(&c.KeepDays, 3650)
	set(&c.Lookup.Batch, 500)
	set(&c.Mail.Connections, 8)
	set(&c.Mail.PerConnection, 100)
	if c.Mail.Security == "" {
		c.Mail.Security = "starttls"
	}
	set(&c.Mail.Port, map[string]int{"starttls": 587, "tls": 465, "none": 25}[c.Mail.Security])
	return c
}

// Check finds what cannot work; each line names a key and the cure.
func (c *Config) Check() error {
	var errs []error
	add := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("notice.%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Address != "" && !webAddress(c.Address, false) {
		add("address", "give an https address without a question mark: people type it")
	}
	texts, err := LoadTexts(c.Texts)
	if err != nil {
		add("texts", "%v", err)
	} else {
		for i, lang := range c.Languages {
			if texts[lang] == nil {
				add(fmt.Sprintf("languages[%d]", i), "%q: there are no texts in it: put %s.yaml into the directory notice.texts", lang, lang)
			}
		}
	}
	l := &c.Lookup
	for _, u := range []struct{ key, url string }{{"lookup.url", l.URL}, {"lookup.books_url", l.BooksURL}} {
		if u.url != "" && !webAddress(u.url, l.Plaintext) {
			add(u.key, "give an https address; http only for this machine, or with plaintext: true")
		}
	}
	if (l.URL != "" || l.BooksURL != "") && l.SecretFile == "" {
		add("lookup.secret_file", "name the file with the secret by which the shop knows whosaw")
	}
	for _, f := range []struct{ key, name string }{
		{"lookup.secret_file", l.SecretFile}, {"lookup.ca_file", l.CAFile}, {"mail.password_file", c.Mail.PasswordFile}, {"mail.ca_file", c.Mail.CAFile}, {"mail.dkim.key_file", c.Mail.DKIM.KeyFile},
		{"mail.dkim.also_key_file", c.Mail.DKIM.AlsoKeyFile},
	} {
		if f.name != "" {
			if _, err := readSecret(f.name); err != nil {
				add(f.key, "%v", err)
			}
		}
	}
	if l.Batch < 0 || l.Batch > maxBatch || l.Timeout < 0 || c.RetryFirst < 0 || c.RetryMost < 0 || c.Tries < 0 || c.Tries > 100 || c.KeepDays < 0 {
		add("lookup", "batch is at most %d; times and tries are not below zero, tries at most 100", maxBatch)
	}
	if c.Mail.Host != "" {
		c.checkMail(add)
	}
	return errors.Join(errs...)
}

func (c *Config) checkMail(add func(key, format string, args ...any)) {
	m := &c.Mail
	if _, err := netmail.ParseAddress(m.From); err != nil {
		add("mail.from", "give the sender, as in Example Shop <notice@shop.example>")
	}
	if _, err := netmail.ParseAddress(m.ReplyTo); m.ReplyTo != "" && err != nil {
		add("mail.reply_to", "it is no address")
	}
	switch m.Security {
	case "", "starttls", "tls":
	case "none":
		if !m.Plaintext && !local(m.Host) {
			add("mail.security", "names and addresses would travel in clear: use starttls, or plaintext: true")
		}
		if m.User != "" {
			add("mail.user", "a password is not sent in clear: use starttls or tls")
		}
	default:
		add("mail.security", "%q: give starttls, tls or none", m.Security)
	}
	if (m.User == "") != (m.PasswordFile == "") {
		add("mail.user", "give both user and password_file")
	}
	if m.Connections < 0 || m.Connections > 200 || m.PerConnection < 0 || m.Port < 0 || m.Port > 65535 {
		add("mail", "connections is at most 200, port at most 65535, per_connection not below zero")
	}
	d := &m.DKIM
	given := d.Domain != "" || d.Selector != "" || d.KeyFile != "" || d.AlsoSelector != "" || d.AlsoKeyFile != ""
	switch {
	case !given:
	case d.Domain == "" || d.Selector == "" || d.KeyFile == "":
		add("mail.dkim", "give domain, selector and key_file")
	case (d.AlsoSelector == "") != (d.AlsoKeyFile == ""):
		add("mail.dkim", "give both also_selector and also_key_file")
	case d.AlsoSelector == d.Selector:
		add("mail.dkim.also_selector", "the second key needs a selector of its own")
	default:
		if _, err := signers(d); err != nil {
			add("mail.dkim.key_file", "%v", err)
		}
	}
}

func webAddress(text string, plaintext bool) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (plaintext || local(u.Hostname()))
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readSecret reads a file with a secret or certificates, at most 64 KiB. Its errors hold nothing of it.
func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w; give whosaw's user the right to read it", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read secret: %w", err)
	case len(b) > 64<<10:
		return nil, fmt.Errorf("%s is larger than 64 KiB: it is not the file that is meant", name)
	case strings.TrimSpace(string(b)) == "":
		return nil, fmt.Errorf("%s is empty: write the secret into it", name)
	}
	return b, nil
}

func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate: give certificates in PEM", file)
	}
	return pool, nil
}

var (
	localPart = regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$")
	domain    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$`)
)

// mailable reports whether mail can be sent to an address: plain ASCII, without quotes, so that nothing in it can be taken for a command.
func mailable(email string) bool {
	if len(email) > 254 {
		return false
	}
	user, host, ok := strings.Cut(email, "@")
	return ok && localPart.MatchString(user) && domain.MatchString(host) && !slices.Contains(strings.Split(user, "."), "")
}
