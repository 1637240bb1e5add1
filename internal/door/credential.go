package door

import (
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/guard"
)

// presented gives the credential of a request: that of the lines of Authorization, else that of the cookie. Which of two the service goes by is
// not known here: two that differ are one that nobody issued.
func presented(authorization, cookies []string, name string) guard.Secret {
	if text := single(authorization); text != "" || name == "" {
		return guard.Secret(text)
	}
	return guard.Secret(single(values(cookies, name)))
}

// single gives the one text of a list; all of them where they differ.
func single(list []string) string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

// values gives what a cookie is set to, as the most lenient reader takes it: one that a service reads and the door does not would be a way in.
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
