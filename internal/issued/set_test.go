package issued

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// A set says exactly which credentials were issued, wherever it holds them.
func TestSetAgainstList(t *testing.T) {
	defer func(n int) { sieveWords = n }(sieveWords)
	sieveWords = 1 << 10
	type issuance struct{ realm, credential, key, who string }
	base, dirs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		dirs++
		dir := filepath.Join(base, strconv.Itoa(dirs))
		s, err := NewSet(rapid.IntRange(1, 20).Draw(t, "held"), dir)
		if err != nil {
			t.Fatal(err)
		}
		name := func(kind string, n int) string {
			if i := rapid.IntRange(0, n).Draw(t, kind); i > 0 {
				return kind + strconv.Itoa(i)
			}
			return ""
		}
		draw := func() issuance {
			return issuance{rapid.SampledFrom([]string{"", "kr"}).Draw(t, "realm"), name("c", 12), name("k", 2), name("customer:", 3)}
		}
		var all []issuance
		agree := func(a, b string) bool { return a == "" || b == "" || a == b }
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(0, 40).Draw(t, "issuances") {
				i := draw()
				s.Add(i.realm, i.credential, i.key, i.who)
				all = append(all, i)
			}
			asks := make([]Ask, rapid.IntRange(1, 40).Draw(t, "asked"))
			about, q := make([]issuance, len(asks)), s.Settle()
			for k := range asks {
				about[k] = draw()
				q.Ask(about[k].realm, about[k].credential, about[k].key, about[k].who, &asks[k])
			}
			q.End()
			for k, i := range about {
				want := false
				for _, o := range all {
					want = want || i.credential != "" && i.realm == o.realm && i.credential == o.credential && agree(i.key, o.key) && agree(i.who, o.who)
				}
				if asks[k].Issued != want {
					t.Fatalf("%+v: issued is %v, want %v", i, asks[k].Issued, want)
				}
			}
		}
		if err := s.Close(); err != nil || s.Faults() != 0 {
			t.Fatal(err, s.Faults())
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
			t.Fatalf("left: %v %v", left, err)
		}
	})
}

func isIssued(s *Set, realm, credential, key, who string) bool {
	var a Ask
	q := s.Settle()
	q.Ask(realm, credential, key, who, &a)
	q.End()
	return a.Issued
}

// Many issuances lie in few files, the sieve spares them most questions, and a set takes its directory over.
func TestSetOfMany(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "issued")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "000000000001"+runSuffix), []byte("of a process that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := NewSet(1000, dir)
	if err != nil {
		t.Fatal(err)
	}
	const n = 30_500
	for i := range n {
		s.Add("", strconv.Itoa(i), "k", "customer:"+strconv.Itoa(i%100))
	}
	asked := 0
	asks, q := make([]Ask, 2*n), s.Settle()
	for i := range asks {
		q.Ask("", strconv.Itoa(i), "", "customer:"+strconv.Itoa(i%100), &asks[i])
	}
	q.End()
	for i := range asks {
		if asks[i].Issued != (i < n) {
			t.Fatalf("%d: issued is %v", i, asks[i].Issued)
		}
	}
	for i := range n {
		if who := "customer:" + strconv.Itoa(i%100); !isIssued(s, "", strconv.Itoa(i), "k", who) || isIssued(s, "", strconv.Itoa(i), "k", who+"0") || isIssued(s, "", strconv.Itoa(i), "other", "") {
			t.Fatalf("%d was issued, like that alone", i)
		}
		var x entry
		if x.credential("", strconv.Itoa(n+i)); s.spilt(&x) {
			asked++
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != len(s.old.runs) || len(files) > 2*mergeRuns {
		t.Errorf("%d files, %d runs, %v", len(files), len(s.old.runs), err)
	}
	if asked > n/1000 {
		t.Errorf("runs are asked about %d of %d that were never issued", asked, n)
	}
	// What cannot be read is counted.
	for _, r := range s.old.runs {
		if err := os.Truncate(filepath.Join(filepath.Dir(dir), r.name), 1); err != nil {
			t.Fatal(err)
		}
	}
	if isIssued(s, "", "7", "k", ""); s.Faults() == 0 {
		t.Error("that a run is cut off was not noticed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
