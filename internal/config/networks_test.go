package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
)

// load writes a whosaw.yaml with a list beside it, and reads it.
func load(t *testing.T, yaml, list string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"whosaw.yaml": yaml, "hosting.txt": list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Load(filepath.Join(dir, "whosaw.yaml"))
}

func TestNetworks(t *testing.T) {
	yaml := "detect:\n  networks:\n  - name: office\n    addresses:\n    - 192.0.2.7\n    - 2001:db8::/48\n  - {name: hosting, asns: [64500], lists: [hosting.txt]}\n"
	c, err := load(t, yaml, "# hosting companies\nAS64501 # somebody\n\n198.51.100.0/24\n203.0.113.9\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []detect.NetworkClass{
		{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/48")}},
		{Name: "hosting", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.9/32")}, ASNs: []uint32{64500, 64501}},
	}
	if d := cmp.Diff(want, c.Engine().Networks, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	other, err := load(t, yaml, "AS64502\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Engine().Fingerprint() == other.Engine().Fingerprint() {
		t.Error("another list is not another configuration: a state of before would be read")
	}
	for _, bad := range []struct{ yaml, list, says string }{
		{yaml, "198.51.100.0/24\nASx\n", `line 2: "ASx" is no AS number`},
		{yaml, "198.51.100\n", `line 1: "198.51.100" is no network`},
		{"detect: {networks: [{name: a, lists: [none.txt]}]}", "", "detect.networks[0].lists[0]: read the list"},
		{"detect: {networks: [{name: a, addresses: [10.0.0.0/33]}]}", "", "detect.networks[0].addresses[0]: \"10.0.0.0/33\" is no network"},
		{"detect: {networks: [{name: a, addresses: ['::ffff:10.0.0.0/104']}]}", "", "written as IPv6"},
		{"detect: {networks: [{name: a}]}", "", "no network is in it"},
	} {
		if _, err := load(t, bad.yaml, bad.list); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s, %q: %v, want %q", bad.yaml, bad.list, err, bad.says)
		}
	}
}
