package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Examine says what the view's records can and cannot answer. silent are the silent stretches, as the
// scope of everything has them.
func Examine(ctx context.Context, view *ledger.View, cat *catalog.Catalog, states []detect.Status, silent []whosaw.Gap) (whosaw.DoctorAnswer, error) {
	t, err := count(ctx, view, cat)
	if err != nil {
		return whosaw.DoctorAnswer{}, err
	}
	answer := whosaw.DoctorAnswer{
		Accesses:  t.accesses,
		Shares:    t.shares(),
		Detectors: []whosaw.DetectorState{},
		Silent:    slices.Clone(silent),
		Add:       t.advice(),
		Says:      t.says(cat),
	}
	if answer.Silent == nil {
		answer.Silent = []whosaw.Gap{}
	}
	for i := range states {
		answer.Detectors = append(answer.Detectors, t.state(&states[i]))
		if n := states[i].Waiting; n > 0 {
			answer.Says = append(answer.Says, figure.Of(n, "access", "accesses")+" at the end of these records used credentials without an issuance so far. "+
				"It may still come, so they are not judged yet: read on when the log has grown.")
		}
		for _, l := range states[i].Leavers {
			answer.Says = append(answer.Says, fmt.Sprintf("Key %s could be read by somebody who left on %s and is still accepted (%s since): replace it.",
				l.Key, l.Since.String()[:len("2006-01-02")], figure.Of(l.Accesses, "access", "accesses")))
		}
	}
	return answer, nil
}

func share(n, of int64, says string) whosaw.Share {
	s := whosaw.Share{Count: n, Of: of, Says: says}
	if of > 0 {
		s.Share = float64(n) / float64(of)
	}
	return s
}

func (t *tally) shares() map[string]whosaw.Share {
	var from []string
	if t.named > 0 {
		from = append(from, figure.Int(t.named)+" named in the log")
	}
	if t.claimed > 0 {
		from = append(from, figure.Int(t.claimed)+" claimed by the credential")
	}
	if t.joined > 0 {
		from = append(from, figure.Int(t.joined)+" joined through the credential")
	}
	return map[string]whosaw.Share{
		"subject":    share(t.subject, t.accesses, strings.Join(from, ", ")),
		"credential": share(t.credential, t.accesses, ""),
		"key":        share(t.key, t.accesses, ""),
		"principal":  share(t.principal, t.accesses, ""),
		"origin":     share(t.ip, t.accesses, ""),
		"agent":      share(t.agent, t.accesses, ""),
		"fields":     share(t.fields, t.accesses, ""),
		"route":      share(t.route, t.accesses, ""),
	}
}

// state turns a detector's account into yes, partly or no. A detector that judged and stayed silent is not blind.
func (t *tally) state(d *detect.Status) whosaw.DetectorState {
	s := whosaw.DetectorState{Detector: d.Detector, Trials: d.Trials, Judges: "yes"}
	if d.Off != "" {
		s.Judges, s.Says = "no", "its rule is off: "+d.Off
		return s
	}
	var why []string
	var unjudged int64
	for _, n := range d.NotJudged {
		unjudged += n.Count
		why = append(why, figure.Int(n.Count)+" not judged: "+n.Why)
	}
	if d.Bare > 0 && t.showsBare > 0 {
		unjudged += t.showsBare
		why = append(why, figure.Int(t.showsBare)+" that may have shown something name no credential")
	}
	if t.named > 0 && asksWhose(d.Detector) && t.shows > t.showsWhom {
		unjudged += t.shows - t.showsWhom
		why = append(why, figure.Int(t.shows-t.showsWhom)+" that may have shown something do not say whose")
	}
	switch {
	case d.Detector == "traversal" && d.Trials == 0 && t.subject > 0 && len(d.NotJudged) == 0:
		why = []string{"no two customers with neighbouring numbers were opened so far"}
	case d.Detector == "spreader" && d.Judged == 0 && t.principal > 0:
		why = []string{"staff, partners and programs opened nobody without a reason so far"}
	case d.Detector == "volume" && d.Trials == 0 && t.subject > 0:
		why = []string{"too few customers were shown so far"}
	case d.Detector == "monotone" && d.Judged == 0 && t.issuances > 0 && len(d.NotJudged) == 0:
		why = []string{"log-ins vouch for the sessions, so it has nothing to ask"}
	case d.Detector == "unexplained" && d.Judged == 0 && t.principal > 0 && len(d.NotJudged) == 0:
		why = []string{"nobody but customers opened anything so far"}
	case d.Judged == 0 && d.Trials == 0:
		s.Judges = "no"
		why = []string{t.blind(d.Detector)}
	case 20*unjudged > t.couldJudge(d.Detector, d.Judged+unjudged):
		s.Judges = "partly"
	default:
		why = nil // a few in a hundred: not worth a sentence
	}
	for _, route := range d.Strata {
		says := "too much of what is asked for there does not exist"
		switch d.Detector {
		case "refused":
			says = "too many honest log-ins are refused there"
		case "unexplained":
			says = "too much of what is opened there has no reason on record"
		case "dormant":
			says = "dormant customers are opened there as a rule"
		case "monotone":
			says = "sessions there show nothing but data as a rule"
		case "stranger":
			says = "customers come from new places there as a rule"
		}
		on := route.Route
		if route.Networks != "" {
			on += " for networks of class " + route.Networks
		}
		why = append(why, "not judged on "+on+": "+says)
	}
	s.Says = strings.Join(why, "; ")
	return s
}

// couldJudge is how many accesses a detector could judge in a log that says everything: those that
// name a customer, or carry a credential, or those it was asked about.
func (t *tally) couldJudge(detector string, asked int64) int64 {
	switch detector {
	case "unexplained", "spreader", "refused", "dormant", "stranger", "monotone", "volume":
		return asked
	case "unissued", "key_state":
		return t.credential + t.showsBare
	}
	return t.subject + t.shows - t.showsWhom
}

// asksWhose reports whether a detector judges by the customer whose data was asked for.
func asksWhose(detector string) bool {
	return detector != "unissued" && detector != "key_state" && detector != "refused" && detector != "key_policy" && detector != "offboarded"
}

// blind says what a detector that judged nothing would need.
func (t *tally) blind(detector string) string {
	switch detector {
	case "unissued":
		switch {
		case t.credential == 0:
			return "no access names its credential"
		case t.issuances == 0:
			return "nobody reports which credentials log-ins issued: send issuance records, or name the log-in route in the catalog"
		}
		return "no issuance covers the credentials that were used"
	case "nonexistent":
		return "no access names the customer it asks for, so nobody can say whether that customer exists"
	case "traversal":
		return "no access names a customer by number"
	case "field_drift":
		return "no access says which fields it showed on a route that the catalog knows"
	case "refused":
		return "no log-in without a credential was refused (401, 403) so far, or log-ins name no address"
	case "dormant":
		return "nobody's log-ins are on record for long enough, and no subject record says when customers logged in last (last_login): send subject or issuance records"
	case "stranger":
		return "no customer has come often enough yet (on three days, in a log of two weeks), or accesses name neither principal nor credential"
	case "monotone":
		return "no session of a customer shows pages with and without data: log the credential of every page, also of those that show no data"
	case "volume":
		return "no access shows a customer"
	case "spreader":
		return "no access names its principal"
	case "budget":
		return "no access shows a customer"
	case "unexplained":
		switch {
		case t.principal == 0:
			return "no access names its principal"
		case t.reasons == 0:
			return "nobody records why staff, partners and programs open customers: send reason records"
		}
		return "the reasons recorded explain too few of the openings by staff, partners and programs"
	case "canary":
		if t.canaries == 0 {
			return "no customers are planted: add subject records with state canary"
		}
		return "no access names a subject"
	case "key_policy":
		return "no record names a signing key"
	case "offboarded":
		return "nothing that a person who has left could use was met"
	case "key_state":
		switch {
		case t.key == 0:
			return "no access names the key that signed its credential"
		case t.keys == 0:
			return "nobody reports the keys' states: send key and person records"
		}
		return "no record says anything about the keys that were used"
	}
	return "it had nothing to judge"
}

// advice lists the members that most accesses lack, the one that opens most first.
func (t *tally) advice() []whosaw.MemberAdvice {
	add := []whosaw.MemberAdvice{}
	lacks := func(n, of int64) bool { return 10*n < 9*of }
	if t.accesses == 0 {
		return add
	}
	if lacks(t.showsWhom, t.shows) {
		add = append(add, whosaw.MemberAdvice{
			Member: "subject", Opens: []string{"nonexistent", "traversal", "canary"}, Setup: "whosaw setup nginx",
			Why: "whose data the page showed: without it nobody can say who has to be told",
		})
	}
	if lacks(t.shows-t.showsBare, t.shows) {
		add = append(add, whosaw.MemberAdvice{
			Member: "credential", Opens: []string{"unissued"}, Setup: "whosaw setup nginx",
			Why: "the id of the token or session (never the token itself): it tells whether a log-in ever issued it, and joins the access to its customer",
		})
	}
	if lacks(t.showsKey, t.shows) {
		add = append(add, whosaw.MemberAdvice{
			Member: "key", Opens: []string{"unissued", "key_state"}, Setup: "whosaw setup nginx",
			Why: "the id of the key that signed the token: it separates one stolen key from all honest traffic",
		})
	}
	slices.SortStableFunc(add, func(a, b whosaw.MemberAdvice) int { return cmp.Compare(len(b.Opens), len(a.Opens)) })
	return add
}

// says is what a person should hear beside the figures.
func (t *tally) says(cat *catalog.Catalog) []string {
	says := []string{}
	if t.accesses == 0 {
		return append(says, "There are no accesses in these records.")
	}
	if cat.Suggested() && t.fields < t.accesses {
		says = append(says, "No catalog was given, so what a page shows is called unclassified. `whosaw catalog suggest LOG…` prints one to complete.")
	}
	switch {
	case t.subject == 0:
		says = append(says, "These logs do not say whose data was opened, so nobody can be named from them.")
	case t.showsWhom < t.shows:
		says = append(says, fmt.Sprintf("Of %s accesses that may have shown something, %s name a customer; the others are pages without customer data, or the log does not say whose.", figure.Int(t.shows), figure.Int(t.showsWhom)))
	}
	if t.credential > 0 && t.issuances == 0 {
		says = append(says, "Credentials are logged, but not which of them log-ins issued: with issuance records a single forged token is seen at once.")
	}
	if t.ip == 0 {
		says = append(says, "No access says where it came from.")
	}
	return says
}
