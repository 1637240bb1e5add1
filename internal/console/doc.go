// Package console is the server's pages for people: what is being shown now, findings, scopes, one customer's accesses, keys and
// people, how the server is.
//
// Invariants:
//  1. Nothing is shown to somebody who is not signed in but the way in.
//  2. No inline script or style, no other host: the policy that is sent forbids both, and no page is put into a frame.
//  3. What came from a record or from outside is escaped by html/template, and made visible where it would draw on the page
//     ([safe]).
//  4. A page that shows figures says when they were taken, and what it does not know. A count has = or ≥ before it; silence is
//     never Quiet.
//  5. No customer's id, credential or token stands in an address or a title: filters and customers have handles there, drawn at
//     random.
//  6. Whoever looks at customers' data or exports it is in the ledger with the question, before the answer: once, however many turns
//     the answer to one look at one part takes ([looks]).
//  7. Live parts are made once a second for each language, however many watch; a watcher that does not read misses some and
//     holds up nobody.
//
// It trusts the API for who is asking and for what is recorded, and the meter and the engines for the figures.
//
// Read next: console.go, frame.go (what every page has), watch.go (what changes from second to second), then a file a page.
package console
