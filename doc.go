// Package whosaw is the contract between whosaw and the world: records, filters and answers.
//
// A [Record] says who opened whose data (an access), or what is true about the world (a
// reference record: an issuance, a subject, a key, …). A [Filter] picks accesses. A
// [ScopeAnswer] says exactly whose data the picked accesses disclosed. Programs that send
// records use [AppendJSON]; programs that read whosaw's answers decode them into the types of
// answer.go with encoding/json.
//
// Invariants:
//  1. Only the standard library is imported here.
//  2. A record that [Decoder.Decode] accepts is valid, and AppendJSON followed by Decode gives it back.
//  3. An error names the member at fault and its cure, and never a value of the record:
//     values are personal data.
//  4. Names are the contract's (docs/formats/records.md): one word per thing.
//
// Read next: record.go, filter.go, answer.go; docs/formats for the same in prose.
package whosaw
