// Package index keeps, beside each sealed segment of a ledger, a file that answers what was disclosed
// without reading the segment: a block.
//
// A block has the segment's accesses sorted by origin: who asked, from where, with what key. An access is a row,
// or as many rows as it has subjects: the subject, the shape (everything that decides what was shown), the
// time. Origins and shapes are told by numbers of short dictionaries, so a filter looks at each origin
// once, and then reads the rows of those it wants.
//
// Invariants:
//  1. A block is derived: it says nothing that its segment does not say, and can be built again from it. It is used for
//     the very segment it was built from, known by the hash of its footer, and for no other.
//  2. Nothing of the catalog and of reference records is in a block: they are applied when a question is asked. A side table says as
//     of which sequence it holds, and is made again when a later record touches it.
//  3. Every byte is under a checksum, which is looked at before the byte is used. A block that is missing, of another version
//     or not as it was written is no error: whoever asks reads the segment instead. That holds for one that is cut short or written to
//     while it lies mapped, too: who reads does so under [Guarded], and asks Intact when all was read.
//  4. A file appears under its name when it is whole, and never changes.
//  5. What is built takes a bounded multiple of one segment; what is read lies in mapped files, which the
//     system may drop from memory at any time. What is of no use any more is unmapped when no view can be reading it.
//
// Beside a block lie a digest (digest.go: what every question must know of a segment) and a side table (issued.go: which credentials were issued, as
// of a sequence; issuer.go: what it takes to make it when the segment is sealed, and what is missing later). For many segments together, finders tell where subjects are (finder.go, finders.go).
// Single rows are read without being mapped (reader.go).
//
// It trusts the ledger that a segment never changes. It is not in backups: it is built again.
//
// Read next: build.go (from columns to rows), block.go (what can be read), column.go and monotone.go (origins), find.go (one
// subject's rows), rest.go and record.go (records put together from rows), tops.go (who may have been shown most), file.go (the
// bytes; docs/formats/ledger.md has them too), store.go (the directory).
package index
