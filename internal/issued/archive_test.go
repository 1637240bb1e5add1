package issued

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// The archive says exactly which credentials were issued, in memory and in files, over merges of its runs.
func TestArchiveAgainstList(t *testing.T) {
	type issued struct{ realm, credential, key, who string }
	dirs := 0
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var a Archive
		if rapid.Bool().Draw(t, "in files") {
			dirs++
			a.dir = filepath.Join(base, strconv.Itoa(dirs))
		}
		ref := reference.New()
		ref.Bound(4, a.Add)
		var all []issued
		names := func(kind string, n int) *rapid.Generator[string] {
			return rapid.Custom(func(t *rapid.T) string {
				if i := rapid.IntRange(0, n).Draw(t, kind); i > 0 {
					return kind + strconv.Itoa(i)
				}
				return ""
			})
		}
		draw := func() issued {
			return issued{
				rapid.SampledFrom([]string{"", "kr"}).Draw(t, "realm"), names("c", 8).Draw(t, "credential"),
				names("k", 2).Draw(t, "key"), rapid.OneOf(names("customer:", 3), names("service:", 2)).Draw(t, "who"),
			}
		}
		for range rapid.IntRange(0, 120).Draw(t, "issuances") {
			i := draw()
			r := whosaw.Record{Type: whosaw.TypeIssuance, Realm: i.realm, Credential: i.credential, Key: i.key, Principal: i.who}
			if rest, ok := strings.CutPrefix(i.who, "customer:"); ok && rapid.Bool().Draw(t, "as subject") {
				r.Principal, r.Subjects = "", []string{rest}
			}
			ref.Apply(1, &r)
			all = append(all, i)
		}
		agree := func(a, b string) bool { return a == "" || b == "" || a == b }
		for range 10 {
			q := draw()
			want := false
			for _, i := range all {
				want = want || q.credential != "" && i.realm == q.realm && i.credential == q.credential && agree(i.key, q.key) && agree(i.who, q.who)
			}
			got := ref.Issued(q.realm, q.credential, q.key, q.who)
			if _, forgotten := ref.Forgotten(q.realm); forgotten && q.credential != "" {
				got = got || a.Agrees(q.realm, q.credential, q.key, q.who)
			}
			if got != want {
				t.Fatalf("%+v: issued is %v, want %v", q, got, want)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := filepath.Glob(filepath.Join(base, "*", "*")); err != nil || len(left) > 0 {
			t.Fatalf("left: %v %v", left, err)
		}
	})
}

// Many issuances, over several levels of runs: none is denied, and none made up. Files that are needed no more go.
func TestArchiveOfMany(t *testing.T) {
	const n, each = 150_000, 1000
	a := &Archive{}
	a.Keep(filepath.Join(t.TempDir(), "x.issued"))
	ref := reference.New()
	ref.Bound(2*each, a.Add)
	for i := range n {
		ref.Apply(1, &whosaw.Record{Type: whosaw.TypeIssuance, Credential: strconv.Itoa(i), Key: "k", Principal: "customer:" + strconv.Itoa(i%1000)})
	}
	if err := a.Saved(); err != nil {
		t.Fatal(err)
	}
	held := n - 2*each
	for i := range held {
		who := "customer:" + strconv.Itoa(i%1000)
		if !a.Agrees("", strconv.Itoa(i), "k", who) || !a.Agrees("", strconv.Itoa(i), "", "") {
			t.Fatalf("%d was issued", i)
		}
		if a.Agrees("", strconv.Itoa(n+i), "k", who) || a.Agrees("", strconv.Itoa(i), "k", "customer:"+strconv.Itoa(i%1000+1)) || a.Agrees("", strconv.Itoa(i), "other", who) ||
			a.Agrees("kr", strconv.Itoa(i), "k", who) {
			t.Fatalf("%d was not issued like that", i)
		}
	}
	memory, files := a.Size()
	list, err := os.ReadDir(a.dir)
	if err != nil || len(list) != len(a.runs) || len(a.runs) > 2*mergeRuns {
		t.Errorf("%d files, %d runs, %v", len(list), len(a.runs), err)
	}
	t.Logf("%d issuances: %d runs, %d bytes in files, %d in memory", held, len(a.runs), files, memory)
	if memory > int64(held)/10 || files > 26*int64(held) {
		t.Errorf("%d bytes in memory, %d in files for %d", memory, files, held)
	}
	// What cannot be read is taken for issued, and counted.
	for _, r := range a.runs {
		if _, err := r.file.WriteAt([]byte{0xff}, 7); err == nil {
			t.Error("a run is open for writing")
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// A bad page accuses nobody; a full disk forgets nothing.
func TestArchiveFaults(t *testing.T) {
	a := Archive{dir: filepath.Join(t.TempDir(), "file", "x.issued")}
	if err := os.WriteFile(filepath.Dir(a.dir), nil, 0o600); err != nil { // no directory can be made there
		t.Fatal(err)
	}
	ref := reference.New()
	ref.Bound(4, a.Add)
	for i := range 40 {
		ref.Apply(1, &whosaw.Record{Type: whosaw.TypeIssuance, Credential: strconv.Itoa(i)})
	}
	if a.lost == nil || !a.Agrees("", "1", "", "") || a.Agrees("", "77", "", "") {
		t.Errorf("without a disk: %v", a.lost)
	}
	for _, r := range a.runs {
		r.memory[3] ^= 1
	}
	if !a.Agrees("", "77", "", "") || a.faults == 0 {
		t.Error("a damaged page denied an issuance")
	}
}
