// Package drill says what whosaw would have noticed: it runs a shop with an attacker whose every access is known
// through the same ledger and detectors as live traffic, and holds the findings against the truth.
//
// There are three drills. [Run] takes a scenario of the simulated shop; [Onto] weaves an attack into the visitor's own
// records; [Harvest] sends a harmless harvest of planted customers to a running server and waits for its alarm.
//
// Invariants:
//  1. The detectors see what they would see live: the records go through [pipeline.Feed], and nothing in them but
//     the source, which no detector reads, says what is an attack.
//  2. Every figure is a count over labelled records, never an estimate; a limit is said to be one. Filters are evaluated
//     by package scope over the whole ledger.
//  3. A customer is lost once: from the first access of the attack that disclosed it, by event time. Planted customers are
//     nobody and are not counted.
//  4. A finding belongs to the attacker whose accesses are more than half of what its filter matches up to Seen; else it is a false alarm. One without a filter, which rests on records of keys and people, is neither.
//  5. What was never noticed is said to be never noticed, and counts as worse than any number.
//  6. Nothing is kept: ledgers are throwaway directories. [Onto] sends nothing anywhere.
//
// It trusts package sim's labels.
//
// Read next: run.go (one run), score.go (findings against truth), summary.go (several seeds), onto.go and weave.go, server.go.
package drill
