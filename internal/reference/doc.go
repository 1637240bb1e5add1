// Package reference answers what reference records say about an access: was its credential issued, is
// there a feed that would say so, whose is it, is it explained, what was the subject's and the key's state.
//
// Invariants:
//  1. An answer depends only on the records applied, in sequence order, never on when it is asked: an Index
//     of the records up to a sequence gives the answer as of that sequence.
//  2. Nothing is an estimate. Hashes find entries; the full text decides.
//  3. A realm is a world of its own: nothing in one answers for another.
//  4. Histories are ordered by the event time a record holds from (its `since`, its `from`, or else its time); of
//     two that hold from the same moment the later in sequence wins.
//  5. Questions write nothing: any number may run at once, but not beside Apply.
//  6. What no record says is reported as not said, never as a default.
//
// Memory, measured by TestMemory: about 70 bytes for an issuance with a 16-byte credential, 50 for a subject
// with a numeric id. Credentials with several different issuances cost more, but no
// number of them makes a question slow.
//
// A bounded index ([Index.Bound]) forgets the oldest issuances, and answers as if there had been none: for the detectors,
// which keep other account of them. What answers people's questions is never bounded.
//
// An index that ages ([Index.Age]) lets go of issuances with an end once that is over, and counts them as none from five minutes after it on: for the
// guard, which refuses what has ended; what says no end is held for good, or as long as [Index.Longest] says. At most about twice as many are held as are in use.
//
// It trusts records as the ledger gives them. It knows nothing of catalogs, filters and detectors.
//
// Read next: index.go (the questions), issuance.go, feed.go, subject.go, key.go, policy.go, reason.go; names.go and
// spans.go are the two containers they stand on.
package reference
