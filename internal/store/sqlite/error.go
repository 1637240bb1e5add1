package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"
)

// Error is a fault of the state file: what was being done, to which file, and what a person can do about it.
type Error struct {
	Doing string
	Path  string
	Err   error
	Cure  string // "" if nothing general can be said
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s state file %s: %v", e.Doing, e.Path, e.Err)
	if e.Cure != "" {
		s += "; " + e.Cure
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

var errDamaged = errors.New("it is damaged")

const cureDamaged = "stop whosaw, keep a copy of the file, and restore it from a backup (the ledger is not touched by this); " +
	"without a backup move it away: findings are raised again from the ledger, tokens and verdicts are to be made anew"

// fault names the file and the cure.
func fault(doing, path string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return &Error{Doing: doing, Path: path, Err: err, Cure: cureFor(err)}
}

// cureFor says what helps against an error of SQLite or the file system.
func cureFor(err error) string {
	var e *driver.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff { // the primary code; the rest says where
		case code.SQLITE_CORRUPT, code.SQLITE_NOTADB:
			return cureDamaged
		case code.SQLITE_FULL:
			return cureFull
		case code.SQLITE_READONLY, code.SQLITE_PERM, code.SQLITE_CANTOPEN, code.SQLITE_AUTH:
			return cureRights
		case code.SQLITE_BUSY, code.SQLITE_LOCKED:
			return "another process holds it: stop the other whosaw, or whatever else has the file open"
		case code.SQLITE_IOERR:
			return cureDisk
		}
		return ""
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return cureFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return cureRights
	case errors.Is(err, fs.ErrNotExist):
		return "make the directory first, or name another with --data"
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return "name a data directory with --data in which state.db is a file or not there yet"
	case errors.Is(err, syscall.EIO):
		return cureDisk
	}
	return ""
}

const (
	cureFull   = "free some space: what was written is kept, and writing goes on by itself"
	cureRights = "make the file and its directory writable for this user, or name another with --data"
	cureDisk   = "the disk reports a fault: check it, keep a copy of the directory, then start again"
)

// lasting reports whether a fault may have left the file other than SQLite believes. After a failed sync the kernel may have
// dropped what it did not write, so a second try would succeed without having written it.
func lasting(c int) bool {
	switch c & 0xff {
	case code.SQLITE_IOERR, code.SQLITE_CORRUPT, code.SQLITE_NOTADB:
		return true
	}
	return false
}
