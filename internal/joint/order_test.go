package joint_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/joint"
)

const hour = int64(60 * 60 * 1000)

// Of a source in the order of its times every record has its own, whatever its type, and however long the pauses are.
func TestTurnsOfSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rs []*whosaw.Record
		now := int64(1_700_000_000_000)
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			now += rapid.SampledFrom([]int64{0, 1, 500, hour / 2, 3 * hour, 900 * hour}).Draw(t, "pause")
			rs = append(rs, &whosaw.Record{Type: rapid.SampledFrom([]whosaw.Type{
				whosaw.TypeAccess, whosaw.TypeAccess, whosaw.TypeIssuance, whosaw.TypeReason, whosaw.TypeSubject, whosaw.TypeVerdict,
			}).Draw(t, "type"), Time: now})
		}
		at, order := joint.Turns(rs)
		if !slices.Equal(rs, order) {
			t.Fatal("the order is another")
		}
		met := false
		for i, r := range rs {
			met = met || r.Type <= whosaw.TypeIssuance
			if later := slices.ContainsFunc(rs[i:], func(x *whosaw.Record) bool { return x.Type <= whosaw.TypeIssuance }); at[i] != r.Time && (met || later) {
				t.Fatalf("record %d of %d, a %s, has its turn at %d, and is of %d", i, len(rs), r.Type, at[i], r.Time)
			}
		}
	})
}

// A clock that is wrong for a record or two, and what speaks of long ago or of what will be, hold nobody up and let nobody jump the queue.
func TestTurnsOfWrongClocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rs []*whosaw.Record
		var right []int64 // when each came
		now, wrong := int64(1_700_000_000_000), 0
		for i := range rapid.IntRange(20, 200).Draw(t, "records") {
			now += rapid.Int64Range(0, 60_000).Draw(t, "pause")
			r := &whosaw.Record{Time: now}
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind == 0:
				r.Type, r.Time = whosaw.TypeSubject, now-rapid.Int64Range(0, 90_000*hour).Draw(t, "since")
			case kind == 1:
				r.Type, r.Time = whosaw.TypeAct, now+rapid.Int64Range(0, 9_000*hour).Draw(t, "by the machine's clock")
			case kind == 2 && i >= wrong+8 && i > 8:
				wrong = i
				r.Time = now + rapid.SampledFrom([]int64{-9000, -30, 30, 9000}).Draw(t, "off")*hour
			}
			rs, right = append(rs, r), append(right, now)
		}
		at, order := joint.Turns(rs)
		if !slices.Equal(rs, order) {
			t.Fatal("the order is another")
		}
		for i := 10; i < len(rs)-10; i++ {
			if d := at[i] - right[i]; d > hour || d < -hour {
				t.Fatalf("record %d of %d, a %s, has its turn %d minutes off", i, len(rs), rs[i].Type, d/60_000)
			}
		}
	})
}

// Millions of reference records without an access among them wait for nothing.
func TestTurnsOfReferencesAlone(t *testing.T) {
	var rs []*whosaw.Record
	for i := range 100_000 {
		rs = append(rs, &whosaw.Record{Type: whosaw.TypeSubject, Time: int64(1 + i%977)})
	}
	if at, order := joint.Turns(rs); len(at) != len(rs) || !slices.Equal(rs, order) {
		t.Fatalf("%d of %d came", len(at), len(rs))
	}
}
