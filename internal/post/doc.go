// Package post sends record lines to a running whosaw: POST /v1/records, newline JSON, compressed or not.
//
// A [Sender] is an io.Writer that takes whole lines. It collects them into bodies of about a mebibyte and sends
// one at a time, so the records arrive in the order in which they were written.
//
// Invariants:
//  1. When Close has returned nil, the server has acknowledged every line that was written.
//  2. A body that was not acknowledged is sent again: records that carry an id are counted once however often
//     they come. A server that asks for patience (429, 503) gets it, for as long as it asks.
//  3. The token stands in the Authorization header of requests to the one address it is for, never in an error,
//     and goes in clear over the network only to this machine.
//  4. At most one body is held in memory.
package post
