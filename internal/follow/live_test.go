package follow_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/follow"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

var _ follow.Sink = (*pipeline.Live)(nil)

// live opens a ledger with its detectors.
func live(t testing.TB) *pipeline.Live {
	t.Helper()
	dir := t.TempDir()
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rejects, err := ingest.OpenRejectLog(filepath.Join(dir, "rejects.jsonl"), 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := pipeline.Start(pipeline.LiveConfig{
		Ledger: led, Raise: func(context.Context, []pipeline.Raised) error { return nil },
		Rejects: rejects, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := rejects.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func source(l *pipeline.Live, name string) pipeline.SourceStatus {
	for _, s := range l.Sources() {
		if s.Source == name {
			return s
		}
	}
	return pipeline.SourceStatus{}
}

// With the real ledger: what is read again after positions were lost is known to it, also from a file that was compressed since.
func TestRealLedger(t *testing.T) {
	const n = 5000
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	var text []byte
	for i := range n {
		text = fmt.Appendf(text, "192.0.2.%d - - [01/Mar/2026:00:%02d:%02d +0000] \"GET /customers/%d HTTP/1.1\" 200 512 \"-\" \"curl/8.0\"\n", i%250, i/60%60, i%60, i)
	}
	text = append(text, "no line of a log\n"...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	state, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	l := live(t)
	until := func(accepted, duplicates int64) {
		t.Helper()
		f, err := follow.New(follow.Options{
			Logs: []follow.Config{{Path: path, Source: "web", Format: "combined", Poll: 10 * time.Millisecond}}, Sink: l, State: state,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		deadline := time.Now().Add(20 * time.Second)
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			s := source(l, "web")
			if s.Accepted == accepted && s.Duplicates == duplicates {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%+v, want %d accepted and %d duplicates; %+v", s, accepted, duplicates, f.Status())
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	until(n, 0)
	err = state.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "DELETE FROM follow_generation")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	until(n, n)
	if s := source(l, "web"); s.Rejected != 2 || s.Lines != 2*n+2 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkFollow reads a log that is there already, with the real ledger and detectors behind, and without.
func BenchmarkFollow(b *testing.B) {
	const n = 500_000
	dir := b.TempDir()
	path := filepath.Join(dir, "access.log")
	var text []byte
	for i := range n {
		text = append(text, line(i)...)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	run := func(b *testing.B, sink func() follow.Sink) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			b.StopTimer()
			state, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "state.db"))
			if err != nil {
				b.Fatal(err)
			}
			s := &counted{Sink: sink(), want: n, done: make(chan struct{})}
			f, err := follow.New(follow.Options{Logs: []follow.Config{{Path: path, Format: "records"}}, Sink: s, State: state})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			b.StartTimer()
			go func() { done <- f.Run(ctx) }()
			<-s.done
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			if err := state.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	}
	b.Run("ledger", func(b *testing.B) { run(b, func() follow.Sink { return live(b) }) })
	b.Run("nothing", func(b *testing.B) { run(b, func() follow.Sink { return nothing{} }) })
}

type nothing struct{}

func (nothing) Take(_ context.Context, b *ingest.Batch, _ pipeline.Sender) (pipeline.Outcome, error) {
	return pipeline.Outcome{Lines: b.Lines}, nil
}

// counted tells when all lines were taken.
type counted struct {
	follow.Sink
	want int64
	done chan struct{}
}

func (c *counted) Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error) {
	out, err := c.Sink.Take(ctx, b, from)
	if c.want -= out.Lines; c.want == 0 {
		close(c.done)
	}
	return out, err
}

// BenchmarkIdle is the cost of looking at a hundred logs, each with ten rotated files, that nobody writes to.
func BenchmarkIdle(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		for k := range 10 {
			name := filepath.Join(dir, fmt.Sprintf("app%d.log.%d", i, k))
			if k == 0 {
				name = filepath.Join(dir, fmt.Sprintf("app%d.log", i))
			}
			if err := os.WriteFile(name, []byte(line(i*10+k)), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	state, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer state.Close()
	look, err := follow.Looker(b.Context(), follow.Options{
		Logs: []follow.Config{{Path: filepath.Join(dir, "*.log"), Format: "records"}}, Sink: nothing{}, State: state, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := look(); err != nil {
			b.Fatal(err)
		}
	}
}
