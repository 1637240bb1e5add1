package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/ledger"
)

// TestBegin appends batches without waiting for each: they are there in order, over the borders of parts too.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 64, Throwaway: true})
	all := numbered(0, 3000)
	rng := rand.New(rand.NewPCG(1, 2))
	var under []*ledger.Pending
	var last *ledger.Pending
	answered := 0
	wait := func() {
		receipts, err := under[0].Wait()
		if err != nil {
			t.Fatal(err)
		}
		under = under[1:]
		for _, r := range receipts {
			if answered++; r.Ack != ledger.Accepted || r.Sequence != uint64(answered) {
				t.Fatalf("record %d was answered with %v", answered, r)
			}
		}
	}
	for n := 0; n < len(all); {
		more := min(rng.IntN(40), len(all)-n) // also of no records
		p, err := l.Begin(ctx, all[n:n+more], last)
		if err != nil {
			t.Fatal(err)
		}
		under, last, n = append(under, p), p, n+more
		for len(under) > rng.IntN(4) {
			wait()
		}
	}
	for len(under) > 0 {
		wait()
	}
	check(t, view(t, l, 0), all)
	closing(t, l)
	if _, err := l.Begin(ctx, all[:1], last); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("begun in a closed ledger: %v", err)
	}
}

// TestBeginAfterFailure: nothing is appended that comes after a batch which failed, though there may be space again.
func TestBeginAfterFailure(t *testing.T) {
	all := numbered(0, 60)
	failed := 0
	for at := 3; ; at++ {
		dir := t.TempDir()
		d := &fullDisk{Disk: ledger.OSDisk(), from: at, to: at + 1}
		l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: faultSegment}.At(clock(4*time.Second)), d)
		if err != nil {
			t.Fatal(err)
		}
		var under []*ledger.Pending
		var last *ledger.Pending
		var first error
		there := 0 // records acknowledged
		wait := func() {
			receipts, err := under[0].Wait()
			under = under[1:]
			switch {
			case err != nil && !errors.Is(err, ledger.ErrDiskFull):
				t.Fatal(err)
			case err != nil && first == nil:
				first = err
				failed++
			case err == nil && first != nil:
				t.Fatalf("with the disk full at operation %d: %d records are appended after a batch that failed", at, len(receipts))
			}
			there += len(receipts)
		}
		for n := 0; n < len(all); n += 4 {
			p, err := l.Begin(ctx, all[n:n+4], last)
			if err != nil {
				t.Fatal(err)
			}
			under, last = append(under, p), p
			if len(under) > 2 {
				wait()
			}
		}
		for len(under) > 0 {
			wait()
		}
		v := view(t, l, 0)
		if got := int(v.Last()); got < there || got >= there+4 {
			t.Fatalf("with the disk full at operation %d: %d records are there, %d were acknowledged", at, got, there)
		}
		checkRecords(t, v, all[:v.Last()])
		appendAll(t, l, all[:there], ledger.Repeat)
		closing(t, l)
		if d.hits == 0 {
			break
		}
	}
	if failed == 0 {
		t.Fatal("no batch failed")
	}
	t.Log(fmt.Sprint(failed, " batches failed"))
}
