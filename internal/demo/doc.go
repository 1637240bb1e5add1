// Package demo is `whosaw demo`: a made-up shop, its customers, a server that watches it and a thief with its backup key, on loopback, and a page
// that leads through what happens.
//
// It is the real product on real requests. Customers, agents and the thief ask the shop over HTTP, through the public middleware and the
// reverse proxy; the server is the one that `whosaw serve` runs, with a whosaw.yaml and a data directory; every figure on the page is counted
// by the server in its ledger.
//
// Invariants:
//  1. No figure is made up: what a page says was lost is what a scope of the ledger gives, with ≥ before it until the thief has stopped and every
//     record has arrived. What the thief really got is kept apart from it: for the tests, and as the list beside which the scope versions are shown.
//  2. Whatever the visitor does, nothing listens beyond loopback, no other host is asked, and what was written is gone at the end unless a
//     directory was named.
//  3. A step of the story begins when the one before it has stopped. Each is in the table of story.go, and knows nothing of the others but what
//     the world keeps.
//  4. Requests under another host's name, and forms from other pages, are refused. Nobody else can take the visitor's place: what the page can do is
//     to begin steps of a made-up theft, and to sign in to a server that holds nobody's data.
//  5. No clock is moved: what the page says of days ahead is what the laws' clocks come to then, and is said to be so.
//  6. The privacy office works over the server's API, two people with a token each. What it does is in parts, each done once, so that whoever goes on
//     in the middle finds the rest done.
//
// It trusts the machine it runs on: whoever has an account there may look at the demo.
//
// Read next: demo.go (what runs), world.go (one shop and its server), story.go (the steps), thief.go, honest.go,
// breach.go and telling.go (the privacy office), mailroom.go, page.go.
package demo
