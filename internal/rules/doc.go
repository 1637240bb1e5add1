// Package rules reads what the detectors go by: which units a detector watches, how rare its hit must be for honest traffic, which
// attack rates it looks for, and how many false alarms it may bring, as YAML files that anybody can read and replace.
//
// [Shipped] are the rules that come with whosaw, one file for each detector, beside this file. [Load] lays a directory of the user's own
// over them, by name. Each rule carries cases in the same file: short histories that it must find something in, and others that it
// must be silent on. Package rehearsal runs them through the real detectors.
//
// Invariants:
//  1. A rule that is on has a case that fires and one that does not; without both it is refused.
//  2. What is not known is refused, with file, line and cure: a misspelt member would be a rule that does less than it says.
//  3. A user's rule can only say what the shipped rule of its detector says too: units of its list, settings of its names.
//     What it leaves out is as shipped.
//  4. There is one rule for each detector at most.
//  5. Cases are the same on any machine: no clock, no chance.
//
// It trusts nothing of the files' contents, and knows no detector: what a rule may say is what the shipped one says.
//
// Read next: rule.go (a rule), set.go (all of them), case.go (the histories).
package rules
