package alarm

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// syslog sends each message in the form of RFC 5424.
type syslog struct {
	transport string // udp, tcp, tls, unix
	address   string
	facility  int
	host, app string
	pid       string
	tls       *tls.Config
}

// The most bytes of a message. RFC 5426 asks receivers of datagrams for 2,048; those of streams take 8,192 by default.
const (
	maxDatagram = 2048
	maxStream   = 8192
)

// closeWait is how long a receiver may take to say that it has read everything. Syslog has no answer, so its closing is one.
const closeWait = 2 * time.Second

// Send sends one message.
func (s *syslog) Send(ctx context.Context, m *Message) error {
	switch s.transport {
	case "udp":
		return s.datagram(ctx, "udp", m)
	case "unix":
		err := s.datagram(ctx, "unixgram", m)
		if !errors.Is(err, syscall.EPROTOTYPE) {
			return err
		}
		return s.stream(ctx, "unix", m)
	}
	return s.stream(ctx, "tcp", m)
}

// datagram hands the message to the kernel. A closed port says so in answer to what was sent, if anybody is there to say it.
func (s *syslog) datagram(ctx context.Context, network_ string, m *Message) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network_, s.address)
	if err != nil {
		return s.fault("connect", err)
	}
	defer conn.Close()
	if err := deadline(ctx, conn); err != nil {
		return s.fault("connect", err)
	}
	if _, err := conn.Write(m.syslog(s, maxDatagram)); err != nil {
		return s.fault("send", err)
	}
	if network_ == "udp" {
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return s.fault("send", err)
		}
		var none [1]byte
		if _, err := conn.Read(none[:]); errors.Is(err, syscall.ECONNREFUSED) {
			return s.fault("send", err)
		}
	}
	return nil
}

// stream sends the message over a connection of its own: its length first (RFC 6587, RFC 5425), or a line on a local socket.
func (s *syslog) stream(ctx context.Context, network_ string, m *Message) error {
	conn, err := s.dial(ctx, network_)
	if err != nil {
		return s.fault("connect", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := deadline(ctx, conn); err != nil {
		return s.fault("connect", err)
	}
	line := m.syslog(s, maxStream)
	if network_ == "unix" {
		line = append(line, '\n')
	} else {
		line = append([]byte(strconv.Itoa(len(line))+" "), line...)
	}
	if _, err := conn.Write(line); err != nil {
		return s.fault("send", err)
	}
	// A write that succeeded says only that the kernel took it. We say that nothing more comes, and wait for the other side to close.
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return s.fault("send", err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(closeWait)); err != nil {
		return s.fault("send", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(conn, 4096))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return s.fault("send", err)
	}
	return nil
}

func (s *syslog) dial(ctx context.Context, network_ string) (net.Conn, error) {
	if s.tls != nil {
		d := tls.Dialer{Config: s.tls}
		return d.DialContext(ctx, network_, s.address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network_, s.address)
}

func deadline(ctx context.Context, conn net.Conn) error {
	if at, ok := ctx.Deadline(); ok {
		return conn.SetDeadline(at)
	}
	return nil
}

// fault keeps EPROTOTYPE to be seen: it says that the socket is of the other kind.
func (s *syslog) fault(step string, err error) error {
	if errors.Is(err, syscall.EPROTOTYPE) {
		return retry("%s: %w", step, syscall.EPROTOTYPE)
	}
	return retry("%s: %w", step, network(err))
}

// syslogID names our data. 32473 is the number that RFC 5612 leaves to examples; whosaw has no number of its own.
const syslogID = "whosaw@32473"

// syslog writes the message in at most n bytes: header, structured data, and the sentence, cut if it must be.
func (m *Message) syslog(s *syslog, n int) []byte {
	var b strings.Builder
	b.WriteString("<" + strconv.Itoa(s.facility*8+m.syslogSeverity()) + ">1 ")
	b.WriteString(time.UnixMilli(int64(m.RaisedAt)).UTC().Format("2006-01-02T15:04:05.000Z"))
	msgid := "finding"
	if m.Test {
		msgid = "test"
	}
	for _, field := range []string{headerField(s.host, 255), headerField(s.app, 48), headerField(s.pid, 128), msgid} {
		b.WriteString(" " + field)
	}
	b.WriteString(" [" + syslogID)
	param := func(name, value string, most int) {
		if value != "" {
			b.WriteString(" " + name + `="` + sdValue.Replace(clip(value, most)) + `"`)
		}
	}
	param("id", m.ID, 64)
	param("severity", string(m.Severity), 16)
	if !m.Test {
		param("detector", m.Detector, 32)
		param("unit", m.Unit, 100)
		param("time", m.Time.String(), 32)
		param("seen", m.Seen.String(), 32)
		param("accesses", strconv.FormatInt(m.Accesses, 10), 20)
		param("subjects", strconv.FormatInt(m.Subjects, 10), 20)
		param("statistic", strconv.FormatFloat(m.Statistic, 'g', 6, 64), 24)
		param("threshold", strconv.FormatFloat(m.Threshold, 'g', 6, 64), 24)
		param("technique", m.Technique, 32)
		if len(m.Link) <= 300 { // a link that was cut leads nowhere
			param("link", m.Link, 300)
		}
	}
	b.WriteString("] \ufeff" + clip(m.Says, 2000))
	out := b.String()
	if len(out) > n {
		out = out[:n]
		for !utf8.ValidString(out) {
			out = out[:len(out)-1]
		}
	}
	return []byte(out)
}

// sdValue escapes what would end a value.
var sdValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// headerField makes a field of the header: printable ASCII without spaces, "-" for none.
func headerField(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

func (m *Message) syslogSeverity() int {
	switch m.Severity {
	case Critical:
		return 2
	case High:
		return 3
	case Medium:
		return 4
	}
	return 5 // notice
}

// facilities by name. Alarms concern security, so authpriv is the default.
var facilities = map[string]int{"": 10, "user": 1, "daemon": 3, "auth": 4, "authpriv": 10,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23}
