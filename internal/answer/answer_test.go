package answer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/answer"
)

func spec(t interface{ Fatal(...any) }, subjects, others []string, fields map[string][]string) *answer.Spec {
	var s answer.Spec
	for _, p := range subjects {
		if err := s.AddSubject(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range others {
		if err := s.AddOthers(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		for _, p := range fields[f] {
			if err := s.AddField(f, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &s
}

const book = ` {"account":{"id":7,"name":"Kim"}, "addresses":[ {"who":{"name":"Lee","phone":"010-2345-6789"},"door":"1234*"},
 {"who":{"name":"","phone":null},"door":7}, {"who":{"name":"Zoë \"Z\"","phone":"+82, : 2"}} ], "next":null, "ids":[7,"8",9.50,"7"]} `

func TestScanAndMask(t *testing.T) {
	s := spec(t, []string{"account.id", "ids[]"}, []string{"addresses[]"}, map[string][]string{
		"name": {"account.name", "addresses[].who.name"}, "phone": {"addresses[].who.phone"}, "door_code": {"addresses[].door"}, "email": {"account.email"}, "people": {"addresses[].who"},
	})
	f, err := s.Scan([]byte(book))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.Subjects, f.Others, f.Fields); got != "[7 8 9.50] 3 [door_code name people phone]" {
		t.Error(got)
	}
	for mask, want := range map[string]string{
		"phone":     strings.NewReplacer(`"010-2345-6789"`, `"****"`, `"+82, : 2"`, `"****"`).Replace(book),
		"door_code": strings.NewReplacer(`"1234*"`, `"****"`, `"door":7`, `"door":null`).Replace(book),
		"none":      book,
	} {
		if got := f.Mask([]byte(book), func(field string) bool { return field == mask }); string(got) != want {
			t.Errorf("%s masked: %s", mask, got)
		}
	}
	all := f.Mask([]byte(book), func(string) bool { return true })
	if !json.Valid(all) || strings.Contains(string(all), "Lee") || strings.Contains(string(all), "Kim") || strings.Contains(string(all), "1234") {
		t.Errorf("all masked: %s", all)
	}
}

func TestPlaces(t *testing.T) {
	s := spec(t, []string{"[].id", "*.owner.id", "[][].x"}, nil, nil)
	for text, want := range map[string]string{
		`[{"id":"a"},{"id":"b"},[{"x":1}]]`:                   "[a b 1]",
		`{"first":{"owner":{"id":"c"}},"second":{"owner":1}}`: "[c]",
		`"just a text"`: "[]",
		`[]`:            "[]",
	} {
		f, err := s.Scan([]byte(text))
		if err != nil || fmt.Sprint(f.Subjects) != want {
			t.Errorf("%s: %v, %v", text, f, err)
		}
	}
	for _, bad := range []string{"", ".", "a..b", "a[", "a]", "a[x]", "a.", ".a", "a[[]]"} {
		var s answer.Spec
		if err := s.AddSubject(bad); err == nil {
			t.Errorf("place %q was taken", bad)
		}
	}
}

func TestWhatIsNoDocument(t *testing.T) {
	s := spec(t, []string{"id"}, nil, nil)
	for _, bad := range []string{"", "{", `{"id":7`, `{"id":7}{"id":8}`, `{"id":7}x`, "<html>", `{"secret":"s3cr3t"x}`, strings.Repeat("[", 5000)} {
		if _, err := s.Scan([]byte(bad)); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// Against a walk over the decoded document.
func TestAgainstAWalk(t *testing.T) {
	names := []string{"a", "b", "id", "phone"}
	var doc func(depth int) *rapid.Generator[any]
	doc = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			if depth > 3 && kind > 3 {
				kind -= 3
			}
			switch kind {
			case 0:
				return nil
			case 1:
				return rapid.IntRange(0, 9).Draw(t, "number")
			case 2:
				return rapid.Bool().Draw(t, "bool")
			case 3:
				return rapid.StringMatching(`[a-z" ,:\\{}]{0,4}`).Draw(t, "text")
			case 4:
				list := []any{}
				for range rapid.IntRange(0, 3).Draw(t, "n") {
					list = append(list, doc(depth+1).Draw(t, "element"))
				}
				return list
			}
			m := map[string]any{}
			for _, n := range names {
				if rapid.Bool().Draw(t, "has") {
					m[n] = doc(depth+1).Draw(t, "member")
				}
			}
			return m
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		s := spec(t, []string{"id", "a[].id", "*.id"}, []string{"b[]"}, map[string][]string{"phone": {"phone", "a[].phone", "b.*"}})
		d := doc(0).Draw(t, "document")
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		subjects, others, phone := map[string]bool{}, int64(0), false
		id := func(v any) {
			switch v := v.(type) {
			case string:
				if v != "" {
					subjects[v] = true
				}
			case int:
				subjects[fmt.Sprint(v)] = true
			}
		}
		shown := func(v any) bool { return v != nil && v != "" }
		root, _ := d.(map[string]any)
		id(root["id"])
		phone = shown(root["phone"])
		for _, v := range root {
			if m, ok := v.(map[string]any); ok {
				id(m["id"])
			}
		}
		if list, ok := root["a"].([]any); ok {
			for _, v := range list {
				if m, ok := v.(map[string]any); ok {
					id(m["id"])
					phone = phone || shown(m["phone"])
				}
			}
		}
		if list, ok := root["b"].([]any); ok {
			for _, v := range list {
				if shown(v) {
					others++
				}
			}
		}
		if m, ok := root["b"].(map[string]any); ok {
			for _, v := range m {
				phone = phone || shown(v)
			}
		}
		f, err := s.Scan(body)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(slices.Sorted(slices.Values(f.Subjects)), slices.Sorted(maps.Keys(subjects))) || f.Others != others || (len(f.Fields) == 1) != phone {
			t.Fatalf("%s: %v %d %v; want %v %d %v", body, f.Subjects, f.Others, f.Fields, subjects, others, phone)
		}
		masked := f.Mask(body, func(string) bool { return true })
		if !json.Valid(masked) {
			t.Fatalf("%s masked is %s", body, masked)
		}
		again, err := s.Scan(masked)
		if err != nil {
			t.Fatal(err)
		}
		if bytes := again.Mask(masked, func(string) bool { return true }); string(bytes) != string(masked) {
			t.Fatalf("%s masked twice is %s", masked, bytes)
		}
	})
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(book))
	s := spec(f, []string{"account.id", "ids[]", "[].id"}, []string{"addresses[]"}, map[string][]string{"phone": {"addresses[].who.phone", "*"}})
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := s.Scan(body)
		if (err == nil) != json.Valid(body) && len(body) < 200 {
			t.Fatalf("scan says %v, json says %v", err, json.Valid(body))
		}
		if err == nil && !json.Valid(found.Mask(body, func(string) bool { return true })) {
			t.Fatal("masked it is no JSON")
		}
	})
}

func BenchmarkScan(b *testing.B) {
	var list []map[string]any
	for i := range 200 {
		list = append(list, map[string]any{"id": i, "name": "Kim Min-ji", "phone": "010-2345-6789", "address": "12, Example-ro, Somewhere-gu, Seoul", "total": 12900})
	}
	body, err := json.Marshal(map[string]any{"orders": list})
	if err != nil {
		b.Fatal(err)
	}
	s := spec(b, []string{"orders[].id"}, nil, map[string][]string{"name": {"orders[].name"}, "phone": {"orders[].phone"}, "address": {"orders[].address"}})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Scan(body); err != nil {
			b.Fatal(err)
		}
	}
}
