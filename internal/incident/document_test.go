package incident_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/regime"
)

// told is an incident in which 4,383 customers' data was shown, door codes of 51 in clear.
func told(gaps int, texts map[string]string, lang string) *incident.Incident {
	in := &incident.Incident{Number: 1, Title: "the backup key", Versions: []incident.Version{{
		Number: 1, AsOf: 77,
		Answer: whosaw.ScopeAnswer{Subjects: 4383, Others: 120, Disclosures: 9001, Fields: map[string]int64{"name": 4383, "door_code": 51}, Masked: map[string]int64{"phone": 12}},
	}}}
	for range gaps {
		in.Versions[0].Answer.Gaps = append(in.Versions[0].Answer.Gaps, whosaw.Gap{Kind: whosaw.GapPurged, Says: "logs of ten days are gone"})
	}
	for content, text := range texts {
		in.Statements = append(in.Statements, incident.Said{By: "staff:kim", Statement: incident.Statement{Content: content, Lang: lang, Text: text}})
	}
	return in
}

func law(t *testing.T, id string) *regime.Law {
	t.Helper()
	laws, err := regime.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	var last *regime.Law
	for _, l := range laws {
		if l.ID == id {
			last = l
		}
	}
	return last
}

var whole = map[string]string{
	"what_leaked":  "Names of {subjects} customers, and the door codes of {field:door_code} of them, were leaked.",
	"when_and_how": "From 2026-11-22 03:12 on, somebody used a signing key.",
	"people":       "{subjects} customers, and {others} entries of other people.",
	"measures":     "The key was replaced.", "advice": "Change your door code.", "remedy": "Write to us.", "contact": "privacy@shop.example, 02-1234-5678", "rights": "You may ask what we hold.",
}

func TestADocumentIsBoundToItsScope(t *testing.T) {
	doc, err := told(0, whole, "en").Document(law(t, "kr-pipa-34"), "authority", "en", 0)
	if err != nil || len(doc.Faults) != 0 {
		t.Fatalf("%v %+v", err, doc)
	}
	if !strings.Contains(doc.Parts[0].Text, "4,383 customers") || !strings.Contains(doc.Parts[0].Text, "door codes of 51") || len(doc.Hash) != 64 {
		t.Errorf("%+v", doc.Parts[0])
	}
	gappy, err := told(1, whole, "en").Document(law(t, "kr-pipa-34"), "authority", "en", 1)
	if err != nil || !strings.Contains(gappy.Parts[0].Text, "at least 4,383") || gappy.Hash == doc.Hash || len(gappy.Gaps) != 1 {
		t.Errorf("a gap makes a figure a lower bound: %v %+v", err, gappy)
	}
	if _, err := told(0, whole, "en").Document(law(t, "kr-pipa-34"), "authority", "en", 2); err == nil {
		t.Error("a version that is not there")
	}
	if ko, err := told(0, whole, "en").Document(law(t, "kr-pipa-34"), "authority", "ko", 0); err != nil || len(ko.Faults) != len(ko.Parts) {
		t.Errorf("what was not said in Korean is missing there: %v %+v", err, ko.Faults)
	}
}

// What went wrong in the case, word by word.
func TestWording(t *testing.T) {
	for name, c := range map[string]struct {
		lang, content, text, want string // want "": no fault
	}{
		"exposure":           {"en", "when_and_how", "Some data was exposed.", "not exposure"},
		"exposure in Korean": {"ko", "when_and_how", "개인정보가 노출되었습니다.", "유출"},
		"leak in Korean":     {"ko", "when_and_how", "개인정보가 유출되었습니다.", ""},
		"no action":          {"en", "advice", "No further action is required.", "something to do"},
		"a soft hyphen":      {"en", "when_and_how", "Some data was exp\u00adosed.", "not exposure"},
		"a joiner, Korean":   {"ko", "when_and_how", "개인정보가 노\u200b출되었습니다.", "유출"},
		"over two lines":     {"en", "advice", "No action\nis\u00a0needed.", "something to do"},
		"no action, Korean":  {"ko", "advice", "별도의 조치가 필요하지 않습니다.", "something to do"},
		"the first count":    {"en", "people", "4,536 accounts", "4,536 is no figure of scope version 1"},
		"a figure by hand":   {"en", "people", "4383 customers", ""},
		"customers, others":  {"en", "people", "4,503 people in all", ""},
		"a year, a time":     {"en", "when_and_how", "On 22 November 2026 at 03:12:44, call 02-1234-5678", ""},
		"door code left out": {"en", "what_leaked", "Names were leaked.", "door_code of 51 people"},
		"said in Korean":     {"ko", "what_leaked", "이름과 공동현관 비밀번호가 유출되었습니다.", ""},
		"left out in Korean": {"ko", "what_leaked", "이름이 유출되었습니다.", "공동현관"},
		"no such figure":     {"en", "people", "{field:payment} cards", "no figure"},
		"a slip in a slot":   {"en", "people", "{Subjects} customers", "{Subjects} is no figure"},
		"millions":           {"en", "people", "some 4.5 million people", "4.5 million is no figure of scope version 1"},
		"ten thousands":      {"ko", "when_and_how", "약 450만 명의 정보가 유출되었습니다.", "450만 is no figure"},
		"millions, Arabic":   {"en", "when_and_how", "نحو ٤٫٥ مليون شخص", "4.5 مليون is no figure"},
		"lakhs":              {"en", "when_and_how", "৩৩ লাখ মানুষ", "33 লাখ is no figure"},
		"rounded, and right": {"en", "people", "4.383 thousand customers", ""},
		"wide digits":        {"en", "people", "４，５３６ accounts", "4,536 is no figure"},
		"a hard space":       {"en", "people", "4\u00a0536 accounts", "4 536 is no figure"},
		"a joiner between":   {"en", "people", "4,\u200b536 accounts", "4,536 is no figure"},
	} {
		t.Run(name, func(t *testing.T) {
			texts := map[string]string{}
			if c.lang == "en" {
				texts = maps.Clone(whole)
			} else {
				for k := range whole {
					texts[k] = "없음"
				}
				texts["what_leaked"] = "이름, 공동현관 비밀번호"
			}
			texts[c.content] = c.text
			doc, err := told(0, texts, c.lang).Document(law(t, "kr-pipa-34"), "people", c.lang, 0)
			if c.content == "people" {
				doc, err = told(0, texts, c.lang).Document(law(t, "kr-pipa-34"), "authority", c.lang, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(doc.Faults) > 0:
				t.Errorf("faults %+v", doc.Faults)
			case c.want != "" && (len(doc.Faults) != 1 || doc.Faults[0].Content != c.content || !strings.Contains(doc.Faults[0].Says, c.want)):
				t.Errorf("faults %+v, want one with %q", doc.Faults, c.want)
			}
		})
	}
}

// A field is named by its own name only: the address is not told by an e-mail address, nor a password by that of a door.
func TestNamesOfOthers(t *testing.T) {
	for _, c := range []struct {
		lang, field, text string
		want              bool
	}{
		{"en", "address", "Your name and e-mail address were leaked.", false},
		{"en", "address", "Your e-mail address and your address were leaked.", true},
		{"en", "address", "Names, email addresses and delivery addresses.", true},
		{"ko", "address", "이름과 이메일 주소가 유출되었습니다.", false},
		{"ko", "address", "이메일 주소, 배송지 주소", true},
		{"ar", "address", "الاسم وعنوان البريد الإلكتروني", false},
		{"ar", "address", "الاسم والعنوان", true},
		{"bn", "address", "নাম ও ইমেইল ঠিকানা", false},
		{"bn", "address", "নাম, ইমেইল ঠিকানা ও ঠিকানা", true},
		{"ko", "credential", "공동현관 비밀번호가 유출되었습니다.", false},
		{"ko", "credential", "공동현관 비밀번호와 계정 비밀번호", true},
		{"ko", "door_code", "공동현관 비밀번호가 유출되었습니다.", true},
		{"en", "order_history", "We write in order to tell you.", false},
		{"en", "order_history", "We write in order to tell you that your orders were leaked.", true},
		{"en", "email", "Your e-mail address", true},
	} {
		if got := incident.Names(c.text, c.lang, c.field); got != c.want {
			t.Errorf("%q names %s: %t", c.text, c.field, got)
		}
	}
}

// A page says everything of its document in its own language, and holds nothing that runs or comes from elsewhere.
func TestDocumentPage(t *testing.T) {
	for lang, want := range map[string][]string{"en": {"Draft.", "not verified", "at least 4,383 customers", "aware", "lower bounds"}, "ko": {"초안", "미확인", "최소 4,383", "인지", "최솟값"}} {
		in := told(1, map[string]string{"what_leaked": "<b>{subjects} customers</b>", "people": "{subjects}"}, lang)
		in.Marks = []incident.Mark{{Mark: regime.Mark{Moment: regime.Aware, By: "staff:kim", Why: "read it"}}}
		doc, err := in.Document(law(t, "kr-pipa-34"), "authority", lang, 0)
		if err != nil {
			t.Fatal(err)
		}
		var page strings.Builder
		if err := doc.WritePage(&page); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(page.String(), w) {
				t.Errorf("%s: no %q", lang, w)
			}
		}
		for _, w := range []string{"<script", "<b>", "http:", "https:", "src="} {
			if strings.Contains(page.String(), w) {
				t.Errorf("%s: %q is in it", lang, w)
			}
		}
		if lang == "ko" && strings.Contains(page.String(), "not verified") {
			t.Error("English on a Korean page")
		}
	}
}
