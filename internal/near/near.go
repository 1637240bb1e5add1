package near

import "unsafe"

// Lines are places to be fetched. The zero value is ready to use.
type Lines struct {
	n  int
	at [256]uintptr
}

// Add gathers a place. What was gathered is fetched at once where there is no room for more.
func Add[T any](l *Lines, p *T) {
	if l.n == len(l.at) {
		l.Fetch()
	}
	l.at[l.n] = uintptr(unsafe.Pointer(p))
	l.n++
}

// Fetch has what was gathered brought near, and returns before it has come.
func (l *Lines) Fetch() {
	if l.n > 0 {
		fetch(&l.at[0], l.n)
		l.n = 0
	}
}
