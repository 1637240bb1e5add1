package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/whosaw/whosaw/internal/guard"
)

// Book is what a feed reads.
type Book interface {
	// Holding lists the decisions that hold.
	Holding() []*guard.Standing
	// Since gives events after a number, and a channel that is closed when there are more.
	Since(ctx context.Context, number int64, limit int) ([]guard.Event, <-chan struct{}, error)
	// Last is the number of the last event.
	Last() int64
}

const (
	feedBatch = 256
	heartbeat = 15 * time.Second // a reader that hears nothing for longer has lost its connection
)

// ErrGone says that the reader of a feed does not read any more.
var ErrGone = errors.New("the reader of the feed has gone")

// Feed sends standing decisions as server-sent events until the reader goes or done is closed. A reader that names the last event it has
// (Last-Event-ID) is sent what came since; one that names none, or one from a time to come, is sent an event reset with all that hold.
func Feed(w http.ResponseWriter, r *http.Request, book Book, done <-chan struct{}) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(w)
	send := func(b []byte) error {
		_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // who does not read is let go
		if _, err := w.Write(b); err != nil {
			return ErrGone
		}
		if err := rc.Flush(); err != nil {
			return ErrGone
		}
		return nil
	}
	at, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil || at < 0 || at > book.Last() {
		at = book.Last() // before the list: what comes meanwhile is sent again
		all := struct {
			Decisions []*guard.Standing `json:"decisions"`
		}{book.Holding()}
		if err := send(message(at, "reset", all)); err != nil {
			return err
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		list, changed, err := book.Since(r.Context(), at, feedBatch)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Of != nil {
				if err := send(message(list[i].Number, list[i].Kind, list[i].Of)); err != nil {
					return err
				}
			}
			at = list[i].Number
		}
		if len(list) == feedBatch {
			continue
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := send([]byte(": still here\n\n")); err != nil {
				return err
			}
		case <-r.Context().Done():
			return ErrGone
		case <-done:
			return nil
		}
	}
}

func message(number int64, kind string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode an event: " + err.Error())
	}
	return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", number, kind, data)
}
