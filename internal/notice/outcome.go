package notice

import (
	"fmt"
	"slices"
)

// Outcome is what became of a person's notice. Numbers are on disk: they never change.
type Outcome int

// The outcomes. Those of one notice add up to its people.
const (
	Waiting    Outcome = 0  // nothing yet
	InFlight   Outcome = 1  // handed to the relay, which has not answered
	Sent       Outcome = 2  // the relay took it
	Deferred   Outcome = 3  // the relay said later; it is tried again
	Refused    Outcome = 4  // the relay refused it for good
	NoContact  Outcome = 5  // the shop knows no address
	BadContact Outcome = 6  // what the shop gave is no address
	InDoubt    Outcome = 7  // a crash or a broken connection came between the text and the answer: it may have gone out
	GaveUp     Outcome = 8  // the relay said later too often
	Bounced    Outcome = 9  // it came back
	Left       Outcome = 10 // it was in doubt, and somebody chose not to send it again
)

var outcomeNames = []string{"waiting", "in_flight", "sent", "deferred", "refused", "no_contact", "bad_contact", "in_doubt", "gave_up", "bounced", "left_in_doubt"}

func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomeNames) {
		return fmt.Sprintf("outcome %d", int(o))
	}
	return outcomeNames[o]
}

// MarshalText gives the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// OutcomeOf reads a name.
func OutcomeOf(name string) (Outcome, error) {
	if i := slices.Index(outcomeNames, name); i >= 0 {
		return Outcome(i), nil
	}
	return 0, fmt.Errorf("%q is no outcome: give one of %v", name, outcomeNames)
}

// may are the ways from one outcome to the next. Anything else is a mistake of ours, and is refused by the roster.
var may = map[Outcome][]Outcome{
	Waiting:    {InFlight, NoContact, BadContact, Deferred, Refused, GaveUp}, // the last three: refused before the text
	Deferred:   {InFlight, NoContact, BadContact, Deferred, Refused, GaveUp},
	InFlight:   {Sent, Deferred, Refused, InDoubt, GaveUp},
	InDoubt:    {Deferred, Left},
	Sent:       {Bounced},
	Refused:    {Deferred},
	NoContact:  {Deferred},
	BadContact: {Deferred},
	GaveUp:     {Deferred},
	Bounced:    {Deferred},
	Left:       {Deferred},
}

// Unreached are the outcomes of people whom another channel must reach.
var Unreached = []Outcome{NoContact, BadContact, Refused, GaveUp, Bounced}
