// Package door is how gateways and programs reach the guard: JSON over HTTP, nginx's auth_request, Envoy's ext_authz, and a feed of
// standing decisions. docs/formats/guard.md has the requests and answers of each.
//
// Invariants:
//  1. A question that cannot be read is answered with no.
//  2. A door on an address of its own listens on loopback or a unix socket, and speaks for itself only: the door's name
//     comes from the listener, never from the question.
//  3. What stands in an answer is a code, ids and times: no token, and nothing that a stranger wrote.
//  4. Bodies, batches and connections have bounds.
//
// It trusts the gateway in front of it to tell the client's address and the request as they are.
//
// Read next: decide.go, nginx.go, envoy.go, feed.go; listen.go opens what has an address of its own.
package door
