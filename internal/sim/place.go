package sim

import "net/netip"

// place is where an access comes from: an address and the network it is in.
type place struct {
	hi, lo uint64 // of the address; an IPv4 one is in lo
	net    network
}

// network is an autonomous system and its country.
type network uint8

const (
	netNone network = iota
	netHomeA
	netHomeB
	netHomeC
	netCarrierA
	netCarrierB
	netOffice
	netHostNL
	netHostSG
	netHostUS
	netHostDE
	netHostJP
	numNetworks
)

// networks have the numbers that RFC 5398 reserves for documentation.
var networks = [numNetworks]struct {
	country string
	asn     int
}{
	netHomeA: {"KR", 64496}, netHomeB: {"KR", 64497}, netHomeC: {"KR", 64503},
	netCarrierA: {"KR", 64498}, netCarrierB: {"KR", 64504}, netOffice: {"KR", 64499},
	netHostNL: {"NL", 64500}, netHostSG: {"SG", 64501}, netHostUS: {"US", 64502}, netHostDE: {"DE", 64505}, netHostJP: {"JP", 64506},
}

// Addresses are reserved ones too: homes in 198.18.0.0/15 (RFC 2544) and, when those are used up, in 240.0.0.0/4 (RFC 1112);
// IPv6 homes in 2001:db8::/32 and 3fff::/20 (RFC 3849, 9637); carriers in 203.0.113.0/24, the office in 192.0.2.0/24 (RFC
// 5737); hosting companies in 250.0.0.0/8.
const (
	benchHomes = 1 << 17
	firstBench = uint32(198<<24 | 18<<16)
	firstClass = uint32(240 << 24)
	hosts      = 1 << 16 // of each hosting company
)

func v4(addr uint32, n network) place { return place{lo: uint64(addr), net: n} }

func (p place) addr() netip.Addr {
	if p.hi == 0 {
		return netip.AddrFrom4([4]byte{byte(p.lo >> 24), byte(p.lo >> 16), byte(p.lo >> 8), byte(p.lo)})
	}
	var b [16]byte
	for i := range 8 {
		b[i] = byte(p.hi >> (56 - 8*i))
		b[8+i] = byte(p.lo >> (56 - 8*i))
	}
	return netip.AddrFrom16(b)
}

// homeNetwork spreads homes over three providers, by /24.
func homeNetwork(n int) network {
	return [8]network{netHomeA, netHomeB, netHomeA, netHomeC, netHomeA, netHomeB, netHomeA, netHomeB}[n>>8&7]
}

// home4 is the address of a home. Neighbours in number are no neighbours in the network.
func home4(n int) place {
	if n < benchHomes {
		n = n * 37 % benchHomes
		return v4(firstBench+uint32(n), homeNetwork(n))
	}
	n = (n - benchHomes) * 37 % (9 << 24)
	return v4(firstClass+uint32(n), homeNetwork(n))
}

// home6 is an address in the /48 of a home; devices make up its last 64 bits.
func home6(n int, host uint64) place {
	prefix := uint64(0x20010db8) << 32
	if n >= 1<<16 {
		prefix = 0x3fff << 48
	}
	return place{hi: prefix | uint64(n)<<16, lo: host | 1<<63, net: homeNetwork(n << 4)}
}

// carrier is one of the addresses that all of the carriers' customers share; three of four are with the larger.
func (s *shop) carrier(n int) place {
	if n%4 == 3 {
		return v4(203<<24|113<<8|uint32(128+n%112), netCarrierB)
	}
	return v4(203<<24|113<<8|uint32(8+n%112), netCarrierA)
}

// office is the one address of the help desk; the house's programs have the next.
func office() place { return v4(192<<24|2<<8|10, netOffice) }

func server() place { return v4(192<<24|2<<8|11, netOffice) }

// host is an address at a hosting company abroad: a customer's VPN, a partner, a crawler, a hotel, a thief.
func host(n int) place {
	company := n % 5
	return v4(250<<24|uint32(company)<<16|uint32(n/5%hosts), netHostNL+network(company))
}
