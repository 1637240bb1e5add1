package public

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/whosaw/whosaw"
)

// The shape of a look-up. A bucket has the same number of entries whatever is in it; where there is more than one, at least Least of the
// people in the list fall into each, and on average between twice and four times as many, so that Slots are as good as never too few.
const (
	Least     = 256
	Slots     = 1280
	entryLen  = 16
	BucketLen = Slots * entryLen // as it is answered, in bytes
	storedLen = BucketLen + 4    // and its checksum
	maxBits   = 24
)

// bitsFor gives how many bits of the tag name a bucket.
func bitsFor(people int64) uint {
	bits := uint(0)
	for bits < maxBits && people>>(bits+1) >= 2*Least {
		bits++
	}
	return bits
}

// header begins a look-up's file; numbers are big-endian.
type header struct {
	Magic    [8]byte
	Form     uint32
	Bits     uint32
	Slots    uint32
	Version  uint32 // of the scope
	Incident uint64
	Salt     [16]byte
	KeyID    [8]byte
	List     [32]byte // SHA-256 of the scope version's list
}

var magic = [8]byte{'w', 'h', 'o', 's', 'a', 'w', 'l', 'k'}

const (
	form      = 1
	headerLen = 8 + 4*4 + 8 + 16 + 8 + 32 + 4 // with a checksum
)

func (h *header) encode() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, h) // into memory
	return binary.BigEndian.AppendUint32(b.Bytes(), crc32.Checksum(b.Bytes(), castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("the look-up's file is damaged: it is built again")

func decodeHeader(data []byte) (*header, error) {
	var h header
	body := data[:headerLen-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[headerLen-4:]) {
		return nil, errDamaged
	}
	_ = binary.Read(bytes.NewReader(body), binary.BigEndian, &h) // as long as it is
	if h.Magic != magic || h.Form != form || h.Slots != Slots || h.Bits > maxBits {
		return nil, errDamaged
	}
	return &h, nil
}

// build is one look-up that is being made.
type build struct {
	key      Key
	incident int64
	version  uint32
	list     [32]byte
	fields   []string
	people   int64
	// rows visits the list; it is called again when a try is given up.
	rows func(ctx context.Context, yield func(row *whosaw.ListRow) error) error
}

// payloadOf says which fields a person's row has: the first byte is a mark, then a bit for each field, the last one for all that have no
// place.
func payloadOf(fields []string, row *whosaw.ListRow) [8]byte {
	var p [8]byte
	p[0] = payloadMark
	for _, f := range row.Fields {
		i, ok := slices.BinarySearch(fields, f)
		if !ok || i >= fieldPlaces {
			i = fieldPlaces - 1
		}
		p[1+i/8] |= 1 << (i % 8)
	}
	return p
}

const (
	payloadMark = 0xa5
	fieldPlaces = 56
)

// write makes the file name, whole or not at all. Memory: some megabytes, however long the list.
func (b *build) write(ctx context.Context, name string) error {
	bits := bitsFor(b.people)
	for try := 0; ; try++ {
		err := b.try(ctx, name, bits)
		if !errors.Is(err, errUneven) {
			return err
		}
		if try >= 3 && bits > 0 { // a handful of tries fail once in the age of the universe: then the buckets are to be larger
			bits--
		}
		if try > 2*maxBits {
			return fmt.Errorf("build look-up: %w", err)
		}
	}
}

// errUneven is a salt by which a bucket gets too many people, or too few.
var errUneven = errors.New("the people do not fall evenly into the buckets")

const (
	maxParts = 256
	partLen  = 4 + entryLen
)

func (b *build) try(ctx context.Context, name string, bits uint) (err error) {
	h := &header{Magic: magic, Form: form, Bits: uint32(bits), Slots: Slots, Version: b.version, Incident: uint64(b.incident), KeyID: b.key.ID(), List: b.list}
	if _, err := rand.Read(h.Salt[:]); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	dir := filepath.Dir(name)
	parts, err := os.MkdirTemp(dir, ".lookup-*")
	if err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(parts)) }()
	if err := b.scatter(ctx, parts, h); err != nil {
		return err
	}
	temp := filepath.Join(parts, "whole")
	if err := b.gather(ctx, parts, temp, h); err != nil {
		return err
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	return syncDir(dir)
}

func partBits(bits uint) uint { return min(bits, 8) }

func partName(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("%02x", i)) }

// scatter writes each person's entry to the part that its bucket is in.
func (b *build) scatter(ctx context.Context, dir string, h *header) (err error) {
	var files [maxParts]*os.File
	var parts [maxParts]*bufio.Writer
	defer func() {
		for _, f := range files {
			if f != nil {
				err = errors.Join(err, f.Close())
			}
		}
	}()
	n := 1 << partBits(uint(h.Bits))
	for i := range n {
		if files[i], err = os.OpenFile(partName(dir, i), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("build look-up: %w", err)
		}
		parts[i] = bufio.NewWriterSize(files[i], 1<<15)
	}
	var rec [partLen]byte
	err = b.rows(ctx, func(row *whosaw.ListRow) error {
		secret := b.key.Secret(b.incident, row.Realm, row.Subject)
		t := secret.trace(&h.Salt)
		binary.BigEndian.PutUint32(rec[:], t.bucket(uint(h.Bits)))
		copy(rec[4:], t.tag[:])
		payload := payloadOf(b.fields, row)
		for i := range payload {
			rec[12+i] = payload[i] ^ t.veil[i]
		}
		_, err := parts[t.bucket(partBits(uint(h.Bits)))].Write(rec[:])
		return err
	})
	for i := range n {
		err = errors.Join(err, parts[i].Flush())
	}
	if err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	return nil
}

// entry is one of a bucket: a person's, or a decoy that nobody can tell from one.
type entry [2]uint64

// gather fills the buckets up with decoys, sorts them, and writes the whole.
func (b *build) gather(ctx context.Context, parts, name string, h *header) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	decoys := mathrand.NewChaCha8(seed)
	out := bufio.NewWriterSize(f, 1<<18)
	if _, err := out.Write(h.encode()); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	each := 1 << (uint(h.Bits) - partBits(uint(h.Bits))) // buckets of a part
	buckets := make([][]entry, each)
	for i := range buckets {
		buckets[i] = make([]entry, 0, Slots)
	}
	bytes := make([]byte, storedLen)
	for part := range 1 << partBits(uint(h.Bits)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fillPart(partName(parts, part), buckets, uint32(part*each)); err != nil {
			return err
		}
		for i := range buckets {
			if h.Bits > 0 && len(buckets[i]) < Least {
				return errUneven
			}
			for len(buckets[i]) < Slots {
				buckets[i] = append(buckets[i], entry{decoys.Uint64(), decoys.Uint64()})
			}
			slices.SortFunc(buckets[i], func(x, y entry) int { return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) })
			for j, e := range buckets[i] {
				binary.BigEndian.PutUint64(bytes[j*entryLen:], e[0])
				binary.BigEndian.PutUint64(bytes[j*entryLen+8:], e[1])
			}
			binary.BigEndian.PutUint32(bytes[BucketLen:], crc32.Checksum(bytes[:BucketLen], castagnoli))
			if _, err := out.Write(bytes); err != nil {
				return fmt.Errorf("build look-up: %w", err)
			}
			buckets[i] = buckets[i][:0]
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	return nil
}

func fillPart(name string, buckets [][]entry, first uint32) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("build look-up: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<18)
	var rec [partLen]byte
	for {
		if _, err := io.ReadFull(in, rec[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("build look-up: %w", err)
		}
		i := binary.BigEndian.Uint32(rec[:]) - first
		if len(buckets[i]) == Slots {
			return errUneven
		}
		buckets[i] = append(buckets[i], entry{binary.BigEndian.Uint64(rec[4:]), binary.BigEndian.Uint64(rec[12:])})
	}
}
