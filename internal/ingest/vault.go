package ingest

import (
	"net/netip"
	"strings"

	"github.com/whosaw/whosaw"
)

// The members of an entry of a Vault or OpenBao audit device that are read, by slot.
const (
	vaTime = iota
	vaType
	vaError
	vaID
	vaOperation
	vaPath
	vaNamespace
	vaMountType
	vaIP
	vaForwarded
	vaDisplay
	vaEntity
	vaUser
	vaAccessor
	vaTokenType
	vaSlots
)

var vaultNames = [vaSlots]string{
	"time", "type", "error", "request.id", "request.operation", "request.path", "request.namespace.path", "request.mount_type", "request.remote_address",
	"request.headers.x-forwarded-for.0", "auth.display_name", "auth.entity_id", "auth.metadata.username", "auth.accessor", "auth.token_type",
}

var vaultTree = func() *path {
	var p path
	for slot, name := range vaultNames {
		p.add(name, slot)
	}
	return &p
}()

// A vaultParser reads the audit log of Vault and OpenBao. Each operation has two entries: the request, which says what was asked, and
// the response, which says that it was done.
type vaultParser struct {
	keys *keyPlaces
	vals [vaSlots]value
}

func (p *vaultParser) text(slot int) string {
	s, _ := p.vals[slot].text()
	return s
}

func (p *vaultParser) parse(line string, now int64, r *whosaw.Record) error {
	clear(p.vals[:])
	if twice, err := capture(line, vaultTree, p.vals[:]); err != nil {
		return err.fault()
	} else if twice >= 0 {
		return fault(vaultNames[twice], "is there twice", "a JSON object must have each member once")
	}
	kind, operation := p.text(vaType), p.text(vaOperation)
	if kind != "request" && kind != "response" || operation == "" {
		return fault("", "no entry of an audit device: type is not request or response, or request.operation is missing", "such lines are not from an audit device of Vault or OpenBao; leave them out")
	}
	ms, ok := parseRFC3339(p.text(vaTime))
	if !ok {
		return fault("time", "is missing or cannot be read", "Vault writes it as 2006-01-02T15:04:05.999999999Z")
	}
	who, person := p.who()
	r.ID, r.Time, r.Request = p.text(vaID), ms, p.text(vaID)
	r.Principal, r.Credential = who, p.text(vaAccessor)
	for _, slot := range []int{vaForwarded, vaIP} {
		if a, err := netip.ParseAddr(p.text(slot)); err == nil && (slot == vaIP || !r.IP.IsValid()) {
			r.IP = plain(a)
			break
		}
	}
	mount := clean(p.text(vaMountType))
	if mount == "" {
		mount = "(unknown)"
	}
	r.Route = "vault:" + clean(operation) + " " + mount
	if kind == "request" {
		if r.ID != "" {
			r.ID += "/request"
		}
		r.Route = "vault:request"
		r.Outcome = whosaw.OutcomeNone
		return r.Validate(now)
	}
	r.Status = 200
	if text := p.text(vaError); text != "" {
		r.Status = vaultStatus(text)
		return r.Validate(now)
	}
	if k, did := p.touched(operation); k != nil && tells(did, person) {
		keyRecord(r, k, did, person)
	}
	return r.Validate(now)
}

// vaultStatus gives the HTTP status that goes with an error.
func vaultStatus(text string) int {
	switch {
	case strings.Contains(text, "permission denied"), strings.Contains(text, "invalid token"), strings.Contains(text, "bad token"):
		return 403
	case strings.Contains(text, "no handler for route"), strings.Contains(text, "unsupported path"), strings.Contains(text, "not found"):
		return 404
	}
	return 400
}

// touched says which key the path of a request is about, and what was done to it: "" if the material was neither shown nor used
// nor changed.
func (p *vaultParser) touched(operation string) (*KeyPlace, string) {
	if p.keys == nil || len(p.keys.vault) == 0 {
		return nil, ""
	}
	path := strings.Trim(p.text(vaNamespace), "/") + "/" + strings.Trim(p.text(vaPath), "/")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if k := p.keys.vault[strings.Join(parts, "/")]; k != nil && p.text(vaMountType) != "transit" {
		return k, secretDeed(operation)
	}
	// A secret of version 2 has its deeds beside data: secret/metadata/PATH, secret/destroy/PATH.
	for i, part := range parts {
		if did := map[string]string{"destroy": keyDisposed, "metadata": keyDisposed}[part]; did != "" && i > 0 {
			at := append(append(append([]string{}, parts[:i]...), "data"), parts[i+1:]...)
			if k := p.keys.vault[strings.Join(at, "/")]; k != nil {
				if part == "metadata" && operation != "delete" {
					did = ""
				}
				return k, did
			}
		}
	}
	return p.transit(parts, operation)
}

// secretDeed is what an operation on the path of a secret does to the key that is kept there.
func secretDeed(operation string) string {
	switch operation {
	case "read":
		return keyRead
	case "create", "update", "patch":
		return keyRotated
	case "delete":
		return keyDisposed
	}
	return ""
}

// transitDeeds are the functions of the transit engine that show, use or copy a key: MOUNT/FUNCTION/…NAME….
var transitDeeds = map[string]string{
	"export": keyExported, "byok-export": keyExported, "backup": keyExported, "sign": keyUsed, "hmac": keyUsed, "decrypt": keyUsed, "rewrap": keyUsed,
	"datakey": keyUsed,
}

func (p *vaultParser) transit(parts []string, operation string) (*KeyPlace, string) {
	for i := 1; i+1 < len(parts); i++ {
		name, did := parts[i+1], transitDeeds[parts[i]]
		if (parts[i] == "export" || parts[i] == "byok-export" || parts[i] == "datakey") && i+2 < len(parts) {
			name = parts[i+2] // export/TYPE/NAME, datakey/plaintext/NAME, byok-export/DESTINATION/SOURCE
		}
		if parts[i] == "keys" {
			rest := strings.Join(parts[i+2:], "/")
			switch {
			case rest == "rotate":
				did = keyRotated
			case rest == "" && operation == "delete":
				did = keyDisposed
			case rest == "" && (operation == "create" || operation == "update"):
				did = keyCreated
			}
		}
		if did == "" {
			continue
		}
		if k := p.keys.vault[strings.Join(parts[:i], "/")+"/keys/"+name]; k != nil {
			return k, did
		}
	}
	return nil, ""
}

// machines are the log-in methods that programs use; people are the ones that people use. Vault puts the method before the name: ldap-kim.
var (
	machines = []string{"approle", "kubernetes", "aws", "gcp", "azure", "alicloud", "oci", "cf", "spiffe"}
	people   = []string{"ldap", "userpass", "oidc", "okta", "github", "saml", "radius", "kerberos", "token", "jwt", "cert"}
)

// who says who the entry names: as a principal, and as a reader of keys is named. What is not known to be a program is a person.
func (p *vaultParser) who() (principal, reader string) {
	display, user := clean(p.text(vaDisplay)), clean(p.text(vaUser))
	if known := p.keys.person(display, user, p.text(vaEntity)); known != "" {
		if strings.HasPrefix(known, servicePrefix) {
			return known, known
		}
		return "staff:" + known, known
	}
	method, name, _ := strings.Cut(display, "-")
	for _, m := range machines {
		if method == m {
			return servicePrefix + display, servicePrefix + display
		}
	}
	if user == "" {
		user = display
		for _, m := range people {
			if method == m && name != "" {
				user = name
			}
		}
	}
	if user == "" {
		if user = p.text(vaEntity); user == "" {
			return "", ""
		}
	}
	return "staff:" + user, user
}
