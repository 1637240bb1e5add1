package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestQuickstart runs the five commands of docs/quickstart.md in a scratch copy of what a clone has, with another port.
func TestQuickstart(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: docs/quickstart.md: there is no %s here", tool)
		}
	}
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/quickstart.md has no commands")
	}
	commands := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	if len(commands) != 5 {
		t.Fatalf("%d commands, five are promised", len(commands))
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "guard", "internal", "examples"} {
		if err := os.Symlink(absolute(t, "../../"+name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range root {
		if err := os.Symlink(absolute(t, name), filepath.Join(dir, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	script := strings.ReplaceAll(string(block[1]), "8470", strconv.Itoa(port))
	script = strings.Replace(script, "whosaw serve --data ./data", fmt.Sprintf("whosaw serve --data ./data --listen 127.0.0.1:%d", port), 1)
	script = strings.Replace(script, "go build -o", "go build -buildvcs=false -o", 1)
	// The page's loop waits for a server as long as it takes; a test does not.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script+"\necho; cat affected.csv")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the server stays in its group
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it has ended, where nothing went wrong
	if err := cmd.Wait(); err != nil {
		said, _ := os.ReadFile(filepath.Join(dir, "whosaw.log"))
		t.Fatalf("%v\n%s\n%s\n%s", err, out.String(), errs.String(), said)
	}
	text := out.String()
	truth, disclosed := exampleTruth(t)
	for _, want := range []string{fmt.Sprintf(`"lines":%d`, truth.Lines), `"rejected":0`, `"detector":"unissued"`, `"unit":"key:backup-2024"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the commands do not show %s:\n%.2000s", want, text)
		}
	}
	_, list, _ := strings.Cut(text, "\nsubject,")
	if n := strings.Count(list, "\n") - 1; n != len(disclosed) {
		t.Errorf("%d customers in the list, there are %d:\n%.500s", n, len(disclosed), list)
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
