package ledger_test

import (
	"fmt"
	"math"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
)

// genText gives a missing, a common or a rare string.
func genText(common ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "how") {
		case 0, 1, 2:
			return ""
		case 3:
			return rapid.StringN(0, 40, 300).Draw(t, "rare")
		case 4:
			return fmt.Sprintf("%s%016x", rapid.SampledFrom([]string{"", "tok_", "e"}).Draw(t, "prefix"), rapid.Uint64().Draw(t, "hex"))
		}
		return rapid.SampledFrom(common).Draw(t, "common")
	})
}

var genSubject = rapid.Custom(func(t *rapid.T) string {
	switch rapid.IntRange(0, 6).Draw(t, "how") {
	case 0:
		return rapid.SampledFrom([]string{"0", "007", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-1"}).Draw(t, "edge")
	case 1:
		return rapid.StringN(1, 20, 60).Draw(t, "name")
	case 2:
		return fmt.Sprintf("%08x-aaaa-4bbb-8ccc-%012x", rapid.Uint32().Draw(t, "a"), rapid.Uint32().Draw(t, "b"))
	case 3:
		return fmt.Sprint(rapid.Uint64().Draw(t, "any"))
	}
	return fmt.Sprint(rapid.IntRange(1, 30).Draw(t, "small"))
})

var genAddr = rapid.Custom(func(t *rapid.T) netip.Addr {
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0:
		return netip.Addr{}
	case 1:
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: rapid.Byte().Draw(t, "low")})
	case 2:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 15: rapid.Byte().Draw(t, "low")})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, rapid.ByteRange(0, 9).Draw(t, "low")})
})

var genSet = rapid.Custom(func(t *rapid.T) []string {
	if rapid.Bool().Draw(t, "missing") {
		return nil
	}
	return append([]string{}, rapid.SliceOfN(rapid.SampledFrom([]string{"name", "email", "address", "door_code"}), 0, 3).Draw(t, "set")...)
})

func genList(of *rapid.Generator[string], n int) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		if list := rapid.SliceOfN(of, 0, n).Draw(t, "list"); len(list) > 0 {
			return list
		}
		return nil
	})
}

// genSmall gives 0, small numbers and great ones.
var genSmall = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-5, 300), rapid.Int64())

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// genRecord gives any record that can be stored, from few identities, so that some come again.
var genRecord = rapid.Custom(func(t *rapid.T) whosaw.Record {
	r := whosaw.Record{
		Time:       rapid.OneOf(rapid.Int64Range(1000, 1020), rapid.Int64()).Draw(t, "time"),
		ID:         rapid.SampledFrom([]string{"", "", "", "a", "b", "c"}).Draw(t, "id"),
		Realm:      rapid.SampledFrom([]string{"", "", "shop"}).Draw(t, "realm"),
		Source:     rapid.SampledFrom([]string{"", "web1", "web2"}).Draw(t, "source"),
		Position:   rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64()).Draw(t, "position"),
		Subjects:   genList(genSubject, 4).Draw(t, "subjects"),
		Others:     genSmall.Draw(t, "others"),
		Route:      genText("GET /me", "GET /me/addresses").Draw(t, "route"),
		Fields:     genSet.Draw(t, "fields"),
		Masked:     genSet.Draw(t, "masked"),
		Status:     rapid.SampledFrom([]int{0, 200, 404, 999}).Draw(t, "status"),
		Outcome:    whosaw.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome")),
		Principal:  genText("customer:1", "customer:2", "customer:007", "staff:kim", "customer:").Draw(t, "principal"),
		Credential: genText("s1", "s2").Draw(t, "credential"),
		Key:        genText("k1", "k2").Draw(t, "key"),
		Client:     genText("app").Draw(t, "client"),
		IP:         genAddr.Draw(t, "ip"),
		Country:    genText("KR", "US").Draw(t, "country"),
		ASN:        rapid.SampledFrom([]uint32{0, 4766, math.MaxUint32}).Draw(t, "asn"),
		Agent:      genText("curl/8").Draw(t, "agent"),
		TLS:        genText("t13d").Draw(t, "tls"),
		Reason:     genText("ticket 7").Draw(t, "reason"),
		Bytes:      genSmall.Draw(t, "bytes"),
		Request:    genText("r1").Draw(t, "request"),
	}
	if len(r.Subjects) > 0 && rapid.Bool().Draw(t, "own") {
		r.Principal = "customer:" + r.Subjects[0]
	}
	if rapid.IntRange(0, 3).Draw(t, "reference") == 0 {
		r.Type = whosaw.Type(rapid.IntRange(1, 10).Draw(t, "type"))
		r.Ref = &whosaw.Reference{
			State: genText("active").Draw(t, "state"), Kind: genText("order").Draw(t, "kind"),
			Into: genText("9").Draw(t, "into"), Person: genText("kim").Draw(t, "person"),
			Of: genText("issuance").Draw(t, "of"), Use: genText("log-in").Draw(t, "use"), Note: genText("x").Draw(t, "note"),
			Since: genSmall.Draw(t, "since"), From: genSmall.Draw(t, "from"), Until: genSmall.Draw(t, "until"),
			Expires: genSmall.Draw(t, "expires"), LastLogin: genSmall.Draw(t, "lastlogin"),
			Lag:      rapid.OneOf(rapid.Just(0.0), rapid.Float64().Filter(finite)).Draw(t, "lag"),
			HasLost:  rapid.Bool().Draw(t, "haslost"),
			Count:    genSmall.Draw(t, "count"),
			Contacts: genList(genText("o1"), 2).Draw(t, "contacts"), Keys: genList(genText("k1"), 2).Draw(t, "keys"),
			Principals: genList(genText("staff:kim"), 2).Draw(t, "principals"), Readers: genList(genText("kim"), 2).Draw(t, "readers"),
		}
		if r.Ref.HasLost {
			r.Ref.Lost = rapid.Float64Range(0, 1).Draw(t, "lost")
		}
	}
	return r
})
