package incident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// ListRemoval is a list of a scope version that retention is about, or why it stays.
type ListRemoval struct {
	Incident int64  `json:"incident"`
	Version  int    `json:"version"`
	List     string `json:"list"` // SHA-256
	Bytes    int64  `json:"bytes"`
	// Kept says why it stays; "": it is removed.
	Kept string `json:"kept,omitempty"`
}

// Retain removes the lists of scope versions of incidents that were closed before a time; without apply it only says which. A list names
// customers, so it is kept no longer than the records that it was made of, but for as long as anybody is to be answered from it: while its incident
// is open or offers a look-up, while a notice of it stands, and while any legal hold is in force: holds are their numbers. The events stay, with
// the list's hash.
func (b *Book) Retain(ctx context.Context, who string, before time.Time, holds []uint64, apply bool) ([]ListRemoval, error) {
	list, err := b.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	out := []ListRemoval{}
	for _, in := range slices.Backward(list) {
		kept := in.keeps(before, holds)
		for i := range in.Versions {
			v := &in.Versions[i]
			if v.Purged {
				continue
			}
			r := ListRemoval{Incident: in.Number, Version: v.Number, List: v.List, Kept: kept}
			if info, err := os.Stat(b.listPath(in.Number, v.List)); err == nil {
				r.Bytes = info.Size()
			}
			out = append(out, r)
			if kept == "" && apply {
				if err := b.purge(ctx, who, &r); err != nil {
					return out, err
				}
			}
		}
	}
	return out, nil
}

// purge records the removal first: what is on record as removed is removed again if a crash came between.
func (b *Book) purge(ctx context.Context, who string, r *ListRemoval) error {
	body := Body{Version: r.Version, Hash: r.List, Note: "retention: the incident was closed, and the age is over"}
	if _, err := b.record(ctx, r.Incident, who, Purged, &body); err != nil {
		return err
	}
	return b.unlink(ctx, r.Incident, r.List)
}

// unlink removes a list that no version needs: two versions may have the same.
func (b *Book) unlink(ctx context.Context, incident int64, list string) error {
	in, err := b.Incident(ctx, incident)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(in.Versions, func(v Version) bool { return v.List == list && !v.Purged }) {
		return nil
	}
	if err := os.Remove(b.listPath(incident, list)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove list: %w", err)
	}
	return nil
}

// Sweep removes lists that are on record as removed, and lie there still because of a crash.
func (b *Book) Sweep(ctx context.Context) error {
	list, err := b.Incidents(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range list {
		for i := range in.Versions {
			if in.Versions[i].Purged {
				errs = append(errs, b.unlink(ctx, in.Number, in.Versions[i].List))
			}
		}
	}
	return errors.Join(errs...)
}

// keeps says why the lists of an incident stay; "": they may go.
func (in *Incident) keeps(before time.Time, holds []uint64) string {
	if in.State != StateClosed {
		return "the incident is not closed"
	}
	if len(holds) > 0 {
		return fmt.Sprintf("legal hold %d keeps it", holds[0])
	}
	if in.Lookup != nil {
		return "people can look themselves up in it"
	}
	if slices.ContainsFunc(in.Postings, func(p Posting) bool { return p.Removed == nil }) {
		return "a notice of it is posted"
	}
	for i := range slices.Backward(in.Timeline) {
		if e := &in.Timeline[i]; e.Kind == Closed {
			if e.At.Before(before) {
				return ""
			}
			return "it was closed at " + e.At.UTC().Format(time.DateOnly)
		}
	}
	return "the incident is not closed"
}
