package figure_test

import (
	"math"
	"testing"

	"github.com/whosaw/whosaw/internal/figure"
)

func TestInt(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 33_673_817: "33,673,817", -4: "−4", -1234: "−1,234",
		math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "−9,223,372,036,854,775,808",
	} {
		if got := figure.Int(n); got != want {
			t.Errorf("Int(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	for n, want := range map[int64]string{0: "0 customers", 1: "1 customer", 4383: "4,383 customers"} {
		if got := figure.Of(n, "customer", "customers"); got != want {
			t.Errorf("Of(%d) = %q, want %q", n, got, want)
		}
	}
}
