// Package api is what programs say to a running server over HTTP and over the unix socket in the data directory:
// records in, questions, findings, status. openapi.yaml describes it; a test holds handlers and description together.
//
// Invariants:
//  1. Records are acknowledged when they are durable. A body that is sent again, whole or in part, is taken once.
//  2. Who sends may send only the sources and types of records of its token; who asks is in the ledger with the question,
//     before the answer.
//  3. A question ends when its asker goes, when its time is over, or when its memory is spent. A bounded number is worked on
//     at once, and none holds up the records.
//  4. Errors have one form: a code of six, a sentence, a cure. They hold no value of a record and no secret.
//  5. Live figures are worked out once a second, however many watch; a watcher that does not read misses figures and holds
//     up nobody.
//  6. Requests by cookie are taken from our own pages only, and under our own names only (DNS rebinding).
//
// It trusts whoever connects to the unix socket to own the data directory: the file's mode sees to that.
//
// Read next: api.go (routes, who is asking), error.go, then a file per thing that can be asked.
package api
