package drill

import (
	"cmp"
	"slices"
)

// Summary is a scenario over several seeds.
type Summary struct {
	Scenario  string            `json:"scenario"`
	Customers int               `json:"customers"`
	Days      int               `json:"days"`
	Share     int               `json:"share_per_million"` // as asked for; 0: the shop's own
	Without   []string          `json:"without,omitempty"` // kinds of records that the shop does not have
	Seeds     []uint64          `json:"seeds"`
	Accesses  Spread            `json:"accesses"` // a run
	Attackers []AttackerSummary `json:"attackers"`
	Honest    Honest            `json:"honest"`
	Events    []Event           `json:"events"` // added up
	Levels    []Level           `json:"levels"` // added up
	Runs      []*Outcome        `json:"runs"`
}

// Spread is a figure over the seeds: the middle one (of an even number the worse of the two), and the worst.
type Spread struct {
	Median int64 `json:"median"`
	Worst  int64 `json:"worst"`
}

// AttackerSummary is one attacker over the seeds.
type AttackerSummary struct {
	Name      string `json:"name"`
	Accesses  Spread `json:"accesses"`
	Customers Spread `json:"customers"`
	Rows      []Row  `json:"detectors"`
	All       Row    `json:"all"`
	// Door is what would have been lost behind a door that sees answers: a budget is then what is shown, not what is noticed.
	Door Spread `json:"door"`
}

// Row is what a detector made of an attacker over the seeds.
type Row struct {
	Detector string `json:"detector,omitempty"` // "" over all
	// First counts, over all, how often each detector was the first to notice.
	First   map[string]int `json:"first,omitempty"`
	Noticed int            `json:"noticed"` // in how many runs
	Of      int            `json:"of"`
	// Lost and After are null where the middle, or the worst, run never noticed.
	LostMedian  *int64 `json:"lost_median"`
	LostWorst   *int64 `json:"lost_worst"`
	LaterMedian *int64 `json:"later_median"` // of them after its first answer that showed anybody
	LaterWorst  *int64 `json:"later_worst"`
	AfterMedian *int64 `json:"after_median_ms"`
	AfterWorst  *int64 `json:"after_worst_ms"`
	// Missed and Caught are of the runs in which it was noticed.
	Missed Spread `json:"missed"`
	Caught Spread `json:"caught"`
}

// Honest is what the runs say about false alarms. Runs of one seed have the same honest traffic, so figures of several
// scenarios must not be added up.
type Honest struct {
	Accesses   int64   `json:"accesses"` // in all runs
	Alarms     int64   `json:"alarms"`
	Upper      float64 `json:"upper_95"`             // 95 % limit of the mean number of alarms in that many accesses
	PerMillion float64 `json:"upper_95_per_million"` // accesses
}

// Summarize joins the outcomes of one scenario, which must not be empty.
func Summarize(cfg Config, outcomes []*Outcome) Summary {
	s := Summary{Scenario: cfg.Scenario, Customers: cfg.Customers, Days: cfg.Days, Share: cfg.Share, Without: cfg.Without, Runs: outcomes, Attackers: []AttackerSummary{}, Events: mergeEvents(outcomes), Levels: mergeLevels(outcomes)}
	var accesses []int64
	for _, o := range outcomes {
		s.Seeds = append(s.Seeds, o.Seed)
		accesses = append(accesses, o.Accesses)
		s.Honest.Accesses += o.Honest
		s.Honest.Alarms += o.Alarms()
	}
	s.Accesses = spread(accesses)
	s.Honest.Upper = UpperLimit(s.Honest.Alarms)
	if s.Honest.Accesses > 0 {
		s.Honest.PerMillion = s.Honest.Upper / float64(s.Honest.Accesses) * 1e6
	}
	for _, name := range attackerNames(outcomes) {
		s.Attackers = append(s.Attackers, summarizeAttacker(name, outcomes))
	}
	return s
}

// mergeLevels adds up what the runs' tests reached.
func mergeLevels(outcomes []*Outcome) []Level {
	all := []Level{}
	for _, o := range outcomes {
		for _, l := range o.Levels {
			i := slices.IndexFunc(all, func(a Level) bool { return a.Detector == l.Detector })
			if i < 0 {
				all = append(all, l)
				continue
			}
			all[i].Trials += l.Trials
			all[i].Highest = max(all[i].Highest, l.Highest)
			for k := range l.Reached {
				all[i].Reached[k] += l.Reached[k]
			}
		}
	}
	return all
}

func attackerNames(outcomes []*Outcome) []string {
	var names []string
	for _, o := range outcomes {
		for _, a := range o.Attackers {
			if !slices.Contains(names, a.Name) {
				names = append(names, a.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func summarizeAttacker(name string, outcomes []*Outcome) AttackerSummary {
	out := AttackerSummary{Name: name}
	var accesses, customers []int64
	var all []Score
	var door []int64
	scores := map[string][]Score{}
	var order []string
	for _, o := range outcomes {
		for i := range o.Attackers {
			a := &o.Attackers[i]
			if a.Name != name {
				continue
			}
			accesses, customers, all = append(accesses, a.Accesses), append(customers, a.Customers), append(all, a.All)
			door = append(door, a.Door)
			for _, s := range a.Scores {
				if scores[s.Detector] == nil {
					order = append(order, s.Detector)
				}
				scores[s.Detector] = append(scores[s.Detector], s)
			}
		}
	}
	out.Accesses, out.Customers, out.All = spread(accesses), spread(customers), newRow(all)
	out.Door = spread(door)
	out.All.First = map[string]int{}
	for _, s := range all {
		if s.Noticed {
			out.All.First[s.First]++
		}
	}
	for _, d := range order {
		out.Rows = append(out.Rows, newRow(scores[d]))
	}
	return out
}

func newRow(scores []Score) Row {
	r := Row{Detector: scores[0].Detector, Of: len(scores)}
	var lost, later, after []*int64
	var missed, caught []int64
	for i := range scores {
		s := &scores[i]
		if !s.Noticed {
			lost, later, after = append(lost, nil), append(later, nil), append(after, nil)
			continue
		}
		r.Noticed++
		lost, later, after = append(lost, &s.Lost), append(later, &s.Later), append(after, s.After)
		missed, caught = append(missed, s.Missed), append(caught, s.Caught)
	}
	r.LostMedian, r.LostWorst = spreadOrNever(lost)
	r.LaterMedian, r.LaterWorst = spreadOrNever(later)
	r.AfterMedian, r.AfterWorst = spreadOrNever(after)
	r.Missed, r.Caught = spread(missed), spread(caught)
	return r
}

// spread gives the middle and the largest; zeros for nothing.
func spread(values []int64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	values = slices.Sorted(slices.Values(values))
	return Spread{values[len(values)/2], values[len(values)-1]}
}

// spreadOrNever is spread where nil is never, which is worse than any number.
func spreadOrNever(values []*int64) (median, worst *int64) {
	values = slices.SortedFunc(slices.Values(values), func(a, b *int64) int {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return 1
		case b == nil:
			return -1
		}
		return cmp.Compare(*a, *b)
	})
	return values[len(values)/2], values[len(values)-1]
}
