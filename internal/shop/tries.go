package shop

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"
)

// errTries is a log-in that was tried too often.
var errTries = errors.New("too many tries")

// Bounds of wrong passwords for one account, and of accounts that are remembered.
const (
	triesMost   = 10
	triesWithin = 15 * time.Minute
	triesKept   = 100_000
)

// tries counts wrong passwords, and those that are being checked, for each account that was named, whether it exists or not. The zero value is ready.
type tries struct {
	mu sync.Mutex
	by map[[32]byte]try
}

type try struct {
	n     int
	since time.Time
}

// account is what stands for what was typed: nobody's mail address is kept here.
func account(name string) [32]byte {
	return sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(name))))
}

// take counts a try before its password is checked, so that a thousand at once are no more than ten one after the other. false: there were too many.
func (t *tries) take(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := account(name)
	x, ok := t.by[key]
	if ok && now.Sub(x.since) >= triesWithin {
		x, ok = try{}, false
	}
	if x.n >= triesMost {
		return false
	}
	if !ok {
		x.since = now
		if t.by == nil || len(t.by) >= triesKept {
			t.by = map[[32]byte]try{} // whoever fills it frees others: they gain ten tries, not an account
		}
	}
	x.n++
	t.by[key] = x
	return true
}

// back takes a try back that was no wrong password.
func (t *tries) back(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := account(name)
	x, ok := t.by[key]
	switch {
	case ok && x.n > 1:
		x.n--
		t.by[key] = x
	case ok:
		delete(t.by, key)
	}
}
