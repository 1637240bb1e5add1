package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/snapshot"
)

// things is some state of all kinds.
type things struct {
	N     int64
	U     uint32
	H     uint64
	F     float64
	B     bool
	S     string
	List  []string
	Table []uint64
	Map   map[uint64]int32
}

func (x *things) walk(c *snapshot.Codec) {
	c.Mark("things")
	snapshot.Int(c, &x.N)
	snapshot.Uint(c, &x.U)
	c.Hash(&x.H)
	c.Float(&x.F)
	c.Bool(&x.B)
	c.String(&x.S)
	c.Strings(&x.List, 1000)
	c.Words(&x.Table, 100_000)
	snapshot.Map(c, &x.Map, 1000, c.Hash, func(n *int32) { snapshot.Int(c, n) })
}

func draw(t *rapid.T) *things {
	x := &things{
		N: rapid.Int64().Draw(t, "n"), U: rapid.Uint32().Draw(t, "u"), H: rapid.Uint64().Draw(t, "h"), F: rapid.Float64().Draw(t, "f"),
		B: rapid.Bool().Draw(t, "b"), S: rapid.String().Draw(t, "s"), List: rapid.SliceOf(rapid.String()).Draw(t, "list"),
		Map: rapid.MapOf(rapid.Uint64(), rapid.Int32()).Draw(t, "map"),
	}
	if n := rapid.IntRange(0, 3000).Draw(t, "table"); n > 0 {
		x.Table = make([]uint64, n)
		for _, at := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 40).Draw(t, "filled") {
			x.Table[at] = rapid.Uint64().Draw(t, "word")
		}
	}
	if len(x.List) == 0 {
		x.List = nil
	}
	if len(x.Map) == 0 {
		x.Map = nil
	}
	return x
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		want, path := draw(t), filepath.Join(dir, "state")
		h := snapshot.Header{Version: 3, Config: [32]byte{1, 2}, Sequence: rapid.Uint64().Draw(t, "sequence"), Record: [32]byte{9}}
		size, err := snapshot.Write(path, h, want.walk)
		if err != nil {
			t.Fatal(err)
		}
		first, err := os.ReadFile(path)
		if err != nil || int64(len(first)) != size {
			t.Fatalf("%d bytes, %d said, %v", len(first), size, err)
		}
		f, err := snapshot.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var got things
		if err := f.Read(got.walk); err != nil || f.Header != h {
			t.Fatalf("%+v: %v", f.Header, err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Fatal(d)
		}
		if _, err := snapshot.Write(path, h, got.walk); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("written again it is other bytes: %v", err)
		}
	})
}

// Any changed bit, and any end too early, is an error.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	x := &things{S: "abc", Table: make([]uint64, 70_000), List: []string{"", "x"}}
	for i := range x.Table {
		x.Table[i] = uint64(i) * 0x9e3779b97f4a7c15
	}
	if _, err := snapshot.Write(path, snapshot.Header{Version: 1}, x.walk); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) error {
		f, err := snapshot.Decode(bytes.NewReader(b))
		if err != nil {
			return err
		}
		return f.Read(new(things).walk)
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 1 + at/3 {
		bad := slices.Clone(whole)
		bad[at] ^= 4
		if err := read(bad); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if err := read(whole[:at]); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if err := read(append(slices.Clone(whole), 1)); err != nil {
		t.Errorf("what lies behind the end: %v", err)
	}
}

// A write that fails leaves the file that was there.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if _, err := snapshot.Write(path, snapshot.Header{Version: 1}, (&things{N: 7}).walk); err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Write(path, snapshot.Header{Version: 2}, func(c *snapshot.Codec) { c.Fail("it contradicts itself") }); err == nil {
		t.Error("a walk that failed was written")
	}
	f, err := snapshot.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got things
	if err := f.Read(got.walk); err != nil || got.N != 7 {
		t.Errorf("%+v %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v %v", left, err)
	}
}

func FuzzCodec(f *testing.F) {
	var b bytes.Buffer
	c := snapshot.Writer(&b)
	(&things{S: "abc", Table: make([]uint64, 9), List: []string{"", "x"}, Map: map[uint64]int32{1: 2}}).walk(c)
	if err := c.Flush(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var x things
		c := snapshot.Reader(bytes.NewReader(b))
		x.walk(c)
		if c.Err() != nil && !errors.Is(c.Err(), snapshot.ErrDamaged) {
			t.Fatal(c.Err())
		}
	})
}

// TestLongText holds that what is written is read: a text of the greatest length is, and one that is longer is refused when it is written.
func TestLongText(t *testing.T) {
	for _, n := range []int{snapshot.MaxString, snapshot.MaxString + 1} {
		var b bytes.Buffer
		w, text := snapshot.Writer(&b), strings.Repeat("x", n)
		w.String(&text)
		err := w.Flush()
		if n > snapshot.MaxString {
			if err == nil || errors.Is(err, snapshot.ErrDamaged) || b.Len() > 0 {
				t.Errorf("%d bytes were written of a text of %d, error %v", b.Len(), n, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r, got := snapshot.Reader(&b), ""
		if r.String(&got); r.Err() != nil || got != text {
			t.Errorf("a text of %d bytes is read as one of %d: %v", n, len(got), r.Err())
		}
	}
}
