// Package auth says who is at the door of a server and what they may do: programs by token, people by a session that
// a one-time link began, and whoever owns the data directory by its unix socket.
//
// Invariants:
//  1. Secrets are drawn from 256 random bits, shown once, and kept as their SHA-256; comparison takes constant time.
//  2. A token that was revoked or has expired is refused at the next request: nothing is cached.
//  3. A one-time link works once, within its hour.
//  4. Who may send what is said for each token: the names of sources, and the types of records. The default is
//     accesses only, since who may send issuances or reasons can whitewash a theft.
//  5. Every change is made in the name of somebody, which is kept.
//  6. No error holds a secret or tells whether an id exists.
//
// It trusts the store to keep what it wrote, and the caller to hand in the clock and to record acts in the ledger.
//
// Read next: token.go, session.go.
package auth
