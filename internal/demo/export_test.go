package demo

import (
	"slices"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw/internal/shop"
)

// Taken are the customers on the thief's own list of a step, in order. It waits for nothing: the step must have settled.
func (d *Demo) Taken(id string) []int64 {
	a := d.attemptOf(id)
	if a == nil {
		return nil
	}
	return a.customers()
}

// Codes are what refusals in a step said of themselves.
func (d *Demo) Codes(id string) map[string]int64 {
	a := d.attemptOf(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes
}

func (d *Demo) attemptOf(id string) *attempt {
	w, _ := d.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[string]*attempt{"tried": w.tried, "harvest": w.off, "guard": w.on, "key": w.last}[id]
}

// Failed is how many requests of honest people came to nothing, and how many of the thief's.
func (d *Demo) Failed() (honest, thief int64) {
	w, _ := d.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range []*attempt{w.tried, w.off, w.on, w.last} {
		if a != nil {
			a.mu.Lock()
			thief += a.failed
			a.mu.Unlock()
		}
	}
	return w.honest.failed.Load(), thief
}

// Books are those of the thief's customers in all steps whose list of addresses they were shown.
func (d *Demo) Books() map[int64]bool {
	out := map[int64]bool{}
	for _, id := range []string{"tried", "harvest", "guard"} {
		if a := d.attemptOf(id); a != nil {
			a.mu.Lock()
			for n, s := range a.got {
				if s.book {
					out[n] = true
				}
			}
			a.mu.Unlock()
		}
	}
	return out
}

// Truth is the thief's own list: by customer, what they were shown in clear.
func (d *Demo) Truth() map[string][]string {
	w, _ := d.now()
	return w.truth()
}

// Others are the entries of other people that the thief was shown, by name and telephone number.
func (d *Demo) Others() map[string]bool {
	out := map[string]bool{}
	for _, id := range []string{"tried", "harvest", "guard"} {
		a := d.attemptOf(id)
		if a == nil {
			continue // skipped
		}
		a.mu.Lock()
		for _, s := range a.got {
			for _, o := range s.others {
				out[o] = true
			}
		}
		a.mu.Unlock()
	}
	return out
}

// Listed is who is in a scope version, with the fields.
func (d *Demo) Listed(t testing.TB, version int) map[string][]string {
	w, _ := d.now()
	list, err := w.listOf(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, row := range list {
		out[row.Subject] = row.Fields
	}
	return out
}

// Mail is a notice as it came.
type Mail struct{ To, Lang, Plain, Page, Code, Signed string }

// Mails are all notices that came to people.
func (d *Demo) Mails(t testing.TB) []Mail {
	w, _ := d.now()
	w.room.mu.Lock()
	total := len(w.room.got)
	w.room.mu.Unlock()
	var out []Mail
	for i := range total {
		l, err := w.room.letter(i)
		if err != nil {
			t.Fatal(err)
		}
		if w.room.got[i].from == noticeFrom && l.to != sampleMail {
			out = append(out, Mail{l.to, l.lang, l.plain, l.page, l.code, l.signed})
		}
	}
	return out
}

// Public is where the public pages are, for everybody.
func (d *Demo) Public() string {
	w, _ := d.now()
	return w.noticeURL
}

// Visitor is how the visitor logs in at the shop.
func (d *Demo) Visitor() (email, password string) {
	w, _ := d.now()
	return w.visitor.Email, w.visitor.Password
}

// Complained gives the bounds of what counting by complaint can come to, by the thief's own list: who was surely shown to those addresses in that time,
// and who may have been. An access is on record between the question and the answer.
func (d *Demo) Complained() (least, most map[string]bool) {
	w, _ := d.now()
	w.mu.Lock()
	s, list := w.scoped, []*attempt{w.tried, w.off, w.on}
	w.mu.Unlock()
	surely, maybe := map[string]bool{}, map[string]bool{}
	for _, a := range list {
		a.mu.Lock()
		for n, x := range a.got {
			if !slices.Contains(s.ips, addressOf(n)) {
				continue
			}
			if !x.asked.Before(s.from) && x.answered.Before(s.to) {
				surely[strconv.FormatInt(n, 10)] = true
			}
			if !x.answered.Before(s.from) && x.asked.Before(s.to) {
				maybe[strconv.FormatInt(n, 10)] = true
			}
		}
		a.mu.Unlock()
	}
	return surely, maybe
}

// Refused is how many requests of honest people were refused.
func (d *Demo) Refused() int64 {
	w, _ := d.now()
	return w.honest.tally().refused
}

// World is what the story happens in.
func (d *Demo) World() (server, shopPages string) {
	w, _ := d.now()
	return w.srv.URL(), w.shopURL
}

// Pages are the routes and fields by which people are made to come.
func Pages() map[string][2][]string {
	out := map[string][2][]string{}
	for _, p := range slices.Concat(webPages, appPages, []page{deskPage}) {
		out[p.route] = [2][]string{p.fields, p.masked}
	}
	return out
}

// BackupKey is the stolen one.
const BackupKey = shop.BackupKey

// Again asks for a new world, as the button does, and reports whether another one is to be made.
func (d *Demo) Again() bool {
	d.again()
	return len(d.anew) > 0
}
