// Package figure writes counts the one way whosaw shows them to people: in full, never rounded, with commas
// (33,673,817), and with the noun that goes with them.
//
// Invariant: a figure that is written here can be read back exactly; there is no "about" and no "M".
package figure
