package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// fullDisk has no space for some operations: a write leaves its first half, a file is not made.
type fullDisk struct {
	ledger.Disk
	mu       sync.Mutex
	n        int
	from, to int   // the operations without space, counted from 1
	free     int64 // what Free says; 0: nothing is known
	hits     int
}

func (d *fullDisk) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.n >= d.from && d.n < d.to {
		d.hits++
		return true
	}
	return false
}

func (d *fullDisk) Free(string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free == 0 {
		return 0, errors.ErrUnsupported
	}
	return d.free, nil
}

func (d *fullDisk) Create(name string) (ledger.File, error) {
	if d.full() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	f, err := d.Disk.Create(name)
	return &fullFile{f, d}, err
}

func (d *fullDisk) Open(name string) (ledger.File, error) {
	f, err := d.Disk.Open(name)
	return &fullFile{f, d}, err
}

type fullFile struct {
	ledger.File
	d *fullDisk
}

func (f *fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.d.full() {
		n, err := f.File.WriteAt(b[:len(b)/2], at)
		return n, errors.Join(err, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	}
	return f.File.WriteAt(b, at)
}

// clock goes on a little each time it is asked.
func clock(step time.Duration) func() time.Time {
	var n atomic.Int64
	return func() time.Time { return backupTime.Add(time.Duration(n.Add(1)) * step) }
}

// TestFullDisk takes the space at each operation, for one or some, and gives it back: the ledger says so,
// reads on, takes records again by itself, and has each once.
func TestFullDisk(t *testing.T) {
	all := numbered(0, 90)
	for _, length := range []int{1, 2, 3, 7} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			refused := 0
			for at := 2; ; at++ { // 1 is the first log, without which there is no ledger
				dir := t.TempDir()
				d := &fullDisk{Disk: ledger.OSDisk(), from: at, to: at + length}
				cfg := ledger.Config{Dir: dir, SegmentRecords: faultSegment}.At(clock(4 * time.Second))
				l, err := ledger.OpenOn(cfg, d)
				if at <= 2 && err != nil { // the header of the first log
					if !strings.Contains(err.Error(), "free some space") {
						t.Fatal(err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				again := func(what string, n, more int, fn func() error) {
					for tries := 0; ; tries++ {
						err := fn()
						if err == nil {
							return
						}
						refused++
						if !errors.Is(err, ledger.ErrDiskFull) || !strings.Contains(err.Error(), "free some space") || tries > 40 {
							t.Fatalf("%s with the disk full at operation %d: %v", what, at, err)
						}
						v := view(t, l, 0) // a call over two parts may have a first half
						if last := int(v.Last()); last < n || last >= n+max(more, 1) {
							t.Fatalf("%d records are there, %d were acknowledged and %d more sent", last, n, more)
						}
						checkRecords(t, v, all[:v.Last()])
					}
				}
				for n := 0; n < len(all); {
					more := min(1+n%9, len(all)-n)
					again("append", n, more, func() error {
						receipts, err := l.Append(ctx, all[n:n+more])
						for i, r := range receipts {
							if r.Ack == ledger.Conflict || r.Sequence != uint64(n+i+1) {
								t.Fatalf("with the disk full at operation %d: %v, want sequence %d", at, r, n+i+1)
							}
						}
						return err
					})
					if n += more; n%4 == 0 {
						again("seal", n, 0, func() error { return l.Seal(ctx) })
					}
				}
				check(t, view(t, l, 0), all)
				appendAll(t, l, all, ledger.Repeat)
				closing(t, l)
				if d.hits == 0 {
					if at < 30 {
						t.Fatalf("only %d operations", at)
					}
					break
				}
				recovered(t, dir, all, len(all), 0)
				if t.Failed() {
					t.Fatalf("with the disk full at operation %d", at)
				}
			}
			if refused == 0 {
				t.Fatal("nothing was refused")
			}
			t.Logf("%d calls refused", refused)
		})
	}
}

// TestFullDiskFromASealOn has space for frames and none for the segment: records are taken until the
// next part is full too.
func TestFullDiskFromASealOn(t *testing.T) {
	all := numbered(0, 100)
	d := &noSegments{Disk: ledger.OSDisk()}
	d.full.Store(true)
	dir := t.TempDir()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: 20}.At(clock(time.Nanosecond)), d)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; n < len(all); n++ {
		if _, err = l.Append(ctx, all[n:n+1]); err != nil {
			break
		}
	}
	if n != 40 || !errors.Is(err, ledger.ErrDiskFull) {
		t.Fatalf("after %d records: %v", n, err)
	}
	tries := d.tries.Load()
	for range 20 {
		if _, err := l.Append(ctx, all[n:n+1]); !errors.Is(err, ledger.ErrDiskFull) {
			t.Fatal(err)
		}
	}
	if now := d.tries.Load(); now != tries {
		t.Errorf("the segment was tried %d times without new space", now-tries)
	}
	checkRecords(t, view(t, l, 0), all[:n])
	backup := filepath.Join(t.TempDir(), "backup")
	if b, err := l.Backup(ctx, ledger.BackupConfig{To: backup}); err != nil || b.Manifest.Sequence != 40 {
		t.Fatalf("backup: %v to %d", err, b.Manifest.Sequence)
	}
	d.full.Store(false)
	d.free.Add(10 << 20)
	appendAll(t, l, all[n:], ledger.Accepted)
	check(t, view(t, l, 0), all)
	closing(t, l)
	recovered(t, dir, all, len(all), 0)
}

// noSegments has no space for segments.
type noSegments struct {
	ledger.Disk
	full  atomic.Bool
	free  atomic.Int64
	tries atomic.Int64
}

func (d *noSegments) Free(string) (int64, error) { return d.free.Load(), nil }

func (d *noSegments) Create(name string) (ledger.File, error) {
	if strings.Contains(name, ".seg") {
		d.tries.Add(1)
		if d.full.Load() {
			return nil, syscall.ENOSPC
		}
	}
	return d.Disk.Create(name)
}

// TestReserve holds that appends leave a reserve free, write nothing when they may not, and that what is
// taken already can still be sealed.
func TestReserve(t *testing.T) {
	all := numbered(0, 60)
	d := &fullDisk{Disk: ledger.OSDisk(), free: 1000}
	dir := t.TempDir()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: 100, Reserve: 10_000}, d)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(records []whosaw.Record) {
		t.Helper()
		before := contents(t, dir)
		if _, err := l.Append(ctx, records); !errors.Is(err, ledger.ErrDiskFull) || !strings.Contains(err.Error(), "kept in reserve; free some space") {
			t.Fatal(err)
		}
		if now := contents(t, dir); now != before {
			t.Fatal("a refused append wrote something")
		}
	}
	refuse(all[:10])
	d.free = 100_000
	appendAll(t, l, all[:40], ledger.Accepted)
	d.free = 10_400 // not even one block
	refuse(all[40:41])
	d.free = 10_600
	appendAll(t, l, all[40:41], ledger.Accepted)
	d.free = 0 // not known: then only a write can tell
	appendAll(t, l, all[41:42], ledger.Accepted)
	d.free = 1
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	refuse(all[42:])
	d.free = 1 << 30
	appendAll(t, l, all[42:], ledger.Accepted)
	check(t, view(t, l, 0), all)
	closing(t, l)
	if _, err := ledger.Open(ledger.Config{Dir: dir, Reserve: -1}); err == nil || !strings.Contains(err.Error(), "not below 0") {
		t.Errorf("a reserve below 0: %v", err)
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range regularFiles(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %q\n", name, b)
	}
	return all.String()
}

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountSmall(dir, size); err != nil {
		t.Skipf("NOT TESTED: a real full disk: mounting a small file system is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestRealFullDisk fills a real file system from several goroutines, with and without a reserve, gives space
// back, and counts.
func TestRealFullDisk(t *testing.T) {
	for _, reserve := range []int64{0, 1 << 18} {
		t.Run(fmt.Sprint(reserve), func(t *testing.T) {
			disk := smallDisk(t, "12m")
			ballast := filepath.Join(disk, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 11<<20+1<<19), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(disk, "data")
			cfg := ledger.Config{Dir: dir, SegmentRecords: 2000, Reserve: reserve}.At(clock(time.Second))
			l := open(t, cfg)
			const writers, each = 4, 8_000
			var refused, sent atomic.Int64
			full := make(chan struct{}, 1)
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 2))
					batch := numbered(w*1_000_000, each)
					for i := range batch { // random: so it does not get smaller
						batch[i].Request = fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
					}
					for n := 0; n < each; {
						more := min(1+rng.IntN(60), each-n)
						_, err := l.Append(ctx, batch[n:n+more])
						switch {
						case errors.Is(err, ledger.ErrDiskFull):
							refused.Add(1)
							select {
							case full <- struct{}{}:
							default:
							}
						case err != nil:
							t.Errorf("append: %v", err)
							return
						default:
							n += more
							sent.Add(int64(more))
						}
					}
				})
			}
			finished := make(chan struct{})
			go func() { group.Wait(); close(finished) }()
			select {
			case <-full:
			case <-finished:
				t.Fatal("the disk was never full")
			}
			if free, _, err := ledger.Space(dir); err != nil || free < reserve-1<<17 {
				t.Errorf("%d bytes are free, the reserve is %d, %v", free, reserve, err)
			}
			if last := view(t, l, 0).Last(); last == 0 || last >= writers*each {
				t.Errorf("the disk was full at %d records", last)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			<-finished
			if t.Failed() {
				return
			}
			closing(t, l)
			l = open(t, cfg)
			defer closing(t, l)
			seen := map[int64]bool{}
			err := view(t, l, 0).Records(ctx, 0, func(seq uint64, r *whosaw.Record) error {
				if seen[r.Position] || seq != uint64(len(seen)+1) {
					return fmt.Errorf("sequence %d: a record is there twice, or one is missing", seq)
				}
				seen[r.Position] = true
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) != writers*each || sent.Load() != writers*each {
				t.Fatalf("%d records are there, %d acknowledged, %d sent", len(seen), sent.Load(), writers*each)
			}
			t.Logf("%d calls refused while it was full", refused.Load())

			// A backup for which there is no space leaves the one before.
			to := filepath.Join(smallDisk(t, "3m"), "backup")
			small := open(t, ledger.Config{Dir: t.TempDir(), Throwaway: true})
			defer closing(t, small)
			appendAll(t, small, numbered(0, 5000), ledger.Accepted)
			backup(t, small, to)
			appendAll(t, small, numbered(5000, 100_000), ledger.Accepted)
			if _, err := small.Backup(ctx, ledger.BackupConfig{To: to}); !errors.Is(err, ledger.ErrDiskFull) || !strings.Contains(err.Error(), "the backup that was there before is whole") {
				t.Fatalf("backup to a small disk: %v", err)
			}
			if m := checkBackup(t, to); m.Sequence != 5000 {
				t.Fatalf("the backup goes to %d", m.Sequence)
			}
		})
	}
}

// TestClockGoesBack has a clock that goes back with each look at it, for weeks, and records whose times do: what waits for
// the clock does not wait for the time to come again, and each record is there once, however often it is sent.
func TestClockGoesBack(t *testing.T) {
	all := numbered(0, 200)
	for i := range all {
		all[i].Time -= int64(i) * 3 * 3_600_000
	}
	d := &noSegments{Disk: ledger.OSDisk()}
	d.full.Store(true)
	dir := t.TempDir()
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: 40}.At(clock(-11*time.Hour)), d)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, all[:40], ledger.Accepted)
	appendAll(t, l, all[40:50], ledger.Accepted)
	if err := l.Seal(ctx); !errors.Is(err, ledger.ErrDiskFull) {
		t.Fatalf("sealing without space: %v", err)
	}
	before := d.tries.Load()
	d.full.Store(false) // and Free says the same as before
	appendAll(t, l, all[50:60], ledger.Accepted)
	if err := l.Seal(ctx); err != nil || d.tries.Load() == before {
		t.Fatalf("with space again, after %d tries: %v", d.tries.Load()-before, err)
	}
	for at := 60; at < len(all); at += 20 {
		appendAll(t, l, all[at:at+20], ledger.Accepted)
		appendAll(t, l, all[at-30:at+20], ledger.Repeat)
	}
	closing(t, l)
	l = open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	appendAll(t, l, all, ledger.Repeat)
	check(t, view(t, l, 0), all)
	closing(t, l)
	verify(t, dir, nil)
}

// cuttingDisk has too little space when it is told so, and forgets at a loss of power that a file was cut short, unless it was synced since.
type cuttingDisk struct {
	ledger.Disk
	mu   sync.Mutex
	full bool
	dead bool              // nothing is done any more
	cut  map[string][]byte // what stood behind the new end, by file
	size map[string]int64  // and where
}

func (d *cuttingDisk) Create(name string) (ledger.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead = d.dead || strings.HasSuffix(name, ".seg.tmp"); d.dead {
		return nil, errFault
	}
	f, err := d.Disk.Create(name)
	return &cuttingFile{f, d, strings.TrimSuffix(name, ".tmp")}, err
}

func (d *cuttingDisk) Open(name string) (ledger.File, error) {
	f, err := d.Disk.Open(name)
	return &cuttingFile{f, d, name}, err
}

// crash has the cuts that were not synced never have been.
func (d *cuttingDisk) crash(t *testing.T) (back int) {
	t.Helper()
	for name, b := range d.cut {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, d.size[name]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		back += len(b)
	}
	return back
}

type cuttingFile struct {
	ledger.File
	d    *cuttingDisk
	name string
}

func (f *cuttingFile) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.full {
		n, err := f.File.WriteAt(b[:len(b)/2], at)
		return n, errors.Join(err, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	}
	return f.File.WriteAt(b, at)
}

func (f *cuttingFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	b, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	if int64(len(b)) > size {
		f.d.cut[f.name], f.d.size[f.name] = b[size:], size
	}
	return f.File.Truncate(size)
}

func (f *cuttingFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.cut, f.name)
	return f.File.Sync()
}

// TestCutAfterFullDiskLasts fills the disk twice: the second append only tries whether there is space, and cuts off what it tried with. Then the log is
// full, the next begins, and the power goes before the segment is there: the log must end where it ended, for behind another nothing torn is taken.
func TestCutAfterFullDiskLasts(t *testing.T) {
	dir, all := t.TempDir(), numbered(0, 40)
	d := &cuttingDisk{Disk: ledger.OSDisk(), cut: map[string][]byte{}, size: map[string]int64{}}
	l, err := ledger.OpenOn(ledger.Config{Dir: dir}, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, all[:10]); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.full = true
	d.mu.Unlock()
	for range 2 {
		if _, err := l.Append(ctx, all[10:]); !errors.Is(err, ledger.ErrDiskFull) {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	d.mu.Lock()
	d.full = false
	d.mu.Unlock()
	if err := l.Seal(ctx); err == nil {
		t.Fatal("the segment was made: this test shows nothing")
	}
	_ = l.Close() // it failed
	if back := d.crash(t); back > 0 {
		t.Logf("%d bytes come back that were cut off", back)
	}
	l, err = ledger.Open(ledger.Config{Dir: dir, Throwaway: true})
	if err != nil {
		t.Fatalf("after a loss of power: %v", err)
	}
	defer closing(t, l)
	checkRecords(t, view(t, l, 0), all[:10])
}
