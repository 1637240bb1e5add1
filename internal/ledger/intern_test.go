package ledger

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Strings of all lengths that differ in one byte, or in none.
func TestEqualAndHash(t *testing.T) {
	long := strings.Repeat("abcdefgh", 5)
	for n := range len(long) {
		a := long[:n]
		if b := string([]byte(a)); !equal(a, b) || hashString(a) != hashString(b) {
			t.Errorf("%d bytes are not equal to their copy", n)
		}
		if n > 0 && (equal(a, a[1:]) || equal(a, a[:n-1])) {
			t.Errorf("%d bytes are equal to fewer", n)
		}
		for i := range n {
			b := []byte(a)
			b[i] ^= 1
			if equal(a, string(b)) || hashString(a) == hashString(string(b)) {
				t.Errorf("%d bytes that differ at %d are equal", n, i)
			}
		}
	}
}

// A column gives each row the code of its value, in the order of first appearance.
func TestInternedAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c interned
		var a arena
		var at lookups
		codes, row := map[string]uint32{"": 0}, 0
		var want []uint32
		for range rapid.IntRange(1, 8).Draw(t, "blocks") {
			few := rapid.Bool().Draw(t, "few")
			values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
				if few {
					return rapid.SampledFrom([]string{"", "x", "GET /me"}).Draw(t, "value")
				}
				return rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 20, -1).Draw(t, "value")
			}), 1, 60).Draw(t, "values")
			var fresh []string
			for i, v := range values {
				at.values[i] = string([]byte(v))
				if _, ok := codes[v]; !ok {
					codes[v] = uint32(len(codes))
					fresh = append(fresh, v)
				}
				want = append(want, codes[v])
			}
			guessed := len(c.values) > 0 && rapid.Bool().Draw(t, "guessed")
			for i := range values {
				if at.likely[i] = 7; guessed { // else what is left from before must not matter
					at.likely[i] = uint32(rapid.IntRange(0, len(c.values)-1).Draw(t, "guess"))
				}
			}
			c.add(row, len(values), &at, guessed, &a, func(i int) {
				if len(fresh) == 0 || fresh[0] != values[i] {
					t.Fatalf("%q is called new", values[i])
				}
				fresh = fresh[1:]
			})
			if row += len(values); len(fresh) > 0 {
				t.Fatalf("nobody was told of %q", fresh)
			}
		}
		got := slices.Concat(c.codes, make([]uint32, row-len(c.codes)))
		if !slices.Equal(got, want) {
			t.Fatalf("codes %d, want %d", got, want)
		}
		for v, code := range codes {
			if v != "" && c.values[code] != v {
				t.Fatalf("code %d is %q, want %q", code, c.values[code], v)
			}
		}
	})
}
