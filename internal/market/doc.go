// Package market is a made-up shop, Haneul Market, and the theft of a signing key: records as whosaw
// reads them, and beside them the truth about every count.
//
// [Run] writes a shop's days as record lines in the order in which they arrive: accesses, log-ins
// (issuances), customers, keys, reasons. [Truth] says what a scope of the attack, of the honest
// part and of everything must give. The example in examples/shop is one such run.
//
// Invariants:
//  1. The same Config gives the same bytes on any machine and with any version of Go: draws come
//     from a counter-based generator of our own (internal/draw), and nothing in the
//     output's path uses floating point, the order of a map, the clock or time-zone data.
//  2. A draw depends on the seed, on what it is for, on whom and on the day, never on the draws made
//     before for somebody else: a customer's days do not change when another customer is added.
//  3. It streams: memory grows with the customers and with one day's records, not with the days.
//  4. A log-in comes before its use. Every honest credential has an issuance, no forged one has.
//  5. Nobody is real. Addresses and AS numbers are those reserved for documentation and
//     benchmarks (RFC 5737, 3849, 2544, 5398); nothing but the forged credentials and the
//     addresses they come from occurs only in the attack: no agent, AS, country, client or id form.
//
// Read next: market.go (Run), honest.go (who comes and goes), attack.go (the theft), truth.go.
package market
