package notice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Timeouts of a relay. RFC 5321 allows minutes; who is slower than this is as good as down.
const (
	dialTime  = 30 * time.Second
	replyTime = 2 * time.Minute
)

// fate is what became of a mail at the relay.
type fate int

const (
	untouched fate = iota // nothing of its text was sent
	taken
	later   // 4xx
	busy    // 421 and 452 after its text: the relay has no room or goes; it did not take the mail, and no person pays for that
	refused // 5xx
	unsure  // its text was sent, and no answer came
)

type result struct {
	fate  fate
	reply int
}

// trouble is a fault of the relay or the connection, not of a person's mail. It holds no word of the relay's: they quote addresses.
type trouble struct {
	says  string
	reply int
}

func (t *trouble) Error() string {
	if t.reply != 0 {
		return fmt.Sprintf("%s: the relay answered %d", t.says, t.reply)
	}
	return t.says
}

// relay opens connections.
type relay struct {
	cfg  MailConfig
	from string
	tls  *tls.Config
	helo string
}

func newRelay(cfg MailConfig) (*relay, error) {
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, errors.New("notice.mail.from is no address")
	}
	pool, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	r := &relay{cfg: cfg, from: from.Address, helo: cfg.Helo, tls: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.Host, RootCAs: pool}}
	if r.helo == "" {
		if r.helo, err = os.Hostname(); err != nil || r.helo == "" {
			r.helo = "localhost"
		}
	}
	return r, nil
}

// line is one connection to the relay.
type line struct {
	conn      net.Conn
	client    *smtp.Client
	from      string
	pipelined bool
	sent      int // mails that were begun
	stop      func() bool
}

// dial connects, greets, turns on TLS and signs in. When ctx ends the connection is cut.
func (r *relay) dial(ctx context.Context) (_ *line, err error) {
	address := net.JoinHostPort(r.cfg.Host, strconv.Itoa(r.cfg.Port))
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &trouble{says: "the relay cannot be reached: is notice.mail.host right, and the relay up?"}
	}
	l := &line{conn: conn, from: r.from, stop: context.AfterFunc(ctx, func() { conn.Close() })}
	defer func() {
		if err != nil {
			l.stop()
			conn.Close()
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(dialTime)); err != nil {
		return nil, &trouble{says: "the connection to the relay broke"}
	}
	over := conn
	if r.cfg.Security == "tls" {
		over = tls.Client(conn, r.tls)
	}
	if l.client, err = smtp.NewClient(over, r.cfg.Host); err != nil {
		return nil, relayTrouble("greeting", err)
	}
	l.client.SkipSMTPUTF8(true)
	if err := l.client.Hello(r.helo); err != nil {
		return nil, relayTrouble("greeting", err)
	}
	if r.cfg.Security == "starttls" {
		if ok, _ := l.client.Extension("STARTTLS"); !ok {
			return nil, &trouble{says: "the relay offers no STARTTLS: notices are not sent in clear"}
		}
		if err := l.client.StartTLS(r.tls); err != nil {
			return nil, relayTrouble("STARTTLS: is the relay's certificate one that is known here (notice.mail.ca_file)?", err)
		}
	}
	if err := r.signIn(l.client); err != nil {
		return nil, err
	}
	l.pipelined, _ = l.client.Extension("PIPELINING")
	return l, nil
}

func (r *relay) signIn(c *smtp.Client) error {
	if r.cfg.User == "" {
		return nil
	}
	secret, err := readSecret(r.cfg.PasswordFile)
	if err != nil {
		return &trouble{says: err.Error()}
	}
	password := strings.TrimSpace(string(secret))
	_, offered := c.Extension("AUTH")
	ways := map[string]smtp.Auth{
		"SCRAM-SHA-256": smtp.ScramSHA256Auth(r.cfg.User, password), "PLAIN": smtp.PlainAuth("", r.cfg.User, password, r.cfg.Host, false), "LOGIN": smtp.LoginAuth(r.cfg.User, password, r.cfg.Host, false),
	}
	have := map[string]bool{}
	for _, w := range strings.Fields(strings.ToUpper(offered)) {
		have[w] = true
	}
	for _, name := range []string{"SCRAM-SHA-256", "PLAIN", "LOGIN"} {
		if have[name] {
			if err := c.Auth(ways[name]); err != nil {
				return relayTrouble("log-in", err)
			}
			return nil
		}
	}
	return &trouble{says: "the relay offers none of SCRAM-SHA-256, PLAIN and LOGIN"}
}

func relayTrouble(step string, err error) *trouble {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return &trouble{says: step, reply: answer.Code}
	}
	return &trouble{says: step + ": the connection to the relay broke"}
}

func (l *line) close() {
	l.stop()
	_ = l.conn.SetDeadline(time.Now().Add(time.Second))
	_ = l.client.Quit() // what the relay has, it has
	_ = l.conn.Close()
}

// deliver sends mails one after another and says what became of each. The envelope of the next goes out behind the text of one, so that each mail costs
// one round trip. begin is told of a mail before its text is sent, with what became of those before; if it refuses, the text is not sent. A trouble ends it: those
// it did not come to are untouched.
func (l *line) deliver(mails []*mail, begin func(i int, so []result) bool) ([]result, *trouble) {
	out := make([]result, len(mails))
	if len(mails) == 0 {
		return out, nil
	}
	ahead := false // the envelope of the mail at hand was sent already
	for i, m := range mails {
		if err := l.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
			return out, &trouble{says: "the connection to the relay broke"}
		}
		l.sent++
		if !ahead {
			if t := l.flush(l.envelope(m)); t != nil {
				return out, t
			}
		}
		ahead = false
		go354, t := l.envelopeReply(m, &out[i])
		if t != nil {
			return out, t
		}
		if !go354 {
			if t := l.command("RSET"); t != nil {
				return out, t
			}
			continue
		}
		if !begin(i, out) {
			return out, &trouble{says: "what is being sent cannot be recorded, so it is not sent"}
		}
		// From here on the relay may have it.
		out[i].fate = unsure
		if t := l.flush(l.text(m)); t != nil {
			return out, t
		}
		if l.pipelined && i+1 < len(mails) {
			if t := l.flush(l.envelope(mails[i+1])); t != nil {
				return out, t
			}
			ahead = true
		}
		code, t := l.reply("text")
		if t != nil {
			return out, t
		}
		if code == 421 || code == 452 {
			out[i] = result{busy, code}
			return out, &trouble{says: "the relay is busy or goes", reply: code}
		}
		out[i] = result{fateOf(code), code}
	}
	return out, nil
}

func fateOf(code int) fate {
	switch {
	case code/100 == 2:
		return taken
	case code/100 == 4:
		return later
	}
	return refused
}

// envelope writes sender, recipient and the wish to send text: at once if the relay takes commands so.
func (l *line) envelope(m *mail) error {
	w := l.client.Text.W
	w.WriteString("MAIL FROM:<" + l.from + ">\r\n")
	if !l.pipelined {
		return nil
	}
	w.WriteString("RCPT TO:<" + m.to + ">\r\nDATA\r\n")
	return nil // an error of the buffer comes at the flush
}

// text writes headers and body, and the dot that ends them.
func (l *line) text(m *mail) error {
	w := l.client.Text.DotWriter()
	if _, err := w.Write(m.data); err != nil {
		return err
	}
	return w.Close()
}

func (l *line) flush(err error) *trouble {
	if err == nil {
		err = l.client.Text.W.Flush()
	}
	if err != nil {
		return &trouble{says: "the connection to the relay broke"}
	}
	return nil
}

// reply reads one answer, whatever it says.
func (l *line) reply(step string) (int, *trouble) {
	code, _, err := l.client.Text.ReadResponse(0)
	if err != nil {
		return 0, relayTrouble(step, err)
	}
	return code, nil
}

// envelopeReply reads the answers to an envelope. It reports whether the relay waits for the text; if not, the result says why. What concerns the
// sender, or the relay itself, is a trouble: no person pays for it.
func (l *line) envelopeReply(m *mail, out *result) (bool, *trouble) {
	sender, t := l.reply("sender")
	if t != nil {
		return false, t
	}
	if sender/100 != 2 {
		return false, &trouble{says: "sender: notice.mail.from is not taken now", reply: sender}
	}
	if !l.pipelined {
		l.client.Text.W.WriteString("RCPT TO:<" + m.to + ">\r\n")
		if t := l.flush(nil); t != nil {
			return false, t
		}
	}
	recipient, t := l.reply("recipient")
	if t != nil {
		return false, t
	}
	if recipient == 421 || recipient == 452 { // the relay's own: no space, too many at once
		return false, &trouble{says: "recipient", reply: recipient}
	}
	if recipient/100 != 2 {
		*out = result{fateOf(recipient), recipient}
	}
	if !l.pipelined {
		if recipient/100 != 2 {
			return false, nil
		}
		l.client.Text.W.WriteString("DATA\r\n")
		if t := l.flush(nil); t != nil {
			return false, t
		}
	}
	data, t := l.reply("data")
	if t != nil {
		return false, t
	}
	switch {
	case data == 354 && recipient/100 == 2:
		return true, nil
	case data == 354: // nobody is to get it: an empty text, as RFC 2920 asks
		l.client.Text.W.WriteString(".\r\n")
		if t := l.flush(nil); t != nil {
			return false, t
		}
		_, t := l.reply("data")
		return false, t
	case recipient/100 != 2:
		return false, nil
	case data/100 == 4:
		return false, &trouble{says: "data", reply: data}
	}
	*out = result{refused, data}
	return false, nil
}

// command sends a command and reads its answer.
func (l *line) command(name string) *trouble {
	l.client.Text.W.WriteString(name + "\r\n")
	if t := l.flush(nil); t != nil {
		return t
	}
	_, t := l.reply(name)
	return t
}
