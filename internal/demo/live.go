package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// maxListeners bounds how many watch.
	maxListeners = 200
	// tellEvery is how often watchers are told, quietAfter how often if nothing has changed.
	tellEvery  = 250 * time.Millisecond
	quietAfter = 2 * time.Second
)

// run tells watchers what has changed, once for each language and step, until ctx ends.
func (p *pages) run(ctx context.Context) {
	defer p.end()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	told := map[listener]event{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p.tell(told)
	}
}

// event is what was told last, and when.
type event struct {
	data []byte
	at   time.Time
}

func (p *pages) tell(told map[listener]event) {
	p.mu.Lock()
	wanted := map[listener]bool{}
	for _, l := range p.watchers {
		wanted[l] = true
	}
	p.mu.Unlock()
	now := time.Now()
	fresh := map[listener][]byte{}
	for l := range told {
		if !wanted[l] {
			delete(told, l)
		}
	}
	for l := range wanted {
		data := p.event(l)
		if last, ok := told[l]; ok && bytes.Equal(last.data, data) && now.Sub(last.at) < quietAfter {
			continue
		}
		told[l] = event{data, now}
		fresh[l] = data
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch, l := range p.watchers {
		data, ok := fresh[l]
		if !ok {
			continue
		}
		select { // what was not fetched yet is replaced
		case <-ch:
		default:
		}
		ch <- data
	}
}

// event is what changes on a page.
func (p *pages) event(l listener) []byte {
	at := l.at
	if w, _ := p.d.now(); w != nil && at < 0 {
		at = 0 // it is open: the page goes there
	}
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, "event.html", p.view(p.words.In(l.lang), at)); err != nil {
		p.d.cfg.Logger.Error("make what changes on the demo's page", "error", err)
		return []byte(": nothing\n\n")
	}
	var data bytes.Buffer
	for line := range strings.SplitSeq(out.String(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			data.WriteString("data: ")
			data.WriteString(line)
			data.WriteByte('\n')
		}
	}
	data.WriteByte('\n')
	return data.Bytes()
}

func (p *pages) join(l listener) (chan []byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.watchers) >= maxListeners {
		return nil, false
	}
	ch := make(chan []byte, 1)
	p.watchers[ch] = l
	return ch, true
}

func (p *pages) leave(ch chan []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, ch)
}

func (p *pages) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for ch := range p.watchers {
		close(ch)
		delete(p.watchers, ch)
	}
}

// live streams what changes on a page.
func (p *pages) live(w http.ResponseWriter, r *http.Request) {
	at := -1
	if id := r.URL.Query().Get("step"); id != "" {
		if at = stepAt(id); at < 0 {
			http.NotFound(w, r)
			return
		}
	}
	ch, ok := p.join(listener{p.words.Of(r).Lang(), at})
	if !ok {
		http.Error(w, "too many are watching, or the demo is ending", http.StatusServiceUnavailable)
		return
	}
	defer p.leave(ch)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	if _, err := fmt.Fprint(w, ": here\n\n"); err != nil || rc.Flush() != nil {
		return
	}
	for {
		select {
		case data, ok := <-ch:
			if !ok {
				return
			}
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // who does not read is let go
			if _, err := w.Write(data); err != nil || rc.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
