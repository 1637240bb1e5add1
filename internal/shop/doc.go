// Package shop is a small web shop of a made-up company, Haneul Market: what a service that whosaw watches looks like, for `whosaw demo` and for
// people who want to see how a service is connected.
//
// It has pages for customers and for a call-centre desk ([Shop.Handler]), and a JSON API as a mobile app would use it ([Shop.API]). The pages
// stand behind the public middleware and say themselves what they show; the API knows nothing of whosaw and is meant to stand behind
// `whosaw proxy`. Log-ins, sign-ups, withdrawals and tickets are told to a server as records ([Config.Send]).
//
// Its one fault is there on purpose: it takes any token with a right signature of its main or its backup key, without asking whether a log-in
// issued it. [Shop.StolenKey] gives the backup key to a demo's thief.
//
// Invariants:
//  1. Nothing here is of a real person: names are drawn from lists, telephone numbers, mail addresses and streets from ranges and domains that
//     nobody has.
//  2. Whom and what a page shows is said before its first byte is written, and nothing else of a customer stands on a page: no name in the
//     header, no number in a title.
//  3. A log-in's issuance is on its way before the token is given out, and the log-in waits a moment for it to be on record. Whether whosaw can be
//     reached never decides whether somebody can log in.
//  4. No address, log line or error holds a name, an address, a password or a token. Numbers of customers stand in the desk's addresses only.
//  5. All customers follow from the seed, and the file is the truth afterwards: it is opened again as it was left.
//
// It trusts nobody who sends a form: what was typed is bounded, kept as it came and escaped where it is shown. It stands on the public packages of
// this module alone, as any service would.
//
// Read next: shop.go, page.go (what each page says it shows), token.go (the fault), report.go (what whosaw is told), make.go (the customers), contact.go (how people are
// reached, for who tells them of a leak).
package shop
