package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
)

// Every access that says its token was issued finds the issuance of its key, and no other does.
func TestIssuedHasIssuance(t *testing.T) {
	s := newShop(400_000)
	type given struct {
		principal uint64
		key       uint8
	}
	tokens := make(map[uint64]given)
	for day := range int64(days) {
		s.issuances(day, func(is issuance) {
			if _, twice := tokens[is.token]; twice {
				t.Fatal("a token is given out twice")
			}
			if at := (is.ts - startMS) / dayMS; at != day {
				t.Fatalf("an issuance of day %d is at day %d", day, at)
			}
			tokens[is.token] = given{is.principal, is.key}
		})
	}
	var a access
	attack, issued := 0, 0
	for i := range s.n {
		s.at(i, &a)
		g, ok := tokens[a.token]
		if ok != a.issued || ok && (g.key != a.key || g.principal != a.principal) {
			t.Fatalf("access %d: issued %v, found %v", i, a.issued, ok)
		}
		if a.issued {
			issued++
		} else {
			attack++
		}
		if a.fields != 0 && (a.status != 200 || !s.exists(a.customer)) {
			t.Fatalf("access %d shows somebody who does not exist", i)
		}
	}
	if share := float64(attack) / float64(s.n); share < 0.18 || share > 0.184 {
		t.Errorf("the attack's share is %.3f, want 0.182", share)
	}
	if issued == 0 {
		t.Error("nothing was issued")
	}
}

// Each variant of a question has values of its own.
func TestVariantsDiffer(t *testing.T) {
	s := newShop(100_000)
	for _, q := range questions {
		seen := make(map[string]bool)
		for v := range 110 {
			w := whosawEngine{shop: s, text: newText()}
			a := s.ask(q.name, v)
			key := ""
			if q.name == "q4" {
				key = string(rune(a.Customer))
			} else {
				b, err := json.Marshal(w.filter(&a))
				if err != nil {
					t.Fatal(err)
				}
				key = string(b)
			}
			if seen[key] {
				t.Fatalf("%s: variant %d was asked before", q.name, v)
			}
			seen[key] = true
		}
	}
}

// The engines give one answer to every question, through the same code as in a run.
func TestEnginesAgree(t *testing.T) {
	ctx := context.Background()
	s, dir := newShop(60_000), t.TempDir()
	own, err := loadWhosaw(ctx, s, filepath.Join(dir, "whosaw"))
	if err != nil {
		t.Fatal(err)
	}
	if own.Records <= s.n || own.Bytes == 0 {
		t.Fatalf("whosaw was loaded with %d records in %d bytes", own.Records, own.Bytes)
	}
	if _, _, err := loadDuck(ctx, s, dir); err != nil {
		t.Fatal(err)
	}
	out := figures{}
	first := make(map[string]timed)
	for _, name := range []string{"whosaw", "duckdb", "parquet"} {
		o := options{n: s.n, dir: dir, engine: name, asks: "all", runs: 2}
		all, err := o.askAll(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.check(first, name, all.Answers); err != nil {
			t.Fatal(err)
		}
	}
	if want := 2 * 2 * len(questions); out.Compared != want {
		t.Errorf("compared %d answers, want %d", out.Compared, want)
	}
	for key, a := range first {
		if a.Answer.Subjects == 0 && a.Answer.Rows == 0 && len(a.Answer.Top) == 0 {
			t.Errorf("%s has an empty answer", key)
		}
	}
}

// A wrong answer is found whatever it is wrong in.
func TestEqualFindsDifferences(t *testing.T) {
	base := func() answer {
		return answer{Accesses: 5, Disclosures: 4, Subjects: 3, First: 1, Last: 9, Fields: map[string]int64{"name": 3}, Rows: 2, Hash: "aaaaaaaa",
			Top: []topRow{{"2026-05-01", "x", 9}, {"2026-05-01", "y", 7}, {"2026-05-02", "y", 7}}}
	}
	tied := base()
	tied.Top[2].Value = "z"
	a := base()
	if how := a.equal(&tied); how != "" {
		t.Errorf("another of those that tie with the last: %s", how)
	}
	for name, spoil := range map[string]func(*answer){
		"accesses":    func(a *answer) { a.Accesses++ },
		"disclosures": func(a *answer) { a.Disclosures++ },
		"subjects":    func(a *answer) { a.Subjects++ },
		"first":       func(a *answer) { a.First++ },
		"last":        func(a *answer) { a.Last++ },
		"field":       func(a *answer) { a.Fields["name"]++ },
		"no field":    func(a *answer) { a.Fields = nil },
		"rows":        func(a *answer) { a.Rows++ },
		"hash":        func(a *answer) { a.Hash = "bbbbbbbb" },
		"top value":   func(a *answer) { a.Top[0].Value = "z" },
		"top count":   func(a *answer) { a.Top[2].Subjects-- },
		"top length":  func(a *answer) { a.Top = a.Top[:2] },
	} {
		b := base()
		spoil(&b)
		if a.equal(&b) == "" {
			t.Errorf("%s: the difference is not found", name)
		}
	}
}
