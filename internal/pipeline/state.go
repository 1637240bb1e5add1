package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// The state of the detectors lies beside the ledger, so that a start reads it and what came since. It is derived: it may be removed,
// and is then built again from the ledger. A server's and a case's are apart: a server has told what its own holds.
const (
	stateDir  = "detect"
	liveState = "serve.state"
	caseState = "case.state"
	// Issuances of long ago lie in files of their own, which the states name.
	liveIssued = "serve.issued"
	caseIssued = "case.issued"
)

// foundVersion is that of what is kept beside the engine.
const foundVersion = 1

// fingerprint is of all that the detectors go by: with another one a ledger gives other findings.
func fingerprint(cfg detect.Config, cat *catalog.Catalog, build string) [sha256.Size]byte {
	h := sha256.New()
	engine, routes := cfg.Fingerprint(), cat.Fingerprint()
	fmt.Fprintf(h, "%d %d %q", foundVersion, detect.StateVersion, build)
	h.Write(engine[:])
	h.Write(routes[:])
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

// found is what is kept of findings beside the engine.
type found struct {
	raised  []Raised
	sighted []whosaw.Finding
}

func (f *found) state(c *snapshot.Codec) {
	c.Mark("found")
	snapshot.Slice(c, &f.raised, 1<<30, func(r *Raised) {
		snapshot.Uint(c, &r.Sequence)
		findingState(c, &r.Finding)
	})
	snapshot.Slice(c, &f.sighted, 1<<30, func(x *whosaw.Finding) { findingState(c, x) })
}

// findingState walks over a finding as the contract writes it: there are few.
func findingState(c *snapshot.Codec, f *whosaw.Finding) {
	text := ""
	if !c.Reading() {
		b, err := json.Marshal(f)
		if err != nil {
			c.Fail("a finding cannot be written: %v", err)
		}
		text = string(b)
	}
	if c.String(&text); c.Reading() && c.Err() == nil {
		if err := json.Unmarshal([]byte(text), f); err != nil {
			c.Fail("a finding is none")
		}
	}
}

// recordHash is of the record of a sequence: of another ledger, or one that was restored and went on differently, it is another.
func recordHash(ctx context.Context, view *ledger.View, seq uint64) (sum [sha256.Size]byte, err error) {
	errFound := errors.New("found")
	err = view.Records(ctx, seq, func(at uint64, r *whosaw.Record) error {
		if at == seq {
			sum = sha256.Sum256(whosaw.AppendJSON(nil, r))
			return errFound
		}
		return fmt.Errorf("%w: sequence %d", ErrNoRecord, seq)
	})
	switch {
	case errors.Is(err, errFound):
		return sum, nil
	case err == nil:
		return sum, fmt.Errorf("%w: sequence %d", ErrNoRecord, seq)
	}
	return sum, err
}

// errOther is a state that is whole, and of something else.
var errOther = errors.New("the state is of another configuration, version or ledger")

// restore reads a state into a new engine. fs.ErrNotExist: there is none; any other error says why it does not serve.
func restore(ctx context.Context, path string, view *ledger.View, print [sha256.Size]byte, fresh func() *detect.Engine) (*detect.Engine, *found, uint64, error) {
	f, err := snapshot.Open(path)
	if err != nil {
		return nil, nil, 0, err
	}
	defer f.Close()
	h := &f.Header
	if h.Version != detect.StateVersion || h.Config != print || h.Sequence > view.Last() || h.Sequence == 0 {
		return nil, nil, 0, errOther
	}
	sum, err := recordHash(ctx, view, h.Sequence)
	if err != nil {
		return nil, nil, 0, err
	}
	if sum != h.Record {
		return nil, nil, 0, errOther
	}
	engine, known := fresh(), &found{}
	err = f.Read(func(c *snapshot.Codec) {
		known.state(c)
		engine.State(c)
	})
	if err != nil {
		return nil, nil, 0, errors.Join(err, engine.Close())
	}
	return engine, known, h.Sequence, nil
}

// save writes a state. The engine must have seen exactly the records up to the sequence.
func save(ctx context.Context, path string, led *ledger.Ledger, seq uint64, print [sha256.Size]byte, engine *detect.Engine, known *found) (size int64, err error) {
	view, err := led.View(seq)
	if err != nil {
		return 0, err
	}
	sum, err := recordHash(ctx, view, seq)
	if err = errors.Join(err, view.Close()); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, fmt.Errorf("write state: %w", err)
	}
	size, err = snapshot.Write(path, snapshot.Header{Version: detect.StateVersion, Config: print, Sequence: seq, Record: sum}, func(c *snapshot.Codec) {
		known.state(c)
		engine.State(c)
	})
	if err != nil {
		return 0, err
	}
	return size, engine.StateSaved()
}

const (
	// saveEvery is how many records, and saveAfter how long, until the state is written again; but it is written for a fiftieth of
	// the time at most.
	saveEvery = 5_000_000
	saveAfter = 10 * time.Minute
	saveShare = 50
)

// resume starts the detectors from the state that was written last, if it serves.
func (l *Live) resume(ctx context.Context, view *ledger.View) {
	l.print = fingerprint(l.cfg.Detect, l.cfg.Catalog, l.cfg.Build)
	l.saved.at = l.cfg.Now()
	if l.cfg.StateDir == "" {
		return
	}
	defer func() {
		if err := l.engine.StateSaved(); err != nil {
			l.cfg.Logger.Warn("issuances that are needed no more are not removed", "error", err)
		}
	}()
	if l.cfg.Anew {
		return
	}
	began := l.cfg.Now()
	path := filepath.Join(l.cfg.StateDir, stateDir, liveState)
	engine, known, seq, err := restore(ctx, path, view, l.print, l.newEngine)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		l.cfg.Logger.Warn("the state of the detectors does not serve, so the ledger is replayed", "file", path, "error", err)
		return
	}
	if err := l.engine.Close(); err != nil {
		l.cfg.Logger.Warn("the detectors of before are not closed", "error", err)
	}
	l.engine = engine
	l.judged.Store(seq)
	l.saved.sequence = seq
	l.raised, l.sighted = known.raised, known.sighted
	for i := range known.raised {
		l.findings = append(l.findings, known.raised[i].Finding)
	}
	l.cfg.Logger.Info("the detectors go on where they stopped", "sequence", seq, "last", view.Last(), "seconds", l.cfg.Now().Sub(began).Seconds())
}

// again hands over once more what was found before the start: a book that was put back learns of it.
func (l *Live) tellAgain(ctx context.Context) {
	if raised := l.raised; len(raised) > 0 {
		l.insist(ctx, "keep findings", func() error { return l.cfg.Raise(ctx, raised) })
	}
}

// saveState writes the state of the detectors where it is time to, or the server stops. It is called by the judge between batches.
func (l *Live) saveState(ctx context.Context, stopping bool) {
	seq := l.judged.Load()
	if l.cfg.StateDir == "" || l.torn || seq == 0 || seq == l.saved.sequence {
		return
	}
	now := l.cfg.Now()
	if since := now.Sub(l.saved.at); !stopping && (seq-l.saved.sequence < saveEvery && since < saveAfter && since >= 0 || since >= 0 && since < saveShare*l.saved.took) {
		return
	}
	l.judging.Lock()
	size, err := save(ctx, filepath.Join(l.cfg.StateDir, stateDir, liveState), l.ledger, seq, l.print, l.engine, &found{l.raised, l.sighted})
	l.judging.Unlock()
	l.saved.took = max(0, l.cfg.Now().Sub(now))
	l.saved.at = l.cfg.Now()
	if err != nil {
		l.cfg.Logger.Warn("the state of the detectors is not written: a restart takes longer", "error", err)
		return
	}
	l.saved.sequence = seq
	l.cfg.Logger.Info("the state of the detectors is written", "sequence", seq, "bytes", size, "seconds", l.saved.took.Seconds())
}

// saved is what was written last.
type saved struct {
	sequence uint64
	at       time.Time
	took     time.Duration
}

// showPast tells the watcher of the accesses that the detectors saw before the start, as far back as it wants to hear.
func (l *Live) showPast(ctx context.Context, view *ledger.View, upTo uint64) error {
	since := l.cfg.Now().Add(-l.cfg.WatchBack).UnixMilli()
	first := upTo + 1
	for _, p := range view.Parts() {
		if p.MaxTime >= since && p.First <= upTo {
			first = min(first, p.First)
		}
	}
	if first > upTo {
		return nil
	}
	errEnd := errors.New("end")
	var batch []*whosaw.Record
	flush := func() {
		l.judging.Lock()
		for _, r := range batch {
			l.engine.Show(r, l.cfg.Watch)
		}
		l.judging.Unlock()
		batch = batch[:0]
	}
	err := view.Records(ctx, first, func(seq uint64, r *whosaw.Record) error {
		if seq > upTo {
			return errEnd
		}
		if r.Type == whosaw.TypeAccess && r.Time >= since {
			if batch = append(batch, r); len(batch) == readBatch/8 {
				flush()
			}
		}
		return ctx.Err()
	})
	flush()
	if errors.Is(err, errEnd) {
		err = nil
	}
	return err
}
