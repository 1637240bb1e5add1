package rules

import (
	"errors"
	"fmt"
	"strings"
)

// Budget is a cap of new customers: not shown to the actor in the 90 days before. The detectors, the cases of a rule and the guard
// have the same.
type Budget struct {
	// Whom it caps, each for itself: principal:CLASS for all principals CLASS:… (staff, partner, service, customer, …), client:NAME
	// for an application, key:NAME for a key. Not the client or key of all your customers: those show everybody.
	Of string `yaml:"of"`
	// How many new customers a day (UTC). 0: no cap a day.
	Day int64 `yaml:"day"`
	// How many new customers in thirty days. 0: no such cap.
	Month int64 `yaml:"month"`
	// Count only customers whom no reason explains when they are shown; a reason that comes later gives nothing back. A program that is
	// shown thousands a day, each with an order, can so have a cap of a hundred. It may stand beside a cap of all.
	Unexplained bool `yaml:"unexplained"`
}

// Check reports what is wrong with a budget.
func (b Budget) Check() error {
	what, name, _ := strings.Cut(b.Of, ":")
	switch {
	case what != "principal" && what != "client" && what != "key" || name == "":
		return fmt.Errorf("of: %q: give principal:CLASS, client:NAME or key:NAME", b.Of)
	case what == "principal" && strings.Contains(name, ":"):
		return fmt.Errorf("of: %q: give the class alone, the word before the colon, such as principal:staff", b.Of)
	case b.Day < 0 || b.Month < 0 || b.Day+b.Month == 0:
		return errors.New("give day, month or both, above zero")
	case b.Month != 0 && b.Month < b.Day:
		return errors.New("month must not be below day")
	}
	return nil
}
