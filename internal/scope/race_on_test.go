//go:build race

package scope_test

// defaultFilters is smaller under the race detector, which makes the counter some eight times slower.
const defaultFilters = 300
