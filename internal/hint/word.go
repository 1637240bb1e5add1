package hint

import (
	"strconv"
	"strings"
)

// DidYouMean asks whether the nearest known word was meant: the end of a message, "" if none is near.
func DidYouMean(s string, known []string) string {
	if near := Nearest(s, known); near != "" {
		return ": did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

// Nearest gives the known word that s most likely misspells, "" if none is near.
func Nearest(s string, known []string) string {
	best, least := "", max(1, min(2, len(s)/3))+1
	for _, k := range known {
		if d := distance(strings.ToLower(s), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, change or swap with their neighbour.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, up, upup := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(up[j]+1, row[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], upup[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

// Narrow gives a word as most records have it: without space around it, and with plain letters and digits where somebody's keyboard wrote full-width ones.
func Narrow(s string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case c >= '！' && c <= '～':
			return c - '！' + '!'
		case c == '\u3000':
			return ' '
		}
		return c
	}, s))
}
