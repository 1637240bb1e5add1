package regime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/figure"
)

// Answer is yes, no, or not known: the zero value.
type Answer string

// Answers.
const (
	Unknown Answer = ""
	Yes     Answer = "yes"
	No      Answer = "no"
)

// Facts are what is known of an incident, as far as laws ask. The zero value knows nothing.
type Facts struct {
	// People whose data were disclosed, customers and others. A scope with gaps says "at least".
	People  int64
	Counted bool // People is known
	AtLeast bool
	// Residents by jurisdiction, where somebody counted them: US-CA.
	Residents map[string]int64
	// Fields shown in clear, of the catalog's names.
	Fields []string
	// Answers by name, of the words in Questions.
	Answers map[string]Answer
}

// Questions are the facts that only people can answer, with the question as it is put to them.
var Questions = map[string]Text{
	"intrusion":        {"en": "Did somebody break in (an attack on the systems from outside or with stolen means)?", "ko": "침해사고(외부 공격 또는 탈취한 수단에 의한 침입)입니까?"},
	"outside_access":   {"en": "Was it illegal access from outside?", "ko": "외부로부터의 불법적인 접근입니까?"},
	"risk_removed":     {"en": "Were the data recovered or deleted so that the risk is clearly gone?", "ko": "유출 경로가 확인되어 회수·삭제 등으로 권익 침해 가능성이 현저히 낮아졌습니까?"},
	"risk_unlikely":    {"en": "Is a risk to people's rights unlikely?", "ko": "정보주체의 권리에 대한 위험이 발생할 가능성이 낮습니까?"},
	"high_risk":        {"en": "Is a high risk to people's rights likely?", "ko": "정보주체의 권리에 대한 높은 위험이 예상됩니까?"},
	"encrypted":        {"en": "Were the data encrypted, and the key not taken?", "ko": "데이터가 암호화되어 있었고 키는 유출되지 않았습니까?"},
	"disproportionate": {"en": "Would telling each person be out of proportion?", "ko": "개별 통지가 과도한 노력을 요구합니까?"},
	"listed":           {"en": "Is the company listed in the United States?", "ko": "미국 상장 회사입니까?"},
	"wrongful_purpose": {"en": "Was it done on purpose by somebody who meant harm?", "ko": "부정한 목적에 의한 행위입니까?"},
	"property_damage":  {"en": "Can the data be used to take people's money?", "ko": "재산상 피해가 발생할 우려가 있습니까?"},
	"contact_missing":  {"en": "Are contact data of some people missing?", "ko": "연락처를 알 수 없는 사람이 있습니까?"},
	"processed_here":   {"en": "Does the company handle data of people there?", "ko": "해당 지역 주민의 데이터를 처리합니까?"},
}

// Condition asks one fact. Exactly one of the members is there.
type Condition struct {
	// More people than this, or at least this many.
	PeopleOver    *int64 `yaml:"people_over"`
	PeopleAtLeast *int64 `yaml:"people_at_least"`
	// More residents of the jurisdiction than this.
	ResidentsOver *Residents `yaml:"residents_over"`
	// One of these fields was shown in clear.
	Fields []string `yaml:"fields"`
	// The answer to this question is yes.
	Fact string `yaml:"fact"`
}

// Residents is a number of people of a jurisdiction.
type Residents struct {
	Of     string `yaml:"of"`
	Number int64  `yaml:"number"`
}

// Conditions hold if any of them does.
type Conditions []Condition

func (cs Conditions) check(name string, bad func(string, ...any)) {
	for i := range cs {
		c, n := &cs[i], 0
		for _, there := range []bool{c.PeopleOver != nil, c.PeopleAtLeast != nil, c.ResidentsOver != nil, len(c.Fields) > 0, c.Fact != ""} {
			if there {
				n++
			}
		}
		if n != 1 {
			bad("%s: condition %d must have exactly one of people_over, people_at_least, residents_over, fields and fact", name, i+1)
		}
		if _, ok := Questions[c.Fact]; c.Fact != "" && !ok {
			bad("%s: %q is no fact that anybody is asked for: one of %s", name, c.Fact, strings.Join(QuestionNames(), ", "))
		}
	}
}

// QuestionNames gives the facts that people are asked for, in order.
func QuestionNames() []string {
	var names []string
	for n := range Questions {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// verdict is what conditions come to, with the reason and, if not known, the facts that would decide.
type verdict struct {
	Answer  Answer
	Why     string
	Missing []string // names of Questions, people, residents:US-CA
}

// of asks all: yes as soon as one holds, no only if none can.
func (cs Conditions) of(f *Facts) verdict {
	var out verdict
	out.Answer = No
	var whys []string
	for i := range cs {
		v := cs[i].of(f)
		switch v.Answer {
		case Yes:
			return v
		case Unknown:
			out.Answer = Unknown
			out.Missing = append(out.Missing, v.Missing...)
		}
		whys = append(whys, v.Why)
	}
	out.Why = strings.Join(whys, "; ")
	return out
}

func (c *Condition) of(f *Facts) verdict {
	switch {
	case c.PeopleOver != nil:
		return count(f.People, f.Counted, f.AtLeast, *c.PeopleOver+1, "people")
	case c.PeopleAtLeast != nil:
		return count(f.People, f.Counted, f.AtLeast, *c.PeopleAtLeast, "people")
	case c.ResidentsOver != nil:
		n, known := f.Residents[c.ResidentsOver.Of]
		if !known && f.Counted && !f.AtLeast && f.People <= c.ResidentsOver.Number {
			n, known = f.People, true // no more residents than people
		}
		return count(n, known, f.AtLeast, c.ResidentsOver.Number+1, "residents of "+c.ResidentsOver.Of)
	case len(c.Fields) > 0:
		for _, name := range c.Fields {
			if slices.Contains(f.Fields, name) {
				return verdict{Answer: Yes, Why: name + " was shown"}
			}
		}
		if !f.Counted || f.AtLeast {
			return verdict{Why: "not known whether one of " + strings.Join(c.Fields, ", ") + " was shown", Missing: []string{"fields"}}
		}
		return verdict{Answer: No, Why: "none of " + strings.Join(c.Fields, ", ") + " was shown"}
	}
	q := Questions[c.Fact].In("en")
	switch f.Answers[c.Fact] {
	case Yes:
		return verdict{Answer: Yes, Why: q + " Yes."}
	case No:
		return verdict{Answer: No, Why: q + " No."}
	}
	return verdict{Why: q + " Not answered.", Missing: []string{c.Fact}}
}

// count compares with a threshold. A lower bound can only ever say yes.
func count(n int64, known, atLeast bool, threshold int64, what string) verdict {
	sign := ""
	if atLeast {
		sign = "at least "
	}
	switch {
	case known && n >= threshold:
		return verdict{Answer: Yes, Why: fmt.Sprintf("%s%s %s, threshold %s", sign, figure.Int(n), what, figure.Int(threshold))}
	case known && !atLeast:
		return verdict{Answer: No, Why: fmt.Sprintf("%s %s, threshold %s", figure.Int(n), what, figure.Int(threshold))}
	}
	missing := strings.ReplaceAll(what, "residents of ", "residents:")
	return verdict{Why: fmt.Sprintf("not known whether there are %s %s", figure.Int(threshold), what), Missing: []string{missing}}
}
