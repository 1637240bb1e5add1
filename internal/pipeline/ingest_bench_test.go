package pipeline_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
)

const (
	ingestCustomers = 100_000
	ingestBatch     = 8192
	ingestRate      = 300 // accesses a millisecond of event time
)

// traffic writes the record lines of a large shop: one in twenty is the log-in of a customer, whose session is then used for
// some nineteen pages. A quarter of the pages show nobody's data; one access in fifty is by the house's own staff.
type traffic struct {
	rng      *rand.Rand
	n        int64
	ids      bool   // each record has an id, so that it may be sent twice
	sessions []byte // 16 hex digits each
	agents   []string
	line     []byte
}

func newTraffic(ids bool) *traffic {
	tr := &traffic{rng: rand.New(rand.NewPCG(1, 2)), ids: ids, sessions: make([]byte, 16*ingestCustomers)}
	for i := range 1500 {
		tr.agents = append(tr.agents, fmt.Sprintf("Mozilla/5.0 (Linux; Android %d; SM-%d) AppleWebKit/537.36 Chrome/%d.0.0.0 Mobile Safari/537.36", i%15, i*37%997, 100+i%40))
	}
	for c := range ingestCustomers {
		tr.login(c)
	}
	return tr
}

func (tr *traffic) login(customer int) []byte {
	session := tr.sessions[16*customer:][:16]
	const digits = "0123456789abcdef"
	for x, i := tr.rng.Uint64(), 0; i < 16; i++ {
		session[i] = digits[x>>(4*i)&15]
	}
	return session
}

var ingestRoutes = [...]string{
	`"GET /me","fields":["email","name"]`,
	`"GET /me/addresses","fields":["address","name","phone"]`,
	`"GET /me/orders","fields":["order_history"]`,
	`"GET /search","fields":[]`,
}

// issuance appends the log-in of a customer, with the session given out.
func (tr *traffic) issuance(b []byte, customer int, session []byte) []byte {
	b = append(b, `{"type":"issuance","time":`...)
	b = strconv.AppendInt(b, now-100_000_000+tr.n/ingestRate, 10)
	b = append(b, `,"credential":"`...)
	b = append(b, session...)
	b = append(b, `","key":"login-2026-a","subject":"`...)
	b = strconv.AppendInt(b, int64(customer), 10)
	return append(b, "\"}\n"...)
}

// next appends the next line.
func (tr *traffic) next(b []byte) []byte {
	tr.n++
	c := tr.rng.IntN(ingestCustomers)
	if tr.n%20 == 0 {
		return tr.issuance(b, c, tr.login(c))
	}
	b = append(b, `{"time":`...)
	b = strconv.AppendInt(b, now-100_000_000+tr.n/ingestRate, 10)
	if tr.ids {
		b = append(b, `,"id":"`...)
		b = strconv.AppendUint(b, tr.rng.Uint64()>>1|1<<62, 16)
		b = append(b, '"')
	}
	route := ingestRoutes[tr.rng.IntN(len(ingestRoutes))]
	if route != ingestRoutes[len(ingestRoutes)-1] {
		b = append(b, `,"subject":"`...)
		b = strconv.AppendInt(b, int64(c), 10)
		b = append(b, '"')
	}
	b = append(b, `,"route":`...)
	b = append(b, route...)
	b = append(b, `,"status":200,"principal":"`...)
	if tr.n%50 == 1 {
		c = c % 500
		b = append(b, "staff:"...)
	} else {
		b = append(b, "customer:"...)
	}
	b = strconv.AppendInt(b, int64(c), 10)
	b = append(b, `","credential":"`...)
	if tr.n%50 == 1 {
		b = append(b, "desk-"...)
		b = strconv.AppendInt(b, int64(c), 10)
	} else {
		b = append(b, tr.sessions[16*c:][:16]...)
	}
	b = append(b, `","key":"login-2026-a","client":"app","ip":"198.`...)
	b = strconv.AppendInt(b, int64(18+c>>16), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(c>>8&255), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(c&255), 10)
	b = append(b, `","country":"KR","asn":`...)
	b = strconv.AppendInt(b, int64(4700+c>>8%40), 10)
	b = append(b, `,"agent":"`...)
	b = append(b, tr.agents[c%len(tr.agents)]...)
	b = append(b, `","bytes":`...)
	b = strconv.AppendInt(b, int64(500+c%97), 10)
	return append(b, "}\n"...)
}

// lines gives a batch of lines, and where each ends.
func (tr *traffic) lines(ends []int) []byte {
	b := tr.line[:0]
	for i := range ends {
		b = tr.next(b)
		ends[i] = len(b)
	}
	tr.line = b
	return b
}

// BenchmarkIngest decodes lines, makes them durable and runs the detectors over them: all that a server does for an access but
// to receive it. The figures are processor time, that of sealing and of the collector included, in nanoseconds an access;
// making the lines is left out. cpu-ns/access is the sum; two cores carry 2e9 divided by it a second.
func BenchmarkIngest(b *testing.B) {
	for _, ids := range []bool{false, true} {
		b.Run(fmt.Sprintf("ids=%v", ids), func(b *testing.B) {
			for b.Loop() {
				ingestOnce(b, ids)
			}
		})
	}
}

// ingestOnce takes as many batches as fill three segments, and seals.
func ingestOnce(b *testing.B, ids bool) {
	const batches = 3 * (1 << 20) / ingestBatch
	runtime.LockOSThread() // so that its stages can be told from the ledger's own goroutines
	defer runtime.UnlockOSThread()
	led, err := ledger.Open(ledger.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	engine := detect.New(detect.Config{}, catalog.Rules())
	tr := newTraffic(ids)
	var decoder whosaw.Decoder
	records := make([]whosaw.Record, ingestBatch)
	var offset int64
	decode := func(text []byte) {
		for i := range records {
			end := bytes.IndexByte(text, '\n')
			if err := decoder.Decode(text[:end], now, &records[i]); err != nil {
				b.Fatal(err)
			}
			records[i].Source, records[i].Position = "app", offset
			offset += int64(end + 1)
			text = text[end+1:]
		}
	}
	appendAll := func() []ledger.Receipt {
		receipts, err := led.Append(b.Context(), records)
		if err != nil {
			b.Fatal(err)
		}
		return receipts
	}
	findings := 0
	observe := func(receipts []ledger.Receipt) {
		engine.ObserveBatch(records, func(i int) uint64 {
			if receipts[i].Ack != ledger.Accepted {
				b.Fatalf("record %d was there already", receipts[i].Sequence)
			}
			return receipts[i].Sequence
		}, func(int, whosaw.Finding) { findings++ })
	}
	// Every customer has logged in before.
	var text []byte
	for c := range ingestCustomers {
		text = tr.issuance(text[:0], c, tr.sessions[16*c:][:16])
		if err := decoder.Decode(text[:len(text)-1], now, &records[0]); err != nil {
			b.Fatal(err)
		}
		engine.Observe(uint64(c+1), &records[0])
	}
	runtime.GC()

	ends := make([]int, ingestBatch)
	var made, decoded, observed time.Duration
	all := processorTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	for range batches {
		at := processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		text := tr.lines(ends)
		now := processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		made, at = made+now-at, now
		decode(text)
		now = processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		decoded, at = decoded+now-at, now
		receipts := appendAll()
		at = processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		observe(receipts)
		observed += processorTime(unix.CLOCK_THREAD_CPUTIME_ID) - at
	}
	if err := led.Seal(b.Context()); err != nil {
		b.Fatal(err)
	}
	all = processorTime(unix.CLOCK_PROCESS_CPUTIME_ID) - all - made
	n := float64(batches * ingestBatch)
	b.ReportMetric(float64(all)/n, "cpu-ns/access")
	b.ReportMetric(float64(decoded)/n, "decode-ns")
	b.ReportMetric(float64(observed)/n, "detect-ns")
	b.ReportMetric(float64(all-decoded-observed)/n, "append-ns")
	if findings > 0 {
		b.Fatalf("%d findings in honest traffic", findings)
	}
	if err := led.Close(); err != nil {
		b.Fatal(err)
	}
}

// processorTime reads a clock of processor time: getrusage would be behind by up to a tick, which is as long as a batch takes.
func processorTime(clock int32) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
