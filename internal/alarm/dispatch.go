package alarm

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Options are what a dispatcher needs beside its channels. The zero value works.
type Options struct {
	Config Config           // link and pauses; its channels are not looked at
	Now    func() time.Time // wall time; nil: time.Now
	Chance func() float64   // in [0, 1), spreads tries; nil: random
	Log    *slog.Logger     // nil: nothing is logged
}

// Dispatcher records findings and tells its channels.
type Dispatcher struct {
	*Book
	link    string
	pauses  pauses
	nagging NagConfig
	chance  func() float64
	log     *slog.Logger
	workers []*worker
}

// New makes a dispatcher. Nothing is sent before [Dispatcher.Run].
func New(db *sqlite.DB, channels []Channel, o Options) (*Dispatcher, error) {
	d := &Dispatcher{Book: NewBook(db, o.Now), link: o.Config.Link, pauses: o.Config.pauses(), nagging: o.Config.Nag, chance: o.Chance, log: o.Log}
	if d.chance == nil {
		d.chance = mathrand.Float64
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	seen := map[string]bool{}
	for _, c := range channels {
		if c.Name == "" || seen[c.Name] {
			return nil, fmt.Errorf("open channel %q: give each channel a name of its own", c.Name)
		}
		seen[c.Name] = true
		q, err := newQuiet(c.Quiet)
		if err != nil {
			return nil, fmt.Errorf("open channel %s: quiet.%w", c.Name, err)
		}
		d.workers = append(d.workers, &worker{d: d, channel: c, quiet: q, wake: make(chan struct{}, 1), resume: make(chan struct{}, 1)})
	}
	return d, nil
}

// Raised is a finding and the sequence of the record that raised it.
type Raised struct {
	Finding  whosaw.Finding
	Sequence uint64
}

// Outcome counts what came of raising findings. Those that were there already are in neither number.
type Outcome struct {
	New        int // recorded now
	Suppressed int // of these, not told
}

// Raise records findings and what each channel is to tell, and returns once that is on disk: all of it or, on an error, nothing, and
// the caller raises them again. A finding that is there already changes nothing.
func (d *Dispatcher) Raise(ctx context.Context, findings ...Raised) (Outcome, error) {
	if len(findings) == 0 {
		return Outcome{}, nil
	}
	texts := make([][]byte, len(findings))
	for i := range findings {
		f := &findings[i].Finding
		if f.ID == "" {
			return Outcome{}, errors.New("raise finding: it has no id")
		}
		var err error
		if texts[i], err = json.Marshal(f); err != nil {
			return Outcome{}, fmt.Errorf("raise finding %s: %w", f.ID, err)
		}
	}
	var out Outcome
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		out = Outcome{}
		now := millis(d.now())
		quietened, err := holding(ctx, tx, now)
		if err != nil {
			return err
		}
		for i := range findings {
			if err := d.raise(ctx, tx, &findings[i], texts[i], now, quietened, &out); err != nil {
				return fmt.Errorf("raise finding %s: %w", findings[i].Finding.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	if out.New > out.Suppressed {
		for _, w := range d.workers {
			nudge(w.wake)
		}
	}
	return out, nil
}

func (d *Dispatcher) raise(ctx context.Context, tx *sql.Tx, r *Raised, text []byte, now whosaw.Time, quietened []Suppression, out *Outcome) error {
	f, realm := &r.Finding, realmOf(r.Finding.Filter)
	var by *int64
	for i := range quietened {
		if quietened[i].covers(f, realm) {
			by = &quietened[i].ID
			break
		}
	}
	var number int64
	err := tx.QueryRowContext(ctx, `INSERT INTO finding (id, number, realm, sequence, time, seen, detector, unit, json, raised_at, suppressed_by)
		VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM finding), ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING number`,
		f.ID, realm, int64(r.Sequence), int64(f.Time), int64(f.Seen), f.Detector, f.Unit, string(text), int64(now), by).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // a replay: whoever was to be told is told, or will be
	}
	if err != nil {
		return err
	}
	out.New++
	if by != nil {
		out.Suppressed++
		return nil
	}
	for _, w := range d.workers {
		if _, err := tx.ExecContext(ctx, "INSERT INTO delivery (finding, channel, number, made, due) VALUES (?, ?, ?, ?, ?)",
			f.ID, w.channel.Name, number, int64(now), int64(now)); err != nil {
			return err
		}
	}
	return nil
}

// realmOf gives the realm that every term of a filter names, "" if they do not agree on one.
func realmOf(f whosaw.Filter) string {
	realm := ""
	for i := range f {
		if len(f[i].Realm) != 1 {
			return ""
		}
		plain, not := whosaw.ParseValue(f[i].Realm[0])
		if not || i > 0 && plain != realm {
			return ""
		}
		realm = plain
	}
	return realm
}

// Run tells the channels until ctx ends. What is being sent then gets a few seconds to be taken. It may run once at a time.
func (d *Dispatcher) Run(ctx context.Context) {
	var group sync.WaitGroup
	for _, w := range d.workers {
		group.Go(func() { w.run(ctx) })
	}
	group.Go(func() { d.nag(ctx) })
	group.Wait()
}

// Test tells a channel a test alarm at once, whatever the hour, and says what came of it. It leaves nothing behind. A channel that waits for
// its next try does not wait any longer if the test went well.
func (d *Dispatcher) Test(ctx context.Context, channel string) error {
	for _, w := range d.workers {
		if w.channel.Name != channel {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		if err := w.channel.Sender.Send(ctx, test("test-"+rand.Text(), d.now())); err != nil {
			return fmt.Errorf("test channel %s: %w", channel, err)
		}
		nudge(w.resume)
		return nil
	}
	return fmt.Errorf("test channel %s: %w; the names are in the configuration, alarm.channels", channel, ErrUnknown)
}

// Channels gives the names, in the order of the configuration.
func (d *Dispatcher) Channels() []string {
	out := make([]string, len(d.workers))
	for i, w := range d.workers {
		out[i] = w.channel.Name
	}
	return out
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is nudged already
	}
}

// pauses are those between tries.
type pauses struct{ first, most time.Duration }

const maxPause = time.Hour

func (c *Config) pauses() pauses {
	p := pauses{cmp.Or(c.RetryFirst, 10*time.Second), cmp.Or(c.RetryMost, maxPause)}
	return pauses{p.first, min(p.most, maxPause)}
}

// after gives the pause after n failed tries in a row: twice as long each time, and by chance up to half as short, so that many servers
// do not come back at once.
func (p pauses) after(n int, chance float64) time.Duration {
	pause := p.first
	for i := 1; i < n && pause < p.most; i++ {
		pause *= 2
	}
	pause = min(pause, p.most)
	return pause - time.Duration(chance*float64(pause)/2)
}
