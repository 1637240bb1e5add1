package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDemo: for a script, the demo prints its address and nothing else, serves it at once, and ends in order when it is told to.
func TestDemo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		m := &Main{Stdin: strings.NewReader(""), Stdout: write, Stderr: &errs, Now: time.Now}
		ended <- m.Run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--no-open", "--customers", "100"})
		write.Close()
	}()
	out := bufio.NewScanner(read)
	if !out.Scan() || !regexp.MustCompile(`^http://localhost:\d+$`).MatchString(out.Text()) {
		t.Fatalf("it prints %q", out.Text())
	}
	res, err := http.Get(out.Text())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the first page: %s", res.Status)
	}
	stop()
	if out.Scan() {
		t.Errorf("it prints %q too", out.Text())
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
	if _, stderr, code := whosawRun(t, "demo", "--listen", "0.0.0.0:0", "--no-open"); code != exitFailed || !strings.Contains(stderr, "this machine alone") {
		t.Errorf("beyond loopback: exit %d\n%s", code, stderr)
	}
	if stdout, _, code := whosawRun(t, "demo", "--help"); code != exitOK || !strings.Contains(stdout, "whosaw demo --listen 127.0.0.1:0 --no-open") {
		t.Errorf("--help: exit %d\n%s", code, stdout)
	}
}
