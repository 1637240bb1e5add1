package ledger

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// disk is every operation that changes what is on disk. Tests put faults behind it; reading goes
// past it. An operation that returns an error may have been done, in part or in whole.
type disk interface {
	// Create makes a file that does not exist, with mode 0600, for writing.
	Create(name string) (file, error)
	// Open opens a file that exists, for writing.
	Open(name string) (file, error)
	// Rename puts a file in the place of another within one directory.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes the creations, renames and removals in a directory last.
	SyncDir(name string) error
	// Free is how many bytes more can be written in a directory.
	Free(name string) (int64, error)
}

// file is an open file of a disk.
type file interface {
	io.WriterAt
	io.Closer
	// Truncate cuts the file to size.
	Truncate(size int64) error
	// Sync makes what was written last.
	Sync() error
}

// osDisk is the disk of the operating system.
type osDisk struct {
	throwaway bool // sync nothing
}

func (d osDisk) Create(name string) (file, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d osDisk) Open(name string) (file, error) { return d.open(name, os.O_RDWR) }

func (d osDisk) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f, d.throwaway}, nil
}

func (d osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (d osDisk) Remove(name string) error     { return os.Remove(name) }

func (d osDisk) SyncDir(name string) error {
	if d.throwaway {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d osDisk) Free(name string) (int64, error) {
	free, _, err := Space(name)
	return free, err
}

type osFile struct {
	*os.File
	throwaway bool
}

func (f osFile) Sync() error {
	if f.throwaway {
		return nil
	}
	return f.File.Sync()
}

// cure says what a person can do about a failed operation on the data directory, "" if nothing
// general can be said.
func cure(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; free some space: what was acknowledged is kept"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "; make the directory writable for this user, or name another with --data"
	case errors.Is(err, syscall.ENOTDIR):
		return "; name a directory with --data, not a file"
	case errors.Is(err, syscall.EMFILE):
		return "; raise the limit of open files (ulimit -n)"
	case errors.Is(err, syscall.EIO):
		return "; the disk reports a fault: check it, and keep a copy of the directory before anything else"
	}
	return ""
}
