// Package doctor says what a set of records can and cannot answer, and what to add to the logs so
// that they can: the share of accesses that name a subject, a credential, a key and an origin, the
// detectors that can judge, the stretches of silence, and the lines that mend it.
//
// Invariants:
//  1. Its figures are counts over the records, never estimates.
//  2. A detector it calls blind raised nothing because it had nothing to judge: silence is never called calm.
//  3. It advises at most three members, the one that opens most first.
//
// It trusts the ledger's view and the detectors' own account of what they judged.
//
// Read next: examine.go, then setup/ for the lines themselves.
package doctor
