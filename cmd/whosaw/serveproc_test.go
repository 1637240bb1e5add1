package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What a test tells a server in a process of its own: by how much its clock is wrong, how many records go into a segment, and
// how long a sender may say nothing. Only the test binary reads it.
const (
	childEnv   = "WHOSAW_TEST_SERVE_CHILD"
	clockEnv   = "WHOSAW_TEST_CLOCK"   // a file that holds a duration
	segmentEnv = "WHOSAW_TEST_SEGMENT" // records
	idleEnv    = "WHOSAW_TEST_IDLE"    // a duration
)

// serveChild is the program in a process of its own, stopped as main is.
func serveChild() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now}
	if file := os.Getenv(clockEnv); file != "" {
		m.Now = func() time.Time { return wrongClock(file) }
	}
	if n := os.Getenv(segmentEnv); n != "" {
		var err error
		if m.segmentRecords, err = strconv.Atoi(n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitUsage
		}
	}
	if d := os.Getenv(idleEnv); d != "" {
		var err error
		if m.idle, err = time.ParseDuration(d); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitUsage
		}
	}
	return m.Run(ctx, os.Args[1:])
}

// wrongClock is the machine's clock, put forward by what stands in a file. As a clock that is set, it has no monotonic part.
func wrongClock(file string) time.Time {
	now := time.Now().Round(0)
	text, err := os.ReadFile(file)
	if err != nil {
		return now
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return now
	}
	return now.Add(d)
}

// child is a server in a process of its own.
type child struct {
	tb  testing.TB
	cmd *exec.Cmd
	dir string
	url string
	r   *remote

	lines   *bufio.Scanner
	reading sync.Once
	drained chan struct{} // closed when all that it said is read
	mu      sync.Mutex
	said    []string
}

// startServer starts `whosaw serve` with a configuration and waits until it answers. It listens on any free port, unless
// more arguments say otherwise.
func startServer(tb testing.TB, dir, config string, more ...string) *child {
	tb.Helper()
	c := spawnServer(tb, dir, config, more...)
	c.await()
	return c
}

// spawnServer starts `whosaw serve` and waits for nothing.
func spawnServer(tb testing.TB, dir, config string, more ...string) *child {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	args := []string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}
	if config != "" {
		file := filepath.Join(tb.TempDir(), "whosaw.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			tb.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	c := &child{tb: tb, dir: dir, cmd: exec.Command(exe, append(args, more...)...), drained: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := c.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	tb.Cleanup(c.kill)
	return c
}

// await waits until the server answers.
func (c *child) await() {
	c.tb.Helper()
	for c.url == "" && c.lines.Scan() {
		c.hear(c.lines.Text())
		if _, url, ok := strings.Cut(c.lines.Text(), " on http"); ok && strings.HasPrefix(c.lines.Text(), "whosaw: serving") {
			c.url = "http" + url
		}
	}
	c.readOn()
	if c.url == "" {
		<-c.drained
		c.tb.Fatalf("the server did not start:\n%s", c.log())
	}
	var err error
	if c.r, err = dial(c.tb.Context(), c.dir); err != nil || c.r == nil {
		c.tb.Fatalf("no server on %s: %v\n%s", c.dir, err, c.log())
	}
}

// readOn reads what the server says from here on.
func (c *child) readOn() {
	c.reading.Do(func() {
		go func() {
			for c.lines.Scan() {
				c.hear(c.lines.Text())
			}
			close(c.drained)
		}()
	})
}

// heard is how many of the last lines are kept.
const heard = 200

func (c *child) hear(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said = append(c.said, line); len(c.said) > 2*heard {
		c.said = append(c.said[:0], c.said[heard:]...)
	}
}

// log is what the server said last, for a test that fails.
func (c *child) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.said, "\n")
}

// kill ends the process at once, as kill -9 does.
func (c *child) kill() { _ = c.end(syscall.SIGKILL) }

// terminate asks the process to end and gives how it did.
func (c *child) terminate() error { return c.end(syscall.SIGTERM) }

func (c *child) end(sig syscall.Signal) error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	_ = c.cmd.Process.Signal(sig) // it may have ended by itself
	c.readOn()
	<-c.drained // before Wait, which closes the pipe
	if c.r != nil {
		c.r.http.CloseIdleConnections()
	}
	err := c.cmd.Wait()
	if c.tb.Failed() {
		c.tb.Logf("the server said:\n%s", c.log())
	}
	return err
}
