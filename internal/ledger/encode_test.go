package ledger_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// same compares records. -0 and 0 are one number to a ledger.
var same = cmpopts.EquateComparable(netip.Addr{})

func TestEncodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRecord.Draw(t, "record")
		b, err := ledger.Encode(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ledger.Decode(b)
		if err != nil {
			t.Fatalf("decode %x: %v", b, err)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestEncodeBytes holds the encoding to the bytes of docs/formats/ledger.md. They never change.
func TestEncodeBytes(t *testing.T) {
	access := whosaw.Record{
		Time: 1764000000000, Source: "web", Position: 300, Subjects: []string{"7"},
		Route: "GET /me", Fields: []string{"email", "name"}, Masked: []string{}, Status: 200,
		Principal: "customer:7", IP: netip.MustParseAddr("192.0.2.1"), ASN: 4766,
		Method: "GET", Path: "/me",
	}
	feed := whosaw.Record{
		Type: whosaw.TypeFeed, ID: "f", Time: 1, Key: "k",
		Ref: &whosaw.Reference{Of: "issuance", Lag: 2, HasLost: true},
	}
	for _, c := range []struct {
		name   string
		record whosaw.Record
		want   string
	}{
		{"nothing", whosaw.Record{}, ""},
		{"access", access, "0380a0bfe9d666" + "0503776562" + "06d804" + "07010137" + "0907474554202f6d65" +
			"0a0205656d61696c046e616d65" + "0b00" + "0c9003" + "0e0a637573746f6d65723a37" + "1204c0000201" + "149e25"},
		{"feed", feed, "0107" + "020166" + "0302" + "10016b" + "240869737375616e6365" +
			"2c4000000000000000" + "2d0000000000000000"},
	} {
		got, err := ledger.Encode(nil, &c.record)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%s: got %x, want %s", c.name, got, c.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	ref := func(f whosaw.Reference) whosaw.Record { return whosaw.Record{Type: whosaw.TypeFeed, Ref: &f} }
	for _, c := range []struct {
		says   string
		record whosaw.Record
	}{
		{"unknown type", whosaw.Record{Type: 11}},
		{"unknown outcome", whosaw.Record{Outcome: 5}},
		{"status", whosaw.Record{Status: 1000}},
		{"status", whosaw.Record{Status: -1}},
		{"zone", whosaw.Record{IP: netip.MustParseAddr("fe80::1%eth0")}},
		{"subject is empty", whosaw.Record{Subjects: []string{""}}},
		{"access has members", whosaw.Record{Ref: &whosaw.Reference{}}},
		{"not stated", ref(whosaw.Reference{Lost: 1})},
		{"finite", ref(whosaw.Reference{Lag: math.Inf(1)})},
		{"finite", ref(whosaw.Reference{Lost: math.NaN(), HasLost: true})},
		{"shorten", whosaw.Record{Agent: strings.Repeat("x", ledger.MaxRecord)}},
	} {
		b, err := ledger.Encode([]byte("kept"), &c.record)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want an error that says %q, got %v", c.says, err)
		}
		if string(b) != "kept" {
			t.Errorf("%s: the buffer was changed", c.says)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, hex string }{
		{"field 0", "0000"},
		{"unknown field of an access", "1a0161"},
		{"unknown field of a reference", "01073302"},
		{"fields out of order", "0501610201"},
		{"a field twice", "020161020162"},
		{"an access with a reference's field", "200161"},
		{"type access, stated", "0100"},
		{"unknown type", "010b"},
		{"unknown outcome", "0d05"},
		{"zero, stated", "0300"},
		{"empty string, stated", "0200"},
		{"empty list, stated", "0700"},
		{"empty subject", "070100"},
		{"long form of a number", "03828000"},
		{"number past 64 bits", "03ffffffffffffffffff02"},
		{"string past the end", "020261"},
		{"list past the end", "07ffff7f0161"},
		{"address of 5 bytes", "12050102030405"},
		{"status past 999", "0cd00f"},
		{"negative status", "0c01"},
		{"number cut off", "0380"},
		{"asn past 32 bits", "148080808010"},
		{"lag 0, stated", "01072c0000000000000000"},
		{"lag -0", "01072c8000000000000000"},
		{"lag not a number", "01072c7ff8000000000001"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ledger.Decode(b); err == nil {
			t.Errorf("%s: %s was read as %+v", c.name, c.hex, r)
		}
	}
}

// FuzzDecode holds that what is read is written the same again: two different byte strings are
// never one record.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "0302", "0107020166", "0380a0bfe9d6660503776562070137", "0a00", "01072d0000000000000000"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ledger.Decode(b)
		if err != nil {
			return
		}
		again, err := ledger.Encode(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, again) {
			t.Fatalf("%x was read, and written as %x", b, again)
		}
		if kind, realm, credential, ok := ledger.Peek(string(b)); !ok || kind != r.Type || realm != r.Realm || credential != r.Credential {
			t.Fatalf("%x was peeked at as %v, %q, %q, %t: it is %+v", b, kind, realm, credential, ok, r)
		}
	})
}
