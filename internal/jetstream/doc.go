// Package jetstream reads records from streams of NATS JetStream and hands them to the ledger.
//
// A [Consumer] reads one stream through a durable pull consumer. A message holds one or many lines, plain or compressed with gzip or
// zstd, in any format of docs/formats/sources.md.
//
// Invariants:
//  1. A message is acknowledged only after the ledger has made all of it durable, and the acknowledgement is confirmed by the
//     servers. Whatever is lost in between is delivered again.
//  2. A line's position is its message's sequence in the stream and its number in the message: the same at every delivery, so
//     what comes again is known. The source is the configured name and the stream's.
//  3. A message without one good line is rejected, kept among the rejects and given up with the reason; it never comes again. A
//     message that is good in part is acknowledged, its bad lines are rejects.
//  4. Twice Batch messages at most are on their way. While the ledger takes nothing, nothing more is asked for, and the
//     servers are told that work goes on. Of their content, decompressed, max_decompressed bytes at most are held at once.
//  5. Nothing ends reading but the context: servers that are gone, a stream or consumer that is missing, a wrong password show in the
//     status, since when and with the cure, and are tried again with growing pauses.
//  6. No secret is in the configuration (files hold them), in an error, log line or status.
//
// It trusts NATS to keep a stream's sequences. A stream that is removed and made again begins at 1: its lines are told from the old
// ones by their times.
//
// Read next: consumer.go (from connection to acknowledgement), message.go (from message to records), status.go.
package jetstream
