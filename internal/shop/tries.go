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

// tries counts wrong passwords for each account that was named, whether it exists or not. The zero value is ready.
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

func (t *tries) tooMany(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.by[account(name)]
	return ok && x.n >= triesMost && now.Sub(x.since) < triesWithin
}

func (t *tries) wrong(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil || len(t.by) >= triesKept {
		t.by = map[[32]byte]try{} // whoever fills it frees others: they gain ten tries, not an account
	}
	x := t.by[account(name)]
	if x.n == 0 || now.Sub(x.since) >= triesWithin {
		x = try{since: now}
	}
	x.n++
	t.by[account(name)] = x
}
