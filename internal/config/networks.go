package config

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw/internal/detect"
)

// Networks is a kind of networks.
type Networks struct {
	// What it is called in answers, as in office.
	Name string `yaml:"name"`
	// Addresses and networks of it, as in 192.0.2.0/24 or 2001:db8::/32.
	Addresses []string `yaml:"addresses"`
	// AS numbers of it.
	ASNs []uint32 `yaml:"asns"`
	// Files that list more of it, one address, network or AS number (AS64500) a line, # before a remark, as public lists of hosting
	// companies and VPNs have them. Relative paths begin at this file. They are read at the start.
	Lists []string `yaml:"lists"`
}

// mostInList bounds the lines of a list: public lists of hosting companies have some tens of thousands.
const mostInList = 1 << 20

// readNetworks reads the kinds of networks, with their lists.
func (c *Config) readNetworks(f *faults) {
	c.networks = nil
	for i := range c.Detect.Networks {
		n := &c.Detect.Networks[i]
		at := fmt.Sprintf("detect.networks[%d]", i)
		class := detect.NetworkClass{Name: n.Name, ASNs: append([]uint32(nil), n.ASNs...)}
		for k, s := range n.Addresses {
			p, err := prefix(s)
			if err != nil {
				f.add(fmt.Sprintf("%s.addresses[%d]", at, k), "%v", err)
				continue
			}
			class.Prefixes = append(class.Prefixes, p)
		}
		for k, name := range n.Lists {
			if err := readList(c.Path(name), &class); err != nil {
				f.add(fmt.Sprintf("%s.lists[%d]", at, k), "%v", err)
			}
		}
		c.networks = append(c.networks, class)
	}
	if err := detect.CheckNetworks(c.networks); err != nil {
		f.add("detect.networks", "%v", err)
	}
}

// prefix reads an address or a network.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is no network: give it as in 192.0.2.0/24 or 2001:db8::/32", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 network written as IPv6: give it as in 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// readList adds what a file lists to a class.
func readList(path string, class *detect.NetworkClass) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	for line := 1; s.Scan(); line++ {
		if line > mostInList {
			return fmt.Errorf("%s: more than %d lines: is it a list of networks?", path, mostInList)
		}
		text, _, _ := strings.Cut(s.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if number, ok := strings.CutPrefix(text, "AS"); ok {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil || n == 0 {
				return fmt.Errorf("%s: line %d: %q is no AS number", path, line, text)
			}
			class.ASNs = append(class.ASNs, uint32(n))
			continue
		}
		p, err := prefix(text)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, line, err)
		}
		class.Prefixes = append(class.Prefixes, p)
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read the list %s: %w", path, err)
	}
	return nil
}
