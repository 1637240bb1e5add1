package whosaw

import "net/netip"

// Type is the kind of a record. The zero value is an access.
type Type uint8

// The types of records. Their numbers are stored in ledgers and never change.
const (
	TypeAccess   Type = 0
	TypeIssuance Type = 1  // a credential was given out by a log-in
	TypeSubject  Type = 2  // a customer exists, left, merged, or is planted (canary)
	TypePerson   Type = 3  // somebody of the house, and the keys they could read
	TypeKey      Type = 4  // a signing key's state
	TypeReason   Type = 5  // why a principal may open a subject's data
	TypeChange   Type = 6  // a declared change of the world: campaign, release, …
	TypeFeed     Type = 7  // how complete and how late a kind of records is
	TypeVerdict  Type = 8  // written by whosaw: a judgement on a finding
	TypeDecision Type = 9  // written by whosaw: what a guard did
	TypeAct      Type = 10 // written by whosaw: what an operator did
)

// typeNames is indexed by Type.
var typeNames = [...]string{
	"access", "issuance", "subject", "person", "key", "reason", "change", "feed", "verdict", "decision", "act",
}

// String gives the name used in JSON, "unknown" for a number without one.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// Outcome is what became of an access. The zero value is "not stated".
type Outcome uint8

// The outcomes. Their numbers are stored in ledgers and never change.
const (
	OutcomeUnstated  Outcome = 0
	OutcomeDisclosed Outcome = 1 // data of the subject was shown
	OutcomeAbsent    Outcome = 2 // the subject does not exist
	OutcomeRefused   Outcome = 3 // the access was not allowed
	OutcomeNone      Outcome = 4 // nothing was shown, for another reason
)

var outcomeNames = [...]string{"", "disclosed", "absent", "refused", "none"}

// String gives the name used in JSON, "" for OutcomeUnstated.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// MaxSubject is the longest subject id, in bytes. Longer ids are rejected, never cut:
// two customers must not become one.
const MaxSubject = 256

// MaxLine is the longest record line, in bytes. Longer lines are rejected and skipped.
const MaxLine = 1 << 20

// Record is one line of input: an access or a reference record.
//
// Strings of decoded records share memory with their neighbours'; see [Decoder] and [Record.Clone]. A Record
// holds no locks and may be copied; its slices are shared by the copies and must not be written.
// In JSON it is what [AppendJSON] writes: its own members, without Source and Position.
type Record struct {
	Type  Type
	ID    string // given by the sender; makes a repeat harmless. "": identity is Source and Position
	Time  int64  // event time, milliseconds since 1970 UTC, [MinTime, now + one day]
	Realm string // name space of subjects, keys, principals and credentials

	// Source and Position say where the record was read: set by the reader, never taken from
	// the record itself. Position is the byte offset in the decompressed source.
	Source   string
	Position int64

	// Subjects are the customers whose data was asked for, distinct, in the order given. On a
	// reference record of a type with one subject it is Subjects[0]. nil: the record names none.
	Subjects []string
	// Others is the number of entries about non-customers that the answer showed.
	Others int64
	// Route is "METHOD /template", or any name the source gives. Empty until a raw path is resolved.
	Route string
	// Method and Path are the raw request. They live only between decoding and the catalog's
	// resolution, and are never stored: a path holds personal data.
	Method, Path string
	// Fields were shown in clear, Masked shown masked. nil: the source did not say, so the catalog
	// does; empty and not nil: nothing was. Each is sorted and distinct; they do not overlap.
	Fields, Masked []string
	Status         int     // HTTP status, 100 to 999; 0: not stated
	Outcome        Outcome // as stated by the source; unstated on most logs

	Principal  string // who the credential claims to be: "customer:7", "staff:kim"
	Credential string // token id or session, as HashCredential gives it: never what could itself be presented
	Key        string // signing key id; on a key record, the key
	Client     string // OAuth client or app
	IP         netip.Addr
	Country    string // ISO 3166-1 alpha-2, upper case; T1 for Tor
	ASN        uint32 // 0: not stated
	Agent      string
	TLS        string // JA4
	Reason     string // the reason the caller claims; explains nothing by itself
	Bytes      int64  // size of the answer; 0: not stated
	Request    string // request id

	// Ref holds the members that only reference records have; nil on an access.
	Ref *Reference
}

// Reference holds the members of reference records. Which of them a type uses is said in
// docs/formats/records.md; the rest are zero. Times are milliseconds since 1970 UTC, 0 where missing.
type Reference struct {
	State      string // subject: active, withdrawn, merged, canary; person: active, left; key: active, retired, revoked
	Kind       string // reason: order, delivery, ticket, job; change: campaign, release, …; key: what happened to it; act: what was done
	Into       string // subject: the subject it was merged into; key: the key that replaces it
	Person     string // person: who; key: its owner
	Of         string // feed: issuance, subject, reason; act, verdict, decision: what it is about
	Use        string // key: what it signs
	Note       string
	Since      int64
	From       int64
	Until      int64
	Expires    int64
	LastLogin  int64
	Lag        float64 // feed: seconds a record may be late
	Lost       float64 // feed: share of records that never come, 0 to 1
	HasLost    bool    // feed: Lost was stated; 0 declares the feed complete
	Count      int64   // act: how many
	Contacts   []string
	Keys       []string // person: keys they could read
	Principals []string
	Readers    []string // key: who could read it
}

// MinTime is the earliest valid event time: 2000-01-01T00:00:00Z, in milliseconds since 1970.
const MinTime int64 = 946684800000

// MaxAhead is how far an event time may lie ahead of the reader's clock, in milliseconds: one day.
const MaxAhead int64 = 24 * 60 * 60 * 1000

// HasSubjects reports whether the record itself names a subject.
func (r *Record) HasSubjects() bool { return len(r.Subjects) > 0 }
