package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// shuffled makes files whose records lie anywhere in time, some doubled, some reference records.
func shuffled(t *testing.T, seed uint64) []string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	var paths []string
	for f := range 5 {
		var b strings.Builder
		for n := range 400 + 100*f {
			at := whenMS + rnd.Int64N(500)
			if rnd.IntN(4) == 0 {
				fmt.Fprintf(&b, `{"type":"issuance","time":%d,"credential":"c-%d","subject":"%d"}`+"\n", at, n, n)
			} else {
				fmt.Fprintf(&b, `{"time":%d,"id":"%d","subject":"%d","path":"/users/%d","method":"GET","status":200}`+"\n", at, n%300, n, n)
			}
			if rnd.IntN(50) == 0 {
				b.WriteString("bad\n\n")
			}
		}
		path := fmt.Sprintf("%s/%d.log", dir, f)
		write(t, path, b.String())
		paths = append(paths, path)
		if f == 2 {
			write(t, path+".gz", gz(b.String()))
			paths = append(paths, path+".gz")
		}
	}
	return paths
}

// TestOrderIsAFunctionOfTheInputs: neither the order of files, nor workers, nor the memory budget show.
func TestOrderIsAFunctionOfTheInputs(t *testing.T) {
	paths := shuffled(t, 1)
	tmp := t.TempDir()
	want := read(t, ingest.Options{}, paths...)
	if want.Accepted < 3000 || want.Rejected < 20 {
		t.Fatalf("%+v", want.Summary)
	}
	for i, o := range []ingest.Options{
		{Workers: 1}, {Workers: 7}, {MemoryRecords: 25}, {MemoryBytes: 10_000}, {MemoryRecords: 997, Workers: 3},
	} {
		o.TempDir = tmp
		rand.New(rand.NewPCG(uint64(i), 2)).Shuffle(len(paths), func(a, b int) { paths[a], paths[b] = paths[b], paths[a] })
		got := read(t, o, paths...)
		same(t, fmt.Sprintf("%+v", o), want.records, got.records)
		empty(t, tmp)
	}
}

func TestSortStops(t *testing.T) {
	paths := shuffled(t, 2)
	tmp := t.TempDir()
	o := ingest.Options{Now: testNow, MemoryRecords: 100, TempDir: tmp}
	plan := func(o ingest.Options) *ingest.Plan {
		p, err := ingest.NewPlan(context.Background(), paths, o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	enough := errors.New("enough")
	s, err := ingest.Read(context.Background(), plan(o), o, func([]whosaw.Record) error { return enough })
	if !errors.Is(err, enough) || s.Emitted != 0 || s.Accepted == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	empty(t, tmp)
	ctx, cancel := context.WithCancel(context.Background())
	s, err = ingest.Read(ctx, plan(o), o, func([]whosaw.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) || s.Emitted == 0 || s.Emitted == s.Accepted {
		t.Errorf("%+v, %v", s, err)
	}
	empty(t, tmp)
	// A directory for temporary files that is not there, is one error with its cure.
	o.TempDir = tmp + "/none"
	if _, err = ingest.Read(context.Background(), plan(o), o, func([]whosaw.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "make directory to sort in") {
		t.Errorf("error %v", err)
	}
	// Runs that were damaged on disk are found.
	o.TempDir = tmp
	damaged := false
	o.Progress = func(p ingest.Progress) {
		runs, _ := filepath.Glob(tmp + "/whosaw-sort-*/run-*")
		if p.Phase != ingest.PhaseRead || damaged || len(runs) < 3 {
			return
		}
		damaged = true
		data, err := os.ReadFile(runs[0])
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		write(t, runs[0], string(data))
	}
	if _, err = ingest.Read(context.Background(), plan(o), o, func([]whosaw.Record) error { return nil }); err == nil || !damaged {
		t.Errorf("damage not found: %v", err)
	}
	empty(t, tmp)
}

// TestRecode: what waits to be sorted comes back as it was.
func TestRecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.String())
		list := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOfN(rapid.String(), 0, 4))
		number := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Min(0))
		any64 := rapid.Int64()
		r := whosaw.Record{
			Type: whosaw.Type(rapid.IntRange(0, 10).Draw(t, "type")), ID: text.Draw(t, "id"), Time: any64.Draw(t, "time"), Realm: text.Draw(t, "realm"),
			Source: "s", Position: 7, Subjects: list.Draw(t, "subjects"), Others: number.Draw(t, "others"), Route: text.Draw(t, "route"),
			Method: text.Draw(t, "method"), Path: text.Draw(t, "path"), Fields: list.Draw(t, "fields"), Masked: list.Draw(t, "masked"),
			Status: rapid.IntRange(0, 999).Draw(t, "status"), Outcome: whosaw.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome")),
			Principal: text.Draw(t, "principal"), Credential: text.Draw(t, "credential"), Key: text.Draw(t, "key"), Client: text.Draw(t, "client"),
			Country: text.Draw(t, "country"), ASN: rapid.Uint32().Draw(t, "asn"), Agent: text.Draw(t, "agent"), TLS: text.Draw(t, "tls"),
			Reason: text.Draw(t, "reason"), Bytes: number.Draw(t, "bytes"), Request: text.Draw(t, "request"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "ip") {
		case 1:
			r.IP = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip4")))
		case 2:
			r.IP = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip16")))
		}
		if rapid.Bool().Draw(t, "reference") {
			r.Ref = &whosaw.Reference{
				State: text.Draw(t, "state"), Kind: text.Draw(t, "kind"), Into: text.Draw(t, "into"), Person: text.Draw(t, "person"),
				Of: text.Draw(t, "of"), Use: text.Draw(t, "use"), Note: text.Draw(t, "note"), Since: any64.Draw(t, "since"),
				From: any64.Draw(t, "from"), Until: any64.Draw(t, "until"), Expires: any64.Draw(t, "expires"), LastLogin: any64.Draw(t, "last_login"),
				Lag: rapid.Float64().Draw(t, "lag"), Lost: rapid.Float64().Draw(t, "lost"), HasLost: rapid.Bool().Draw(t, "has_lost"),
				Count: any64.Draw(t, "count"), Contacts: list.Draw(t, "contacts"), Keys: list.Draw(t, "keys"),
				Principals: list.Draw(t, "principals"), Readers: list.Draw(t, "readers"),
			}
		}
		got, ok := ingest.Recode(&r)
		if d := cmp.Diff(r, got, cmpopts.EquateComparable(netip.Addr{})); !ok || d != "" {
			t.Fatalf("ok %v\n%s", ok, d)
		}
	})
}

func FuzzDecodeSpilled(f *testing.F) {
	f.Add("")
	f.Add("\x00\xff\xff\xff\x01a")
	f.Fuzz(func(t *testing.T, s string) { ingest.DecodeSpilled(s) })
}

// TestSameFileTwice: repeats have the same source and position, so that the ledger can tell.
func TestSameFileTwice(t *testing.T) {
	a := file(t, "a.log", recs(0, 50))
	got := read(t, ingest.Options{}, a, a, file(t, "b.log.gz", gz(recs(0, 50))))
	if got.Accepted != 150 {
		t.Fatalf("%+v", got.Summary)
	}
	for part := range slices.Chunk(got.records, 3) {
		if part[0].Source != part[2].Source || part[0].Position != part[1].Position || part[1].Position != part[2].Position {
			t.Errorf("repeats at %d, %d, %d", part[0].Position, part[1].Position, part[2].Position)
		}
	}
}

// TestSortBeside: however many goroutines sort, the order is the one that one of them makes, of logs that are in order, that are
// mostly so, that are several after each other, and that are in none. Values that are equal stay equal.
func TestSortBeside(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 8191, 8192, 8193, 40_000} {
		for name, at := range map[string]func(i int) int{
			"in order":         func(i int) int { return i },
			"mostly":           func(i int) int { return i + rng.IntN(50) },
			"several":          func(i int) int { return i % (n/3 + 1) },
			"in none":          func(int) int { return rng.IntN(n + 1) },
			"the other way":    func(i int) int { return -i },
			"all the same":     func(int) int { return 7 },
			"few, many times":  func(int) int { return rng.IntN(3) },
			"one at its start": func(i int) int { return i % max(n-1, 1) },
		} {
			all := make([]int, n)
			for i := range all {
				all[i] = at(i)
			}
			want := slices.Clone(all)
			slices.Sort(want)
			for _, goroutines := range []int{1, 2, 3, 8} {
				got := slices.Clone(all)
				ingest.SortBeside(got, goroutines, func(a, b int) int { return a - b })
				if !slices.Equal(got, want) {
					t.Errorf("%d, %s, by %d goroutines: not in order", n, name, goroutines)
				}
			}
		}
	}
}
