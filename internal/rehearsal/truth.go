package rehearsal

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/whosaw/whosaw"
)

// Truth is what is known of the attacks in a log: truth.jsonl of a simulated shop.
type Truth struct {
	labels   map[string]label // by the record's id
	bySeq    map[uint64]int   // attacker, and one, of a sequence
	known    []*attacker
	canaries map[string]bool
	met      int
}

// label is a line of truth.jsonl.
type label struct {
	ID        string   `json:"id"`
	Attack    string   `json:"attack"`
	Subjects  []string `json:"subjects"`
	Disclosed bool     `json:"disclosed"`
}

// attacker is what one attacker did.
type attacker struct {
	name     string
	accesses int64
	first    map[string]int64 // subject, within its realm, to when it was first disclosed
}

// ReadTruth reads truth.jsonl.
func ReadTruth(r io.Reader) (*Truth, error) {
	t := &Truth{labels: map[string]label{}, bySeq: map[uint64]int{}, canaries: map[string]bool{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), whosaw.MaxLine)
	for n := 1; lines.Scan(); n++ {
		var l label
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.ID == "" || l.Attack == "" {
			return nil, fmt.Errorf("line %d is no line of a simulated shop's truth.jsonl: it needs id and attack", n)
		}
		t.labels[l.ID] = l
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	return t, nil
}

func (t *Truth) size() int { return len(t.labels) }

// meet notes a record of the ledger.
func (t *Truth) meet(seq uint64, r *whosaw.Record) {
	if r.Type == whosaw.TypeSubject && r.Ref != nil && r.Ref.State == "canary" && len(r.Subjects) > 0 {
		t.canaries[within(r.Realm, r.Subjects[0])] = true
	}
	l, ok := t.labels[r.ID]
	if !ok || r.ID == "" || r.Type != whosaw.TypeAccess {
		return
	}
	i := 0
	for i < len(t.known) && t.known[i].name != l.Attack {
		i++
	}
	if i == len(t.known) {
		t.known = append(t.known, &attacker{name: l.Attack, first: map[string]int64{}})
	}
	a := t.known[i]
	a.accesses++
	t.met++
	t.bySeq[seq] = i + 1
	if !l.Disclosed {
		return
	}
	for _, s := range l.Subjects {
		s = within(r.Realm, s)
		if at, ok := a.first[s]; !ok || r.Time < at {
			a.first[s] = r.Time
		}
	}
}

func within(realm, subject string) string { return strings.Clone(realm + "\x00" + subject) }

// of gives the attacker of a sequence, "" for an honest one.
func (t *Truth) of(seq uint64) string {
	if i := t.bySeq[seq]; i > 0 {
		return t.known[i-1].name
	}
	return ""
}

// whose gives the attacker who made most of some accesses, if more than half of them are an attack's.
func (t *Truth) whose(seqs []uint64) string {
	by := make([]int, len(t.known))
	all, most := 0, -1
	for _, seq := range seqs {
		if i := t.bySeq[seq]; i > 0 {
			all++
			by[i-1]++
		}
	}
	for i, n := range by {
		if n > 0 && (most < 0 || n > by[most]) {
			most = i
		}
	}
	if 2*all <= len(seqs) || most < 0 {
		return ""
	}
	return t.known[most].name
}

// lost counts the real customers that an attacker had been shown by a time; 0 asks for all.
func (t *Truth) lost(name string, by int64) int64 {
	var n int64
	for _, a := range t.known {
		if a.name != name {
			continue
		}
		for s, at := range a.first {
			if (by == 0 || at <= by) && !t.canaries[s] {
				n++
			}
		}
	}
	return n
}

// attackers says of each when it was first noticed.
func (t *Truth) attackers(findings []Judged) []Attacker {
	out := []Attacker{}
	for _, k := range t.known {
		a := Attacker{Name: k.name, Accesses: k.accesses, Customers: t.lost(k.name, 0)}
		a.Lost = a.Customers
		var seen whosaw.Time
		for i := range findings {
			f := &findings[i]
			if f.Whose == k.name && (!a.Noticed || f.Seen < seen) {
				a.Noticed, a.First, seen, a.Lost = true, f.Detector, f.Seen, *f.Lost
			}
		}
		out = append(out, a)
	}
	return out
}
