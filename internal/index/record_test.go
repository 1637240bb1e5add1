package index_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// full gives records everything that a block does not need for questions, in many shapes: runs and all different, own and others'.
func full(seed uint64, rs []whosaw.Record) []whosaw.Record {
	g := rand.New(rand.NewPCG(seed, 11))
	each := g.IntN(3) // how often values differ: never within a run of records, sometimes, always
	for i := range rs {
		r := &rs[i]
		n := []int{i / 40, g.IntN(5), i}[each]
		r.Credential = []string{"", "sha256:" + fmt.Sprintf("%032x", n), "c" + strconv.Itoa(n)}[g.IntN(3)]
		r.Request = []string{"", strconv.Itoa(n) + "-req"}[g.IntN(2)]
		r.Reason = []string{"", "ticket " + strconv.Itoa(n%7)}[g.IntN(2)]
		r.Bytes = []int64{0, int64(n), -1}[g.IntN(3)]
		if g.IntN(2) == 0 {
			r.ID = "id-" + strconv.Itoa(i)
		}
		switch g.IntN(5) {
		case 0:
			r.Principal = "staff:" + strconv.Itoa(n)
		case 1:
			r.Principal = "customer:" + strconv.Itoa(g.IntN(90))
		case 2, 3:
			if len(r.Subjects) > 0 {
				r.Principal = "customer:" + r.Subjects[g.IntN(len(r.Subjects))]
			}
		}
		if g.IntN(3) == 0 {
			r.Time -= r.Time % 50_000 // many of the same time
		}
	}
	return rs
}

// TestRecordOfRow reads every access from its rows and compares it with what the segment says; and its sequence is known wherever
// its subject has another row of that time.
func TestRecordOfRow(t *testing.T) {
	for seed := range uint64(12) {
		dir, v := sealed(t, full(seed, records(seed, 950, seed%2 == 0)))
		s := store(t, dir, v)
		seen := 0
		for i, p := range v.Parts() {
			b := s.Block(&p)
			if b == nil {
				continue
			}
			c, err := v.Load(context.Background(), i, ledger.ColAll)
			if err != nil {
				t.Fatal(err)
			}
			texts, err := v.Texts(i)
			if err != nil {
				t.Fatal(err)
			}
			want, got := map[string]int{}, map[string]int{}
			at := map[string]int{} // rows by subject and time
			rowOf := func(subject string, time int64) string { return subject + " " + strconv.FormatInt(time, 10) }
			for j := range c.N {
				r := c.Record(j)
				r.Position = 0
				want[fmt.Sprintf("%+v", r)] += max(1, len(r.Subjects))
				for _, id := range r.Subjects {
					at[rowOf(id, r.Time)]++
				}
			}
			subjects := must{t}.subjects(b.Subjects())
			rows := b.Reader()
			defer rows.Close()
			for row := range b.Rows() {
				r, first, err := rows.Record(row, texts.At)
				if err != nil {
					t.Fatal(err)
				}
				got[fmt.Sprintf("%+v", r)]++
				if len(r.Subjects) == 0 {
					continue
				}
				seen++
				number, _, _ := b.WhoOf(row)
				id, text, isText := subjects.Get(number)
				if !isText {
					text = strconv.FormatUint(id, 10)
				}
				if r.Subjects[row-first] != text {
					t.Fatalf("row %d has subject %s, its access %v from row %d on", row, text, r.Subjects, first)
				}
				seq, ok, err := b.Seq(row)
				if err != nil || ok != (at[rowOf(text, r.Time)] > 1) {
					t.Fatalf("row %d: the sequence is known: %t, %v; %d rows have its subject and time", row, ok, err, at[rowOf(text, r.Time)])
				}
				if ok {
					j, found := slices.BinarySearch(c.Seq, seq)
					if !found || c.Time[j] != r.Time || !slices.Contains(c.Record(j).Subjects, text) || c.ID.At(j) != r.ID {
						t.Fatalf("row %d: sequence %d is another access", row, seq)
					}
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, part %d (-segment +block):\n%s", seed, i, diff)
			}
			if err := texts.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if seen == 0 {
			t.Fatal("no row names a subject")
		}
	}
}

func (m must) subjects(s index.Subjects, err error) index.Subjects {
	m.ok(err)
	return s
}
