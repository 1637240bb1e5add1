package detect

import (
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// view is what the detectors need of one access: as the source stated it, completed by the catalog and by what the
// reference records said up to this record.
type view struct {
	r         *whosaw.Record
	seq       uint64
	count     uint64 // of the views, to tell accesses apart
	day       int32  // of the event time, as far as its clock can be right
	at        int64  // event time, no later than the clock
	on        int32  // day of that
	realm     uint64
	outcome   whosaw.Outcome
	subjects  []string
	one       [1]string
	issued    bool
	explained bool    // by a reason, an own session, a household
	own       bool    // it claims to be the very customer it opens
	principal string  // whom the access is by, as far as is known; only if it names subjects
	house     uint64  // the class of a principal who is no customer: staff, partners, programs; 0: a customer, or nobody
	counted   *uint32 // if it is issued: see knownSet

	issuedToday bool // it is the first use on its day of a credential that was issued

	net    uint64 // class of the network it comes from
	placed bool   // that is known: see netClass

	expected *expected // what was worked out before; nil if nothing was
	identity           // filled in by identify
	units    [nKinds]*unit
	route    uint64         // hash of the route
	rt       *catalog.Route // nil if no catalog knows the route
}

// identity is what an access's units are.
type identity struct {
	named       bool // the members below are filled in
	ids         [nKinds]uint64
	key, client uint64
	print       uint64 // of agent class and TLS fingerprint; 0: none
	class       agentClass
}

func (v *view) opened() bool {
	return v.outcome == whosaw.OutcomeDisclosed || v.outcome == whosaw.OutcomeAbsent
}

const customerPrefix = "customer:"

// look fills the view of an access.
func (e *Engine) look(v *view, r *whosaw.Record, x *expected) {
	e.views++
	*v = view{r: r, count: e.views, day: dayOf(e.around(r.Time)), at: e.until(r.Time), expected: x}
	v.on = dayOf(v.at)
	v.realm = text(r.Realm)
	known := e.routes.get(e.cat, r)
	rt := known.rt
	v.rt, v.route = rt, known.hash
	v.subjects = r.Subjects
	if len(v.subjects) == 0 && rt != nil && rt.Join != catalog.JoinNone {
		if s, ok := e.joined(rt, r); ok {
			v.one[0] = s
			v.subjects = v.one[:]
		}
	}
	v.outcome = known.outcome(r, len(v.subjects) > 0)
	v.issued = e.known.sets != nil && r.Credential != "" && e.issued(v)
	if len(v.subjects) == 0 {
		return
	}
	principal := e.ref.Claimant(r.Realm, r.Credential, r.Principal, v.issued)
	if principal == "" {
		return
	}
	v.principal = principal
	if claimed, ok := strings.CutPrefix(principal, customerPrefix); !ok {
		v.house = classOf(principal)
	} else if len(v.subjects) == 1 {
		v.own = claimed == v.subjects[0]
	}
	v.explained = true
	for _, s := range v.subjects {
		if v.own && v.issued {
			break // the customer's own issued session
		}
		if !e.ref.Explained(r.Realm, principal, s, r.Time, v.issued) {
			v.explained = false
			break
		}
	}
}

// issued asks the reference records whether the credential was issued, and remembers a yes.
func (e *Engine) issued(v *view) bool {
	r := v.r
	h := uint64(0)
	if v.expected != nil {
		h = v.expected.hash
	}
	if h == 0 {
		h = e.known.hash(r)
	}
	if v.counted = e.known.find(h); v.counted != nil {
		return true
	}
	if !e.ref.Issued(r.Realm, r.Credential, r.Key, r.Principal) {
		if _, forgotten := e.ref.Forgotten(r.Realm); !forgotten || !e.archive.Agrees(r.Realm, r.Credential, r.Key, r.Principal) {
			return false
		}
	}
	v.counted = e.known.put(h)
	return true
}

// joined gives the subject of a route that finds it through the principal or the credential.
func (e *Engine) joined(rt *catalog.Route, r *whosaw.Record) (string, bool) {
	if s, ok := rt.Join.Claimed(r.Principal); ok {
		return s, true
	}
	if r.Credential != "" && rt.Join.Issued(r.Principal) {
		return e.ref.SubjectOf(r.Realm, r.Credential)
	}
	return "", false
}

// identify fills in the access's units. Most accesses are explained and meet no suspicion, and need none.
func (e *Engine) identify(v *view) {
	switch {
	case v.named:
	case v.expected != nil && v.expected.named:
		v.identity = v.expected.identity
	default:
		e.name(&v.identity, v.r, v.realm)
	}
}

func (e *Engine) name(x *identity, r *whosaw.Record, realm uint64) {
	*x = identity{named: true, key: e.texts.key.of(r.Key), client: e.texts.client.of(r.Client)}
	if r.Agent != "" {
		x.class = e.agents.class(r.Agent)
	}
	if r.TLS != "" {
		x.print = mix(x.class.hash^text(r.TLS)) | 1
	}
	if x.key != 0 {
		x.ids[kindKey] = unitID(kindKey, realm, x.key)
	}
	if x.client != 0 {
		x.ids[kindClient] = unitID(kindClient, realm, x.client)
	}
	if r.Principal != "" {
		x.ids[kindPrincipal] = unitID(kindPrincipal, realm, text(r.Principal))
	}
	if r.Credential != "" {
		x.ids[kindCredential] = unitID(kindCredential, realm, text(r.Credential))
	}
	if r.IP.IsValid() {
		ip, network := address(r.IP.Unmap())
		x.ids[kindIP] = unitID(kindIP, realm, ip)
		x.ids[kindNetwork] = unitID(kindNetwork, realm, network)
	}
	// A cell needs something of its origin: the key alone is a unit of its own.
	origin := uint64(r.ASN)
	if origin == 0 && r.Country != "" {
		origin = text(r.Country)
	}
	if origin != 0 || x.class.hash != 0 {
		x.ids[kindCell] = unitID(kindCell, realm, mix(mix(x.key+1)^origin)^x.class.hash)
	}
}

// idOf gives one unit's id. A house has one or two keys and clients, so theirs are asked for all the time.
func (e *Engine) idOf(v *view, k kind) uint64 {
	if !v.named {
		switch k {
		case kindKey:
			return unitID(kindKey, v.realm, e.texts.key.of(v.r.Key))
		case kindClient:
			return unitID(kindClient, v.realm, e.texts.client.of(v.r.Client))
		}
		e.identify(v)
	}
	return v.ids[k]
}

// entry is the access as evidence, with one of its subjects or 0.
func (v *view) entry(s subject) entry {
	en := entry{
		time: v.r.Time, subject: s, key: uint32(v.key), client: uint32(v.client), class: uint32(v.class.hash),
		credential: uint32(v.ids[kindCredential]), network: uint32(v.ids[kindNetwork]), print: uint32(v.print),
	}
	if v.opened() {
		en.flags |= entOpened
	}
	if v.outcome == whosaw.OutcomeDisclosed {
		en.flags |= entDisclosed
	}
	if v.issued {
		en.flags |= entIssued
	}
	return en
}

// cellName is the cell as a finding's unit.
func (v *view) cellName() string {
	var parts []string
	if v.r.Key != "" {
		parts = append(parts, "key="+v.r.Key)
	}
	if v.r.ASN != 0 {
		parts = append(parts, "asn="+strconv.FormatUint(uint64(v.r.ASN), 10))
	} else if v.r.Country != "" {
		parts = append(parts, "country="+v.r.Country)
	}
	if v.class.name != "" {
		parts = append(parts, "agent_class="+v.class.name)
	}
	return strings.Join(parts, " ")
}
