package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/config"
)

const deploy = "../../deploy/"

func deployFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnits has systemd check its units, and holds how much they leave open.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT TESTED: the systemd units: there is no systemd-analyze here")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	names := []string{"whosaw.service", "whosaw-backup.service", "whosaw-backup.timer"}
	args := []string{"verify"}
	for _, name := range names {
		unit := strings.ReplaceAll(deployFile(t, name), "/usr/local/bin/whosaw", exe) // one that is there
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, name := range names[:2] {
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Errorf("%s leaves more open than 2.5 of 10: %v\n%s", name, err, out)
		}
	}
}

// TestDeployedCommands runs what units and image run, as far as the flags and the configuration go.
func TestDeployedCommands(t *testing.T) {
	if _, err := config.Load(deploy + "container.yaml"); err != nil {
		t.Error(err)
	}
	var lines [][]string
	for _, name := range []string{"whosaw.service", "whosaw-backup.service"} {
		for _, m := range regexp.MustCompile(`(?m)^Exec\w+=/usr/local/bin/whosaw (.*)$`).FindAllStringSubmatch(deployFile(t, name), -1) {
			lines = append(lines, strings.Fields(m[1]))
		}
	}
	docker := deployFile(t, "Dockerfile")
	for _, m := range regexp.MustCompile(`CMD (\[.*\])`).FindAllStringSubmatch(docker, -1) {
		var line []string
		if err := json.Unmarshal([]byte(m[1]), &line); err != nil {
			t.Fatal(err)
		}
		if line[0] == "/usr/local/bin/whosaw" {
			line = line[1:]
		}
		lines = append(lines, line)
	}
	if len(lines) != 5 {
		t.Fatalf("%d command lines", len(lines))
	}
	for _, line := range lines {
		if _, stderr, code := whosawRun(t, append(line, "--help")...); code != exitOK {
			t.Errorf("whosaw %q: %s", line, stderr)
		}
	}
	goMod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(goMod))[1]
	if !strings.Contains(docker, "FROM golang:"+version+" ") {
		t.Errorf("the image is not built with Go %s as go.mod asks", version)
	}
}
