// Package sim is a made-up shop, Haneul Market, as awkward as a real one, and those who steal from it:
// records as whosaw reads them, and beside them the truth about every count.
//
// [Run] writes a shop's days as record lines in the order in which they arrive: accesses, log-ins
// (issuances), customers, keys, reasons, changes. [Truth] says what a scope of the attack, of the honest
// part and of everything must give; [Config].Observe sees each line with what the line does not say. Every
// number of the shop and of the attackers stands, with its source, in shop.yaml.
//
// Invariants:
//  1. The same Config gives the same bytes on any machine, with any version of Go and any number of
//     goroutines: draws come from a counter-based generator (internal/draw), and nothing in the output's
//     path uses floating point, the order of a map, the clock or time-zone data.
//  2. A draw depends on the seed, on what it is for, on whom and on the day, never on the draws made
//     before for somebody else. The honest records are the same in every scenario, but for their ids.
//  3. It streams: memory grows with the customers, with one day's records, and with the credentials of the
//     attack, which are counted, not with the days.
//  4. A log-in comes before its use, in the order of arrival. Every honest credential has an issuance, but for
//     the one in 100,000 that the feed loses or delays.
//  5. Nobody is real. Addresses and AS numbers are reserved ones (place.go). Nothing but forged credentials
//     and addresses occurs only in an attack: no agent, AS, country, client, key, route or id form.
//  6. An attack begins after the warm-up days and keeps to its share of the accesses.
//
// Read next: sim.go (Run), produce.go (the way of a day), shop.go and visit.go (customers), house.go and
// street.go (everybody else), calendar.go (what happens once), attack.go and a file an attacker, truth.go.
package sim
