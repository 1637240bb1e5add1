// Package joint judges several ledgers as one: what several servers each recorded a part of. [Judge] brings the records of all into one case, in the
// order in which they happened, and says of each attack what any of the ledgers alone would have shown of it.
//
// Invariants:
//  1. The sources are read, never written.
//  2. Every record of the world is taken once, however many of the sources hold it. What operators did stays on record where they did it; but what says
//     which records are missing, and what the house asks of its keys, is taken.
//  3. Of one source the order is kept. Between sources records are in the order of their times; a clock that is wrong for a few records holds nobody up.
//  4. The joint findings are those of one engine that saw the joint ledger. Where there are several realms, several engines share them and are merged
//     (see [pipeline.Case.Share]), which is the same.
//  5. What a source alone would have found is found by the same rules, from its own records only.
//  6. What retention removed of a source is said; it is in no figure.
//
// It trusts the sources' times as far as the detectors do.
//
// Read next: judge.go, order.go (who is next), attack.go (who would have seen what).
package joint
