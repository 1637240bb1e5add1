package alarm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// mail sends each message as a plain text mail through a relay.
type mail struct {
	host, port string
	security   string // starttls, tls, none
	tls        *tls.Config
	user       string
	password   secret
	from       string
	to         []string
	helo       string
	channel    string
	now        func() time.Time
}

// Send returns nil once the relay has taken the mail for every recipient, and a fault of kind Told if it took it for some.
func (c *mail) Send(ctx context.Context, m *Message) error {
	msg, err := c.compose(m)
	if err != nil {
		return refused("compose mail: %w", err)
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return retry("connect: %w", network(err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := deadline(ctx, conn); err != nil {
		return retry("connect: %w", network(err))
	}
	client, err := smtp.NewClient(conn, c.host)
	if err != nil {
		return smtpFault("greeting", err)
	}
	if err := c.introduce(client); err != nil {
		return err
	}
	return c.hand(client, msg)
}

func (c *mail) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(c.host, c.port)
	if c.security == "tls" {
		d := tls.Dialer{Config: c.tls}
		return d.DialContext(ctx, "tcp", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// introduce greets, turns on TLS and logs in. A password never goes over a connection that others can read.
func (c *mail) introduce(client *smtp.Client) error {
	if err := client.Hello(c.helo); err != nil {
		return smtpFault("greeting", err)
	}
	if c.security == "starttls" {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return refused("the relay offers no STARTTLS; if it is to be reached so, set security")
		}
		if err := client.StartTLS(c.tls); err != nil {
			return smtpFault("STARTTLS", err)
		}
	}
	if c.user == "" {
		return nil
	}
	password, err := c.password.read()
	if err != nil {
		return refused("%w", err)
	}
	ok, offered := client.Extension("AUTH")
	if !ok {
		return refused("the relay offers no log-in; remove user, or use the relay's port for submission")
	}
	var auth smtp.Auth
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case contains(mechanisms, "SCRAM-SHA-256"):
		auth = smtp.ScramSHA256Auth(c.user, password)
	case contains(mechanisms, "PLAIN"):
		auth = smtp.PlainAuth("", c.user, password, c.host, false)
	case contains(mechanisms, "LOGIN"):
		auth = smtp.LoginAuth(c.user, password, c.host, false)
	default:
		return refused("the relay offers none of SCRAM-SHA-256, PLAIN and LOGIN")
	}
	if err := client.Auth(auth); err != nil {
		return smtpFault("log-in", err)
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// hand gives the mail to the relay. A recipient that is refused for good does not keep it from the others: people leave, and
// alarms must not stop because of it.
func (c *mail) hand(client *smtp.Client, msg *gomail.Msg) error {
	if err := client.Mail("<" + c.from + ">"); err != nil {
		return smtpFault("sender", err)
	}
	taken := 0
	var last error
	for _, to := range c.to {
		err := client.Rcpt("<" + to + ">")
		if err == nil {
			taken++
			continue
		}
		last = smtpFault("recipient", err)
		if faultOf(last).Kind == Retry {
			return last
		}
	}
	if taken == 0 {
		return last
	}
	w, err := client.Data()
	if err != nil {
		return smtpFault("data", err)
	}
	if _, err := msg.WriteTo(w); err != nil {
		return smtpFault("data", err)
	}
	if err := w.Close(); err != nil {
		return smtpFault("data", err)
	}
	// The relay has it now: what goes wrong with the farewell changes nothing.
	_ = client.Quit()
	if taken < len(c.to) {
		return &Fault{Kind: Told, Err: fmt.Errorf("%d of %d recipients were refused; remove those who left", len(c.to)-taken, len(c.to))}
	}
	return nil
}

// smtpFault tells what the relay refused for good (5xx) from what it may take later. Its words are not repeated: they quote addresses.
func smtpFault(step string, err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		if answer.Code >= 500 {
			return refused("%s: the relay answered %d", step, answer.Code)
		}
		return retry("%s: the relay answered %d", step, answer.Code)
	}
	return retry("%s: %w", step, network(err))
}

func (c *mail) compose(m *Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(c.from); err != nil {
		return nil, errors.New("the sender's address cannot be used")
	}
	if err := msg.To(c.to...); err != nil {
		return nil, errors.New("a recipient's address cannot be used")
	}
	_, domain, _ := strings.Cut(c.from, "@")
	// The same id at every try: mail servers and clients show a repeat once, or can be told to.
	msg.SetMessageIDWithValue(m.ID + "." + c.channel + "@" + domain)
	msg.SetDateWithValue(c.now())
	msg.Subject(m.subject())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday replies, please (RFC 3834)
	msg.SetGenHeader("X-Whosaw-Finding", m.of())
	msg.SetGenHeader("X-Whosaw-Severity", string(m.Severity))
	if m.Severity == Critical {
		msg.SetImportance(gomail.ImportanceHigh)
	}
	msg.SetBodyString(gomail.TypeTextPlain, strings.Join(m.lines(), "\r\n")+"\r\n")
	return msg, nil
}
