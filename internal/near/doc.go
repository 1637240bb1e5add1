// Package near brings memory near: whoever has many places to read gathers them and has the processor fetch them all, so that the waits
// overlap. Reading them, even without using what is read, overlaps less: a processor holds only so many instructions back.
//
// Invariants:
//
//  1. Nothing is changed by it but what lies in the processor's caches, whatever addresses are gathered.
//
//  2. A gathered address keeps nothing alive, and is not gone through: what lay there may be gone.
//
//  3. What Large gives is memory of the collector like any other, whether or not the system has large pages for it.
//
// Fetching is written for amd64 and arm64. Elsewhere it does nothing, and programs wait.
package near
