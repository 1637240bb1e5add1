package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// kindRemove is the kind of the act that says what was removed.
const kindRemove = "retention"

// Keeper acts on an open ledger for somebody.
type Keeper struct {
	Ledger *ledger.Ledger
	Index  *index.Store
	Who    string // the principal that acts, as "staff:kim"
	Now    func() time.Time
	// Act puts an act on record for whoever follows the ledger as it grows; nil: nobody does, and it is appended.
	Act func(ctx context.Context, who string, act whosaw.Reference) error
}

// write puts an act on record.
func (k *Keeper) write(ctx context.Context, ref whosaw.Reference) error {
	if k.Act != nil {
		return k.Act(ctx, k.Who, ref)
	}
	now := k.Now()
	r := whosaw.Record{
		Type: whosaw.TypeAct, Time: now.UnixMilli(), Source: "operator", Position: now.UnixNano(), Principal: k.Who, Ref: &ref,
	}
	if _, err := k.Ledger.Append(ctx, []whosaw.Record{r}); err != nil {
		return fmt.Errorf("record the act: %w", err)
	}
	return nil
}

// Hold sets a hold on a range of event times, in milliseconds since 1970: from (0: the beginning) to before to (0: no end).
func (k *Keeper) Hold(ctx context.Context, from, to int64, reason string) (ledger.Hold, error) {
	h, err := k.Ledger.AddHold(ctx, ledger.Hold{From: from, To: to, Reason: reason, By: k.Who, When: k.Now().UnixMilli()})
	if err != nil {
		return ledger.Hold{}, err
	}
	if err := k.write(ctx, whosaw.Reference{Kind: ledger.ActHold, Of: strconv.FormatUint(h.ID, 10), From: from, Until: to, Note: reason}); err != nil {
		return h, fmt.Errorf("hold %d is set, but not on record: %w", h.ID, err)
	}
	return h, nil
}

// Release releases a hold.
func (k *Keeper) Release(ctx context.Context, id uint64, reason string) (ledger.Hold, error) {
	if reason == "" {
		return ledger.Hold{}, errors.New("releasing a hold needs a reason: give --reason")
	}
	if id == 0 || id > uint64(len(k.Ledger.Holds())) {
		return ledger.Hold{}, fmt.Errorf("release hold %d: %w", id, ledger.ErrNoHold)
	}
	if err := k.write(ctx, whosaw.Reference{Kind: ledger.ActHoldRelease, Of: strconv.FormatUint(id, 10), Note: reason}); err != nil {
		return ledger.Hold{}, err
	}
	return k.Ledger.ReleaseHold(ctx, id, k.Who, reason, k.Now().UnixMilli())
}

// Plan says what Remove would remove.
func (k *Keeper) Plan(before int64) (ledger.Purge, error) { return k.Ledger.PlanPurge(before) }

// Remove seals the open log, so that it can go when its time comes, and removes the segments all of whose records have event times before a moment, but what a hold keeps, and
// gives what went, also when it ends early.
func (k *Keeper) Remove(ctx context.Context, before int64) ([]ledger.Purged, error) {
	view, err := k.Ledger.View(0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(k.allHoldsThere(ctx, view), view.Close()); err != nil {
		return nil, err
	}
	if err := k.Ledger.Seal(ctx); err != nil {
		return nil, err
	}
	plan, err := k.Plan(before)
	if err != nil || len(plan.Go) == 0 {
		return nil, err
	}
	records := int64(0)
	for _, p := range plan.Go {
		records += int64(p.Last + 1 - p.First)
	}
	err = k.write(ctx, whosaw.Reference{
		Kind: kindRemove, Until: before, Count: records,
		Note: fmt.Sprintf("%d segments, the first with record %d, the last up to %d", len(plan.Go), plan.Go[0].First, plan.Go[len(plan.Go)-1].Last),
	})
	if err != nil {
		return nil, err
	}
	gone, err := k.Ledger.Purge(ctx, before, k.Now())
	return gone, errors.Join(err, k.Prune())
}

// Prune removes what is derived from records that are gone, as where a crash came in between.
func (k *Keeper) Prune() error {
	view, err := k.Ledger.View(0)
	if err != nil {
		return err
	}
	return errors.Join(k.Index.Prune(view), view.Close())
}

// allHoldsThere holds the holds against the acts that set and released them.
func (k *Keeper) allHoldsThere(ctx context.Context, view *ledger.View) error {
	holds := k.Ledger.Holds()
	set := map[string]uint64{} // the sequence of the act, by id
	err := view.References(ctx, func(seq uint64, r *whosaw.Record) error {
		if r.Type != whosaw.TypeAct || r.Ref == nil {
			return nil
		}
		switch r.Ref.Kind {
		case ledger.ActHold:
			set[r.Ref.Of] = seq
		case ledger.ActHoldRelease:
			delete(set, r.Ref.Of)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for holds: %w", err)
	}
	for id, seq := range set {
		there := slices.ContainsFunc(holds, func(h ledger.Hold) bool { return strconv.FormatUint(h.ID, 10) == id && h.Released == 0 })
		if !there {
			return fmt.Errorf("record %d of the ledger says that hold %s was set, and the ledger's file of holds does not have it: "+
				"restore %s/ledger/holds from a backup, or set the hold again and release it; nothing is removed until then", seq, id, k.Ledger.Dir())
		}
	}
	return nil
}
