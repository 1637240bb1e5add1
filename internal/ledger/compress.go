package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// compressor makes zstd frames. It tries two ways, as columns are of two kinds: values that
// follow each other in the same order, and numbers without any order, of which only some are
// more common than others. In the second, zstd's search for what came before finds matches by
// chance that cost more than they save; there only the values' frequencies are used.
type compressor struct {
	matches *zstd.Encoder
	values  huff0.Scratch
	a, b    []byte
}

func newCompressor() (*compressor, error) {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), // sections have their own
		zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return &compressor{matches: e}, nil
}

// newDecompressor gives what reads sections, for so many goroutines at once; 0: as many as there are processors, at most 4. It
// writes into the room that it is given, and never more. A frame may be one window as large as a section.
func newDecompressor(workers int) (*zstd.Decoder, error) {
	options := []zstd.DOption{
		zstd.WithDecoderMaxMemory(maxSection), zstd.WithDecoderMaxWindow(maxSection), zstd.WithDecodeAllCapLimit(true),
	}
	if workers > 0 {
		options = append(options, zstd.WithDecoderConcurrency(workers))
	}
	return zstd.NewReader(nil, options...)
}

// compress gives the smaller frame, valid until the next call.
func (c *compressor) compress(data []byte) ([]byte, error) {
	var err error
	if c.a, err = c.frequencies(c.a[:0], data); err != nil {
		return nil, err
	}
	c.b = c.matches.EncodeAll(data, c.b[:0])
	if len(c.a) < len(c.b) {
		return c.a, nil
	}
	return c.b, nil
}

// Parts of a zstd frame, RFC 8878.
const (
	zstdMagic        = 0xfd2fb528
	zstdSizeFields   = 0b10_1_00000 // frame content size of 4 bytes, single segment, no checksum
	zstdBlock        = 128 << 10
	zstdRawBlock     = 0
	zstdRepeatBlock  = 1
	zstdCodedBlock   = 2
	zstdCodedStreams = 0b11_10 // literals coded with their own table in 4 streams, 18-bit sizes
)

// frequencies appends a zstd frame whose blocks hold literals only.
func (c *compressor) frequencies(b, data []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint32(b, zstdMagic)
	b = append(b, zstdSizeFields)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	for {
		block := data[:min(len(data), zstdBlock)]
		data = data[len(block):]
		last := uint32(0)
		if len(data) == 0 {
			last = 1
		}
		head := func(kind, size int) {
			n := last | uint32(kind)<<1 | uint32(size)<<3
			b = append(b, byte(n), byte(n>>8), byte(n>>16))
		}
		if len(block) > 0 && bytes.Count(block, block[:1]) == len(block) {
			head(zstdRepeatBlock, len(block))
			b = append(b, block[0])
		} else if coded, ok, err := c.literals(block); err != nil {
			return nil, err
		} else if ok {
			head(zstdCodedBlock, 5+len(coded)+1)
			sizes := uint64(zstdCodedStreams) | uint64(len(block))<<4 | uint64(len(coded))<<22
			b = append(b, byte(sizes), byte(sizes>>8), byte(sizes>>16), byte(sizes>>24), byte(sizes>>32))
			b = append(b, coded...)
			b = append(b, 0) // no sequences
		} else {
			head(zstdRawBlock, len(block))
			b = append(b, block...)
		}
		if last == 1 {
			return b, nil
		}
	}
}

// literals codes a block by the frequencies of its values; ok is false if that does not help.
func (c *compressor) literals(block []byte) (coded []byte, ok bool, err error) {
	if len(block) < 256 {
		return nil, false, nil
	}
	c.values.Reuse = huff0.ReusePolicyNone
	coded, _, err = huff0.Compress4X(block, &c.values)
	switch {
	case err == huff0.ErrIncompressible:
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("compress literals: %w", err)
	}
	return coded, len(coded)+6 < len(block), nil
}
