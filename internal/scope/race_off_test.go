//go:build !race

package scope_test

const defaultFilters = 3000

// defaultMemoChecks is how many lives of a ledger TestMemo goes through.
const defaultMemoChecks = "100"
