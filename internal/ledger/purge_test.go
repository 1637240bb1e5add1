package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var purgeTime = time.UnixMilli(1_790_000_000_000)

// aged gives records a second apart, in order of time.
func aged(n int) []whosaw.Record {
	all := varied(n)
	for i := range all {
		all[i].Time = 1_760_000_000_000 + int64(i)*1000
	}
	return all
}

// purgeable makes a ledger of three segments of 40 records and an open log of 15.
func purgeable(t *testing.T) (dir string, all []whosaw.Record) {
	t.Helper()
	dir, all = t.TempDir(), aged(135)
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	appendAll(t, l, all, ledger.Accepted)
	closing(t, l)
	return dir, all
}

func purge(t *testing.T, l *ledger.Ledger, before int64) []ledger.Purged {
	t.Helper()
	gone, err := l.Purge(ctx, before, purgeTime)
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

// records gives all records of a view with their sequences.
func recordsOf(t *testing.T, v *ledger.View) (seqs []uint64, all []whosaw.Record) {
	t.Helper()
	err := v.Records(ctx, 0, func(seq uint64, r *whosaw.Record) error {
		seqs, all = append(seqs, seq), append(all, *r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs, all
}

func TestPurge(t *testing.T) {
	dir, all := purgeable(t)
	saved := save(t, dir)
	before := verify(t, dir, nil)
	cutoff := all[80].Time // the first two segments are older
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	plan, err := l.PlanPurge(cutoff)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Go) != 2 || len(plan.Held) != 0 || plan.Mixed != 0 || plan.Go[0].First != 1 || plan.Go[1].Last != 80 {
		t.Fatalf("planned %+v", plan)
	}
	if more, err := l.PlanPurge(all[79].Time); err != nil || len(more.Go) != 1 || more.Mixed != 1 {
		t.Errorf("with a segment that has one newer record: %+v, %v", more, err)
	}
	if got, _ := recordsOf(t, view(t, l, 0)); len(got) != 135 {
		t.Fatal("a plan removes")
	}
	old := view(t, l, 0)
	gone := purge(t, l, cutoff)
	if len(gone) != 2 || gone[0].Accesses+gone[0].References != 40 || gone[0].MinTime != all[0].Time || gone[1].MaxTime != all[79].Time || gone[1].When != purgeTime.UnixMilli() {
		t.Errorf("purged %+v", gone)
	}
	if len(gone[0].Sources) != 1 || gone[0].Sources[0].Records != 40 || gone[0].Sources[0].Source != all[0].Source {
		t.Errorf("sources %+v", gone[0].Sources)
	}
	if _, err := old.Load(ctx, 0, ledger.ColAll); !errors.Is(err, ledger.ErrPurged) {
		t.Errorf("a view from before: %v", err)
	}
	check := func(when string, l *ledger.Ledger, upTo int) {
		t.Helper()
		v := view(t, l, 0)
		seqs, records := recordsOf(t, v)
		if diff := cmp.Diff(all[80:upTo], records, same); diff != "" || seqs[0] != 81 || v.Last() != uint64(upTo) {
			t.Errorf("%s: %d to %d, %s", when, seqs[0], v.Last(), diff)
		}
		if diff := cmp.Diff(gone, v.Purged()); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
		if v := view(t, l, 50); v.Last() != 50 || len(v.Purged()) != 2 || len(v.Parts()) != 0 {
			t.Errorf("%s: as of 50 the view goes up to %d", when, v.Last())
		}
		if v := view(t, l, 40); v.Last() != 40 || len(v.Purged()) != 1 {
			t.Errorf("%s: as of 40 the view goes up to %d", when, v.Last())
		}
	}
	check("purged", l, 135)
	if again := purge(t, l, cutoff); len(again) != 0 {
		t.Errorf("a second time %d went", len(again))
	}
	more := aged(180)[135:]
	appendAll(t, l, more, ledger.Accepted)
	all = append(all, more...)
	check("with more records", l, 180)
	closing(t, l)
	for _, readOnly := range []bool{false, true} {
		l := open(t, ledger.Config{Dir: dir, ReadOnly: readOnly, Throwaway: true})
		check("reopened", l, 180)
		closing(t, l)
	}
	after := verify(t, dir, saved)
	if after.Purged != 80 || after.Saved != 135 || after.Records != 100 || after.Sequence != 180 {
		t.Errorf("%+v", after)
	}
	if !slices.Contains(after.Parts, before.Parts[2]) {
		t.Error("a purge changed the root")
	}

	// Everything that is sealed goes; sequences go on.
	l = open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	purge(t, l, all[179].Time+1)
	if v := view(t, l, 0); v.Last() != 180 || len(v.Parts()) != 0 {
		t.Errorf("all purged: up to %d", v.Last())
	}
	closing(t, l)
	l = open(t, ledger.Config{Dir: dir, Throwaway: true})
	receipts, err := l.Append(ctx, aged(181)[180:])
	if err != nil || receipts[0].Sequence != 181 {
		t.Errorf("after everything went: %v, %v", receipts, err)
	}
	closing(t, l)
	verify(t, dir, saved)
}

// TestPurgeUnderRoot has a saved root that ends among what is gone: it cannot be compared, and is no accusation. A
// tombstone that is made up is found by a root behind it.
func TestPurgeUnderRoot(t *testing.T) {
	dir, all := purgeable(t)
	saved := save(t, dir)
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	appendAll(t, l, aged(170)[135:], ledger.Accepted)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	purge(t, l, all[134].Time+26_000)
	closing(t, l)
	if v := verify(t, dir, saved); v.Saved != 120 || v.Purged != 160 {
		t.Errorf("compared up to %d, purged %d", v.Saved, v.Purged)
	}
	// A tombstone of other records.
	other, _ := purgeable(t)
	l = open(t, ledger.Config{Dir: other, SegmentRecords: 40, Throwaway: true})
	purge(t, l, all[120].Time)
	closing(t, l)
	name := "00000000000000000041.gone"
	b, err := os.ReadFile(filepath.Join(other, "ledger", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger", name), b, 0o600); err != nil {
		t.Fatal(err)
	}
	var rewrite *ledger.RewriteError
	if _, err := ledger.Verify(ctx, ledger.VerifyConfig{Dir: dir, Saved: saved}); !errors.As(err, &rewrite) || rewrite.First != 41 || rewrite.Last != 80 {
		t.Errorf("with a tombstone that is made up: %v", err)
	}
}

func TestHolds(t *testing.T) {
	dir, all := purgeable(t)
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	end := all[134].Time // the log has one that is not older
	h, err := l.AddHold(ctx, ledger.Hold{From: all[50].Time, To: all[51].Time, Reason: "case 17", By: "staff:kim", When: purgeTime.UnixMilli()})
	if err != nil || h.ID != 1 {
		t.Fatal(h, err)
	}
	plan, err := l.PlanPurge(end)
	if err != nil || len(plan.Go) != 2 || len(plan.Held) != 1 || plan.Held[0].First != 41 || !slices.Equal(plan.Held[0].Holds, []uint64{1}) {
		t.Fatalf("%+v, %v", plan, err)
	}
	if gone := purge(t, l, end); len(gone) != 2 || gone[1].First != 81 {
		t.Errorf("purged %+v", gone)
	}
	closing(t, l)
	l = open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	if got := l.Holds(); len(got) != 1 || got[0] != h {
		t.Errorf("reopened: %+v", got)
	}
	seqs, _ := recordsOf(t, view(t, l, 0))
	if seqs[0] != 41 || seqs[39] != 80 || seqs[40] != 121 || len(view(t, l, 0).Purged()) != 2 {
		t.Errorf("sequences %v", seqs)
	}
	for name, bad := range map[string]ledger.Hold{
		"without reason": {From: 1},
		"backwards":      {From: 5, To: 5, Reason: "x"},
		"long":           {Reason: strings.Repeat("x", 5000)},
	} {
		if _, err := l.AddHold(ctx, bad); err == nil {
			t.Errorf("a hold %s is taken", name)
		}
	}
	if _, err := l.ReleaseHold(ctx, 2, "staff:lee", "over", 1); !errors.Is(err, ledger.ErrNoHold) {
		t.Errorf("releasing none: %v", err)
	}
	appendAll(t, l, aged(136)[135:], ledger.Accepted) // a refusal stops nothing
	released, err := l.ReleaseHold(ctx, 1, "staff:lee", "case closed", purgeTime.UnixMilli()+5)
	if err != nil || released.Released != purgeTime.UnixMilli()+5 || released.ReleasedWhy != "case closed" {
		t.Fatal(released, err)
	}
	if again, err := l.ReleaseHold(ctx, 1, "staff:x", "once more", 9); err != nil || again != released {
		t.Errorf("released twice: %+v, %v", again, err)
	}
	if gone := purge(t, l, end); len(gone) != 1 || gone[0].First != 41 {
		t.Errorf("purged %+v", gone)
	}
	closing(t, l)
	verify(t, dir, nil)
}

// TestHoldRanges holds which segments a hold keeps, with open ends and at the borders.
func TestHoldRanges(t *testing.T) {
	dir, all := purgeable(t)
	at := func(i int) int64 { return all[i].Time }
	for name, c := range map[string]struct {
		hold ledger.Hold
		held []uint64
	}{
		"all":                     {ledger.Hold{}, []uint64{1, 41, 81}},
		"from the last record on": {ledger.Hold{From: at(79)}, []uint64{41, 81}},
		"behind the last record":  {ledger.Hold{From: at(79) + 1}, []uint64{81}},
		"up to before the first":  {ledger.Hold{To: at(40)}, []uint64{1}},
		"up to the first":         {ledger.Hold{To: at(40) + 1}, []uint64{1, 41}},
		"within one":              {ledger.Hold{From: at(45), To: at(46)}, []uint64{41}},
		"none":                    {ledger.Hold{From: at(134) + 1}, nil},
		"when it was set":         {ledger.Hold{From: at(134) + 1, When: at(60)}, []uint64{41}},
	} {
		dir := copied(t, dir)
		l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
		c.hold.Reason = name
		if _, err := l.AddHold(ctx, c.hold); err != nil {
			t.Fatal(err)
		}
		plan, err := l.PlanPurge(at(134))
		if err != nil {
			t.Fatal(err)
		}
		var held []uint64
		for _, h := range plan.Held {
			held = append(held, h.First)
		}
		if !slices.Equal(held, c.held) || len(plan.Go)+len(held) != 3 {
			t.Errorf("%s: held %v, want %v", name, held, c.held)
		}
		closing(t, l)
	}
}

// TestPurgeOfDamage keeps a damaged segment: of it nobody could say later what it was.
func TestPurgeOfDamage(t *testing.T) {
	dir, all := purgeable(t)
	name := filepath.Join(dir, "ledger", "00000000000000000041.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	gone, err := l.Purge(ctx, all[120].Time, purgeTime)
	var damage *ledger.DamageError
	if !errors.As(err, &damage) || damage.File != name || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
	appendAll(t, l, aged(136)[135:], ledger.Accepted)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Purge(ended, all[120].Time, purgeTime); err == nil {
		t.Error("a purge that was cancelled")
	}
	closing(t, l)
}

// TestPurgeFaults puts each fault at each durable operation of a hold, a purge, a release and a second purge: what is
// there afterwards is what was before or what was to be, segment by segment, and the root is the same.
func TestPurgeFaults(t *testing.T) {
	from, all := purgeable(t)
	saved := save(t, from)
	end := all[120].Time
	life := func(dir string, d ledger.Disk) (held, released bool) {
		l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: 40}, d)
		if err != nil {
			return false, false
		}
		defer l.Close()
		_, err = l.AddHold(ctx, ledger.Hold{From: all[50].Time, To: all[51].Time, Reason: "case 17"})
		held = err == nil
		if _, err := l.Purge(ctx, end, purgeTime); err != nil && !errors.Is(err, errFault) {
			t.Errorf("purge: %v", err)
		}
		if !held {
			return false, false
		}
		_, err = l.ReleaseHold(ctx, 1, "staff:lee", "closed", 1)
		released = err == nil
		return held, released
	}
	for f := range faults {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			at := 1
			for ; ; at++ {
				dir := copied(t, from)
				d := newFaultyDisk(t, dir, f, at)
				held, released := life(dir, d)
				if !d.hit {
					break
				}
				d.crash(t)
				for _, readOnly := range []bool{true, false} {
					l, err := ledger.OpenOn(ledger.Config{Dir: dir, SegmentRecords: 40, ReadOnly: readOnly}, ledger.OSDisk())
					if err != nil {
						t.Fatalf("fault at operation %d: %v", at, err)
					}
					v := view(t, l, 0)
					seqs, records := recordsOf(t, v)
					next := uint64(1)
					for _, g := range v.Purged() {
						if held && g.First == 41 {
							t.Errorf("fault at operation %d: what a hold keeps is gone", at)
						}
						for ; len(seqs) > 0 && seqs[0] < g.First; seqs, records = seqs[1:], records[1:] {
							if seqs[0] != next {
								t.Fatalf("fault at operation %d: record %d where %d is due", at, seqs[0], next)
							}
							next++
						}
						next = g.Last + 1
					}
					if v.Last() != 135 || len(seqs) == 0 || seqs[0] != next || int(next)-1+len(seqs) != 135 {
						t.Errorf("fault at operation %d: records %v behind %d", at, seqs, next-1)
					}
					if diff := cmp.Diff(all[next-1:], records, same); diff != "" {
						t.Errorf("fault at operation %d: %s", at, diff)
					}
					holds := l.Holds()
					if held && len(holds) != 1 || released && holds[0].Released == 0 {
						t.Errorf("fault at operation %d: held %v, released %v, and there is %+v", at, held, released, holds)
					}
					closing(t, l)
				}
				if v := verify(t, dir, saved); v.Saved != 135 {
					t.Errorf("fault at operation %d: compared up to %d", at, v.Saved)
				}
				l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
				purge(t, l, end)
				closing(t, l)
				verify(t, dir, saved)
				if t.Failed() {
					return
				}
			}
			if at < 20 {
				t.Fatalf("only %d durable operations", at)
			}
			t.Logf("%d durable operations", at-1)
		})
	}
}

// TestPurgeInBackup backs up before and after a purge, under a hold: the backup follows, and restores to the same root.
func TestPurgeInBackup(t *testing.T) {
	dir, all := purgeable(t)
	saved := save(t, dir)
	to := t.TempDir()
	l := open(t, ledger.Config{Dir: dir, SegmentRecords: 40, Throwaway: true})
	backup(t, l, to)
	if _, err := l.AddHold(ctx, ledger.Hold{To: all[10].Time, Reason: "case 17"}); err != nil {
		t.Fatal(err)
	}
	backup(t, l, to)
	purge(t, l, all[120].Time)
	for range 2 {
		backup(t, l, to)
		mustVerify(t, to)
	}
	want := l.Holds()
	gone := view(t, l, 0).Purged()
	closing(t, l)
	if _, err := os.Stat(filepath.Join(to, "parts", "00000000000000000041.seg")); err == nil {
		t.Error("what retention removed is still in the backup")
	}
	back := restored(t, to)
	if v := verify(t, back, saved); v.Saved != 135 || v.Purged != 80 {
		t.Errorf("restored: %+v", v)
	}
	r := open(t, ledger.Config{Dir: back, Throwaway: true})
	if diff := cmp.Diff(want, r.Holds()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(gone, view(t, r, 0).Purged()); diff != "" {
		t.Error(diff)
	}
	if _, err := r.ReleaseHold(ctx, 1, "staff:lee", "closed", 1); err != nil {
		t.Fatal(err)
	}
	closing(t, r)
}
