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
//  2. A record that [Decoder.Decode] accepts is one that [Record.Validate] accepts unchanged, and
//     AppendJSON followed by Decode gives it back, as long as its line fits MaxLine.
//  3. An error names the member at fault and its cure, and never a value of the record:
//     values are personal data.
//  4. No credential that could be presented at a door stays in a record or a filter: [HashCredential].
//  5. Names are the contract's (docs/formats/records.md): one word per thing.
//
// Nothing is trusted: lines and filters may come from an attacker, and make nothing here panic or grow
// beyond a small multiple of their own size.
//
// Read next: record.go, filter.go, answer.go; docs/formats for the same in prose; decode.go and
// validate.go for the rules.
package whosaw
