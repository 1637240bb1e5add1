package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A legal hold keeps every segment that has a record of its range of event times, whatever wants to remove it. The
// holds of a ledger are one file, with those that were released: who kept what, when and why is part of the story.

const (
	holdsName    = "holds"
	holdsMagic   = "whosawHD"
	holdsVersion = 1
	maxHolds     = 100_000
	maxHoldText  = 4096
)

// The kinds of the acts that say in the ledger that a hold was set and released; Reference.Of is its id. [Verify] holds the
// holds against them, so that a file of holds that is lost, or an older one, is found.
const (
	ActHold        = "hold"
	ActHoldRelease = "hold_release"
)

// Hold is a legal hold. Times are milliseconds since 1970.
type Hold struct {
	ID       uint64 `json:"id"`   // from 1 on
	From     int64  `json:"from"` // event times from it on; 0: from the beginning
	To       int64  `json:"to"`   // and before it; 0: without end
	Reason   string `json:"reason"`
	By       string `json:"by"` // who set it
	When     int64  `json:"when"`
	Released int64  `json:"released"` // 0: it holds
	// ReleasedBy and ReleasedWhy are empty while it holds.
	ReleasedBy  string `json:"released_by,omitempty"`
	ReleasedWhy string `json:"released_why,omitempty"`
}

// keeps says whether the hold keeps records of these event times. Those of the time when it was set are kept too:
// the act is among them.
func (h *Hold) keeps(from, to int64) bool {
	if h.Released != 0 {
		return false
	}
	return (h.From == 0 || to >= h.From) && (h.To == 0 || from < h.To) || from <= h.When && h.When <= to
}

// ErrNoHold is returned where no hold has the id.
var ErrNoHold = errors.New("no hold has this number: whosaw hold list shows them")

// Holds lists all holds, released ones too, in order of their ids.
func (l *Ledger) Holds() []Hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.holds)
}

// holding gives the ids of the holds that keep records of these event times. l.mu may be held: l.holds is
// replaced, never changed, and by the writer only.
func (l *Ledger) holding(from, to int64) (ids []uint64) {
	for i := range l.holds {
		if l.holds[i].keeps(from, to) {
			ids = append(ids, l.holds[i].ID)
		}
	}
	return ids
}

// AddHold sets a hold and gives it its id. It holds when AddHold returns.
func (l *Ledger) AddHold(ctx context.Context, h Hold) (Hold, error) {
	switch {
	case h.From != 0 && h.To != 0 && h.From >= h.To:
		return Hold{}, errors.New("the hold ends before it begins: give --from before --to")
	case h.Reason == "":
		return Hold{}, errors.New("a hold needs a reason: give --reason")
	case max(len(h.Reason), len(h.By)) > maxHoldText:
		return Hold{}, fmt.Errorf("a hold's reason has at most %d bytes: name a document in it", maxHoldText)
	}
	h.Released, h.ReleasedBy, h.ReleasedWhy = 0, "", ""
	err := l.changeHolds(ctx, func(holds []Hold) ([]Hold, error) {
		if len(holds) >= maxHolds {
			return nil, fmt.Errorf("there are %d holds already, which is all a ledger takes", len(holds))
		}
		h.ID = uint64(len(holds)) + 1
		return append(holds, h), nil
	})
	if err != nil {
		return Hold{}, fmt.Errorf("set hold: %w", err)
	}
	return h, nil
}

// ReleaseHold releases a hold. One that was released stays as it is.
func (l *Ledger) ReleaseHold(ctx context.Context, id uint64, by, why string, when int64) (Hold, error) {
	if why == "" || max(len(by), len(why)) > maxHoldText {
		return Hold{}, fmt.Errorf("releasing a hold needs a reason of at most %d bytes: give --reason", maxHoldText)
	}
	var out Hold
	err := l.changeHolds(ctx, func(holds []Hold) ([]Hold, error) {
		if id == 0 || id > uint64(len(holds)) {
			return nil, ErrNoHold
		}
		h := &holds[id-1]
		if h.Released == 0 {
			h.Released, h.ReleasedBy, h.ReleasedWhy = when, by, why
		}
		out = *h
		return holds, nil
	})
	if err != nil {
		return Hold{}, fmt.Errorf("release hold: %w", err)
	}
	return out, nil
}

// refusal is an error that says why nothing was done: the ledger goes on.
type refusal struct{ err error }

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

// changeHolds has the writer put what change makes of the holds in their place.
func (l *Ledger) changeHolds(ctx context.Context, change func([]Hold) ([]Hold, error)) error {
	return l.act(ctx, func() error {
		holds, err := change(slices.Clone(l.holds))
		if err != nil {
			return &refusal{err}
		}
		if err := l.replaceFile(filepath.Join(l.dir, holdsName), encodeHolds(holds)); err != nil {
			return err
		}
		l.mu.Lock()
		l.holds = holds
		l.mu.Unlock()
		return nil
	})
}

func encodeHolds(holds []Hold) []byte {
	b := binary.AppendUvarint(nil, uint64(len(holds)))
	for i := range holds {
		h := &holds[i]
		b = span{h.From, h.To}.append(b)
		b = span{h.When, h.Released}.append(b)
		for _, s := range []string{h.Reason, h.By, h.ReleasedBy, h.ReleasedWhy} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return smallFile(holdsMagic, holdsVersion, b)
}

// readHolds reads a file of holds; nil if there is none.
func readHolds(name string) ([]Hold, error) {
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	payload, err := readSmall(name, holdsMagic, holdsVersion)
	if err != nil {
		return nil, err
	}
	d := &reader{s: payload}
	var holds []Hold
	for n := d.upTo(maxHolds); n > 0 && d.err == nil; n-- {
		h := Hold{ID: uint64(len(holds)) + 1}
		times, acted := d.span(), d.span()
		h.From, h.To, h.When, h.Released = times.min, times.max, acted.min, acted.max
		for _, s := range []*string{&h.Reason, &h.By, &h.ReleasedBy, &h.ReleasedWhy} {
			*s = d.take(d.uvarint())
		}
		holds = append(holds, h)
	}
	return holds, readAllOf(name, d)
}
