package retention

import (
	"context"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Hold is a legal hold. Missing From and To: everything.
type Hold struct {
	ID          uint64       `json:"id"`
	From        *whosaw.Time `json:"from"`
	To          *whosaw.Time `json:"to"`
	Reason      string       `json:"reason"`
	By          string       `json:"by"`
	When        whosaw.Time  `json:"when"`
	Released    *whosaw.Time `json:"released"`
	ReleasedBy  string       `json:"released_by,omitempty"`
	ReleasedWhy string       `json:"released_why,omitempty"`
}

// HoldOf gives a hold as answers have it.
func HoldOf(h *ledger.Hold) Hold {
	at := func(ms int64) *whosaw.Time {
		if ms == 0 {
			return nil
		}
		t := whosaw.Time(ms)
		return &t
	}
	return Hold{
		ID: h.ID, From: at(h.From), To: at(h.To), Reason: h.Reason, By: h.By, When: whosaw.Time(h.When),
		Released: at(h.Released), ReleasedBy: h.ReleasedBy, ReleasedWhy: h.ReleasedWhy,
	}
}

// Removal is what retention removed, or would remove.
type Removal struct {
	Applied bool        `json:"applied"`
	Before  whosaw.Time `json:"before"`
	Removed []Removed   `json:"removed"` // what went; of a dry run what would go
	Held    []Removed   `json:"held"`    // old enough, and kept by holds
	Mixed   int         `json:"mixed"`   // segments with records on both sides: they stay
	// Newest is the greatest event time of the ledger: if it is long ago, a clock that runs ahead makes everything look old.
	Newest whosaw.Time `json:"newest"`
}

// Removed is a segment that went, or stays.
type Removed struct {
	First    uint64      `json:"first"`
	Last     uint64      `json:"last"`
	From     whosaw.Time `json:"from"`
	To       whosaw.Time `json:"to"`
	Accesses int         `json:"accesses"`
	Records  uint64      `json:"records"`
	Bytes    int64       `json:"bytes"`
	Holds    []uint64    `json:"holds,omitempty"`
}

func removedOf(p *ledger.Purged, holds []uint64) Removed {
	return Removed{
		First: p.First, Last: p.Last, From: whosaw.Time(p.MinTime), To: whosaw.Time(p.MaxTime),
		Accesses: p.Accesses, Records: p.Last + 1 - p.First, Bytes: p.Bytes, Holds: holds,
	}
}

// Retain says what is to go of what is older than a moment, in milliseconds since 1970, and with apply removes it.
func (k *Keeper) Retain(ctx context.Context, before int64, apply bool) (Removal, error) {
	out := Removal{Applied: apply, Before: whosaw.Time(before), Removed: []Removed{}, Held: []Removed{}}
	view, err := k.Ledger.View(0)
	if err != nil {
		return out, err
	}
	for _, p := range view.Parts() {
		out.Newest = max(out.Newest, whosaw.Time(p.MaxTime))
	}
	if err := view.Close(); err != nil {
		return out, err
	}
	plan, err := k.Plan(before)
	if err != nil {
		return out, err
	}
	gone := plan.Go
	if apply {
		if gone, err = k.Remove(ctx, before); err != nil {
			return out, err
		}
	}
	for i := range gone {
		out.Removed = append(out.Removed, removedOf(&gone[i], nil))
	}
	for i := range plan.Held {
		out.Held = append(out.Held, removedOf(&plan.Held[i].Purged, plan.Held[i].Holds))
	}
	out.Mixed = plan.Mixed
	return out, nil
}
