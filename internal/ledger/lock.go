package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockName lies in the data directory, beside the ledger: it is the one file without a checksum.
// It is never removed: two processes could then hold locks on two files of that name.
const lockName = "lock"

// lock takes the data directory for this process alone, or shared with other readers. It gives
// nil where a reader cannot make the file: then nobody can write here either.
func lock(dir string, shared bool) (*os.File, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil && shared {
		f, err = os.Open(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open lock: %w%s", err, cure(err))
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EWOULDBLOCK:
		err = heldError(dir, f, shared)
	case err != nil:
		err = fmt.Errorf("lock %s: %w", name, err)
	case !shared:
		err = writeHolder(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// writeHolder leaves our process id for whoever finds the lock taken.
func writeHolder(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	if err != nil {
		return fmt.Errorf("write lock: %w%s", err, cure(err))
	}
	return nil
}

// unlock gives the directory free. owner says that writeHolder was called.
func unlock(f *os.File, owner bool) error {
	if f == nil {
		return nil
	}
	var err error
	if owner {
		err = f.Truncate(0) // readers that hold the lock later must not be called by our name
	}
	return errors.Join(err, f.Close())
}

// HeldError says that another process has the data directory.
type HeldError struct {
	Dir string
	PID int // 0: not known; then the holders may be several readers
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another whosaw that reads it: wait until it ends, or name another with --data", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by process %d: wait until it ends, stop it, or name another with --data", e.Dir, e.PID)
}

func heldError(dir string, f *os.File, shared bool) error {
	buf := make([]byte, 20)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(buf[:n])))
	if err != nil || pid <= 0 {
		return &HeldError{Dir: dir}
	}
	// A number left by an owner that was killed is not the holder's, unless somebody holds the
	// lock alone, which a reader then sees.
	if !shared && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		pid = 0
	}
	return &HeldError{Dir: dir, PID: pid}
}
