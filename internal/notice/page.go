package notice

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
)

//go:embed letter.html
var letterHTML string

var page = template.Must(template.New("notice").Parse(letterHTML))

// html is the notice as a page: nothing from elsewhere, no link that looks like another, styles in the elements, as mail programs want it.
func (s *sheet) html() (string, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, s); err != nil {
		return "", fmt.Errorf("write notice: %w", err)
	}
	return b.String(), nil
}

// text is the notice as plain text. Address and code stand on lines of their own, so that a script from right to left does not turn them.
func (s *sheet) text() string {
	var b strings.Builder
	para := func(lines ...string) {
		for _, line := range lines {
			if line != "" {
				b.WriteString(strings.TrimSpace(line))
				b.WriteByte('\n')
			}
		}
		b.WriteByte('\n')
	}
	if s.Sample != "" {
		para(s.Sample)
	}
	para(s.Greeting)
	para(s.Opening)
	for _, p := range s.Parts {
		b.WriteString("## ")
		para(p.Heading, p.Intro, p.Text)
		if len(p.Items) > 0 {
			for _, i := range p.Items {
				b.WriteString("- ")
				b.WriteString(i.Name)
				if i.Text != "" {
					b.WriteString(": ")
					b.WriteString(i.Text)
				}
				b.WriteByte('\n')
			}
			b.WriteByte('\n')
		}
		if p.Code {
			para(s.AddressLabel, s.Address)
			para(s.CodeLabel, s.Code)
		}
	}
	b.WriteString(s.Sent)
	b.WriteByte('\n')
	return b.String()
}
