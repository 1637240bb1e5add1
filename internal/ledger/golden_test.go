package ledger_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

var update = flag.Bool("update", false, "write testdata again")

// golden gives the records of testdata/v1. They must never change.
func golden() []whosaw.Record {
	all := numbered(0, 120)
	for i := range all {
		r := &all[i]
		r.Route, r.Status, r.Agent = []string{"GET /me", "GET /me/addresses"}[i%2], 200, "curl/8.5.0"
		r.Credential = fmt.Sprintf("sha256:%032x", i*7919)
		r.Request = fmt.Sprintf("9d1c2f3e-0000-4000-8000-%012x", i/2)
		r.ASN, r.Country, r.IP = uint32(4766+i%3), "KR", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		r.Bytes, r.Others, r.Outcome = int64(i*i), int64(i%4), whosaw.Outcome(i%5)
		switch i % 4 {
		case 0:
			r.Fields, r.Masked = []string{"address", "name"}, []string{"door_code"}
		case 1:
			r.Fields = []string{}
		case 2:
			r.ID, r.Realm, r.TLS, r.Client, r.Reason = fmt.Sprintf("id%d", i), "shop", "t13d1516h2", "app", "ticket"
			r.Subjects = append(r.Subjects, "007", "jane")
		}
		if r.Ref != nil {
			r.Ref.Lag, r.Ref.HasLost, r.Ref.Lost, r.Ref.Contacts = 0.5, true, 0.25, []string{"o1", ""}
		}
	}
	return all
}

// TestGolden opens a ledger that an earlier whosaw wrote.
func TestGolden(t *testing.T) {
	all := golden()
	stored := filepath.Join("testdata", "v1")
	if *update {
		if err := os.RemoveAll(stored); err != nil {
			t.Fatal(err)
		}
		l := open(t, ledger.Config{Dir: stored, SegmentRecords: 50})
		appendAll(t, l, all, ledger.Accepted)
		closing(t, l)
		if err := os.Remove(filepath.Join(stored, "lock")); err != nil {
			t.Fatal(err)
		}
	}
	dir := copied(t, stored)
	l := open(t, ledger.Config{Dir: dir, ReadOnly: true})
	check(t, view(t, l, 0), all)
	closing(t, l)
	l = open(t, ledger.Config{Dir: dir, SegmentRecords: 50})
	appendAll(t, l, all, ledger.Repeat)
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	check(t, view(t, l, 0), all)
	closing(t, l)
}
