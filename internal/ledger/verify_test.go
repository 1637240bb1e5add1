package ledger_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

func verify(t *testing.T, dir string, saved *ledger.SavedRoot) ledger.Verified {
	t.Helper()
	v, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir, Saved: saved})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// save gives the root of a ledger through the bytes of a file.
func save(t *testing.T, dir string) *ledger.SavedRoot {
	t.Helper()
	v := verify(t, dir, nil)
	b, err := ledger.NewSavedRoot(&v, time.UnixMilli(1_790_000_000_123)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ledger.ParseSavedRoot(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rfc6962 is the root of a list of leaf hashes, as section 2.1 of the RFC writes it down.
func rfc6962(d [][32]byte) [32]byte {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return d[0]
	}
	k := 1
	for 2*k < len(d) {
		k *= 2
	}
	left, right := rfc6962(d[:k]), rfc6962(d[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

func TestRunsOfLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := make([][32]byte, rapid.IntRange(0, 300).Draw(t, "leaves"))
		for i := range hashes {
			binary.LittleEndian.PutUint64(hashes[i][:], uint64(i)*7919)
		}
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(hashes)), 0, 6).Draw(t, "cuts")
		slices.Sort(cuts)
		if got, want := ledger.RunRoot(hashes, cuts), rfc6962(hashes); got != want {
			t.Fatalf("%d leaves cut at %v: root %x, want %x", len(hashes), cuts, got, want)
		}
	})
}

// TestRoot works the root out from the documented layout: secrets from segments and the log's header,
// canonical records, and the RFC's recursion.
func TestRoot(t *testing.T) {
	dir := damageable(t)
	secrets := map[uint64][]byte{}
	for first, name := range map[uint64]string{1: "00000000000000000001.seg", 401: "00000000000000000401.seg"} {
		secret, err := ledger.Secret(filepath.Join(dir, "ledger", name))
		if err != nil {
			t.Fatal(err)
		}
		secrets[first] = secret
	}
	log, err := os.ReadFile(filepath.Join(dir, "ledger", "00000000000000000801.log"))
	if err != nil {
		t.Fatal(err)
	}
	secrets[801] = log[20:52]
	var hashes [][32]byte
	for i, r := range varied(950) {
		seq := uint64(i + 1)
		mac := hmac.New(sha256.New, secrets[(seq-1)/400*400+1])
		mac.Write(binary.BigEndian.AppendUint64(nil, seq))
		leaf, err := ledger.Encode(mac.Sum([]byte{0}), &r)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, sha256.Sum256(leaf))
	}
	v := verify(t, dir, nil)
	if want := rfc6962(hashes); v.Root != ledger.Hash(want) || v.Rooted != 950 || v.Sequence != 950 || v.Records != 950 {
		t.Errorf("root %s of %d records, want %x of 950", v.Root, v.Rooted, want)
	}
	if v.Segments != 2 || v.Logs != 1 || v.Torn != 0 {
		t.Errorf("%+v", v)
	}
	if len(v.Parts) != 3 || v.Parts[1] != (ledger.PartRoot{Last: 800, Root: rfc6962(hashes[:800])}) {
		t.Errorf("parts %v", v.Parts)
	}

	// Sealing changes no root.
	l := open(t, ledger.Config{Dir: dir, Throwaway: true})
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	closing(t, l)
	if after := verify(t, dir, nil); after.Root != v.Root || after.Segments != 3 {
		t.Errorf("sealed, the root of %d segments is %s; it was %s", after.Segments, after.Root, v.Root)
	}
}

// TestFlips flips 10,000 single bytes anywhere in DIR/ledger, one at a time: each is found, and file, offset and
// records are named.
func TestFlips(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	all := aged(135)
	appendAll(t, l, all[:120], ledger.Accepted)
	appendAll(t, l, all[120:128], ledger.Accepted)
	appendAll(t, l, all[128:], ledger.Accepted)
	if _, err := l.AddHold(ctx, ledger.Hold{From: all[50].Time, To: all[51].Time, Reason: "case 17", By: "staff:kim"}); err != nil {
		t.Fatal(err)
	}
	if gone := purge(t, l, all[80].Time); len(gone) != 1 {
		t.Fatalf("%d segments are purged, want 1", len(gone))
	}
	closing(t, l)
	type part struct {
		name        string
		whole       []byte
		first, last uint64
	}
	var parts []part
	total := 0
	for _, name := range ledgerFiles(t, dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p := part{name, b, 1, 40}
		switch {
		case strings.HasSuffix(name, "holds"):
			p.first, p.last = 0, 0
		case strings.Contains(name, "041.seg"):
			p.first, p.last = 41, 80
		case strings.Contains(name, "081.seg"):
			p.first, p.last = 81, 120
		case strings.Contains(name, "121.log"):
			p.first, p.last = 121, 135
		}
		parts = append(parts, p)
		total += len(b)
	}
	verify(t, dir, nil)
	rng := rand.New(rand.NewPCG(10, 4))
	for range n {
		at, i := rng.IntN(total), 0
		for at >= len(parts[i].whole) {
			at -= len(parts[i].whole)
			i++
		}
		p := parts[i]
		b := bytes.Clone(p.whole)
		b[at] ^= byte(1 + rng.IntN(255))
		if err := os.WriteFile(p.name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir, Workers: 1})
		var damage *ledger.DamageError
		switch {
		case !errors.As(err, &damage):
			t.Errorf("%s with byte %d of %d flipped: %v", filepath.Base(p.name), at, len(b), err)
		case damage.File != p.name || damage.Offset < 0 || damage.Offset > int64(len(b)) || damage.First < p.first || damage.First > p.last+1 || damage.Last > p.last:
			t.Errorf("%s with byte %d flipped: the error names %s, %d, records %d to %d", filepath.Base(p.name), at, damage.File, damage.Offset, damage.First, damage.Last)
		}
		if err := os.WriteFile(p.name, p.whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, dir, nil)
}

// TestFirstDamage damages two files: the first in order is named, however many are read at once.
func TestFirstDamage(t *testing.T) {
	dir := damageable(t)
	names := ledgerFiles(t, dir)
	for _, name := range names[1:] {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for workers := range 4 {
		var damage *ledger.DamageError
		_, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir, Workers: workers})
		if !errors.As(err, &damage) || damage.File != names[1] || damage.First != 401 || damage.Last != 800 {
			t.Errorf("with %d workers: %v", workers, err)
		}
	}
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	var damage *ledger.DamageError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir}); !errors.As(err, &damage) || damage.Offset != -1 || damage.First != 1 || damage.Last != 400 {
		t.Errorf("without the first segment: %v", err)
	}
}

// TestRewrite changes the ledger so that every checksum is right: verifying finds nothing, a saved root does,
// also when the ledger has grown since, and names the records among which the change is.
func TestRewrite(t *testing.T) {
	dir := damageable(t)
	saved := save(t, dir)
	if saved.Sequence != 950 || len(saved.Parts) != 2 {
		t.Fatalf("saved %d, %d parts", saved.Sequence, len(saved.Parts))
	}
	for round := range 2 {
		if got := verify(t, dir, saved); got.Saved != 950 {
			t.Errorf("compared up to %d, want 950", got.Saved)
		}
		second := filepath.Join(dir, "ledger", "00000000000000000401.seg")
		for name, c := range map[string]struct {
			file        string
			first, last uint64
			fn          func([]whosaw.Record) []whosaw.Record
		}{
			"changed": {second, 401, 800, func(r []whosaw.Record) []whosaw.Record { r[17].Status++; return r }},
			"swapped": {second, 401, 800, func(r []whosaw.Record) []whosaw.Record { r[17], r[18] = r[18], r[17]; return r }},
			"first":   {filepath.Join(dir, "ledger", "00000000000000000001.seg"), 1, 400, func(r []whosaw.Record) []whosaw.Record { r[0].Time--; return r }},
		} {
			at := copied(t, dir)
			file := filepath.Join(at, "ledger", filepath.Base(c.file))
			if err := ledger.Rewrite(file, c.fn); err != nil {
				t.Fatal(err)
			}
			verify(t, at, nil)
			_, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: at, Saved: saved})
			var rewrite *ledger.RewriteError
			if !errors.As(err, &rewrite) || rewrite.File != file || rewrite.First != c.first || rewrite.Last != c.last || rewrite.Short {
				t.Errorf("round %d, %s: %v", round, name, err)
			}
		}
		if round == 1 {
			break
		}
		l := open(t, ledger.Config{Dir: dir, SegmentRecords: 400, Throwaway: true})
		appendAll(t, l, varied(1700)[950:], ledger.Accepted)
		closing(t, l)
	}
	// The saved root ends in the middle of what is one segment now.
	at := copied(t, dir)
	file := filepath.Join(at, "ledger", "00000000000000000801.seg")
	if err := ledger.Rewrite(file, func(r []whosaw.Record) []whosaw.Record { r[149].Status++; return r }); err != nil {
		t.Fatal(err)
	}
	var rewrite *ledger.RewriteError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: at, Saved: saved}); !errors.As(err, &rewrite) || rewrite.First != 801 || rewrite.Last != 950 {
		t.Errorf("a record of the log that was open: %v", err)
	}
	if err := ledger.Rewrite(file, func(r []whosaw.Record) []whosaw.Record { r[149].Status--; r[150].Status++; return r }); err != nil {
		t.Fatal(err)
	}
	verify(t, at, saved) // what came later is not under the root
}

// TestOlderCopy puts an older copy in the ledger's place: sound, and shorter than what was saved.
func TestOlderCopy(t *testing.T) {
	dir := damageable(t)
	older := copied(t, dir)
	l := open(t, ledger.Config{Dir: dir, Throwaway: true})
	appendAll(t, l, varied(1000)[950:], ledger.Accepted)
	closing(t, l)
	saved := save(t, dir)
	var rewrite *ledger.RewriteError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: older, Saved: saved}); !errors.As(err, &rewrite) || !rewrite.Short || rewrite.First != 951 || rewrite.Last != 1000 {
		t.Errorf("an older copy: %v", err)
	}
}

// TestLyingFooter has a segment whose footer hides records from questions about their time.
func TestLyingFooter(t *testing.T) {
	dir := damageable(t)
	name := ledgerFiles(t, dir)[0]
	if err := ledger.LyingFooter(name); err != nil {
		t.Fatal(err)
	}
	var damage *ledger.DamageError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir}); !errors.As(err, &damage) || damage.File != name {
		t.Errorf("a footer that lies: %v", err)
	}
}

// TestVerifyTorn verifies what a crash leaves, and a ledger that an older whosaw wrote.
func TestVerifyTorn(t *testing.T) {
	dir := damageable(t)
	log := ledgerFiles(t, dir)[2]
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, append(whole, whole[512:700]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := verify(t, dir, nil); v.Torn != 188 || v.Sequence != 950 {
		t.Errorf("torn %d, sequence %d", v.Torn, v.Sequence)
	}
	old := copied(t, filepath.Join("testdata", "v1"))
	v := verify(t, old, nil)
	if v.Rooted != 100 || v.Sequence != 120 {
		t.Errorf("of a ledger with an old log the root is of %d of %d records, want 100 of 120", v.Rooted, v.Sequence)
	}
	saved := save(t, old)
	l := open(t, ledger.Config{Dir: old, SegmentRecords: 50})
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	closing(t, l)
	if v := verify(t, old, saved); v.Rooted != 120 || v.Saved != 100 {
		t.Errorf("sealed: the root is of %d records, compared up to %d", v.Rooted, v.Saved)
	}
}

func TestVerifyStops(t *testing.T) {
	dir := damageable(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := ledger.Verify(ended, ledger.VerifyConfig{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	l := open(t, ledger.Config{Dir: dir, Throwaway: true})
	var held *ledger.HeldError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir}); !errors.As(err, &held) {
		t.Errorf("of a ledger in use: %v", err)
	}
	closing(t, l)
	last, total := int64(0), int64(0)
	_, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir, Progress: func(done, of int64) { last, total = max(last, done), of }})
	if err != nil || last != total || total == 0 {
		t.Errorf("progress ended at %d of %d: %v", last, total, err)
	}
}

func TestSavedRootFile(t *testing.T) {
	dir := damageable(t)
	b, err := save(t, dir).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		spoilt := bytes.Clone(b)
		spoilt[i] ^= 1
		if _, err := ledger.ParseSavedRoot(spoilt); err == nil {
			t.Errorf("a saved root with byte %d flipped is taken", i)
		}
	}
}
