package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/rules"
	"github.com/whosaw/whosaw/internal/server"
)

// acting gives the rules with what a shipped one does replaced.
func acting(t *testing.T, name, does string) *rules.Set {
	t.Helper()
	text := strings.Replace(string(rules.Shipped().Named(name).Source()), "action: alarm", does, 1)
	own, err := rules.Parse("own.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Shipped().With(own...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestWithActions(t *testing.T) {
	on := guard.Default()
	on.Mode = guard.ModeEnforce
	on.Doors = []guard.DoorConfig{{Name: "app", Kind: guard.KindDecide}}
	shadow := on
	shadow.Mode = guard.ModeShadow
	own := on
	own.Findings = []guard.FindingConfig{{Detector: "canary", Action: guard.StepUp, For: time.Hour}}
	all := on
	all.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.StepUp, For: time.Hour}}
	for _, c := range []struct {
		name  string
		guard guard.Config
		does  string
		want  []guard.FindingConfig
		err   string
	}{
		{"alarms only tell", on, "action: alarm", nil, ""},
		{"deny", on, "action: deny\nfor: 2h", []guard.FindingConfig{{Detector: "canary", Action: guard.Deny, For: 2 * time.Hour}}, ""},
		{"a day where nothing is said", on, "action: step_up", []guard.FindingConfig{{Detector: "canary", Action: guard.StepUp, For: 24 * time.Hour}}, ""},
		{"shadow mode tells what it would do", shadow, "action: deny", []guard.FindingConfig{{Detector: "canary", Action: guard.Deny, For: 24 * time.Hour}}, ""},
		{"whosaw.yaml holds instead", own, "action: deny", own.Findings, ""},
		{"but not what it says of all", all, "action: deny", append(all.Findings[:1:1], guard.FindingConfig{Detector: "canary", Action: guard.Deny, For: 24 * time.Hour}), ""},
		{"the guard is off", guard.Default(), "action: deny", nil, "set guard.mode"},
		{"the door cannot", on, "action: mask", nil, "door app"},
	} {
		got, err := server.WithActions(c.guard, acting(t, "canary", c.does))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "own.yaml: rule canary") {
				t.Errorf("%s: error %v, want it to say %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || len(got.Findings) != len(c.want) {
			t.Errorf("%s: %+v, %v", c.name, got.Findings, err)
			continue
		}
		for i := range c.want {
			if got.Findings[i] != c.want[i] {
				t.Errorf("%s: %+v, want %+v", c.name, got.Findings[i], c.want[i])
			}
		}
	}
	if got, err := server.WithActions(guard.Default(), nil); err != nil || len(got.Findings) != 0 {
		t.Errorf("the shipped rules do %+v, %v", got.Findings, err)
	}
}

func TestActionsThatNeverEndAreRefused(t *testing.T) {
	for _, does := range []string{"action: deny\nfor: 0s", "action: deny\nfor: 400d", "action: deny\nfor: long", "action: allow", "action: alarm\nfor: 1h"} {
		text := strings.Replace(string(rules.Shipped().Named("canary").Source()), "action: alarm", does, 1)
		if _, err := rules.Parse("own.yaml", []byte(text)); err == nil {
			t.Errorf("%s is taken", does)
		}
	}
}
