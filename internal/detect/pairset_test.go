package detect

import (
	"testing"

	"pgregory.net/rapid"
)

// A pairset answers as a plain map of last days does, within its room.
func TestPairset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pairset
		last := map[uint64]int32{}
		held := 0
		on, top := int32(20_000), int32(20_000)
		for range rapid.IntRange(0, 400).Draw(t, "n") {
			on += rapid.Int32Range(-1, 2).Draw(t, "step") * rapid.SampledFrom([]int32{0, 1, 30}).Draw(t, "days")
			on = max(on, top-ringDays+1)
			top = max(top, on)
			who := rapid.Uint64Range(1, 300).Draw(t, "who")
			before, known := last[who]
			want := !known || on-before > shownDays
			fresh, grown := p.show(who, on, true)
			if held += grown; held != p.n {
				t.Fatalf("%d held, it says %d", p.n, held)
			}
			if fresh != want {
				t.Fatalf("%d on %d, last on %d (%v): new is %v", who, on, before, known, fresh)
			}
			last[who] = max(on, before)
		}
		for who, day := range last {
			if full, grown := p.show(who, day, false); grown != 0 || full && top-day <= shownDays {
				t.Fatalf("%d, last on %d, is not remembered on %d", who, day, on)
			}
		}
		if fresh, grown := p.show(1000, on, false); !fresh || grown != 0 {
			t.Fatal("there was no room")
		}
	})
}
