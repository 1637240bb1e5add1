package browsertest

import (
	"testing"
	"time"
)

// Need skips a test where there is no browser.
func Need(t testing.TB) { need(t) }

// Impatient has a tab give up soon.
func Impatient(b *Tab) { b.wait = 2 * time.Second }
