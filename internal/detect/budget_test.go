package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// A budget of what no reason explains is spent by that alone, whatever else the program is shown, and may stand beside one of all.
func TestBudgetOfUnexplained(t *testing.T) {
	w := newWorld(70)
	w.job(3, 900, 2, 60)
	budgets := []detect.Budget{{Of: "principal:service", Day: 50, Unexplained: true}}
	_, fs := run(detect.Config{Budgets: budgets}, w.sorted())
	fs = by(fs, "budget")
	if len(fs) != 1 || fs[0].Unit != "principal:service:points" || fs[0].Statistic != 51 || fs[0].Filter[0].Explained == nil || *fs[0].Filter[0].Explained {
		t.Fatalf("findings %v", fs)
	}
	if lost := w.lost(w.sorted(), fs[0]); lost != 51 {
		t.Errorf("%d customers lost, want the one beyond the budget", lost)
	}
	if !strings.Contains(fs[0].Says, "no reason explained") {
		t.Errorf("it says %s", fs[0].Says)
	}
	w.checkMajority(t, w.sorted(), fs)

	budgets[0].Day = 61
	if _, fs := run(detect.Config{Budgets: budgets}, w.sorted()); len(by(fs, "budget")) != 0 {
		t.Errorf("within its budget: %v", fs)
	}
	both := append(budgets, detect.Budget{Of: "principal:service", Day: 700})
	_, fs = run(detect.Config{Budgets: both}, w.sorted())
	if fs = by(fs, "budget"); len(fs) == 0 || fs[0].Statistic != 701 || fs[0].Filter[0].Explained != nil {
		t.Errorf("beside a budget of all: %v", fs)
	}
}

// Of a list, those count whom nothing explains.
func TestBudgetOfUnexplainedLists(t *testing.T) {
	w := newWorld(71)
	for i := range 20 {
		r := get(start+int64(i)*minute, 0, true)
		r.Route, r.Principal, r.Subjects = "GET /exports", "service:reports", nil
		for k := range 10 {
			name := fmt.Sprint(1000 + 10*i + k)
			r.Subjects = append(r.Subjects, name)
			if k > 0 {
				one := r
				one.Subjects = []string{name}
				w.add(reasonRecord(r.Time, one))
			}
		}
		w.add(r)
	}
	at := func(day int64) []raised {
		_, fs := run(detect.Config{Budgets: []detect.Budget{{Of: "principal:service", Day: day, Unexplained: true}}}, w.sorted())
		return by(fs, "budget")
	}
	if fs := at(19); len(fs) != 1 || fs[0].Statistic != 20 {
		t.Errorf("findings %v", fs)
	}
	if fs := at(20); len(fs) != 0 {
		t.Errorf("findings %v", fs)
	}
}

// Nobody's cap is spent by what a reason explained at once.
func TestBudgetOfUnexplainedIsSilent(t *testing.T) {
	w := newWorld(72)
	w.job(2, 900, 9, 60)
	w.add(whosaw.Record{Type: whosaw.TypeReason, Time: start, Principal: "service:night", Ref: &whosaw.Reference{Kind: "job", From: start, Until: start + day}})
	for i := range 900 {
		r := get(start+hour+int64(i)*second, 5000+i, true)
		r.Principal = "service:night"
		w.add(r)
	}
	if _, fs := run(detect.Config{Budgets: []detect.Budget{{Of: "principal:service", Day: 1, Unexplained: true}}}, w.sorted()); len(by(fs, "budget")) != 0 {
		t.Errorf("findings %v", fs)
	}
}

// A server's clock is two minutes slow: what it shows seems to come before the order that explains it, which is on record all the same when it
// is shown. Nobody's budget is spent by that.
func TestBudgetOfUnexplainedBySlowClock(t *testing.T) {
	shown := func(slow int64, without int) (*world, []raised) {
		w := newWorld(73)
		for i := range 300 {
			at := start + hour + int64(i)*2*second
			r := get(at-slow, 1000+i, true)
			r.Principal = "partner:seller-37"
			order := reasonRecord(at, r)
			order.Ref.Until = at + 14*day
			w.add(order)
			w.add(r)
			if i < without {
				r = get(at-slow+second, 5000+i, true)
				r.Principal = "partner:seller-37"
				w.attack(r)
			}
		}
		_, fs := run(detect.Config{Budgets: []detect.Budget{{Of: "principal:partner", Day: 100, Unexplained: true}}}, w.records)
		return w, by(fs, "budget")
	}
	if _, fs := shown(2*minute, 100); len(fs) != 0 {
		t.Errorf("within its budget: %v", fs)
	}
	// The hundred and first without an order is found all the same, and only those without one are accused.
	w, fs := shown(2*minute, 101)
	if len(fs) != 1 || fs[0].Statistic != 101 || w.lost(w.records, fs[0]) != 101 {
		t.Fatalf("findings %v", fs)
	}
	w.checkMajority(t, w.records, fs)
	// A clock that is off by more than the tolerance explains nothing.
	if _, fs := shown(6*minute, 0); len(fs) != 1 || fs[0].Statistic != 101 {
		t.Errorf("six minutes off: %v", fs)
	}
}
