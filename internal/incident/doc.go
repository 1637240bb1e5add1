// Package incident keeps what happened after an alarm: who knew what and when, what was decided and why, which scope was the
// answer at which time, what was told to whom.
//
// An incident is its events, and nothing else: [Book.Record] adds one, [Book.Incident] folds them into what a person reads, and the clocks
// of the law (internal/regime) are made from the same.
//
// Invariants:
//  1. An event is never changed and never removed; the database refuses both. What was wrong is withdrawn by another event, with a
//     reason, and stays in sight.
//  2. Each event carries the hash of the one before. The hash goes into the ledger as an act, so a book that was written anew
//     disagrees with the ledger ([Book.Verify]).
//  3. An act is written after its event; what a crash left without one is written at the next [Book.Anchor].
//  4. A scope version is a filter, a sequence, a catalog, an answer, and the list of its subjects in a file whose hash is in the event.
//     A later version says, counted by subject, how it differs and why.
//  5. Who acts is given by the caller, from who is logged in. No event is without it.
//  6. A legal hold is set before an incident that suspects something is on record.
//
// An incident names no customer but by id, and those only in the lists of its scope versions.
//
// It trusts the caller to say truly who acts, and scope to be exact.
//
// Read next: event.go (what can happen), book.go (how it is kept), incident.go (what it comes to), version.go (scopes).
package incident
