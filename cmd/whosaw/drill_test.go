package main

import (
	"testing"

	"github.com/whosaw/whosaw/internal/detect"
)

func TestParseBudget(t *testing.T) {
	for text, want := range map[string]detect.Budget{
		"client:app=200":                   {Of: "client:app", Day: 200},
		"principal:service=50,unexplained": {Of: "principal:service", Day: 50, Unexplained: true},
	} {
		if got, err := parseBudget(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "principal:service", "principal:service=-1", "staff=5", "principal:service=5,explained"} {
		if _, err := parseBudget(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
