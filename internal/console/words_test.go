package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/notice"
)

func words(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(name)
	check(t, err)
	var out map[string]string
	check(t, json.Unmarshal(data, &out))
	return out
}

var placeholder = regexp.MustCompile(`\{\d\}`)

// TestWords: every language has the same messages with the same values and marks; a language is added by adding its file.
func TestWords(t *testing.T) {
	names, err := filepath.Glob("words/*.json")
	check(t, err)
	if len(names) < 2 {
		t.Fatal("there are fewer than two languages")
	}
	english := words(t, "words/en.json")
	for _, name := range names {
		other := words(t, name)
		for key, text := range english {
			have, ok := other[key]
			switch {
			case !ok:
				t.Errorf("%s lacks %s", name, key)
				continue
			case text != "" && have == "":
				t.Errorf("%s: %s is empty", name, key)
			}
			a, b := placeholder.FindAllString(text, -1), placeholder.FindAllString(have, -1)
			slices.Sort(a)
			slices.Sort(b)
			if a, b = slices.Compact(a), slices.Compact(b); !slices.Equal(a, b) && !strings.HasSuffix(key, ".1") && !strings.HasPrefix(key, "gap.") {
				t.Errorf("%s: %s takes %v, in English %v", name, key, b, a)
			}
			if strings.Count(have, "**")%2 != 0 || strings.Count(have, "!!")%2 != 0 {
				t.Errorf("%s: %s leaves a mark open", name, key)
			}
		}
		for key := range other {
			if _, ok := english[key]; !ok {
				t.Errorf("%s has %s, which English lacks", name, key)
			}
		}
		if filepath.Base(name) == "ko.json" {
			for key, text := range other {
				if strings.Contains(text, "노출") {
					t.Errorf("%s says 노출 for a leak", key)
				}
			}
		}
	}
}

var (
	inTemplates = regexp.MustCompile(`\.(?:T|N|Rich|NRich) "([a-z0-9_.]+)"`)
	inCode      = regexp.MustCompile(`\.(?:T|N|Rich|NRich|text)\("([a-z0-9_.]+[a-z0-9_])"`)
)

// TestMessagesExist: every message that pages and code name is there.
func TestMessagesExist(t *testing.T) {
	english := words(t, "words/en.json")
	n := 0
	look := func(pattern string, re *regexp.Regexp) {
		names, err := filepath.Glob(pattern)
		check(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := os.ReadFile(name)
			check(t, err)
			for _, m := range re.FindAllStringSubmatch(string(data), -1) {
				n++
				if _, ok := english[m[1]]; !ok {
					t.Errorf("%s: there is no message %s", name, m[1])
				}
			}
		}
	}
	look("templates/*.html", inTemplates)
	look("*.go", inCode)
	if n < 100 {
		t.Errorf("only %d messages were found: the pattern is wrong", n)
	}
}

// TestReasonsHaveWords: whatever keeps a detector from judging has words in every language.
func TestReasonsHaveWords(t *testing.T) {
	names, err := filepath.Glob("words/*.json")
	check(t, err)
	reasons := append(detect.Whys(), api.NothingToJudge)
	if len(reasons) < 30 {
		t.Fatalf("there are only %d reasons", len(reasons))
	}
	for _, name := range names {
		have := words(t, name)
		for _, reason := range reasons {
			if have["notjudged."+reason] == "" {
				t.Errorf("%s lacks a message for %q", name, reason)
			}
		}
	}
}

// TestDeedsHaveWords: whatever is done with a notice has words in every language, with and without a number.
func TestDeedsHaveWords(t *testing.T) {
	names, err := filepath.Glob("words/*.json")
	check(t, err)
	for _, name := range names {
		have := words(t, name)
		for _, deed := range notice.Deeds {
			if key := console.DeedKey(deed); have[key] == "" {
				t.Errorf("%s lacks %s", name, key)
			}
		}
	}
}

// TestVendored holds the assets of others against docs/dependencies.md.
func TestVendored(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dependencies.md")
	check(t, err)
	names, err := filepath.Glob("static/*.min.js")
	check(t, err)
	if len(names) == 0 {
		t.Fatal("there are none")
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		sum := sha256.Sum256(data)
		if !strings.Contains(string(doc), "`"+filepath.Base(name)+"`") || !strings.Contains(string(doc), hex.EncodeToString(sum[:])) {
			t.Errorf("%s with SHA-256 %x is not in docs/dependencies.md", name, sum)
		}
	}
}

// TestNoInline: no template has inline style or script; the policy would leave it without effect.
func TestNoInline(t *testing.T) {
	names, err := filepath.Glob("templates/*.html")
	check(t, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		for _, word := range []string{"style=", "<style", "onclick", "onload", "javascript:", "hx-on", "js:", "https://"} {
			if strings.Contains(string(data), word) {
				t.Errorf("%s has %s", name, word)
			}
		}
	}
}
