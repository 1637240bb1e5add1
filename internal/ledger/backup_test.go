package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var backupTime = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// extra is a file beside the ledger.
func extra(name, content string) ledger.Extra {
	return ledger.Extra{Name: name, Write: func(_ context.Context, path string) error {
		return os.WriteFile(path, []byte(content), 0o600)
	}}
}

func backup(t *testing.T, l *ledger.Ledger, to string, extras ...ledger.Extra) ledger.Backup {
	t.Helper()
	b, err := l.Backup(ctx, ledger.BackupConfig{To: to, Whosaw: "test", When: backupTime, Extra: extras})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restored restores a backup and gives where to.
func restored(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if _, err := ledger.RestoreOn(ctx, ledger.RestoreConfig{From: from, To: to}, ledger.OSDisk()); err != nil {
		t.Fatal(err)
	}
	return to
}

// checkRestored restores a backup and compares the records; then it goes on with the ledger.
func checkRestored(t *testing.T, from string, want []whosaw.Record) string {
	t.Helper()
	to := restored(t, from)
	l := open(t, ledger.Config{Dir: to, SegmentRecords: faultSegment, Throwaway: true})
	defer closing(t, l)
	checkRecords(t, view(t, l, 0), want)
	appendAll(t, l, want, ledger.Repeat)
	appendAll(t, l, numbered(1_000_000, 3), ledger.Accepted)
	return to
}

// checkBackup verifies a backup, and that nothing else lies there.
func checkBackup(t *testing.T, dir string) ledger.Manifest {
	t.Helper()
	m, err := ledger.VerifyBackup(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{filepath.Join(dir, "manifest.json"): true}
	for _, f := range m.Files {
		named[filepath.Join(dir, f.Path)] = true
	}
	for _, name := range regularFiles(t, dir) {
		if !named[name] {
			t.Errorf("%s is left in the backup", name)
		}
	}
	return m
}

// TestBackup takes a backup after each few records, sealed and not, and restores each.
func TestBackup(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "a", "b")
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: faultSegment, Throwaway: true})
	defer func() { closing(t, l) }()
	all := numbered(0, 200)
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; ; {
		b := backup(t, l, to, extra("catalog.yaml", "a: 1\n"), extra("state.db", fmt.Sprint(n/20)))
		if b.Manifest.Sequence != uint64(n) {
			t.Fatalf("backup of %d records says %d", n, b.Manifest.Sequence)
		}
		checkBackup(t, to)
		data := checkRestored(t, to, all[:n])
		if state, err := os.ReadFile(filepath.Join(data, "state.db")); err != nil || string(state) != fmt.Sprint(n/20) {
			t.Fatalf("state.db restored as %q, %v", state, err)
		}
		if n == len(all) {
			break
		}
		more := min(rng.IntN(30), len(all)-n)
		appendAll(t, l, all[n:n+more], ledger.Accepted)
		n += more
		switch rng.IntN(4) {
		case 0:
			if err := l.Seal(ctx); err != nil {
				t.Fatal(err)
			}
		case 1:
			closing(t, l)
			l = open(t, ledger.Config{Dir: dir, SegmentRecords: faultSegment, Throwaway: true})
		}
	}
}

// TestBackupIsIncremental counts the bytes that are copied.
func TestBackupIsIncremental(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 1000, Throwaway: true})
	defer closing(t, l)
	all := numbered(0, 10_000)
	appendAll(t, l, all[:5_500], ledger.Accepted)
	config := extra("whosaw.yaml", "listen: 127.0.0.1:8470\n")
	first := backup(t, l, to, config)
	manifest := func(b ledger.Backup) int64 {
		info, err := os.Stat(filepath.Join(to, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if want := first.Manifest.Bytes() + manifest(first); first.Copied != want {
		t.Errorf("the first backup copied %d bytes, want %d", first.Copied, want)
	}
	second := backup(t, l, to, config)
	if want := manifest(second); second.Copied != want {
		t.Errorf("a backup of nothing new copied %d bytes, want the manifest's %d", second.Copied, want)
	}
	logSize := func() int64 {
		names, err := filepath.Glob(filepath.Join(dir, "ledger", "*.log"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		info, err := os.Stat(names[0])
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	was := logSize()
	appendAll(t, l, all[5_500:5_501], ledger.Accepted)
	third := backup(t, l, to, config)
	if want := logSize() - was + manifest(third); third.Copied != want {
		t.Errorf("a backup of one record more copied %d bytes, want %d", third.Copied, want)
	}
	appendAll(t, l, all[5_501:7_200], ledger.Accepted) // the log is sealed, and one more segment made
	fourth := backup(t, l, to, config)
	want := logSize() + manifest(fourth)
	for _, f := range fourth.Manifest.Files {
		if f.First > 5_000 && strings.HasSuffix(f.As, ".seg") {
			want += f.Size
		}
	}
	if fourth.Copied != want {
		t.Errorf("a backup over a seal copied %d bytes, want %d", fourth.Copied, want)
	}
	checkBackup(t, to)
	checkRestored(t, to, all[:7_200])
}

// TestBackupMergesPieces holds that a log backed up every minute does not come to thousands of files.
func TestBackupMergesPieces(t *testing.T) {
	to := t.TempDir()
	l := open(t, ledger.Config{Dir: t.TempDir(), Throwaway: true})
	defer closing(t, l)
	all := numbered(0, 230)
	most := 0
	for i := range all {
		appendAll(t, l, all[i:i+1], ledger.Accepted)
		most = max(most, len(backup(t, l, to).Manifest.Files))
	}
	if most != 100 {
		t.Errorf("there were %d pieces at most, want 100", most)
	}
	checkBackup(t, to)
	checkRestored(t, to, all)
}

// TestBackupWhileAppending backs up under appends of several goroutines: what was acknowledged before a
// backup began is in it, once, and sequences have no holes.
func TestBackupWhileAppending(t *testing.T) {
	to := t.TempDir()
	l := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: 1000, Throwaway: true})
	defer closing(t, l)
	const writers = 4
	var acknowledged [writers]atomic.Int64 // records of each, in its order
	stop := make(chan struct{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := 0; ; {
				select {
				case <-stop:
					return
				default:
				}
				batch := numbered(w*1_000_000+n, 1+rng.IntN(20))
				if _, err := l.Append(ctx, batch); err != nil {
					t.Error(err)
					return
				}
				n += len(batch)
				acknowledged[w].Store(int64(n))
			}
		})
	}
	defer group.Wait()
	defer close(stop)
	for range 12 {
		var before [writers]int64
		for w := range writers {
			before[w] = acknowledged[w].Load()
		}
		b := backup(t, l, to)
		checkBackup(t, to)
		r := open(t, ledger.Config{Dir: restored(t, to), ReadOnly: true})
		var next [writers]int64
		want := uint64(1)
		err := view(t, r, 0).Records(ctx, 0, func(seq uint64, r *whosaw.Record) error {
			k := r.Position / 100
			w, n := k/1_000_000, k%1_000_000
			if seq != want || n != next[w] {
				return fmt.Errorf("sequence %d where %d is due, record %d of writer %d where %d is due", seq, want, n, w, next[w])
			}
			if expected := numbered(int(k), 1); !bytes.Equal(canonical(t, r), canonical(t, &expected[0])) {
				return fmt.Errorf("sequence %d is not as it was sent", seq)
			}
			want++
			next[w]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want-1 != b.Manifest.Sequence {
			t.Fatalf("%d records restored, the manifest says %d", want-1, b.Manifest.Sequence)
		}
		for w := range writers {
			if next[w] < before[w] {
				t.Fatalf("writer %d had %d records acknowledged before the backup began, %d are in it", w, before[w], next[w])
			}
		}
		closing(t, r)
	}
}

// TestBackupFaults puts each fault at each durable operation of a backup: the first, one over a seal, and
// one of new frames. The backup before stays, or the new one is there; and the next one succeeds.
func TestBackupFaults(t *testing.T) {
	all := numbered(0, 64)
	cfg := ledger.Config{Dir: t.TempDir(), SegmentRecords: faultSegment, Throwaway: true}
	type stage struct {
		name   string
		before string // a backup of the stage before
		count  int
		l      *ledger.Ledger
		state  string
	}
	stages := []stage{{"first", "", 40, nil, "1"}, {"new frames", "", 44, nil, "1"}, {"over a seal", "", 64, nil, "2"}}
	n := 0
	for i := range stages {
		s := &stages[i]
		l := open(t, cfg)
		appendAll(t, l, all[n:s.count], ledger.Accepted)
		closing(t, l)
		n = s.count
		// Each stage has a ledger that stays as it is.
		s.l = open(t, ledger.Config{Dir: copied(t, cfg.Dir), SegmentRecords: faultSegment, Throwaway: true})
		t.Cleanup(func() { closing(t, s.l) })
		s.before = t.TempDir()
		if i > 0 {
			before := &stages[i-1]
			s.before = copied(t, before.before)
			backup(t, before.l, s.before, extra("catalog.yaml", "a: 1\n"), extra("state.db", before.state))
		}
	}
	for i := range stages {
		s := &stages[i]
		extras := []ledger.Extra{extra("catalog.yaml", "a: 1\n"), extra("state.db", s.state)}
		for f := range faults {
			t.Run(s.name+", "+f.String(), func(t *testing.T) {
				t.Parallel()
				at := 1
				for ; ; at++ {
					to := copied(t, s.before)
					d := newFaultyDisk(t, to, f, at)
					_, err := s.l.BackupOn(ctx, ledger.BackupConfig{To: to, When: backupTime, Extra: extras}, d)
					if !d.hit {
						if err != nil {
							t.Fatal(err)
						}
						break
					}
					if !errors.Is(err, errFault) {
						t.Fatalf("with the fault at operation %d: %v", at, err)
					}
					d.crash(t)
					m, err := ledger.VerifyBackup(ctx, to, nil)
					switch {
					case err != nil && (i > 0 || !strings.Contains(err.Error(), "no finished backup")):
						t.Fatalf("after the fault at operation %d: %v", at, err)
					case err == nil && m.Sequence != uint64(s.count) && (i == 0 || m.Sequence != uint64(stages[i-1].count)):
						t.Fatalf("after the fault at operation %d the backup has %d records", at, m.Sequence)
					case err == nil:
						checkRestored(t, to, all[:m.Sequence])
					}
					backup(t, s.l, to, extras...)
					checkBackup(t, to)
					if at%3 == 0 {
						checkRestored(t, to, all[:s.count])
					}
					if t.Failed() {
						t.Fatalf("with the fault at operation %d", at)
					}
				}
				if at < 8 {
					t.Fatalf("only %d durable operations", at)
				}
				t.Logf("%d durable operations", at-1)
			})
		}
	}
}

// TestRestoreFaults puts each fault at each durable operation of a restore: there is no ledger, or all of
// it, and the restore can be started again.
func TestRestoreFaults(t *testing.T) {
	all := numbered(0, 40)
	l := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: faultSegment, Throwaway: true})
	defer closing(t, l)
	appendAll(t, l, all[:35], ledger.Accepted)
	from := t.TempDir()
	backup(t, l, from)
	appendAll(t, l, all[35:], ledger.Accepted)
	backup(t, l, from, extra("state.db", "state"))
	for f := range faults {
		t.Run(f.String(), func(t *testing.T) {
			for at := 1; ; at++ {
				to := filepath.Join(t.TempDir(), "data")
				d := newFaultyDisk(t, from, f, at)
				_, err := ledger.RestoreOn(ctx, ledger.RestoreConfig{From: from, To: to}, d)
				if !d.hit {
					if err != nil {
						t.Fatal(err)
					}
					if at < 10 {
						t.Fatalf("only %d durable operations", at)
					}
					return
				}
				if !errors.Is(err, errFault) {
					t.Fatalf("with the fault at operation %d: %v", at, err)
				}
				d.crash(t)
				if _, err := os.Stat(filepath.Join(to, "ledger")); errors.Is(err, fs.ErrNotExist) {
					if _, err := ledger.RestoreOn(ctx, ledger.RestoreConfig{From: from, To: to}, ledger.OSDisk()); err != nil {
						t.Fatalf("again after the fault at operation %d: %v", at, err)
					}
				}
				l := open(t, ledger.Config{Dir: to, SegmentRecords: faultSegment, Throwaway: true})
				checkRecords(t, view(t, l, 0), all)
				closing(t, l)
				if state, err := os.ReadFile(filepath.Join(to, "state.db")); err != nil || string(state) != "state" {
					t.Fatalf("after the fault at operation %d state.db is %q, %v", at, state, err)
				}
			}
		})
	}
}

// TestBackupFlippedByte flips one byte anywhere in a backup: verifying finds it and names the file, and
// nothing is restored.
func TestBackupFlippedByte(t *testing.T) {
	l := open(t, ledger.Config{Dir: damageable(t), Throwaway: true})
	defer closing(t, l)
	to := t.TempDir()
	backup(t, l, to, extra("catalog.yaml", "routes: []\n"), extra("state.db", strings.Repeat("state", 100)))
	appendAll(t, l, numbered(5_000_000, 40), ledger.Accepted)
	backup(t, l, to, extra("catalog.yaml", "routes: []\n"), extra("state.db", strings.Repeat("state", 100)))
	rng := rand.New(rand.NewPCG(4, 4))
	flips := 0
	for _, name := range regularFiles(t, to) {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			offset := rng.IntN(len(whole))
			if i < 2 {
				offset = i * (len(whole) - 1)
			}
			b := bytes.Clone(whole)
			b[offset] ^= byte(1 + rng.IntN(255))
			if i%2 == 0 {
				b[offset] = whole[offset] ^ 1<<rng.IntN(8)
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			flips++
			if _, err := ledger.VerifyBackup(ctx, to, nil); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with byte %d flipped: %v", name, offset, err)
			}
			if i%25 == 0 {
				data := filepath.Join(t.TempDir(), "data")
				if _, err := ledger.Restore(ctx, ledger.RestoreConfig{From: to, To: data}); err == nil {
					t.Errorf("%s with byte %d flipped was restored", name, offset)
				}
				if _, err := os.Stat(filepath.Join(data, "ledger")); err == nil {
					t.Errorf("%s with byte %d flipped: there is a ledger", name, offset)
				}
			}
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips", flips)
	checkBackup(t, to)
}

// TestBackupOfDamage holds that damage is not copied over what is whole, and is found while copying.
func TestBackupOfDamage(t *testing.T) {
	dir, to := damageable(t), t.TempDir()
	names := ledgerFiles(t, dir)
	l := open(t, ledger.Config{Dir: dir, Throwaway: true})
	defer closing(t, l)
	for _, name := range names {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(whole)
		b[len(b)/2] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = l.Backup(ctx, ledger.BackupConfig{To: to})
		var damage *ledger.DamageError
		if !errors.As(err, &damage) || damage.File != name {
			t.Errorf("backup of a damaged %s: %v", name, err)
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	backup(t, l, to)
	checkBackup(t, to)
}

// TestBackupHeals holds that a file of the backup that is gone or short is copied anew.
func TestBackupHeals(t *testing.T) {
	l := open(t, ledger.Config{Dir: damageable(t), Throwaway: true})
	defer closing(t, l)
	to := t.TempDir()
	backup(t, l, to, extra("state.db", "state"))
	for _, name := range regularFiles(t, to) {
		if filepath.Base(name) == "manifest.json" {
			continue
		}
		for _, harm := range []func() error{
			func() error { return os.Remove(name) },
			func() error { return os.Truncate(name, 100) },
		} {
			if err := harm(); err != nil && !strings.Contains(name, "state") {
				t.Fatal(err)
			}
			backup(t, l, to, extra("state.db", "state"))
			checkBackup(t, to)
		}
	}
}

// TestBackupRefuses holds what a backup may not overwrite, and that it says the cure.
func TestBackupRefuses(t *testing.T) {
	all := numbered(0, 300)
	base := t.TempDir()
	dir := filepath.Join(base, "data")
	cfg := ledger.Config{Dir: dir, SegmentRecords: 100, Throwaway: true}
	l := open(t, cfg)
	appendAll(t, l, all[:150], ledger.Accepted)
	to := t.TempDir()
	backup(t, l, to)
	old := copied(t, to)
	link := filepath.Join(base, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "holiday.jpg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: 100, Throwaway: true})
	defer closing(t, other)
	appendAll(t, other, numbered(0, 290), ledger.Accepted) // the same records, but another ledger's segments
	refuse := func(l *ledger.Ledger, to, says string, extras ...ledger.Extra) {
		t.Helper()
		if _, err := l.Backup(ctx, ledger.BackupConfig{To: to, Extra: extras}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("backup to %s: %v, want %q", to, err, says)
		}
	}
	refuse(l, "", "--to")
	refuse(l, dir, "in the data directory")
	refuse(l, filepath.Join(dir, "new", "backup"), "in the data directory")
	refuse(l, filepath.Join(link, "backup"), "in the data directory")
	refuse(l, base, "which is no part of a backup")
	refuse(l, full, "holiday.jpg")
	refuse(other, to, "of another ledger")
	refuse(l, to, "plain name", extra("../x", ""))
	refuse(l, to, "plain name", extra("ledger", ""))
	refuse(l, to, "plain name", extra("a", ""), extra("a", ""))
	checkBackup(t, to)

	// The ledger goes on; an older backup is restored, and goes on otherwise.
	appendAll(t, l, all[150:180], ledger.Accepted)
	backup(t, l, to)
	appendAll(t, l, all[180:], ledger.Accepted)
	closing(t, l)
	for _, n := range []int{0, 20, 60, 140} { // behind the backup, in its log, sealed since
		back := open(t, ledger.Config{Dir: restored(t, old), SegmentRecords: 100, Throwaway: true})
		appendAll(t, back, numbered(9_000_000, n), ledger.Accepted)
		refuse(back, to, "before it was restored")
		closing(t, back)
	}
	if m := checkBackup(t, to); m.Sequence != 180 {
		t.Fatalf("the backup goes to %d", m.Sequence)
	}
	l = open(t, cfg)
	defer closing(t, l)
	backup(t, l, to)
	checkBackup(t, to)
	checkRestored(t, to, all)
}

// TestRestoreRefuses holds that nothing is restored over anything.
func TestRestoreRefuses(t *testing.T) {
	l := open(t, ledger.Config{Dir: t.TempDir(), Throwaway: true})
	defer closing(t, l)
	appendAll(t, l, numbered(0, 10), ledger.Accepted)
	from := t.TempDir()
	backup(t, l, from)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unfinished := copied(t, from)
	if err := os.Remove(filepath.Join(unfinished, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, says string }{
		{from, full, "is not empty: it holds x"},
		{from, l.Dir(), "is not empty"},
		{from, filepath.Join(from, "data"), "is in the backup"},
		{from, "", "--data"},
		{filepath.Join(full, "none"), t.TempDir(), "there is no backup"},
		{unfinished, t.TempDir(), "no finished backup"},
		{l.Dir(), t.TempDir(), "no finished backup"},
	} {
		if _, err := ledger.Restore(ctx, ledger.RestoreConfig{From: c.from, To: c.to}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("restore from %s to %s: %v, want %q", c.from, c.to, err, c.says)
		}
	}
}

// TestBackupOfReader backs up a ledger on which nobody can write, with a full log that was not sealed.
func TestBackupOfReader(t *testing.T) {
	all := numbered(0, 30)
	dir := t.TempDir()
	d := &failingSeals{Disk: ledger.OSDisk()}
	l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: len(all) + 1}, d) // else its seal in the background fails, at any moment
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, all, ledger.Accepted)
	if err := l.Seal(ctx); err == nil {
		t.Fatal("the seal did not fail")
	}
	to := t.TempDir()
	backup(t, l, to) // of one that writes no more
	closing(t, l)
	checkRestored(t, to, all)
	l = open(t, ledger.Config{Dir: dir, ReadOnly: true})
	defer closing(t, l)
	if b := backup(t, l, to); b.Manifest.Sequence != uint64(len(all)) {
		t.Fatalf("the backup goes to %d", b.Manifest.Sequence)
	}
	checkBackup(t, to)
	checkRestored(t, to, all)
}

// failingSeals fails to make segments.
type failingSeals struct{ ledger.Disk }

func (d *failingSeals) Create(name string) (ledger.File, error) {
	if strings.Contains(name, ".seg") {
		return nil, errFault
	}
	return d.Disk.Create(name)
}

// TestBackupEnds holds that a backup ends with its context, and leaves the one before.
func TestBackupEnds(t *testing.T) {
	l := open(t, ledger.Config{Dir: damageable(t), Throwaway: true})
	defer closing(t, l)
	to := t.TempDir()
	backup(t, l, to)
	appendAll(t, l, numbered(5_000_000, 500), ledger.Accepted)
	short, cancel := context.WithCancel(ctx)
	_, err := l.Backup(short, ledger.BackupConfig{To: to, Progress: func(done, total int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("backup: %v", err)
	}
	if m := mustVerify(t, to); m.Sequence != 950 {
		t.Fatalf("the backup goes to %d", m.Sequence)
	}
	backup(t, l, to)
	checkBackup(t, to)
}

func mustVerify(t *testing.T, dir string) ledger.Manifest {
	t.Helper()
	m, err := ledger.VerifyBackup(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
