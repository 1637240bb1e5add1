package follow_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/follow"
)

// logrotateProgram finds the real one. Debian keeps it out of a user's path.
func logrotateProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"logrotate", "/usr/sbin/logrotate"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatal("logrotate is not there: run scripts/tools")
	}
	t.Skip("logrotate is not there: run scripts/tools")
	return ""
}

// TestLogrotate rotates with the real program, up and down.
func TestLogrotate(t *testing.T) {
	program := logrotateProgram(t)
	for name, how := range map[string]string{
		"default":       "create 0600\ncompress\ndelaycompress\n",
		"compress":      "create 0600\ncompress\n",
		"date":          "create 0600\ncompress\ndelaycompress\ndateext\ndateformat -%Y%m%d-%s\n",
		"copytruncate":  "copytruncate\ncompress\ndelaycompress\n",
		"truncate date": "copytruncate\ncompress\ndateext\ndateformat .%Y-%m-%d-%H%M%S\nextension .log\n",
		"olddir":        "create 0600\ncompress\nolddir old\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if strings.Contains(how, "olddir") {
				r.cfg.Rotated = []string{r.path("old/access.log*")}
				if err := os.Mkdir(r.path("old"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			conf := filepath.Join(dir, "conf")
			text := fmt.Sprintf("%q {\nrotate 50\nsu root root\n%s}\n", r.cfg.Path, how)
			if os.Geteuid() != 0 {
				text = strings.ReplaceAll(text, "su root root\n", "")
			}
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			n := 0
			write := func() {
				r.write("access.log", lines(n, n+200))
				n += 200
			}
			write()
			r.start()
			r.sink.has(t, 0, n)
			for round := range 6 {
				down := round%2 == 1
				if down {
					r.halt()
				}
				write() // read before the rotation or not, as it comes
				r.run(program, "--force", "--state", filepath.Join(dir, "state"), conf)
				write()
				if down {
					r.start()
					r.clock.forward(5 * time.Second) // what was compressed just now is left alone for a moment
				}
				r.sink.has(t, 0, n)
				r.clock.forward(time.Minute)
				if strings.Contains(how, "date") { // names by the second
					tick := time.NewTimer(1100 * time.Millisecond)
					<-tick.C
				}
			}
			r.status("nothing left", func(s follow.LogStatus) bool { return s.Behind == 0 && s.Unfinished == 0 && len(s.Problems) == 0 })
			r.sink.mu.Lock()
			defer r.sink.mu.Unlock()
			if r.sink.repeats > 0 || len(r.sink.rejects) > 0 {
				t.Errorf("%d repeats, rejects %v", r.sink.repeats, r.sink.rejects)
			}
		})
	}
}
