package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// describe writes what a finding says: what was seen, of how many, and what it does not prove.
func (e *Engine) describe(a *accusation, v *view) {
	switch a.d {
	case unissued:
		feed := "as far as the issuance records tell"
		if a.statistic == 1 && a.threshold == 1 {
			feed = "and the issuance feed is declared complete"
		}
		a.says = fmt.Sprintf("Someone uses credentials that were never issued, %s: %s so far, which showed the data of %s (%s). Whom the credentials claim to be is not established.",
			feed, count(a.accesses, "access", "accesses"), count(a.subjects, "customer", "customers"), where(a))
	case nonexistent:
		if a.narrow {
			a.says = fmt.Sprintf("Someone behind %s asks for customers who do not exist: %d of %d tries. Other accesses there look alike and may be honest, so only the absent ones are accused.",
				behind(a), a.hits, a.trials)
			return
		}
		a.says = fmt.Sprintf("Someone behind %s tries customer ids: %d of %d did not exist, where honest traffic to these routes stays under %s; the tries showed the data of %s.",
			behind(a), a.hits, a.trials, percent(e.stratum(v, &e.rule[nonexistent].envelope, 0).rateNow().p0), count(a.subjects, "customer", "customers"))
	case traversal:
		order := "ascending"
		if a.descending {
			order = "descending"
		}
		tail := "A nightly job in order of the ids looks the same, unless a reason record of kind job explains it."
		if a.narrow {
			tail = "Other accesses there are not in order, so only these customers are accused. " + tail
		}
		a.says = fmt.Sprintf("Someone behind %s opens customers in %s order of their numbers: %d of %d steps between neighbours; the data of %s was shown. %s",
			behind(a), order, a.hits, a.trials, count(a.subjects, "customer", "customers"), tail)
	case unexplained:
		if v.house == 0 {
			a.says = curiousSays(a)
		} else {
			e.describeUnexplained(a, v)
		}
	case volume:
		a.says = volumeSays(a, v)
	case fieldDrift:
		if ofParty(a) {
			a.says = partySays(a, v)
			return
		}
		a.says = fmt.Sprintf("%s began to show the field %s, which its catalog does not list. If it is meant to, add it to the catalog, or declare the change; if not, the page shows too much.",
			quote(v.r.Route), quote(a.term.Field[0]))
	case refused:
		a.says = refusedSays(a, v)
	case dormant:
		a.says = dormantSays(a)
	case stranger:
		a.says = strangerSays(a)
	case monotone:
		a.says = monotoneSays(a)
	case spreader, budget:
		a.says = spreadSays(a)
	case canary:
		a.says = "A planted customer, whom nobody has a reason to open, was opened " + canaryBy(a, v)
	}
}

func canaryBy(a *accusation, v *view) string {
	switch {
	case a.term.Issued != nil:
		return fmt.Sprintf("with a credential that was never issued (%s). Whom the credential claims to be is not established.", where(a))
	case a.narrow:
		return fmt.Sprintf("from %s, which opens many others too: only this opening is accused.", behind(a))
	case a.kind == kindPrincipal:
		return fmt.Sprintf("by someone claiming to be %s; nothing explains what else they opened.", quote(v.r.Principal))
	}
	return fmt.Sprintf("from %s; nothing explains what else was opened from there.", behind(a))
}

func (e *Engine) describeKey(a *accusation, v *view, ended ending) {
	s := e.ref.Key(v.r.Realm, v.r.Key, v.r.Time)
	what := "was revoked on " + date(s.Since)
	switch ended {
	case keyRetired:
		what = "was retired on " + date(s.Since)
	case keyExpired:
		what = "was valid until " + date(s.Until)
	}
	tail := ""
	switch {
	case ended != keyRetired:
	case a.term.Issued != nil:
		tail = " The credentials accused were never issued."
	default:
		tail = " Whether the credentials were given out before that is not known."
		if v.issued {
			tail = " The credentials accused were given out after that."
		}
	}
	a.says = fmt.Sprintf("Key %s %s, yet credentials signed with it are accepted: %s so far, which showed the data of %s.%s",
		quote(v.r.Key), what, count(a.accesses, "access", "accesses"), count(a.subjects, "customer", "customers"), tail)
}

func (e *Engine) describeLeaver(a *accusation, v *view, left int64) {
	a.says = fmt.Sprintf("A person who could read key %s left on %s, the key is still accepted, and someone uses it to sign credentials that were never issued: %s so far. That it was this person is not established.",
		quote(v.r.Key), date(left), count(a.accesses, "access", "accesses"))
}

func where(a *accusation) string {
	if a.kind == kindKey {
		return "signed with " + behind(a)
	}
	return behind(a)
}

// behind names the unit so that nothing in it can draw on a terminal.
func behind(a *accusation) string {
	kind, value, _ := strings.Cut(a.unit, ":")
	return kind + " " + quote(value)
}

func quote(s string) string { return strconv.Quote(s) }

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

func percent(p float64) string { return strconv.FormatFloat(100*p, 'g', 3, 64) + " %" }

func date(t int64) string { return time.UnixMilli(t).UTC().Format(time.DateOnly) }
