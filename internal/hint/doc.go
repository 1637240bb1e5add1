// Package hint says what somebody may have meant by a word that is not known, or a path at which nothing lies.
//
// Invariants:
//
//  1. It looks at names only, never into a file.
//  2. It says where a path stops leading anywhere, and from which directory it was looked for: a relative path means
//     something else elsewhere.
//  3. It names only what exists, at most three names, and none where none is near.
package hint
