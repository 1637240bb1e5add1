package scope

// TopFirst sets how many values Top counts out first.
func TopFirst(n int) { topFirst = n }

// TopSmall sets what Top holds at once, and from how many codes on it numbers those that occur, to little.
func TopSmall(held int64, dense int) { topHeld, denseFrom = held, dense }
