package auth_test

import (
	"testing"

	"github.com/whosaw/whosaw/internal/auth"
)

func TestSamePerson(t *testing.T) {
	s, _, _ := newStore(t)
	const session = "staff:admin by link of staff:kim"
	for _, x := range []struct{ name, maker string }{
		{"lee", "staff:kim"}, {"park", "staff:kim"}, {"own", session}, {"second", session}, {"deep", "token:own"}, {"loop", "token:loop"}, {"lees", "token:lee"},
	} {
		if _, _, err := s.Create(t.Context(), auth.Spec{Name: x.name, Role: auth.RoleAdmin}, x.maker); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"staff:kim", "staff:kim", true}, {"staff:kim", "staff:lee", false}, {"staff:kim", session, true}, {session, "token:own", true}, {"staff:kim", "token:own", true},
		{"token:own", "token:second", true}, {session, "token:deep", true}, {"token:deep", "staff:admin by link of token:own", true},
		{"staff:kim", "token:lee", false}, {session, "token:lee", false}, {"token:lee", "token:park", false}, {"token:lee", "token:lee", true}, {"token:lee", "token:lees", true},
		{"token:gone", "token:gone", true}, {"token:gone", "token:lee", false}, {"token:loop", "token:lee", false},
	} {
		for _, p := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got, err := s.SamePerson(t.Context(), p[0], p[1]); err != nil || got != c.want {
				t.Errorf("%s and %s: %v %v", p[0], p[1], got, err)
			}
		}
	}
	// A name that was used again: whoever made one of them may be meant.
	if _, err := s.Revoke(t.Context(), "own", "staff:kim"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Create(t.Context(), auth.Spec{Name: "own", Role: auth.RoleAdmin}, "staff:lee"); err != nil {
		t.Fatal(err)
	}
	if same, err := s.SamePerson(t.Context(), "token:own", "staff:kim"); err != nil || !same {
		t.Errorf("a name that was used again: %v %v", same, err)
	}
}
