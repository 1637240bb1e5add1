package rules

import (
	"reflect"
	"strings"
)

// Members names everything that may stand in a rule file.
func Members() []string {
	out := []string{"at", "repeat", "every"}
	for _, v := range []any{file{}, fileP0{}, caseFile{}, Budget{}} {
		t := reflect.TypeOf(v)
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			out = append(out, name)
		}
	}
	return out
}
