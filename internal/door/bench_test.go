package door_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whosaw/whosaw"
	middleware "github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/proxy"
	"github.com/whosaw/whosaw/internal/sim"
)

var (
	loadRate = flag.Int("whosaw.rate", 20_000, "requests a second of BenchmarkDoors")
	loadTime = flag.Duration("whosaw.load", 3*time.Second, "how long BenchmarkDoors keeps up a load")
)

// BenchmarkDoors keeps up a rate of requests with credentials that were seen before, over HTTP, and says how long answers took from the moment
// a request was due: a bare handler, the same with the guard asked in its process, the decide door, nginx before the service without and with the
// guard. All in one run on one machine, the load's own work included: read each beside the bare handler.
func BenchmarkDoors(b *testing.B) {
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(b, err)
	s := newStand(b, cat, guard.KindNginx)
	const people = 2000
	s.clock.Store(time.Now().UnixMilli())
	records := []whosaw.Record{}
	tokens := make([]string, people)
	for i := range tokens {
		r := whosaw.Record{
			Type: whosaw.TypeIssuance, Time: s.clock.Load(), Credential: fmt.Sprintf("jti-%d", i), Key: "login-2026-a", Subjects: []string{fmt.Sprint(i + 1)},
			Source: "bench", Position: int64(i),
		}
		records = append(records, r)
		r.Principal = "customer:" + fmt.Sprint(i+1)
		tokens[i] = s.token(&r, map[string]int64{r.Credential: r.Time})
	}
	_, err = s.live.TakeRecords(b.Context(), records)
	check(b, err)
	s.clock.Store(0)
	ip := netip.MustParseAddr("203.0.113.7")
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := s.guard.Decide(r.Context(), &guard.Request{
			Door: "edge", Method: r.Method, Path: r.URL.Path, Credential: guard.Secret(r.Header.Get("Authorization")), IP: ip, Agent: "bench",
		})
		if d.Action != guard.Allow {
			w.WriteHeader(d.Status())
			return
		}
		bare(w, r)
	})
	get := func(token string) string {
		return "GET /me/addresses HTTP/1.1\r\nHost: bench\r\nX-Test-Ip: 203.0.113.7\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	question := func(token string) string {
		body := fmt.Sprintf(`{"method":"GET","path":"/me/addresses","ip":"203.0.113.7","credential":%q}`, token)
		return fmt.Sprintf("POST /v1/decide HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	asking := door.DecideHandler(s.guard, "edge")
	var took within
	for _, c := range []struct {
		name    string
		address func() string
		request func(string) string
	}{
		{"bare", func() string { return serveOn(b, took.around(bare)) }, get},
		{"guard in its process", func() string { return serveOn(b, took.around(inside)) }, get},
		{"decide door", func() string { return serveOn(b, asking) }, question},
		{"nginx, no guard", func() string { return startPlainNginx(b, serveOn(b, bare)) }, get},
		{"nginx auth_request", func() string { return startNginx(b, s.at, "http://"+serveOn(b, bare)) }, get},
	} {
		b.Run(c.name, func(b *testing.B) {
			address := c.address()
			requests := make([]string, people)
			for i := range requests {
				requests[i] = c.request(tokens[i])
			}
			load(b, address, requests, *loadRate/2, time.Second) // every credential is seen
			for b.Loop() {
				took.reset()
				cpu := processor()
				answers, refused := load(b, address, requests, *loadRate, *loadTime)
				cpu = processor() - cpu
				if refused > 0 {
					b.Fatalf("%d of %d were refused", refused, len(answers))
				}
				report(b, answers, cpu)
				if took.n.Load() > 0 {
					b.ReportMetric(took.at(0.5), "handler-p50-us")
					b.ReportMetric(took.at(0.99), "handler-p99-us")
					b.ReportMetric(took.at(0.999), "handler-p99.9-us")
				}
			}
		})
	}
}

// within is how long handlers took, from the request read to the answer written, of all requests: what the load and the network add is not in
// it. Its steps are an eighth of a doubling, so a figure is at most 9 % too large.
type within struct {
	n     atomic.Int64
	steps [8 * 40]atomic.Int64
}

func (w *within) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		h.ServeHTTP(rw, r)
		ns := max(1, float64(time.Since(began)))
		w.steps[min(len(w.steps)-1, int(8*math.Log2(ns)))].Add(1)
		w.n.Add(1)
	})
}

func (w *within) reset() {
	w.n.Store(0)
	for i := range w.steps {
		w.steps[i].Store(0)
	}
}

// at gives a quantile in microseconds.
func (w *within) at(q float64) float64 {
	left := int64(q * float64(w.n.Load()))
	for i := range w.steps {
		if left -= w.steps[i].Load(); left < 0 {
			return math.Exp2(float64(i+1)/8) / 1000
		}
	}
	return math.Inf(1)
}

// BenchmarkProxy keeps up a rate of requests for JSON answers of 2 kB: to the service itself, through a plain reverse proxy, and through the
// guard's, which asks the guard about the request and about what it found in the answer, and hands over a record. All in one process.
func BenchmarkProxy(b *testing.B) {
	for _, hold := range []bool{false, true} {
		benchmarkProxy(b, hold)
	}
}

func benchmarkProxy(b *testing.B, hold bool) {
	cat := looked(b)
	s := newStand(b, cat, guard.KindProxy, func(g *guard.Config) { g.Policy.Hold = &hold })
	const people = 2000
	s.clock.Store(time.Now().UnixMilli())
	var records []whosaw.Record
	tokens := make([]string, people)
	for i := range tokens {
		r := whosaw.Record{
			Type: whosaw.TypeIssuance, Time: s.clock.Load(), Credential: fmt.Sprintf("jti-%d", i), Key: "login-2026-a", Subjects: []string{fmt.Sprint(i + 1)},
			Source: "bench", Position: int64(i),
		}
		records = append(records, r)
		r.Principal = "customer:" + fmt.Sprint(i+1)
		tokens[i] = s.token(&r, map[string]int64{r.Credential: r.Time})
	}
	_, err := s.live.TakeRecords(b.Context(), records)
	check(b, err)
	s.clock.Store(0)
	body := []byte(`{"people":["7"],"name":"Kim Min-ji","phone":"010-2345-6789","address":"12, Example-ro, Somewhere-gu, Seoul","orders":[` +
		strings.TrimSuffix(strings.Repeat(`{"number":1029384756,"item":"a book about nothing in particular","total":12900},`, 24), ",") + `]}`)
	service := serveOn(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	up, err := url.Parse("http://" + service)
	check(b, err)
	api := httptest.NewServer(s.server(cat))
	defer api.Close()
	client, err := middleware.New(middleware.Config{Server: api.URL, Token: "wst_bench", Door: "edge", Now: time.Now, AddressHeader: "X-Test-Ip", Timeout: time.Minute})
	check(b, err)
	seeing, err := proxy.New(proxy.Config{Upstream: up, Guard: client, Catalog: cat, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	check(b, err)
	requests := make([]string, people)
	for i := range requests {
		requests[i] = "GET /me/addresses HTTP/1.1\r\nHost: bench\r\nX-Test-Ip: 203.0.113.7\r\nAuthorization: Bearer " + tokens[i] + "\r\n\r\n"
	}
	name := "whosaw proxy"
	if hold {
		name = "whosaw proxy, held until durable"
	}
	for _, c := range []struct {
		name    string
		address string
	}{
		{"the service itself", service},
		{"a plain reverse proxy", serveOn(b, httputil.NewSingleHostReverseProxy(up))},
		{name, serveOn(b, seeing)},
	} {
		b.Run(c.name, func(b *testing.B) {
			load(b, c.address, requests, *loadRate/10, time.Second)
			for b.Loop() {
				cpu := processor()
				took, refused := load(b, c.address, requests, *loadRate/10, *loadTime)
				cpu = processor() - cpu
				if refused > 0 {
					b.Fatalf("%d of %d were refused", refused, len(took))
				}
				report(b, took, cpu)
			}
		})
	}
	check(b, client.Close(b.Context()))
	if n := seeing.Stats(); n.Unreadable > 0 || n.Read == 0 {
		b.Fatalf("%+v", n)
	}
}

// report says how long answers took and what they cost.
func report(b *testing.B, took []time.Duration, cpu time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))]) / 1e6 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(float64(len(took))/loadTime.Seconds(), "answers/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(took)), "cpu-us/answer")
	b.ReportMetric(0, "ns/op")
}

// processor is the processor time of this process: on a machine that others use it says what wall time cannot. nginx's own is not in it.
func processor() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func serveOn(b *testing.B, h http.Handler) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	b.Cleanup(func() { srv.Close(); <-done })
	return l.Addr().String()
}

// load sends requests at a rate over some connections and gives how long each answer took since its request was due.
func load(b *testing.B, address string, requests []string, rate int, d time.Duration) (took []time.Duration, refused int64) {
	b.Helper()
	const connections = 32
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	var mu sync.Mutex
	var bad atomic.Int64
	var group sync.WaitGroup
	every := time.Duration(connections) * time.Second / time.Duration(rate)
	began := time.Now()
	for c := range connections {
		group.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				bad.Add(1)
				return
			}
			defer conn.Close()
			read := bufio.NewReader(conn)
			mine := make([]time.Duration, 0, rate*int(d/time.Second+1)/connections)
			due := began.Add(every * time.Duration(c) / connections)
			for i := c; ctx.Err() == nil; i += connections {
				if pause := time.Until(due); pause > 0 {
					t := time.NewTimer(pause)
					<-t.C
				}
				if _, err := io.WriteString(conn, requests[i%len(requests)]); err != nil {
					bad.Add(1)
					return
				}
				ok, err := readAnswer(read)
				if err != nil || !ok {
					bad.Add(1)
					return
				}
				mine = append(mine, time.Since(due))
				due = due.Add(every)
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	group.Wait()
	return took, bad.Load()
}

// readAnswer reads an answer without making anything of it: the load should cost little beside what it measures.
func readAnswer(r *bufio.Reader) (ok bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	ok = strings.HasPrefix(string(line), "HTTP/1.1 2")
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Content-Length") {
			_, _ = fmt.Sscan(value, &length)
		}
	}
	if ok && length > 0 {
		body, err := r.Peek(length)
		if err != nil {
			return false, err
		}
		if strings.Contains(string(body), `"action":"deny"`) {
			ok = false
		}
	}
	_, err = r.Discard(length)
	return ok, err
}
