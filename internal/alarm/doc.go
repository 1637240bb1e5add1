// Package alarm tells people of findings: each channel once, over restarts, dead servers and full disks.
//
// [Dispatcher.Raise] records findings and, in the same transaction, what each channel is to tell. A sender for each channel
// ([Dispatcher.Run]) tells it and marks it told. A finding that nobody has judged is an alarm; [Dispatcher.Verdict] judges it.
//
// Invariants:
//  1. A finding is recorded once, by its id: a replay after a restart raises the same findings and tells nobody again.
//  2. What is recorded is told to every channel that was configured then, unless a suppression held at that moment;
//     a suppressed finding is recorded and counted. Nothing is given up: it is tried until it is taken.
//  3. Nothing is told twice while the process lives. If it is killed between the other side's answer and the mark, the same
//     message comes again under the same id (docs/formats/alarms.md says where each format carries it).
//  4. One channel's trouble does not hold up another, nor one refused message the next.
//  5. Quiet hours delay, they do not drop. Suppressions end by themselves.
//  6. No message names a customer: no subject, no credential, no principal that may be a person. No error, log line or
//     status holds a secret, a URL's path or what the other side wrote.
//  7. Deadlines that outlive the process are wall time and bounded: a clock that jumps delays a try by an hour at most,
//     and makes nothing told twice or never.
//
// It trusts the findings to be true, and the caller to raise them in order of sequence.
//
// Read next: message.go for what is said, dispatch.go and sender.go for the way out, a file per channel.
package alarm
