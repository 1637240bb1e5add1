// Package answer finds, in a JSON answer, whose data it shows and which fields, by the places that a catalog names, and masks
// fields in it.
//
// Invariants:
//  1. What is found depends on the places and the bytes alone; the order of members does not matter, and a member that is there twice counts twice.
//  2. Masking changes the bytes of the masked values only, and what it gives is JSON again.
//  3. An answer that is no JSON document is an error, never an answer that shows nothing.
//  4. Depth is bounded; memory is a bounded multiple of the answer.
//
// Read next: place.go (the words), scan.go.
package answer
