package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var errFault = errors.New("fault")

// fault is what happens at one durable operation.
type fault int

const (
	failed     fault = iota // it is not done, and says so; others work
	persisted               // it is done, but says that it failed
	killed                  // it is not done, and nothing after it
	halfDone                // of a write the first half is done, and nothing after it
	torn                    // of a write every other sector is done, and nothing after it
	powerLost               // like killed; and what was not synced is as it was
	powerZeros              // like powerLost, but files have their new length, with zeros
	powerMixed              // like powerLost, but what was written stays, synced or not
	faults
)

func (f fault) String() string {
	return [...]string{"failed", "persisted", "killed", "half done", "torn", "power lost", "power lost, zeros", "power lost, mixed"}[f]
}

// faultyDisk does what its fault says at operation number at, counted from 1.
type faultyDisk struct {
	ledger.Disk
	fault fault
	at    int

	mu    sync.Mutex
	n     int
	hit   bool
	dead  bool
	files map[string]*content
	undo  []func() // of the operations on the directory since it was synced
}

// content is a file as it was when it was last synced.
type content struct{ synced []byte }

// do does an operation, or what the fault makes of it.
func (d *faultyDisk) do(op, half func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errFault
	}
	d.n++
	if d.n != d.at {
		return op()
	}
	d.hit = true
	switch d.fault {
	case failed:
	case persisted:
		if err := op(); err != nil {
			return err
		}
	case halfDone, torn:
		d.dead = true
		if half != nil {
			return errors.Join(errFault, half())
		}
	default:
		d.dead = true
	}
	return errFault
}

func (d *faultyDisk) Create(name string) (f ledger.File, err error) {
	err = d.do(func() error {
		f, err = d.Disk.Create(name)
		if err == nil {
			d.files[name] = &content{}
			d.undo = append(d.undo, func() { os.Remove(name); delete(d.files, name) })
		}
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d, d.files[name], name}, nil
}

func (d *faultyDisk) Open(name string) (ledger.File, error) {
	f, err := d.Disk.Open(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil { // it was made past us
		d.files[name] = &content{}
	}
	return &faultyFile{f, d, d.files[name], name}, nil
}

func (d *faultyDisk) Rename(from, to string) error {
	return d.do(func() error {
		was, before := d.files[to], []byte(nil)
		if was != nil { // it is replaced
			var err error
			if before, err = os.ReadFile(to); err != nil {
				return err
			}
		}
		if err := d.Disk.Rename(from, to); err != nil {
			return err
		}
		if info, err := os.Stat(to); err == nil && info.IsDir() {
			d.moved(from, to)
			d.undo = append(d.undo, func() { os.Rename(to, from); d.moved(to, from) })
			return nil
		}
		c := d.files[from]
		if c == nil { // it was made past us
			c = &content{}
		}
		delete(d.files, from)
		d.files[to] = c
		d.undo = append(d.undo, func() {
			os.Rename(to, from)
			d.files[from] = c
			delete(d.files, to)
			if was != nil {
				os.WriteFile(to, before, 0o600)
				d.files[to] = was
			}
		})
		return nil
	}, nil)
}

// moved has the files of a directory under its new name.
func (d *faultyDisk) moved(from, to string) {
	for name, c := range d.files {
		if rest, ok := strings.CutPrefix(name, from+"/"); ok {
			delete(d.files, name)
			d.files[filepath.Join(to, rest)] = c
		}
	}
}

func (d *faultyDisk) Remove(name string) error {
	return d.do(func() error {
		was, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		c := d.files[name]
		if c == nil { // it was made past us
			c = &content{}
		}
		delete(d.files, name)
		d.undo = append(d.undo, func() { os.WriteFile(name, was, 0o600); d.files[name] = c })
		return d.Disk.Remove(name)
	}, nil)
}

func (d *faultyDisk) SyncDir(name string) error {
	return d.do(func() error { d.undo = nil; return d.Disk.SyncDir(name) }, nil)
}

type faultyFile struct {
	ledger.File
	d    *faultyDisk
	c    *content
	name string
}

func (f *faultyFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.d.do(
		func() error { n, err = f.File.WriteAt(b, at); return err },
		func() error {
			if f.d.fault == torn {
				return f.tear(b, at)
			}
			_, err := f.File.WriteAt(b[:len(b)/2], at)
			return err
		})
	return n, err
}

// tear writes every other sector, from the first or the second on. The file has its length.
func (f *faultyFile) tear(b []byte, at int64) error {
	const sector = 512
	if info, err := os.Stat(f.name); err == nil && info.Size() < at+int64(len(b)) {
		if err := f.File.Truncate(at + int64(len(b))); err != nil {
			return err
		}
	}
	for from := f.d.at % 2 * sector; from < len(b); from += 2 * sector {
		if _, err := f.File.WriteAt(b[from:min(from+sector, len(b))], at+int64(from)); err != nil {
			return err
		}
	}
	return nil
}

func (f *faultyFile) Truncate(size int64) error {
	return f.d.do(func() error { return f.File.Truncate(size) }, nil)
}

func (f *faultyFile) Sync() error {
	return f.d.do(func() error {
		for name, c := range f.d.files {
			if c == f.c {
				b, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				c.synced = b
			}
		}
		return nil
	}, nil)
}

// crash leaves on disk what a loss of power would. The ledger must be closed.
func (d *faultyDisk) crash(t *testing.T) {
	t.Helper()
	if d.fault < powerLost {
		return
	}
	if d.fault != powerMixed || d.at%2 == 0 { // the directory may be newer than what is in it
		for i := range d.undo {
			d.undo[len(d.undo)-1-i]()
		}
	}
	for name, c := range d.files {
		now, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch d.fault {
		case powerLost:
			now = c.synced
		case powerZeros:
			if len(now) > len(c.synced) {
				clear(now[len(c.synced):])
			}
		}
		if err := os.WriteFile(name, now, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newFaultyDisk(t *testing.T, dir string, f fault, at int) *faultyDisk {
	d := &faultyDisk{Disk: ledger.OSDisk(), fault: f, at: at, files: map[string]*content{}}
	for _, name := range regularFiles(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d.files[name] = &content{synced: b}
	}
	return d
}

// regularFiles gives the files in a directory that are more than nothing or a lock.
func regularFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != "lock" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

const faultSegment = 16

// work appends records until something fails, and says how many were acknowledged, how many more
// may be there, and whether the ledger was opened at all.
func work(t *testing.T, dir string, d ledger.Disk, all []whosaw.Record) (acknowledged, perhaps int) {
	t.Helper()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: faultSegment}, d)
	if err != nil {
		if !errors.Is(err, errFault) {
			t.Fatalf("open: %v", err)
		}
		return 0, 0
	}
	defer l.Close()
	for acknowledged < len(all) {
		n := min(1+acknowledged%9, len(all)-acknowledged)
		if acknowledged > 30 {
			n = len(all) - acknowledged // over several segments
		}
		receipts, err := l.Append(ctx, all[acknowledged:acknowledged+n])
		if err == nil && (acknowledged+n)%4 == 0 {
			acknowledged += n
			err = l.Seal(ctx)
			receipts, n = nil, 0
		}
		if err != nil {
			if !errors.Is(err, errFault) || receipts != nil {
				t.Fatalf("append: %v with %v", err, receipts)
			}
			for range 2 {
				if _, err := l.Append(ctx, all[:1]); err == nil {
					t.Fatal("the ledger goes on after a failed write")
				}
			}
			checkRecords(t, view(t, l, uint64(acknowledged)), all[:acknowledged]) // reading goes on
			return acknowledged, n
		}
		acknowledged += n
	}
	if err := l.Close(); err != nil && !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	return acknowledged, 0
}

// recovered opens the ledger that a fault left and checks that all that was acknowledged is
// there once, and nothing that was not sent. Then it goes on to the end.
func recovered(t *testing.T, dir string, all []whosaw.Record, acknowledged, perhaps int) {
	t.Helper()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: faultSegment}, ledger.OSDisk())
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	defer closing(t, l)
	there := int(view(t, l, 0).Last())
	if there < acknowledged || there > acknowledged+perhaps {
		t.Fatalf("%d records are there, %d were acknowledged and %d more sent", there, acknowledged, perhaps)
	}
	checkRecords(t, view(t, l, 0), all[:there])
	appendAll(t, l, all[:there], ledger.Repeat)
	appendAll(t, l, all[there:], ledger.Accepted)
	checkRecords(t, view(t, l, 0), all)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	checkRecords(t, view(t, l, 0), all)
	names, err := os.ReadDir(filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".tmp") {
			t.Errorf("%s was left behind", n.Name())
		}
	}
}

// TestFaults puts each fault at each durable operation of a ledger's life.
func TestFaults(t *testing.T) {
	all := numbered(0, 64)
	for f := range faults {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			at := 1
			for ; ; at++ {
				dir := t.TempDir()
				d := newFaultyDisk(t, dir, f, at)
				acknowledged, perhaps := work(t, dir, d, all)
				if !d.hit {
					break
				}
				d.crash(t)
				recovered(t, dir, all, acknowledged, perhaps)
				if t.Failed() {
					t.Fatalf("with the fault at operation %d", at)
				}
			}
			if at < 50 {
				t.Fatalf("only %d durable operations", at)
			}
			t.Logf("%d durable operations", at-1)
		})
	}
}

// TestFaultsInRecovery has a second fault while the first is being recovered from.
func TestFaultsInRecovery(t *testing.T) {
	all := numbered(0, 50)
	for _, first := range []fault{halfDone, powerZeros} {
		for _, second := range []fault{failed, persisted, killed, powerLost, powerZeros} {
			t.Run(fmt.Sprintf("%v, then %v", first, second), func(t *testing.T) {
				t.Parallel()
				for at := 3; ; at += 9 {
					dir := t.TempDir()
					d := newFaultyDisk(t, dir, first, at)
					acknowledged, perhaps := work(t, dir, d, all)
					if !d.hit {
						break
					}
					d.crash(t)
					for again := 1; ; again++ {
						dir2 := t.TempDir()
						if err := os.CopyFS(dir2, os.DirFS(dir)); err != nil {
							t.Fatal(err)
						}
						d := newFaultyDisk(t, dir2, second, again)
						l, err := ledger.OpenOn(ledger.Config{Dir: dir2, SegmentRecords: faultSegment}, d)
						if err == nil {
							l.Close()
						} else if !errors.Is(err, errFault) {
							t.Fatal(err)
						}
						if !d.hit {
							break
						}
						d.crash(t)
						recovered(t, dir2, all, acknowledged, perhaps)
						if t.Failed() {
							t.Fatalf("with faults at operations %d and %d", at, again)
						}
					}
				}
			})
		}
	}
}

// TestFailedWrite holds that a person is told what to do. TestFullDisk has the fault that passes.
func TestFailedWrite(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{{syscall.EROFS, "make the directory writable"}, {syscall.EIO, "keep a copy"}} {
		l, err := ledger.OpenOn(ledger.Config{Dir: t.TempDir()}, failingDisk{ledger.OSDisk(), c.err})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Append(ctx, numbered(0, 5))
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "opened again") {
			t.Errorf("append: %v", err)
		}
		closing(t, l)
	}
}

// failingDisk fails every write but those of a header.
type failingDisk struct {
	ledger.Disk
	err error
}

func (d failingDisk) Create(name string) (ledger.File, error) {
	f, err := d.Disk.Create(name)
	return failingFile{f, d.err}, err
}

type failingFile struct {
	ledger.File
	err error
}

func (f failingFile) WriteAt(b []byte, at int64) (int, error) {
	if at > 0 {
		return 0, f.err
	}
	return f.File.WriteAt(b, at)
}

// TestFailedSyncIsWrittenAgain holds that a frame that may be in the system's cache only is
// written anew at recovery: a second sync alone would say that all is well.
func TestFailedSyncIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir}, ledger.OSDisk())
	if err != nil {
		t.Fatal(err)
	}
	all := numbered(0, 10)
	appendAll(t, l, all, ledger.Accepted)
	closing(t, l)
	d := &recordingDisk{Disk: ledger.OSDisk()}
	if l, err = ledger.OpenOn(ledger.Config{Dir: dir}, d); err != nil {
		t.Fatal(err)
	}
	defer closing(t, l)
	if diff := cmp.Diff([]string{"write 512 at 512", "sync"}, d.did); diff != "" {
		t.Fatal(diff)
	}
}

// recordingDisk notes what is done to files that were there.
type recordingDisk struct {
	ledger.Disk
	did []string
}

func (d *recordingDisk) Open(name string) (ledger.File, error) {
	f, err := d.Disk.Open(name)
	return &recordingFile{f, d}, err
}

type recordingFile struct {
	ledger.File
	d *recordingDisk
}

func (f *recordingFile) WriteAt(b []byte, at int64) (int, error) {
	f.d.did = append(f.d.did, fmt.Sprintf("write %d at %d", len(b), at))
	return f.File.WriteAt(b, at)
}

func (f *recordingFile) Sync() error {
	f.d.did = append(f.d.did, "sync")
	return f.File.Sync()
}
