// Package public is the pages for everybody: is this notice genuine, was I affected, the notice that is posted. They have a listener of their
// own; nothing of the console and the API is on it.
//
// # The look-up
//
// Whoever knows what a customer is called must not be able to find out whether he is in the list. So what is looked up is no id and no hash
// of one: a customer fetches a secret, HMAC(key, incident, customer), after logging in at the shop. Everybody can, affected or not. The browser
// hashes the secret with the build's salt, asks for the bucket that the first bits name, and compares by itself.
//
// Invariants:
//  1. What a page, its size and its time say of a person depends on a secret of 128 bits and on nothing else that is known of him.
//  2. All buckets are of one length. A bucket holds the entries of at least 256 people of the list (or of all, where there is one
//     bucket) and decoys; without the key and the secrets nobody can tell which is which, nor find an entry again in the next build.
//  3. The script makes the same requests whatever the answer is. Pages that say an answer are of one length.
//  4. A slip, a secret of another incident or of a lost key is refused. It is never answered with "not in the list".
//  5. Codes and secrets stand behind the # of an address or in a body; never in a path, a query, a log line or an error.
//  6. A look-up is built from one scope version, with memory that does not grow with it, and stands under its name whole or not at all.
//  7. A posted notice shows the sentences that were signed off, no others, and how long it has stood.
//  8. No cookie, no inline script or style, no other host.
//
// It trusts the shop to hand a secret only to the customer whose it is, and incident to be true.
//
// Read next: secret.go, build.go and lookup.go for the look-up, pages.go for the rest.
package public
