package doctor

import (
	"embed"
	"fmt"
)

//go:embed setup
var setupFiles embed.FS

// setups is in the order in which they are offered.
var setups = []struct{ name, file string }{
	{"nginx", "setup/nginx.conf"},
	{"envoy", "setup/envoy.yaml"},
	{"spring", "setup/WhosawFilter.java"},
	{"express", "setup/express.js"},
}

// SetupNames lists what Setup knows.
func SetupNames() []string {
	names := make([]string, len(setups))
	for i, s := range setups {
		names[i] = s.name
	}
	return names
}

// Setup gives the lines that make the named proxy or framework log subject, credential and key.
func Setup(name string) (string, error) {
	for _, s := range setups {
		if s.name == name {
			text, err := setupFiles.ReadFile(s.file)
			if err != nil {
				return "", fmt.Errorf("read the lines for %s: %w", name, err)
			}
			return string(text), nil
		}
	}
	return "", fmt.Errorf("no lines for %q: there are nginx, envoy, spring, express", name)
}
