package detect

import (
	"fmt"
	"strings"
)

// strangerClass keeps its rates apart from those of other questions.
const strangerClass = 4

// strangers is what is known of how often honest customers come from where they never came from.
type strangers struct {
	network, device *stratum
	w               weights // of both
	last            float64 // p0 of the device that they were made with
}

// steps joins the steps of the two questions.
func (x *strangers) steps(e *Engine) *weights {
	network, device := x.network.netNow(), x.device.netNow()
	if x.w.p0 == network.p0 && x.last == device.p0 {
		return &x.w
	}
	x.w, x.last = *network, device.p0
	for j := range x.network.bank.n {
		if e.strangeDevice>>j&1 == 1 {
			x.w.up[j], x.w.down[j] = device.up[j], device.down[j]
		}
	}
	x.w.use = network.use&e.strangeNetwork | device.use&e.strangeDevice
	return &x.w
}

// tryStranger asks of a session that claims to be the customer it opens, and that no log-in vouches for, whether this customer ever
// came from this network, and with this class of agent: of customers who came on three days at least, once a day.
func (e *Engine) tryStranger(v *view, name string, en *entry) {
	st := &e.stats[stranger]
	valid, hits, why := e.comesFrom(v, en.subject)
	if valid != 0 {
		st.judged++
		st.trials++
	} else if why != nWhy {
		st.skip(why)
	}
	w := e.strangersOf(v).steps(e)
	e.ask(stranger, v, name, en, w, w, valid, hits)
}

// comesFrom remembers from where, and with what, a customer comes, and gives the answers: which tests it is a trial of, which hit. why
// says what is in the way, nWhy that the customer was there today.
func (e *Engine) comesFrom(v *view, s subject) (valid, hits uint8, why why) {
	who, before := e.metOn(historyID(metVisits, v.realm, s, 0), v.on)
	if who == nil {
		return 0, 0, whyHistoryFull
	}
	why = nWhy
	visits := 0
	if fresh := before && sinceDay(who, v.on) > 0; fresh || !before {
		why = whyNoHistory
		if fresh {
			visits = tally(who)
			meet(who, v.on)
		}
	}
	x := e.strangersOf(v)
	judges := visits >= e.knobs.enoughVisits && e.clock-e.began >= e.knobs.warmUp
	if judges && e.changed(v.realm, v.r.Time, movesDevices) {
		judges, why = false, whyChange
	}
	for i, q := range [2]*stratum{x.network, x.device} {
		tests, what, from := e.strangeNetwork, metNetwork, v.ids[kindNetwork]
		if i == 1 {
			tests, what, from = e.strangeDevice, metDevice, v.class.hash
		}
		if from == 0 {
			continue
		}
		place, known := e.metOn(historyID(what, v.realm, s, from), v.on)
		if place == nil {
			return 0, 0, whyHistoryFull
		}
		if known && sinceDay(place, v.on) > 0 {
			meet(place, v.on)
		}
		if !judges {
			continue
		}
		e.learn(q, v.ids[kindNetwork], !known)
		switch {
		case q.enough < q.units:
			why = whyNoWakes
		case q.netNow().p0 > q.ceiling:
			q.tooMany()
			why = whyManyStrangers
		default:
			valid |= tests
			if !known {
				hits |= tests
			}
		}
	}
	return valid, hits, why
}

// familiar learns from a session that a log-in vouches for.
func (e *Engine) familiar(v *view) {
	if name, ok := strings.CutPrefix(v.r.Principal, customerPrefix); ok {
		e.comesFrom(v, subjectOf(name))
	}
}

// strangersOf gives the realm's rates.
func (e *Engine) strangersOf(v *view) *strangers {
	x := &e.realm(v.realm, v.r.Realm).strangers
	if x.network == nil {
		x.network = e.rateOf(v, strangerClass, &e.rule[stranger].envelope, func(*view) string { return "any route, by network" })
		x.device = e.rateOf(v, strangerClass+1, &e.rule[stranger].envelope, func(*view) string { return "any route, by device" })
	}
	x.network.net = e.netClass(v)
	x.device.net = x.network.net
	if e.probing() {
		e.probe.rates[stranger] = e.rateName(x.network)
	}
	return x
}

func strangerSays(a *accusation) string {
	tail := ""
	if a.narrow {
		tail = " Others come from there as usual, so only these customers are accused."
	}
	return fmt.Sprintf("Customers who have come before are opened from behind %s, where, or with a device with which, they never came: %d of %d, where one in ten is usual.%s",
		behind(a), a.hits, max(a.trials, a.hits), tail)
}
