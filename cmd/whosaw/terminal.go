package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/report"
)

// terminal gives the file behind a stream if it is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

// textOptions suit standard output: colour and width of a terminal, plain text elsewhere. NO_COLOR turns
// colour off (no-color.org).
func (m *Main) textOptions(zone *time.Location) report.TextOptions {
	o := report.TextOptions{Zone: zone}
	f, ok := terminal(m.Stdout)
	if !ok {
		return o
	}
	if w, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = w
	}
	o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return o
}

// progress draws one line of progress on a terminal, and nothing elsewhere.
type progress struct {
	w     io.Writer
	now   func() time.Time
	start time.Time // of the phase
	phase ingest.Phase
	drawn bool
}

// newProgress gives nil where nobody would see it; a nil progress does nothing.
func (m *Main) newProgress(quiet bool) *progress {
	if _, ok := terminal(m.Stderr); !ok || quiet {
		return nil
	}
	return &progress{w: m.Stderr, now: m.Now}
}

func (p *progress) update(at ingest.Progress) {
	now := p.now()
	if at.Phase != p.phase {
		p.phase, p.start = at.Phase, now
	}
	spent := now.Sub(p.start).Seconds()
	var text string
	switch at.Phase {
	case ingest.PhaseRead:
		text = fmt.Sprintf("reading  %s lines%s%s", figure.Int(at.Lines), rate(at.Lines, spent), left(at.BytesRead, at.BytesTotal, spent))
	case ingest.PhaseEmit:
		text = fmt.Sprintf("judging  %s of %s records%s%s", figure.Int(at.Emitted), figure.Int(at.Records), rate(at.Emitted, spent), left(at.Emitted, at.Records, spent))
	}
	fmt.Fprintf(p.w, "\r\x1b[2K%s", text)
	p.drawn = true
}

// note replaces the line while something else is done.
func (p *progress) note(text string) {
	if p != nil {
		fmt.Fprintf(p.w, "\r\x1b[2K%s", text)
		p.drawn = true
	}
}

// clear removes the line.
func (p *progress) clear() {
	if p != nil && p.drawn {
		fmt.Fprint(p.w, "\r\x1b[2K")
		p.drawn = false
	}
}

func rate(n int64, seconds float64) string {
	if seconds < 0.5 {
		return ""
	}
	return fmt.Sprintf(", %s/s", figure.Int(int64(float64(n)/seconds)))
}

func left(done, total int64, seconds float64) string {
	if total <= 0 || done <= 0 {
		return ""
	}
	text := fmt.Sprintf(", %d %%", min(100, 100*done/total))
	if seconds >= 1 && done < total {
		rest := time.Duration(seconds / float64(done) * float64(total-done) * float64(time.Second))
		text += fmt.Sprintf(", about %s left", rest.Round(time.Second))
	}
	return text
}

// bytes gives a function that shows how far a copy is; nil where nobody would see it.
func (p *progress) bytes(doing string) func(done, total int64) {
	if p == nil {
		return nil
	}
	start := p.now()
	var last time.Time
	return func(done, total int64) {
		now := p.now()
		if now.Sub(last) < 100*time.Millisecond && done < total {
			return
		}
		last = now
		p.note(fmt.Sprintf("%s  %s of %s MB%s", doing, figure.Int(done>>20), figure.Int(total>>20), left(done, total, now.Sub(start).Seconds())))
	}
}
