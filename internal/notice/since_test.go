package notice_test

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/notice"
)

// booksOf gives rows of customers whose address books were shown.
func booksOf(rows map[string][]string) notice.List {
	return func(yield func(whosaw.ListRow) error) error {
		for _, id := range slices.Sorted(maps.Keys(rows)) {
			if err := yield(whosaw.ListRow{Subject: id, Fields: rows[id]}); err != nil {
				return err
			}
		}
		return nil
	}
}

// Later facts with address books: whoever was told of the same by an earlier notice is left alone, customers who are in somebody's book too; whoever was not
// reached gets the later one. Held against what a map says.
func TestSinceWithBooks(t *testing.T) {
	left, again := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 44))
		w := newWorld(t)
		some := func() []string {
			return slices.DeleteFunc([]string{"address", "email", "name", "phone"}, func(string) bool { return rng.IntN(2) == 0 })
		}
		shown := map[notice.Person][]string{} // by the list
		join := func(m map[notice.Person][]string, p notice.Person, fields []string) {
			all := slices.Concat(m[p], fields)
			slices.Sort(all)
			m[p] = slices.Compact(all)
		}
		show := func(id string) {
			fields := some()
			w.show(id, fields...)
			join(shown, notice.Person{ID: id}, fields)
		}
		books := map[string][]string{} // whose, with which fields
		entries := map[string][]notice.Person{}
		enter := func() {
			of := strconv.Itoa(1 + rng.IntN(6))
			p := notice.Person{ID: string(rune('a' + rng.IntN(5))), Other: true}
			entry := map[string]any{"id": p.ID}
			if rng.IntN(3) == 0 { // a customer, in the scope or not
				p = notice.Person{ID: strconv.Itoa(1 + rng.IntN(9))}
				entry = map[string]any{"subject": p.ID}
			}
			if books[of] == nil {
				if books[of] = some(); len(books[of]) == 0 {
					books[of] = []string{"name"}
				}
			}
			entries[of] = append(entries[of], p)
			w.shop.mu.Lock()
			w.shop.books[of] = append(w.shop.books[of], entry)
			w.shop.mu.Unlock()
		}
		reached := map[notice.Person]bool{}
		for _, id := range strings.Split("1 2 3 4 5 6 7 8 9 other:a other:b other:c other:d other:e", " ") {
			if rng.IntN(5) > 0 {
				w.contact(id, "p"+strings.TrimPrefix(id, "other:")+"@customer.example", "en")
				other := strings.HasPrefix(id, "other:")
				reached[notice.Person{ID: strings.TrimPrefix(id, "other:"), Other: other}] = true
			}
		}
		// all is what everybody would be told of, and in whose case address books matter.
		all := func() (told map[notice.Person][]string, inBook map[notice.Person]bool) {
			told, inBook = map[notice.Person][]string{}, map[notice.Person]bool{}
			for p, fields := range shown {
				join(told, p, fields)
			}
			for of, fields := range books {
				for _, p := range entries[of] {
					join(told, p, fields)
					inBook[p] = true
				}
			}
			return told, inBook
		}
		show("1") // so that there is somebody
		w.show("1", "name")
		join(shown, notice.Person{ID: "1"}, []string{"name"})
		for i := 2; i <= 5; i++ {
			show(strconv.Itoa(i))
		}
		for range 6 {
			enter()
		}
		w.open()
		spec := notice.Spec{Books: booksOf(books)}
		if seed%4 == 3 {
			spec.Books = nil
		}
		first := w.made(spec)
		told, _ := all()
		if spec.Books == nil {
			told = maps.Clone(shown)
		}
		if seed%4 == 2 { // it was never sent
			told = nil
		} else {
			check(t, w.book.Send(t.Context(), first.Number, "staff:kim", 0, 0))
			w.until(first.Number, inState(notice.Done))
		}
		if seed%4 == 1 { // and by post to whom no mail reaches
			_, err := w.book.Export(t.Context(), first.Number, "staff:kim", nil, "", io.Discard)
			check(t, err)
			for p := range told {
				reached[p] = true
			}
		}
		before := maps.Clone(shown)
		for range 3 {
			show(strconv.Itoa(1 + rng.IntN(7)))
			enter()
		}
		w.show("9", "phone")
		join(shown, notice.Person{ID: "9"}, []string{"phone"})
		w.version(first.Incident)
		second, err := w.book.Make(t.Context(), first.Incident, "staff:kim", notice.Spec{Since: 1, Books: booksOf(books)})
		check(t, err)
		now, inBook := all()
		n := int64(0)
		for p, fields := range now {
			was, had := before[p]
			skip := had && slices.Equal(was, fields) || len(fields) == 0
			if inBook[p] && reached[p] && told[p] != nil && slices.Equal(told[p], fields) {
				skip = true
			}
			got, err := w.book.Person(t.Context(), second.Number, p)
			switch {
			case skip && err == nil:
				t.Errorf("seed %d: %+v is told of %v again", seed, p, got.Fields)
			case !skip && (err != nil || !slices.Equal(got.Fields, fields)):
				t.Errorf("seed %d: %+v is to be told of %v: %v %+v", seed, p, fields, err, got)
			}
			if !skip {
				n++
			}
			if inBook[p] && told[p] != nil {
				if skip {
					left++
				} else {
					again++
				}
			}
		}
		if second.People != n {
			t.Errorf("seed %d: %d people, want %d", seed, second.People, n)
		}
		w.stop()
	}
	if left < 10 || again < 10 {
		t.Errorf("of people in address books %d were left alone and %d told again: the test shows little", left, again)
	}
}
