package alarm

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/whosaw/whosaw"
)

// worker tells one channel, one message after the other.
type worker struct {
	d       *Dispatcher
	channel Channel
	quiet   *quiet
	wake    chan struct{} // there is something new
	resume  chan struct{} // the channel is known to work again
}

// look is how often a worker with messages that must wait looks by itself: for the end of quiet hours, refused ones that are due, and a
// clock that was set. One without any waits to be woken.
const look = 30 * time.Second

// grace is how long what is being sent may take when the server stops.
const grace = 5 * time.Second

// patience is how many messages in a row may be refused before the channel itself is taken to be the trouble.
const patience = 3

// task is a message that is due.
type task struct {
	finding string // its id, or a note's
	kind    string
	serial  int64
	message *Message
}

func (w *worker) run(ctx context.Context) {
	log := w.d.log.With(slog.String("channel", w.channel.Name))
	// What was refused may have been mended since: a new start asks again.
	w.insist(ctx, log, "release refused messages", func(ctx context.Context) error {
		return w.d.db.Write(ctx, func(tx *sql.Tx) error {
			for _, table := range []string{"delivery", "note_delivery"} {
				if _, err := tx.ExecContext(ctx, "UPDATE "+table+" SET refused = 0 WHERE channel = ? AND state = 'pending'", w.channel.Name); err != nil {
					return err
				}
			}
			return nil
		})
	})
	failures := 0
	for ctx.Err() == nil {
		t, later, err := w.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			failures++
			log.Error("next message is not read", slog.Any("error", err))
			w.wait(ctx, w.pause(failures), nil)
			continue
		}
		if t == nil {
			w.wait(ctx, later, w.wake)
			continue
		}
		fault := w.send(ctx, t.message)
		if fault == nil || fault.Kind == Told {
			if failures > 0 {
				log.Info("channel works again", slog.Int("failures", failures))
			}
			failures = 0
			w.told(ctx, log, t, fault)
			continue
		}
		if ctx.Err() != nil && errors.Is(fault, errStopped) {
			return // nobody's fault: the next start sends it
		}
		failures++
		w.failed(ctx, log, t, fault, failures)
	}
}

var errStopped = errors.New("stopped while sending")

// send tries once. When the server stops, the try gets some more seconds.
func (w *worker) send(ctx context.Context, m *Message) *Fault {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			close(stopped)
			cancel()
		case <-c.Done():
		}
	})
	defer stop()
	err := w.channel.Sender.Send(c, m)
	if err == nil {
		return nil
	}
	f := faultOf(err)
	select {
	case <-stopped:
		if f.Kind == Retry {
			return &Fault{Kind: Retry, Err: errStopped}
		}
	default:
	}
	return f
}

// told marks a message. Until that is on disk nothing else is sent: a message that is told and not marked would come again.
func (w *worker) told(ctx context.Context, log *slog.Logger, t *task, remark *Fault) {
	now, text := int64(millis(w.d.now())), ""
	if remark != nil {
		text = remark.Error()
		log.Warn("message is told, not to everybody", slog.String("finding", t.finding), slog.String("error", text))
	}
	w.insist(ctx, log, "mark message as told", func(ctx context.Context) error {
		return w.exec(ctx, t, "state = 'sent', sent = ?, tried = ?, attempts = attempts + 1, refused = 0, error = ?", now, now, text)
	})
	log.Info("finding is told", slog.String("finding", t.finding))
}

// failed keeps why, and waits: for the channel if it does not answer, for the message if it is refused.
func (w *worker) failed(ctx context.Context, log *slog.Logger, t *task, fault *Fault, failures int) {
	now := w.d.now()
	pause := max(w.pause(failures), fault.After)
	due, no := now, fault.Kind == Refused
	if no {
		due, pause = now.Add(w.d.pauses.after(1<<20, w.d.chance())), 0
		if failures > patience {
			pause = w.pause(failures - patience)
		}
	}
	log.Warn("finding is not told yet", slog.String("finding", t.finding), slog.Bool("refused", no),
		slog.String("error", fault.Error()), slog.Duration("pause", pause))
	w.insist(ctx, log, "note failed try", func(ctx context.Context) error {
		return w.exec(ctx, t, "attempts = attempts + 1, tried = ?, due = ?, refused = ?, error = ?", int64(millis(now)), int64(millis(due)), no, fault.Error())
	})
	if pause > 0 {
		w.wait(ctx, pause, nil)
	}
}

func (w *worker) pause(failures int) time.Duration { return w.d.pauses.after(failures, w.d.chance()) }

// insist repeats a small write until it is done: on a full disk, for as long as it is full. When the server stops it tries once more.
func (w *worker) insist(ctx context.Context, log *slog.Logger, what string, do func(context.Context) error) {
	for n := 1; ; n++ {
		last := ctx.Err() != nil
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		err := do(c)
		cancel()
		if err == nil {
			return
		}
		log.Error("state is not written", slog.String("what", what), slog.Any("error", err))
		if last {
			return
		}
		w.wait(ctx, min(w.pause(n), look), nil)
	}
}

// wait waits for d, for ctx to end, for the channel to be known to work, or for more.
func (w *worker) wait(ctx context.Context, d time.Duration, more <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-w.resume:
	case <-more:
	}
}

// exec sets what is kept of a message on its way.
func (w *worker) exec(ctx context.Context, t *task, set string, args ...any) error {
	query, of := "UPDATE delivery SET "+set+" WHERE finding = ? AND channel = ? AND kind = ? AND serial = ?", []any{t.finding, w.channel.Name, t.kind, t.serial}
	if t.kind == kindNote {
		query, of = "UPDATE note_delivery SET "+set+" WHERE note = ? AND channel = ?", []any{t.finding, w.channel.Name}
	}
	return w.d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, append(args, of...)...)
		return err
	})
}

// next gives the message that is to be told now or, if there is none, when to look again. Those tried least come first: one that the
// other side cannot bear must not hold up the rest.
func (w *worker) next(ctx context.Context) (*task, time.Duration, error) {
	now := w.d.now()
	note, waits, err := w.nextNote(ctx, now)
	if note != nil || err != nil {
		return note, 0, err
	}
	hush := w.quiet.at(now)
	rows, err := w.d.db.Read().QueryContext(ctx, `SELECT d.finding, d.kind, d.serial, d.refused, d.due, f.json, f.grown, f.raised_at, f.detector,
		coalesce(json_extract(f.grown, '$.subjects'), json_extract(f.json, '$.subjects'))
		FROM delivery d JOIN finding f ON f.id = d.finding WHERE d.channel = ? AND d.state = 'pending' ORDER BY d.attempts, d.kind <> 'finding', d.number`, w.channel.Name)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	later := maxPause
	if waits {
		later = look
	}
	for rows.Next() {
		var t task
		var text, grown []byte
		var due, raised, subjects int64
		var no bool
		var detector string
		if err := rows.Scan(&t.finding, &t.kind, &t.serial, &no, &due, &text, &grown, &raised, &detector, &subjects); err != nil {
			return nil, 0, err
		}
		if no && !isDue(time.UnixMilli(due), now) || hush && !w.quiet.passes(detector, subjects) {
			later = look
			continue
		}
		var f whosaw.Finding
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, 0, fmt.Errorf("read finding %s: %w", t.finding, err)
		}
		t.message = message(&f, time.UnixMilli(raised), w.d.link)
		if t.kind != kindFinding {
			var now whosaw.Finding
			if grown != nil {
				if err := json.Unmarshal(grown, &now); err != nil {
					return nil, 0, fmt.Errorf("read growth of finding %s: %w", t.finding, err)
				}
			}
			t.message.again(t.kind, t.serial, &now, w.d.now())
		}
		return &t, 0, nil
	}
	return nil, later, rows.Err()
}

// isDue reports whether a refused message is to be tried again. A time that is farther off than any pause was written by a clock that has
// been put back.
func isDue(due, now time.Time) bool { return !now.Before(due) || due.Sub(now) > maxPause }
