package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

const (
	lineBits = 20 // of a position: a message has at most a million lines
	// maxSequence is the greatest stream sequence that a position can hold: nine million million.
	maxSequence = 1<<(63-lineBits) - 1
	rawBytes    = 16 << 10 // of a message that is kept when it cannot be read
)

// position is that of a line of a message: the same whenever the message is delivered.
func position(sequence uint64, line int64) int64 {
	return int64(sequence)<<lineBits | line
}

// sequenceOf is the sequence of the message that a position is in.
func sequenceOf(position int64) uint64 { return uint64(position) >> lineBits }

// content is a message as it is decoded.
type content struct {
	sequence uint64
	header   nats.Header
	data     []byte
}

// decode reads a message's lines, and says how many bytes they were. A message that cannot be read as a whole is one rejected line.
func decode(ctx context.Context, s *ingest.Stream, m content, limit, now int64) (*ingest.Batch, int64) {
	data, err := m.unpack(ctx, limit)
	if err == nil && bytes.Count(data, []byte("\n")) >= 1<<lineBits {
		err = &unreadable{"the message has more than 1,048,576 lines", "send smaller messages"}
	}
	if err == nil && m.sequence > maxSequence {
		err = &unreadable{"the stream's sequence is beyond 2^43", "read a new stream"}
	}
	if err != nil {
		var u *unreadable
		if !errors.As(err, &u) {
			u = &unreadable{"the message cannot be decompressed", "look at its sender; it is in the reject file"}
		}
		return &ingest.Batch{Lines: 1, Rejects: []ingest.RejectedLine{{
			Reject: ingest.Reject{Source: s.Source(), File: m.name(), Line: 1, Position: position(m.sequence, 0), Reason: u.reason, Hint: u.hint},
			Raw:    bytes.Clone(m.data[:min(len(m.data), rawBytes)]),
		}}}, rawBytes
	}
	b := s.Decode(now, data, 0, 0)
	for i := range b.Records {
		b.Records[i].Position = position(m.sequence, b.LineOf[i]-1)
	}
	for i := range b.Rejects {
		r := &b.Rejects[i]
		r.File, r.Position = m.name(), position(m.sequence, r.Line-1)
	}
	return b, int64(len(data))
}

// name tells a person where a message is.
func (m *content) name() string { return fmt.Sprintf("message %d", m.sequence) }

// unreadable says why a message as a whole is rejected. It holds nothing of the message.
type unreadable struct{ reason, hint string }

func (u *unreadable) Error() string { return u.reason }

// unpack gives a message's content, by its header and its first bytes.
func (m *content) unpack(ctx context.Context, limit int64) ([]byte, error) {
	for name, values := range m.header {
		if !strings.EqualFold(name, "Content-Encoding") {
			continue
		}
		for _, v := range values {
			switch strings.ToLower(strings.TrimSpace(v)) {
			case "", "identity", "gzip", "x-gzip", "zstd":
			default:
				return nil, &unreadable{"Content-Encoding is another than gzip or zstd", "send gzip, zstd or plain lines"}
			}
		}
	}
	body, packed, err := ingest.Decompress(ctx, bytes.NewReader(m.data))
	if err != nil {
		return nil, &unreadable{"the message is an archive or compressed another way", "send gzip, zstd or plain lines"}
	}
	defer body.Close()
	if packed == "" {
		if int64(len(m.data)) > limit {
			return nil, tooLong(limit)
		}
		return m.data, nil
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case int64(len(data)) > limit:
		return nil, tooLong(limit)
	case err != nil:
		return nil, &unreadable{"the message's " + packed + " is cut or damaged", "look at its sender; it is in the reject file"}
	}
	return data, nil
}

func tooLong(limit int64) error {
	return &unreadable{fmt.Sprintf("the message is longer than %d bytes decompressed", limit), "send smaller messages, or raise max_message"}
}

// merge puts the batches of several messages together.
func merge(list []*ingest.Batch) *ingest.Batch {
	if len(list) == 1 {
		return list[0]
	}
	out := &ingest.Batch{}
	n := 0
	for _, b := range list {
		n += len(b.Records)
	}
	out.Records, out.LineOf = make([]whosaw.Record, 0, n+2), make([]int64, 0, n+2)
	for _, b := range list {
		out.Records = append(out.Records, b.Records...)
		out.LineOf = append(out.LineOf, b.LineOf...)
		out.Rejects = append(out.Rejects, b.Rejects...)
		out.Lines += b.Lines
		out.Feeds += b.Feeds
		out.Unknown += b.Unknown
	}
	return out
}
