package public_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/public"
)

// Everybody finds what is true of him: who is in the list his fields, and nobody else anything.
func TestEverybodyFindsHimself(t *testing.T) {
	h := newHouse(t)
	people := crowd(6000)
	n := h.open()
	h.showCrowd(people)
	h.count(n)
	h.offer(n)
	for i := range people {
		p := &people[i]
		found, fields, err := h.lookups.Match(n, h.lookups.SecretOf(n, "", p.id))
		if err != nil || found != p.affected || found && !slices.Equal(fields, fieldsOf(10_000_000+i)) {
			t.Fatalf("customer %d: %v, %v, %v, want %v, %v", i, found, fields, err, p.affected, fieldsOf(10_000_000+i))
		}
		if found, _, _ := h.lookups.Match(n, h.lookups.SecretOf(n, "other", p.id)); found {
			t.Fatalf("customer %d is found in another realm", i)
		}
	}
}

// A slip of the pen, a secret of another incident, and one made with a lost key are refused: none is answered with "not in the list".
func TestWhatIsNoSecretIsRefused(t *testing.T) {
	h := newHouse(t)
	n, other := h.open(), h.open()
	h.show(fieldsOf, 1, 2, 3)
	for _, n := range []int64{n, other} {
		h.count(n)
		h.offer(n)
	}
	text, _, _ := h.lookups.Secret("token:shop", n, "", "1", "")
	id := keyID(t, h.shape(n))
	for _, good := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", " "), " " + strings.ReplaceAll(text, "-", "") + "\n", strings.ReplaceAll(strings.ReplaceAll(text, "O", "0"), "B", "8")} {
		if s, err := public.ParseSecret(n, id, good); err != nil || s != h.lookups.SecretOf(n, "", "1") {
			t.Errorf("a good secret is refused: %v", err)
		}
	}
	bad := []string{"", text[:len(text)-1], text + "A", strings.Repeat("A", 1000), "1048-2213", "c1@mail.example", "\xff" + text}
	for i := range len(text) {
		if text[i] != '-' {
			c := byte('A')
			if text[i] == c {
				c = 'C'
			}
			bad = append(bad, text[:i]+string(c)+text[i+1:])
		}
	}
	for _, b := range bad {
		if _, err := public.ParseSecret(n, id, b); err == nil {
			t.Error("a slip is taken for a secret")
		}
		if a := h.post(fmt.Sprintf("/affected/%d", n), url.Values{"secret": {b}}); !strings.Contains(before(a.body), "This is no code") {
			t.Error("the page answers a slip")
		}
	}
	if _, err := public.ParseSecret(other, id, text); err == nil {
		t.Error("a secret of another incident is taken")
	}
	if _, err := public.ParseSecret(n, [8]byte{1}, text); err == nil {
		t.Error("a secret of another key is taken")
	}
	for _, v := range []any{h.lookups.SecretOf(n, "", "1"), public.Key{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, v); !strings.HasPrefix(s, "[look-up ") {
				t.Errorf("%s prints %q", verb, s)
			}
		}
	}
}

func before(body string) string { return strings.Split(body, "<template")[0] }

// What lies on the disk is whole or not there: a damaged file is built again, a build that was broken off leaves nothing.
func TestADamagedLookUpIsBuiltAgain(t *testing.T) {
	h := newHouse(t)
	n := h.open()
	h.show(fieldsOf, 1, 2, 3)
	h.count(n)
	h.offer(n)
	files := func() []string {
		list, err := filepath.Glob(filepath.Join(h.dir, "incident", fmt.Sprint(n), "*lookup*"))
		check(t, err)
		return list
	}
	if len(files()) != 1 {
		t.Fatalf("there are %v", files())
	}
	first := h.shape(n).salt
	data, err := os.ReadFile(files()[0])
	check(t, err)
	for _, at := range []int{3, len(data) / 2, len(data) - 1} {
		broken := slices.Clone(data)
		broken[at] ^= 1
		check(t, os.WriteFile(files()[0], broken, 0o600))
		if at > 200 {
			if a := h.get(h.shape(n).path(n, 0)); a.status != 500 {
				t.Errorf("a damaged bucket is answered with %d", a.status)
			}
		} else {
			// A start finds it.
			check(t, h.lookups.Close())
		}
		check(t, h.lookups.Sync(t.Context()))
		if found, _, err := h.lookups.Match(n, h.lookups.SecretOf(n, "", "2")); err != nil || !found {
			t.Errorf("after damage at %d: %v, %v", at, found, err)
		}
		if len(files()) != 1 {
			t.Errorf("there are %v", files())
		}
		if data, err = os.ReadFile(files()[0]); err != nil {
			t.Fatal(err)
		}
	}
	if h.shape(n).salt == first {
		t.Error("nothing was built again")
	}
	// One that is broken off, by whatever: the one before stays, and no part of the new one lies about.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	h.show(fieldsOf, 4)
	h.count(n)
	if err := h.lookups.Sync(ctx); err == nil {
		t.Error("a build that was stopped says nothing")
	}
	if len(files()) != 1 {
		t.Errorf("there are %v", files())
	}
	// The end of the offer is the end of the file.
	_, err = h.book.Record(t.Context(), n, "staff:kim", incident.Ended, incident.Body{Note: "nobody asks any more"})
	check(t, err)
	check(t, h.lookups.Sync(t.Context()))
	if a := h.get(fmt.Sprintf("/affected/%d", n)); a.status != 404 || len(files()) != 0 {
		t.Errorf("after the end: %d, %v", a.status, files())
	}
}

// A bucket has its people, however many there are: nobody is left out, and none is smaller than what is said.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		people int64
		bits   uint
	}{{0, 0}, {1, 0}, {1023, 0}, {1024, 1}, {2047, 1}, {2048, 2}, {1 << 20, 11}, {33_673_817, 16}} {
		bits := public.BitsFor(c.people)
		mean := c.people >> bits
		if bits > 0 && (mean < 2*public.Least || mean >= 4*public.Least) || bits == 0 && c.people >= 4*public.Least {
			t.Errorf("%d people fall into 2^%d buckets", c.people, bits)
		}
		if bits != c.bits {
			t.Errorf("%d people: 2^%d buckets, want 2^%d", c.people, bits, c.bits)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 5000).Draw(rt, "people")
		buckets, err := public.BuildFile(t.Context(), t.TempDir(), int64(n), []string{"name"}, func(ctx context.Context, yield func(*whosaw.ListRow) error) error {
			for i := range n {
				if err := yield(&whosaw.ListRow{Subject: fmt.Sprint(i), Fields: []string{"name"}}); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
		if err != nil || buckets != 1<<public.BitsFor(int64(n)) {
			rt.Fatalf("%d people: %d buckets, %v", n, buckets, err)
		}
	})
}

var benchPeople = flag.Int("public.people", 1_000_000, "how many people BenchmarkBuild builds a look-up of")

// BenchmarkBuild builds a look-up; it prints memory and time.
func BenchmarkBuild(b *testing.B) {
	people := *benchPeople
	for b.Loop() {
		dir := b.TempDir()
		var most uint64
		began := time.Now()
		buckets, err := public.BuildFile(b.Context(), dir, int64(people), []string{"email", "name"}, func(_ context.Context, yield func(*whosaw.ListRow) error) error {
			row := whosaw.ListRow{Fields: []string{"email", "name"}}
			var m runtime.MemStats
			for i := range people {
				row.Subject = fmt.Sprint(10_000_000 + i)
				if err := yield(&row); err != nil {
					return err
				}
				if i%100_000 == 0 {
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapInuse)
				}
			}
			return nil
		})
		check(b, err)
		info, err := os.Stat(filepath.Join(dir, "lookup-1.bin"))
		check(b, err)
		b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(buckets), "buckets")
		b.ReportMetric(float64(info.Size())/float64(people), "bytes/person")
		b.ReportMetric(float64(people)/time.Since(began).Seconds(), "people/s")
	}
}
