package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/whosaw/whosaw/internal/draw"
)

// Truth says what is true of the records that Run wrote. It is kept by the generator itself, from what it did, and not
// by reading the records: a reader that agrees with it has lost nothing on the way.
type Truth struct {
	Shop      string `json:"shop"`
	Scenario  string `json:"scenario"`
	Seed      uint64 `json:"seed"`
	Customers int    `json:"customers"`
	WarmUp    int    `json:"warm_up_days"`
	Days      int    `json:"days"` // after the warm-up
	From      string `json:"from"` // midnight of the first warm-up day
	Watch     string `json:"watch"`

	Lines      int64            `json:"lines"`      // written
	Duplicates int64            `json:"duplicates"` // of them, lines that had come before
	Late       int64            `json:"late"`       // of them, accesses that came a minute or more after they happened
	References map[string]int64 `json:"references"` // records that are not accesses, by type
	Events     map[string]int64 `json:"events"`     // honest accesses that something awkward made, by Label.Event

	Attacks []Attack `json:"attacks"`
	Attack  Totals   `json:"attack"` // all attacks together
	Honest  Totals   `json:"honest"`
	All     Totals   `json:"all"`
	Hours   []Hour   `json:"hours"` // those in which something happened, by event time
}

// Attack is what one attacker did.
type Attack struct {
	Name       string         `json:"name"`
	Parameters map[string]int `json:"parameters"` // as drawn for this seed
	Totals
	Tried       int64 `json:"tried"`        // distinct numbers asked for
	NotExisting int64 `json:"not_existing"` // of them, numbers of nobody
	Canaries    int64 `json:"canaries"`     // planted customers among the disclosed
	Addresses   int64 `json:"addresses"`    // distinct source addresses
	Credentials int64 `json:"credentials"`  // distinct
}

// Totals are the counts of a scope, by the rules of docs/formats/filters-and-answers.md.
type Totals struct {
	Accesses    int64            `json:"accesses"`
	Disclosures int64            `json:"disclosures"` // pairs of record and subject
	Subjects    int64            `json:"subjects"`
	Others      int64            `json:"others"`
	Fields      map[string]int64 `json:"fields"` // subjects of whom it was shown in clear
	Masked      map[string]int64 `json:"masked"` // subjects of whom it was shown only masked
	Absent      int64            `json:"absent"` // accesses answered 404
	Refused     int64            `json:"refused"`
	First       string           `json:"first,omitempty"` // of disclosures
	Last        string           `json:"last,omitempty"`
}

// Hour is one hour's accesses.
type Hour struct {
	Hour              string `json:"hour"`
	Accesses          int64  `json:"accesses"`
	Disclosures       int64  `json:"disclosures"`
	AttackAccesses    int64  `json:"attack_accesses"`
	AttackDisclosures int64  `json:"attack_disclosures"`
}

// JSON gives the truth as truth.json holds it.
func (t *Truth) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(t, "", " ")
	return append(b, '\n'), err
}

// tally counts while the records go out.
type tally struct {
	run                     *run
	lines, duplicates, late int64
	references              [len(kindNames)]int64
	events                  [len(whatNames)]int64
	honest                  part
	attacks                 []attackPart
	hours                   []hourCount
	list                    *bufio.Writer // truth.jsonl; nil: not wanted
	line                    []byte
}

type hourCount struct{ accesses, disclosures, attackAccesses, attackDisclosures int64 }

// attackPart is the count of one attack.
type attackPart struct {
	part
	tried, gone            []uint64 // bit n: number n
	addresses, credentials map[uint64]struct{}
}

// part is the count of one part of the accesses.
type part struct {
	accesses, disclosures, absent, refused int64
	first, last                            int64
	shown                                  []shown // by number
}

// shown is what was shown of one subject.
type shown struct {
	fields, masked fieldSet
	others         uint8
}

func newTally(r *run, list io.Writer) *tally {
	t := &tally{run: r, hours: make([]hourCount, 24*(r.days+2)), honest: newPart(r)}
	for range r.attacks {
		t.attacks = append(t.attacks, attackPart{
			part: newPart(r), tried: make([]uint64, r.lastNumber()/64+2), gone: make([]uint64, r.lastNumber()/64+2),
			addresses: map[uint64]struct{}{}, credentials: map[uint64]struct{}{},
		})
	}
	if list != nil {
		t.list = bufio.NewWriterSize(list, 1<<16)
	}
	return t
}

func newPart(r *run) part { return part{shown: make([]shown, r.lastNumber()+64)} }

func (t *tally) add(e *event, subjects []uint32) error {
	t.lines++
	if e.kind != kindAccess {
		t.references[e.kind]++
		return nil
	}
	if e.at-e.time >= minute && e.what == whatLate {
		t.late++
	}
	fields, masked := e.shown()
	n := int64(0)
	if fields|masked != 0 {
		n = max(1, int64(len(subjects)))
	}
	// A day of hours before the log is for clocks that are behind.
	h := &t.hours[min(max(0, (e.time-t.run.begin)/hour+24), int64(len(t.hours)-1))]
	h.accesses++
	h.disclosures += n
	if e.attack == 0 {
		t.events[e.what]++
		t.honest.add(e, subjects, fields, masked, n)
		return nil
	}
	h.attackAccesses++
	h.attackDisclosures += n
	a := &t.attacks[e.attack-1]
	a.add(e, subjects, fields, masked, n)
	for _, s := range subjects {
		if w := int(s / 64); w < len(a.tried) {
			a.tried[w] |= 1 << (s % 64)
			if e.status == 404 {
				a.gone[w] |= 1 << (s % 64)
			}
		}
	}
	a.addresses[draw.Mix(e.from.hi)^e.from.lo] = struct{}{}
	if e.credential != 0 {
		a.credentials[e.credential] = struct{}{}
	}
	return t.note(e, subjects, n > 0)
}

// note writes the line of truth.jsonl of an attack's access.
func (t *tally) note(e *event, subjects []uint32, disclosed bool) error {
	if t.list == nil {
		return nil
	}
	b := append(t.line[:0], `{"id":"r`...)
	b = strconv.AppendUint(b, e.id, 10)
	b = append(b, `","attack":"`...)
	b = append(b, t.run.attacks[e.attack-1].name...)
	b = append(b, `","subjects":[`...)
	for i, s := range subjects {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendUint(b, uint64(s), 10)
		b = append(b, '"')
	}
	b = append(b, `],"disclosed":`...)
	b = strconv.AppendBool(b, disclosed)
	b = append(b, "}\n"...)
	t.line = b
	if _, err := t.list.Write(b); err != nil {
		return fmt.Errorf("write truth: %w", err)
	}
	return nil
}

func (p *part) add(e *event, subjects []uint32, fields, masked fieldSet, disclosures int64) {
	p.accesses++
	switch e.status {
	case 404:
		p.absent++
	case 401, 403, 429:
		p.refused++
	}
	if disclosures == 0 {
		return
	}
	p.disclosures += disclosures
	if p.first == 0 || e.time < p.first {
		p.first = e.time
	}
	p.last = max(p.last, e.time)
	for i, s := range subjects {
		seen := &p.shown[s]
		seen.fields |= fields
		seen.masked |= masked
		if i == 0 {
			seen.others = max(seen.others, uint8(e.others))
		}
	}
}

// merge adds another part of the accesses.
func (p *part) merge(o *part) {
	p.accesses += o.accesses
	p.disclosures += o.disclosures
	p.absent += o.absent
	p.refused += o.refused
	if p.first == 0 || o.first != 0 && o.first < p.first {
		p.first = o.first
	}
	p.last = max(p.last, o.last)
	for i, s := range o.shown {
		seen := &p.shown[i]
		seen.fields |= s.fields
		seen.masked |= s.masked
		seen.others = max(seen.others, s.others)
	}
}

func (p *part) totals() Totals {
	t := Totals{
		Accesses: p.accesses, Disclosures: p.disclosures, Absent: p.absent, Refused: p.refused,
		Fields: map[string]int64{}, Masked: map[string]int64{},
	}
	if p.first != 0 {
		t.First, t.Last = instant(p.first), instant(p.last)
	}
	for _, s := range p.shown {
		if s.fields|s.masked == 0 {
			continue
		}
		t.Subjects++
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

func instant(t int64) string { return string(appendTime(nil, t)) }

func (t *tally) truth() *Truth {
	r := t.run
	out := &Truth{
		Shop: "Haneul Market", Scenario: r.cfg.Scenario, Seed: r.cfg.Seed, Customers: r.cfg.Customers, WarmUp: r.params.WarmUpDays, Days: r.cfg.Days,
		From: instant(r.begin), Watch: instant(r.cfg.Start),
		Lines: t.lines + t.duplicates, Duplicates: t.duplicates, Late: t.late,
		References: map[string]int64{}, Events: map[string]int64{}, Attacks: []Attack{}, Hours: []Hour{},
	}
	if out.Scenario == "" {
		out.Scenario = honest
	}
	for k, n := range t.references {
		if n > 0 {
			out.References[kindNames[k]] = n
		}
	}
	for k, n := range t.events[1:] {
		if n > 0 {
			out.Events[whatNames[k+1]] = n
		}
	}
	together := newPart(r)
	for i := range t.attacks {
		a := &t.attacks[i]
		out.Attacks = append(out.Attacks, a.truth(r, r.attacks[i]))
		together.merge(&a.part)
	}
	out.Attack = together.totals()
	out.Honest = t.honest.totals()
	together.merge(&t.honest)
	out.All = together.totals()
	for i, h := range t.hours {
		if h.accesses > 0 {
			out.Hours = append(out.Hours, Hour{instant(r.begin + int64(i-24)*hour), h.accesses, h.disclosures, h.attackAccesses, h.attackDisclosures})
		}
	}
	return out
}

func (a *attackPart) truth(r *run, of *attack) Attack {
	out := Attack{
		Name: of.name, Parameters: of.drawn, Totals: a.totals(),
		Addresses: int64(len(a.addresses)), Credentials: int64(len(a.credentials)),
	}
	for n := range uint32(r.lastNumber() + 64) {
		out.Tried += int64(a.tried[n/64] >> (n % 64) & 1)
		out.NotExisting += int64(a.gone[n/64] >> (n % 64) & 1)
	}
	for number, s := range a.shown {
		if s.fields|s.masked == 0 {
			continue
		}
		if i, ok := slices.BinarySearch(r.numbers, uint32(number)); ok && r.traits(i).special == canary {
			out.Canaries++
		}
	}
	return out
}
