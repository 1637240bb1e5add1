package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// KeyPolicyAct is the kind of the act that sets what the house asks of its keys: the ledger holds the policy, so that a
// replay judges by the one that held.
const KeyPolicyAct = "key_policy"

// maxBreaches bounds the breaches remembered of a key; further ones are not raised.
const maxBreaches = 1 << 10

// setKeyPolicy takes a policy from its record. One that cannot be read, of a later version perhaps, changes nothing.
func (e *Engine) setKeyPolicy(r *whosaw.Record) {
	if p, err := reference.ParseKeyPolicy(r.Ref.Note); err == nil {
		e.policy, e.policied = p, true
		e.keyPolicy(e.keyList...)
	}
}

// keyPolicyDue judges the keys again when an hour of the log is over: a breach may be one that only time brings.
func (e *Engine) keyPolicyDue() {
	t := e.sure
	if e.policyClock > t+farAhead {
		e.policyClock = 0 // a record of keys came before any access, with a clock that nobody agrees with
	}
	if e.policied && t/hour != e.policyClock/hour && t > e.policyClock {
		e.policyClock = t
		e.keyPolicy(e.keyList...)
	}
}

// keyPolicy raises what breaks the policy by now, once for each key and breach.
func (e *Engine) keyPolicy(list ...*keyWatch) {
	if !e.policied || !e.rule[keyPolicy].on {
		return
	}
	st := &e.stats[keyPolicy]
	for _, w := range list {
		st.judged++
		for _, b := range e.ref.Breaches(w.realm, w.name, e.policy, e.policyClock) {
			if b.At > e.policyClock {
				continue
			}
			id := text(string(b.Kind)) ^ mix(text(b.Person)^uint64(b.At))
			if _, told := w.breaches[id]; told || len(w.breaches) >= maxBreaches {
				continue
			}
			if w.breaches == nil {
				w.breaches = map[uint64]struct{}{}
			}
			w.breaches[id] = struct{}{}
			st.highest = 1
			e.state(keyPolicy, "key:"+w.name, w.realm, string(b.Kind)+" "+b.Person, b.At, breachSays(w.name, b))
		}
	}
}

// state raises a finding that rests on records alone: it accuses no access, so its filter picks nothing.
func (e *Engine) state(d detector, unit, realm, what string, at int64, says string) {
	h := sha256.New()
	for _, s := range []string{detectorNames[d], unit, realm, what, strconv.FormatInt(at, 10)} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	e.stats[d].findings++
	e.findings = append(e.findings, whosaw.Finding{
		ID: hex.EncodeToString(h.Sum(nil)[:8]), Time: whosaw.Time(at), Seen: whosaw.Time(max(e.seen, at)), Detector: detectorNames[d], Unit: unit,
		Filter: whosaw.Filter{}, Statistic: 1, Threshold: 1, Says: says, Technique: e.rule[d].technique,
	})
}

func breachSays(key string, b reference.Breach) string {
	says := "Key " + quote(key) + " "
	switch b.Kind {
	case reference.TooOld:
		return says + fmt.Sprintf("has been in use since %s, longer than the policy allows: rotate it.", date(b.Since))
	case reference.HumanReader:
		return says + fmt.Sprintf("could be read by a person since %s, and the policy allows programs only: rotate it, and keep it where nobody reads it.", date(b.Since))
	case reference.NoOwner:
		return says + "has no owner on record: say who answers for it."
	case reference.OwnerLeft:
		return says + fmt.Sprintf("belongs to a person who left on %s: give it to somebody else.", date(b.Since))
	case reference.NotRotated:
		return says + fmt.Sprintf("could be read by a person who left on %s, and was not replaced in the time that the policy gives: rotate it now.", date(b.Since))
	case reference.NotDisposed:
		return says + fmt.Sprintf("was taken out of use on %s, and its material is not on record as destroyed: dispose of it.", date(b.Since))
	}
	return says + "breaks the policy."
}
