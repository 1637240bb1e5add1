package incident

import (
	"errors"
	"slices"
	"strings"
)

// Say gives the sentence that stands about a content in a language, with the figures of a scope version in it, and what is wrong with
// it. Without one it gives "" and the fault that says so.
func (in *Incident) Say(content, lang string, v *Version) (string, []Fault) {
	i := slices.IndexFunc(in.Statements, func(s Said) bool { return s.Content == content && s.Lang == lang })
	if i < 0 {
		return "", []Fault{{content, "nobody said anything about it in language " + lang + ": whosaw incident state"}}
	}
	doc := &Document{Lang: lang, Scope: v.Number, Figures: v.figures(lang)}
	p := Part{Content: content, Text: doc.fill(content, in.Statements[i].Text)}
	doc.wording(&p, v)
	return p.Text, doc.Faults
}

// Wording holds any text to people against a scope version, as the texts of a document are.
func (v *Version) Wording(content, lang, text string) []Fault {
	doc := &Document{Lang: lang, Scope: v.Number, Figures: v.figures(lang)}
	doc.wording(&Part{Content: content, Text: text}, v)
	return doc.Faults
}

// Names reports whether a text in a language names a field. Of a field that whosaw has no words for in it, any text does.
func Names(text, lang, field string) bool {
	if len(fieldWords[field][lang]) == 0 {
		return strings.TrimSpace(text) != ""
	}
	return names(text, lang, field)
}

// Wrong is why something may not go out yet, for who asked for it: the first fault, and how many there are.
func Wrong(what string, faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	f := faults[0]
	if f.Content != "" {
		what += ": " + f.Content
	}
	return invalid(errors.New(what + ": " + f.Says))
}
