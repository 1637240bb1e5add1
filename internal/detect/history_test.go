package detect

import (
	"testing"

	"pgregory.net/rapid"
)

// The history answers as a map would for five years, whatever comes in which order, forgets only what was not met for long, and keeps within its 16
// bytes an entry once it is not small.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x history
		days := map[historyKey]int32{}
		today := int32(20_000)
		for range rapid.IntRange(1, 400).Draw(t, "n") {
			today += rapid.SampledFrom([]int32{0, 0, 0, 1, 90}).Draw(t, "days")
			k := historyID(rapid.Uint64Range(1, 4).Draw(t, "what"), 7, subject(rapid.Uint64Range(1, 40).Draw(t, "subject")), rapid.Uint64Range(0, 3).Draw(t, "other"))
			slot := x.find(k)
			on, known := days[k]
			if slot == nil && known && today-on <= historyDays {
				t.Fatalf("%v was met %d days ago, and is forgotten", k, today-on)
			}
			if slot != nil && today-on < 2000 && (!known || sinceDay(slot, today) != today-on) {
				t.Fatalf("%v: %d days ago, want %d (%v)", k, sinceDay(slot, today), today-on, known)
			}
			if slot == nil {
				slot = x.put(k, today, 1<<20)
			}
			meet(slot, today)
			days[k] = today
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	var x history
	const n = 400_000
	for i := range uint64(n) {
		s := subject(i / 4) // four facts about each
		if x.put(historyID(metNetwork, 1, s, i%4), 1, n-1000) == nil && i < n-1000 {
			t.Fatal("full too early")
		}
	}
	size := 0
	for i := range x.shards {
		size += 8 * len(x.shards[i].slots)
	}
	if x.n != n-1000 || size > 16*n+historyShards*64 {
		t.Errorf("%d entries in %d bytes: %.1f each", x.n, size, float64(size)/n)
	}
}
