package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Which names one record: by its sequence, by the id that its sender gave it, or as the one that raised a finding.
type Which struct {
	Sequence uint64 `json:"sequence,omitempty"`
	ID       string `json:"id,omitempty"`
	Finding  string `json:"finding,omitempty"`
}

// Check reports whether exactly one is given.
func (w Which) Check() error {
	n := 0
	for _, given := range []bool{w.Sequence != 0, w.ID != "", w.Finding != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("name one record: by sequence, by id, or by the finding that it raised")
	}
	return nil
}

// Explained is what one record added to which statistic.
type Explained struct {
	Sequence uint64          `json:"sequence"`
	Source   string          `json:"source"`
	Record   json.RawMessage `json:"record"` // as `subject` shows it
	// Same are the sequences of further records with the same id.
	Same []uint64 `json:"same"`
	Says string   `json:"says"` // where it drives no test: why
	// What is null for records that are no accesses.
	What *detect.Explanation `json:"what"`
}

// ErrNoRecord is returned where the ledger holds no such record.
var ErrNoRecord = errors.New("the ledger holds no such record")

// errSeen ends a replay early.
var errSeen = errors.New("seen")

// Replay is the detectors over a view, from its first record on, with nobody told.
type Replay struct {
	View    *ledger.View
	Detect  detect.Config
	Catalog *catalog.Catalog
	// Progress is told now and then which part of the view was seen, 0 to 1. nil: nobody asks.
	Progress func(done float64)
}

// records calls fn with the records of the view.
func (p *Replay) records(ctx context.Context, fn func(seq uint64, r *whosaw.Record) error) error {
	return p.View.Records(ctx, 1, func(seq uint64, r *whosaw.Record) error {
		if seq%8192 == 0 && p.Progress != nil {
			p.Progress(float64(seq) / float64(p.View.Last()))
		}
		return fn(seq, r)
	})
}

// Baselines gives what the detectors have learnt when they have seen all of the view.
func (p *Replay) Baselines(ctx context.Context) ([]detect.Baseline, error) {
	engine := detect.New(p.Detect, p.Catalog)
	err := p.records(ctx, func(seq uint64, r *whosaw.Record) error {
		engine.Observe(seq, r)
		return nil
	})
	return engine.Baselines(), err
}

// Explain replays the view up to a record, and on until nothing of it is waited for, and gives what it did to the detectors. The replay sees
// what the detectors saw, so it takes as long as they took.
func (p *Replay) Explain(ctx context.Context, which Which) (*Explained, error) {
	if err := which.Check(); err != nil {
		return nil, err
	}
	out := &Explained{Sequence: which.Sequence, Same: []uint64{}}
	var err error
	switch {
	case which.ID != "":
		out.Sequence, out.Same, err = p.byID(ctx, which.ID)
	case which.Finding != "":
		out.Sequence, err = p.byFinding(ctx, which.Finding)
	}
	if err == nil && (out.Sequence == 0 || out.Sequence > p.View.Last()) {
		err = ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	engine := detect.New(p.Detect, p.Catalog)
	engine.Explain(out.Sequence)
	found := false
	err = p.records(ctx, func(seq uint64, r *whosaw.Record) error {
		if seq > out.Sequence && !found {
			return ErrNoRecord // retention took it
		}
		if seq == out.Sequence {
			found = true
			out.Source, out.Record = r.Source, whosaw.AppendJSON(nil, r)
			if r.Type != whosaw.TypeAccess {
				out.Says = notAsked(r)
				return errSeen
			}
		}
		engine.Observe(seq, r)
		if found {
			if _, whole := engine.Explanation(); whole {
				return errSeen
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errSeen) {
		return nil, err
	}
	if !found {
		return nil, ErrNoRecord
	}
	out.What, _ = engine.Explanation()
	return out, nil
}

// notAsked says why a record drives no test.
func notAsked(r *whosaw.Record) string {
	if r.Type >= whosaw.TypeVerdict {
		return fmt.Sprintf("whosaw wrote this %s itself: the detectors do not look at it", r.Type)
	}
	return fmt.Sprintf("this %s record says what is true about the world: it is no question, and answers those about accesses", r.Type)
}

// byID finds the first record that its sender gave an id, and the others that have it.
func (p *Replay) byID(ctx context.Context, id string) (first uint64, same []uint64, err error) {
	same = []uint64{}
	err = p.records(ctx, func(seq uint64, r *whosaw.Record) error {
		switch {
		case r.ID != id:
		case first == 0:
			first = seq
		case len(same) < 100:
			same = append(same, seq)
		}
		return nil
	})
	return first, same, err
}

// byFinding finds the access that raised a finding.
func (p *Replay) byFinding(ctx context.Context, id string) (access uint64, err error) {
	engine := detect.New(p.Detect, p.Catalog)
	engine.WatchRaised(func(raised string, seq uint64) {
		if access == 0 && strings.HasPrefix(raised, id) {
			access = seq
		}
	})
	err = p.records(ctx, func(seq uint64, r *whosaw.Record) error {
		if engine.Observe(seq, r); access != 0 {
			return errSeen
		}
		return nil
	})
	if errors.Is(err, errSeen) {
		err = nil
	}
	if err == nil && access == 0 {
		err = fmt.Errorf("%w: by the rules and the catalog that hold now, no record raises finding %s", ErrNoRecord, id)
	}
	return access, err
}

// AskedRecord is the record that somebody asked what one record did: it stands in the ledger before the answer.
func AskedRecord(who string, which Which) whosaw.Record {
	text, err := json.Marshal(which)
	if err != nil {
		panic("BUG: encode which record was asked about: " + err.Error())
	}
	return whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &whosaw.Reference{Kind: "explain", Note: string(text)}}
}

// AskedBaselines is the record that somebody asked what the detectors have learnt: it names routes and actors, and stands in the ledger before the answer.
func AskedBaselines(who, detector, route string) whosaw.Record {
	text, err := json.Marshal(struct {
		Detector string `json:"detector,omitempty"`
		Route    string `json:"route,omitempty"`
	}{detector, route})
	if err != nil {
		panic("BUG: encode what was asked about: " + err.Error())
	}
	return whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &whosaw.Reference{Kind: "baseline", Note: string(text[:min(len(text), maxActFilter)])}}
}

// ExplainIn gives what a record did to the detectors, from a snapshot.
func (l *Live) ExplainIn(ctx context.Context, q *Question, which Which) (*Explained, error) {
	p := Replay{View: q.View, Detect: l.cfg.Detect, Catalog: l.cfg.Catalog}
	return p.Explain(ctx, which)
}

// Judging gives by what the detectors go.
func (l *Live) Judging() (detect.Config, *catalog.Catalog) { return l.cfg.Detect, l.cfg.Catalog }

// Baselines gives what the detectors have learnt so far, and how many records they have seen.
func (l *Live) Baselines() ([]detect.Baseline, uint64) {
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.engine.Baselines(), l.judged.Load()
}
