// Package issued holds which credentials were issued, of any number of them, in bounded memory.
//
// A credential may be used years after its log-in, and must then not be called never issued; nor must a forged one be called issued. So every
// issuance is kept, in 24 bytes, most of them in sorted runs in files.
//
// Invariants:
//
//  1. Answers are exact: 96 bits of a SHA-256 over realm and credential tell credentials apart, so that nobody can make one that meets
//     another's; of the principal 64 and of the key 32 bits are compared.
//  2. Nothing is forgotten. Where no file can be written, a run is held in memory.
//  3. What cannot be read may have been issued: nobody is accused for a bad disk. It is counted, and who must be exact asks no further then.
//  4. Files are derived. Only a state of detection names them (Archive.State); what no state names goes.
package issued
