package jetstream

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Config is one entry of the list `jetstream` in whosaw.yaml: one stream that is read.
type Config struct {
	// The addresses, such as nats://10.0.0.5:4222 or tls://nats.example.com. All are of one cluster. Must be given.
	// No user or password stands in them: see user and password_file.
	Servers []string `yaml:"servers"`
	// The stream's name. It must be there: whosaw makes none. Must be given.
	Stream string `yaml:"stream"`
	// Which of the stream's subjects are read; none: all. Wildcards (*, >) may be used.
	Subjects []string `yaml:"subjects"`
	// The name of the durable consumer, which remembers in NATS what was acknowledged. Default: whosaw. It is made
	// if it is not there; one that was made beforehand must acknowledge explicitly and have no limit of deliveries.
	Consumer string `yaml:"consumer"`
	// The name that records are kept under: SOURCE/STREAM. Default: nats. Never change it for a stream that has been read.
	Source string `yaml:"source"`
	// What the lines are in a message: records (the default), nginx, envoy, traefik, caddy, cloudtrail, vault or combined.
	Format string `yaml:"format"`
	// A mapping file for other JSON lines (docs/formats/sources.md).
	Mapping string `yaml:"mapping"`
	// The record types that may come this way; others are rejected. Default: access alone. Whoever may publish issuance or
	// reason can explain a theft away, so allow them only on subjects where nobody else may publish.
	Types []string `yaml:"types"`

	// A .creds file. At most one of credentials, nkey, user and token_file is given.
	Credentials string `yaml:"credentials"`
	// A file with an nkey's seed.
	NKey string `yaml:"nkey"`
	// The user's name, whose password stands in password_file.
	User string `yaml:"user"`
	// A file with the password. It is read again for every connection.
	PasswordFile string `yaml:"password_file"`
	// A file with a token. It is read again for every connection.
	TokenFile string `yaml:"token_file"`
	// A file with the certificates that the servers' are checked by; default: the system's. With this, a certificate, or an address
	// that begins with tls://, the connection is encrypted.
	CA string `yaml:"ca"`
	// A file with whosaw's own certificate, where the servers ask for one.
	Certificate string `yaml:"certificate"`
	// A file with the private key of the certificate.
	Key string `yaml:"key"`

	// How many messages are taken together, 1 to 10,000. Default 500. Twice as many wait at most in memory.
	Batch int `yaml:"batch"`
	// The greatest size of a message in bytes, decompressed; a larger one is rejected. Default 32 MiB, at most 256 MiB.
	MaxMessage int64 `yaml:"max_message"`
	// How many bytes of decompressed messages are held at once. Default 64 MiB, or max_message if that is more; at most 4 GiB. Messages
	// that are more together are taken one part after the other; the rest waits as it was sent.
	MaxDecompressed int64 `yaml:"max_decompressed"`
	// When NATS delivers a message again that was not acknowledged. Default 1m, at least 1s. It is asked to wait longer while the
	// ledger is busy.
	AckWait time.Duration `yaml:"ack_wait"`
}

// Check says what is wrong with the entry, with the cure.
func (c *Config) Check() error {
	if err := c.check(); err != nil {
		if c.Stream == "" {
			return fmt.Errorf("jetstream: %w", err)
		}
		return fmt.Errorf("jetstream %s: %w", c.Stream, err)
	}
	return nil
}

func (c *Config) check() error {
	if c.Stream == "" {
		return errors.New("an entry has no stream: name it")
	}
	if len(c.Servers) == 0 {
		return errors.New("servers: give at least one, such as nats://127.0.0.1:4222")
	}
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "":
			return errors.New("servers: an address is not one; write it as nats://HOST:PORT")
		case u.User != nil:
			return errors.New("servers: an address has a user or password in it; give user and password_file, token_file or credentials")
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			return errors.New("servers: an address must begin with nats://, tls://, ws:// or wss://")
		}
	}
	for name, value := range map[string]string{"stream": c.Stream, "consumer": c.Consumer} {
		if strings.ContainsAny(value, " \t\r\n.*>/\\") {
			return fmt.Errorf("%s %q: a name has no spaces, dots, slashes or wildcards", name, value)
		}
	}
	for _, s := range c.Subjects {
		if s == "" || strings.ContainsAny(s, " \t\r\n") {
			return errors.New("subjects: one is empty or has spaces")
		}
	}
	if err := ingest.CheckSource(c.source()); err != nil {
		return err
	}
	if err := ingest.CheckFormat(c.Format, c.Mapping); err != nil {
		return err
	}
	if _, err := c.types(); err != nil {
		return fmt.Errorf("types: %w", err)
	}
	if err := c.checkSecrets(); err != nil {
		return err
	}
	switch {
	case c.Batch < 0 || c.Batch > 10_000:
		return errors.New("batch: give 1 to 10000, or leave it out for 500")
	case c.MaxMessage < 0 || c.MaxMessage > 256<<20:
		return errors.New("max_message: give at most 268435456 (256 MiB), or leave it out for 32 MiB")
	case c.MaxDecompressed < 0 || c.MaxDecompressed > 4<<30:
		return errors.New("max_decompressed: give at most 4294967296 (4 GiB), or leave it out for 64 MiB")
	case c.MaxDecompressed != 0 && c.MaxDecompressed < c.maxMessage():
		return fmt.Errorf("max_decompressed: give at least the %d bytes that one message may have (max_message)", c.maxMessage())
	case c.AckWait != 0 && c.AckWait < time.Second:
		return errors.New("ack_wait: give at least 1s, or leave it out for 1m")
	}
	return nil
}

func (c *Config) checkSecrets() error {
	ways := 0
	for _, s := range []string{c.Credentials, c.NKey, c.User, c.TokenFile} {
		if s != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("give one of credentials, nkey, user and token_file, not several")
	case (c.User == "") != (c.PasswordFile == ""):
		return errors.New("user and password_file go together")
	case (c.Certificate == "") != (c.Key == ""):
		return errors.New("certificate and key go together")
	}
	return nil
}

// CheckAll checks a list of entries: each, and that no two would be the same source.
func CheckAll(list []Config) error {
	seen := map[string]bool{}
	for i := range list {
		if err := list[i].Check(); err != nil {
			return err
		}
		if name := list[i].source(); seen[name] {
			return fmt.Errorf("jetstream %s: another entry has the same source %s: give each a source", list[i].Stream, name)
		} else {
			seen[name] = true
		}
	}
	return nil
}

// Under gives the entry with its files as path has them: relative ones begin at the configuration file.
func (c Config) Under(path func(string) string) Config {
	for _, f := range []*string{&c.Mapping, &c.Credentials, &c.NKey, &c.PasswordFile, &c.TokenFile, &c.CA, &c.Certificate, &c.Key} {
		*f = path(*f)
	}
	return c
}

func (c *Config) source() string {
	if c.Source == "" {
		return "nats/" + c.Stream
	}
	return c.Source + "/" + c.Stream
}

func (c *Config) consumer() string {
	if c.Consumer == "" {
		return "whosaw"
	}
	return c.Consumer
}

func (c *Config) types() (pipeline.Types, error) {
	if len(c.Types) == 0 {
		return pipeline.ParseTypes([]string{"access"})
	}
	return pipeline.ParseTypes(c.Types)
}

func (c *Config) batch() int {
	if c.Batch == 0 {
		return 500
	}
	return c.Batch
}

func (c *Config) maxMessage() int64 {
	if c.MaxMessage == 0 {
		return 32 << 20
	}
	return c.MaxMessage
}

func (c *Config) maxDecompressed() int64 {
	if c.MaxDecompressed == 0 {
		return max(64<<20, c.maxMessage())
	}
	return c.MaxDecompressed
}

func (c *Config) ackWait() time.Duration {
	if c.AckWait == 0 {
		return time.Minute
	}
	return c.AckWait
}

// secrets gives the options that identify whosaw to the servers, and the servers to whosaw.
func (c *Config) secrets() ([]nats.Option, error) {
	var out []nats.Option
	for _, name := range []string{c.Credentials, c.NKey, c.PasswordFile, c.TokenFile, c.CA, c.Certificate, c.Key} {
		if name == "" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: let the user that whosaw runs as read it", err)
		}
		f.Close()
	}
	switch {
	case c.Credentials != "":
		out = append(out, nats.UserCredentials(c.Credentials))
	case c.NKey != "":
		o, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("nkey: %s does not hold a user's seed (a line that begins with SU)", c.NKey)
		}
		out = append(out, o)
	case c.User != "":
		out = append(out, nats.UserInfoHandler(func() (string, string) { return c.User, secretIn(c.PasswordFile) }))
	case c.TokenFile != "":
		out = append(out, nats.TokenHandler(func() string { return secretIn(c.TokenFile) }))
	}
	if c.CA != "" {
		out = append(out, nats.RootCAs(c.CA))
	}
	if c.Certificate != "" {
		out = append(out, nats.ClientCert(c.Certificate, c.Key))
	}
	return out, nil
}

// secretIn reads a secret's file. One that cannot be read is no secret: the server refuses, and the status says so.
func secretIn(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(b), "\r\n")
}
