// Package regime knows, as data, what a law asks after a breach: who must be told, by when, from which moment, of what, and what
// excepts from it.
//
// laws/ has a file for each law; [Load] adds a user's own or replaces a shipped one by its id. [Evaluate] makes the clocks of one incident.
// None of it is advice: each law names its source, the day it was written down, and what its text leaves open, and every answer
// ends with counsel.
//
// Invariants:
//  1. A clock is a function of the law's text, the incident's marks, what was done, and now. There is no other clock and no zone
//     but the law's own.
//  2. What is not known is never taken for "no": a duty that hangs on an unknown fact is unsure, names that fact, and runs meanwhile.
//  3. Where people disagree about when a moment was, the earliest rules, and the due times by the others are shown beside it.
//  4. A law without a number ("without delay") gets no invented one: its clock counts up.
//  5. A version is chosen by the moment that starts the clock. A version whose day of force is not known starts none.
//  6. A law is refused unless it has source, date, content and a cure for each condition it asks.
//
// Read next: law.go (the data), fact.go (what conditions ask), clock.go (the clocks), laws/.
package regime
