package guard

import (
	"slices"
	"strings"
)

// Kind is the kind of a door.
type Kind string

// The kinds of doors.
const (
	KindDecide     Kind = "decide"     // POST /v1/decide: a program asks, and does what it is told
	KindNginx      Kind = "nginx"      // nginx auth_request
	KindEnvoy      Kind = "envoy"      // Envoy ext_authz v3 over gRPC
	KindFeed       Kind = "feed"       // a gateway holds a deny list that it reads as server-sent events
	KindMiddleware Kind = "middleware" // the Go middleware: sees requests and answers
	KindProxy      Kind = "proxy"      // whosaw proxy: sees requests and answers
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{KindDecide, KindNginx, KindEnvoy, KindFeed, KindMiddleware, KindProxy}
}

// Control is one thing that a policy may ask of a door.
type Control uint8

// The controls. Each is either enforced by a door or refused when the configuration is read.
const (
	CanDeny     Control = iota // refuse a request that a standing decision covers
	CanJudge                   // ask about every request: signature, issued, subject, key state
	CanStepUp                  // ask for a fresh log-in
	CanThrottle                // say when to come again
	CanMask                    // mask fields of an answer
	CanCount                   // count the customers that answers show, before they leave
	CanHold                    // hold an answer until its record is durable
	CanFail                    // do what the route's fail mode says while the guard cannot judge
	CanShadow                  // let through and record what would have been done
	CanRecord                  // have each decision recorded with its request id
	numControls = iota
)

var controlNames = [numControls]string{
	"deny", "judge", "step_up", "throttle", "mask", "count", "hold", "fail", "shadow", "record",
}

// String names the control.
func (c Control) String() string {
	if int(c) < len(controlNames) {
		return controlNames[c]
	}
	return "unknown"
}

// Controls lists all controls.
func Controls() []Control {
	out := make([]Control, numControls)
	for i := range out {
		out[i] = Control(i)
	}
	return out
}

// Capability is a set of controls.
type Capability uint16

func capability(list ...Control) (c Capability) {
	for _, x := range list {
		c |= 1 << x
	}
	return c
}

// Has reports whether the control is in the set.
func (c Capability) Has(x Control) bool { return c>>x&1 == 1 }

// String lists the controls.
func (c Capability) String() string {
	var names []string
	for _, x := range Controls() {
		if c.Has(x) {
			names = append(names, x.String())
		}
	}
	return strings.Join(names, ", ")
}

// asks is what every door does that asks about each request.
var asks = capability(CanDeny, CanJudge, CanStepUp, CanFail, CanShadow, CanRecord)

var capabilities = map[Kind]Capability{
	KindDecide:     asks | capability(CanThrottle),
	KindNginx:      asks, // auth_request takes 2xx, 401 and 403, and nothing else
	KindEnvoy:      asks | capability(CanThrottle),
	KindFeed:       capability(CanDeny),
	KindMiddleware: asks | capability(CanThrottle, CanMask, CanCount, CanHold),
	KindProxy:      asks | capability(CanThrottle, CanMask, CanCount, CanHold),
}

// Can gives what a kind of door can enforce; nothing for a kind that is not known.
func (k Kind) Can() Capability { return capabilities[k] }

// known reports whether there is such a kind.
func (k Kind) known() bool { return slices.Contains(Kinds(), k) }

// control is what a door must be able to do for an action.
func (a Action) control() Control {
	switch a {
	case Mask:
		return CanMask
	case StepUp:
		return CanStepUp
	case Throttle:
		return CanThrottle
	}
	return CanDeny
}

// Fit gives the action that a door with this capability takes for a: the same if it can, else the next stricter one that it
// can. Allow fits everywhere, and so does deny.
func (c Capability) Fit(a Action) Action {
	if a <= Allow {
		return a
	}
	for ; a < Deny; a++ {
		if c.Has(a.control()) {
			return a
		}
	}
	return Deny
}

// which gives kinds of doors that can do something, for a cure.
func which(c Control) string {
	var names []string
	for _, k := range Kinds() {
		if k.Can().Has(c) {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, ", ")
}
