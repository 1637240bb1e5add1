package near

import "unsafe"

// Lines are places to be fetched. The zero value is ready to use.
type Lines struct {
	n  uint
	at [room]uintptr
}

const room = 256

// Add gathers a place. Once there is no room for more, all are fetched.
func Add[T any](l *Lines, p *T) {
	l.at[l.n%room] = uintptr(unsafe.Pointer(p))
	if l.n++; l.n == room {
		l.Fetch()
	}
}

// Fetch has what was gathered brought near, and returns before it has come.
//
//go:noinline
func (l *Lines) Fetch() {
	if l.n > 0 {
		fetch(&l.at[0], int(l.n))
		l.n = 0
	}
}
