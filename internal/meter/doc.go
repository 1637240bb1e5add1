// Package meter measures what is being shown now: new subjects a minute by route, against the route's own season; the actors that
// were shown most subjects in the last hour, against their own past. It is for people to watch; it raises nothing.
//
// Invariants:
//  1. Counts are of sets, never estimates. When a set is full, what could not be counted is said ([Snapshot.Full]), and the
//     minute is a gap.
//  2. A record counts at its own event time. The clock is the caller's: what is older than the memory is passed over.
//  3. The same records give the same measure, so a restart that reads the ledger again has it back.
//  4. A season is of days before today only. Each of them gives its highest and its lowest minute of the hour, and the season is
//     the middle one of the days: one day with a theft in it does not teach that theft is normal.
//  5. Memory is bounded: routes, actors and pairs of them with subjects.
//
// It trusts detect to say what an access showed, to whom.
//
// Read next: meter.go, season.go, actor.go.
package meter
