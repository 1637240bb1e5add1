package regime

// BusinessDay is for tests.
var BusinessDay = businessDay
