package alarm

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Sender is a way out. It is used by one goroutine at a time, but for tests, which may come beside it.
type Sender interface {
	// Send tells one message and returns nil once the other side has taken it, as far as the way out can know. Other errors
	// are a [Fault], or worth a retry. It ends when ctx ends. The same message may come again under the same id.
	Send(ctx context.Context, m *Message) error
}

// Channel is a way out with its name and hours.
type Channel struct {
	Name   string
	Kind   string // webhook, mail, syslog, slack, file
	Quiet  *QuietConfig
	Sender Sender
}

// Self is what channels say of the program that sends.
type Self struct {
	Version string
	Host    string           // of this machine; empty: asked of the system
	Now     func() time.Time // nil: time.Now
}

// Open makes the channels of a configuration, which must have passed [Config.Check].
func (c *Config) Open(self Self) ([]Channel, error) {
	if self.Now == nil {
		self.Now = time.Now
	}
	if self.Host == "" {
		self.Host, _ = os.Hostname()
	}
	var out []Channel
	for i := range c.Channels {
		ch := &c.Channels[i]
		sender, err := ch.open(cmp.Or(c.Source, "/whosaw"), self)
		if err != nil {
			return nil, fmt.Errorf("open channel %s: %w", ch.Name, err)
		}
		out = append(out, Channel{Name: ch.Name, Kind: ch.kinds()[0], Quiet: ch.Quiet, Sender: sender})
	}
	return out, nil
}

func (c *ChannelConfig) open(source string, self Self) (Sender, error) {
	agent := "whosaw"
	if self.Version != "" {
		agent += "/" + self.Version
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	switch {
	case c.Webhook != nil:
		w := c.Webhook
		p, err := newPoster(w.URL, secret{w.URLFile, w.URLEnv}, w.Plaintext, w.CAFile, agent, self.Now)
		if err != nil {
			return nil, err
		}
		format, contentType := writer(w.Format, source, self.Version)
		return &webhook{poster: p, format: format, contentType: contentType,
			secret: secret{w.SecretFile, w.SecretEnv}, bearer: secret{w.BearerFile, w.BearerEnv}}, nil
	case c.Slack != nil:
		s := c.Slack
		p, err := newPoster("", secret{s.URLFile, s.URLEnv}, s.Plaintext, s.CAFile, agent, self.Now)
		if err != nil {
			return nil, err
		}
		return &slack{p}, nil
	case c.Mail != nil:
		m := c.Mail
		pool, err := authorities(m.CAFile)
		if err != nil {
			return nil, err
		}
		return &mail{host: m.Host, port: m.port(), security: cmp.Or(m.Security, "starttls"), user: m.User,
			tls:      &tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.Host, RootCAs: pool},
			password: secret{m.PasswordFile, m.PasswordEnv}, from: m.From, to: m.To,
			helo: heloName(self.Host), channel: c.Name, now: self.Now}, nil
	case c.Syslog != nil:
		s := c.Syslog
		t, err := s.tls()
		if err != nil {
			return nil, err
		}
		return &syslog{transport: s.Transport, address: s.Address, facility: facilities[s.Facility], host: self.Host,
			app: "whosaw", pid: strconv.Itoa(os.Getpid()), tls: t}, nil
	}
	format, _ := writer(cmp.Or(c.File.Format, formatOCSF), source, self.Version)
	return &appender{path: c.File.Path, format: format}, nil
}

// heloName is what we call ourselves to a relay: many refuse a name with odd characters.
func heloName(host string) string {
	if h := headerField(host, 255); h != "-" {
		return h
	}
	return "localhost"
}
