// Package keys keeps the register of signing keys, from issue to disposal, and works the offboardings of people who leave.
//
// [Keeper] is the register with what can be done to it; [Register] folds the ledger's key, person and act records; [Preview] says
// whom a kill would log out; [Offboarding] lists what somebody who left could use, and what became of each.
//
// Invariants:
//  1. The ledger is the truth: a register folded from the same records says the same, whoever folds it. In state.db there is only what no
//     record holds: public keys.
//  2. Who typed that somebody could read a key is told apart from who read it by an audit log. Neither takes anything from the other.
//  3. What is done to a key or a person is one append: the record of the world and the act that says who did it and why.
//  4. A killed key is out of the key set before the kill is acknowledged, and no restart brings it back. A retired one stays until the
//     last credential that it signed can have expired.
//  5. No private key is taken, kept or shown: what holds one is refused.
//  6. An offboarding closes only when each of its items is done and its refusal was seen: by the guard's own decision on a request made for
//     that purpose, or in the ledger, on real requests. Which of the two is on record.
//  7. A preview is exact: it counts, it estimates nothing, and says what the ledger cannot tell. What is kept of whole segments, in bounded
//     memory, changes how long it takes and never what it says.
//
// It trusts who may write key and person records, and the guard's decision to be the one that its doors get.
//
// Read next: register.go, keeper.go (what can be done), preview.go (with tally.go), offboarding.go (with met.go), publickey.go and store.go (the key set).
package keys
