// Command whosaw shows who opened whose data: `whosaw investigate LOG…` is the way in.
//
// A file a subcommand; root.go has their table. What a person sees goes to standard error, the one
// answer to standard output; exit codes are in docs/formats/filters-and-answers.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // --zone works on machines without a zone database

	"github.com/whosaw/whosaw/internal/report"
)

// The exit codes of the contract.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitFinding     = 3
	exitInterrupted = 130
)

// Main is the program apart from the process: its streams and its clock.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time

	// acknowledged, if set, is told how many lines of an import are safe, after each sync.
	acknowledged func(lines int64)
	// segmentRecords, if not 0, is how many records go into a segment: tests want many segments of few.
	segmentRecords int
	// idle, if not 0, is how long a sender may say nothing: tests do not wait for half a minute.
	idle time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now}
	code := m.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// Run executes one command line and gives its exit code. It returns soon after ctx is cancelled.
func (m *Main) Run(ctx context.Context, args []string) int {
	root := m.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	var ran *runError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFinding):
		return exitFinding
	case errors.Is(err, errInterrupted) || ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &ran) && !errors.As(err, new(*usageError)):
		m.complain(err)
		return exitFailed
	default:
		m.complain(err)
		fmt.Fprintln(m.Stderr, whereHelp(cmd))
		return exitUsage
	}
}

// complain prints an error; one that joins several has a line for each.
func (m *Main) complain(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(m.Stderr, "whosaw: %s\n", report.Safe(strings.TrimSuffix(line, "\n")))
	}
}

var (
	errFinding     = errors.New("there are findings")
	errInterrupted = errors.New("interrupted")
)

// runError marks an error of a command that ran; any other error is wrong usage.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// usageError marks wrong usage that only a running command could notice.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
