package ledger

import (
	"context"
	"encoding/binary"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
)

// Disk and File are the seam that tests put faults behind.
type (
	Disk = disk
	File = file
)

// OSDisk is the disk that faults are put before. It syncs nothing: what a sync keeps is for the
// test to say.
func OSDisk() Disk { return osDisk{throwaway: true} }

// OpenOn opens a ledger on a disk.
func OpenOn(cfg Config, d Disk) (*Ledger, error) {
	cfg.disk = d
	return Open(cfg)
}

// At gives the configuration a clock.
func (cfg Config) At(now func() time.Time) Config {
	cfg.now = now
	return cfg
}

// Reseal gives the segment file's bytes with section number i replaced by raw, as if it had been
// written so.
func Reseal(name string, i int, raw []byte) ([]byte, error) {
	s, err := openSegment(name)
	if err != nil {
		return nil, err
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b := append([]byte(nil), whole[:segmentHead]...)
	i %= len(s.sections)
	for j := range s.sections {
		info := &s.sections[j]
		data := whole[info.offset : info.offset+int64(info.stored)]
		if i == j {
			data = raw
			info.method, info.stored, info.size, info.sum = storedPlain, len(raw), len(raw), checksum(raw)
		}
		b = append(b, data...)
	}
	foot := s.footer.append(nil)
	b = append(b, foot...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(foot)))
	b = binary.LittleEndian.AppendUint32(b, checksum(foot))
	return append(b, segmentEndMagic...), nil
}

// Sections gives the uncompressed sections of a segment.
func Sections(name string) (sections [][]byte, err error) {
	s, err := openSegment(name)
	if err != nil {
		return nil, err
	}
	zip, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	l, err := newSegmentLoader(s, zip)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	for _, info := range s.sections {
		d, _, err := l.section(column(info.id>>1), info.id&1)
		if err != nil {
			return nil, err
		}
		sections = append(sections, []byte(d.s))
	}
	return sections, nil
}

// ParseFooter reads a footer.
func ParseFooter(b []byte, end int64) error {
	_, err := parseFooter(text(b), end)
	return err
}

// Compress gives a section as it is stored, by frequencies only and the smaller way.
func Compress(b []byte) (frequencies, smaller []byte, err error) {
	c, err := newCompressor()
	if err != nil {
		return nil, nil, err
	}
	if frequencies, err = c.frequencies(nil, b); err != nil {
		return nil, nil, err
	}
	smaller, err = c.compress(b)
	return frequencies, smaller, err
}

// Decompress reads a section as it is stored into room for size bytes.
func Decompress(frame []byte, size int) ([]byte, error) {
	d, err := newDecompressor(1)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(frame, make([]byte, 0, size))
}

// ReadSegment reads all of a segment.
func ReadSegment(name string) error {
	s, err := openSegment(name)
	if err != nil {
		return err
	}
	v := &View{zip: unzip, parts: []viewPart{s.view()}}
	return v.Records(context.Background(), 0, func(uint64, *whosaw.Record) error { return nil })
}

var unzip, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))

// ReadLog reads all of a log.
func ReadLog(name string) error {
	r, err := openLog(name)
	if err != nil {
		return err
	}
	defer r.Close()
	for o := newOpenPart(r.first, nil); ; {
		frame, err := r.frame(true)
		if err != nil {
			return err
		}
		if err := o.replay(frame); err != nil {
			return err
		}
	}
}

// BackupOn makes a backup on a disk.
func (l *Ledger) BackupOn(ctx context.Context, cfg BackupConfig, d Disk) (Backup, error) {
	cfg.disk = d
	return l.Backup(ctx, cfg)
}

// RestoreOn restores on a disk.
func RestoreOn(ctx context.Context, cfg RestoreConfig, d Disk) (Manifest, error) {
	cfg.disk = d
	return Restore(ctx, cfg)
}

// Rewrite writes a segment again with its records changed by fn, every checksum right and the secret kept.
func Rewrite(name string, fn func([]whosaw.Record) []whosaw.Record) error {
	s, err := openSegment(name)
	if err != nil {
		return err
	}
	var all []whosaw.Record
	v := &View{zip: unzip, parts: []viewPart{s.view()}}
	if err := v.Records(context.Background(), 0, func(_ uint64, r *whosaw.Record) error { all = append(all, *r); return nil }); err != nil {
		return err
	}
	o := newOpenPart(s.first, nil)
	for _, r := range fn(all) {
		b, err := Encode(nil, &r)
		if err != nil {
			return err
		}
		o.spans.take(&r)
		o.known.add(identityHash(&r))
		o.add([]*whosaw.Record{&r}, [][]byte{b})
	}
	zip, err := newCompressor()
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil {
		return err
	}
	f, err := OSDisk().Create(name)
	if err != nil {
		return err
	}
	if err := writeSegment(f, zip, o, s.secret); err != nil {
		return err
	}
	return f.Close()
}

// LyingFooter gives a segment a footer that says another least time than its records, checksums right.
func LyingFooter(name string) error {
	s, err := openSegment(name)
	if err != nil {
		return err
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b := whole[:s.sectionsEnd()]
	s.spans.time.max -= 1
	foot := s.footer.append(nil)
	b = append(b, foot...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(foot)))
	b = binary.LittleEndian.AppendUint32(b, checksum(foot))
	return os.WriteFile(name, append(b, segmentEndMagic...), 0o600)
}

// Secret gives the secret in the footer of a segment.
func Secret(name string) ([]byte, error) {
	s, err := openSegment(name)
	if err != nil {
		return nil, err
	}
	return s.secret[:], nil
}

// RunRoot joins runs of leaves cut at the given places, and gives the root.
func RunRoot(hashes [][32]byte, cuts []int) [32]byte {
	tree, begin := leafRun{}, 0
	for _, end := range append(cuts, len(hashes)) {
		run := leafRun{begin: uint64(begin), end: uint64(begin)}
		for _, h := range hashes[begin:end] {
			run.leaf(h)
		}
		for i, n := range perfect(run.begin, run.end) {
			if n.level != run.nodes[i].level || n.index != run.nodes[i].index {
				panic("a run has other subtrees than its ends say")
			}
		}
		tree.join(&run)
		begin = end
	}
	return tree.root()
}

// Peek reads of a canonical record what it is of.
var Peek = peek
