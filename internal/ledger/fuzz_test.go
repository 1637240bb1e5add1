package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/ledger"
)

// FuzzSection puts any bytes in the place of a section, with a right checksum: reading gives an
// error or records, but never a panic.
func FuzzSection(f *testing.F) {
	dir := f.TempDir()
	l := open(f, ledger.Config{Dir: dir, Throwaway: true})
	appendAll(f, l, varied(60), ledger.Accepted)
	if err := l.Seal(ctx); err != nil {
		f.Fatal(err)
	}
	closing(f, l)
	name := filepath.Join(dir, "ledger", "00000000000000000001.seg")
	sections, err := ledger.Sections(name)
	if err != nil {
		f.Fatal(err)
	}
	for i, s := range sections {
		f.Add(i, s)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		if i < 0 {
			return
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := ledger.Reseal(name, i, raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = ledger.ReadSegment(name)
	})
}

func FuzzFooter(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 0, 0, 0, 0}, int64(16))
	f.Fuzz(func(t *testing.T, b []byte, end int64) { _ = ledger.ParseFooter(b, end) })
}

// FuzzLog reads any bytes as a log.
func FuzzLog(f *testing.F) {
	dir := f.TempDir()
	l := open(f, ledger.Config{Dir: dir, Throwaway: true})
	appendAll(f, l, varied(5), ledger.Accepted)
	appendAll(f, l, numbered(0, 3), ledger.Accepted)
	closing(f, l)
	name := filepath.Join(dir, "ledger", "00000000000000000001.log")
	whole, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:1000])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = ledger.ReadLog(name)
	})
}

// TestDecompressLarge holds that a section of more than 512 MiB is read, which is one window: a full log makes one of records that
// are one large member each. Only the frame's head is made; that there is no room for it is found after the window was let pass.
func TestDecompressLarge(t *testing.T) {
	frame := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, binary.LittleEndian.AppendUint32(nil, 530<<20)...)
	if _, err := ledger.Decompress(append(frame, 1, 0, 0), 1); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Fatalf("a frame of 530 MiB: %v, want %v", err, zstd.ErrDecoderSizeExceeded)
	}
}

// TestCompress holds that both ways give frames that any reader of zstd takes.
func TestCompress(t *testing.T) {
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	try := func(t fataler, b []byte) {
		frequencies, smaller, err := ledger.Compress(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range [][]byte{frequencies, smaller} {
			got, err := d.DecodeAll(frame, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, b) {
				t.Fatalf("%d bytes came back as %d others", len(b), len(got))
			}
		}
	}
	rng := newShop().rng
	for _, size := range []int{0, 1, 2, 255, 256, 1 << 10, 1<<17 - 1, 1 << 17, 1<<17 + 1, 1<<17 + 300, 400_000} {
		for _, spread := range []int{1, 2, 5, 16, 250, 256} {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(rng.IntN(spread) * rng.IntN(spread) / max(1, spread/2))
			}
			try(t, b)
			if spread == 5 && size > 10 {
				b[size/2] = 200 // one that is rare
				try(t, b)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { try(t, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) })
	try(t, []byte(fmt.Sprint(make([]int, 5000))))
}
