// Package console is the server's pages for people: the way in by a one-time link, and how the server is.
//
// Invariants:
//  1. Nothing is shown to somebody who is not signed in but the way in.
//  2. No inline script or style, no other host: the policy that is sent forbids both, and no page is put into a frame.
//  3. What came from a record or from outside is escaped by html/template.
//  4. A page that shows figures says when they were taken, and what it does not know.
//
// It trusts the API for who is asking and for the figures.
//
// Read next: console.go, then templates/.
package console
