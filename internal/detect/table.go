package detect

import "github.com/whosaw/whosaw/internal/near"

// slots is an open-addressing hash table from id to unit: one cache line to find out, where a Go map takes three.
type slots struct {
	list []slot // a power of two, at most five eighths full
	n    int
}

type slot struct {
	id uint64 // 0: free
	u  *unit
}

func (t *slots) get(id uint64) *unit {
	if t.n == 0 {
		return nil
	}
	mask := uint64(len(t.list) - 1)
	for i := id >> 8 & mask; ; i = (i + 1) & mask {
		s := &t.list[i]
		if s.id == id {
			return s.u
		}
		if s.id == 0 {
			return nil
		}
	}
}

// bring gathers where an id lies.
func (t *slots) bring(id uint64, l *near.Lines) {
	if t.n > 0 {
		near.Add(l, &t.list[id>>8&uint64(len(t.list)-1)])
	}
}

func (t *slots) put(u *unit) {
	if 8*(t.n+1) > 5*len(t.list) {
		old := t.list
		t.list = make([]slot, max(64, 2*len(old)))
		for _, s := range old {
			if s.id != 0 {
				t.place(s)
			}
		}
	}
	t.place(slot{u.id, u})
	t.n++
}

func (t *slots) place(s slot) {
	mask := uint64(len(t.list) - 1)
	i := s.id >> 8 & mask
	for t.list[i].id != 0 {
		i = (i + 1) & mask
	}
	t.list[i] = s
}

// drop removes an id that is in, and moves up what had to give way to it.
func (t *slots) drop(id uint64) {
	mask := uint64(len(t.list) - 1)
	i := id >> 8 & mask
	for t.list[i].id != id {
		i = (i + 1) & mask
	}
	t.n--
	for j := i; ; {
		j = (j + 1) & mask
		s := t.list[j]
		if s.id == 0 {
			break
		}
		// s may move to i unless its own place lies cyclically in (i, j].
		if home := s.id >> 8 & mask; (j-home)&mask >= (j-i)&mask {
			t.list[i] = s
			i = j
		}
	}
	t.list[i] = slot{}
}
