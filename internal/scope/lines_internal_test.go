package scope

import (
	"errors"
	"testing"
)

// TestLineOver holds that what a line cannot hold is noticed: then everything is summed in a table.
func TestLineOver(t *testing.T) {
	w := &liner{lineup: &lineup{question: &question{sets: newSets()}}, unions: map[uint64]uint32{}}
	var x line
	w.put(&x, 7, 1)
	w.put(&x, 3, 1)
	if w.over || x != (line{(lineLength-1-3)<<lowBits | 2, 7<<lowBits | 1}) {
		t.Fatalf("over is %v, the line %x", w.over, x)
	}
	x.first |= low
	if w.put(&x, 9, 1); !w.over {
		t.Error("more accesses than a line holds are not noticed")
	}
	w.over = false
	if w.put(&line{}, 9, low+1); !w.over {
		t.Error("a set's number that a line cannot hold is not noticed")
	}

	people := newTable(newSets(), newBudget(0))
	own := people.writer()
	own.add(update{key: 5, time: 10, set: 0, realm: 0})
	own.flush()
	for i := range people.shards {
		for j := range people.shards[i].entries {
			people.shards[i].entries[j].accesses = low + 1
		}
	}
	l := &lineup{question: &question{sets: newSets(), budget: newBudget(0)}, people: people, realms: map[uint32]*lines{0: {pages: make([]*[linePage]line, linePages)}}}
	if err := l.drain(); !errors.Is(err, errDense) {
		t.Errorf("a table's entry that a line cannot hold gives %v", err)
	}
}
