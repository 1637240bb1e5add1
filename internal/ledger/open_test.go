package ledger_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/ledger"
)

// TestLock has a second process at a directory that is taken.
func TestLock(t *testing.T) {
	if dir := os.Getenv("LEDGER_TEST_DIR"); dir != "" {
		l, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: os.Getenv("LEDGER_TEST_READ") != ""})
		if err != nil {
			var held *ledger.HeldError
			if errors.As(err, &held) && held.PID == os.Getppid() {
				os.Exit(10)
			}
			if errors.As(err, &held) && held.PID == 0 {
				os.Exit(11)
			}
			os.Exit(12)
		}
		l.Close()
		os.Exit(0)
	}
	dir := t.TempDir()
	child := func(read string) int {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLock$")
		cmd.Env = append(os.Environ(), "LEDGER_TEST_DIR="+dir, "LEDGER_TEST_READ="+read)
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	}
	l := open(t, ledger.Config{Dir: dir})
	if _, err := ledger.Open(ledger.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "wait until it ends") {
		t.Errorf("a second opening of one process: %v", err)
	}
	for _, c := range []struct {
		read string
		code int
	}{{"", 10}, {"1", 10}} {
		if got := child(c.read); got != c.code {
			t.Errorf("beside an owner, reading %q: exit code %d", c.read, got)
		}
	}
	closing(t, l)
	if got := child(""); got != 0 {
		t.Errorf("after the owner: exit code %d", got)
	}
	l = open(t, ledger.Config{Dir: dir, ReadOnly: true})
	if got := child("1"); got != 0 {
		t.Errorf("two readers: exit code %d", got)
	}
	if got := child(""); got != 11 {
		t.Errorf("an owner beside a reader: exit code %d", got)
	}
	closing(t, l)
	if got := child(""); got != 0 {
		t.Errorf("after the reader: exit code %d", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  ledger.Config
		says string
	}{
		{"no directory", ledger.Config{}, "--data"},
		{"a file", ledger.Config{Dir: file}, "is a file"},
		{"below a file", ledger.Config{Dir: filepath.Join(file, "x")}, "not a directory"},
		{"nothing to read", ledger.Config{Dir: filepath.Join(dir, "none"), ReadOnly: true}, "no ledger in"},
		{"segments too great", ledger.Config{Dir: dir, SegmentRecords: 1 << 30}, "give a number"},
		{"segments below nothing", ledger.Config{Dir: dir, SegmentRecords: -1}, "give a number"},
	} {
		if l, err := ledger.Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
			if l != nil {
				l.Close()
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("opening to read made a directory")
	}
}

// TestModes holds that nobody else can read what is written.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 10, Throwaway: true})
	appendAll(t, l, numbered(0, 35), ledger.Accepted)
	closing(t, l)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyDirectory reads a ledger on a disk where nothing can be written. The superuser is
// not stopped by modes, so there the test only sees that nothing is changed.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	all := numbered(0, 35)
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 10, Throwaway: true})
	appendAll(t, l, all, ledger.Accepted)
	closing(t, l)
	for _, name := range []string{filepath.Join(dir, "lock")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Join(dir, "ledger"), dir} {
		if err := os.Chmod(name, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(name, 0o700)
	}
	l = open(t, ledger.Config{Dir: dir, ReadOnly: true})
	check(t, view(t, l, 0), all)
	if l.Dir() != dir {
		t.Errorf("the directory is %s", l.Dir())
	}
	if err := l.Seal(ctx); !errors.Is(err, ledger.ErrReadOnly) {
		t.Errorf("seal: %v", err)
	}
	closing(t, l)
	if os.Geteuid() == 0 {
		return
	}
	if _, err := ledger.Open(ledger.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "make the directory writable") {
		t.Errorf("opening to write: %v", err)
	}
}
