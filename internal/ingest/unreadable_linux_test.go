package ingest_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/whosaw/whosaw/internal/ingest"
)

// TestUnreadable names a file that this user may not read: an error before anything is read. In a directory it is a
// problem, and the rest is read.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.log", recs(0, 3))
	write(t, dir+"/b.log", recs(3, 6))
	write(t, dir+"/c/d.log", recs(3, 6))
	for path, mode := range map[string]os.FileMode{"/a.log": 0, "/b.log": 0o644, "/c": 0} {
		if err := os.Chmod(dir+path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(dir+"/c", 0o755)
	asNobody(t, dir, func() {
		_, err := ingest.NewPlan(context.Background(), []string{dir + "/b.log", dir + "/a.log"}, ingest.Options{})
		if err == nil || !strings.Contains(err.Error(), dir+"/a.log: permission denied; run as a user who may read it") {
			t.Errorf("error %v", err)
		}
		p, err := ingest.NewPlan(context.Background(), []string{dir}, ingest.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		if len(p.Inputs) != 1 || len(p.Problems) != 2 || !strings.Contains(p.Problems[0].String(), "a.log: permission denied; run as") {
			t.Errorf("inputs %+v, problems %+v", p.Inputs, p.Problems)
		}
	})
}

// asNobody runs fn on a thread that lacks root's right to read everything, where the tests run as root.
func asNobody(t *testing.T, dir string, fn func()) {
	if os.Geteuid() != 0 {
		fn()
		return
	}
	for d := dir; d != "/"; d = d[:max(1, strings.LastIndexByte(d, '/'))] {
		if info, err := os.Stat(d); err == nil && info.Mode().Perm()&0o55 != 0o55 {
			defer os.Chmod(d, info.Mode().Perm())
			if err := os.Chmod(d, info.Mode().Perm()|0o55); err != nil {
				t.Fatal(err)
			}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := syscall.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		fn()
	}()
	<-done
}
