package ledger_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var torture = flag.Duration("ledger.torture", 3*time.Second, "how long TestTorture kills")

// A ledger is filled by several senders in a process that is killed with SIGKILL at any moment, in the middle of frames,
// seals, purges and holds, and filled on. After each kill every record is looked at: each that was acknowledged is
// there, once, as it was sent, and no other.
const (
	senders      = 4
	tortureParts = 3000 // records in a segment
	tortureStart = int64(1_760_000_000_000)
)

// tortureTime is the event time of a sender's record number n.
func tortureTime(n int) int64 { return tortureStart + int64(n)*50 }

// tortureRecord is a sender's record number n: a pure function.
func tortureRecord(sender, n int) whosaw.Record {
	rng := rand.New(rand.NewPCG(uint64(sender), uint64(n)))
	r := whosaw.Record{
		Time: tortureTime(n), Source: "sender-" + strconv.Itoa(sender), Position: int64(n), Key: "k" + strconv.Itoa(n%3), Status: 200,
		Subjects: []string{strconv.Itoa(rng.IntN(10_000))}, Route: "GET /me", Credential: fmt.Sprintf("%016x", rng.Uint64()), Agent: "okhttp/4." + strconv.Itoa(n%9),
	}
	if n%5 == 0 {
		r.ID = fmt.Sprintf("id-%d-%d", sender, n)
	}
	if n%11 == 0 {
		r.Type, r.Ref = whosaw.TypeIssuance, &whosaw.Reference{Expires: r.Time}
	}
	return r
}

// tortureOrder is what the process that will be killed is told.
type tortureOrder struct {
	Dir   string
	From  [senders]int // the first number to send; some before it are sent again
	Purge int64        // what is older may go
	Seed  uint64
}

// TestTortureChild is the process that is killed. By itself it does nothing.
func TestTortureChild(t *testing.T) {
	text := os.Getenv("WHOSAW_TORTURE")
	if text == "" {
		t.Skip("only TestTorture runs this")
	}
	var o tortureOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Dir: o.Dir, SegmentRecords: tortureParts})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...) // one write: whole, or not at all
	}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(o.Seed, uint64(s)))
			next := o.From[s]
			for at := max(0, next-rng.IntN(60)); ; {
				batch := make([]whosaw.Record, 1+rng.IntN(1+rng.IntN(400)))
				for i := range batch {
					batch[i] = tortureRecord(s, at+i)
				}
				receipts, err := l.Append(context.Background(), batch)
				if err != nil {
					say("bad sender %d: %v", s, err)
					return
				}
				for i, r := range receipts {
					if want := at+i >= next; r.Ack == ledger.Conflict || want != (r.Ack == ledger.Accepted) {
						say("bad sender %d: number %d of %d, acknowledgement %d", s, at+i, next, r.Ack)
						return
					}
				}
				at += len(batch)
				next = max(next, at)
				say("ack %d %d", s, next)
			}
		})
	}
	wg.Go(func() { // beside them, what an operator does
		for i := 0; ; i++ {
			h, err := l.AddHold(context.Background(), ledger.Hold{From: 1, To: 2, Reason: "nothing is of that time"})
			if err != nil {
				say("bad hold: %v", err)
				return
			}
			say("hold %d", h.ID)
			if _, err := l.Purge(context.Background(), o.Purge, time.Now()); err != nil {
				say("bad purge: %v", err)
				return
			}
			if err := l.Seal(context.Background()); err != nil {
				say("bad seal: %v", err)
				return
			}
		}
	})
	wg.Wait()
}

// tortured is what the test knows of the ledger.
type tortured struct {
	dir     string
	acked   [senders]int // numbers below it were acknowledged
	next    [senders]int // numbers below it were found in the ledger
	checked uint64       // sequences up to it were looked at
	holds   uint64
	purged  uint64 // sequences up to it are gone
	saved   *ledger.SavedRoot
}

func TestTorture(t *testing.T) {
	k := &tortured{dir: t.TempDir()}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 9))
	end := time.Now().Add(*torture)
	rounds := 0
	for ; rounds < 3 || time.Now().Before(end); rounds++ {
		k.round(t, rng, 1+rng.IntN(300))
		k.check(t)
		if rounds%20 == 19 {
			k.prove(t)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", rounds+1)
		}
	}
	k.prove(t)
	total := 0
	for _, n := range k.next {
		total += n
	}
	t.Logf("%d kills, %d records looked at one by one, of which the first %d are purged; %d holds", rounds, total, k.purged, k.holds)
}

// round lets the process run until it has acknowledged some batches, and kills it some time after.
func (k *tortured) round(t *testing.T, rng *rand.Rand, batches int) {
	t.Helper()
	oldest := k.next[0]
	for _, n := range k.next {
		oldest = min(oldest, n)
	}
	o := tortureOrder{Dir: k.dir, From: k.next, Purge: tortureTime(oldest - 3*tortureParts), Seed: rng.Uint64()}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestTortureChild$")
	cmd.Env = append(os.Environ(), "WHOSAW_TORTURE="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	after := time.Duration(rng.IntN(20_000)) * time.Microsecond
	seen := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var s, n int
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "ack "):
			if _, err := fmt.Sscanf(line, "ack %d %d", &s, &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			k.acked[s] = max(k.acked[s], n)
			if seen++; seen == batches {
				timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
				defer timer.Stop()
			}
		case strings.HasPrefix(line, "hold "):
			id, err := strconv.ParseUint(line[5:], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			k.holds = max(k.holds, id)
		default:
			t.Errorf("the process says: %s", line)
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
}

// check opens the ledger, as the next owner does, and looks at each record that was not looked at.
func (k *tortured) check(t *testing.T) {
	t.Helper()
	l, err := ledger.Open(ledger.Config{Dir: k.dir, SegmentRecords: tortureParts})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, l)
	v := view(t, l, 0)
	for _, g := range v.Purged() {
		k.purged = max(k.purged, g.Last)
		if g.Last > k.checked {
			t.Errorf("records %d to %d are gone, and only those up to %d may be", g.First, g.Last, k.checked)
		}
	}
	due := k.checked + 1
	err = v.Records(ctx, due, func(seq uint64, r *whosaw.Record) error {
		if seq != due {
			return fmt.Errorf("sequence %d where %d is due", seq, due)
		}
		due++
		s, err := strconv.Atoi(strings.TrimPrefix(r.Source, "sender-"))
		if err != nil || s < 0 || s >= senders {
			return fmt.Errorf("sequence %d is of nobody", seq)
		}
		if int(r.Position) != k.next[s] {
			return fmt.Errorf("sequence %d has number %d of sender %d, and %d is due", seq, r.Position, s, k.next[s])
		}
		want := tortureRecord(s, k.next[s])
		if string(canonical(t, r)) != string(canonical(t, &want)) {
			return fmt.Errorf("sequence %d is not as it was sent", seq)
		}
		k.next[s]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k.checked = due - 1
	for s := range senders {
		if k.next[s] < k.acked[s] {
			t.Errorf("sender %d: numbers up to %d were acknowledged, and %d are there", s, k.acked[s], k.next[s])
		}
	}
	if holds := l.Holds(); uint64(len(holds)) < k.holds {
		t.Errorf("%d holds were acknowledged, and %d are there", k.holds, len(holds))
	}
}

// prove verifies every byte, and that what was under the root before is under the root now.
func (k *tortured) prove(t *testing.T) {
	t.Helper()
	v, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: k.dir, Saved: k.saved})
	if err != nil {
		t.Fatal(err)
	}
	if v.Sequence != k.checked || v.Rooted != k.checked {
		t.Errorf("verified up to %d, and %d are there", v.Rooted, k.checked)
	}
	k.saved = ledger.NewSavedRoot(&v, time.Now())
}
