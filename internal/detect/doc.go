// Package detect finds mass reading of customers' data: sequential tests over yes/no questions whose honest
// answer is nearly always no.
//
// [Engine.Observe] takes every record in sequence order and gives the findings it raises. A unit (a key, a
// client, a principal, a credential, a cell, a network, an address) gathers evidence; a finding is an
// accusation with a filter, of which more than half of what it matches is accused. The statistics,
// their assumptions and what they cannot see are in docs/detection.md.
//
// Invariants:
//
//  1. Causal: a finding depends only on the records up to the one that raised it, and on the catalog. Records
//     after Finding.Seen do not change it, where no clock is wrong; the time of one that is does not make Seen later.
//
//  2. Deterministic: no clock, no chance (but the seed of a cache that changes no answer), no order of a map. Equal records in equal order give equal findings, however
//     they are batched.
//
//  3. The false-alarm bound holds per trial: one trial per test, unit and distinct subject (for unissued:
//     distinct credential, for refused: address) per day of event time. Facts and caps are outside it.
//
//  4. A unit whose statistic is not zero is never forgotten. When memory is short it flows into its coarser unit, or stays.
//
//  5. An access that meets the filter of a raised finding (of refused: of which that names a part) drives no other unit of that detector, and teaches
//     no baseline.
//
//  6. Nothing of a record is kept but hashes, times and the identifiers that a filter will name; and, while it waits for its issuance
//     or reason, what judging it needs.
//
//  7. What is held between two records can be written and read again (state.go), and what follows is the same as without.
//
//  8. One attack is one finding: what shows the same cause elsewhere widens the open one. Growth is later history: it changes
//     nothing of what was raised. A verdict acts from its own sequence on; one that it was none speaks for the same job (precedent.go), within what was judged.
//
// It trusts the catalog and the reference records to be true: a reason that explains everything hides everything.
// Units are told apart by a 64-bit hash without a secret (replay must give the same); a collision, made or met, can mix
// the evidence of two units, but a filter always names the values of the record that raised it.
//
// Read next: engine.go (one record's way), cusum.go (the test), rule.go (what it goes by), then a file per detector; accuse.go builds the filters, dossier.go follows what
// was raised.
package detect
