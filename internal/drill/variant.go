package drill

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

// variant is the visitor's log with members made up that it lacks.
type variant struct {
	with    string   // what is added, in words
	members []string // that are made up
	subject, credential, issuance, key,
	canary, complete bool
}

// variants lists what is measured: the log as it is, then each thing that it lacks and that can be made up, then all of them.
func (p *profile) variants() []variant {
	list := []variant{{}}
	all := variant{with: "all of these"}
	add := func(v variant) {
		list = append(list, v)
		all.subject, all.credential, all.issuance = all.subject || v.subject, all.credential || v.credential, all.issuance || v.issuance
		all.key, all.canary = all.key || v.key, all.canary || v.canary
	}
	if !p.has.subject {
		add(variant{with: "subject", members: []string{"subject"}, subject: true})
	}
	switch {
	case !p.has.credential && !p.has.key:
		add(variant{with: "credential and key, with issuance records", members: []string{"credential", "key"}, credential: true, issuance: true, key: true})
	case !p.has.credential:
		add(variant{with: "credential, with issuance records", members: []string{"credential"}, credential: true, issuance: true})
	case p.issuances == 0:
		add(variant{with: "issuance records", issuance: true})
	}
	if !p.has.key && p.has.credential {
		add(variant{with: "key, with issuance records", members: []string{"key"}, key: true, issuance: p.issuances == 0})
	}
	if !p.has.canary && !p.textIDs() {
		v := variant{with: "planted customers, one in 100", canary: true, subject: !p.has.subject}
		if v.subject {
			v.with = "subject, and " + v.with
		}
		add(v)
	}
	if len(list) > 2 {
		list = append(list, all)
	}
	if p.issuances > 0 && !p.feedDeclared {
		list = append(list, variant{with: "the issuance feed declared complete", complete: true})
	}
	return list
}

// assumptions says what was taken for true to make the members up.
func (v *variant) assumptions(mute bool) []string {
	var out []string
	if v.subject {
		pages := "every page that was answered was taken"
		if mute {
			pages = "pages that by the catalog show a customer's data were taken"
		}
		out = append(out, "subject: "+pages+" to show the visitor's own, and each visitor (who they claim to be, else address and agent) for one "+
			"customer; pages not found were taken for customers not found.")
	}
	if v.credential || v.issuance {
		out = append(out, "credential: each visitor was given one session a day, logged when it began. Where log-ins are lost or late, more is needed.")
	}
	if v.canary {
		out = append(out, "planted customers: one in 100 of the numbers that nobody asked for. Search results and exports must not list them.")
	}
	return out
}

// maker applies a variant to records in order.
type maker struct {
	*profile
	variant
	given map[string]bool // credentials with an issuance
}

// opening gives the records that come before all others.
func (m *maker) opening() []whosaw.Record {
	var out []whosaw.Record
	if m.complete {
		out = append(out, whosaw.Record{
			Type: whosaw.TypeFeed, ID: "drill-feed", Time: m.from, Source: honestSource,
			Ref: &whosaw.Reference{Of: "issuance", From: m.from, HasLost: true},
		})
	}
	if !m.canary {
		return out
	}
	for n := uint64(1); n <= min(m.top(), 1<<24); n++ {
		if m.planted(n) {
			out = append(out, whosaw.Record{
				Type: whosaw.TypeSubject, ID: "drill-canary-" + strconv.FormatUint(n, 10), Time: m.from, Source: honestSource,
				Subjects: []string{strconv.FormatUint(n, 10)}, Ref: &whosaw.Reference{State: "canary", Since: m.from},
			})
		}
	}
	return out
}

// honest completes a record of the log; issued, if ok, comes before it.
func (m *maker) honest(r *whosaw.Record) (issued whosaw.Record, ok bool) {
	if r.Type != whosaw.TypeAccess {
		return issued, false
	}
	subject, outcome := m.look(r)
	own := subject
	if m.subject || m.issuance {
		if claimed, is := strings.CutPrefix(r.Principal, customerPrefix); is {
			own = claimed
		} else if own == "" || r.Principal != "" {
			own = m.own(visitorOf(r))
		}
	}
	if m.subject && subject == "" && (m.mute.seen == 0 || m.silent(r, "") || outcome == whosaw.OutcomeAbsent) {
		switch {
		case r.Status/100 == 2 || r.Status == 0:
			r.Subjects, r.Outcome = []string{own}, whosaw.OutcomeDisclosed
		case outcome == whosaw.OutcomeAbsent:
			r.Subjects, r.Outcome = []string{own}, whosaw.OutcomeAbsent
		}
	}
	if m.credential && r.Credential == "" {
		r.Credential = fmt.Sprintf("s-%012x-%d", visitorOf(r)>>16, r.Time/(24*time.Hour.Milliseconds()))
	}
	if m.key && r.Key == "" {
		r.Key = madeKey
	}
	if !m.issuance || r.Credential == "" || m.given[r.Credential] {
		return issued, false
	}
	m.given[strings.Clone(r.Credential)] = true
	issued = whosaw.Record{
		Type: whosaw.TypeIssuance, ID: "drill-issued-" + r.Credential, Time: r.Time, Source: honestSource, Realm: r.Realm,
		Credential: r.Credential, Key: r.Key, Principal: r.Principal, Ref: &whosaw.Reference{},
	}
	if r.Principal == "" {
		issued.Subjects = []string{own}
	}
	return issued, true
}

// madeKey is the key that signs everybody's credentials where the log names none.
const madeKey = "main"

// attack writes an access of the attack down as this log would have it.
func (m *maker) attack(i int, w *woven) (r whosaw.Record, exists bool) {
	r = *w.template
	r.ID, r.Position, r.Time = "drill-"+strconv.Itoa(i), int64(i), w.time
	r.IP, r.Country, r.ASN, r.Agent, r.TLS = w.from.IP, w.from.Country, w.from.ASN, w.from.Agent, w.from.TLS
	r.Request, r.Bytes, r.Reason = "", 0, ""
	exists = w.exists || m.canary && w.number != 0 && m.planted(w.number)
	if len(r.Subjects) > 0 || m.subject {
		r.Subjects = []string{w.subject}
	}
	if m.subject && !m.has.subject {
		r.Outcome = whosaw.OutcomeDisclosed
	}
	if w.forged != 0 {
		if strings.HasPrefix(r.Principal, customerPrefix) {
			r.Principal = customerPrefix + w.subject
		}
		if r.Credential != "" || m.credential {
			r.Credential = fmt.Sprintf("f-%012x", w.forged>>16)
		}
		if r.Key != "" {
			r.Key = m.mainKey()
		}
	} else if m.credential && r.Credential == "" {
		r.Credential = fmt.Sprintf("s-%012x-%d", visitorOf(&r)>>16, w.template.Time/(24*time.Hour.Milliseconds()))
	}
	if m.key && r.Key == "" {
		r.Key = madeKey
	}
	if !exists {
		r.Status = 404
		if r.Fields != nil {
			r.Fields = []string{}
		}
		if r.Masked != nil {
			r.Masked = []string{}
		}
		if r.Outcome != whosaw.OutcomeUnstated {
			r.Outcome = whosaw.OutcomeAbsent
		}
	}
	return r, exists
}
