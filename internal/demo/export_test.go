package demo

import (
	"slices"

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

// Complained gives the bounds of what counting by complaint can come to, by the thief's own list: who was surely shown to those addresses in that time,
// and who may have been. An access is on record between the question and the answer.
func (d *Demo) Complained() (least, most int) {
	w, _ := d.now()
	w.mu.Lock()
	s, list := w.scoped, []*attempt{w.tried, w.off, w.on}
	w.mu.Unlock()
	surely, maybe := map[int64]bool{}, map[int64]bool{}
	for _, a := range list {
		a.mu.Lock()
		for n, x := range a.got {
			if !slices.Contains(s.ips, addressOf(n)) {
				continue
			}
			if !x.asked.Before(s.from) && x.answered.Before(s.to) {
				surely[n] = true
			}
			if !x.answered.Before(s.from) && x.asked.Before(s.to) {
				maybe[n] = true
			}
		}
		a.mu.Unlock()
	}
	return len(surely), len(maybe)
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
