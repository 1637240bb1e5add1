package jetstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/jetstream"
	store "github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

var _ jetstream.Sink = (*pipeline.Live)(nil)

// live opens a ledger with its detectors.
func live(t testing.TB) *pipeline.Live {
	t.Helper()
	led, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := pipeline.Start(pipeline.LiveConfig{
		Ledger: led, Raise: func(context.Context, []pipeline.Raised) error { return nil },
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func source(l *pipeline.Live) pipeline.SourceStatus {
	for _, s := range l.Sources() {
		if s.Source == "nats/ACCESS" {
			return s
		}
	}
	return pipeline.SourceStatus{}
}

// With the real ledger: a stream that is read again from its beginning is known; a type that may not come this way is
// rejected by the line, and a message of nothing else is given up.
func TestRealLedger(t *testing.T) {
	s := newServer(t, server.Options{})
	client := connect(t, s.ClientURL())
	makeStream(t, client)
	issuance := `{"type":"issuance","time":"2026-03-01T00:00:00Z","credential":"c","subject":"7"}` + "\n"
	for i := range 50 {
		publish(t, client, "access.a", line(fmt.Sprint(i, "a"))+line(fmt.Sprint(i, "b")))
	}
	publish(t, client, "access.a", line("x")+issuance)
	publish(t, client, "access.a", issuance)
	l := live(t)
	cfg := jetstream.Config{Servers: []string{s.ClientURL()}}
	cons, stop := run(t, cfg, l)
	eventually(t, "all to be in the ledger", func() bool { s := source(l); return s.Accepted == 101 && s.Rejected == 2 && s.Lines == 103 })
	settled(t, client)
	eventually(t, "one to be given up", func() bool { return cons.Status().GivenUp == 1 })
	stop()
	if err := client.DeleteConsumer(t.Context(), "ACCESS", "whosaw"); err != nil {
		t.Fatal(err)
	}
	run(t, cfg, l)
	eventually(t, "all to be known", func() bool { s := source(l); return s.Accepted == 101 && s.Duplicates == 101 })
	settled(t, client)
}

// BenchmarkConsumer reads messages of a hundred lines, plain, with the real ledger and detectors behind, and without.
func BenchmarkConsumer(b *testing.B) {
	const messages, each = 5000, 100
	s, err := startServer(server.Options{StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	client := connect(b, s.ClientURL())
	makeStream(b, client)
	for m := range messages {
		var data []byte
		for i := range each {
			data = append(data, line(m*each+i)...)
		}
		if _, err := client.PublishAsync("access.a", data); err != nil {
			b.Fatal(err)
		}
	}
	<-client.PublishAsyncComplete()
	for name, sink := range map[string]func() jetstream.Sink{
		"ledger":  func() jetstream.Sink { return live(b) },
		"nothing": func() jetstream.Sink { return nothing{} },
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				cons, err := jetstream.New(jetstream.Options{
					Config: jetstream.Config{Servers: []string{s.ClientURL()}, Stream: "ACCESS", Consumer: fmt.Sprintf("%s-%d-%d", name, n, b.N)}, Sink: sink(),
				})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- cons.Run(ctx) }()
				for tick := time.NewTicker(time.Millisecond); cons.Status().Messages < messages; <-tick.C {
				}
				cancel()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(messages*each*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

type nothing struct{}

func (nothing) Take(_ context.Context, b *ingest.Batch, _ pipeline.Sender) (pipeline.Outcome, error) {
	return pipeline.Outcome{Lines: b.Lines}, nil
}
