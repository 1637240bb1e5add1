// Package snapshot writes what a program holds in memory to a file, and reads it again: streamed, by one walk for both
// directions, so that what is written is what is read.
//
// A part of the state has a function that walks over its members with a [Codec]: it writes them, or reads into them. There is no
// reflection and no copy of the state, so tens of millions of entries cost what their bytes cost. [Write] puts it into a file with a
// header; [Open] and [File.Read] read it.
//
// Invariants:
//  1. A file is whole or not there: it is written under another name, synced, and renamed; a crash leaves the one before.
//  2. Damaged is not read: every block has a checksum, and the end says how many blocks there were. A reader gets an error
//     before it gets a wrong byte.
//  3. Equal state gives equal bytes: maps are written in order of their keys.
//  4. No input makes a decoder panic or take memory beyond what the input's own length, and the bounds of the caller, allow.
//  5. A file of another version, or of another header, is not read: the caller builds its state anew.
//
// It knows nothing of what the state is. The bytes are in docs/formats/state.md.
//
// Read next: codec.go (the walk), file.go (blocks and header).
package snapshot
