// Package guard judges requests before data is shown: is the credential real, was it ever issued, does its customer
// exist, is its key alive, is there a decision against it, is its actor inside its budget?
//
// A door asks [Guard.Decide] about each request. A door that sees the answer asks [Guard.Observe] before the answer
// leaves: only there can customers be counted and fields masked. What a door can enforce it declares
// ([Kind.Can]); a configuration that asks more of it is refused ([Config.Check]), never silently left out.
//
// Invariants:
//  1. What is remembered of a token is its signature check and its claims, under the SHA-256 of the whole token. Whether it
//     was issued, what state its key has, what stands against it and what its actor has left are read each time.
//  2. A credential that was never issued passes only while the count of unconfirmed credentials of its key allows, and each
//     that passes is in the ledger: a restart, another address or a short-lived token gives no new allowance.
//  3. No memory grows with what a stranger sends: forged tokens leave the cache as they came, and everything that waits
//     or counts has a bound that is stated where it is defined.
//  4. Until the state is loaded, and when it cannot be trusted, a route does what its policy says, and it is counted,
//     logged and shown.
//  5. A standing decision expires, can be undone, and outlives the process: it is on disk before it holds.
//  6. In shadow mode every answer is allow; what it would have been is recorded.
//  7. No token is kept, logged, counted or shown: only its id, or its hash.
//  8. Lifetimes are measured by the monotonic clock; clocks of others are believed within the stated skew.
//
// It trusts reference records to be true, and doors to say truthfully what they saw.
//
// Read next: decision.go (the words), door.go (what each door can), config.go (policy), guard.go (one request's way).
package guard
