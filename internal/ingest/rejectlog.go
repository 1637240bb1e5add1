package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// RejectLog keeps the rejected lines of live sources in a file, mode 0600. A full file becomes NAME.1, in the place of the one
// before, and the next begins: the newest lines are there, and never more than twice the limit. Safe for concurrent use.
type RejectLog struct {
	mu    sync.Mutex
	path  string
	limit int64
	f     *os.File
	size  int64
}

// OpenRejectLog opens the file or makes it. limit is its greatest size in bytes; 0: 64 MiB.
func OpenRejectLog(path string, limit int64) (*RejectLog, error) {
	if limit <= 0 {
		limit = 64 << 20
	}
	l := &RejectLog{path: path, limit: limit}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *RejectLog) open() error {
	if info, err := os.Lstat(l.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("write rejects to %s: it is not a file; move it away", l.path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at reject file: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open reject file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("look at reject file: %w", err), f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Path is the file's name.
func (l *RejectLog) Path() string { return l.path }

// Add appends lines. After an error none of them is in the file.
func (l *RejectLog) Add(lines []RejectedLine) error {
	if len(lines) == 0 {
		return nil
	}
	var data []byte
	for i := range lines {
		data = append(data, encodeReject(lines[i].Reject, lines[i].Raw)...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(data)) > l.limit {
		err := l.f.Close()
		l.f = nil
		if err == nil {
			err = os.Rename(l.path, l.path+".1")
		}
		if err == nil {
			err = l.open()
		}
		if err != nil {
			return fmt.Errorf("begin a new reject file: %w", err)
		}
	}
	n, err := l.f.Write(data)
	if err != nil {
		text := ""
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			text = "; the disk of the data directory is full: free some"
		}
		if e := l.f.Truncate(l.size); e != nil { // half a line would spoil the next
			l.size += int64(n)
			err = errors.Join(err, e)
		}
		return fmt.Errorf("write reject file: %w%s", err, text)
	}
	l.size += int64(n)
	return nil
}

// Close closes the file.
func (l *RejectLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	if err != nil {
		return fmt.Errorf("close reject file: %w", err)
	}
	return nil
}
