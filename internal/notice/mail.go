package notice

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// mail is a notice ready for a relay.
type mail struct {
	person row
	to     string
	lang   string
	data   []byte // headers and body
	batch  *batch
}

// composer makes mails. It is for one goroutine: the DKIM signer is not safe for more.
type composer struct {
	from     *netmail.Address
	replyTo  string
	host     string // of message ids
	signers  []*gomail.DKIMSigner
	notice   uint32
	secret   []byte
	letter   *Letter
	isSample bool
}

// signers reads the DKIM keys: none where no domain signs.
func signers(cfg *DKIMConfig) ([]*gomail.DKIMSigner, error) {
	if cfg.Domain == "" {
		return nil, nil
	}
	first, err := signer(cfg.Domain, cfg.Selector, cfg.KeyFile)
	if err != nil || cfg.AlsoKeyFile == "" {
		return []*gomail.DKIMSigner{first}, err
	}
	also, err := signer(cfg.Domain, cfg.AlsoSelector, cfg.AlsoKeyFile)
	return []*gomail.DKIMSigner{first, also}, err
}

// signed are the headers that a signature covers, each as often as it is there and once more: nobody can put another subject, sender or address for
// answers above those of a true notice and send it on as ours.
var signed = []string{"From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Content-Type", "MIME-Version"}

// signer reads a DKIM key. Its errors hold nothing of it.
func signer(domain, selector, file string) (*gomail.DKIMSigner, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	key, err := gomail.PrivKeyFromPEM(text)
	if err != nil {
		return nil, errors.New("the file holds no private key: give RSA or Ed25519 in PEM, as from openssl genpkey")
	}
	s := gomail.NewDKIMSigner(domain, selector, key)
	s.SignHeaders(signed...)
	s.OversignHeaders(signed...)
	if err := s.ValidateConfig(); err != nil {
		return nil, errors.New("the key is neither RSA nor Ed25519")
	}
	return s, nil
}

func newComposer(cfg *MailConfig, notice uint32, secret []byte, letter *Letter) (*composer, error) {
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, errors.New("compose mail: notice.mail.from is no address")
	}
	c := &composer{from: from, replyTo: cfg.ReplyTo, notice: notice, secret: secret, letter: letter}
	_, c.host, _ = strings.Cut(from.Address, "@")
	if c.signers, err = signers(&cfg.DKIM); err != nil {
		return nil, fmt.Errorf("compose mail: %w", err)
	}
	return c, nil
}

// compose makes a person's mail. Its errors hold neither address nor name.
func (c *composer) compose(r *Recipient, now time.Time) (*mail, error) {
	m, err := c.letter.Render(r, codeOf(c.secret, c.notice, r.Row), now, c.isSample)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(c.from.Name, c.from.Address); err != nil {
		return nil, errors.New("compose mail: the sender's address cannot be used")
	}
	if err := msg.To(r.Email); err != nil {
		return nil, errors.New("compose mail: the address cannot be used")
	}
	if c.replyTo != "" {
		if err := msg.ReplyTo(c.replyTo); err != nil {
			return nil, errors.New("compose mail: notice.mail.reply_to cannot be used")
		}
	}
	msg.SetMessageIDWithValue(messageIDOf(c.secret, c.notice, r.Row) + "@" + c.host)
	msg.SetDateWithValue(now)
	msg.Subject(m.Subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday replies (RFC 3834)
	msg.SetGenHeader(gomail.HeaderContentLang, m.Lang)
	encoding := gomail.EncodingQP
	if m.Lang != "en" {
		encoding = gomail.EncodingB64 // quoted-printable makes three bytes of one
	}
	msg.SetBodyString(gomail.TypeTextPlain, strings.ReplaceAll(m.Text, "\n", "\r\n"), gomail.WithPartEncoding(encoding))
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML, gomail.WithPartEncoding(encoding))
	var b bytes.Buffer
	b.Grow(16 << 10)
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("compose mail: %w", err)
	}
	data, err := c.sign(b.Bytes())
	if err != nil {
		return nil, err
	}
	return &mail{to: r.Email, lang: m.Lang, data: data}, nil
}

// sign puts a signature of each key before a mail. None covers another, so that a receiver who knows one kind only finds it good.
func (c *composer) sign(data []byte) ([]byte, error) {
	if len(c.signers) == 0 {
		return data, nil
	}
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if !ok {
		return nil, errors.New("BUG: a mail without a body")
	}
	head = data[:len(head)+2] // with the end of its last line
	var out bytes.Buffer
	out.Grow(len(data) + 2<<10)
	for _, s := range c.signers {
		line, err := s.Sign(head, body)
		if err != nil {
			return nil, fmt.Errorf("sign mail: %w", err)
		}
		out.WriteString(fold(line))
	}
	out.Write(data)
	return out.Bytes(), nil
}

// fold breaks the line of a signature between its tags, and within the signature itself. As it comes a tag that is longer than a line is broken anywhere, and
// a receiver reads a blank there that was not signed.
func fold(line string) string {
	const name, most = "DKIM-Signature: ", 76
	tags := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(line, name), "\r\n"), "\r\n ", "")
	at := strings.LastIndex(tags, "; b=") + len("; b=")
	tags, signature := tags[:at], tags[at:]
	var b strings.Builder
	b.WriteString(name)
	length := len(name)
	put := func(text string, room int) {
		if length+room > most {
			b.WriteString("\r\n ")
			length = 1
		}
		b.WriteString(text)
		length += len(text)
	}
	for tag := range strings.SplitAfterSeq(tags, "; ") {
		put(tag, len(tag))
	}
	for len(signature) > 0 {
		n := min(len(signature), max(most-length, 1))
		put(signature[:n], n)
		signature = signature[n:]
	}
	b.WriteString("\r\n")
	return b.String()
}
