package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
)

// maxWindow bounds what a zstd file may ask for: 128 MiB, as the zstd program itself does by default.
const maxWindow = 128 << 20

// The kinds of compression, as they are named in a summary. "" is none.
const (
	compressGzip = "gzip"
	compressZstd = "zstd"
)

// archives are other containers, by how they begin: they are named in the error instead of being read as a log.
var archives = []struct{ magic, name, cure string }{
	{"PK\x03\x04", "a zip archive", "unzip it first"},
	{"BZh", "compressed with bzip2", "decompress it with bunzip2 first"},
	{"\xfd7zXZ\x00", "compressed with xz", "decompress it with unxz first"},
	{"\x04\x22\x4d\x18", "compressed with lz4", "decompress it with unlz4 first"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"},
	{"\x1f\x9d", "compressed with compress", "decompress it with uncompress first"},
	{"PAR1", "a Parquet file", "export it as JSON lines first"},
	{"SQLite format 3\x00", "an SQLite database", "export its rows as JSON lines first"},
	{"\xff\xfe", "text in UTF-16", "convert it first: iconv -f UTF-16 -t UTF-8"},
	{"\xfe\xff", "text in UTF-16", "convert it first: iconv -f UTF-16 -t UTF-8"},
}

// A content is the decompressed bytes of an input.
type content struct {
	io.Reader
	compression string
	raw         *counter
	close       []func()
}

func (c *content) Close() {
	for i := len(c.close) - 1; i >= 0; i-- {
		c.close[i]()
	}
}

// counter counts the bytes that were read as they are on disk, and stops reading when the context ends.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   atomic.Int64
	add func(int64) // may be nil
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if c.add != nil {
		c.add(int64(n))
	}
	return n, err
}

// decompress looks at the first bytes and gives what they stand for.
func decompress(ctx context.Context, r io.Reader, add func(int64)) (*content, error) {
	raw := &counter{ctx: ctx, r: r, add: add}
	br := bufio.NewReaderSize(raw, 32<<10) // larger reads go past it
	head, _ := br.Peek(6)                  // an error shows again when the content is read
	c := &content{raw: raw, Reader: br}
	switch c.compression = compressionOf(head); c.compression {
	case compressGzip:
		c.Reader = &gzipReader{br: br}
	case compressZstd:
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("open zstd: %w", err)
		}
		c.Reader = z
		c.close = append(c.close, z.Close)
	}
	return c, nil
}

// compressionOf tells by its first bytes how content is compressed; "" for plain.
func compressionOf(head []byte) string {
	switch magic := string(head[:min(len(head), 6)]); {
	case strings.HasPrefix(magic, "\x1f\x8b"):
		return compressGzip
	case strings.HasPrefix(magic, "\x28\xb5\x2f\xfd"), len(magic) >= 4 && magic[0]&0xf0 == 0x50 && magic[1:4] == "\x2a\x4d\x18":
		return compressZstd
	}
	return ""
}

// Compressed reports whether content is compressed: then it may be far longer than it looks.
func Compressed(content []byte) bool { return compressionOf(content) != "" }

// A gzipReader reads concatenated members. Zero bytes after the last one are padding, as gzip itself has it.
type gzipReader struct {
	br  *bufio.Reader
	z   *gzip.Reader
	err error
}

// errAfterGzip: something follows the last member that is not gzip.
var errAfterGzip = errors.New("not gzip")

func (g *gzipReader) Read(p []byte) (int, error) {
	for g.err == nil {
		if g.z == nil {
			if g.err = g.open(true); g.err != nil {
				break
			}
		}
		n, err := g.z.Read(p)
		if err == io.EOF {
			err = g.open(false)
		}
		g.err = err
		if n > 0 {
			return n, nil // the error is told by the next call: what came before it counts
		}
	}
	return 0, g.err
}

// open goes to the next member; io.EOF if there is none.
func (g *gzipReader) open(first bool) error {
	if !first {
		for {
			b, err := g.br.ReadByte()
			if err != nil {
				return err
			}
			if b == 0 {
				continue
			}
			if err := g.br.UnreadByte(); err != nil {
				return err
			}
			break
		}
		if head, _ := g.br.Peek(2); string(head) != "\x1f\x8b" {
			if len(head) < 2 && head[0] == 0x1f {
				return io.ErrUnexpectedEOF
			}
			return errAfterGzip
		}
	}
	var err error
	if g.z == nil {
		g.z, err = gzip.NewReader(g.br)
	} else {
		err = g.z.Reset(g.br)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		g.z.Multistream(false)
	}
	return err
}

// stopFault says why an input could not be read to its end. It stands for one rejected line.
func (c *content) stopFault(err error) *whosaw.RecordError {
	at := c.raw.n.Load()
	const again = "what came before is kept; fetch the file again"
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return fault("", fmt.Sprintf("reading stopped at byte %d: %v", at, errno), "what came before is kept; check the disk or mount, and read the file again")
	case c.compression == "":
		return fault("", fmt.Sprintf("reading stopped at byte %d", at), again)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault("", fmt.Sprintf("%s ends early at byte %d: the file is cut", c.compression, at), again)
	case errors.Is(err, errAfterGzip), errors.Is(err, zstd.ErrMagicMismatch):
		return fault("", fmt.Sprintf("what follows the %s data (before byte %d) is not %s", c.compression, at, c.compression), "what came before is kept; split the file there")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fault("", "zstd asks for a window of more than "+sizeText(maxWindow), "compress it again without --long: zstd -dc --long=31 FILE | zstd")
	}
	return fault("", fmt.Sprintf("%s is damaged before byte %d", c.compression, at), again)
}

// pump reads from a stream that cannot be interrupted (standard input, a FIFO) in a goroutine of its own, so that a
// cancelled reader returns at once. The goroutine ends with its current read; nobody can wait for it.
type pump struct {
	ctx  context.Context
	data chan []byte
	back chan []byte
	err  error // valid once data is closed
	cur  []byte
	full []byte
}

func newPump(ctx context.Context, r io.Reader) *pump {
	p := &pump{ctx: ctx, data: make(chan []byte), back: make(chan []byte, 2)}
	p.back <- make([]byte, 128<<10)
	p.back <- make([]byte, 128<<10)
	go func() {
		defer close(p.data)
		for {
			var buf []byte
			select {
			case buf = <-p.back:
			case <-ctx.Done():
				p.err = ctx.Err()
				return
			}
			n, err := r.Read(buf[:cap(buf)])
			if n > 0 {
				select {
				case p.data <- buf[:n]:
				case <-ctx.Done():
					p.err = ctx.Err()
					return
				}
			} else if err == nil {
				p.back <- buf
			}
			if err != nil {
				p.err = err
				return
			}
		}
	}()
	return p
}

func (p *pump) Read(b []byte) (int, error) {
	if len(p.cur) == 0 {
		if p.full != nil {
			p.back <- p.full
			p.full = nil
		}
		select {
		case d, ok := <-p.data:
			if !ok {
				return 0, p.err
			}
			p.cur, p.full = d, d
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		}
	}
	n := copy(b, p.cur)
	p.cur = p.cur[n:]
	return n, nil
}
