// Package follow reads log files as they grow, through rotation, restarts and crashes, and hands their lines to the ledger.
//
// What is followed is not a file but a generation: what the log's writer wrote from one rotation to the next. Generations are
// known by content (the first 4 KiB, and what stands before the place where reading stopped), so it does not matter whether one is
// renamed, copied, compressed, or found again after a week. A log's files are looked at every 200 ms by asking the file system.
// There is no notification by the kernel, for polling must work anyway (network file systems, limits of watches, a
// watch that is set too late), costs some four microseconds for each file, and one way is tested better than two.
//
// Invariants:
//  1. A position is stored only after the ledger has acknowledged what is before it. A crash reads lines again; they have the
//     same source and position, so the ledger knows them.
//  2. Bytes are skipped only where a generation begins with bytes that are, by hash, those that were read. In doubt a file is
//     read from its beginning: that gives repeats, never a loss.
//  3. The position of a line is its byte offset in its generation, decompressed, as in a later reading of the rotated file.
//  4. What was read from a file counts only if the file began afterwards still as before: truncation and overwriting are seen even
//     if the file is longer again.
//  5. A line is handed over when it ends; the last one of a rotated file without line feed, when the file has been quiet for Settle.
//  6. Memory is bounded: about 2 MiB a log, whatever stands in it. While the ledger takes nothing, nothing is read.
//  7. A file that cannot be read never stops the others. It shows in the status and is tried again.
//  8. Text of a log is in no error, log line, status or state.
//
// What no reader can get: lines that copytruncate cuts off between its copy and its truncation, unless they were read in that
// moment, and a generation that comes and goes between two looks, or while whosaw is down. Two lines of one source at the same offset
// of two generations with the same time are taken for one record; if their content differs, the ledger rejects and counts the second.
//
// It trusts the file system's device and inode numbers only while it holds a file open.
//
// Read next: generation.go (what is known of one), file.go (bytes), log.go (which file holds what; reading), find.go and
// name.go (which files belong to a log), follow.go (the rounds), store.go (state.db).
package follow
