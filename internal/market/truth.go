package market

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Truth says what is true of the records that Run wrote. It is kept by the generator itself, from what it did, and not
// by reading the records: a reader that agrees with it has lost nothing on the way.
type Truth struct {
	Shop      string `json:"shop"`
	Seed      uint64 `json:"seed"`
	Customers int    `json:"customers"`
	Days      int    `json:"days"`

	Lines      int64            `json:"lines"`      // written
	Duplicates int64            `json:"duplicates"` // of them, lines that had come before
	Late       int64            `json:"late"`       // of them, accesses that came a minute or more after they happened
	References map[string]int64 `json:"references"` // records that are not accesses, by type

	Attack Attack `json:"attack"`
	Honest Totals `json:"honest"`
	All    Totals `json:"all"`
}

// Attack is the theft. Its Filter picks its accesses and no other.
type Attack struct {
	Filter map[string]any `json:"filter,omitempty"`
	Totals
	Tried         int      `json:"tried"`          // distinct numbers asked for
	NotExisting   int      `json:"not_existing"`   // of them, numbers of nobody
	Canaries      int      `json:"canaries"`       // planted customers among the disclosed
	Addresses     int      `json:"addresses"`      // distinct source addresses
	Credentials   int      `json:"credentials"`    // distinct, none ever issued
	NotReached    []string `json:"not_reached"`    // fields that the catalog knows of which nothing was shown
	NotDisclosed  int      `json:"not_disclosed"`  // customers whose data the thief did not see
	DisclosedList []string `json:"disclosed_list"` // customer numbers, in order
}

// Totals are the counts of a scope, by the rules of docs/formats/filters-and-answers.md.
type Totals struct {
	Accesses    int64            `json:"accesses"`
	Disclosures int64            `json:"disclosures"` // pairs of record and subject
	Subjects    int64            `json:"subjects"`
	Others      int64            `json:"others"`
	Fields      map[string]int64 `json:"fields"` // subjects of whom it was shown in clear
	Masked      map[string]int64 `json:"masked"` // subjects of whom it was shown only masked
	Absent      int64            `json:"absent"` // accesses to a subject that does not exist
	Refused     int64            `json:"refused"`
	First       string           `json:"first,omitempty"` // of disclosures
	Last        string           `json:"last,omitempty"`
}

// JSON gives the truth as truth.json holds it.
func (t *Truth) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(t, "", " ")
	return append(b, '\n'), err
}

// tally counts while the records go out.
type tally struct {
	lines, duplicates, late int64
	references              [len(kindNames)]int64
	attack, honest, all     part
	tried, gone             map[uint32]bool
	addresses               map[string]bool
	credentials             map[uint64]bool
}

func newTally() *tally {
	return &tally{
		attack: newPart(), honest: newPart(), all: newPart(),
		tried: map[uint32]bool{}, gone: map[uint32]bool{},
		addresses: map[string]bool{}, credentials: map[uint64]bool{},
	}
}

// part is the count of one part of the accesses.
type part struct {
	accesses, disclosures, absent, refused int64
	first, last                            int64
	shown                                  map[uint32]shown
}

// shown is what was shown of one subject.
type shown struct {
	fields, masked fieldSet
	others         int
}

func newPart() part { return part{shown: make(map[uint32]shown)} }

func (t *tally) add(e *event) {
	t.lines++
	if e.kind != kindAccess {
		t.references[e.kind]++
		return
	}
	if e.at-e.time >= minute {
		t.late++
	}
	t.all.add(e)
	if !e.attack {
		t.honest.add(e)
		return
	}
	t.attack.add(e)
	t.tried[e.subject()] = true
	if e.status == 404 {
		t.gone[e.subject()] = true
	}
	t.addresses[ipText(e)] = true
	t.credentials[e.credential] = true
}

func (p *part) add(e *event) {
	p.accesses++
	switch e.status {
	case 404:
		p.absent++
	case 401, 403, 429:
		p.refused++
	}
	fields, masked := e.shown()
	if fields|masked == 0 {
		return
	}
	p.disclosures += int64(len(e.subjects))
	if p.first == 0 || e.time < p.first {
		p.first = e.time
	}
	p.last = max(p.last, e.time)
	for i, s := range e.subjects {
		seen := p.shown[s]
		seen.fields |= fields
		seen.masked |= masked
		if i == 0 {
			seen.others = max(seen.others, e.others)
		}
		p.shown[s] = seen
	}
}

func (p *part) totals() Totals {
	t := Totals{
		Accesses: p.accesses, Disclosures: p.disclosures, Subjects: int64(len(p.shown)),
		Absent: p.absent, Refused: p.refused,
		Fields: map[string]int64{}, Masked: map[string]int64{},
	}
	if p.first != 0 {
		t.First, t.Last = string(appendTime(nil, p.first)), string(appendTime(nil, p.last))
	}
	for _, s := range p.shown {
		t.Others += int64(s.others)
		for i, n := range fieldNames {
			switch {
			case s.fields>>i&1 == 1:
				t.Fields[n]++
			case s.masked>>i&1 == 1:
				t.Masked[n]++
			}
		}
	}
	return t
}

func (t *tally) truth(s *shop) *Truth {
	out := &Truth{
		Shop: "Haneul Market", Seed: s.cfg.Seed, Customers: s.cfg.Customers, Days: s.cfg.Days,
		Lines: t.lines + t.duplicates, Duplicates: t.duplicates, Late: t.late, References: map[string]int64{},
		Attack: Attack{
			Totals: t.attack.totals(), Tried: len(t.tried), NotExisting: len(t.gone),
			Addresses: len(t.addresses), Credentials: len(t.credentials),
			NotReached: []string{}, DisclosedList: []string{},
		},
		Honest: t.honest.totals(), All: t.all.totals(),
	}
	for k, n := range t.references {
		if n > 0 {
			out.References[kindNames[k]] = n
		}
	}
	a := &out.Attack
	if !s.cfg.Honest {
		a.Filter = map[string]any{"key": []string{keyBackup}, "issued": false}
	}
	var reached fieldSet
	list := make([]uint32, 0, len(t.attack.shown))
	for n, seen := range t.attack.shown {
		reached |= seen.fields | seen.masked
		list = append(list, n)
		if s.canaries[n] {
			a.Canaries++
		}
	}
	slices.Sort(list)
	for _, n := range list {
		a.DisclosedList = append(a.DisclosedList, strconv.FormatUint(uint64(n), 10))
	}
	a.NotDisclosed = s.cfg.Customers - len(list)
	if !s.cfg.Honest {
		a.NotReached = append(a.NotReached, elsewhere)
		for i, n := range fieldNames {
			if reached>>i&1 == 0 {
				a.NotReached = append(a.NotReached, n)
			}
		}
		slices.Sort(a.NotReached)
	}
	return out
}
