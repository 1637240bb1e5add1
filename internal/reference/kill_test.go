package reference_test

import (
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// What an operator killed stays killed, whatever logs say of the key before or later, until an operator takes it back.
func TestAKillStands(t *testing.T) {
	x := reference.New()
	seq := uint64(0)
	say := func(source, state string, at, since int64) {
		seq++
		x.Apply(seq, &whosaw.Record{Type: whosaw.TypeKey, Time: at, Key: "k", Source: source, Ref: &whosaw.Reference{State: state, Since: since}})
	}
	want := func(at int64, state string) {
		t.Helper()
		if got := x.Key("", "k", at); got.State != state {
			t.Errorf("at %d the key is %q, want %q", at, got.State, state)
		}
	}
	say("vault", "active", 100, 0)
	say("vault", "active", 110, 900) // from a day that is to come
	say("operator", "revoked", 200, 0)
	say("vault", "active", 300, 0)
	say("vault", "active", 310, 150)
	say("vault", "retired", 320, 0)
	say("operator", "", 330, 0) // says nothing of its state
	for _, at := range []int64{200, 250, 300, 320, 330, 900, 1000} {
		want(at, "revoked")
	}
	want(150, "active") // before it was killed it was in use
	say("operator", "active", 1100, 0)
	want(1100, "active")
	want(1000, "revoked") // it was, then
	say("vault", "revoked", 1200, 0)
	want(1200, "revoked")
	say("vault", "active", 1300, 0) // what a log said, a log may take back
	want(1300, "active")
}
