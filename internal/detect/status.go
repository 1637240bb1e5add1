package detect

import (
	"cmp"
	"slices"

	"github.com/whosaw/whosaw"
)

// why is a reason for which a detector did not judge an access, a credential or a subject.
type why uint8

const (
	whyNoCredential why = iota
	whyNoFeed
	whyFeedThin
	whyFeedStopped
	whyLegacy
	whyQueueFull
	whyExplained
	whyCrawler
	whyCeiling
	whyNoNumber
	whyLate
	whyAlone
	whyFrontier
	whyMemory
	whyNoActor
	whyTail
	whyMany
	whyNoReasons
	whyReasonsStopped
	whyTooMany
	whyManyRefused
	whyNoPast
	whyFields
	whyPairs
	whyLost
	whyNoHistory
	whyNoWakes
	whyNoLogins
	whyHistoryFull
	whyManyDormant
	whyManyStrangers
	whyNoViews
	whyChange
	whyPrecedent
	nWhy
)

var whyTexts = [nWhy]string{
	whyNoCredential:   "the access names no credential",
	whyNoFeed:         "nobody reports issuances for its key or client",
	whyFeedThin:       "the issuances seen so far are too few, or too many credentials lack theirs, to infer that the feed is complete",
	whyFeedStopped:    "no issuance came for a day",
	whyLegacy:         "the credential was in use before its feed could be judged",
	whyQueueFull:      "too many accesses were waiting for their issuance",
	whyExplained:      "a reason, an own session or a household explains it",
	whyCrawler:        "a crawler without credential follows dead links",
	whyCeiling:        "on this route a tenth or more of what honest networks ask for does not exist",
	whyNoNumber:       "the subject is not a plain number",
	whyLate:           "it came after its day was closed",
	whyAlone:          "no other key, client or cell shows which numbers are established",
	whyFrontier:       "the number is among the newest, where customers come in order anyway",
	whyMemory:         "the sets of numbers are full",
	whyNoActor:        "it names neither key, principal, credential nor address",
	whyTail:           "credentials given out before their key was retired live on",
	whyNoReasons:      "no reason record explains what this kind of principal opens on the route, or too few do",
	whyReasonsStopped: "no reason came for a day",
	whyManyRefused:    "honest networks are refused there nearly as often as a thief would be",
	whyFields:         "too many fields that no catalog lists are remembered",
	whyNoPast:         "the actor has no week of days of its own yet to be held against",
	whyPairs:          "too many pairs of actors and customers are held",
	whyLost:           "its issuance may have been lost: too few of them, so far, to say that the retired key is forged with",
	whyNoHistory:      "the customer has not been seen often enough, and no subject record says when they logged in last",
	whyNoWakes:        "too little of the past is known yet to say what is usual",
	whyNoLogins:       "nobody's log-ins are on record",
	whyHistoryFull:    "the history of customers is full",
	whyManyDormant:    "dormant customers are opened there as a rule",
	whyManyStrangers:  "customers come from new networks or with new devices too often for that to say anything",
	whyNoViews:        "sessions there show nothing but data as a rule: the pages that show none are not in the log",
	whyChange:         "a declared change is on",
	whyPrecedent:      "a verdict on a finding of the same job said that it was none, and it is within that",
	whyTooMany:        "on this route reasons are missing for a tenth or more of what is opened",
	whyMany:           "never issued, but findings of single credentials are 64 a day at most; ask for all with --issued no",
}

// Whys lists the reasons for which detectors do not judge an access, as [NotJudged] has them.
func Whys() []string { return slices.Clone(whyTexts[:]) }

// stat is a detector's account of itself.
type stat struct {
	accesses int64 // unissued only: accesses observed, for all detectors
	judged   int64
	trials   int64
	findings int64
	highest  float64
	reached  [len(Levels)]int64
	why      [nWhy]int64
}

func (s *stat) skip(w why) { s.why[w]++ }

// Status is what a detector can say of its own work so far.
type Status struct {
	Detector string
	Off      string // why its rule is off; then the rest is zero
	Accesses int64  // accesses observed
	Judged   int64  // of those, the ones it could judge
	// Explained counts accesses that needed no judging: a reason, an own session or a household explains them.
	Explained int64
	// Bare counts accesses without the credential that the detector needs; pages for guests are among them.
	Bare     int64
	Trials   int64 // subjects (for unissued: credentials) tried, at most once a day each
	Findings int64

	Units     int     // units with a statistic above zero now
	Highest   float64 // statistic ever reached
	Threshold float64 // h; 1 for a fact
	// Reached counts, for the Levels 6, 8, 10 and 12, how often a test rose to it from zero. The bound for level h is
	// Trials x tests x e^-h.
	Reached [len(Levels)]int64
	Tests   int // that each trial drives

	// Waiting counts accesses of the last minutes whose credential was not issued so far (for unexplained: that no reason
	// explains so far): the issuance, or the reason, may still come.
	Waiting   int64
	NotJudged []NotJudged
	Strata    []Stratum // routes not judged, for nonexistent and unexplained
	Leavers   []Leaver  // for key_state
}

// NotJudged is a reason, and how often it applied. Several may apply to one access.
type NotJudged struct {
	Why   string
	Count int64
}

// Stratum is a route that is not judged because its honest rate is too high, or was not for a time.
type Stratum struct {
	Route    string
	Networks string // the class of networks alone that is not; "": all
	P0       float64
	Accesses int64
}

// Leaver is a key that a person who left could read, and that is still met. No finding: honest customers use it too.
type Leaver struct {
	Realm, Key string
	Since      whosaw.Time // when the person left
	Last       whosaw.Time // when the key was last met
	Accesses   int64
}

// Status gives one entry per detector, in the order of the documentation.
func (e *Engine) Status() []Status {
	out := make([]Status, nDetectors)
	for d := range nDetectors {
		st := &e.stats[d]
		s := &out[d]
		*s = Status{
			Detector: detectorNames[d], Accesses: e.stats[unissued].accesses, Judged: st.judged, Trials: st.trials, Findings: st.findings,
			Highest: st.highest, Threshold: 1, Reached: st.reached, Tests: 1,
		}
		if d < nSequential {
			s.Threshold = e.rule[d].h
			s.Tests = testsOf(d, e.cfg.Rules.Of(detectorNames[d]))
		}
		for k := range nKinds {
			s.Units += e.hot[d][k]
		}
		s.Waiting = e.queue.waiting[d]
		s.Explained, s.Bare = st.why[whyExplained], st.why[whyNoCredential]
		for w, n := range st.why {
			if n > 0 && why(w) != whyExplained && why(w) != whyNoCredential {
				s.NotJudged = append(s.NotJudged, NotJudged{whyTexts[w], n})
			}
		}
	}
	for _, s := range e.strataList {
		if s.over > 0 {
			out[s.d].Strata = append(out[s.d].Strata, Stratum{Route: s.route, P0: s.w.p0, Accesses: s.over})
		}
		for i := range s.nets {
			if k := &s.nets[i]; k.over > 0 {
				out[s.d].Strata = append(out[s.d].Strata, Stratum{s.route, e.netName(k.id), s.netP0(k), k.over})
			}
		}
	}
	for _, w := range e.keyList {
		if w.inUse > 0 {
			out[keyState].Leavers = append(out[keyState].Leavers, Leaver{w.realm, w.name, whosaw.Time(w.leftAt), whosaw.Time(w.lastUse), w.inUse})
		}
	}
	slices.SortStableFunc(out[keyState].Leavers, func(a, b Leaver) int { return cmp.Compare(b.Accesses, a.Accesses) })
	asked := out[:0]
	for d := range nDetectors {
		switch {
		case !e.rule[d].on:
			asked = append(asked, Status{Detector: detectorNames[d], Off: e.cfg.Rules.Of(detectorNames[d]).Off})
			continue
		case d == budget && !e.budgeted, d == fieldDrift && !e.drifts && len(e.pages) == 0, d == keyPolicy && !e.policied, d == offboarded && len(e.leavers) == 0:
			continue // nothing is asked of it
		}
		asked = append(asked, out[d])
	}
	return asked
}

// Load is what the engine holds in memory, in counts.
type Load struct {
	Units, Dropped, Folded int64
	IDs, Evidence, Pending int64
	Networks, Strata       int64
	History                int64 // customers, with networks and devices, and sessions remembered
	Pairs                  int64 // of actors and the customers they were shown
	Archived               int64 // bytes in memory that tell issued credentials of long ago
	ArchivedFiles          int64 // bytes of them in files
	ArchiveFaults          int64 // of these, reads that failed: what was asked was taken for issued
}

// Load gives the engine's own size.
func (e *Engine) Load() Load {
	memory, files := e.archive.Size()
	return Load{
		Archived: memory, ArchivedFiles: files, ArchiveFaults: e.archive.Faults(),
		Units: int64(e.table.m.n), Dropped: e.table.dropped, Folded: e.table.folded, IDs: int64(e.table.ids),
		Evidence: int64(e.evidence), Pending: int64(e.queue.pending), Networks: int64(e.networks), Strata: int64(len(e.strata)), Pairs: int64(e.pairs),
		History: int64(e.history.n),
	}
}
