package door

import (
	"net/http"
	"net/netip"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/presented"
)

// nginxHandler answers nginx's auth_request: 204 lets the request through, 401 asks for a log-in, 403 refuses. Nothing else means
// anything to it.
func nginxHandler(j Judge, door *guard.DoorConfig) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, ok := nginxRequest(r, door)
		if !ok {
			w.Header().Set("X-Whosaw-Reason", string(guard.CodeBadRequest))
			w.WriteHeader(http.StatusForbidden)
			return
		}
		d := j.Decide(r.Context(), &q)
		h := w.Header()
		h.Set("X-Whosaw-Action", d.Action.String())
		h.Set("X-Whosaw-Reason", string(d.Because()))
		id := &d.Identity
		for _, x := range [...]struct{ name, value string }{
			{"X-Whosaw-Principal", id.Principal}, {"X-Whosaw-Credential", id.Credential}, {"X-Whosaw-Key", id.Key}, {"X-Whosaw-Client", id.Client},
		} {
			if x.value != "" && plain(x.value) {
				h.Set(x.name, x.value)
			}
		}
		if d.Action <= guard.Mask {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if d.Relogin() {
			h.Set("WWW-Authenticate", challenge(&d))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
}

// challenge tells a client that a log-in helps (RFC 6750, RFC 9470).
func challenge(d *guard.Decision) string {
	if d.Action == guard.StepUp {
		return `Bearer error="insufficient_user_authentication"`
	}
	if d.Because() == guard.CodeAnonymous {
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// plain reports whether a claim can stand in a header.
func plain(s string) bool {
	if len(s) > 512 {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// nginxRequest reads what nginx says of a request. ok is false where it does not say which.
func nginxRequest(r *http.Request, door *guard.DoorConfig) (q guard.Request, ok bool) {
	h := r.Header
	q = guard.Request{
		ID: h.Get("X-Request-Id"), Door: door.Name, Method: h.Get("X-Original-Method"), Path: h.Get("X-Original-Uri"), Agent: h.Get("User-Agent"),
		Credential: guard.Secret(presented.Credential(h["Authorization"], h["Cookie"], door.Cookie)), Methods: presented.Methods(h),
	}
	if q.Method == "" || q.Path == "" || len(h.Values("X-Original-Uri")) > 1 || len(h.Values("X-Original-Method")) > 1 {
		return q, false
	}
	a, err := netip.ParseAddr(h.Get("X-Real-Ip"))
	if err != nil || len(h.Values("X-Real-Ip")) > 1 {
		return q, false
	}
	q.IP = a.Unmap()
	for _, name := range door.Tells {
		switch name {
		case "country":
			q.Country = h.Get("X-Whosaw-Country")
		case "tls":
			q.TLS = h.Get("X-Whosaw-Tls")
		case "asn":
			if n, err := whosaw.ParseASN(h.Get("X-Whosaw-Asn")); err == nil {
				q.ASN = n
			}
		}
	}
	return q, true
}

// retryAfter gives seconds for a header.
func retryAfter(d *guard.Decision) string {
	return strconv.FormatInt(max(1, Written(*d).Retry), 10)
}
