// Package scope answers exactly whose data was disclosed: counts, the list of subjects, one subject's
// accesses, who saw most, and how it went over time, for any filter over a ledger's view.
//
// Invariants:
//  1. An answer equals what a scan of every record would give, never an estimate. What the records cannot
//     tell is a gap in the answer, never silence.
//  2. What an access showed (fields, outcome, subjects by join) and whether it was issued or explained is
//     worked out when the question is asked, from the catalog and the reference records; nothing of
//     it is stored, and an engine keeps no answer. Only a [Memo] keeps sums: of whole segments, and of one up to a
//     sequence, under one catalog, with the reference records' part that decided them, and in bounded memory. A [Known] keeps records, not answers.
//  3. Each term of a filter sees the accesses and reference records up to its own as_of. A union counts an
//     access once; of its subjects it keeps those that any matching term keeps. If terms with
//     different as_of see an access differently, it is disclosed if one of them sees it so.
//  4. A subject is an id within a realm. The same id in two realms is two subjects; "7" and "007" differ.
//  5. A filter member whose column has a dictionary is judged once per entry, not once per access.
//  6. The order in which parts are read, and by how many workers, never shows in an answer, nor does whether a part's
//     block was asked or the part itself was read.
//
// It trusts the ledger to give every record of the view once, catalog.Show to be pure, and
// reference.Index to know the records that were applied to it.
//
// Read next: engine.go (what can be asked), compile.go (a filter made ready), scan.go (how parts are
// read), access.go (what one access showed), hit.go (what a filter's terms make of it), table.go (the sums
// per subject), gaps.go. Then the same from blocks: block.go, marker.go and marks.go (Count), lines.go (List), blocktop.go
// (with topworker.go, blockdim.go, toprows.go, subjectset.go), blocksubject.go, blockissued.go; lists as text: listcsv.go. What reference records say, of how many there may be: known.go, issuances.go,
// reasons.go. What pages are made of: memo.go,
// memocount.go, memopage.go, memocourse.go, memovalues.go, memodiff.go, memocut.go. Accesses judged one by one: judge.go, judgepage.go, knownfew.go.
package scope
