package guard

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// algorithms that may be pinned. None is symmetric: a public key must never be taken for a shared secret.
var algorithms = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}

const (
	maxSkew       = 5 * time.Minute
	defaultPrefix = "customer:"
)

func (t *Tokens) check(f *faults) {
	seen := map[string]bool{}
	for i := range t.Issuers {
		x := &t.Issuers[i]
		key := fmt.Sprintf("tokens.issuers[%d]", i)
		if x.Issuer == "" {
			f.add(key+".issuer", "give the claim iss of its tokens")
		}
		if seen[x.Issuer] {
			f.add(key+".issuer", "there is an entry for this issuer already: give its keys and algorithms there")
		}
		seen[x.Issuer] = true
		n := 0
		for _, given := range []bool{x.JWKSFile != "", x.JWKSURL != "", x.Discovery} {
			if given {
				n++
			}
		}
		if n != 1 {
			f.add(key, "give one of jwks_file, jwks_url and discovery: true")
		}
		if x.JWKSURL != "" {
			if err := checkURL(x.JWKSURL); err != nil {
				f.add(key+".jwks_url", "%v", err)
			}
		}
		if x.Discovery {
			if err := checkURL(x.Issuer); err != nil {
				f.add(key+".issuer", "discovery asks the issuer itself: %v", err)
			}
		}
		if len(x.Algorithms) == 0 {
			f.add(key+".algorithms", "name the algorithms that this issuer signs with, such as [ES256]: a token must not choose its own")
		}
		for k, a := range x.Algorithms {
			if !slices.Contains(algorithms, a) {
				f.add(fmt.Sprintf("%s.algorithms[%d]", key, k), "%q: give some of %s; none and HS256 are never taken", a, strings.Join(algorithms, ", "))
			}
		}
		if x.Skew < 0 || x.Skew > maxSkew || x.MaxAge < 0 || x.Refresh < 0 {
			f.add(key, "skew is 0 to %v, max_age and refresh 0 or more", maxSkew)
		}
		if t.LongestLife != 0 && x.MaxAge > t.LongestLife {
			f.add(key+".max_age", "its tokens are taken for %v, and their issuances are let go after tokens.longest_life, %v: give that at least as long", x.MaxAge, t.LongestLife)
		}
		checkPrefix(f, key, x.Principal)
	}
	for i := range t.Introspection {
		x := &t.Introspection[i]
		key := fmt.Sprintf("tokens.introspection[%d]", i)
		if err := checkURL(x.URL); err != nil {
			f.add(key+".url", "%v", err)
		}
		if x.Client == "" || (x.SecretFile == "") == (x.SecretEnv == "") {
			f.add(key, "give client, and one of secret_file and secret_env")
		}
		if x.Remember < 0 || x.Remember > maxTTL || x.Timeout < 0 {
			f.add(key, "remember is 0 to %v, timeout 0 or more", maxTTL)
		}
		checkPrefix(f, key, x.Principal)
	}
	if t.LongestLife != 0 && t.LongestLife < time.Hour {
		f.add("tokens.longest_life", "give at least 1h, or 0 for no end")
	}
	if t.Cache < 0 {
		f.add("tokens.cache", "give 0 or more")
	}
}

func checkPrefix(f *faults, key, prefix string) {
	if prefix != "" && !strings.HasSuffix(prefix, ":") {
		f.add(key+".principal", "%q: give the class and a colon, as in customer: or staff:", prefix)
	}
}

// prefixed gives the principal of a sub.
func prefixed(prefix, sub string) string {
	if sub == "" {
		return ""
	}
	if prefix == "" {
		prefix = defaultPrefix
	}
	return prefix + sub
}

// checkListen takes unix sockets and loopback: what the doors say decides who is let in.
func checkListen(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("%q: give the socket's whole path, as in unix:/run/whosaw-envoy.sock", s)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no address: give host:port or unix:PATH", s)
	}
	if !isLoopback(host) {
		return fmt.Errorf("%s is not loopback, and credentials would travel in clear: listen on loopback or a unix socket, beside the gateway", s)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// pattern is a route of the configuration.
type pattern struct {
	method string // "" any
	path   string
	prefix bool
}

func parsePattern(s string) (pattern, error) {
	method, path, ok := strings.Cut(s, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") && path != "*" {
		return pattern{}, fmt.Errorf("%q is no route: give a method and a path as in the catalog, such as \"GET /me/addresses\", \"GET /me/*\" or \"* *\"", s)
	}
	p := pattern{method: method, path: path}
	if method == "*" {
		p.method = ""
	}
	if rest, ok := strings.CutSuffix(path, "*"); ok {
		p.path, p.prefix = rest, true
	}
	if strings.Contains(p.path, "*") {
		return pattern{}, fmt.Errorf("%q: a * stands at the end only", s)
	}
	return p, nil
}

func (p *pattern) matches(route string) bool {
	method, path, _ := strings.Cut(route, " ")
	if p.method != "" && p.method != method {
		return false
	}
	return path == p.path || p.prefix && strings.HasPrefix(path, p.path)
}

// folds reports whether a path of the pattern is written so by somebody for whom case does not count.
func (p *pattern) folds(method, path string) bool {
	if p.method != "" && p.method != method {
		return false
	}
	if p.prefix && len(path) >= len(p.path) {
		path = path[:len(p.path)]
	}
	return strings.EqualFold(path, p.path)
}

// strictest takes from another policy what is stricter there.
func (p *Policy) strictest(o *Policy) {
	if p.Mode == ModeShadow {
		p.Mode = o.Mode
	}
	if o.Fail == FailClosed {
		p.Fail = FailClosed
	}
	p.Anonymous, p.Invalid, p.Unissued = max(p.Anonymous, o.Anonymous), max(p.Invalid, o.Invalid), max(p.Unissued, o.Unissued)
	p.Nonexistent, p.Leaver, p.Ambiguous = max(p.Nonexistent, o.Nonexistent), max(p.Leaver, o.Leaver), max(p.Ambiguous, o.Ambiguous)
	if o.Hold != nil && *o.Hold {
		p.Hold = o.Hold
	}
	if len(p.Mask) == 0 || len(o.Mask) == 0 { // of either: all that the route shows
		p.Mask = nil
	} else {
		p.Mask = append(slices.Clone(p.Mask), o.Mask...)
	}
	p.TTL = 0
}

// merge gives the policy with what it leaves out taken from base.
func (p Policy) merge(base Policy) Policy {
	text := func(v *string, b string) {
		if *v == "" {
			*v = b
		}
	}
	act := func(v *Action, b Action) {
		if *v == Unstated {
			*v = b
		}
	}
	if p.Mode == "" {
		p.Mode = base.Mode
	}
	text(&p.Fail, base.Fail)
	act(&p.Anonymous, base.Anonymous)
	act(&p.Invalid, base.Invalid)
	act(&p.Unissued, base.Unissued)
	act(&p.Nonexistent, base.Nonexistent)
	act(&p.Leaver, base.Leaver)
	act(&p.Ambiguous, base.Ambiguous)
	if p.Hold == nil {
		p.Hold = base.Hold
	}
	if p.Mask == nil {
		p.Mask = base.Mask
	}
	if p.TTL == 0 {
		p.TTL = base.TTL
	}
	return p
}
