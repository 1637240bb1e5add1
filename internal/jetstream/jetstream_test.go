package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/jetstream"
)

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t *testing.T, s string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(s), nil))
}

func send(t *testing.T, client js.JetStream, subject, data, encoding string) {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	if encoding != "" {
		m.Header["content-encoding"] = []string{encoding}
	}
	if _, err := client.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestMessages(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	send(t, client, "access.a", line("a"), "")
	send(t, client, "access.a", line("b")+"\n"+line("c")+`{"no record`+"\n"+strings.TrimSuffix(line("d"), "\n"), "")
	send(t, client, "access.b", gzipped(t, line("e")+line("f")), "gzip")
	send(t, client, "access.b", zstandard(t, line("g")), "ZSTD")
	send(t, client, "access.b", zstandard(t, line("h")), "") // known by its first bytes
	send(t, client, "access.b", "", "")
	sink := newLedger()
	cons, stop := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Source: "shop"}, sink)
	sink.has(t, "a", "b", "c", "d", "e", "f", "g", "h")
	settled(t, client)
	eventually(t, "the status", func() bool {
		st := cons.Status()
		return st.Reading && st.Lines == 9 && st.Rejected == 1 && st.Messages == 6 && st.GivenUp == 0 && st.Source == "shop/ACCESS" &&
			st.Newest == start.UnixMilli() && st.Error == "" && st.AckFailed == 0
	})
	for position, want := range map[int64]string{1 << 20: "a", 2 << 20: "b", 2<<20 | 2: "c", 2<<20 | 4: "d", 3 << 20: "e", 3<<20 | 1: "f"} {
		if got := sink.at[position]; got != want {
			t.Errorf("at %d: %q, want %q", position, got, want)
		}
	}
	if r := sink.rejects[0]; r.Position != 2<<20|3 || r.Line != 4 || r.File != "message 2" || r.Source != "shop/ACCESS" {
		t.Errorf("reject %+v", r)
	}
	if !sink.types.Has(whosaw.TypeAccess) || sink.types.Has(whosaw.TypeIssuance) {
		t.Error("without types, others than accesses may come")
	}
	stop()
	// A pull of one who has gone is answered until the server has seen him go, and what it took comes again only after the wait for acks.
	eventually(t, "the server to see the reader gone", func() bool { return s.NumClients() == 1 })
	send(t, client, "access.a", line("i"), "")
	run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Source: "shop"}, sink)
	sink.has(t, "a", "b", "c", "d", "e", "f", "g", "h", "i")
	if sink.repeats != 0 {
		t.Errorf("%d repeats although all was acknowledged", sink.repeats)
	}
}

// What cannot be read is rejected once, kept among the rejects, and not delivered for ever.
func TestPoison(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	packed := gzipped(t, strings.Repeat(line("x"), 100))
	send(t, client, "access.a", "garbage\nmore garbage\n", "")
	send(t, client, "access.a", packed[:len(packed)/2], "gzip")
	send(t, client, "access.a", line("x"), "br")
	send(t, client, "access.a", gzipped(t, strings.Repeat(" ", 2<<20)), "gzip")
	send(t, client, "access.a", gzipped(t, strings.Repeat("\n", 1<<20)), "gzip")
	send(t, client, "access.a", "PK\x03\x04zip", "")
	send(t, client, "access.a", `{"type":"issuance","time":"2026-03-01T00:00:00Z","credential":"c","subject":"7"}`+"\n", "")
	send(t, client, "access.a", line("good"), "")
	sub, err := client.Conn().SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>")
	if err != nil {
		t.Fatal(err)
	}
	sink := newLedger()
	cons, _ := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, MaxMessage: 1<<20 + 100, AckWait: time.Second}, sink)
	sink.has(t, "good")
	settled(t, client)
	eventually(t, "seven to be given up", func() bool { return cons.Status().GivenUp == 7 })
	want := []string{"not a JSON object", "not a JSON object", "gzip is cut or damaged", "Content-Encoding", "longer than 1048676 bytes", "more than 1,048,576 lines", "archive", "not allowed"}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.rejects) != len(want) {
		t.Fatalf("rejects: %+v", sink.rejects)
	}
	for i, w := range want {
		if r := sink.rejects[i]; !strings.Contains(r.Reason, w) {
			t.Errorf("reject %d: %s, want %s", i, r.Reason, w)
		}
	}
	if m, err := sub.NextMsg(10 * time.Second); err != nil || !strings.Contains(string(m.Data), "whosaw rejected all lines: ") {
		t.Errorf("the servers were not told why: %v", err)
	}
}

// A crash after a batch is durable and before it is acknowledged: it comes again, and is known.
func TestCrashBeforeTheAcknowledgement(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
		publish(t, client, "access.a", line(fmt.Sprint(i, "a"))+line(fmt.Sprint(i, "b")))
	}
	sink := newLedger()
	cfg := jetstream.Config{Servers: []string{s.ClientURL()}, Stream: "ACCESS", AckWait: time.Second, Batch: 20}
	cons, err := jetstream.New(jetstream.Options{Config: cfg, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	ctx, crash := context.WithCancel(t.Context())
	sink.kept = crash // the acknowledgements find no time
	if err := cons.Run(ctx); err != nil {
		t.Fatal(err)
	}
	sink.kept = nil
	durable := len(sink.count)
	if durable == 0 {
		t.Fatal("nothing was durable")
	}
	c, err := client.Consumer(t.Context(), "ACCESS", "whosaw")
	if err != nil || c.CachedInfo().AckFloor.Stream != 0 {
		t.Fatalf("something was acknowledged: %v", err)
	}
	run(t, cfg, sink)
	sink.has(t, names...)
	settled(t, client)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if sink.repeats < durable {
		t.Errorf("%d repeats, want at least the %d lines that were durable", sink.repeats, durable)
	}
}

// Several publishers, a server that is killed, a reader that crashes: each line once.
func TestKilledServer(t *testing.T) {
	k := newKillable(t)
	client := connect(t, k.url)
	makeStream(t, client)
	sink := newLedger()
	cfg := jetstream.Config{Servers: []string{k.url}, AckWait: time.Second, Batch: 50}
	const publishers, each, kills = 4, 5, 6
	var mu sync.Mutex
	var names []string
	var publishing, killing sync.WaitGroup
	killed := make(chan struct{})
	for p := range publishers {
		client := connect(t, k.url)
		publishing.Go(func() {
			for m := 0; ; m++ {
				select {
				case <-killed:
					return
				default:
				}
				var data string
				mu.Lock()
				for n := range each {
					name := fmt.Sprintf("%d-%d-%d", p, m, n)
					names = append(names, name)
					data += line(name)
				}
				mu.Unlock()
				for t.Context().Err() == nil { // until it is acknowledged; NATS knows it by its id
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := client.Publish(ctx, fmt.Sprintf("access.%d", p), []byte(data), js.WithMsgID(fmt.Sprintf("%d-%d", p, m)), js.WithRetryAttempts(0))
					cancel()
					if err == nil {
						break
					}
				}
			}
		})
	}
	killing.Go(func() {
		defer close(killed)
		for range kills {
			tick := time.NewTimer(300*time.Millisecond + rand.N(300*time.Millisecond))
			<-tick.C
			k.kill()
			k.restart()
		}
	})
	crashes := 0
	for done := false; !done; crashes++ {
		ctx, cancel := context.WithCancel(t.Context())
		cons, err := jetstream.New(jetstream.Options{Config: withStream(cfg), Sink: sink})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { cons.Run(ctx); close(ended) }()
		tick := time.NewTimer(300*time.Millisecond + rand.N(300*time.Millisecond))
		select {
		case <-tick.C:
		case <-killed:
			done = true
		}
		cancel()
		<-ended
	}
	killing.Wait()
	publishing.Wait()
	cons, _ := run(t, cfg, sink)
	sink.has(t, names...)
	settled(t, client)
	t.Logf("%d lines, %d kills of the server, %d crashes of the reader, %d repeats; %+v", len(names), kills, crashes, sink.repeats, cons.Status())
	if crashes < 2 {
		t.Error("too few crashes to mean anything")
	}
}

func withStream(c jetstream.Config) jetstream.Config {
	c.Stream = "ACCESS"
	return c
}

// While the ledger takes nothing, NATS keeps the messages: no more than two batches are on their way.
func TestLedgerThatFails(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprint(i))
		publish(t, client, "access.a", line(i))
	}
	sink := newLedger()
	sink.fail = errors.New("no space left on the ledger's disk")
	cons, _ := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Batch: 20, AckWait: time.Second}, sink)
	eventually(t, "the reason", func() bool { return strings.Contains(cons.Status().Waiting, "no space left") })
	eventually(t, "the lag", func() bool { st := cons.Status(); return st.Pending >= 960 && st.LagAt > 0 })
	c, err := client.Consumer(t.Context(), "ACCESS", "whosaw")
	if err != nil || c.CachedInfo().NumAckPending > 40 {
		t.Errorf("%d messages are on their way: %v", c.CachedInfo().NumAckPending, err)
	}
	sink.mu.Lock()
	sink.fail = nil
	sink.mu.Unlock()
	sink.has(t, names...)
	settled(t, client)
	if st := cons.Status(); st.Waiting != "" || sink.greatest > 20 {
		t.Errorf("waiting %q, batches of %d", st.Waiting, sink.greatest)
	}
}

func TestWhatIsMissing(t *testing.T) {
	sink := newLedger()
	nothing := newServer(t, server.Options{})
	url := nothing.ClientURL()
	nothing.Shutdown()
	nothing.WaitForShutdown()
	cons, _ := run(t, jetstream.Config{Servers: []string{url}}, sink)
	says := func(what string) {
		t.Helper()
		eventually(t, what, func() bool {
			st := cons.Status()
			return !st.Reading && strings.Contains(st.Error, what) && st.Since > 0
		})
	}
	says("reached")
	port := url[strings.LastIndex(url, ":")+1:]
	var n int
	fmt.Sscan(port, &n)
	s := newServer(t, server.Options{Port: n})
	says("stream ACCESS is not there: make it")
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	publish(t, client, "access.a", line("a"))
	sink.has(t, "a")
	eventually(t, "reading", func() bool { st := cons.Status(); return st.Reading && st.Error == "" && st.Server != "" })

	if err := client.DeleteConsumer(t.Context(), "ACCESS", "whosaw"); err != nil {
		t.Fatal(err)
	}
	publish(t, client, "access.a", line("b"))
	sink.has(t, "a", "b")
	eventually(t, "the stream to be read from its beginning", func() bool { return cons.Status().Repeats >= 1 })

	if err := client.DeleteStream(t.Context(), "ACCESS"); err != nil {
		t.Fatal(err)
	}
	says("stream ACCESS is not there")
	s.Shutdown()
	s.WaitForShutdown()
	says("NATS")
}

func TestConsumerThatWouldLose(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	for name, c := range map[string]js.ConsumerConfig{
		"gives up after 3 deliveries":     {AckPolicy: js.AckExplicitPolicy, MaxDeliver: 3},
		"does not acknowledge explicitly": {AckPolicy: js.AckNonePolicy},
		"brings headers only":             {AckPolicy: js.AckExplicitPolicy, HeadersOnly: true},
	} {
		c.Durable = "mine"
		if _, err := client.CreateConsumer(t.Context(), "ACCESS", c); err != nil {
			t.Fatal(err)
		}
		cons, stop := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Consumer: "mine"}, newLedger())
		eventually(t, name, func() bool { return strings.Contains(cons.Status().Error, name) })
		stop()
		if err := client.DeleteConsumer(t.Context(), "ACCESS", "mine"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSubjects(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	publish(t, client, "access.a", line("a"))
	publish(t, client, "access.b", line("b"))
	publish(t, client, "access.c", line("c"))
	sink := newLedger()
	_, stop := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Subjects: []string{"access.a"}}, sink)
	sink.has(t, "a")
	stop()
	_, stop = run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Subjects: []string{"access.a", "access.b"}}, sink)
	publish(t, client, "access.b", line("d"))
	eventually(t, "the subject that was added", func() bool { sink.mu.Lock(); defer sink.mu.Unlock(); return sink.count["d"] == 1 })
	stop()
	if sink.count["c"] != 0 {
		t.Error("a subject that is not wanted was read")
	}
}

// A slow ledger slows reading; nothing piles up here.
func TestBackPressure(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprint(i))
		publish(t, client, "access.a", line(i))
	}
	sink := newLedger()
	sink.gate = make(chan struct{})
	cons, _ := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, Batch: 10, AckWait: time.Second}, sink)
	deadline := time.Now().Add(2500 * time.Millisecond) // longer than NATS waits: it is told that work goes on
	eventually(t, "a while to pass", func() bool {
		if c, err := client.Consumer(t.Context(), "ACCESS", "whosaw"); err == nil && c.CachedInfo().NumAckPending > 20 {
			t.Fatalf("%d messages are on their way", c.CachedInfo().NumAckPending)
		}
		return time.Now().After(deadline)
	})
	if st := cons.Status(); st.State != "waiting" || st.Waiting != "the ledger is busy" || st.WaitingSince == 0 {
		t.Errorf("%+v", st)
	}
	close(sink.gate)
	sink.has(t, names...)
	eventually(t, "nothing to wait", func() bool { st := cons.Status(); return st.State == "reading" && st.Waiting == "" })
	settled(t, client)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if sink.repeats > 20 {
		t.Errorf("%d repeats: what was held was delivered again and again", sink.repeats)
	}
}

// Bombs: small messages that are large decompressed. No more of them are held at once than may be; those that are too large are rejected, with the
// reason; nothing is lost and nothing comes twice.
func TestBombs(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	const most, bombs = 1 << 20, 30
	pack := func(name string, size int) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		text := line(name)
		if _, err := io.WriteString(z, text+strings.Repeat(" ", size-len(text)-1)+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	var names []string
	for i := range bombs {
		names = append(names, fmt.Sprint("bomb", i))
		publish(t, client, "access.a", pack(names[i], most-10))
		if i%10 == 0 {
			publish(t, client, "access.a", pack("large", 3*most))
		}
	}
	for i := range 50 {
		names = append(names, fmt.Sprint("plain", i))
		publish(t, client, "access.a", line(names[len(names)-1]))
	}
	sink := newLedger()
	cons, _ := run(t, jetstream.Config{Servers: []string{s.ClientURL()}, MaxMessage: most, MaxDecompressed: 3 * most}, sink)
	sink.has(t, names...)
	settled(t, client)
	eventually(t, "the large ones to be given up", func() bool { return cons.Status().GivenUp == 3 })
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if sink.bombs != 3 || sink.repeats != 0 {
		t.Errorf("%d bombs were held at once, 3 may be; %d repeats", sink.bombs, sink.repeats)
	}
	for _, r := range sink.rejects {
		if want := fmt.Sprintf("longer than %d bytes decompressed", most); !strings.Contains(r.Reason, want) || r.Hint == "" {
			t.Errorf("reject: %q, %q", r.Reason, r.Hint)
		}
	}
	if len(sink.rejects) != 3 {
		t.Errorf("%d rejects, want 3", len(sink.rejects))
	}
}
