// Package ingest reads logs: files, directories and standard input, compressed or not, in any of the
// formats of docs/formats/sources.md, and gives whosaw records in order.
//
// Reading has two steps. [NewPlan] looks at the inputs: it walks directories, recognises compression
// and format, and names sources; what cannot be read is said before anything is read. [Read] decodes
// everything, resolves raw paths through the catalog, sorts, and emits.
//
// Invariants:
//  1. Nothing is lost silently: in every summary Lines = Accepted + Rejected, blank lines aside. A bad
//     line, a line too long, a cut archive are a counted reject each, with source, position and reason.
//  2. A record's position is the byte offset of its line (or array element) in decompressed data, and its
//     source does not depend on the file's name or compression: the same log gives the same records.
//  3. The order of emission is a function of the set of inputs: by time, reference records before
//     accesses, source, position. Names and order of files, worker count and memory budget do not show.
//  4. Memory is bounded: by the sort's budget, beyond which it goes to disk, and by MaxLine per line,
//     whatever an archive expands to.
//  5. No line, value or token in an error: reasons name members and positions. Rejected lines themselves
//     go to the reject file only, mode 0600.
//  6. Parsers never panic on input, whatever it is; each is fuzzed.
//
// It trusts nothing in a log but the catalog's reading of it; the file system is trusted to give the same
// bytes for the same file within one run.
//
// Read next: ingest.go (the two steps), plan.go, blocks.go (bytes to lines), then one parser per file
// (combined.go, mapped.go, cloudtrail.go, vault.go; keymap.go says where signing keys lie), sort.go.
package ingest
