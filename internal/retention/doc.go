// Package retention removes what is too old, and keeps what a legal hold keeps, with both on record in the ledger.
//
// Invariants:
//  1. What removes, and what lets something be removed, is on record before it is done; what keeps holds
//     before it is on record. So a crash leaves a record of more than was done, or a hold without a record, never
//     a removal that nobody wrote down.
//  2. Nothing is removed while the record of a hold is in the ledger and the hold itself is not.
//  3. What is derived from removed records goes with them.
//
// It trusts the ledger to remove whole segments only, to leave a tombstone of each, and to look at the holds again
// when one goes (internal/ledger, purge.go and legalhold.go).
package retention
