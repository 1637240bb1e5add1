package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// Decompress gives the content of a file or a message, which its first bytes tell to be plain, gzip or zstd; compression is "" for
// plain. An archive, or another compression, is an error that says what to do.
func Decompress(ctx context.Context, r io.Reader) (body io.ReadCloser, compression string, err error) {
	br := bufio.NewReaderSize(r, 32<<10)
	head, _ := br.Peek(16) // an error shows again when the content is read
	for _, a := range archives {
		if strings.HasPrefix(string(head), a.magic) {
			return nil, "", fmt.Errorf("it is %s; %s", a.name, a.cure)
		}
	}
	c, err := decompress(ctx, br, nil)
	if err != nil {
		return nil, "", err
	}
	return closing{c}, c.compression, nil
}

type closing struct{ *content }

func (c closing) Close() error {
	c.content.Close()
	return nil
}
