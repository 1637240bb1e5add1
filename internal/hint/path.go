package hint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// mostNames is how many names are offered.
const mostNames = 3

// NotThere says what is known of a path at which nothing lies: where it stops leading anywhere, and what is there under a name like it.
func NotThere(path string) string {
	if to, err := os.Readlink(path); err == nil {
		return fmt.Sprintf("it is a symbolic link to %s, which is not there", to)
	}
	if strings.ContainsAny(path, "*?[") {
		return "no name matches this pattern: a shell hands it on as it is where nothing matches, or where it stands in quotes"
	}
	dir, name := filepath.Split(filepath.Clean(path))
	for dir = filepath.Clean(dir); ; dir, name = filepath.Dir(dir), filepath.Base(dir) {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return where(dir) + " is a file"
		case err == nil:
			return inside(dir, name)
		case !absent(err) || dir == filepath.Dir(dir):
			return "nothing is known of the directory it would be in"
		}
	}
}

// absent reports whether an error says that nothing lies at a path.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// inside says what a directory holds instead of a name.
func inside(dir, name string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "nothing of that name is in " + where(dir)
	}
	if len(entries) == 0 {
		return where(dir) + " is empty"
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	near := alike(name, names)
	if len(near) == 0 {
		out := fmt.Sprintf("nothing in %s is called %s", where(dir), name)
		if same := sameEnd(name, names); len(same) > 0 {
			for i := range same {
				same[i] = filepath.Join(dir, same[i])
			}
			out += ": there is " + strings.Join(same, ", ")
		}
		return out
	}
	for i := range near {
		near[i] = filepath.Join(dir, near[i])
	}
	return fmt.Sprintf("nothing in %s is called %s: did you mean %s?", where(dir), name, strings.Join(near, " or "))
}

// sameEnd are names that end as one does (.log), where that is few.
func sameEnd(name string, names []string) []string {
	end := filepath.Ext(name)
	if end == "" || end == name {
		return nil
	}
	same := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return filepath.Ext(n) != end })
	if len(same) > mostNames {
		return nil
	}
	return same
}

// where is a directory as somebody would name it to another.
func where(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		return whole
	}
	return dir
}

// alike are the names that were most likely meant: the nearest in spelling, and those that only have an end more or less, as .gz, .1 or .yaml.
func alike(name string, names []string) []string {
	var out []string
	if near := Nearest(name, names); near != "" {
		out = append(out, near)
	}
	low := strings.ToLower(name)
	for _, n := range names {
		other := strings.ToLower(n)
		longer, shorter := other, low
		if len(longer) < len(shorter) {
			longer, shorter = shorter, longer
		}
		if rest, ok := strings.CutPrefix(longer, shorter); ok && len(shorter) > 2 && (rest == "" || strings.ContainsAny(rest[:1], ".-_")) && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out[:min(len(out), mostNames)]
}
