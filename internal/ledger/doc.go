// Package ledger keeps records: numbered, on disk before they are acknowledged, once each, for years.
//
// [Open] a directory, [Ledger.Append] records, and ask a [View]: it lists the parts of the ledger,
// loads the accesses of a part by columns, and walks through the rest in order of sequence.
//
// New records go to the open log and into memory; when there are enough of them, they are sealed
// into an immutable segment of compressed columns, and the log is removed.
//
// Invariants:
//  1. What Append acknowledged is there after a crash at any instant, once, under its sequence.
//  2. Sequences begin at 1 and have no holes. A file that is missing or is not as it was written
//     is a [DamageError] with file and offset; nothing of it is used, and nothing is mended by guessing.
//  3. A record's canonical bytes ([Encode]) are the same before and after sealing, and in every
//     version of whosaw to come: field numbers are never given a new meaning.
//  4. Every byte below DIR/ledger is under a checksum.
//  5. After a failed write or sync nothing more is written until the ledger is opened again; but a
//     write for which there was no space is undone, refused with [ErrDiskFull], and can be tried again.
//  6. One process writes a directory. Readers come when there is no writer.
//  7. A [Ledger.Backup] holds all that was acknowledged before it began, up to one sequence. The one
//     before it stays whole until it is; what [Restore] makes of it is checked byte by byte.
//  8. [Verify] finds every change of a byte, and of a ledger whose root was saved every change of a
//     record, however much it has grown since. Sealing and new layouts change no root.
//  9. Only a [Ledger.Purge] removes records: whole segments, none that a hold keeps. What stays of one
//     says what it was; its sequences are never given again, and no root changes.
//  10. No error names a value of a record.
//
// It trusts the file system to keep what it synced, and the caller to give each record a source
// and position or an id: by these a record that comes again is known.
//
// Read next: docs/formats/ledger.md for the bytes; append.go for the way of a record to disk,
// log.go and segment.go for the files, view.go for the way back, backup.go for copies, verify.go for
// the proof that all is as it was written.
package ledger
