package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
)

var tortureTime = flag.Duration("whosaw.torture", 15*time.Second, "how long TestServeTorture kills")

// feigned makes the records of one sender, each from its number, so that what was acknowledged is known by one number and
// can be checked record by record. A session is an issuance and nine accesses. Of some sessions the accesses carry a
// credential that was never issued, signed with a key of their own: a finding each.
type feigned struct {
	name string
	ids  bool // records have an id; else they are known by what is around them
	made int64
	cuts []cut
}

// cut is where a body began that was made at a time.
type cut struct{ number, time int64 }

const (
	sessionRecords = 10
	forgedEvery    = 97 // sessions
	perSecond      = 3000
)

func (f *feigned) record(n int64) whosaw.Record {
	at, ok := slices.BinarySearchFunc(f.cuts, n, func(c cut, n int64) int { return cmp.Compare(c.number, n) })
	if !ok {
		at-- // the one before begins the body that it is in
	}
	session := n / sessionRecords
	customer := strconv.FormatInt(1+(session*7919)%100_000, 10)
	credential := fmt.Sprintf("%s-s%d", f.name, session)
	r := whosaw.Record{
		Time: f.cuts[at].time + (n-f.cuts[at].number)*1000/perSecond, Subjects: []string{customer}, Client: "web", Key: "login", Credential: credential,
	}
	if session%forgedEvery == forgedEvery-1 {
		r.Key = fmt.Sprintf("leak-%s-%d", f.name, session)
		if n%sessionRecords > 0 {
			r.Credential = "x-" + credential // short enough to be kept as it is
		}
	}
	if f.ids {
		r.ID = fmt.Sprintf("%s-%d", f.name, n)
	}
	if n%sessionRecords == 0 {
		r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{}
		return r
	}
	r.Route, r.Status, r.Fields = "GET /me", 200, []string{"email", "name"}
	r.Principal, r.Request = "customer:"+customer, fmt.Sprintf("%s-r%d", f.name, n)
	r.IP = netip.AddrFrom4([4]byte{10, byte(session >> 16), byte(session >> 8), byte(session)})
	return r
}

// lines are records as they are sent. What was not sent before happens now.
func (f *feigned) lines(from, to int64) []byte {
	if to > f.made {
		f.cuts = append(f.cuts, cut{f.made, time.Now().UnixMilli()})
		f.made = to
	}
	var out []byte
	for n := from; n < to; n++ {
		r := f.record(n)
		out = append(whosaw.AppendJSON(out, &r), '\n')
	}
	return out
}

// number finds out which record of the sender this is.
func (f *feigned) number(r *whosaw.Record) (int64, bool) {
	text, ok := strings.CutPrefix(r.Request, f.name+"-r")
	scale := int64(1)
	if r.Type == whosaw.TypeIssuance {
		text, ok = strings.CutPrefix(r.Credential, f.name+"-s")
		scale = sessionRecords
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n * scale, ok && err == nil
}

// sender sends records and counts those that were acknowledged: numbers below acked.
type sender struct {
	feigned
	acked atomic.Int64
	last  atomic.Pointer[string] // what the last try that was not acknowledged came to
	again atomic.Int64           // answers that said "taken before" of something
	tries atomic.Int64
}

// torture is the world around a server that is killed.
type torture struct {
	t       *testing.T
	ctx     context.Context // ends the senders
	url     string
	token   string
	client  *http.Client
	senders []*sender
	rejects int // acts that say so are expected
}

// pace keeps a sender from sending more than can be read again at each start: the longer it goes, the slower.
func pace() time.Duration { return max(10*time.Millisecond, *tortureTime/15_000) }

// rest waits, unless the senders are to end.
func (w *torture) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.ctx.Done():
	}
	return w.ctx.Err() == nil
}

func (w *torture) add(name string, ids bool) *sender {
	s := &sender{feigned: feigned{name: name, ids: ids}}
	w.senders = append(w.senders, s)
	return s
}

// post sends bodies until it is told to end. How they are packed, how long the sender waits, and what it does before, is
// the sender's own.
func (w *torture) post(s *sender, seed uint64, pack func([]byte) []byte, timeout time.Duration, before func(body []byte)) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for at := int64(0); w.ctx.Err() == nil; {
		size := int64(1 + rng.IntN(400))
		if rng.IntN(40) == 0 {
			size = 12_000 // in several batches, of which a part may be acknowledged to nobody
		}
		body := s.lines(at, at+size)
		if before != nil {
			before(body)
		}
		packed := pack(body)
		for patience := timeout; ; patience = min(2*patience, time.Minute) {
			if s.ids { // it does not remember how it cut its records, and begins a little earlier
				back := min(at, rng.Int64N(30))
				packed = pack(s.lines(at-back, at+size))
			}
			if w.send(s, packed, patience) {
				break
			}
			<-time.After(20 * time.Millisecond) // also after the end: what was begun is sent until it is acknowledged
		}
		at += size
		s.acked.Store(at)
		if rng.IntN(10) == 0 && !w.again(s, packed) {
			return
		}
		w.rest(pace())
	}
}

// send sends once and reports whether everything was acknowledged.
func (w *torture) send(s *sender, body []byte, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), timeout)
	defer cancel()
	s.tries.Add(1)
	out, status, err := sendBody(ctx, w.client, w.url, w.token, bytes.NewReader(body), "source="+s.name)
	if err != nil || status != http.StatusOK {
		text := fmt.Sprintf("answer %d, %v, %+v", status, err, out.Error)
		s.last.Store(&text)
		if err == nil && status < 500 {
			w.t.Errorf("%s: %s", s.name, text)
		}
		return false
	}
	if out.Accepted+out.Duplicates != out.Lines || out.Rejected != 0 {
		w.t.Errorf("%s: %+v", s.name, out)
	}
	if out.Duplicates > 0 {
		s.again.Add(1)
	}
	return true
}

// again sends what was acknowledged once more: nothing of it may count.
func (w *torture) again(s *sender, body []byte) bool {
	out, status, err := sendBody(context.WithoutCancel(w.ctx), w.client, w.url, w.token, bytes.NewReader(body), "source="+s.name)
	if err == nil && status == http.StatusOK && out.Accepted != 0 {
		w.t.Errorf("%s: sent again, %d of %d lines were taken again", s.name, out.Accepted, out.Lines)
		return false
	}
	return true
}

// half writes a part of a body over a connection of its own and goes.
func (w *torture) half(source string, rng *rand.Rand) func(body []byte) {
	return func(body []byte) {
		if rng.IntN(3) > 0 {
			return
		}
		if c, _ := w.begin(source, body, rng.IntN(len(body))); c != nil { // else the server is down
			c.Close()
		}
	}
}

// follow writes a log file and turns it over.
func (w *torture) follow(s *sender, path string) {
	var file *os.File
	rotated := 0
	for at := int64(0); w.ctx.Err() == nil; at = s.acked.Load() {
		if file == nil {
			var err error
			if file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
				w.t.Error(err)
				return
			}
		}
		lines := s.lines(at, at+40)
		for _, part := range [][]byte{lines[:len(lines)/3], lines[len(lines)/3:]} { // a line is not written at once
			if _, err := file.Write(part); err != nil {
				w.t.Error(err)
				return
			}
		}
		s.acked.Store(at + 40)
		if at/40%50 == 49 {
			rotated++
			if err := os.Rename(path, fmt.Sprintf("%s.%d", path, rotated)); err != nil {
				w.t.Error(err)
				return
			}
			file.Close()
			file = nil
		}
		w.rest(pace())
	}
	if file != nil {
		file.Close()
	}
}

// publish publishes to NATS, which acknowledges.
func (w *torture) publish(s *sender, client js.JetStream) {
	for at := int64(0); w.ctx.Err() == nil; at = s.acked.Load() {
		if _, err := client.Publish(context.WithoutCancel(w.ctx), "access.gw", s.lines(at, at+40)); err != nil {
			w.t.Error(err)
			return
		}
		s.acked.Store(at + 40)
		w.rest(pace())
	}
}

// newNATS runs a NATS server with a stream ACCESS, and gives a client of it.
func newNATS(t *testing.T, port int, store string) (*natsserver.Server, js.JetStream) {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server did not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	client, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateOrUpdateStream(t.Context(), js.StreamConfig{Name: "ACCESS", Subjects: []string{"access.>"}, Storage: js.FileStorage}); err != nil {
		t.Fatal(err)
	}
	return s, client
}

// freePort finds a port for a server that comes back at the same address.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// completeFeed says that every credential of the client web has its issuance.
func completeFeed() string {
	now := time.Now().UnixMilli()
	return fmt.Sprintf(`{"type":"feed","of":"issuance","client":"web","time":%d,"from":"2020-01-01T00:00:00Z","lost":0,"lag":1,"id":"feed-%d"}`+"\n", now, now)
}

// plain, gzipped and zstandard are ways to pack a body, the same each time.
func plain(b []byte) []byte { return b }

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // into memory
	_ = w.Close()
	return out.Bytes()
}

func zstandard(b []byte) []byte {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return e.EncodeAll(b, nil)
}

// TestServeTorture kills a server with SIGKILL again and again, while it starts, while it reads its ledger, while it takes
// records, judges them and tells people, with SIGTERM sometimes, under the load of senders that try again. At the end the
// ledger, read without the server, holds every acknowledged record once as it was sent, without a hole; every
// finding that a replay gives was told, none other, and none in two ways.
func TestServeTorture(t *testing.T) {
	t.Setenv(segmentEnv, "20000")
	dir := filepath.Join(t.TempDir(), "data")
	log := filepath.Join(t.TempDir(), "access.log")
	h := newHook(t)
	h.refuse = 7
	_, client := newNATS(t, natsserver.RANDOM_PORT, t.TempDir())
	natsURL := client.Conn().ConnectedUrl()
	port := freePort(t)
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	yaml := fmt.Sprintf(`
log: {level: warn}
ingest: {disk_reserve: 0}
alarm:
  retry_first: 20ms
  retry_most: 200ms
  channels: [{name: hook, webhook: {url: "%s/hook"}}]
follow: [{path: "%s", source: log, format: records, settle: 1s, poll: 20ms}]
jetstream: [{servers: ["%s"], stream: ACCESS, ack_wait: 2s, types: [access, issuance]}]
`, h.URL, log, natsURL)
	c := startServer(t, dir, yaml, "--listen", listen)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := &torture{t: t, ctx: ctx, url: "http://" + listen, token: c.token("*"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	if out, status, err := sendBody(ctx, w.client, w.url, w.token, strings.NewReader(completeFeed()), "source=feed"); err != nil || out.Accepted != 1 {
		t.Fatalf("feed: %d %v %+v", status, err, out)
	}
	var senders sync.WaitGroup
	byID, same, zipped, hasty, rude := w.add("by-id", true), w.add("same", false), w.add("zipped", false), w.add("hasty", true), w.add("rude", false)
	fromLog, fromNATS := w.add("log", false), w.add("nats", false)
	senders.Go(func() { w.post(byID, 1, plain, time.Minute, nil) })
	senders.Go(func() { w.post(same, 2, zstandard, time.Minute, nil) })
	senders.Go(func() { w.post(zipped, 3, gzipped, time.Minute, nil) })
	senders.Go(func() { w.post(hasty, 4, plain, 150*time.Millisecond, nil) }) // it does not wait for slow answers
	senders.Go(func() { w.post(rude, 5, plain, time.Minute, w.half("rude", rand.New(rand.NewPCG(6, 6)))) })
	senders.Go(func() { w.follow(fromLog, log) })
	senders.Go(func() { w.publish(fromNATS, client) })

	kills, stops, early := w.disturb(c, h, func() *child { return spawnServer(t, dir, yaml, "--listen", listen) })
	c = startServer(t, dir, yaml, "--listen", listen)
	stop()
	w.wait(&senders, c)
	w.settle(c, h, fromLog, fromNATS)
	began := time.Now()
	if err := c.terminate(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))

	found := w.check(dir)
	twice := h.check(t, found)
	if len(found) < 5 {
		t.Errorf("only %d findings: too few to say anything", len(found))
	}
	if twice > kills {
		t.Errorf("%d findings were told twice, after %d kills of one channel", twice, kills)
	}
	t.Logf("%d kills (%d of them while it started), %d stops by SIGTERM; %d findings, each told, %d of them twice with the same id and body",
		kills, early, stops, len(found), twice)
	for _, s := range w.senders {
		t.Logf("%-7s %8d records acknowledged; %d tries, %d of them in part known", s.name, s.acked.Load(), s.tries.Load(), s.again.Load())
	}
}

// wait waits until what the senders began is acknowledged.
func (w *torture) wait(senders *sync.WaitGroup, c *child) {
	w.t.Helper()
	ended := make(chan struct{})
	go func() {
		senders.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Minute):
		for _, s := range w.senders {
			if why := s.last.Load(); why != nil {
				w.t.Logf("%s: %s", s.name, *why)
			}
		}
		var st api.Status
		err := c.r.call(w.t.Context(), "GET", "/v1/status", nil, &st)
		w.t.Fatalf("the senders were not acknowledged in three minutes; ledger %+v, %v\n%s", st.Ledger, err, c.log())
	}
}

// disturb ends and starts the server until the time is over. It leaves none.
func (w *torture) disturb(c *child, h *hook, spawn func() *child) (kills, stops, early int) {
	rng := rand.New(rand.NewPCG(7, 7))
	end := time.Now().Add(*tortureTime)
	for n := 0; time.Now().Before(end); n++ {
		if n > 0 {
			c = spawn()
			if rng.IntN(4) == 0 {
				w.rest(time.Duration(rng.IntN(60_000)) * time.Microsecond)
				c.kill()
				kills++
				early++
				continue
			}
			c.await()
		}
		if rng.IntN(2) == 0 { // not always: it is killed while it reads its ledger, too
			w.caughtUp(c)
		}
		w.rest(time.Duration(100+rng.IntN(1000)) * time.Millisecond)
		if rng.IntN(3) == 0 { // when somebody was just told, and that may not be marked yet
			h.tells(w.ctx, 2*time.Second)
			c.kill()
			kills++
			continue
		}
		if rng.IntN(5) > 0 {
			c.kill()
			kills++
			continue
		}
		if err := c.terminate(); err != nil {
			w.t.Errorf("stopped with %v", err)
		}
		stops++
	}
	c.kill()
	return kills, stops, early
}

// caughtUp waits until the detectors have seen what is there.
func (w *torture) caughtUp(c *child) {
	w.t.Helper()
	if err := c.r.call(w.t.Context(), "GET", "/v1/findings?limit=1&wait=true", nil, nil); err != nil {
		w.t.Fatalf("%v\n%s", err, c.log())
	}
}

// settle waits until all that was written is in the ledger and all that was found is told.
func (w *torture) settle(c *child, h *hook, follow, nats *sender) {
	w.t.Helper()
	var s api.Status
	until(w.t, 2*time.Minute, func() error {
		s = api.Status{}
		if err := c.r.call(w.t.Context(), "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		if len(s.Inputs) != 2 {
			return fmt.Errorf("%d inputs", len(s.Inputs))
		}
		for _, in := range s.Inputs {
			if in.Behind > 0 || in.Last == nil {
				return fmt.Errorf("input %+v", in)
			}
		}
		return nil
	})
	w.caughtUp(c)
	until(w.t, 2*time.Minute, func() error {
		if err := c.r.call(w.t.Context(), "GET", "/v1/status", nil, &s); err != nil {
			return err
		}
		if ch := s.Alarms.Channels[0]; ch.Pending > 0 {
			return fmt.Errorf("%d findings are not told yet: %s", ch.Pending, ch.Error)
		}
		return nil
	})
	if n := int64(len(h.counts())); n != s.Alarms.Findings {
		w.t.Errorf("%d findings were told, the book has %d", n, s.Alarms.Findings)
	}
}

// until asks until something holds.
func until(t *testing.T, most time.Duration, hold func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(most); ; <-tick.C {
		err := hold()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %v", err)
		}
	}
}

// check reads the ledger and compares it with what was acknowledged, record by record.
func (w *torture) check(dir string) map[string]whosaw.Finding {
	w.t.Helper()
	by := map[string]*sender{}
	met := map[string][]bool{}
	for _, s := range w.senders {
		source := s.name
		if source == "nats" {
			source = "nats/ACCESS"
		}
		by[source], met[source] = s, make([]bool, s.acked.Load())
	}
	bad, own, rejects := 0, 0, 0
	complain := func(format string, args ...any) {
		if bad++; bad < 20 {
			w.t.Errorf(format, args...)
		}
	}
	var was, want []byte
	found := readLedger(w.t, dir, func(seq uint64, r *whosaw.Record) {
		s := by[r.Source]
		switch {
		case r.Type >= whosaw.TypeVerdict:
			own++
			if r.Ref.Kind == "rejected" && rejects < w.rejects {
				rejects++
			} else if r.Ref.Kind != "received" && r.Ref.Kind != "token_made" {
				complain("sequence %d is an act %q", seq, r.Ref.Kind)
			}
			return
		case r.Type == whosaw.TypeFeed:
			return
		case s == nil:
			complain("sequence %d is of a source that nobody sent: %s", seq, r.Source)
			return
		}
		n, ok := s.number(r)
		if !ok || n < 0 || n >= int64(len(met[r.Source])) {
			complain("sequence %d is none of the records of %s", seq, s.name)
			return
		}
		if met[r.Source][n] {
			complain("record %d of %s is there again, at sequence %d", n, s.name, seq)
		}
		met[r.Source][n] = true
		stored, sent := *r, s.record(n)
		stored.Source, stored.Position = "", 0
		was, want = whosaw.AppendJSON(was[:0], &stored), whosaw.AppendJSON(want[:0], &sent)
		if !bytes.Equal(was, want) {
			complain("record %d of %s is not as it was sent:\n%s\n%s", n, s.name, was, want)
		}
	})
	total := 0
	for source, list := range met {
		total += len(list)
		if len(list) == 0 {
			complain("nothing of %s was acknowledged", source)
		}
		for n, ok := range list {
			if !ok {
				complain("record %d of %s was acknowledged and is not in the ledger", n, source)
			}
		}
	}
	w.t.Logf("%d acknowledged records are in the ledger, each once and as it was sent, and %d of the server's own", total, own)
	return found
}
