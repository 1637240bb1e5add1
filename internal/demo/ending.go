package demo

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/shop"
)

// scoped is the harvest counted twice: as whoever starts from complaints would, and by its cause.
type scoped struct {
	complaints int      // customers who said that somebody had written to them
	ips        []string // that their forged accesses came from
	from, to   time.Time
	few, all   whosaw.ScopeAnswer
	// Addresses on the server's pages.
	fewPath, allPath, subjectPath string
}

// complaints are how many customers say that somebody has written to them.
const complaints = 5

// countScope does what a responder does who has five complaints: looks up who saw these five, takes the addresses and the time of it, and counts. Then by the
// cause.
func (w *world) countScope(ctx context.Context) error {
	w.shop.UseBackup(true) // so that there are sessions which the end of the key would end: it is told at the next step
	s := &scoped{}
	told, err := w.complaining()
	if err != nil {
		return err
	}
	s.complaints = len(told)
	var ips []string
	var first, last whosaw.Time
	no := false
	err = w.ask(func(q *pipeline.Question) error {
		for _, id := range told {
			answer, err := q.Subject(ctx, nil, id, whosaw.Filter{{Issued: &no, Outcome: []string{whosaw.OutcomeDisclosed.String()}}}, 100, "")
			if err != nil {
				return err
			}
			for i := range answer.Accesses {
				r := &answer.Accesses[i]
				if at := whosaw.Time(r.Time); r.Key == shop.BackupKey && w.inHarvest(r.Time) {
					if ip := r.IP.String(); !slices.Contains(ips, ip) {
						ips = append(ips, ip)
					}
					if first == 0 || at < first {
						first = at
					}
					last = max(last, at)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(ips) == 0 {
		return errors.New("nobody was shown to the thief, so nobody complains: go through the harvest again, and let it run for longer")
	}
	slices.Sort(ips)
	// A person would say "between 20:54:31 and 20:54:35".
	s.ips, s.from, s.to = ips, time.UnixMilli(int64(first)).Truncate(time.Second), time.UnixMilli(int64(last)).Truncate(time.Second).Add(time.Second)
	few := whosaw.Filter{{IP: ips, From: whosaw.Time(s.from.UnixMilli()), To: whosaw.Time(s.to.UnixMilli())}}
	if s.few, err = w.count(ctx, few); err != nil {
		return err
	}
	if s.all, err = w.count(ctx, forged()); err != nil {
		return err
	}
	if s.fewPath, err = w.srv.Pages().ScopePath(ctx, few); err != nil {
		return err
	}
	if s.allPath, err = w.srv.Pages().ScopePath(ctx, forged()); err != nil {
		return err
	}
	if s.subjectPath, err = w.srv.Pages().SubjectPath(ctx, told[0]); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scoped = s
	return nil
}

// complaining gives customers to whom the thief wrote: some of those they came by within a short while.
func (w *world) complaining() ([]string, error) {
	w.mu.Lock()
	a := w.off
	w.mu.Unlock()
	if a == nil {
		return nil, errors.New("there was no harvest to complain of: go through the steps in their order")
	}
	got := a.customers()
	if len(got) == 0 {
		return nil, errors.New("the thief was shown nobody, so nobody complains: start again, and let the harvest run for longer")
	}
	// A fortieth of what they got, from the middle on: a few seconds of it.
	stretch := max(complaints, len(got)/40)
	from := min(len(got)/2, max(0, len(got)-stretch))
	part := got[from:min(len(got), from+stretch)]
	var out []string
	for i := range min(complaints, len(part)) {
		out = append(out, strconv.FormatInt(part[i*(len(part)-1)/max(1, min(complaints, len(part))-1)], 10))
	}
	return out, nil
}

// inHarvest reports whether something was shown while the harvest went on.
func (w *world) inHarvest(ms int64) bool {
	w.mu.Lock()
	a := w.off
	w.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	return ms >= a.began.UnixMilli() && (a.ended.IsZero() || ms <= a.ended.UnixMilli())
}

// keyed is the end of the key: whom it would hit, and what was done.
type keyed struct {
	preview keys.Preview
	did     string // deny, kill; "": nothing yet
	at      time.Time
}

// killed reports whether the visitor has ended the key.
func (w *world) killed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.keyed != nil && w.keyed.did == "kill"
}

// previewDays is how far back the preview looks.
const previewDays = 7

func (w *world) previewKey(ctx context.Context) error {
	p, err := w.srv.Keys().Preview(ctx, "", shop.BackupKey, previewDays)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keyed = &keyed{preview: p}
	return nil
}

// lastTokens are how many the thief tries when the key is dead.
const lastTokens = 12

// lastSpan is how long they take: time for customers to notice whether they were logged out.
const lastSpan = 6 * time.Second

// cut ends the key, or only what was never issued under it; then the thief tries again. What was done already is not done again. moving must be held.
func (w *world) cut(what string) error {
	w.mu.Lock()
	k := w.keyed
	w.mu.Unlock()
	if k == nil || k.did != "" {
		return nil
	}
	w.stop()
	done := &keyed{preview: k.preview, did: what, at: w.cfg.Now()}
	w.mu.Lock()
	w.keyed = done
	w.mu.Unlock()
	w.begin(func(w *world, ctx context.Context) error {
		w.shop.UseBackup(false)
		const reason = "the demo: tokens that no log-in issued are used with it"
		var err error
		if what == "kill" {
			_, err = w.srv.Keys().Kill(ctx, visitor, "", shop.BackupKey, keys.Change{Reason: reason})
		} else {
			_, err = w.srv.Keys().DenyForged(ctx, visitor, "", shop.BackupKey, 0, reason)
		}
		if err != nil {
			w.mu.Lock()
			w.keyed = k
			w.mu.Unlock()
			return err
		}
		a := &attempt{first: 1, last: min(lastTokens, w.highest), span: lastSpan}
		return w.attempt(ctx, a, &w.last)
	})
	return nil
}
