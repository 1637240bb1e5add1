// Package presented finds the credential in what a request brings.
//
// Invariants:
//  1. What a service could go by is judged: where two credentials differ, the answer is all of them, which nobody issued.
//  2. Cookies are read as the most lenient reader takes them.
//  3. It needs the standard library only, for package guard stands in other people's programs.
package presented

import (
	"slices"
	"strings"
)

// Credential gives what the lines of Authorization say, else what the cookie of that name is set to; "" if there is none. An empty name
// stands for no cookie.
func Credential(authorization, cookies []string, name string) string {
	if text := Single(authorization); text != "" || name == "" {
		return text
	}
	return Single(values(cookies, name))
}

// Single gives the one text of a list; all of them where they differ. Which of several a service goes by is not known here.
func Single(list []string) string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

// values gives what a cookie is set to: one that a service reads and nobody judged would be a way in.
func values(headers []string, name string) (out []string) {
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ";") {
			k, v, ok := strings.Cut(part, "=")
			if !ok || !strings.EqualFold(strings.TrimSpace(k), name) {
				continue
			}
			v = strings.TrimSpace(v)
			if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			out = append(out, v)
		}
	}
	return out
}
