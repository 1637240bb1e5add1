//go:build !race

package scope_test

const defaultFilters = 3000
