package door_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/sim"
)

// What a gateway asks about without saying what is refused, and so is what it asks twice.
func TestNginxQuestionsThatAreNone(t *testing.T) {
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(t, err)
	s := newStand(t, cat, guard.KindNginx)
	for name, c := range map[string]struct {
		header map[string][]string
		want   int
	}{
		"whole":           {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7"}}, 204},
		"no method":       {map[string][]string{"X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"no path":         {map[string][]string{"X-Original-Method": {"GET"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"no address":      {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}}, 403},
		"two paths":       {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search", "/me"}, "X-Real-IP": {"203.0.113.7"}}, 403},
		"two addresses":   {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"203.0.113.7", "10.0.0.1"}}, 403},
		"address a name":  {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"localhost"}}, 403},
		"a bad token":     {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/me"}, "X-Real-IP": {"203.0.113.7"}, "Authorization": {"Bearer x"}}, 401},
		"a forged header": {map[string][]string{"X-Original-Method": {"GET"}, "X-Original-URI": {"/search"}, "X-Real-IP": {"::ffff:203.0.113.7"}}, 204},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			for k, v := range c.header {
				for _, x := range v {
					req.Header.Add(k, x)
				}
			}
			w := httptest.NewRecorder()
			s.nginx().ServeHTTP(w, req)
			if w.Code != c.want {
				t.Errorf("answered with %d, want %d", w.Code, c.want)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("nobody is told how to log in")
			}
		})
	}
}

// A question that cannot be read is refused in the form of the API's errors, and says nothing of itself.
func TestDecideQuestionsThatAreNone(t *testing.T) {
	s := newStand(t, catalog.Rules(), guard.KindDecide)
	for _, body := range []string{"", "no", `{"credential":7}`, `{"requests":7}`, `{"requests":[` + strings.Repeat("{},", 1000) + `{}]}`, strings.Repeat("x", 2<<20)} {
		res, err := http.Post(s.address("/v1/decide"), "application/json", strings.NewReader(body))
		check(t, err)
		data, err := io.ReadAll(res.Body)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != 400 || !strings.Contains(string(data), `"code":"invalid"`) {
			t.Errorf("%.40q is answered with %d %s", body, res.StatusCode, data)
		}
	}
}
