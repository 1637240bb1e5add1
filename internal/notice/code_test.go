package notice

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A code opens under the secret that made it and no other; one wrong letter, or two that changed places, is noticed by the check character alone.
func TestCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), secretSize, secretSize).Draw(t, "secret")
		number := rapid.Uint32Range(0, maxNumber).Draw(t, "number")
		row := rapid.Uint32Range(0, maxRows).Draw(t, "row")
		code := codeOf(secret, number, row)
		s, err := parse(code)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := s.open(secret, forCode); !ok || got != row || s.number != number {
			t.Fatalf("%s opens as %d of %d, %t", code, got, s.number, ok)
		}
		if _, ok := s.open(secret, forMessageID); ok {
			t.Fatal("a code opens as a message id")
		}
		other := bytes.Clone(secret)
		other[0] ^= 1
		if _, ok := s.open(other, forCode); ok {
			t.Fatal("a code opens under another secret")
		}
		plain := strings.ReplaceAll(code, "-", "")
		if len(plain) != codeChars+1 {
			t.Fatalf("%s has %d letters", code, len(plain))
		}
		i, j := rapid.IntRange(0, codeChars).Draw(t, "i"), rapid.IntRange(0, codeChars).Draw(t, "j")
		wrong := []byte(plain)
		wrong[i], wrong[j] = wrong[j], wrong[i]
		if _, err := parse(string(wrong)); string(wrong) != plain && err == nil {
			t.Fatalf("%s passes for %s", wrong, plain)
		}
		wrong = []byte(plain)
		wrong[i] = alphabet[rapid.IntRange(0, 31).Draw(t, "letter")]
		if _, err := parse(string(wrong)); string(wrong) != plain && err == nil {
			t.Fatalf("%s passes for %s", wrong, plain)
		}
		// As people type it, and as a page from right to left shows it.
		typed := "\u2066 " + strings.ToLower(strings.NewReplacer("0", "o", "1", "L", "-", " \u2013 ").Replace(code)) + "\u2069"
		if again, err := parse(typed); err != nil || again != s {
			t.Fatalf("%q: %v", typed, err)
		}
	})
	for _, bad := range []string{"", "-", "0000", strings.Repeat("0", 27), strings.Repeat("0", 29), strings.Repeat("U", 28), strings.Repeat("é", 28)} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is a code", bad)
		}
	}
}

// Codes of neighbours tell nothing: not who is beside whom, and not how many there are.
func TestCodesHideTheRow(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, secretSize)
	seen := map[byte]int{}
	for row := range uint32(512) {
		code := strings.ReplaceAll(codeOf(secret, 1, row), "-", "")
		seen[code[3]]++ // the highest bits of the row, were it in clear
	}
	if len(seen) < 16 {
		t.Errorf("the codes of 512 neighbours have only %d letters where the row stands", len(seen))
	}
}

// Any string is a code or is not; nothing else happens.
func FuzzParse(f *testing.F) {
	f.Add("7ZZZ-0000-1111-2222-3333-4444-5555")
	f.Add("\u202e-o\x00")
	secret := bytes.Repeat([]byte{1}, secretSize)
	f.Add(codeOf(secret, 3, 77))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		if row, ok := s.open(secret, forCode); ok && codeOf(secret, s.number, row) == "" {
			t.Error("no code")
		}
	})
}

func TestSafeCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "1": "1", "-12": "-12", "=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+1": "+1", "-1+cmd|' /C calc'!A0": "'-1+cmd|' /C calc'!A0", "\t=1": "'\t=1", " =1": "' =1", "\u200f=1": "'\u200f=1", "＝1": "'＝1",
		"plain": "plain", "a=b": "a=b", "\r=1": "'\r=1", "%x": "'%x",
	} {
		if got := safeCell(in); got != want {
			t.Errorf("safeCell(%q) = %q, want %q", in, got, want)
		}
	}
}
