package follow

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Config is one entry of the list `follow` in whosaw.yaml: a log file, or several that a pattern names.
type Config struct {
	// The log as its writer names it, such as /var/log/nginx/access.log, or a pattern for several logs,
	// such as /var/log/nginx/*.access.log. It may be a symbolic link, and need not be there yet. Its rotated
	// generations (access.log.1, access.log.2.gz, access.log-20260102, access-2026-01-02.log) belong to it.
	Path string `yaml:"path"`
	// The name that its records are kept under. Default: the file's name without what rotation adds. With a
	// pattern each log is SOURCE/NAME, with the directories that the pattern leaves open. Never change it for a log that has been read: its lines would be new ones. Use the same
	// name to read a rotated file by hand (`whosaw investigate --source NAME`), and every line is known.
	Source string `yaml:"source"`
	// What the lines are: records, combined, nginx, envoy, traefik, caddy, cloudtrail or vault. Must be given, unless mapping is.
	Format string `yaml:"format"`
	// A mapping file for other JSON lines (docs/formats/sources.md).
	Mapping string `yaml:"mapping"`
	// The record types that may come this way; others are rejected. Default: all. Where others may write to the log, allow access
	// alone: whoever may say issuance or reason can explain a theft away. The log's own log-ins (docs/formats/catalog.md) are issuances.
	Types []string `yaml:"types"`
	// Patterns for generations that lie elsewhere or are named otherwise (logrotate's olddir).
	Rotated []string `yaml:"rotated"`
	// Where a log begins that was never followed before: `beginning` (the default) reads the file from its
	// beginning, but not the generations that were rotated before; `all` reads those too; `end` reads only what comes from now on.
	From string `yaml:"from"`
	// How long a rotated file must have been quiet until nothing more is expected of it. Only then is a last
	// line without line feed taken. Default 30s; at least 1s. A writer that keeps a rotated file open for longer loses nothing: what it
	// adds is read too.
	Settle time.Duration `yaml:"settle"`
	// How often files are looked at. Default 200ms; 10ms to 1m.
	Poll time.Duration `yaml:"poll"`
}

// The values of From.
const (
	FromBeginning = "beginning"
	FromEnd       = "end"
	FromAll       = "all"
)

// Check says what is wrong with the entry, with the cure.
func (c *Config) Check() error {
	if err := c.check(); err != nil {
		if c.Path == "" {
			return fmt.Errorf("follow: %w", err)
		}
		return fmt.Errorf("follow %s: %w", c.Path, err)
	}
	return nil
}

func (c *Config) check() error {
	if c.Path == "" {
		return errors.New("an entry has no path: name the log file")
	}
	if !filepath.IsAbs(c.Path) {
		return errors.New("path: give the whole path, beginning with /")
	}
	if strings.HasSuffix(c.Path, "/") {
		return errors.New("path: it names a directory; name the log in it, or a pattern such as *.log")
	}
	for _, p := range append([]string{c.Path}, c.Rotated...) {
		if _, err := filepath.Match(p, ""); err != nil {
			return fmt.Errorf("the pattern %q is not one: close its brackets", p)
		}
	}
	for _, p := range c.Rotated {
		if !filepath.IsAbs(p) {
			return errors.New("rotated: give whole paths, beginning with /")
		}
	}
	if len(c.Rotated) > 0 && hasMeta(filepath.Dir(c.Path)) {
		return errors.New("rotated: goes with a path whose directory has no wildcards; make an entry for each directory")
	}
	if hasMeta(c.Path) {
		if _, rotated := stem(filepath.Base(c.Path)); rotated {
			return errors.New("path: name the logs as they are before rotation; rotated generations are found by themselves")
		}
	}
	if c.Source != "" {
		if err := ingest.CheckSource(c.Source); err != nil {
			return err
		}
	}
	if c.Format == "" && c.Mapping == "" {
		return fmt.Errorf("format: say what the lines are: one of %s", strings.Join(ingest.Formats(), ", "))
	}
	if err := ingest.CheckFormat(c.Format, c.Mapping); err != nil {
		return err
	}
	if _, err := pipeline.ParseTypes(c.Types); err != nil {
		return fmt.Errorf("types: %w", err)
	}
	switch c.From {
	case "", FromBeginning, FromEnd, FromAll:
	default:
		return fmt.Errorf("from %q: give %s, %s or %s", c.From, FromBeginning, FromEnd, FromAll)
	}
	if c.Settle != 0 && c.Settle < time.Second {
		return errors.New("settle: give at least 1s, or leave it out for 30s")
	}
	if c.Poll != 0 && (c.Poll < 10*time.Millisecond || c.Poll > time.Minute) {
		return errors.New("poll: give 10ms to 1m, or leave it out for 200ms")
	}
	return nil
}

// CheckAll checks a list of entries: each, and that no two would be the same source.
func CheckAll(list []Config) error {
	sources := map[string]string{}
	for i := range list {
		c := &list[i]
		if err := c.Check(); err != nil {
			return err
		}
		name := c.sourceOf(c.Path)
		if hasMeta(c.Path) {
			name = "pattern " + c.Source + " " + c.Path
		}
		if other, ok := sources[name]; ok {
			return fmt.Errorf("follow %s: it would be the same source as %s: give each a source", c.Path, other)
		}
		sources[name] = c.Path
		for k := range list {
			if ok, _ := filepath.Match(list[k].Path, c.Path); ok && k != i && hasMeta(list[k].Path) {
				return fmt.Errorf("follow %s: the pattern %s names it too: a log is followed once", c.Path, list[k].Path)
			}
		}
	}
	return nil
}

// Under gives the entry with its mapping file as path has it: a relative one begins at the configuration file.
func (c Config) Under(path func(string) string) Config {
	c.Mapping = path(c.Mapping)
	return c
}

// sourceOf names the source of the log that is live under path: of a pattern's logs by what the pattern leaves open.
func (c *Config) sourceOf(path string) string {
	name := filepath.Base(path)
	if !hasMeta(c.Path) {
		if c.Source != "" {
			return c.Source
		}
		return name
	}
	fixed := filepath.Dir(c.Path)
	for hasMeta(fixed) {
		fixed = filepath.Dir(fixed)
	}
	if rel, err := filepath.Rel(fixed, path); err == nil {
		name = rel
	}
	if c.Source != "" {
		return c.Source + "/" + name
	}
	return name
}

func (c *Config) settle() time.Duration {
	if c.Settle == 0 {
		return 30 * time.Second
	}
	return c.Settle
}

func (c *Config) poll() time.Duration {
	if c.Poll == 0 {
		return 200 * time.Millisecond
	}
	return c.Poll
}
