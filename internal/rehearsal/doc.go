// Package rehearsal tries rules before they go live: on the cases that stand in their files ([Test]), and on a ledger of the past beside
// the rules that are in force ([Replay]).
//
// Invariants:
//  1. A case is run through the real engine, with all the rules loaded: h is what it will be.
//  2. A case is about its own rule: what other detectors find in it is told, and decides nothing.
//  3. Nothing is kept, and nobody is told of anything.
//  4. Whom a finding accuses is counted by package scope over the whole ledger; what nobody knows is said to be not known.
//
// It trusts the labels of a simulated shop, and verdicts in the ledger.
//
// Read next: cases.go, replay.go.
package rehearsal
