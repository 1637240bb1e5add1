// Package config reads whosaw.yaml, the one file that says how a server runs.
//
// Every key is a field of a struct, here or in the package that it configures, and the field's comment is its manual:
// reference.yaml is made from those comments (go test ./internal/config -update), and `whosaw config example` prints it.
//
// Invariants:
//  1. The zero value is a server that works: loopback only, no channel, nothing followed.
//  2. A key that is not known, a value of the wrong kind or a combination that cannot work stops the start; the error names
//     the file, the line or the key, and the cure.
//  3. No secret stands in the file: keys that need one name a file or an environment variable.
//
// It trusts the file's owner. It opens nothing that the file names; the packages do that when they start.
//
// Read next: config.go, value.go.
package config
