// Package server puts a server together: stores, ledger, detectors, guard, alarms, API and pages, in the order in which they need each
// other. `whosaw serve` runs one; a command on a directory without one runs a quiet one; the demo runs one beside a shop.
//
// Invariants:
//  1. The ledger is opened first: its lock is that of the data directory, and everything else there is the lock's holder's.
//  2. Close undoes Open from its end, also when Open came only half-way.
//  3. Who is told to stop stops in order: watchers, requests, doors, guard, detectors, stores. What was acknowledged is on disk.
//  4. A quiet server raises nothing, and listens to nobody but the owner of the directory.
//
// It trusts its configuration to be checked.
//
// Read next: server.go (Open, Run), kept.go (what lies in a data directory beside the ledger).
package server
