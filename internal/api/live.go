package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// hub fans figures out to whoever watches.
type hub struct {
	mu       sync.Mutex
	watchers map[chan []byte]bool
	last     []byte
	ended    bool
}

// maxWatchers bounds the connections that wait for figures.
const maxWatchers = 1000

func (h *hub) join() (chan []byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || len(h.watchers) >= maxWatchers {
		return nil, false
	}
	c := make(chan []byte, 1)
	if h.last != nil {
		c <- h.last
	}
	h.watchers[c] = true
	return c, true
}

func (h *hub) leave(c chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, c)
}

// tell gives every watcher the newest figures; what one has not fetched yet is replaced.
func (h *hub) tell(event []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = event
	for c := range h.watchers {
		select {
		case <-c:
		default:
		}
		c <- event
	}
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers)
}

// end closes what the watchers wait on.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for c := range h.watchers {
		close(c)
		delete(h.watchers, c)
	}
}

// Run works live figures out once a second until ctx ends; then those who watch are let go.
func (a *API) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer a.hub.end()
	defer a.ending.Do(func() { close(a.over) })
	var before Figures
	for {
		f, err := a.figures(ctx, &before, a.cfg.Now())
		if err != nil && ctx.Err() == nil {
			a.cfg.Logger.Error("work out live figures", "error", err)
		}
		if err == nil {
			f.Watchers = a.hub.count()
			before = f
			data, err := json.Marshal(f)
			if err != nil {
				panic("BUG: encode live figures: " + err.Error())
			}
			a.hub.tell(append(append([]byte("event: figures\ndata: "), data...), "\n\n"...))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// getLive streams figures as server-sent events.
func (a *API) getLive(w http.ResponseWriter, r *http.Request) error {
	c, ok := a.hub.join()
	if !ok {
		return unavailable("too many are watching, or the server is stopping", "ask again later")
	}
	defer a.hub.leave(c)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(w)
	for {
		select {
		case event, ok := <-c:
			if !ok {
				return nil
			}
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // who does not read is let go
			if _, err := w.Write(event); err != nil {
				return errSent
			}
			if err := rc.Flush(); err != nil {
				return errSent
			}
		case <-r.Context().Done():
			return errSent
		}
	}
}
