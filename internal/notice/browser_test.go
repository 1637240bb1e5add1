package notice_test

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/browsertest"
)

var pictures = flag.String("notice.pictures", "", "make the pictures of docs/ again, in this directory")

func TestMain(m *testing.M) { browsertest.Main(m) }

// How a notice stands on a screen: on a phone nothing is wider than it, the script runs its own way, the code never, and nothing is fetched from anywhere.
func TestThePageInABrowser(t *testing.T) {
	w, n := letterWorld(t)
	html := ""
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/favicon.ico" {
			asked++
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, html)
	}))
	defer server.Close()
	b := browsertest.Open(t, server.URL)
	fields := []string{"name", "email", "phone", "address", "door_code"}
	for _, lang := range languages {
		m, err := w.book.Preview(t.Context(), n.Number, lang, fields, false)
		check(t, err)
		html = m.HTML
		for _, width := range []int64{360, 760} {
			b.Look(width, 900, false)
			b.Visit("/")
			text := b.Eval(`JSON.stringify({
				wide: document.documentElement.scrollWidth > innerWidth,
				align: getComputedStyle(document.querySelector("h1")).direction,
				start: document.querySelector("h2").getBoundingClientRect(),
				code: getComputedStyle([...document.querySelectorAll("bdi")].pop()).direction,
				links: document.links.length, scripts: document.scripts.length, images: document.images.length,
				height: document.documentElement.scrollHeight,
			})`)
			var is struct {
				Wide                   bool
				Align, Code            string
				Links, Scripts, Images int
				Height                 int64
			}
			check(t, json.Unmarshal([]byte(text), &is))
			if is.Wide || is.Align != m.Dir || is.Code != "ltr" || is.Links+is.Scripts+is.Images > 0 {
				t.Errorf("%s at %d: %s", lang, width, text)
			}
			if *pictures != "" && width == 760 {
				b.Look(width, is.Height, false)
				b.Keep(filepath.Join(*pictures, "notice-"+lang+".png"))
			}
		}
	}
	if asked != 2*len(languages) {
		t.Errorf("%d pages were asked for, want %d: a notice fetches nothing", asked, 2*len(languages))
	}
	if strings.Contains(html, "http://") {
		t.Error("the page has an address that is not https")
	}
}
