// Package browsertest clicks through pages in headless Chromium. Tests import it, the product does not.
//
// A package's TestMain calls Main, a test opens a Tab and walks: Visit, Click, Type, Key, Wait, Shows. Clean pages are
// held by Axe, Wide and Lacks.
//
// Invariants:
//
//  1. Whatever acts on a page finds its element by a selector at the moment it acts, sees that it is there, in its
//     place and not covered, acts, and sees that the element got it. What a navigation or a swapped part took away is
//     looked for again; what was done is not done twice.
//  2. Nothing waits for a time. Everything waits for a condition, for at most patience.
//  3. A failure says the page's address, what was looked for, what was there instead, and the page's text.
//  4. A tab that closes fails its test if a script of the page threw, if the content security policy forbade
//     something, or if another host than the test's own was asked.
//  5. One Chromium for a package's tests, one browser context (cookies, cache) for a tab.
//  6. Without Chromium or axe-core a test is skipped; under WHOSAW_STRICT=1 it fails.
//
// A selector is CSS, or XPath where it begins with "//"; it means the first element that it matches.
package browsertest
