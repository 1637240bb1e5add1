package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/server"
)

// hook receives findings by webhook and counts them by their idempotency id.
type hook struct {
	*httptest.Server

	mu     sync.Mutex
	down   bool // answers 503
	refuse int  // one in so many is answered with 503 though it was read; 0: none
	asked  int
	told   map[string]int // times it was answered with 200
	sum    map[string][sha256.Size]byte
	other  []string // ids that came with two bodies
	said   map[string]alarm.Message
	news   chan struct{} // something was told
}

func newHook(t *testing.T) *hook {
	h := &hook{told: map[string]int{}, sum: map[string][sha256.Size]byte{}, said: map[string]alarm.Message{}, news: make(chan struct{}, 1)}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was killed while it sent
	}
	id := r.Header.Get("webhook-id")
	var event struct {
		ID   string        `json:"id"`
		Data alarm.Message `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.ID != id || event.Data.ID != id {
		http.Error(w, "not an event of that id", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	sum := sha256.Sum256(body)
	if before, ok := h.sum[id]; ok && before != sum {
		h.other = append(h.other, id)
	}
	h.sum[id] = sum
	if h.down || h.refuse > 0 && h.asked%h.refuse == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.told[id]++
	h.said[id] = event.Data
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// setDown makes the receiver fail, or work again.
func (h *hook) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// tells waits for the next finding that is told, for a time.
func (h *hook) tells(ctx context.Context, most time.Duration) {
	select {
	case <-h.news:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-h.news:
	case <-ctx.Done():
	}
}

// counts gives how often each finding was told.
func (h *hook) counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.told)
}

// check compares what was told with the findings of a replay: each was told, none other, and none in two ways. It gives how
// many were told more than once.
func (h *hook) check(t *testing.T, replayed map[string]whosaw.Finding) (twice int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range replayed {
		m, ok := h.said[id]
		switch {
		case !ok:
			t.Errorf("finding %s (%s %s) was never told", id, f.Detector, f.Unit)
		case m.Detector != f.Detector || m.Time != f.Time || m.Seen != f.Seen || m.Accesses != f.Accesses || m.Subjects != f.Subjects || m.Statistic != f.Statistic:
			t.Errorf("finding %s was told as %+v; a replay gives %+v", id, m, f)
		}
	}
	for id, n := range h.told {
		if _, ok := replayed[id]; !ok {
			t.Errorf("%s was told, and a replay of the ledger does not give it: %+v", id, h.said[id])
		}
		if n > 1 {
			twice++
		}
	}
	for _, id := range h.other {
		t.Errorf("finding %s was told with two different bodies", id)
	}
	return twice
}

// readLedger reads a ledger that no server has open, checks that its sequences have no holes and every byte is as it was
// written, gives each record to see, and the findings that the detectors, from their beginning, raise on it.
func readLedger(t *testing.T, dir string, see func(seq uint64, r *whosaw.Record)) map[string]whosaw.Finding {
	t.Helper()
	if _, err := ledger.Verify(t.Context(), ledger.VerifyConfig{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	led, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	cat, err := server.LoadCatalog("", dir)
	if err != nil {
		t.Fatal(err)
	}
	engine := detect.New(config.Default().Engine(), cat)
	found := map[string]whosaw.Finding{}
	var last uint64
	err = view.Records(t.Context(), 0, func(seq uint64, r *whosaw.Record) error {
		if seq != last+1 {
			t.Fatalf("after sequence %d comes %d", last, seq)
		}
		last = seq
		for _, f := range engine.Observe(seq, r) {
			found[f.ID] = f
		}
		see(seq, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != view.Last() {
		t.Fatalf("records up to %d were read, the ledger says %d", last, view.Last())
	}
	return found
}
