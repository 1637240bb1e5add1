package scope

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
)

type sized int64

func (s sized) bytes() int64 { return int64(s) }

// TestMemoForgetsLarge: of filters of which too much would have to be kept, however many and long they are, little is kept.
func TestMemoForgetsLarge(t *testing.T) {
	m := NewMemo(1000)
	held := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := held()
	const filters, length = 1000, 10_000
	var last memoKey
	for i := range filters {
		last = memoKey{what: "count", filter: strings.Repeat(string(rune(0x4e00+i)), length/3)}
		if m.keep(&memory{key: last, sums: sized(600)}) {
			t.Fatal("too much was kept")
		}
	}
	if !m.tooLarge(last) || m.tooLarge(memoKey{what: "count"}) {
		t.Error("it is not known what was too large")
	}
	if n := int64(held() - before); n > filters*length/10 {
		t.Errorf("%d bytes are held of what was not kept", n)
	}
	for i := range maxLarge {
		m.keep(&memory{key: memoKey{what: "count", filter: strconv.Itoa(i)}, sums: sized(600)})
	}
	if len(m.large) > maxLarge {
		t.Errorf("%d are remembered", len(m.large))
	}
}
