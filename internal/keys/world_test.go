package keys_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// world is a keeper over a real ledger and state file, with a clock and a guard that the test holds.
type world struct {
	t      *testing.T
	led    *ledger.Ledger
	db     *sqlite.DB
	keeper *keys.Keeper
	clock  time.Time
	pos    int64
	guard  *door
	fail   error // of writing
}

// start is when the tests' stories begin.
var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// door is a guard that refuses what the test says, and keeps what it was told to refuse.
type door struct {
	refuses map[keys.Probe]bool
	all     bool
	tried   []keys.Probe
	denied  []whosaw.Filter
}

func (d *door) Try(_ context.Context, p keys.Probe) (keys.Answer, error) {
	d.tried = append(d.tried, p)
	if strings.HasPrefix(p.Credential, "whosaw-probe-") {
		p.Credential, p.Principal = "", ""
	}
	if d.all || d.refuses[p] {
		return keys.Answer{Refused: true, Because: "standing"}, nil
	}
	return keys.Answer{Because: "ok"}, nil
}

func (d *door) Deny(_ context.Context, f whosaw.Filter, _ time.Time, _, _ string) (string, error) {
	d.denied = append(d.denied, f)
	return "d1", nil
}

func newWorld(t *testing.T, guarded bool) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, clock: start}
	var err error
	w.led, err = ledger.Open(ledger.Config{Dir: dir, SegmentRecords: 64})
	check(t, err)
	t.Cleanup(func() { w.led.Close() })
	w.db, err = sqlite.Open(t.Context(), filepath.Join(dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { w.db.Close() })
	if guarded {
		w.guard = &door{refuses: map[keys.Probe]bool{}}
	}
	w.open()
	return w
}

// open makes a keeper anew, as after a restart.
func (w *world) open() {
	cfg := keys.Config{DB: w.db, Now: func() time.Time { return w.clock }, View: func() (*ledger.View, error) { return w.led.View(0) },
		Write: func(ctx context.Context, act whosaw.Record, records ...whosaw.Record) error {
			if w.fail != nil {
				return w.fail
			}
			for _, r := range append(records, act) {
				if r.Time == 0 {
					r.Time = w.clock.UnixMilli()
				}
				r.Source = "operator"
				w.append(r)
			}
			return nil
		}}
	if w.guard != nil {
		cfg.Guard = w.guard
	}
	w.keeper = keys.New(cfg)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) append(r whosaw.Record) {
	w.t.Helper()
	w.pos++
	r.Position = w.pos
	if r.Source == "" {
		r.Source = "test"
	}
	check(w.t, r.Validate(w.clock.UnixMilli()))
	_, err := w.led.Append(w.t.Context(), []whosaw.Record{r})
	check(w.t, err)
}

// say appends records as lines, those without a time now.
func (w *world) say(lines ...string) {
	w.t.Helper()
	var d whosaw.Decoder
	for _, line := range lines {
		if !strings.Contains(line, `"time"`) {
			line = `{"time":"` + w.clock.Format(time.RFC3339) + `",` + line[1:]
		}
		var r whosaw.Record
		if err := d.Decode([]byte(line), w.clock.UnixMilli(), &r); err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		w.append(r.Clone())
	}
}

func (w *world) key(name string) keys.Key {
	w.t.Helper()
	k, err := w.keeper.Key(w.t.Context(), "", name)
	check(w.t, err)
	return k
}
