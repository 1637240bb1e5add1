package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// The questions, in the order of the table.
var questions = []struct {
	name, says string
	slow       bool // asked once where there are many accesses
}{
	{"q1", "scope by the stolen key, bounds of time", false},
	{"q1-all", "scope by the stolen key, all time", false},
	{"q2", "scope by 2,300 addresses, bounds of time", false},
	{"q3", "the list of Q1, sorted, as CSV to a file", false},
	{"q4", "all accesses of one customer, newest first", false},
	{"q5-ip", "top 20 by whole days: address", true},
	{"q5-principal", "top 20 by whole days: principal", true},
	{"q5-credential", "top 20 by whole days: credential", true},
	{"q5-off", "top 20 off the borders of days: address", true},
	{"q6", "scope: abroad, two agents, never issued, bounds of time", false},
}

func saysOf(name string) string {
	for _, q := range questions {
		if q.name == name {
			return q.says
		}
	}
	return name
}

// asked is one question with the values it is asked with. Members that are empty hold always.
type asked struct {
	Question string
	Variant  int
	Keys     []int // numbers; those from keyCount on nobody has
	Addrs    []uint32
	From, To int64 // half open
	Abroad   bool
	Agents   []uint16
	Unissued bool
	Customer uint32 // of q4
	By       string // of q5
}

// ask makes a question. No two variants have the same values.
func (s *shop) ask(question string, variant int) asked {
	rng := rand.New(rand.NewPCG(uint64(variant), mix(uint64(len(question))<<8^uint64(question[1]))))
	a := asked{Question: question, Variant: variant}
	between := func() { // up to 36 hours inside, off the borders of days and hours
		odd := func() int64 { return rng.Int64N(36)*3_600_000 + 61_000 + rng.Int64N(3_400_000) }
		a.From, a.To = startMS+odd(), endMS-odd()
	}
	switch question {
	case "q1", "q3":
		between()
		a.Keys = []int{keyStolen}
	case "q1-all":
		a.Keys = []int{keyStolen, keyCount + variant}
	case "q2":
		between()
		a.Addrs = slices.Clone(s.attack)
		rng.Shuffle(len(a.Addrs), func(i, j int) { a.Addrs[i], a.Addrs[j] = a.Addrs[j], a.Addrs[i] })
		a.Addrs = a.Addrs[:len(a.Addrs)-13]
	case "q4":
		a.Customer = uint32(s.members/8 + uint64(variant)*(s.members/256|1)%(s.members/2))
		for !s.exists(a.Customer) {
			a.Customer++
		}
	case "q5-ip", "q5-principal", "q5-credential":
		a.By = question[3:]
		a.From, a.To = startMS+int64(variant%12)*dayMS, endMS-int64(variant/12%12)*dayMS
	case "q5-off":
		a.By = "ip"
		between()
	case "q6":
		between()
		a.Abroad, a.Unissued = true, true
		a.Agents = []uint16{7, uint16(20 + variant)}
	default:
		panic(fmt.Sprintf("BUG: no question is called %q", question))
	}
	return a
}

// answer is what an engine said. Which members are set depends on the question.
type answer struct {
	Accesses    int64            `json:",omitempty"`
	Disclosures int64            `json:",omitempty"`
	Subjects    int64            `json:",omitempty"`
	First, Last int64            `json:",omitempty"`
	Fields      map[string]int64 `json:",omitempty"`
	Rows        int64            `json:",omitempty"` // of a list
	Hash        string           `json:",omitempty"` // of its rows
	Top         []topRow         `json:",omitempty"`
}

type topRow struct {
	Day      string
	Value    string
	Subjects int64
}

// equal says how two answers to one question differ, "" if they do not.
func (a *answer) equal(b *answer) string {
	switch {
	case a.Accesses != b.Accesses || a.Disclosures != b.Disclosures || a.Subjects != b.Subjects:
		return fmt.Sprintf("accesses, disclosures, subjects: %d %d %d and %d %d %d", a.Accesses, a.Disclosures, a.Subjects, b.Accesses, b.Disclosures, b.Subjects)
	case a.First != b.First || a.Last != b.Last:
		return fmt.Sprintf("first, last: %d %d and %d %d", a.First, a.Last, b.First, b.Last)
	case a.Rows != b.Rows || a.Hash != b.Hash:
		return fmt.Sprintf("rows, hash: %d %.8s and %d %.8s", a.Rows, a.Hash, b.Rows, b.Hash)
	case len(a.Top) != len(b.Top):
		return fmt.Sprintf("%d and %d rows", len(a.Top), len(b.Top))
	}
	for _, f := range fieldNames {
		if a.Fields[f] != b.Fields[f] {
			return fmt.Sprintf("subjects of whom %s was shown: %d and %d", f, a.Fields[f], b.Fields[f])
		}
	}
	if len(a.Top) == 0 {
		return ""
	}
	// Of those that tie with the last row each engine may have others; the rest is compared as a set.
	least := a.Top[len(a.Top)-1].Subjects
	set := make(map[topRow]bool)
	for i := range a.Top {
		if a.Top[i].Subjects != b.Top[i].Subjects {
			return fmt.Sprintf("row %d has %d and %d subjects", i+1, a.Top[i].Subjects, b.Top[i].Subjects)
		}
		set[a.Top[i]] = true
	}
	for _, r := range b.Top {
		if r.Subjects > least && !set[r] {
			return fmt.Sprintf("only one has %s %s", r.Day, r.Value)
		}
	}
	return ""
}
