// Package catalog says which route shows which fields to whom.
//
// A catalog is a file written by hand ([Load]) or, where the user gave none, the rules of [Rules]. It is
// used twice. While a source is read, a [Resolver] turns each raw path into a route and takes the subject
// from path or query; the path itself goes no further. When a question is asked, [Catalog.At] and
// [Version.Route] find the entry for a stored route and [Show] tells what an access showed. So a field
// that was forgotten in the catalog is mended for the past too.
//
// Invariants:
//  1. Every answer is a function of its arguments. The rules never look at other records: cutting the
//     input does not change how an access is read. (The cap on shapes looks back only, and never
//     takes a subject away.)
//  2. A route made here holds no personal data: segments that could be ids or names are placeholders, and
//     nothing of a query string is kept.
//  3. Matching visits each node of a version's tree at most once: no path is expensive.
//  4. A subject is never cut, joined or made up: an id that cannot be kept whole is left out, and the access
//     then counts as one that names nobody.
//  5. Static text beats a placeholder, a placeholder beats {rest...}, from left to right.
//  6. The order of the versions in the file does not matter, and at most one is valid at any time.
//
// It trusts the catalog's author about fields and outcomes, and a record about its status. It does not
// trust paths: they are written by whoever makes the request.
//
// The [Suggester] is for people: it counts over a whole log, names templates and guesses whose data
// they show, and writes a catalog file to start from. It decides nothing about accesses.
//
// Read next: catalog.go (what there is), show.go (what an access showed), resolve.go (from paths to
// routes), shape.go and rules.go (paths that no template knows); docs/formats/catalog.md for users.
package catalog
