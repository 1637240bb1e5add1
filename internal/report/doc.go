// Package report tells people what an investigation found: as a message on the terminal ([WriteText]) and as one
// HTML page ([WriteHTML]). It counts nothing and decides nothing: [Data] holds the answers, this package words them.
//
// Invariants:
//  1. A figure stands in full, after its sign: = where the records tell it exactly, ≥ where a gap touches
//     it, with the gap in words right below. There is no "about". Entries of others carry no sign.
//  2. No finding is not "all is well": beside it stands which detectors could not judge, and why.
//  3. Whatever came from a log is shown by [Safe]: control, bidirectional and invisible characters become
//     visible escapes, so they cannot draw on a terminal or turn a line round. On the page html/template escapes the rest.
//  4. The page is one file: no script, no other host, and a policy in it that forbids both.
//  5. The size of the page and of the message is bounded, however large the investigation: buckets,
//     rows and cards are capped, and what was left out is said. Customers' ids are listed by a command only.
//  6. Somebody is said to have used a credential; nobody is called guilty, and a claim is called a claim.
//
// It trusts its caller for the answers, and nothing that a record said.
//
// Read next: data.go (what it is given), words.go and gap.go (sentences both outputs share), text.go, html.go, plot.go.
package report
