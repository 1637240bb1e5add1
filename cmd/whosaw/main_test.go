package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/server"
)

var update = flag.Bool("update", false, "write golden files anew")

// testNow is the clock of tests in this process: a little after the example's week.
var testNow = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if os.Getenv("WHOSAW_TEST_KILL_CHILD") != "" {
		os.Exit(killChild())
	}
	if os.Getenv(childEnv) != "" {
		os.Exit(serveChild())
	}
	testscript.Main(m, map[string]func(){"whosaw": main})
}

// TestScript runs the stories of testdata against the real main.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:             "testdata",
		UpdateScripts:   *update,
		ContinueOnError: true,
		Setup: func(env *testscript.Env) error {
			root, err := filepath.Abs("../..")
			if err != nil {
				return err
			}
			env.Setenv("ROOT", root)
			env.Setenv("SHARED", filepath.Join(root, "..", "shared"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// serving DIR waits until a server answers on the directory's socket.
			"serving": func(ts *testscript.TestScript, _ bool, args []string) {
				path := filepath.Join(ts.Getenv("WORK"), args[0], server.SocketName)
				for deadline := time.Now().Add(20 * time.Second); ; {
					c, err := net.Dial("unix", path)
					if err == nil {
						c.Close()
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("no server on %s: %v", path, err)
					}
					runtime.Gosched()
				}
			},
		},
		Condition: func(cond string) (bool, error) {
			if cond == "shared" {
				_, err := os.Stat("../../../shared/data")
				return err == nil, nil
			}
			return false, nil
		},
	})
}

// whosawRun runs one command line in this process, with no standard input.
func whosawRun(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return whosawRunWith(t, t.Context(), strings.NewReader(""), args...)
}

func whosawRunWith(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return whosawRunAt(ctx, func() time.Time { return testNow }, stdin, args...)
}

func whosawRunAt(ctx context.Context, now func() time.Time, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	m := &Main{Stdin: stdin, Stdout: &out, Stderr: &errs, Now: now}
	code = m.Run(ctx, args)
	return out.String(), errs.String(), code
}

// investigate runs `investigate --json` and decodes the answer.
func investigate(t *testing.T, args ...string) (whosaw.Investigation, string) {
	t.Helper()
	stdout, stderr, code := whosawRun(t, append([]string{"investigate", "--json"}, args...)...)
	if code != exitOK {
		t.Fatalf("investigate %q: exit %d\n%s", args, code, stderr)
	}
	var answer whosaw.Investigation
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatalf("investigate --json %q: %v\n%s", args, err, stdout)
	}
	return answer, stderr
}

func readOf(t *testing.T, answer string) [4]int64 {
	t.Helper()
	var a whosaw.Investigation
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	return [4]int64{a.Read.Lines, a.Read.Accepted, a.Read.Rejected, a.Read.Duplicates}
}
