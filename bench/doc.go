// Command bench loads the same accesses into whosaw and into DuckDB, asks both the same questions in
// the same run, checks that the answers are equal, and prints how long each took.
//
// The accesses are those of a large shop under the attack of a stolen signing key: access i of n is a
// pure function of (n, i), so they are streamed and never lie in a file, and both engines get the same.
//
// Rules of the comparison:
//  1. The peer has its best form: numbers and dictionary codes made by hand where it would have strings, the
//     fields as a bit mask, and "this token was issued" as a stored column. whosaw gets the records and the
//     issuances, as a product does, and finds out.
//  2. No timed question has been asked before in its process: every run has other bounds of time, off the
//     borders of days but where the question is about whole days, or another value.
//  3. Each engine answers in processes of its own. Warm is the median of the runs behind a first one, in a process before which the engine's
//     files were read once (if half of the memory holds them: one engine reads everything at its first question, another only what is asked for); cold is a
//     new process for each run, with the files' pages dropped from the system's cache, opening included.
//  4. All answers of all runs are compared, lists by a hash over their rows. One that differs ends the run.
//
// With -case it loads the attack at the share that it had in the case, asks what the key took, and compares that with what was made.
//
// It is a module of its own because DuckDB needs cgo, which stays out of the product.
//
// Read next: shop.go (the accesses), question.go (what is asked), whosaw.go and duckdb.go (the engines),
// run.go (the order of things), table.go (what is printed).
package main
