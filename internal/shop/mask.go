package shop

import (
	"strings"
	"unicode/utf8"

	"github.com/whosaw/whosaw/guard"
)

// hide masks a value as people are used to see it: enough to know one's own, too little to use.
func hide(field, value string) string {
	switch field {
	case "email":
		name, domain, _ := strings.Cut(value, "@")
		return first(name) + "***@" + domain
	case "phone":
		if r := []rune(value); len(r) >= 8 {
			return "***-****-" + string(r[len(r)-4:])
		}
	case "door_code":
		return doorMasked(value)
	case "address":
		if town, _, ok := strings.Cut(value, " "); ok {
			return town + " ***"
		}
	}
	return first(value) + "**"
}

// doorMasked is how a door code stands in a list: #1**4*.
func doorMasked(code string) string {
	if code == "" {
		return ""
	}
	digits := 0
	for _, r := range code {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits < 4 {
		return "****"
	}
	at := 0
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return r
		}
		at++
		if at == 1 || at == digits {
			return r
		}
		return '*'
	}, code)
}

func first(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || r == utf8.RuneError {
		return ""
	}
	return string(r)
}

// masked is a value, masked if it must be.
func masked(m guard.Mask, field, value string) string {
	if value == "" || !m.Has(field) {
		return value
	}
	return hide(field, value)
}
