package ledger_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// varied gives records that fill every column.
func varied(n int) []whosaw.Record {
	all := newShop().records(n)
	for i := range all {
		r := &all[i]
		r.ID, r.Request = fmt.Sprintf("id-%d", i), fmt.Sprintf("%032x", i)
		r.Bytes, r.Others = int64(i*31%977), int64(i%3)
		r.Masked, r.Reason, r.TLS, r.Client, r.Realm = []string{"door_code"}, "ticket 1", "t13d", "app", "shop"
		r.Outcome = whosaw.Outcome(i % 5)
		if i%5 == 4 {
			r.Type, r.Ref = whosaw.TypeReason, &whosaw.Reference{Kind: "order", From: r.Time}
		}
		if i%11 == 3 {
			r.Subjects = append(r.Subjects, "a name", "9d1c2f3e-0000-4000-8000-000000000000")
		}
	}
	return all
}

// damageable makes a ledger of two segments and an open log of three frames.
func damageable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 400, Throwaway: true})
	all := varied(950)
	appendAll(t, l, all[:800], ledger.Accepted)
	for at := 800; at < 950; at += 50 {
		appendAll(t, l, all[at:at+50], ledger.Accepted)
	}
	closing(t, l)
	return dir
}

// readAll reads all there is, as an owner or not, and gives the first error.
func readAll(dir string, readOnly bool) error {
	l, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: readOnly, Throwaway: true})
	if err != nil {
		return err
	}
	defer l.Close()
	v, err := l.View(0)
	if err != nil {
		return err
	}
	return v.Records(ctx, 0, func(uint64, *whosaw.Record) error { return nil })
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func ledgerFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "ledger", "*"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	return names
}

// TestFlippedByte flips one byte anywhere in any file: it is found, and the file is named.
func TestFlippedByte(t *testing.T) {
	dir := damageable(t)
	if err := readAll(dir, false); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 5))
	for _, name := range ledgerFiles(t, dir) {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// Every byte of both ends, and some between.
		var offsets []int
		for i := range min(64, len(whole)) {
			offsets = append(offsets, i, len(whole)-1-i)
		}
		for range 120 {
			offsets = append(offsets, rng.IntN(len(whole)))
		}
		for _, offset := range offsets {
			b := append([]byte(nil), whole...)
			b[offset] ^= byte(1 + rng.IntN(255))
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			err := readAll(dir, offset%2 == 0)
			var damage *ledger.DamageError
			switch {
			case !errors.As(err, &damage):
				t.Errorf("%s with byte %d of %d flipped: %v", filepath.Base(name), offset, len(whole), err)
			case damage.File != name || damage.Offset < 0 || damage.Offset > int64(len(whole)):
				t.Errorf("%s with byte %d flipped: the error names %s, %d", filepath.Base(name), offset, damage.File, damage.Offset)
			}
			if now, err := os.ReadFile(name); err != nil || string(now) != string(b) {
				t.Fatalf("%s with byte %d flipped was changed when it was opened", filepath.Base(name), offset)
			}
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutFile cuts files short. A log that ends early is what a crash leaves: its last frame goes,
// which nobody acknowledged. A segment is never short.
func TestCutFile(t *testing.T) {
	dir := damageable(t)
	for _, name := range ledgerFiles(t, dir) {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		frames := len(whole) - 1
		if strings.HasSuffix(name, ".log") {
			frames = 600 // in the first frame
		}
		for _, size := range []int{0, 1, 100, 511, frames, len(whole) - 1, len(whole) - 600} {
			cut := copied(t, dir)
			path := filepath.Join(cut, "ledger", filepath.Base(name))
			if err := os.Truncate(path, int64(size)); err != nil {
				t.Fatal(err)
			}
			err := readAll(cut, false)
			var damage *ledger.DamageError
			fine := strings.HasSuffix(name, ".log") && size >= 512
			if fine && err != nil || !fine && (!errors.As(err, &damage) || damage.File != path) {
				t.Errorf("%s cut to %d of %d bytes: %v", filepath.Base(name), size, len(whole), err)
			}
		}
	}
}

// TestMissingFile removes a file, or puts one there that is not the ledger's.
func TestMissingFile(t *testing.T) {
	dir := damageable(t)
	for _, name := range ledgerFiles(t, dir) {
		less := copied(t, dir)
		path := filepath.Join(less, "ledger", filepath.Base(name))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{false, true} {
			var damage *ledger.DamageError
			if err := readAll(less, readOnly); !errors.As(err, &damage) || damage.File != path {
				t.Errorf("without %s: %v", filepath.Base(name), err)
			}
		}
	}
	for _, name := range []string{"notes.txt", "00000000000000000001.seg.bak", "1.seg", "00000000000000000000.log", ".hidden"} {
		more := copied(t, dir)
		path := filepath.Join(more, "ledger", name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{false, true} {
			if err := readAll(more, readOnly); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it") {
				t.Errorf("with %s: %v", name, err)
			}
		}
	}
	// The same part twice, under another name.
	twice := copied(t, dir)
	b, err := os.ReadFile(filepath.Join(twice, "ledger", "00000000000000000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(twice, "ledger", "00000000000000000100.seg"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	var damage *ledger.DamageError
	if err := readAll(twice, false); !errors.As(err, &damage) {
		t.Errorf("with a segment twice: %v", err)
	}
	// What a crash leaves unfinished is removed by the owner and passed over by readers.
	temp := filepath.Join(dir, "ledger", "00000000000000000801.seg.tmp")
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readAll(dir, true); err != nil {
		t.Error(err)
	}
	if err := readAll(dir, false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", temp, err)
	}
}

// TestTornTail puts behind the last frame what a crash may leave there, and what it may not.
func TestTornTail(t *testing.T) {
	dir := damageable(t)
	log := ledgerFiles(t, dir)[2]
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	last := lastFrame(t, whole)
	frame := whole[last:]
	broken := append([]byte(nil), frame...)
	broken[100] ^= 1
	zeroed := append([]byte(nil), frame...)
	clear(zeroed[512:1024])
	headless := append([]byte(nil), frame...)
	clear(headless[:512])
	for _, c := range []struct {
		name string
		tail []byte
		torn bool
	}{
		{"a few bytes", frame[:10], true},
		{"half a frame", frame[:len(frame)/2], true},
		{"all but a byte", frame[:len(frame)-1], true},
		{"zeros", make([]byte, 5000), true},
		{"a block of zeros", zeroed, true},
		{"the first block of zeros", headless, true},
		{"a whole frame that is not right", broken, false},
		{"a bad frame before a good one", append(zeroed[:len(zeroed):len(zeroed)], frame...), false},
		{"text", []byte(strings.Repeat("x", 2048)), false},
	} {
		at := copied(t, dir)
		path := filepath.Join(at, "ledger", filepath.Base(log))
		if err := os.WriteFile(path, append(whole[:last:last], c.tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{true, false} {
			err := readAll(at, readOnly)
			var damage *ledger.DamageError
			if c.torn && err != nil || !c.torn && (!errors.As(err, &damage) || damage.Offset != int64(last)) {
				t.Errorf("%s (read-only %v): %v", c.name, readOnly, err)
			}
		}
		if !c.torn {
			continue
		}
		l := open(t, ledger.Config{Dir: at, Throwaway: true})
		if got := view(t, l, 0).Last(); got != 900 {
			t.Errorf("%s: %d records, want 900", c.name, got)
		}
		closing(t, l)
		if info, err := os.Stat(path); err != nil || info.Size() != int64(last) {
			t.Errorf("%s was not cut off", c.name)
		}
	}
}

// lastFrame finds where the last frame of a log begins, by the documented layout alone.
func lastFrame(t *testing.T, b []byte) int {
	t.Helper()
	at, last := 512, 0
	for at < len(b) {
		head := b[at : at+28]
		if string(head[:4]) != "\xf5wlf" ||
			crc32.Checksum(head[:24], crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(head[24:]) {
			t.Fatalf("no frame at %d", at)
		}
		last = at
		at += (28 + int(binary.LittleEndian.Uint32(head[4:])) + 511) / 512 * 512
	}
	return last
}

// TestNewerVersion has files of a version to come: they are named, and not called damaged.
func TestNewerVersion(t *testing.T) {
	for _, c := range []struct {
		name    string
		crc     int
		version byte
	}{{"00000000000000000001.seg", 12, 3}, {"00000000000000000801.log", 52, 3}} {
		dir := damageable(t)
		path := filepath.Join(dir, "ledger", c.name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[8] = c.version
		binary.LittleEndian.PutUint32(b[c.crc:], crc32.Checksum(b[:c.crc], crc32.MakeTable(crc32.Castagnoli)))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var newer *ledger.NewerError
		if err := readAll(dir, false); !errors.As(err, &newer) || newer.File != path || newer.Version != uint32(c.version) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
