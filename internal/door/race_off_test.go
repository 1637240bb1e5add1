//go:build !race

package door_test

const race = false
