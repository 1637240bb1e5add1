package guard

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Action is what a door does with a request or an answer. Later ones are stricter. The zero value is "not stated".
type Action uint8

// The actions.
const (
	Unstated Action = iota
	Allow           // let it through
	Mask            // let the answer through with fields masked
	StepUp          // ask for a fresh log-in or a second factor first
	Throttle        // not now: Decision.Retry says when
	Deny            // no
)

var actionNames = [...]string{"", "allow", "mask", "step_up", "throttle", "deny"}

// String gives the name used in JSON and in configurations.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// MarshalText writes the name.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads a name.
func (a *Action) UnmarshalText(text []byte) error {
	for i, name := range actionNames {
		if name == string(text) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no action: give one of %s", text, strings.Join(actionNames[1:], ", "))
}

// Secret is a credential as it was presented. It prints as what it is, not as what it says.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[credential]"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Request is what a door knows of a request before it is answered. Members that a door does not know are empty.
type Request struct {
	ID   string `json:"request,omitempty"` // the request id, which the access record will carry too
	Door string `json:"door,omitempty"`    // the name of the door, as configured

	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`  // the raw path with its query; never kept
	Route  string `json:"route,omitempty"` // instead of method and path: the catalog's route
	// Methods that headers name instead (X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override): the service may go by them. A parameter _method of
	// the path's query is found in Path.
	Methods []string `json:"methods,omitempty"`

	// Credential is what was presented: a JWT, an opaque token, a session id; "Bearer " before it is left out. Never kept.
	Credential Secret `json:"credential,omitempty"`

	Realm    string     `json:"realm,omitempty"`
	Subjects []string   `json:"subjects,omitempty"` // whose data is asked for, if the door knows; else the catalog finds it in the path
	IP       netip.Addr `json:"ip,omitzero"`
	Country  string     `json:"country,omitempty"`
	ASN      uint32     `json:"asn,omitempty"`
	Agent    string     `json:"agent,omitempty"`
	TLS      string     `json:"tls,omitempty"` // JA4
}

// Answer is what a door that sees answers knows when one is about to leave.
type Answer struct {
	Request
	Identity Identity `json:"-"`                  // of the first decision; the zero value: it is found out again
	Subjects []string `json:"subjects,omitempty"` // whose data the answer shows
	Others   int64    `json:"others,omitempty"`
	Fields   []string `json:"fields,omitempty"` // shown in clear; nil, as Masked is: as the catalog says
	Masked   []string `json:"masked,omitempty"` // shown masked already
	Status   int      `json:"status,omitempty"`
}

// Identity is who a credential claims to be, and how far that was checked.
type Identity struct {
	Scheme     Scheme    `json:"scheme,omitempty"`
	Credential string    `json:"credential,omitempty"` // the id under which the ledger knows it: jti, or a hash; never what could be presented
	Key        string    `json:"key,omitempty"`
	Client     string    `json:"client,omitempty"`
	Principal  string    `json:"principal,omitempty"` // as claimed: customer:7
	Realm      string    `json:"realm,omitempty"`
	Verified   bool      `json:"verified"` // its signature, or its issuer, or its log-in vouches for it
	Issued     bool      `json:"issued"`   // its issuance is on record and agrees
	IssuedAt   time.Time `json:"-"`        // as the token claims; zero: not said
	Expires    time.Time `json:"-"`        // zero: not said
}

// Scheme is the kind of a credential.
type Scheme string

// The schemes.
const (
	SchemeNone    Scheme = ""        // none was presented
	SchemeJWT     Scheme = "jwt"     // signed by a key of a configured issuer
	SchemeOpaque  Scheme = "opaque"  // its issuer is asked (RFC 7662)
	SchemeSession Scheme = "session" // looked for among the issuances
)

// Code is why a decision was made, for machines.
type Code string

// The codes. Invalid credentials come first, then what is on record against valid ones.
const (
	CodeOK           Code = "ok"
	CodeAnonymous    Code = "anonymous"        // no credential was presented
	CodeMalformed    Code = "malformed"        // it is none of the configured kinds
	CodeSignature    Code = "signature"        // no key of a configured issuer signed it
	CodeUnknownKey   Code = "unknown_key"      // it names no key, or one that its issuer does not have
	CodeExpired      Code = "expired"          // its time is over, or has not come
	CodeAudience     Code = "audience"         // it was made for another service
	CodeInactive     Code = "inactive"         // its issuer says that it is not valid
	CodeUnverifiable Code = "unverifiable"     // its issuer cannot be asked at present
	CodeUnissued     Code = "unissued"         // no log-in issued it
	CodeUnconfirmed  Code = "unconfirmed"      // no issuance yet: let through against the count
	CodeNonexistent  Code = "nonexistent"      // the customer it names does not exist
	CodeKeyRevoked   Code = "key_revoked"      // the key was revoked
	CodeKeyRetired   Code = "key_retired"      // the key was retired, and the grace is over or does not hold for it
	CodeKeyExpired   Code = "key_expired"      // the key's validity is over
	CodeKeyLeaver    Code = "key_leaver"       // somebody who could read the key has left
	CodePersonLeft   Code = "person_left"      // the person behind the principal has left
	CodeStanding     Code = "decision"         // a standing decision covers the request
	CodeBudget       Code = "budget"           // its actor has been shown as many new customers as it may
	CodeNotReady     Code = "not_ready"        // the guard is loading: the route's fail mode
	CodeNoState      Code = "ledger_gone"      // what is on record cannot be followed: the route's fail mode
	CodeOverload     Code = "overload"         // more wait than may: the route's fail mode
	CodeEscalated    Code = "door_cannot"      // the door cannot do what was decided: the next stricter thing it can
	CodeUnrecorded   Code = "record_not_kept"  // the answer's record could not be made durable
	CodeAmbiguous    Code = "ambiguous"        // it can be read as another route too: the strictest of them counts
	CodeBadRequest   Code = "request_not_read" // the door's question could not be read
)

// Reason says why. Says holds no value of a request.
type Reason struct {
	Code     Code   `json:"code"`
	Says     string `json:"says,omitempty"`
	Decision string `json:"decision,omitempty"` // the standing decision
	Finding  string `json:"finding,omitempty"`  // the finding it came from
}

// Decision is the answer to a door. Action is what the door does; Would is what it would do if nothing were in shadow mode.
type Decision struct {
	Action   Action        `json:"action"`
	Would    Action        `json:"would"`
	Shadow   bool          `json:"shadow,omitempty"`
	Reasons  []Reason      `json:"reasons"`          // the one that decided comes first
	TTL      time.Duration `json:"-"`                // how long the door may do the same for this credential and route without asking; 0: it must ask
	Retry    time.Duration `json:"-"`                // of Throttle: when to try again
	Masked   []string      `json:"masked,omitempty"` // of Mask: the fields to mask; nil: all that the route shows
	Hold     bool          `json:"hold,omitempty"`   // the answer is held until its record is durable
	Route    string        `json:"route,omitempty"`
	Identity Identity      `json:"identity"`
}

// Because gives the code that decided.
func (d Decision) Because() Code {
	if len(d.Reasons) == 0 {
		return CodeOK
	}
	return d.Reasons[0].Code
}

// Relogin reports whether a fresh log-in helps: the door answers 401 and not 403.
func (d Decision) Relogin() bool {
	if d.Action == StepUp {
		return true
	}
	if d.Action != Deny {
		return false
	}
	switch d.Because() {
	case CodeAnonymous, CodeMalformed, CodeSignature, CodeUnknownKey, CodeExpired, CodeAudience, CodeInactive, CodeUnissued,
		CodeKeyRevoked, CodeKeyRetired, CodeKeyExpired:
		return true
	}
	return false
}

// Status is the HTTP status with which a door that speaks HTTP refuses; 0: it does not refuse.
func (d Decision) Status() int {
	switch {
	case d.Action == Throttle:
		return 429
	case d.Action == Deny && d.unable():
		return 503
	case d.Relogin():
		return 401
	case d.Action == Deny:
		return 403
	}
	return 0
}

// unable reports whether the decision is a fail mode's: not the request is at fault.
func (d Decision) unable() bool {
	switch d.Because() {
	case CodeNotReady, CodeNoState, CodeOverload, CodeUnverifiable, CodeUnrecorded:
		return true
	}
	return false
}

// weigh takes a reason to act into the decision: the stricter action wins, and of equals the first.
func (d *Decision) weigh(a Action, r Reason) {
	if a > d.Would {
		d.Would = a
		d.Reasons = append([]Reason{r}, d.Reasons...)
		return
	}
	d.Reasons = append(d.Reasons, r)
}
