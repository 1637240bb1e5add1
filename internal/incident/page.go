package incident

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/regime"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("document").Funcs(template.FuncMap{
	"count":  figure.Int,
	"moment": func(lang string, m regime.Moment) string { return moments[m].In(lang) },
	"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(pageText))

// PageStyle is the hash of the page's one style, as a content security policy names it: 'sha256-…' without the quotes.
func PageStyle() string {
	_, style, _ := strings.Cut(pageText, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// WritePage writes the document as a page that stands alone and prints well: no script, nothing from elsewhere.
func (doc *Document) WritePage(w io.Writer) error {
	if err := page.Execute(w, doc); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
