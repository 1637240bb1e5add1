package hint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/whosaw/whosaw/internal/hint"
)

func TestNotThere(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{"logs/access.log.gz", "logs/access.log.1", "logs/error.log", "catalog.yaml", "logs/many/a-1", "logs/many/a-2", "logs/many/a-3", "logs/many/a-4"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.Mkdir("empty", 0o700), os.Symlink("gone.log", "logs/link")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	logs := filepath.Join(dir, "logs")
	for path, want := range map[string]string{
		"catlog.yaml":        "nothing in " + dir + " is called catlog.yaml: did you mean catalog.yaml?",
		"./Catalog.yaml":     "nothing in " + dir + " is called Catalog.yaml: did you mean catalog.yaml?",
		"catalog":            "nothing in " + dir + " is called catalog: did you mean catalog.yaml?",
		"catalog.yaml.bak":   "nothing in " + dir + " is called catalog.yaml.bak: did you mean catalog.yaml?",
		"logs/access.log":    "nothing in " + logs + " is called access.log: did you mean logs/access.log.1 or logs/access.log.gz?",
		logs + "/eror.log":   "nothing in " + logs + " is called eror.log: did you mean " + logs + "/error.log?",
		"log/access.log.1":   "nothing in " + dir + " is called log: did you mean logs?",
		"logs/many/a":        "nothing in " + logs + "/many is called a",
		"logs/many/a-":       "nothing in " + logs + "/many is called a-: did you mean logs/many/a-1?",
		"nothere.log":        "nothing in " + dir + " is called nothere.log",
		"logs/nothere.log":   "nothing in " + logs + " is called nothere.log: there is logs/error.log",
		"a/b/c/d":            "nothing in " + dir + " is called a",
		"empty/x":            filepath.Join(dir, "empty") + " is empty",
		"catalog.yaml/x/y":   filepath.Join(dir, "catalog.yaml") + " is a file",
		"logs/link":          "it is a symbolic link to gone.log, which is not there",
		"logs/access.log.*x": "no name matches this pattern: a shell hands it on as it is where nothing matches, or where it stands in quotes",
	} {
		if got := hint.NotThere(path); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
}

func TestNarrow(t *testing.T) {
	for word, want := range map[string]string{"４７１１": "4711", " 4711\n": "4711", "ｓｔａｆｆ：ｋｉｍ": "staff:kim", "\u3000７": "7", "4711": "4711", "고객 7": "고객 7", "": ""} {
		if got := hint.Narrow(word); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"investigate", "serve", "status", "top"}
	for word, want := range map[string]string{"investgate": "investigate", "sevre": "serve", "TOP": "top", "tpo": "top", "xyz": "", "": "", "stat": "", "statsu": "status"} {
		if got := hint.Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
