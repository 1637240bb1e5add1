package reference_test

import (
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// What happened to a key makes readers and changes no state: a backup that is read after its retirement stays retired.
func TestReadingAKeyChangesNoState(t *testing.T) {
	x := reference.New()
	apply := func(seq uint64, r whosaw.Record) {
		t.Helper()
		if err := r.Validate(2_000_000_000_000); err != nil {
			t.Fatal(err)
		}
		x.Apply(seq, &r)
	}
	at := func(day int64) int64 { return 1_700_000_000_000 + day*86_400_000 }
	apply(1, whosaw.Record{Type: whosaw.TypeKey, Time: at(0), Key: "backup", Ref: &whosaw.Reference{State: "active", Readers: []string{"lee"}}})
	apply(2, whosaw.Record{Type: whosaw.TypeKey, Time: at(5), Key: "backup", Ref: &whosaw.Reference{State: "retired"}})
	apply(3, whosaw.Record{Type: whosaw.TypeKey, Time: at(9), Key: "backup", Ref: &whosaw.Reference{Kind: "exported", Readers: []string{"kim"}}})
	apply(4, whosaw.Record{Type: whosaw.TypePerson, Time: at(10), Ref: &whosaw.Reference{Person: "kim", State: "left"}})
	if s := x.Key("", "backup", at(9)); s.State != "retired" || s.Since != at(5) || s.Left != "" {
		t.Errorf("after it was read: %+v", s)
	}
	if s := x.Key("", "backup", at(10)); s.State != "retired" || s.Left != "kim" || s.LeftAt != at(10) {
		t.Errorf("after the reader left: %+v", s)
	}
}
