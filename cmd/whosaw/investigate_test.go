package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
)

// TestInvestigatedThenServed: what investigate finds in a kept ledger can be explained without a server, is on no record until one tells it, and is then recorded
// and told once each, however often it was found before or is found after.
func TestInvestigatedThenServed(t *testing.T) {
	base := t.TempDir()
	data, told := filepath.Join(base, "data"), filepath.Join(base, "told")
	ask := []string{"--quiet", "--data", data, "--catalog", shopCatalog, "--source", "shop", example}
	ids := func(found []whosaw.Finding) (out []string) {
		for i := range found {
			out = append(out, found[i].ID)
		}
		slices.Sort(out)
		return out
	}
	first, _ := investigate(t, ask...)
	want := ids(first.Findings)
	if len(want) < 3 {
		t.Fatalf("findings %v: the test shows nothing", want)
	}
	text, _, _ := whosawRun(t, append([]string{"investigate"}, ask...)...)
	for _, id := range want {
		if !strings.Contains(text, id) {
			t.Errorf("the answer does not name finding %s:\n%s", id, text)
		}
	}
	if next := "whosaw explain " + first.Findings[0].ID + " --data " + data; !strings.Contains(text, next) {
		t.Errorf("the answer does not offer %q:\n%s", next, text)
	}
	if out, stderr, code := whosawRun(t, "explain", first.Findings[0].ID, "--quiet", "--data", data); code != exitOK || !strings.Contains(out, "raised finding "+first.Findings[0].ID) {
		t.Errorf("exit %d, %s\n%s", code, stderr, out)
	}

	// Nobody was told, so nothing is on record; and it says what to do.
	for _, c := range [][]string{{"finding", "show", want[0]}, {"finding", "judge", want[0], "false", "--reason", "load"}, {"incident", "open", "--finding", want[0]}} {
		if _, stderr, code := whosawRun(t, append(c, "--data", data)...); code != exitFailed || !strings.Contains(stderr, "whosaw explain ID --data "+data) || !strings.Contains(stderr, "whosaw serve --data") {
			t.Errorf("%v: exit %d\n%s", c, code, stderr)
		}
	}
	if out, stderr, code := whosawRun(t, "finding", "list", "--data", data); code != exitOK || out != "" || !strings.Contains(stderr, "the first whosaw serve --data") {
		t.Errorf("list: exit %d\n%s%s", code, stderr, out)
	}

	config := "alarm:\n  channels:\n    - name: told\n      file: {path: " + told + ", format: cloudevents}\n"
	for range 2 {
		c := startServer(t, data, config)
		var answer struct{ Findings []api.Found }
		if err := c.r.call(t.Context(), "GET", "/v1/findings?wait=true", nil, &answer); err != nil {
			t.Fatal(err)
		}
		var got []whosaw.Finding
		for i := range answer.Findings {
			if f := answer.Findings[i].Finding; f.Detector != "offboarding" { // which is by the clock of the server, and in no log
				got = append(got, f)
			}
		}
		if got := ids(got); !slices.Equal(got, want) {
			t.Errorf("the server has %v, investigate found %v", got, want)
		}
		if again, _ := investigate(t, "--quiet", "--data", data, "--source", "shop", example); !slices.Equal(ids(again.Findings), want) {
			t.Errorf("investigated through the server: %v, want %v", ids(again.Findings), want)
		}
		if err := c.terminate(); err != nil {
			t.Error(err)
		}
		if again, _ := investigate(t, ask...); !slices.Equal(ids(again.Findings), want) {
			t.Errorf("investigated after the server: %v, want %v", ids(again.Findings), want)
		}
	}
	f, err := os.Open(told)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var heard []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m struct {
			Data struct{ Kind, ID, Detector string }
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m.Data.Kind == "" && m.Data.Detector != "offboarding" {
			heard = append(heard, m.Data.ID)
		}
	}
	if slices.Sort(heard); !slices.Equal(heard, want) {
		t.Errorf("told of %v, want %v once each", heard, want)
	}
}
