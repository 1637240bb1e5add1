package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// divert puts another file behind every descriptor of this process that is open on name, and gives the way back: what SQLite writes
// meets a device that fails.
func divert(t *testing.T, name, device string, flag int) (restore func()) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	bad, err := unix.Open(device, flag|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no " + device + " here")
	}
	saved := map[int]int{}
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != name {
			continue
		}
		keep, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
		if err != nil {
			t.Fatal(err)
		}
		saved[fd] = keep
		if err := unix.Dup3(bad, fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	if len(saved) == 0 {
		t.Fatalf("nothing has %s open", name)
	}
	done := false
	restore = func() {
		if done {
			return
		}
		done = true
		for fd, keep := range saved {
			if err := unix.Dup3(keep, fd, unix.O_CLOEXEC); err != nil {
				t.Error(err)
			}
			unix.Close(keep)
		}
		unix.Close(bad)
	}
	t.Cleanup(restore)
	return restore
}

// A full disk is said, loses nothing that was written, and is over when there is space.
func TestFullDiskIsNoLastingFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path)
	if err := suppress(t.Context(), db, "before"); err != nil {
		t.Fatal(err)
	}
	// Closing folds the log into the file, so that what is read lies beside the device that is full.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	restore := divert(t, path+"-wal", "/dev/full", unix.O_RDWR)
	for range 2 {
		err := suppress(t.Context(), db, "full")
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Path != path || !strings.Contains(err.Error(), "free some space") {
			t.Fatalf("writing to a full disk gave %v", err)
		}
	}
	restore()
	if err := suppress(t.Context(), db, "after"); err != nil {
		t.Fatalf("writing after there is space again gave %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, path)); n != 2 {
		t.Errorf("%d rows, want the 2 that were acknowledged", n)
	}
}

// After any other fault nothing is written until the file is opened again, even if the disk seems well.
func TestFaultStopsTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path)
	if err := suppress(t.Context(), db, "before"); err != nil {
		t.Fatal(err)
	}
	restore := divert(t, path+"-wal", "/dev/null", unix.O_RDONLY)
	if err := suppress(t.Context(), db, "fault"); err == nil || !strings.Contains(err.Error(), "the disk reports a fault") {
		t.Fatalf("a failing disk gave %v", err)
	}
	restore()
	if err := suppress(t.Context(), db, "after"); err == nil || !strings.Contains(err.Error(), "writing stopped after a fault") ||
		!strings.Contains(err.Error(), "start again") {
		t.Fatalf("writing after a fault gave %v", err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("readers see %d rows, want 1", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if err := suppress(t.Context(), db, "again"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 2 {
		t.Errorf("%d rows after opening again, want 2", n)
	}
}
