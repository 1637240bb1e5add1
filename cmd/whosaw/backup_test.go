package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// visits gives accesses that differ.
func visits(from, n int) []whosaw.Record {
	all := make([]whosaw.Record, n)
	for i := range all {
		k := from + i
		all[i] = whosaw.Record{
			Time: testNow.UnixMilli() + int64(k), Source: "web", Position: int64(k) * 200, Subjects: []string{fmt.Sprint(k * 7919 % 100_003)},
			Route: "GET /me", Status: 200, Request: fmt.Sprintf("%032x", k*2654435761),
		}
	}
	return all
}

func appendVisits(t *testing.T, dir string, from, n int) {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 4000})
	if err != nil {
		t.Fatal(err)
	}
	_, err = led.Append(t.Context(), visits(from, n))
	if err = errors.Join(err, led.Close()); err != nil {
		t.Fatal(err)
	}
}

// canonicals gives the bytes of all records up to a sequence.
func canonicals(t *testing.T, dir string, upTo uint64) [][]byte {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	view, err := led.View(upTo)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var all [][]byte
	err = view.Records(t.Context(), 0, func(seq uint64, r *whosaw.Record) error {
		b, err := ledger.Encode(nil, r)
		if all = append(all, b); seq != uint64(len(all)) {
			return fmt.Errorf("sequence %d is number %d", seq, len(all))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sameLedgers compares two ledgers record by record.
func sameLedgers(t *testing.T, a, b string, upTo uint64) {
	t.Helper()
	x, y := canonicals(t, a, upTo), canonicals(t, b, upTo)
	if uint64(len(x)) != upTo || uint64(len(y)) != upTo {
		t.Fatalf("%d and %d records up to sequence %d", len(x), len(y), upTo)
	}
	for i := range x {
		if !bytes.Equal(x[i], y[i]) {
			t.Fatalf("sequence %d differs", i+1)
		}
	}
}

// TestBackupKill kills `whosaw backup` at random moments while the ledger grows: what the directory holds is always
// whole, and the backup that is left alone restores to the original.
func TestBackupKill(t *testing.T) {
	base := t.TempDir()
	data, to := filepath.Join(base, "data"), filepath.Join(base, "copy")
	n := 60_000
	appendVisits(t, data, 0, n)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := func(to string) *exec.Cmd {
		cmd := exec.Command(exe, "backup", "--data", data, "--to", to)
		cmd.Env = append(os.Environ(), "WHOSAW_TEST_KILL_CHILD=1")
		cmd.Stderr = os.Stderr
		return cmd
	}
	began := time.Now()
	if err := child(filepath.Join(base, "calm")).Run(); err != nil {
		t.Fatal(err)
	}
	takes := time.Since(began)
	random := rand.New(rand.NewPCG(3, 9))
	killed, unfinished := 0, 0
	const kills = 16
	for range kills {
		cmd := child(to)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(takes))), func() { _ = cmd.Process.Kill() }) // it may have ended
		err := cmd.Wait()
		timer.Stop()
		if err != nil {
			killed++
		}
		m, err := ledger.VerifyBackup(t.Context(), to, nil)
		switch {
		case err == nil && m.Sequence > uint64(n+1):
			t.Fatalf("the backup goes to %d of %d", m.Sequence, n)
		case err != nil && !strings.Contains(err.Error(), "no finished backup") && !strings.Contains(err.Error(), "there is no backup"):
			t.Fatal(err)
		case err != nil:
			unfinished++
		}
		appendVisits(t, data, n, 3000)
		n += 3000
	}
	t.Logf("%d of %d were killed, after %d of them there was no backup yet; one takes %v", killed, kills, unfinished, takes)
	if killed < kills/3 {
		t.Errorf("only %d of %d were killed", killed, kills)
	}
	if out, err := child(to).Output(); err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	m, err := ledger.VerifyBackup(t.Context(), to, nil)
	if err != nil || m.Sequence < uint64(n) {
		t.Fatalf("the backup goes to %d of %d, %v", m.Sequence, n, err)
	}
	restored := filepath.Join(base, "restored")
	if _, stderr, code := whosawRun(t, "restore", "--from", to, "--data", restored); code != exitOK {
		t.Fatal(stderr)
	}
	sameLedgers(t, data, restored, m.Sequence)
}

// TestBackupOfServer backs up through the socket of a server that runs.
func TestBackupOfServer(t *testing.T) {
	base := t.TempDir()
	data, to := filepath.Join(base, "d"), filepath.Join(base, "copy")
	appendVisits(t, data, 0, 5000)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		_, stderr, code := whosawRunAt(ctx, time.Now, strings.NewReader(""), "serve", "--data", data, "--listen", "127.0.0.1:0")
		ended <- fmt.Sprintf("exit %d\n%s", code, stderr)
	}()
	for { // until it answers, or has ended
		r, err := dial(ctx, data)
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			r.close()
			break
		}
		select {
		case out := <-ended:
			t.Fatal(out)
		case <-time.After(10 * time.Millisecond): // the socket tells nobody that it is there
		}
	}
	stdout, stderr, code := whosawRun(t, "backup", "--data", data, "--to", to, "--verify", "--json")
	if code != exitOK {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	var made ledger.Backup
	if err := json.Unmarshal([]byte(stdout), &made); err != nil {
		t.Fatal(err)
	}
	_, stderr, code = whosawRun(t, "backup", "--data", data, "--to", filepath.Join(data, "x"))
	if code != exitFailed || !strings.Contains(stderr, "in the data directory") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	stop()
	if out := <-ended; !strings.HasPrefix(out, "exit 0") {
		t.Errorf("the server ended with %s", out)
	}
	restored := filepath.Join(base, "restored")
	if _, stderr, code := whosawRun(t, "restore", "--from", to, "--data", restored); code != exitOK {
		t.Fatal(stderr)
	}
	if made.Manifest.Sequence < 5001 {
		t.Errorf("the backup goes to sequence %d: the act of making it is not in it", made.Manifest.Sequence)
	}
	sameLedgers(t, data, restored, made.Manifest.Sequence)
	if _, err := os.Stat(filepath.Join(restored, "state.db")); err != nil {
		t.Error(err)
	}
}
