//go:build race

package drill_test

// raceOn makes the case smaller: the detector slows it down tenfold.
const raceOn = true
