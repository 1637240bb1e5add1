package server

import (
	"testing"

	"github.com/whosaw/whosaw/internal/config"
)

// TestPrivate: where others reach the server through a proxy on this machine, figures are for tokens that may read.
func TestPrivate(t *testing.T) {
	for _, c := range []struct {
		listen, url string
		want        bool
	}{
		{"127.0.0.1:8470", "http://127.0.0.1:8470", true},
		{"[::1]:8470", "http://localhost:8470", true},
		{"127.0.0.1:8470", "https://whosaw.shop.example", false},
		{"0.0.0.0:8470", "http://127.0.0.1:8470", false},
	} {
		s := &Server{cfg: &config.Config{Listen: c.listen}, url: c.url}
		if s.private() != c.want {
			t.Errorf("%s as %s: private %t", c.listen, c.url, !c.want)
		}
	}
}
