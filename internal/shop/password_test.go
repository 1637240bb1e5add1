package shop_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/browsertest"
	"github.com/whosaw/whosaw/internal/shop"
)

// TestMain has passwords of tests that are not about them kept cheaply: under the race detector each takes a second otherwise.
func TestMain(m *testing.M) {
	shop.Cheap(true)
	browsertest.Main(m)
}

func TestPasswords(t *testing.T) {
	shop.Cheap(false)
	dear, err := shop.HashSlow("한글 password")
	check(t, err)
	shop.Cheap(true)
	if !strings.HasPrefix(dear, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("kept as %s", dear)
	}
	again, err := shop.HashSlow("한글 password")
	check(t, err)
	quick, err := shop.HashFast("한글 password")
	check(t, err)
	for _, kept := range []string{dear, again, quick} { // whatever new ones cost, old ones are checked as they were made
		for password, want := range map[string]bool{"한글 password": true, "한글 passwore": false, "": false} {
			if ok, err := shop.Matches(kept, password); err != nil || ok != want {
				t.Errorf("%.30s… against %q: %v, %v", kept, password, ok, err)
			}
		}
	}
	if twice, err := shop.HashFast("한글 password"); err != nil || twice == quick {
		t.Errorf("the same password is kept the same: %v", err)
	}
	if ok, err := shop.Matches(shop.Nobody(), ""); ok || err != nil {
		t.Errorf("nobody's password: %v, %v", ok, err)
	}
	for _, kept := range []string{"", "plain", "$argon2id$", dear[:len(dear)-9], strings.Replace(dear, "t=2", "t=0", 1), strings.Replace(dear, "v=19", "v=16", 1), "$sha256$!$!", "$sha256$AAAA$"} {
		if ok, err := shop.Matches(kept, "한글 password"); ok || err == nil || strings.Contains(err.Error(), "$") {
			t.Errorf("%q was read: %v, %v", kept, ok, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		kept, err := shop.HashFast(a)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := shop.Matches(kept, b); err != nil || ok != (a == b) {
			t.Fatalf("%q against %q: %v, %v", a, b, ok, err)
		}
	})
}
