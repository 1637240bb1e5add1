// Package proxy puts the guard in front of a service in any language: a reverse proxy that judges requests, looks into JSON answers
// by the catalog, and lets an answer leave when it may.
//
// It is the middleware of package guard around net/http/httputil's proxy: what a handler says there, the proxy finds out in the
// answer. Routes of which the catalog does not say where an answer has what are judged as requests, and stream through untouched: downloads,
// events, WebSockets.
//
// Invariants:
//  1. Of a route that is looked into nothing leaves unread: an answer that is no JSON, is compressed, partial or too long is refused, unless
//     [Config.Unreadable] lets it through, and is counted.
//  2. An answer leaves whole as the service made it, but for what is masked.
//  3. What a client sends to make an answer partial or compressed does not reach the service on such a route.
//
// It trusts the service to tell the type of its answers truly.
package proxy
