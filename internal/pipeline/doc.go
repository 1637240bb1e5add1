// Package pipeline is the spine: records are appended to the ledger, observed by the detectors in the ledger's
// order, and what the detectors found becomes attacks with exact scopes. A [Case] reads logs, in order of time,
// and ends; a [Live] takes what many senders hand in, and runs.
//
// Invariants:
//  1. Detectors see records in sequence order, each once, and only after the ledger has acknowledged them:
//     a replay of the ledger gives the same findings.
//  2. A line is accepted, a repeat or rejected; the three add up to the lines read.
//  3. However the work ends (end of input, cancel, error, kill), what was acknowledged is in the
//     ledger once, and reading the same logs again completes it.
//  4. One attack is one scope, however many detectors saw it.
//  5. A running ledger holds a bounded number of records in memory: when the detectors cannot follow, senders wait.
//  6. A finding is kept before its record counts as judged: after a crash it is raised again, with the same id.
//  7. Who handed a batch in stands in the ledger right behind it.
//
// It trusts the packages it joins to keep their own promises.
//
// Read next: case.go (open, import), importer.go (the stages), feed.go (records in order of arrival), live.go and take.go
// (the running ledger), habit.go (which sources fell silent), investigate.go (the answer), attack.go (findings to scopes).
package pipeline
