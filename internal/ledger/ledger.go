package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ErrClosed is returned by a ledger after Close.
var ErrClosed = errors.New("ledger is closed")

// ErrReadOnly is returned where a ledger that was opened to read would have to write.
var ErrReadOnly = errors.New("ledger was opened read-only: open it without that to write")

// ErrDiskFull is returned where there is not enough space. Nothing was written, and what was there
// before is whole: the same call works when there is space again.
var ErrDiskFull = errors.New("the disk is full")

// Config says where a ledger lies and how it is kept.
type Config struct {
	Dir            string // the data directory; the ledger is Dir/ledger
	SegmentRecords int    // records in a sealed segment, at most MaxSegmentRecords; 0: 1<<20
	Throwaway      bool   // no fsync: for a directory that is removed at the end
	ReadOnly       bool   // take no lock exclusively, write nothing

	// Reserve is how many bytes of the file system appends leave free: when they would take less,
	// they return ErrDiskFull until there is space again. Sealing may use them, and gives more back
	// than it takes. 0: none; a process that runs for long wants DefaultReserve.
	Reserve int64

	disk disk             // nil: the operating system's
	now  func() time.Time // nil: time.Now
}

// DefaultReserve has room for the segment of any log, and for what lies beside the ledger.
const DefaultReserve = 512 << 20

const defaultSegmentRecords = 1 << 20

// Ledger is an open ledger. Its methods are safe for concurrent use.
type Ledger struct {
	cfg   Config
	dir   string // of the files
	disk  disk
	now   func() time.Time
	lock  *os.File
	unzip *zstd.Decoder

	// The writer's own, see append.go. Nobody else touches them while it runs.
	log     *logWriter
	open    *openPart
	frame   []byte
	batch   batch
	repeats repeats
	tight   bool          // the last frame found no space
	zip     *compressor   // of the seal in the background
	sealing chan struct{} // closed when that has ended; nil: there was none

	requests chan *request
	encoded  sync.Pool     // *[]byte, for the records of a request
	stop     chan struct{} // closed by Close
	done     chan struct{} // closed when the writer has ended

	mu     sync.Mutex
	sealed []viewPart   // appended to, else replaced: views have it
	gone   []*tombstone // by sequence; replaced, never changed
	holds  []Hold       // likewise
	frozen *frozenPart
	opened *viewPart // the open part as far as it is acknowledged; nil if it is empty
	failed error     // why nothing more is written
	closed bool
	onSeal func(p *Part, c *Chunk, references References)

	views        uint64              // that were taken
	viewing      map[uint64]struct{} // their numbers, of those that are open
	onViewClosed func()

	// justSealed is for the writer to remember: what comes next often begins at the time where
	// the segment ends.
	justSealed *knownSegment
}

// frozenPart is a part that is full and being sealed.
type frozenPart struct {
	*openPart
	view viewPart
	log  *logWriter

	// Of a seal that found no space; under mu.
	full  error
	free  int64 // bytes then, without what it took
	tried time.Time
}

// Open opens or makes the ledger and recovers what a crash left.
func Open(cfg Config) (*Ledger, error) {
	l, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

func open(cfg Config) (*Ledger, error) {
	if cfg.Dir == "" {
		return nil, errors.New("no directory is named: name one with --data")
	}
	if cfg.SegmentRecords < 0 || cfg.SegmentRecords > MaxSegmentRecords {
		return nil, fmt.Errorf("segments of %d records: give a number from 1 to %d", cfg.SegmentRecords, MaxSegmentRecords)
	}
	if cfg.Reserve < 0 {
		return nil, fmt.Errorf("a reserve of %d bytes: give a number that is not below 0", cfg.Reserve)
	}
	if cfg.SegmentRecords == 0 {
		cfg.SegmentRecords = defaultSegmentRecords
	}
	l := &Ledger{cfg: cfg, dir: filepath.Join(cfg.Dir, "ledger"), disk: cfg.disk, now: cfg.now}
	if l.disk == nil {
		l.disk = osDisk{cfg.Throwaway}
	}
	if l.now == nil {
		l.now = time.Now
	}
	var err error
	if l.unzip, err = newDecompressor(0); err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	if l.zip, err = newCompressor(); err != nil {
		return nil, err
	}
	l.repeats.zip = l.unzip
	l.encoded.New = func() any { return new([]byte) }
	if err := l.directories(); err != nil {
		return nil, err
	}
	if l.lock, err = lock(cfg.Dir, cfg.ReadOnly); err != nil {
		return nil, err
	}
	if err := l.recover(); err != nil {
		l.release()
		return nil, err
	}
	if !cfg.ReadOnly {
		l.requests = make(chan *request)
		l.stop, l.done = make(chan struct{}), make(chan struct{})
		go l.write()
	}
	return l, nil
}

// directories makes the data directory and the one of the files where they are missing.
func (l *Ledger) directories() error {
	if info, err := os.Stat(l.cfg.Dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file: name a directory with --data", l.cfg.Dir)
	}
	if l.cfg.ReadOnly {
		if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no ledger in %s: name the directory that was given to --data before", l.cfg.Dir)
		} else if err != nil {
			return fmt.Errorf("find ledger: %w%s", err, cure(err))
		}
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w%s", err, cure(err))
	}
	for _, dir := range []string{l.cfg.Dir, filepath.Dir(filepath.Clean(l.cfg.Dir))} {
		if err := l.disk.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync data directory: %w%s", err, cure(err))
		}
	}
	return nil
}

// Dir is the data directory.
func (l *Ledger) Dir() string { return l.cfg.Dir }

// Close seals nothing, waits for what is being written, and gives the directory free. Appends
// that were not yet taken return ErrClosed.
func (l *Ledger) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	if l.done != nil {
		close(l.stop)
		<-l.done
	}
	return l.release()
}

// release closes files and gives the lock free, last: nobody may come while we can still write.
func (l *Ledger) release() error {
	var err error
	if l.log != nil && l.log.f != nil {
		if e := l.log.f.Close(); e != nil {
			err = fmt.Errorf("close log: %w", e)
		}
	}
	if l.frozen != nil {
		l.frozen.log.f.Close() // synced long ago
	}
	if e := unlock(l.lock, !l.cfg.ReadOnly); e != nil {
		err = errors.Join(err, fmt.Errorf("unlock: %w", e))
	}
	return err
}

// publish makes the open part seen as it is now.
func (l *Ledger) publish() {
	var v *viewPart
	if l.open.count() > 0 {
		p := l.open.view(l.log.end)
		v = &p
	}
	l.mu.Lock()
	l.opened = v
	l.mu.Unlock()
}

// fail stops the writer for good; the first error stays.
func (l *Ledger) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
	return l.failed
}

// Failed says why nothing more is written until the ledger is opened again, or nil.
func (l *Ledger) Failed() error { return l.failure() }

// failure gives why nothing more is written, or nil.
func (l *Ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
