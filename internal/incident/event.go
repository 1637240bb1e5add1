package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/regime"
)

// Kind is what an event is.
type Kind string

// The kinds of events, with the members of [Event] they use.
const (
	Opened    Kind = "opened"    // Title; Findings, or Complaint in Note
	Marked    Kind = "marked"    // Moment, When, Note: a moment came; Person: who says so, if not who records it
	Withdrawn Kind = "withdrawn" // Of (a mark or statement), Note: it was wrong
	Joined    Kind = "joined"    // Findings: they belong here too
	Owned     Kind = "owned"     // Person
	Tasked    Kind = "tasked"    // Title, Due, Person
	Worked    Kind = "worked"    // Of (a task), Note
	Requested Kind = "requested" // Title (what is asked), Person (the authority), When, Due
	Handed    Kind = "handed"    // Of (a request), Title (what was handed over), Note, Version
	Answered  Kind = "answered"  // Fact, Answer, Note: a question of the law
	Counted   Kind = "counted"   // Fact (a jurisdiction), Count: residents
	Noted     Kind = "noted"     // Note
	Held      Kind = "held"      // Hold
	Released  Kind = "released"  // Hold, Note
	Scoped    Kind = "scoped"    // Scope
	Stated    Kind = "stated"    // Statement: a sentence of a report, verified or not
	Signed    Kind = "signed"    // Document, Hash
	Told      Kind = "told"      // Law, Duty, When, Document, Hash, Version: a duty was fulfilled
	Linked    Kind = "linked"    // Incident: an earlier one
	Noticed   Kind = "notice"    // Notice, Title (what was done with it), Version, Hash, Count, Note
	Closed    Kind = "closed"    // Note
	Reopened  Kind = "reopened"  // Note
	Offered   Kind = "offered"   // Title (as the public knows it), Version (0: the last there is): whoever is asked for may look up whether he is in it
	Ended     Kind = "ended"     // Note: the look-up is over
	Posted    Kind = "posted"    // Law, Duty, Version, Title, Days, Texts: the notice to everybody stands on the public pages
	Missed    Kind = "missed"    // Of (a posted notice), When, Until: it could not be read meanwhile
	Purged    Kind = "purged"    // Version, Hash, Note: retention removed the list of a scope version
	Removed   Kind = "removed"   // Of (a posted notice), Note where its days are not over: it does not stand any more
)

// Event is one thing that happened. Number, At and Who are set when it is recorded; which of the others must be there depends on Kind.
type Event struct {
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Kind   Kind      `json:"kind"`
	Body
}

// Body is what an event says.
type Body struct {
	Title     string        `json:"title,omitempty"`
	Note      string        `json:"note,omitempty"` // why, mostly
	Moment    regime.Moment `json:"moment,omitempty"`
	When      *time.Time    `json:"when,omitempty"` // it happened, which may be before it is recorded
	Due       *time.Time    `json:"due,omitempty"`
	Person    string        `json:"person,omitempty"`
	Of        int64         `json:"of,omitempty"` // the number of another event
	Findings  []string      `json:"findings,omitempty"`
	Fact      string        `json:"fact,omitempty"`
	Answer    regime.Answer `json:"answer,omitempty"`
	Count     *int64        `json:"count,omitempty"`
	Hold      uint64        `json:"hold,omitempty"`
	Version   int           `json:"version,omitempty"` // of the scope
	Scope     *Version      `json:"scope,omitempty"`
	Statement *Statement    `json:"statement,omitempty"`
	Document  string        `json:"document,omitempty"` // its name
	Hash      string        `json:"hash,omitempty"`     // of the document, SHA-256 in hex
	Law       string        `json:"law,omitempty"`
	Duty      string        `json:"duty,omitempty"`
	Incident  int64         `json:"incident,omitempty"`
	Notice    int64         `json:"notice,omitempty"`
	Until     *time.Time    `json:"until,omitempty"`
	Days      int           `json:"days,omitempty"`
	Texts     []PostedText  `json:"texts,omitempty"` // of a posted notice, one a language
}

// Statement is a sentence that goes into a report.
type Statement struct {
	Content  string `json:"content"` // which of the contents that laws ask for it is
	Lang     string `json:"lang"`
	Text     string `json:"text"`
	Verified bool   `json:"verified"`
	Source   string `json:"source,omitempty"` // by what it was verified
}

// MaxText bounds what people write, in bytes.
const MaxText = 20_000

// check says what is missing in an event, with the cure.
func (k Kind) check(b *Body) error {
	need := func(is bool, what string) error {
		if is {
			return nil
		}
		return fmt.Errorf("%s: give %s", k, what)
	}
	var errs []error
	for _, text := range []string{b.Title, b.Note, b.Person} {
		if len(text) > MaxText {
			errs = append(errs, fmt.Errorf("%s: a text is longer than %d bytes: keep it short and link to the rest", k, MaxText))
		}
	}
	why := need(strings.TrimSpace(b.Note) != "", "a reason: who reads it later was not there")
	switch k {
	case Opened:
		errs = append(errs, need(b.Title != "", "a title"), need(len(b.Findings) > 0 || b.Note != "", "the finding it comes from, or what was reported and by whom"))
	case Marked:
		errs = append(errs, why, need(slices.Contains([]regime.Moment{regime.Suspected, regime.Aware, regime.Confirmed, regime.Contained, regime.Material, regime.Notified, regime.Found}, b.Moment),
			"a moment: suspected, aware, confirmed, contained, material, notified or found"), need(b.When != nil, "when it was"))
	case Withdrawn, Worked:
		errs = append(errs, why, need(b.Of > 0, "the number of what it is about"))
	case Joined:
		errs = append(errs, need(len(b.Findings) > 0, "the findings"))
	case Owned:
		errs = append(errs, need(b.Person != "", "the person"))
	case Tasked:
		errs = append(errs, need(b.Title != "", "what is to be done"))
	case Requested:
		errs = append(errs, need(b.Title != "", "what is asked for"), need(b.Person != "", "the authority"), need(b.When != nil, "when it came"))
	case Handed:
		errs = append(errs, need(b.Title != "", "what was handed over"), need(b.Of > 0, "the number of the request"))
	case Answered:
		_, known := regime.Questions[b.Fact]
		errs = append(errs, why, need(known, "one of the questions of the law"), need(b.Answer == regime.Yes || b.Answer == regime.No, "yes or no"))
	case Counted:
		errs = append(errs, why, need(b.Fact != "", "the jurisdiction, as in US-CA"), need(b.Count != nil && *b.Count >= 0, "how many people"))
	case Noted, Closed, Reopened:
		errs = append(errs, why)
	case Held:
		errs = append(errs, need(b.Hold > 0, "the legal hold"))
	case Released:
		errs = append(errs, why, need(b.Hold > 0, "the legal hold"))
	case Scoped:
		errs = append(errs, need(b.Scope != nil, "the scope"), why)
	case Stated:
		errs = append(errs, need(b.Statement != nil && b.Statement.Text != "" && len(b.Statement.Text) <= MaxText, "the sentence"))
		if b.Statement != nil && b.Statement.Verified {
			errs = append(errs, need(b.Statement.Source != "", "by what it was verified"))
		}
	case Signed:
		errs = append(errs, need(b.Document != "" && len(b.Hash) == 64, "the document and its hash"))
	case Told:
		errs = append(errs, need(b.Law != "" && b.Duty != "", "the law and the duty"), need(b.When != nil, "when"))
	case Offered:
		errs = append(errs, need(strings.TrimSpace(b.Title) != "", "a title by which the public knows the incident"), need(b.Version >= 0, "a scope version, or none for the last"))
	case Ended:
		errs = append(errs, why)
	case Posted:
		errs = append(errs, need(b.Law != "" && b.Duty != "" && b.Version > 0 && b.Days > 0 && len(b.Texts) > 0, "law, duty, scope version, days and texts"),
			need(strings.TrimSpace(b.Title) != "", "a title by which the public knows the incident"))
	case Missed:
		errs = append(errs, need(b.Of > 0 && b.When != nil && b.Until != nil, "the posted notice, from when and until when"))
	case Purged:
		errs = append(errs, why, need(b.Version > 0 && len(b.Hash) == 64, "the scope version and the hash of its list"))
	case Removed:
		errs = append(errs, need(b.Of > 0, "the number of the posted notice"))
	case Linked:
		errs = append(errs, need(b.Incident > 0, "the earlier incident"), why)
	case Noticed:
		errs = append(errs, need(b.Notice > 0 && b.Title != "", "the notice, and what was done with it"))
	default:
		errs = append(errs, fmt.Errorf("%q is no kind of event", k))
	}
	return invalid(errors.Join(errs...))
}

// ErrInvalid is what somebody asked for that cannot be recorded; the error says the cure.
var ErrInvalid = errors.New("not as it must be")

type fault struct{ error }

func (f fault) Is(target error) bool { return target == ErrInvalid }
func (f fault) Unwrap() error        { return f.error }

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fault{err}
}

// chain gives the hash of an event: SHA-256 over the hash before, incident, number, time in milliseconds, and who, kind and body with their lengths before them.
func chain(before []byte, incident int64, e *Event, body []byte) []byte {
	h := sha256.New()
	h.Write(before)
	var n [8]byte
	for _, v := range []int64{incident, e.Number, e.At.UnixMilli()} {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	for _, text := range [][]byte{[]byte(e.Who), []byte(e.Kind), body} {
		binary.BigEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		h.Write(text)
	}
	return h.Sum(nil)
}

func encodeBody(b *Body) ([]byte, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return text, nil
}
