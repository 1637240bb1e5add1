package scope

// TopFirst sets how many groups Top counts out first.
func TopFirst(n int) { topFirst = n }
