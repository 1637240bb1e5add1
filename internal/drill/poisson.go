package drill

import "math"

// UpperLimit is the 95 % upper limit of the mean that n events in a fixed amount of honest traffic support: the rule of
// three where there were none, else the exact limit of a Poisson mean (Garwood 1936): the mean at which n or
// fewer events have a chance of 5 %.
func UpperLimit(n int64) float64 {
	if n <= 0 {
		return 3
	}
	lo, hi := float64(n), 2*float64(n)+10
	for range 100 {
		mid := (lo + hi) / 2
		if atMost(n, mid) > 0.05 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// atMost is the chance of n or fewer events at a mean.
func atMost(n int64, mean float64) float64 {
	sum, logTerm := 0.0, -mean // of 0 events
	for k := int64(0); ; k++ {
		sum += math.Exp(logTerm)
		if k == n {
			return min(sum, 1)
		}
		logTerm += math.Log(mean) - math.Log(float64(k+1))
	}
}
