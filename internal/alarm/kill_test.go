package alarm_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

const killFindings = 120

func TestMain(m *testing.M) {
	if path := os.Getenv("ALARM_TEST_STATE"); path != "" {
		if err := child(path, os.Getenv("ALARM_TEST_HOOK")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a server that replays its ledger at the start, tells what it has to, and ends when nothing is left.
func child(path, hook string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	c := alarm.Config{RetryFirst: time.Millisecond, RetryMost: 5 * time.Millisecond,
		Channels: []alarm.ChannelConfig{{Name: "a", Webhook: &alarm.WebhookConfig{URL: hook + "/a"}}, {Name: "b", Webhook: &alarm.WebhookConfig{URL: hook + "/b"}}}}
	channels, err := c.Open(alarm.Self{})
	if err != nil {
		return err
	}
	d, err := alarm.New(db, channels, alarm.Options{Config: c})
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { d.Run(ctx) })
	for n := 0; n < killFindings; n += 3 {
		if _, err := d.Raise(ctx, key(n), key(n+1), key(n+2)); err != nil {
			return err
		}
	}
	for range time.Tick(2 * time.Millisecond) {
		s, err := d.Status(ctx)
		if err != nil {
			return err
		}
		if s.Channels[0].Pending+s.Channels[1].Pending == 0 {
			break
		}
	}
	cancel()
	group.Wait()
	return db.Close()
}

// The process is killed again and again: while it replays, between two messages, when the other side has a message and has not answered,
// and when it has answered. Every finding is told to both channels; what comes twice carries one id, and no more come twice than were
// on the way at a kill.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var mu sync.Mutex
	got := map[string]int{} // by channel and id
	requests := 0
	var kill func(stage string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests++
		got[r.URL.Path+" "+r.Header.Get("webhook-id")]++
		k := kill
		mu.Unlock()
		k("asked")
		w.WriteHeader(http.StatusNoContent)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		k("answered")
	}))
	defer server.Close()

	kills := 0
	run := func(stage string, after int, delay time.Duration) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ALARM_TEST_STATE="+path, "ALARM_TEST_HOOK="+server.URL)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		seen := 0
		killed := false
		end := func() {
			if !killed {
				killed = true
				kills++
				cmd.Process.Kill()
			}
		}
		mu.Lock()
		kill = func(s string) {
			mu.Lock()
			defer mu.Unlock()
			if s == stage {
				if seen++; seen == after {
					end()
				}
			}
		}
		err := cmd.Start()
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if stage == "later" {
			timer := time.AfterFunc(delay, func() { mu.Lock(); defer mu.Unlock(); end() })
			defer timer.Stop()
		}
		err = cmd.Wait()
		mu.Lock()
		defer mu.Unlock()
		if err != nil && !killed {
			t.Fatalf("the child failed by itself: %v\n%s", err, stderr.String())
		}
		killed = true // nothing more to end
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 24 {
		stage := []string{"asked", "answered", "later"}[n%3]
		run(stage, 1+random.IntN(8), time.Duration(random.IntN(120))*time.Millisecond)
	}
	run("never", 0, 0)
	mu.Lock()
	defer mu.Unlock()
	again := 0
	for _, channel := range []string{"/a", "/b"} {
		for n := range killFindings {
			times := got[channel+" "+key(n).Finding.ID]
			if times == 0 {
				t.Errorf("%s was never told of finding %d", channel, n)
			}
			again += max(times-1, 0)
		}
	}
	if len(got) != 2*killFindings {
		t.Errorf("%d different messages, want %d", len(got), 2*killFindings)
	}
	if again > 2*kills {
		t.Errorf("%d came again after %d kills of two channels", again, kills)
	}
	t.Logf("%d kills, %d requests, %d of them again", kills, requests, again)
}
