package public

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
)

// Lookups are the look-ups of all incidents that offer one. Safe for concurrent use.
type Lookups struct {
	book *incident.Book
	dir  string // of incidents
	key  Key
	log  *slog.Logger

	building sync.Mutex // one Sync at a time
	mu       sync.Mutex
	open     map[int64]*lookup
	handed   map[Handed]int64
}

// Handed says to whom secrets were given: how many, in the map of [Lookups.Handed].
type Handed struct {
	Who      string // token:shop
	Incident int64
}

// OpenLookups gives the look-ups below a directory of incidents. Nothing is there before [Lookups.Sync].
func OpenLookups(book *incident.Book, dir string, log *slog.Logger) (*Lookups, error) {
	key, err := OpenKey(dir)
	if err != nil {
		return nil, err
	}
	return &Lookups{book: book, dir: dir, key: key, log: log, open: map[int64]*lookup{}, handed: map[Handed]int64{}}, nil
}

// lookup is one look-up that can be asked.
type lookup struct {
	header
	build  string // its name in addresses: the salt in hex
	title  string
	since  time.Time
	asOf   time.Time // when the scope version was made
	fields []string
	gaps   bool // the records have gaps: who is not in the list may be concerned all the same

	mu   sync.RWMutex
	file *os.File // nil: closed
}

// fileName is by the list that was looked up in: another version has another.
func (s *Lookups) fileName(n int64, v *incident.Version) string {
	return filepath.Join(s.dir, fmt.Sprint(n), fmt.Sprintf("lookup-%d-%.16s.bin", v.Number, v.List))
}

// Sync brings the look-ups up to what the incidents offer: it builds those of new scope versions, and removes those that are over. While one is
// built the one before is asked.
func (s *Lookups) Sync(ctx context.Context) error {
	s.building.Lock()
	defer s.building.Unlock()
	list, err := s.book.Incidents(ctx)
	if err != nil {
		return err
	}
	var errs []error
	offered := map[int64]bool{}
	for _, in := range list {
		if in.Lookup == nil {
			continue
		}
		v, err := in.Version(in.Lookup.Version)
		if err == nil {
			offered[in.Number] = true
			err = s.bring(ctx, in, v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("look-up of incident %d: %w", in.Number, err))
		}
	}
	s.mu.Lock()
	over := map[int64]*lookup{}
	for n, l := range s.open {
		if !offered[n] {
			over[n] = l
			delete(s.open, n)
		}
	}
	s.mu.Unlock()
	for n, l := range over {
		errs = append(errs, l.close(), s.sweep(n, ""))
	}
	return errors.Join(errs...)
}

// sweep removes the files of an incident's look-ups but one.
func (s *Lookups) sweep(n int64, but string) error {
	names, err := filepath.Glob(filepath.Join(s.dir, fmt.Sprint(n), "lookup-*.bin"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != but {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// Bring opens what one incident offers, and builds it where it is not there yet.
func (s *Lookups) bring(ctx context.Context, in *incident.Incident, v *incident.Version) error {
	name := s.fileName(in.Number, v)
	s.mu.Lock()
	old := s.open[in.Number]
	s.mu.Unlock()
	if old != nil && old.Version == uint32(v.Number) && hex.EncodeToString(old.List[:]) == v.List && !old.broken() {
		s.mu.Lock()
		old.title, old.since = in.Lookup.Title, in.Lookup.Since
		s.mu.Unlock()
		return nil
	}
	l, err := openLookup(name)
	if err == nil && (l.KeyID != s.key.ID() || l.Version != uint32(v.Number) || l.Incident != uint64(in.Number) || hex.EncodeToString(l.List[:]) != v.List || old != nil && old.broken()) {
		err = errors.Join(errDamaged, l.close())
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		if err = s.make(ctx, in.Number, v, name); err == nil {
			l, err = openLookup(name)
		}
	}
	if err != nil {
		return err
	}
	l.title, l.since, l.fields, l.gaps, l.asOf = in.Lookup.Title, in.Lookup.Since, fieldsOf(v), len(v.Answer.Gaps) > 0, madeAt(in, v.Number)
	s.mu.Lock()
	s.open[in.Number] = l
	s.mu.Unlock()
	if old != nil {
		err = old.close()
	}
	return errors.Join(err, s.sweep(in.Number, name))
}

func (s *Lookups) make(ctx context.Context, n int64, v *incident.Version, name string) error {
	began := time.Now()
	b := &build{key: s.key, incident: n, version: uint32(v.Number), fields: fieldsOf(v), people: v.Answer.Subjects}
	if _, err := hex.Decode(b.list[:], []byte(v.List)); err != nil {
		return fmt.Errorf("read the list's hash: %w", err)
	}
	b.rows = func(ctx context.Context, yield func(row *whosaw.ListRow) error) error {
		return s.book.List(ctx, n, v, func(row whosaw.ListRow) error { return yield(&row) })
	}
	if err := b.write(ctx, name); err != nil {
		return err
	}
	s.log.Info("look-up is built", "incident", n, "version", v.Number, "people", v.Answer.Subjects, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func fieldsOf(v *incident.Version) []string { return slices.Sorted(maps.Keys(v.Answer.Fields)) }

func madeAt(in *incident.Incident, version int) time.Time {
	for _, e := range in.Timeline {
		if e.Kind == incident.Scoped && e.Scope.Number == version {
			return e.At
		}
	}
	return time.Time{}
}

func openLookup(name string) (*lookup, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open look-up: %w", err)
	}
	head := make([]byte, headerLen)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, errors.Join(errDamaged, f.Close())
	}
	h, err := decodeHeader(head)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if info, err := f.Stat(); err != nil || info.Size() != headerLen+int64(storedLen)<<h.Bits {
		return nil, errors.Join(errDamaged, f.Close())
	}
	return &lookup{header: *h, build: hex.EncodeToString(h.Salt[:]), file: f}, nil
}

func (l *lookup) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// broken reports whether a bucket was found damaged: then the file is let go, and built again.
func (l *lookup) broken() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.file == nil
}

var errGone = errors.New("this look-up is not there any more")

// bucket reads one. All are of one length, and read from a place that their number gives alone.
func (l *lookup) bucket(i uint32) ([]byte, error) {
	l.mu.RLock()
	if l.file == nil {
		l.mu.RUnlock()
		return nil, errGone
	}
	data := make([]byte, storedLen)
	_, err := l.file.ReadAt(data, headerLen+int64(i)*storedLen)
	l.mu.RUnlock()
	if err == nil && crc32.Checksum(data[:BucketLen], castagnoli) != binary.BigEndian.Uint32(data[BucketLen:]) {
		err = errDamaged
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read look-up: %w", err), l.close())
	}
	return data[:BucketLen], nil
}

// width is how many hexadecimal digits name a bucket.
func (l *lookup) width() int { return max(1, (int(l.Bits)+3)/4) }

// match looks a secret up, and gives the fields. Every entry is compared, whichever is the one.
func (l *lookup) match(s *Secret) (found bool, fields []string, err error) {
	t := s.trace(&l.Salt)
	data, err := l.bucket(t.bucket(uint(l.Bits)))
	if err != nil {
		return false, nil, err
	}
	var payload [8]byte
	for i := 0; i < BucketLen; i += entryLen {
		same := subtle.ConstantTimeCompare(data[i:i+8], t.tag[:])
		found = found || same == 1
		subtle.ConstantTimeCopy(same, payload[:], data[i+8:i+16])
	}
	if !found {
		return false, nil, nil
	}
	for i := range payload {
		payload[i] ^= t.veil[i]
	}
	if payload[0] != payloadMark {
		return false, nil, errDamaged
	}
	for i, f := range l.fields[:min(len(l.fields), fieldPlaces)] {
		if payload[1+i/8]&(1<<(i%8)) != 0 {
			fields = append(fields, f)
		}
	}
	return true, fields, nil
}

// of gives the look-up of an incident, nil if there is none.
func (s *Lookups) of(n int64) *lookup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[n]
}

// offers lists the incidents that offer one, the newest first.
func (s *Lookups) offers() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.open))
	slices.Reverse(out)
	return out
}

// Secret gives a customer's secret and the link for it. It looks at no list: an answer cannot depend on who is in one.
func (s *Lookups) Secret(who string, incident int64, realm, subject, address string) (text, link string, ok bool) {
	l := s.of(incident)
	if l == nil {
		return "", "", false
	}
	secret := s.key.Secret(incident, realm, subject)
	s.mu.Lock()
	s.handed[Handed{who, incident}]++
	s.mu.Unlock()
	text = secret.Text()
	return text, fmt.Sprintf("%s/affected/%d#%s", strings.TrimRight(address, "/"), incident, text), true
}

// Offers lists the incidents that offer a look-up, the newest first.
func (s *Lookups) Offers() []int64 { return s.offers() }

// Handed gives how many secrets were handed out since it was asked last, by whom: whoever hands out secrets could look up everybody, so the
// counts are for the ledger.
func (s *Lookups) Handed() map[Handed]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.handed
	s.handed = map[Handed]int64{}
	return out
}

// Close lets go of the files.
func (s *Lookups) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for n, l := range s.open {
		errs = append(errs, l.close())
		delete(s.open, n)
	}
	return errors.Join(errs...)
}
