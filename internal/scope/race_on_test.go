//go:build race

package scope_test

// defaultFilters is smaller under the race detector, which makes the counter some eight times slower.
const defaultFilters = 300

// defaultMemoChecks is how many lives of a ledger TestMemo goes through.
const defaultMemoChecks = "4"
