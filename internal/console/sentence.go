package console

import (
	"html/template"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/figure"
)

// by says through what a finding's accesses came. What a credential claims is called a claim.
func (f *frame) by(x *whosaw.Finding) template.HTML {
	kind, name, _ := strings.Cut(x.Unit, ":")
	if _, ok := f.words["by."+kind]; !ok {
		return f.Rich("by.other", safe(x.Unit))
	}
	return f.Rich("by."+kind, safe(name))
}

// plainSentence is what a finding says, for Now: who and what, without figures.
func (f *frame) plainSentence(x *whosaw.Finding) template.HTML {
	key := "says." + x.Detector
	if _, ok := f.words[key]; !ok {
		key = "says.other"
	}
	return f.Rich(key, f.by(x), safe(x.Detector))
}

// sentence is the truth about a finding, to be read aloud: since when, who, what, how many customers.
func (f *frame) sentence(x *whosaw.Finding, a *whosaw.ScopeAnswer) template.HTML {
	out := f.plainSentence(x)
	if a.First == nil {
		return out + " " + f.NRich("says.none", a.Accesses)
	}
	least := ""
	if len(a.Gaps) > 0 {
		least = f.T("says.least")
	}
	return out + " " + f.NRich("says.shown", a.Subjects, f.Full(int64(*a.First)), figure.Int(a.Accesses), least)
}
