package alarm_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

// logLine is a message of RFC 5424, parsed.
type logLine struct {
	Facility, Severity      int
	Time                    string
	Host, App, PID, ID, Tag string
	Params                  map[string]string
	Message                 string
}

// parse5424 reads the grammar of RFC 5424 section 6, strictly.
func parse5424(s string) (logLine, error) {
	var l logLine
	if !utf8.ValidString(s) {
		return l, errors.New("not UTF-8")
	}
	rest, ok := strings.CutPrefix(s, "<")
	pri, rest, ok2 := strings.Cut(rest, ">")
	n, err := strconv.Atoi(pri)
	if !ok || !ok2 || err != nil || n > 191 || pri != strconv.Itoa(n) {
		return l, fmt.Errorf("PRI %q", pri)
	}
	l.Facility, l.Severity = n/8, n%8
	if rest, ok = strings.CutPrefix(rest, "1 "); !ok {
		return l, errors.New("VERSION")
	}
	for _, f := range []struct {
		to   *string
		most int
	}{{&l.Time, 64}, {&l.Host, 255}, {&l.App, 48}, {&l.PID, 128}, {&l.ID, 32}} {
		if *f.to, rest, ok = strings.Cut(rest, " "); !ok || *f.to == "" || len(*f.to) > f.most {
			return l, fmt.Errorf("header field %q", *f.to)
		}
		for _, r := range *f.to {
			if r < 33 || r > 126 {
				return l, fmt.Errorf("header field %q", *f.to)
			}
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", l.Time); err != nil {
		return l, err
	}
	if rest, ok = strings.CutPrefix(rest, "["); !ok {
		return l, errors.New("no structured data")
	}
	end := strings.IndexAny(rest, " ]")
	if end < 1 || strings.ContainsAny(rest[:end], `="`) || end > 32 {
		return l, errors.New("SD-ID")
	}
	l.Tag, rest = rest[:end], rest[end:]
	l.Params = map[string]string{}
	for rest[0] == ' ' {
		name, value, ok := strings.Cut(rest[1:], `="`)
		if !ok || name == "" || len(name) > 32 || strings.ContainsAny(name, ` ]"`) {
			return l, fmt.Errorf("PARAM-NAME %q", name)
		}
		var b strings.Builder
		i := 0
		for ; i < len(value) && value[i] != '"'; i++ {
			if value[i] == ']' {
				return l, errors.New("bare ] in a value")
			}
			if value[i] == '\\' && i+1 < len(value) && strings.ContainsRune(`"\]`, rune(value[i+1])) {
				i++
			}
			b.WriteByte(value[i])
		}
		if i+1 >= len(value) {
			return l, errors.New("value without an end")
		}
		if _, twice := l.Params[name]; twice {
			return l, fmt.Errorf("param %s twice", name)
		}
		l.Params[name], rest = b.String(), value[i+1:]
	}
	if rest, ok = strings.CutPrefix(rest, "] "); !ok {
		return l, errors.New("structured data without an end")
	}
	if l.Message, ok = strings.CutPrefix(rest, "\ufeff"); !ok {
		return l, errors.New("no BOM")
	}
	return l, nil
}

// udpSink gives the address of a socket and what arrives there.
func udpSink(t *testing.T) (string, <-chan string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String(), packets(conn)
}

func packets(conn net.PacketConn) <-chan string {
	got := make(chan string, 100)
	go func() {
		b := make([]byte, 70_000)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			got <- string(b[:n])
		}
	}()
	return got
}

// streamSink gives what arrives on a listener: frames with their length before them (RFC 6587), or lines.
func streamSink(t *testing.T, l net.Listener, framed bool) <-chan string {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for {
				if !framed {
					line, err := r.ReadString('\n')
					if err != nil {
						break
					}
					got <- strings.TrimSuffix(line, "\n")
					continue
				}
				size, err := r.ReadString(' ')
				if err != nil {
					break
				}
				n, err := strconv.Atoi(strings.TrimSuffix(size, " "))
				b := make([]byte, max(n, 0))
				if _, e := io.ReadFull(r, b); err != nil || e != nil {
					got <- "bad frame " + size
					break
				}
				got <- string(b)
			}
			conn.Close()
		}
	}()
	return got
}

func TestSyslog(t *testing.T) {
	cert, ca := authority(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	gram := filepath.Join(t.TempDir(), "log")
	unixgram, err := net.ListenPacket("unixgram", gram)
	if err != nil {
		t.Fatal(err)
	}
	defer unixgram.Close()
	lines := filepath.Join(t.TempDir(), "log")
	unix, err := net.Listen("unix", lines)
	if err != nil {
		t.Fatal(err)
	}
	udp, datagrams := udpSink(t)
	for name, x := range map[string]struct {
		c   alarm.SyslogConfig
		got <-chan string
	}{
		"udp":      {alarm.SyslogConfig{Transport: "udp", Address: udp}, datagrams},
		"tcp":      {alarm.SyslogConfig{Transport: "tcp", Address: tcp.Addr().String()}, streamSink(t, tcp, true)},
		"tls":      {alarm.SyslogConfig{Transport: "tls", Address: secure.Addr().String(), CAFile: ca}, streamSink(t, secure, true)},
		"unixgram": {alarm.SyslogConfig{Transport: "unix", Address: gram}, packets(unixgram)},
		"unix":     {alarm.SyslogConfig{Transport: "unix", Address: lines}, streamSink(t, unix, false)},
	} {
		t.Run(name, func(t *testing.T) {
			l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "s", Syslog: &x.c})
			f := finding(1, "unissued", `key:a"b\c]d é`, 4012)
			f.Finding.Says = "Someone uses credentials\nof others – many."
			l.raise(f)
			m, err := parse5424(receive(t, x.got))
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, m.Time)
			if err != nil || time.Since(at) > time.Minute {
				t.Errorf("time %s, %v", m.Time, err)
			}
			m.Time, m.PID = "", ""
			want := logLine{Facility: 10, Severity: 2, Host: "log1", App: "whosaw", ID: "finding", Tag: "whosaw@32473", Params: map[string]string{
				"id": "f-0001", "severity": "critical", "detector": "unissued", "unit": `key:a"b\c]d é`, "time": "2025-10-09T08:53:20.001Z",
				"seen": "2025-10-09T08:53:20.001Z", "accesses": "4015", "subjects": "4012", "statistic": "31.5", "threshold": "25.8",
				"technique": "T1606", "link": "https://whosaw.shop.example/findings/f-0001"},
				Message: `Someone uses credentials\x0aof others – many.`}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if err := l.d.Test(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
			if m, err := parse5424(receive(t, x.got)); err != nil || m.ID != "test" || m.Severity != 5 {
				t.Errorf("test alarm %+v, %v", m, err)
			}
			l.stop()
			select {
			case s := <-x.got:
				t.Errorf("another message: %s", s)
			default:
			}
		})
	}
}

// Nobody listens: that is seen, by datagram too where the other machine says so, and told when somebody does.
func TestDeadSyslogComesBack(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			var address string
			var open func() (<-chan string, error)
			if transport == "udp" {
				conn, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				address = conn.LocalAddr().String()
				conn.Close()
				open = func() (<-chan string, error) {
					conn, err := net.ListenPacket("udp", address)
					if err != nil {
						return nil, err
					}
					t.Cleanup(func() { conn.Close() })
					return packets(conn), nil
				}
			} else {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				address = l.Addr().String()
				l.Close()
				open = func() (<-chan string, error) {
					l, err := net.Listen("tcp", address)
					if err != nil {
						return nil, err
					}
					return streamSink(t, l, true), nil
				}
			}
			l := runLive(t, filepath.Join(t.TempDir(), "state.db"), alarm.ChannelConfig{Name: "s", Syslog: &alarm.SyslogConfig{Transport: transport, Address: address}})
			l.raise(key(1))
			if err := l.d.Test(t.Context(), "s"); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("test of a dead receiver gave %v", err)
			}
			got, err := open()
			if err != nil {
				t.Skip("the port was taken by somebody else")
			}
			if m, err := parse5424(receive(t, got)); err != nil || m.Params["id"] != "f-0001" {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

// Whatever a unit or sentence holds, what is sent is a message of RFC 5424 of bounded length.
func FuzzSyslog(f *testing.F) {
	f.Add("key:k", "Someone.", "unissued", int64(3))
	f.Add("key:\"]\\\x00\xff\u202e", strings.Repeat("é", 9000), "a b\n", int64(-1))
	f.Fuzz(func(t *testing.T, unit, says, detector string, subjects int64) {
		addr, got := udpSink(t)
		c := alarm.Config{Channels: []alarm.ChannelConfig{{Name: "s", Syslog: &alarm.SyslogConfig{Transport: "udp", Address: addr}}}}
		channels, err := c.Open(alarm.Self{Host: says})
		if err != nil {
			t.Fatal(err)
		}
		m := &alarm.Message{ID: "f-1", Unit: unit, Says: says, Detector: detector, Subjects: subjects, RaisedAt: whosaw.Time(1_760_000_000_000)}
		if err := channels[0].Sender.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		s := receive(t, got)
		if len(s) > 2048 {
			t.Errorf("%d bytes", len(s))
		}
		if _, err := parse5424(s); err != nil {
			t.Errorf("%v: %q", err, s)
		}
	})
}
