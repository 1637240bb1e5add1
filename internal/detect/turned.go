package detect

import "github.com/whosaw/whosaw"

// What the guard refused because its customer does not exist never came to be an access. It is a try all the same: without it a guard that
// refuses what a thief makes up would blind the detectors that find him by it. Its decision record, where there is one, stands for it.
const (
	turnedUse    = "request"     // one request was judged
	turnedWhy    = "nonexistent" // the customer it names does not exist
	turnedReally = "enforce"     // and it was refused: what a shadow lets through is an access
)

// turnedAway takes such a decision as an access whose subject was absent.
func (e *Engine) turnedAway(seq uint64, r *whosaw.Record) {
	if r.Ref == nil || r.Ref.Use != turnedUse || r.Ref.Of != turnedWhy || r.Ref.State != turnedReally {
		return
	}
	e.away = whosaw.Record{
		Type: whosaw.TypeAccess, ID: r.ID, Time: r.Time, Source: r.Source, Position: r.Position, Realm: r.Realm, Subjects: r.Subjects, Route: r.Route,
		Outcome: whosaw.OutcomeAbsent, Principal: r.Principal, Credential: r.Credential, Key: r.Key, Client: r.Client, IP: r.IP, Country: r.Country,
		ASN: r.ASN, Agent: r.Agent, TLS: r.TLS,
	}
	e.see(r.Time)
	v := &e.now
	e.look(v, &e.away, nil)
	v.seq = seq
	if len(v.subjects) == 0 || v.explained {
		return
	}
	e.identify(v)
	if r.ASN == 0 && r.Country == "" {
		v.ids[kindCell] = 0 // most doors do not know the origin, and without it this would be a cell that none of the honest are in
	}
	e.frontier(v)
	e.suspects(v)
	e.harvest(v)
}
