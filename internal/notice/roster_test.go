package notice

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
)

var rosterPeople = flag.Int("notice.people", 20_000, "people of TestRoster")

// TestRoster makes a roster, finds people in it, steps them, and opens it again. With -notice.people it measures what millions cost.
func TestRoster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.db")
	r, err := openRoster(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	n := *rosterPeople
	fields := [][]string{{"name"}, {"email", "name"}, {"address", "name", "phone"}, {"address", "door_code", "name", "phone"}}
	began := time.Now()
	list := func(yield func(was, is *whosaw.ListRow) error) error {
		for i := 1; i <= n; i++ {
			if err := yield(nil, &whosaw.ListRow{Subject: strconv.Itoa(i), Fields: fields[i%len(fields)]}); err != nil {
				return err
			}
		}
		for _, id := range []string{"00000000000000000007", "a-customer-with-letters"} {
			if err := yield(nil, &whosaw.ListRow{Realm: "eu", Subject: id, Fields: fields[0]}); err != nil {
				return err
			}
		}
		return yield(nil, &whosaw.ListRow{Subject: "masked-data-of-this-one-only"}) // nobody to be told
	}
	if err := r.fill(context.Background(), &whom{customers: list}, nil); err != nil {
		t.Fatal(err)
	}
	made := time.Since(began)
	if int(r.total) != n+2 {
		t.Fatalf("%d people, want %d", r.total, n+2)
	}

	// Steps in groups, as connections make them: each durable.
	const steps = 2000
	began = time.Now()
	done := make(chan error, 8)
	for c := range 8 {
		go func() {
			for i := c; i < steps; i += 8 {
				row := uint32(i * (n / steps))
				if err := r.apply(t.Context(), []change{{row: row, from: Waiting, to: InFlight, at: time.Now(), lang: "ko"}}, 0); err != nil {
					done <- err
					return
				}
				if err := r.apply(t.Context(), []change{{row: row, from: InFlight, to: Sent, tries: 1, at: time.Now(), reply: 250}}, 0); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	stepped := time.Since(began)
	if err := r.apply(t.Context(), []change{{row: 0, from: Waiting, to: InFlight}}, 0); err == nil {
		t.Error("what was sent is sent again")
	}
	if err := r.apply(t.Context(), []change{{row: 1, from: Waiting, to: Sent}}, 0); err == nil {
		t.Error("what was never begun is sent")
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if r, err = openRoster(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	opened := time.Since(began)
	tally, err := r.tally(t.Context())
	if err != nil || tally[Sent] != steps || tally[Waiting] != int64(n+2-steps) {
		t.Errorf("%v %v", tally, err)
	}
	began = time.Now()
	for i := 1; i <= n; i += max(1, n/500) {
		x, err := r.find(t.Context(), Person{ID: strconv.Itoa(i)})
		if err != nil || x.Row != uint32(i-1) || fmt.Sprint(r.kind(x.What).Fields) != fmt.Sprint(fields[i%len(fields)]) {
			t.Fatalf("%d: %+v %v", i, x, err)
		}
	}
	found := time.Since(began) / 500
	for _, p := range []Person{{ID: "00000000000000000007", Realm: "eu"}, {ID: "a-customer-with-letters", Realm: "eu"}} {
		if _, err := r.find(t.Context(), p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Person{{ID: "0"}, {ID: "007"}, {ID: "00000000000000000007"}, {ID: strconv.Itoa(n + 1)}, {ID: "1", Other: true}, {ID: "masked-data-of-this-one-only"}} {
		if _, err := r.find(t.Context(), p); err == nil {
			t.Errorf("%+v is found", p)
		}
	}
	t.Logf("%d people: made in %s (%.0f a second), %.1f bytes each, opened in %s, one found in %s; %d steps, durable, from 8 connections: %.0f a second",
		r.total, made.Round(time.Millisecond), float64(r.total)/made.Seconds(), float64(info.Size())/float64(r.total), opened.Round(time.Millisecond), found.Round(time.Microsecond), 2*steps, 2*steps/stepped.Seconds())
}
