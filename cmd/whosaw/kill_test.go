package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/sim"
)

var kills = flag.Int("whosaw.kills", 12, "kills of TestKill")

// killChild is `investigate --data` in a process of its own that says how far it is acknowledged.
func killChild() int {
	m := &Main{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: func() time.Time { return testNow },
		acknowledged: func(n int64) { fmt.Fprintf(os.Stdout, "ack %d\n", n) },
	}
	return m.Run(context.Background(), os.Args[1:])
}

// TestKill kills `investigate --data` with SIGKILL again and again, continues, and counts at the end: every
// acknowledged record is there, each once, and the counts are those of a run that nobody disturbed.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "access.jsonl")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	buf := bufio.NewWriter(file)
	if _, err := sim.Run(sim.Config{Scenario: "stolen-key", Seed: 7, Customers: 1600, Days: 7, Start: sim.Example().Start, Share: 100_000}, buf); err != nil {
		t.Fatal(err)
	}
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	calm := filepath.Join(dir, "calm")
	want, _ := investigate(t, "--data", calm, log)

	// One undisturbed run in a child tells how many acknowledgements there are.
	acks := len(runChild(t, filepath.Join(dir, "count"), log, -1, 0))
	if acks < 4 {
		t.Fatalf("only %d acknowledgements: too few to kill between", acks)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var between, done int
	data := ""
	for i := range *kills {
		if i%4 == 0 { // four kills on one directory, then a fresh one
			if data != "" {
				compareWithCalm(t, data, log, want)
			}
			data = filepath.Join(dir, fmt.Sprintf("case-%d", i))
		}
		seen := runChild(t, data, log, random.IntN(acks-2), time.Duration(random.IntN(15_000))*time.Microsecond)
		done++
		if len(seen) > 0 && len(seen) < acks {
			between++
		}
		if len(seen) > 0 {
			// What was acknowledged before the kill is in the reopened ledger.
			if held, last := records(t, data), seen[len(seen)-1]; held < last-repeated {
				t.Fatalf("kill %d: %d lines acknowledged, %d in the ledger", i, last, held)
			}
		}
	}
	compareWithCalm(t, data, log, want)
	t.Logf("%d kills, %d of them between the first and the last acknowledgement (%d %%)", done, between, 100*between/done)
	if 100*between < 80*done {
		t.Errorf("only %d of %d kills fell between the first and the last acknowledgement; 80 %% are asked for", between, done)
	}
}

// repeated is how many lines at most the simulated log holds twice: acknowledged, and not in the ledger again.
const repeated = 100

// records counts what a data directory holds.
func records(t *testing.T, data string) int64 {
	t.Helper()
	led, err := ledger.Open(ledger.Config{Dir: data})
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	defer led.Close()
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var n int64
	for _, part := range view.Parts() {
		n += int64(part.Accesses + part.References)
	}
	return n
}

// runChild starts the child and kills it some time after acknowledgement number killAt (from 0; -1: never), in the middle
// of whatever it does then. It gives the acknowledged numbers of accesses that the child reported.
func runChild(t *testing.T, data, log string, killAt int, after time.Duration) []int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "investigate", "--json", "--data", data, log)
	cmd.Env = append(os.Environ(), "WHOSAW_TEST_KILL_CHILD=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acks []int64
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, n)
		if len(acks)-1 == killAt {
			timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended by itself
			defer timer.Stop()
		}
	}
	err = cmd.Wait()
	if killAt < 0 && err != nil {
		t.Fatalf("child: %v\n%s", err, errs.String())
	}
	return acks
}

// compareWithCalm completes the import and compares every count with the undisturbed run's.
func compareWithCalm(t *testing.T, data, log string, want whosaw.Investigation) {
	t.Helper()
	got, _ := investigate(t, "--data", data, log)
	if got.Read.Lines != want.Read.Lines || got.Read.Rejected != want.Read.Rejected ||
		got.Read.Accepted+got.Read.Duplicates != want.Read.Accepted+want.Read.Duplicates {
		t.Errorf("read %+v, want lines and sums of %+v", got.Read, want.Read)
	}
	if len(got.Scopes) != len(want.Scopes) {
		t.Fatalf("%d scopes after kills, %d without", len(got.Scopes), len(want.Scopes))
	}
	for i := range got.Scopes {
		x, errX := json.Marshal(got.Scopes[i])
		y, errY := json.Marshal(want.Scopes[i])
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("scope %d after kills\n%s\nwithout\n%s", i, x, y)
		}
	}
}
