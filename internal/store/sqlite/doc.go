// Package sqlite keeps the state of a server that is not the ledger: findings and who was told of them, verdicts,
// suppressions, tokens, positions. One file, DIR/state.db, in SQLite's format.
//
// [Open] gives a [DB]. Packages that own tables write with [DB.Write] and read with [DB.Read]; this one knows no table
// but brings the schema up to date from migrations/, where each owner has a range of numbers: alarm 1 to 9,
// accounts and tokens 10 to 19, positions of followed inputs 20 to 29, pages 50 to 59, incidents 60 to 69, notices
// 70 to 79. The people of a notice are millions, so each notice has a file of its own ([OpenWith]).
//
// Invariants:
//  1. What Write returned nil for is on disk (write-ahead log, synchronous FULL), all of it or, on an error, nothing.
//  2. One writer at a time; readers see the last committed state and block nobody.
//  3. The file and what SQLite puts beside it are readable by their owner only.
//  4. A file that is damaged, or whose schema is newer than this binary, is refused before anything is written to it; the
//     error names the file and the cure. A schema that is older is brought up to date.
//  5. After an I/O fault or damage nothing more is written until the file is opened again; a full disk is no such fault.
//  6. A migration that was released is never changed: what is to be different comes as a new one.
//
// It trusts the caller to hold the lock of the data directory, and the file system to keep what it synced.
//
// Read next: migrations/ for the tables, sqlite.go for the rest.
package sqlite
