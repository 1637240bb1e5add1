package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/whosaw/whosaw/internal/report"
)

var out = flag.String("out", "", "write each story's page and message into this directory, to look at")

// TestLook writes the pages and messages where a person can look at them: go test -run Look -out /tmp/look
func TestLook(t *testing.T) {
	if *out == "" {
		return
	}
	for name, story := range stories {
		page, err := os.Create(filepath.Join(*out, name+".html"))
		if err != nil {
			t.Fatal(err)
		}
		if err := report.WriteHTML(page, story()); err != nil {
			t.Error(err)
		}
		if err := page.Close(); err != nil {
			t.Error(err)
		}
		message, err := os.Create(filepath.Join(*out, name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if err := report.WriteText(message, story(), report.TextOptions{Width: 100}); err != nil {
			t.Error(err)
		}
		if err := message.Close(); err != nil {
			t.Error(err)
		}
	}
}
