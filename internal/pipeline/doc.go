// Package pipeline is the spine: logs are read in order of time, appended to the ledger, observed by the
// detectors in the ledger's order, and what the detectors found becomes attacks with exact scopes.
//
// Invariants:
//  1. Detectors see records in sequence order, each once, and only after the ledger has acknowledged them:
//     a replay of the ledger gives the same findings.
//  2. A line is accepted, a repeat or rejected; the three add up to the lines read.
//  3. However the work ends (end of input, cancel, error, kill), what was acknowledged is in the
//     ledger once, and reading the same logs again completes it.
//  4. One attack is one scope, however many detectors saw it.
//
// It trusts the packages it joins to keep their own promises.
//
// Read next: case.go (open, import), importer.go (the stages), investigate.go (the answer), attack.go (findings to scopes).
package pipeline
