package follow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/whosaw/whosaw/internal/follow"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		c    follow.Config
		want string // "" is right
	}{
		{"least", follow.Config{Path: "/var/log/a.log", Format: "combined"}, ""},
		{"mapping", follow.Config{Path: "/var/log/a.log", Mapping: "/etc/m.yaml"}, ""},
		{"pattern", follow.Config{Path: "/var/log/*.log", Format: "nginx", Source: "web", From: "end", Settle: time.Minute, Poll: time.Second}, ""},
		{"no path", follow.Config{Format: "nginx"}, "no path: name the log file"},
		{"relative", follow.Config{Path: "a.log", Format: "nginx"}, "give the whole path"},
		{"directory", follow.Config{Path: "/var/log/", Format: "nginx"}, "names a directory"},
		{"no format", follow.Config{Path: "/a.log"}, "format: say what the lines are: one of records, combined"},
		{"format", follow.Config{Path: "/a.log", Format: "apache"}, `format "apache": give one of`},
		{"both", follow.Config{Path: "/a.log", Format: "nginx", Mapping: "/m"}, "mapping: goes with format mapping"},
		{"mapping without", follow.Config{Path: "/a.log", Format: "mapping"}, "name the mapping file"},
		{"bracket", follow.Config{Path: "/a[.log", Format: "nginx"}, "close its brackets"},
		{"rotated pattern", follow.Config{Path: "/var/*/a.log", Format: "nginx", Rotated: []string{"/old/*"}}, "make an entry for each directory"},
		{"rotated relative", follow.Config{Path: "/a.log", Format: "nginx", Rotated: []string{"old/*"}}, "rotated: give whole paths"},
		{"rotated as path", follow.Config{Path: "/var/log/*.log.1", Format: "nginx"}, "as they are before rotation"},
		{"from", follow.Config{Path: "/a.log", Format: "nginx", From: "start"}, `from "start": give beginning, end or all`},
		{"settle", follow.Config{Path: "/a.log", Format: "nginx", Settle: time.Millisecond}, "settle: give at least 1s"},
		{"poll", follow.Config{Path: "/a.log", Format: "nginx", Poll: time.Hour}, "poll: give 10ms to 1m"},
		{"types", follow.Config{Path: "/a.log", Format: "records", Types: []string{"access"}}, ""},
		{"type", follow.Config{Path: "/a.log", Format: "nginx", Types: []string{"verdict"}}, `record type "verdict"`},
		{"source", follow.Config{Path: "/a.log", Format: "nginx", Source: "a\nb"}, "without control characters"},
	} {
		switch err := c.c.Check(); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCheckAll(t *testing.T) {
	a := follow.Config{Path: "/srv/a/access.log", Format: "nginx"}
	b := follow.Config{Path: "/srv/b/access.log", Format: "nginx"}
	if err := follow.CheckAll([]follow.Config{a, b}); err == nil || !strings.Contains(err.Error(), "give each a source") {
		t.Errorf("two logs of one source: %v", err)
	}
	b.Source = "b"
	if err := follow.CheckAll([]follow.Config{a, b}); err != nil {
		t.Error(err)
	}
	p := follow.Config{Path: "/srv/*/access.log", Format: "nginx"}
	if err := follow.CheckAll([]follow.Config{b, p}); err == nil || !strings.Contains(err.Error(), "a log is followed once") {
		t.Errorf("a log that a pattern names too: %v", err)
	}
	if _, err := follow.New(follow.Options{Logs: []follow.Config{{Path: "/a.log", Mapping: "/nowhere/m.yaml"}}}); err == nil {
		t.Error("a mapping file that is not there was taken")
	}
}

func TestConfigInYAML(t *testing.T) {
	var c follow.Config
	text := "path: /var/log/nginx/access.log\nsource: web\nformat: combined\nfrom: end\nsettle: 1m\npoll: 500ms\nrotated: [/old/*.gz]\n"
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil || c.Settle != time.Minute || c.Poll != 500*time.Millisecond || c.Rotated[0] != "/old/*.gz" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestStem(t *testing.T) {
	for name, want := range map[string]string{
		"access.log":                     "access.log",
		"access.log.1":                   "access.log",
		"access.log.12.gz":               "access.log",
		"access.log-20260102":            "access.log",
		"access.log-20260102.gz":         "access.log",
		"access.log-20260102-1767312000": "access.log",
		"access.log-1767312000.zst":      "access.log",
		"access.log-2026010203.gz":       "access.log",
		"access.log.2026-01-02":          "access.log",
		"access.log.2026-01-02-03":       "access.log",
		"access.log-20260102.1.gz":       "access.log",
		"access.log.old":                 "access.log",
		"access-20260102.log":            "access.log",
		"access-2026-01-02.log.gz":       "access.log",
		"access_2026-01-02T15.log":       "access.log",
		"app.2026-01-02.json":            "app.json",
		"worker.1.log":                   "worker.1.log", // several writers
		"worker-2.log":                   "worker-2.log",
		"v1.2":                           "v1",
		"tenant-20261399.log":            "tenant-20261399.log", // no date
		"20260102":                       "20260102",
		"access":                         "access",
	} {
		if got, rotated := follow.Stem(name); got != want || rotated != (want != name) {
			t.Errorf("stem of %s: %s %v, want %s", name, got, rotated, want)
		}
	}
}
