package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// A digest has what a question must know of every segment, however little of it the question touches: when each source
// had records, which keys and clients are named by issuances, and the records about feeds and about what was read.
const (
	digestVersion = 2
	digestMagic   = "whosawID"
	digestSuffix  = ".dig"
	digestHead    = 8 + 4 + 16
	digestKept    = 8 << 10 // bytes of one that is kept in memory; a longer one is read anew each time
	minute        = int64(60_000)
)

// Digest is that of one segment. It is not written after it was made.
type Digest struct {
	Issuers []Issuer
	Records []Reference // of feeds, and acts, in order
	Rhythms []Rhythm
}

// knownDigest is a digest that is kept in memory.
type knownDigest struct {
	segment ledger.SegmentID
	digest  *Digest
}

// Issuer is what an issuance names beside the credential.
type Issuer struct{ Realm, Key, Client string }

// Reference is a record that is no access.
type Reference struct {
	Seq    uint64
	Record whosaw.Record
}

// Rhythm is when a source had records, what whosaw writes itself left out: how many, and the stretches in which no two that follow
// each other lie a minute apart, in order. Between two stretches lies at least a minute without records.
type Rhythm struct {
	Source    string
	Records   int64
	Stretches []Stretch
}

// Stretch is from its first record to its last.
type Stretch struct{ First, Last int64 }

// digester makes a digest.
type digester struct {
	issuers map[Issuer]struct{}
	records []Reference
	sources map[string]*beat
}

// beat is a rhythm in the making.
type beat struct {
	records int64
	minutes map[int64]Stretch // by number since 1970
	at      int64             // the minute added to last
	open    Stretch
}

func (b *beat) add(t int64) {
	m := t / minute // times are after 1970
	if b.records == 0 || m != b.at {
		b.close()
		var ok bool
		if b.open, ok = b.minutes[m]; !ok {
			b.open = Stretch{t, t}
		}
		b.at = m
	}
	b.records++
	b.open.First, b.open.Last = min(b.open.First, t), max(b.open.Last, t)
}

func (b *beat) close() {
	if b.records > 0 {
		b.minutes[b.at] = b.open
	}
}

// stretches joins minutes. The first and last record of each minute tell every spacing of a minute or more: two that far apart
// lie in different ones.
func (b *beat) stretches() []Stretch {
	list := slices.SortedFunc(maps.Values(b.minutes), func(a, b Stretch) int { return cmp.Compare(a.First, b.First) })
	out := list[:0]
	for _, m := range list {
		if n := len(out); n > 0 && m.First-out[n-1].Last < minute {
			out[n-1].Last = m.Last
			continue
		}
		out = append(out, m)
	}
	return slices.Clip(out)
}

func (d *digester) beat(source string) *beat {
	b := d.sources[source]
	if b == nil {
		b = &beat{minutes: map[int64]Stretch{}}
		d.sources[strings.Clone(source)] = b
	}
	return b
}

// makeDigest reads the accesses of a segment, of which it needs ColSource, and its other records.
func makeDigest(c *ledger.Chunk, references ledger.References) (*Digest, error) {
	d := digester{issuers: map[Issuer]struct{}{}, sources: map[string]*beat{}}
	beats := make([]*beat, len(c.Source.Dict))
	for i := range c.N {
		code := c.Source.Codes[i]
		if beats[code] == nil {
			beats[code] = d.beat(c.Source.Dict[code])
		}
		beats[code].add(c.Time[i])
	}
	err := references(func(seq uint64, r *whosaw.Record) error {
		switch r.Type {
		case whosaw.TypeVerdict, whosaw.TypeDecision, whosaw.TypeAct:
		default:
			d.beat(r.Source).add(r.Time)
		}
		switch r.Type {
		case whosaw.TypeIssuance:
			x := Issuer{r.Realm, r.Key, r.Client}
			if _, ok := d.issuers[x]; !ok {
				d.issuers[Issuer{strings.Clone(x.Realm), strings.Clone(x.Key), strings.Clone(x.Client)}] = struct{}{}
			}
		case whosaw.TypeFeed, whosaw.TypeAct:
			d.records = append(d.records, Reference{seq, r.Clone()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &Digest{Records: d.records}
	for x := range d.issuers {
		out.Issuers = append(out.Issuers, x)
	}
	slices.SortFunc(out.Issuers, func(a, b Issuer) int {
		return cmp.Or(cmp.Compare(a.Realm, b.Realm), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Client, b.Client))
	})
	for source, b := range d.sources {
		b.close()
		out.Rhythms = append(out.Rhythms, Rhythm{source, b.records, b.stretches()})
	}
	slices.SortFunc(out.Rhythms, func(a, b Rhythm) int { return cmp.Compare(a.Source, b.Source) })
	return out, nil
}

// encode gives the bytes of a digest's file.
func (d *Digest) encode(segment ledger.SegmentID) ([]byte, error) {
	out := binary.LittleEndian.AppendUint32([]byte(digestMagic), digestVersion)
	out = append(out, segment[:]...)
	out = binary.AppendUvarint(out, uint64(len(d.Issuers)))
	for _, x := range d.Issuers {
		out = appendText(appendText(appendText(out, x.Realm), x.Key), x.Client)
	}
	out = binary.AppendUvarint(out, uint64(len(d.Records)))
	for i := range d.Records {
		out = binary.AppendUvarint(out, d.Records[i].Seq)
		b, err := ledger.Encode(nil, &d.Records[i].Record)
		if err != nil {
			return nil, err
		}
		out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
	}
	out = binary.AppendUvarint(out, uint64(len(d.Rhythms)))
	for _, r := range d.Rhythms {
		out = binary.AppendUvarint(appendText(out, r.Source), uint64(r.Records))
		out = binary.AppendUvarint(out, uint64(len(r.Stretches)))
		last := int64(0)
		for _, m := range r.Stretches {
			out = binary.AppendVarint(out, m.First-last)
			out = binary.AppendUvarint(out, uint64(m.Last-m.First))
			last = m.Last
		}
	}
	return binary.LittleEndian.AppendUint32(out, checksum(out)), nil
}

var errDigest = errors.New("the digest does not read")

// parseDigest reads a digest's file.
func parseDigest(in []byte, segment ledger.SegmentID) (*Digest, error) {
	if len(in) < digestHead+4 || string(in[:8]) != digestMagic || checksum(in[:len(in)-4]) != binary.LittleEndian.Uint32(in[len(in)-4:]) ||
		binary.LittleEndian.Uint32(in[8:]) != digestVersion || string(in[12:digestHead]) != string(segment[:]) {
		return nil, errDigest
	}
	d := decoder{b: in[digestHead : len(in)-4]}
	out := &Digest{}
	for range d.count(len(d.b)) {
		out.Issuers = append(out.Issuers, Issuer{d.text(), d.text(), d.text()})
	}
	for range d.count(len(d.b)) {
		seq := d.uvarint()
		r, err := ledger.Decode(d.take(d.count(len(d.b))))
		if err != nil {
			return nil, errDigest
		}
		out.Records = append(out.Records, Reference{seq, r})
	}
	for range d.count(len(d.b)) {
		r := Rhythm{Source: d.text(), Records: int64(d.uvarint())}
		r.Stretches = make([]Stretch, d.count(len(d.b)/2))
		last := int64(0)
		for i := range r.Stretches {
			first := last + d.varint()
			last = first + int64(d.uvarint())
			r.Stretches[i] = Stretch{first, last}
		}
		out.Rhythms = append(out.Rhythms, r)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errDigest
	}
	return out, nil
}

func (s *Store) digestName(first uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", first, digestSuffix))
}

// Digest gives the digest of a view's part, nil if it has none that can be used.
func (s *Store) Digest(p *ledger.Part) *Digest {
	if p.Segment == (ledger.SegmentID{}) {
		return nil
	}
	s.mu.Lock()
	k, ok := s.digests[p.First]
	s.mu.Unlock()
	if ok && k.segment == p.Segment {
		return k.digest
	}
	in, err := os.ReadFile(s.digestName(p.First))
	if err != nil {
		return nil
	}
	d, err := parseDigest(in, p.Segment)
	if err != nil {
		return nil
	}
	if len(in) <= digestKept {
		s.mu.Lock()
		s.digests[p.First] = knownDigest{p.Segment, d}
		s.mu.Unlock()
	}
	return d
}

// addDigest writes the digest of a sealed segment.
func (s *Store) addDigest(p *ledger.Part, c *ledger.Chunk, references ledger.References) error {
	d, err := makeDigest(c, references)
	if err != nil {
		return err
	}
	b, err := d.encode(p.Segment)
	if err == nil {
		err = s.place(s.digestName(p.First), b)
	}
	if err != nil {
		return fmt.Errorf("write digest: %w", err)
	}
	return nil
}
