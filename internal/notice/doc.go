// Package notice tells people that their data was leaked: one notice a person, with exactly that person's fields, made from one scope version of an
// incident.
//
// [Book.Make] fixes who gets a notice, [Book.Letter] makes the texts that a second person approves ([Book.Approve]), [Book.Send] sends them in waves, [Book.Export] hands over
// those that e-mail does not reach, [Book.Genuine] tells anybody whether a code is of a true notice.
//
// Invariants:
//  1. A person has one row, with their own fields, and at most one notice is sent for it, unless somebody chose that what is in doubt be sent again.
//  2. That a notice is about to be handed to a relay is on disk before its text is sent, and what became of it after the answer. What a crash
//     finds between the two is in doubt: counted, said, and settled by a person. A person who is not in doubt got it once, or not.
//  3. Contact data (address, name, language's owner) come from the shop for each batch, and are gone with it: they are in no file, no log line, no
//     error, no event. The rows hold ids, fields, outcomes and a language.
//  4. Nothing is sent that was not approved by somebody other than who made it, in the words that were approved (by hash). Texts
//     that make the leak smaller than it is, or leave out a field, cannot be approved.
//  5. A person whom no address is known of has an outcome, like everybody else: outcomes add up to the people, always.
//  6. What people do with a notice is an event of its incident, and so in the ledger.
//  7. A code cannot be guessed (95 bits), names nobody, and is not kept: it is made from the notice's secret and the row.
//  8. A mail that is sent again has the Message-ID it had.
//
// It trusts the scope version for who is affected and by which fields, the shop's look-up for how to reach them, and the relay that what
// it took with 250 it delivers or sends back.
//
// Read next: notice.go (what a notice is), roster.go (one row a person), letter.go (what it says), run.go and smtp.go (the way out).
package notice
