//go:build race

package sim_test

// The race detector makes everything ten times as slow: the shops are smaller.
const raceOn = true
