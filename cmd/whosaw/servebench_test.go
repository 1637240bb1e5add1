package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/api"
)

var (
	serveTime    = flag.Duration("whosaw.serve", 10*time.Second, "how long BenchmarkServe sends")
	serveSenders = flag.Int("whosaw.senders", 2, "connections that BenchmarkServe sends over")
)

// token makes a token that may send everything of a source; "*": of any.
func (c *child) token(source string) string {
	c.tb.Helper()
	var made api.NewToken
	err := c.r.call(c.tb.Context(), "POST", "/v1/tokens", api.TokenSpec{
		Name: strings.Replace(source, "*", "any", 1), Sources: []string{source}, Types: []string{"access", "issuance", "subject", "feed", "key", "person", "reason"},
	}, &made)
	if err != nil {
		c.tb.Fatal(err)
	}
	return made.Secret
}

// sendBody sends a body and gives the answer. query, if given, goes behind the path.
func sendBody(ctx context.Context, client *http.Client, url, token string, body io.Reader, query ...string) (api.Received, int, error) {
	var out api.Received
	path := url + "/v1/records"
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	req, err := http.NewRequestWithContext(ctx, "POST", path, body)
	if err != nil {
		return out, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return out, 0, err
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&out)
	return out, res.StatusCode, err
}

// traffic makes bodies of honest sessions: a log-in that issues a credential, then pages, of which two in five show the
// customer's own data. A body is written once and sent again with other times and credentials.
type traffic struct {
	body        []byte
	times       []int // offsets of 13 digits, milliseconds
	credentials []int // offsets of 10 digits
	base        []int64
	accesses    int
	lines       int
}

const (
	bodySessions  = 400
	sessionLength = 20 // lines
)

func newTraffic(sender int) *traffic {
	tr := &traffic{}
	pages := []string{"GET /search", "GET /me", "GET /product/{id}", "GET /me/addresses", "GET /"}
	for line := range sessionLength {
		for session := range bodySessions {
			customer := 1 + (sender*bodySessions+session*7919)%100_000
			time13 := func(prefix string) {
				tr.body = append(tr.body, prefix...)
				tr.times = append(tr.times, len(tr.body))
				tr.body = append(tr.body, "0000000000000"...)
			}
			credential := func() {
				tr.body = append(tr.body, `,"credential":"s`...)
				tr.credentials = append(tr.credentials, len(tr.body))
				tr.body = append(tr.body, "0000000000"...)
				tr.base = append(tr.base, int64(session))
			}
			if line == 0 {
				time13(`{"type":"issuance","time":`)
				credential()
				tr.body = fmt.Appendf(tr.body, `","key":"login-2026","client":"web","subject":%d}`+"\n", customer)
			} else {
				page := pages[(line+session)%len(pages)]
				time13(`{"time":`)
				if strings.Contains(page, "/me") {
					fields := `["name","email"]`
					if strings.HasSuffix(page, "addresses") {
						fields = `["name","phone","address"],"masked":["door_code"]`
					}
					tr.body = fmt.Appendf(tr.body, `,"subject":%d,"fields":%s`, customer, fields)
				}
				tr.body = fmt.Appendf(tr.body, `,"route":%q,"status":200,"principal":"customer:%d"`, page, customer)
				credential()
				tr.body = fmt.Appendf(tr.body, `","key":"login-2026","client":"web","ip":"10.%d.%d.%d","country":"KR","asn":4766,"agent":"Mozilla/5.0 (Linux; Android 14; SM-S91%dN) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"}`+"\n",
					customer>>16, customer>>8&255, customer&255, customer%10)
				tr.accesses++
			}
			tr.lines++
		}
	}
	return tr
}

// next makes the body another one: at a time, with credentials that were not used before.
func (tr *traffic) next(now int64, serial int64) []byte {
	for i, at := range tr.times {
		digits(tr.body[at:at+13], now+int64(i*40/len(tr.times)))
	}
	for i, at := range tr.credentials {
		digits(tr.body[at:at+10], serial*bodySessions+tr.base[i])
	}
	return tr.body
}

func digits(b []byte, n int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
}

// BenchmarkServe sends over HTTP to a server in a process of its own, with all detectors on and every answer durable, for
// -whosaw.serve, and says how its memory grows. Sender and server share the machine.
func BenchmarkServe(b *testing.B) {
	c := startServer(b, filepath.Join(b.TempDir(), "data"), "")
	token := c.token("web")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *serveSenders, WriteBufferSize: 256 << 10, DialContext: (&net.Dialer{}).DialContext}}
	feed := fmt.Sprintf(`{"type":"feed","of":"issuance","client":"web","time":%d,"from":"2020-01-01T00:00:00Z","lost":0,"lag":60}`+"\n", time.Now().UnixMilli())
	if out, status, err := sendBody(b.Context(), client, c.url, token, strings.NewReader(feed)); err != nil || out.Accepted != 1 {
		b.Fatalf("feed: %d %v %+v", status, err, out)
	}
	var accesses, serial atomic.Int64
	ctx, cancel := context.WithTimeout(b.Context(), *serveTime)
	defer cancel()
	b.ResetTimer()
	began := time.Now()
	server, sender := processorTime(c.cmd.Process.Pid), processorTime(os.Getpid())
	var senders sync.WaitGroup
	for n := range *serveSenders {
		senders.Go(func() {
			tr := newTraffic(n)
			for ctx.Err() == nil {
				body := tr.next(time.Now().UnixMilli(), serial.Add(1))
				out, status, err := sendBody(b.Context(), client, c.url, token, bytes.NewReader(body))
				if err != nil || status != 200 || out.Accepted != int64(tr.lines) {
					b.Errorf("answer %d: %v, %d of %d accepted", status, err, out.Accepted, tr.lines)
					return
				}
				accesses.Add(int64(tr.accesses))
			}
		})
	}
	var memory []int64
	tick := time.NewTicker(max(time.Second, *serveTime/20))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			memory = append(memory, resident(c.cmd.Process.Pid))
			b.Logf("%4.0f s  %9d accesses  %7.0f/s  resident %d MiB", time.Since(began).Seconds(), accesses.Load(),
				float64(accesses.Load())/time.Since(began).Seconds(), memory[len(memory)-1]>>20)
		case <-ctx.Done():
		}
	}
	senders.Wait()
	took := time.Since(began)
	b.StopTimer()
	var s api.Status
	if err := c.r.call(b.Context(), "GET", "/v1/status", nil, &s); err != nil {
		b.Fatal(err)
	}
	if s.Ledger.Accesses != accesses.Load() || s.Alarms.Findings != 0 {
		b.Errorf("%d accesses in the ledger, %d were acknowledged; %d findings on honest traffic", s.Ledger.Accesses, accesses.Load(), s.Alarms.Findings)
	}
	perAccess := func(pid int, before time.Duration) float64 {
		return float64((processorTime(pid) - before).Microseconds()) / float64(accesses.Load())
	}
	b.ReportMetric(float64(accesses.Load())/took.Seconds(), "accesses/s")
	b.ReportMetric(perAccess(c.cmd.Process.Pid, server), "server-cpu-µs/access")
	b.ReportMetric(perAccess(os.Getpid(), sender), "sender-cpu-µs/access")
	b.ReportMetric(float64(s.Ledger.Last-s.Ledger.Judged), "behind")
	b.ReportMetric(float64(s.Ledger.Bytes)/float64(s.Ledger.Accesses), "bytes/access")
	if n := len(memory); n > 1 {
		b.ReportMetric(float64(memory[n/2]>>20), "MiB-half-way")
		b.ReportMetric(float64(memory[n-1]>>20), "MiB-end")
	}
}

// processorTime is what a process has used, in steps of 10 ms; 0 where the system does not say.
func processorTime(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process, in bytes; 0 where the system does not say.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}
