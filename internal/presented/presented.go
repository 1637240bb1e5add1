// Package presented finds the credential in what a request brings, and the methods that it names beside its own.
//
// Invariants:
//  1. What a service could go by is judged: where two credentials differ, the answer is all of them, which nobody issued.
//  2. Cookies are read as the most lenient reader takes them.
//  3. It needs the standard library only, for package guard stands in other people's programs.
package presented

import (
	"net/url"
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

// Overrides are the headers with which some services let a request name another method than its own.
var Overrides = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// Methods gives the methods that headers name, each once; nil if there are none. Names of headers are in canonical form.
func Methods(headers map[string][]string) (out []string) {
	for _, name := range Overrides {
		for _, line := range headers[name] {
			for m := range strings.SplitSeq(line, ",") {
				if m = strings.TrimSpace(m); m != "" && !slices.Contains(out, m) {
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// Parameters gives the methods that a target's query names (_method), as Rails, Laravel and Symfony take them; nil if there are none.
func Parameters(target string) (out []string) {
	_, query, ok := strings.Cut(target, "?")
	if !ok || !strings.Contains(query, "ethod") {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != "_method" {
			continue
		}
		if text, err := url.QueryUnescape(value); err == nil && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
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
