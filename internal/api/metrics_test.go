package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/api"
)

// One stream may be read twice, under two sources: accesses of all its subjects, issuances of those that the log-in alone publishes.
func TestMetricsOfOneStreamReadTwice(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Inputs = func() []api.Input {
			return []api.Input{{Kind: "nats", Name: "SHOP", Source: "nats/SHOP", Behind: 1}, {Kind: "nats", Name: "SHOP", Source: "login/SHOP", Behind: 2}}
		}
	})
	out := httptest.NewRecorder()
	w.api.Metrics(true).ServeHTTP(out, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil))
	for _, line := range []string{`whosaw_input_behind{input="SHOP",kind="nats",source="nats/SHOP"} 1`, `whosaw_input_behind{input="SHOP",kind="nats",source="login/SHOP"} 2`, "whosaw_ready 1"} {
		if out.Code != 200 || !strings.Contains(out.Body.String(), line) {
			t.Errorf("answered with %d, without %s: %.200s", out.Code, line, out.Body)
		}
	}
}
