package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/server"
)

// What a server does when something fails, against the real process. docs/operating.md says each in a table.

// batch is how many records hold two thefts, each found before the batch ends.
const batch = 2 * forgedEvery * sessionRecords * 3

// oneSender gives a world with one sender whose client has a complete feed.
func oneSender(t *testing.T, c *child) (*torture, *sender) {
	t.Helper()
	w := &torture{t: t, ctx: t.Context(), url: c.url, token: c.token("*"), client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(w.client.CloseIdleConnections)
	if out, status, err := sendBody(t.Context(), w.client, w.url, w.token, strings.NewReader(completeFeed()), "source=feed"); err != nil || out.Accepted != 1 {
		t.Fatalf("feed: %d %v %+v", status, err, out)
	}
	return w, w.add("web", false)
}

// deliver sends the sender's next records until they are acknowledged.
func (w *torture) deliver(s *sender, n int64) {
	w.t.Helper()
	at := s.acked.Load()
	body := s.lines(at, at+n)
	until(w.t, time.Minute, func() error {
		if w.send(s, body, 20*time.Second) {
			s.acked.Store(at + n)
			return nil
		}
		return fmt.Errorf("not acknowledged: %s", *s.last.Load())
	})
}

// says waits until the server's status says something.
func (c *child) says(t *testing.T, text string) {
	t.Helper()
	until(t, 30*time.Second, func() error {
		var s api.Status
		if err := c.r.call(t.Context(), "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		if says := strings.Join(s.Says, "\n"); !strings.Contains(says, text) {
			return fmt.Errorf("status does not say %q, but:\n%s", text, says)
		}
		return nil
	})
}

// finish waits until everything found is told, stops the server, and compares ledger and findings with what was sent.
func (w *torture) finish(c *child, h *hook, least int) {
	w.t.Helper()
	w.caughtUp(c)
	until(w.t, 30*time.Second, func() error {
		var s api.Status
		if err := c.r.call(w.t.Context(), "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		if len(s.Alarms.Channels) > 0 && s.Alarms.Channels[0].Pending > 0 || !s.Ready {
			return fmt.Errorf("ready %t, %d findings are not told yet: %q", s.Ready, s.Alarms.Channels[0].Pending, s.Says)
		}
		return nil
	})
	if err := c.terminate(); err != nil {
		w.t.Errorf("stopped with %v", err)
	}
	found := w.check(c.dir)
	if len(found) < least {
		w.t.Errorf("%d findings, want at least %d", len(found), least)
	}
	if twice := h.check(w.t, found); twice > 0 {
		w.t.Errorf("%d findings were told twice", twice)
	}
}

func hooked(h *hook, more string) string {
	return fmt.Sprintf("log: {level: warn}\nalarm:\n  retry_first: 20ms\n  retry_most: 100ms\n  channels: [{name: hook, webhook: {url: %q}}]\n%s", h.URL, more)
}

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mountSmall(dir, size); err != nil {
		t.Skipf("NOT TESTED: a real full disk: mounting a small file system is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	})
}

// ballast fills a file system. Removing the file gives the space back.
func ballast(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return name
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull: with a reserve and without one. Records are refused with 507, the server says so, and takes them by itself
// when there is space.
func TestDiskFull(t *testing.T) {
	for name, reserve := range map[string]string{"reserve": "8MiB", "none": "0"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			smallDisk(t, dir, "32m")
			h := newHook(t)
			c := startServer(t, dir, hooked(h, "ingest: {disk_reserve: "+reserve+"}\n"))
			w, s := oneSender(t, c)
			w.deliver(s, batch)
			w.caughtUp(c)
			filler := ballast(t, dir)
			// There may be some room left in pages that the log has begun.
			var out api.Received
			var res *http.Response
			for range 200 {
				at := s.acked.Load()
				res, out = postRecords(t, w, s.lines(at, at+500), s.name)
				if res.StatusCode != http.StatusOK {
					break
				}
				s.acked.Store(at + 500)
			}
			if res.StatusCode != http.StatusInsufficientStorage || res.Header.Get("Retry-After") == "" || out.Error == nil || out.Accepted != 0 {
				t.Fatalf("on a full disk: %s, Retry-After %q, %+v", res.Status, res.Header.Get("Retry-After"), out)
			}
			c.says(t, "The disk is full")
			if status, text, err := get(t, w.client, c.url+"/readyz"); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(text, "the disk is full") {
				t.Errorf("/readyz: %d %v %s", status, err, text)
			}
			if stdout, stderr, code := whosawRun(t, "status", "--data", dir); code != exitOK || !strings.Contains(stdout, "The disk is full, but for what is kept in reserve (ingest.disk_reserve)") {
				t.Errorf("whosaw status: exit %d\n%s%s", code, stdout, stderr)
			}
			if name == "reserve" { // without one a question may find room in a page that the log has begun
				if _, stderr, code := whosawRun(t, "scope", "--key", "k", "--data", dir); code != exitFailed || !strings.Contains(stderr, "could not be recorded") || !strings.Contains(stderr, "whosaw status says what is in its way") {
					t.Errorf("whosaw scope: exit %d\n%s", code, stderr)
				}
			}
			if _, _, code := whosawRun(t, "status", "--check", "--data", dir); code != exitFailed {
				t.Errorf("whosaw status --check: exit %d", code)
			}
			freed := time.AfterFunc(300*time.Millisecond, func() { _ = os.Remove(filler) }) // while the sender tries again
			defer freed.Stop()
			w.deliver(s, batch)
			if status, _, err := get(t, w.client, c.url+"/readyz"); err != nil || status != http.StatusOK {
				t.Errorf("/readyz after there is space: %d %v", status, err)
			}
			w.finish(c, h, 4)
		})
	}
}

func decodeReceived(t *testing.T, r io.Reader) api.Received {
	t.Helper()
	var out api.Received
	if err := json.NewDecoder(r).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// postRecords sends once and gives the whole answer.
func postRecords(t *testing.T, w *torture, body []byte, source string) (*http.Response, api.Received) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/v1/records?source="+source, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res, decodeReceived(t, res.Body)
}

// TestStateFull: findings that cannot be kept, because there is no space for state.db, are kept and told when there is.
func TestStateFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	smallDisk(t, dir, "16m")
	smallDisk(t, filepath.Join(dir, "ledger"), "64m") // the ledger has space
	h := newHook(t)
	c := startServer(t, dir, hooked(h, "ingest: {disk_reserve: 0}\n"))
	w, s := oneSender(t, c)
	filler := ballast(t, dir)
	for range 10 {
		w.deliver(s, batch) // records are taken
	}
	c.says(t, "Findings cannot be kept")
	if n := len(h.counts()); n > 4 {
		t.Errorf("%d findings were told and cannot have been kept", n)
	}
	remove(t, filler)
	w.finish(c, h, 20)
}

// TestWebhookGone: a receiver that fails, and then is not there at all, over a restart of the server: every finding is told
// once when it is back, and the status says until then that it is not.
func TestWebhookGone(t *testing.T) {
	h := newHook(t)
	h.setDown(true)
	dir := filepath.Join(t.TempDir(), "data")
	yaml := hooked(h, "")
	c := startServer(t, dir, yaml)
	w, s := oneSender(t, c)
	w.deliver(s, batch)
	c.says(t, "Channel hook could not be told")
	if status, _, err := get(t, w.client, c.url+"/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("/readyz while a channel is down: %d %v", status, err)
	}
	c.kill()
	c = startServer(t, dir, yaml)
	w.url = c.url
	w.deliver(s, batch)
	if n := len(h.counts()); n != 0 {
		t.Fatalf("%d findings were told to a receiver that is down", n)
	}
	h.setDown(false)
	w.finish(c, h, 4)
}

// mailbox is a relay that can go and come back.
type mailbox struct {
	t       *testing.T
	address string
	server  *smtp.Server

	mu  sync.Mutex
	ids map[string]int // Message-ID
}

func (m *mailbox) up() {
	m.t.Helper()
	l, err := net.Listen("tcp", m.address)
	if err != nil {
		m.t.Fatal(err)
	}
	m.server = smtp.NewServer(m)
	m.server.Domain = "relay.test"
	go m.server.Serve(l)
	m.t.Cleanup(m.down)
}

func (m *mailbox) down() { _ = m.server.Close() } // closed already, at the end

func (m *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return m, nil }
func (m *mailbox) Reset()                                      {}
func (m *mailbox) Logout() error                               { return nil }
func (m *mailbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (m *mailbox) Rcpt(string, *smtp.RcptOptions) error        { return nil }

func (m *mailbox) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(string(body)) {
		if name, id, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && strings.EqualFold(name, "Message-ID") {
			m.ids[strings.TrimSpace(id)]++
		}
	}
	return nil
}

// TestMailGone: a relay that is not there at the start, comes, goes and comes back.
func TestMailGone(t *testing.T) {
	m := &mailbox{t: t, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), ids: map[string]int{}}
	_, port, _ := net.SplitHostPort(m.address)
	c := startServer(t, filepath.Join(t.TempDir(), "data"), `
log: {level: warn}
alarm:
  retry_first: 20ms
  retry_most: 100ms
  channels: [{name: mail, mail: {host: 127.0.0.1, port: `+port+`, security: none, from: whosaw@shop.example, to: [oncall@shop.example]}}]
`)
	w, s := oneSender(t, c)
	told := func() {
		t.Helper()
		until(t, 30*time.Second, func() error {
			var st api.Status
			if err := c.r.call(t.Context(), "GET", "/v1/status", nil, &st); err != nil {
				return err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if st.Alarms.Findings == 0 || int64(len(m.ids)) != st.Alarms.Findings || st.Alarms.Channels[0].Pending > 0 {
				return fmt.Errorf("%d findings, %d mails", st.Alarms.Findings, len(m.ids))
			}
			return nil
		})
	}
	w.deliver(s, batch)
	c.says(t, "Channel mail could not be told")
	m.up()
	told()
	m.down()
	w.deliver(s, batch)
	c.says(t, "Channel mail could not be told")
	m.up()
	told()
	for id, n := range m.ids {
		if n != 1 {
			t.Errorf("mail %s came %d times", id, n)
		}
	}
	if len(m.ids) < 4 {
		t.Errorf("%d mails", len(m.ids))
	}
}

// TestNATSGone: a NATS server that is not there at the start, comes, goes and comes back; the server takes records by the
// other ways meanwhile.
func TestNATSGone(t *testing.T) {
	port, store := freePort(t), t.TempDir()
	h := newHook(t)
	c := startServer(t, filepath.Join(t.TempDir(), "data"), hooked(h,
		fmt.Sprintf("jetstream: [{servers: [\"nats://127.0.0.1:%d\"], stream: ACCESS, ack_wait: 2s, types: [access, issuance]}]\n", port)))
	w, s := oneSender(t, c)
	fromNATS := w.add("nats", false)
	c.says(t, "Input")
	if status, _, err := get(t, w.client, c.url+"/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("/readyz without NATS: %d %v", status, err)
	}
	w.deliver(s, batch)
	taken := func() {
		t.Helper()
		until(t, time.Minute, func() error {
			var st api.Status
			if err := c.r.call(t.Context(), "GET", "/v1/status", nil, &st); err != nil {
				return err
			}
			for _, src := range st.Sources {
				if src.Source == "nats/ACCESS" && src.Accepted == fromNATS.acked.Load() {
					return nil
				}
			}
			return fmt.Errorf("%d records were published; sources %+v", fromNATS.acked.Load(), st.Sources)
		})
	}
	for range 2 {
		server, client := newNATS(t, port, store)
		for range 20 {
			at := fromNATS.acked.Load()
			if _, err := client.Publish(t.Context(), "access.gw", fromNATS.lines(at, at+100)); err != nil {
				t.Fatal(err)
			}
			fromNATS.acked.Store(at + 100)
		}
		taken()
		server.Shutdown()
		server.WaitForShutdown()
		c.says(t, "Input ACCESS")
		w.deliver(s, batch)
	}
	w.finish(c, h, 6)
}

// TestClockJumps: a clock that jumps by days, forward and back, and by years. Records are judged by their own times, so
// findings are the same and told once; the clock decides only whether a record's time can be true.
func TestClockJumps(t *testing.T) {
	clock := filepath.Join(t.TempDir(), "clock")
	set := func(offset string) {
		t.Helper()
		if err := os.WriteFile(clock+".new", []byte(offset), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(clock+".new", clock); err != nil {
			t.Fatal(err)
		}
	}
	set("0s")
	t.Setenv(clockEnv, clock)
	h := newHook(t)
	dir := filepath.Join(t.TempDir(), "data")
	yaml := hooked(h, "")
	c := startServer(t, dir, yaml)
	w, s := oneSender(t, c)
	for _, offset := range []string{"72h", "-20h", "87600h", "0s", "-1h", "1h"} {
		set(offset)
		h.setDown(offset == "87600h") // a message that waits while the clock is put back by ten years
		w.deliver(s, batch)
		w.caughtUp(c)
	}
	if err := c.terminate(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	set("-20h")
	c = startServer(t, dir, yaml)
	w.url = c.url
	w.deliver(s, batch)
	w.caughtUp(c)

	// More than a day behind the records, the clock says that they cannot be: they are rejected by line, with the cure.
	set("-48h")
	at := s.acked.Load()
	res, out := postRecords(t, w, s.lines(at, at+10), s.name)
	if res.StatusCode != http.StatusOK || out.Rejected != 10 || out.Accepted != 0 || len(out.Rejects) != 10 || !strings.Contains(out.Rejects[0].Hint+out.Rejects[0].Reason, "clock") {
		t.Errorf("two days behind: %s %+v", res.Status, out)
	}
	set("0s")
	w.deliver(s, batch)
	w.rejects = 1
	w.finish(c, h, 14)
}

// begin sends a part of a request over a connection of its own.
func (w *torture) begin(source string, body []byte, send int) (net.Conn, error) {
	u, err := url.Parse(w.url)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", u.Host, 5*time.Second)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(c, "POST /v1/records?source=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		source, u.Host, w.token, len(body), body[:send])
	return c, err
}

// TestHalfBody: senders that die in the middle of a body, and one that falls silent: it is let go after a time, and whoever
// sends the whole body again has it taken once. Others are served meanwhile.
func TestHalfBody(t *testing.T) {
	t.Setenv(idleEnv, "300ms")
	h := newHook(t)
	c := startServer(t, filepath.Join(t.TempDir(), "data"), hooked(h, ""))
	w, s := oneSender(t, c)
	body := s.lines(0, 4*batch) // several batches: of a part that is whole much may be taken
	for _, share := range []int{1, 50, 99} {
		conn, err := w.begin(s.name, body, len(body)*share/100)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	silent, err := w.begin(s.name, body, len(body)/3)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	other := w.add("other", true)
	w.deliver(other, batch)
	if err := silent.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(silent), nil)
	if err != nil {
		t.Fatalf("the silent sender has no answer: %v", err)
	}
	if out := decodeReceived(t, res.Body); res.StatusCode != http.StatusRequestTimeout || out.Error == nil || !strings.Contains(out.Error.Cure, "send the whole body again") {
		t.Errorf("the silent sender is told %s, %+v", res.Status, out)
	}
	// Slow, but never silent for so long.
	slow, err := w.begin(s.name, body, len(body)/2)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	const parts = 10
	rest := body[len(body)/2:]
	for i := range parts {
		<-tick.C
		if _, err := slow.Write(rest[i*len(rest)/parts : (i+1)*len(rest)/parts]); err != nil {
			t.Fatal(err)
		}
	}
	res, err = http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}
	if out := decodeReceived(t, res.Body); res.StatusCode != http.StatusOK || out.Accepted+out.Duplicates != 4*batch {
		t.Errorf("the slow sender is told %s, %+v", res.Status, out)
	}
	s.acked.Store(4 * batch)
	w.finish(c, h, 8)
}

// TestGracefulStop: at SIGTERM requests that were begun are answered, nobody new is let in, and what was acknowledged is
// there after a restart within seconds.
func TestGracefulStop(t *testing.T) {
	h := newHook(t)
	dir := filepath.Join(t.TempDir(), "data")
	yaml := hooked(h, "")
	c := startServer(t, dir, yaml)
	w, s := oneSender(t, c)
	w.deliver(s, batch)
	const begun = 8
	var conns [begun]net.Conn
	var bodies [begun][]byte
	for i := range conns {
		each := w.add("begun-"+strconv.Itoa(i), i%2 == 0)
		bodies[i] = each.lines(0, batch)
		var err error
		if conns[i], err = w.begin(each.name, bodies[i], len(bodies[i])/2); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		each.acked.Store(batch)
	}
	until(t, 20*time.Second, func() error { // all of them have been let in
		_, text, err := get(t, w.client, c.url+"/metrics")
		if err == nil && !strings.Contains(text, "whosaw_ready 1") {
			err = fmt.Errorf("metrics:\n%s", text)
		}
		return err
	})
	ended := make(chan error, 1)
	go func() { ended <- c.terminate() }()
	until(t, 20*time.Second, func() error { // the door is closed
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.url, "http://"), time.Second)
		if err == nil {
			conn.Close()
			return fmt.Errorf("it still lets in")
		}
		return nil
	})
	for i, conn := range conns {
		if _, err := conn.Write(bodies[i][len(bodies[i])/2:]); err != nil {
			t.Fatalf("request %d, begun before the stop: %v", i, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("request %d, begun before the stop, has no answer: %v", i, err)
		}
		if out := decodeReceived(t, res.Body); res.StatusCode != http.StatusOK || out.Accepted != batch {
			t.Errorf("request %d, begun before the stop: %s %+v", i, res.Status, out)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v\n%s", err, c.log())
	}
	began := time.Now()
	c = startServer(t, dir, yaml)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the restart took %v", took)
	}
	w.url = c.url
	w.deliver(s, batch)
	w.finish(c, h, 4+2*begun)
}

// TestDamagedAtStart: a ledger or a state file that is not as it was written is refused, with its name and the cure, and nothing
// is changed; put right, the server starts.
func TestDamagedAtStart(t *testing.T) {
	t.Setenv(segmentEnv, "2000")
	h := newHook(t)
	dir := filepath.Join(t.TempDir(), "data")
	c := startServer(t, dir, hooked(h, ""))
	w, s := oneSender(t, c)
	w.deliver(s, batch)
	w.caughtUp(c)
	if err := c.terminate(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "ledger", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, damage := range []struct {
		file, cure string
		at         func(size int64) int64
	}{
		{files[0], "restore this file from a copy", func(size int64) int64 { return size - 20 }},
		{files[len(files)-1], "restore this file from a copy", func(int64) int64 { return 10 }},
		{filepath.Join(dir, "state.db"), "restore it from a backup", func(int64) int64 { return 0 }},
	} {
		whole, err := os.ReadFile(damage.file)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(whole)
		for i := range 16 {
			bad[damage.at(int64(len(bad)))+int64(i)] ^= 0x55
		}
		if err := os.WriteFile(damage.file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := whosawRun(t, "serve", "--data", dir, "--listen", "127.0.0.1:0")
		if code != exitFailed || !strings.Contains(stderr, damage.file) || !strings.Contains(stderr, damage.cure) {
			t.Errorf("damaged %s: exit %d\n%s", filepath.Base(damage.file), code, stderr)
		}
		if now, err := os.ReadFile(damage.file); err != nil || !bytes.Equal(now, bad) {
			t.Errorf("%s was changed: %v", damage.file, err)
		}
		if _, err := os.Stat(filepath.Join(dir, server.SocketName)); err == nil {
			t.Error("a socket was left")
		}
		if err := os.WriteFile(damage.file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c = startServer(t, dir, hooked(h, ""))
	w.url = c.url
	w.deliver(s, batch)
	w.finish(c, h, 4)
}
