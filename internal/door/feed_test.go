package door_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
)

// A gateway that reads the feed holds what the guard holds, through broken connections: nothing is missed, and what was undone goes.
func TestFeedIsResumed(t *testing.T) {
	s := newStand(t, catalog.Rules(), guard.KindFeed, func(c *guard.Config) { c.Doors[0].StandingOnly = true })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = door.Feed(w, r, s.guard.Book(), t.Context().Done()) }))
	defer server.Close()
	book := s.guard.Book()
	deny := func(key string) *guard.Standing {
		d, err := book.Add(t.Context(), guard.Standing{Action: guard.Deny, Filter: whosaw.Filter{{Key: []string{key}}}, Reason: "test", Who: "test"}, time.Hour)
		check(t, err)
		return d
	}
	first := deny("a")
	read := func(last int64) (*events, func()) {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		check(t, err)
		if last >= 0 {
			req.Header.Set("Last-Event-ID", strconv.FormatInt(last, 10))
		}
		res, err := http.DefaultClient.Do(req)
		check(t, err)
		return &events{bufio.NewScanner(res.Body)}, func() { cancel(); res.Body.Close() }
	}
	e, stop := read(-1)
	_, kind, data := e.next(t)
	if kind != "reset" || !strings.Contains(data, first.ID) {
		t.Fatalf("a new reader is sent %s %s", kind, data)
	}
	second := deny("b")
	at, kind, data := e.next(t)
	if kind != "add" || !strings.Contains(data, second.ID) {
		t.Fatalf("then %s %s", kind, data)
	}
	stop()
	_, err := book.Undo(t.Context(), first.ID, "test", "over")
	check(t, err)
	third := deny("c")
	e, stop = read(at)
	defer stop()
	next, kind, data := e.next(t)
	var gone struct{ ID string }
	check(t, json.Unmarshal([]byte(data), &gone))
	if kind != "remove" || gone.ID != first.ID || next <= at {
		t.Errorf("what was undone meanwhile: %d %s %s", next, kind, data)
	}
	if _, kind, data = e.next(t); kind != "add" || !strings.Contains(data, third.ID) {
		t.Errorf("what was added meanwhile: %s %s", kind, data)
	}
	// One that names an event of another history begins anew.
	e, stop = read(1 << 40)
	defer stop()
	if _, kind, data = e.next(t); kind != "reset" || strings.Contains(data, first.ID) || !strings.Contains(data, second.ID) {
		t.Errorf("an event from a time to come: %s %s", kind, data)
	}
}
