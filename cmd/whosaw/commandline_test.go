package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasExamples: README says so.
func TestEveryCommandHasExamples(t *testing.T) {
	root := (&Main{}).root()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" && cmd.Name() != "help" {
			t.Errorf("%s --help has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			if at := strings.Index(line, "whosaw "); at >= 0 {
				says(t, root, cmd.CommandPath()+" --help", line[at:])
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

var (
	inline = regexp.MustCompile("`(?:bin/)?(whosaw [^`]+)`")
	inCode = regexp.MustCompile(`^(?:    |  )?(?:sudo -u \w+ )?(?:bin/|go run \./cmd/)?(whosaw [a-z].*)`)
)

// TestCommandLinesOfDocs: every command line in README and docs names a command that is there, with flags that it has.
func TestCommandLinesOfDocs(t *testing.T) {
	files := []string{"../../README.md", "../../examples/README.md"}
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root, lines := (&Main{}).root(), 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				if lines++; m[1] != "whosaw state" { // how a file begins
					says(t, root, file, m[1])
				}
			}
			if m := inCode.FindStringSubmatch(line); m != nil && (fenced || strings.HasPrefix(line, "    ")) {
				lines++
				says(t, root, file, m[1])
			}
		}
	}
	if lines < 200 {
		t.Errorf("only %d command lines were found: the pattern is wrong", lines)
	}
}

// says holds one command line against the commands and flags that there are.
func says(t *testing.T, root *cobra.Command, where, line string) {
	t.Helper()
	words := shellWords(line)[1:]
	if len(words) > 0 && words[0] == "whosaw" { // sudo -u whosaw whosaw …
		words = words[1:]
	}
	cmd, rest, err := root.Find(words)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if left := cmd.Flags().Args(); err == nil && cmd.HasSubCommands() && len(left) > 0 {
		err = wrongCommand(cmd, left)
	}
	var wrong *usageError
	if err != nil && (errors.As(err, &wrong) || strings.Contains(err.Error(), "unknown")) { // prose may leave a flag's value out
		t.Errorf("%s: %s\n\t%v", where, strings.TrimSpace(line), err)
	}
}

// shellWords splits a line as a shell would, up to what is no longer the command: a pipe, a redirection, a comment, or the column of one.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, in, spaces := rune(0), false, 0
	end := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\n':
			end()
			if spaces++; spaces == 3 {
				return words
			}
			continue
		case strings.ContainsRune("|)", c), strings.ContainsRune("<>;&#", c) && !in:
			end()
			return words
		default:
			word.WriteRune(c)
			in = true
		}
		spaces = 0
	}
	end()
	return slices.DeleteFunc(words, func(w string) bool { return w == "\\" })
}
