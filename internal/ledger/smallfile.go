package ledger

import (
	"encoding/binary"
	"fmt"
	"os"
)

// The small files of a ledger, tombstones and holds, are one payload under one checksum:
// docs/formats/ledger.md has the bytes.
const (
	smallHead = 24
	maxSmall  = 64 << 20
)

// smallFile gives the bytes of a small file.
func smallFile(magic string, version uint32, payload []byte) []byte {
	b := append(make([]byte, 0, smallHead+len(payload)), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, checksum(payload))
	b = binary.LittleEndian.AppendUint32(b, checksum(b))
	return append(b, payload...)
}

// readSmall reads a small file and gives its payload.
func readSmall(name, magic string, version uint32) (string, error) {
	damage := func(offset int64, what string) error {
		return &DamageError{File: name, Offset: offset, What: what}
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("read ledger: %w%s", err, cure(err))
	}
	if info.Size() < smallHead || info.Size() > maxSmall {
		return "", damage(info.Size(), "the file has not the length it should have")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read ledger: %w%s", err, cure(err))
	}
	switch found := binary.LittleEndian.Uint32(b[8:]); {
	case string(b[:8]) != magic:
		return "", damage(0, "this is not the file that its name says")
	case binary.LittleEndian.Uint32(b[20:]) != checksum(b[:20]):
		return "", damage(0, "the header does not match its checksum")
	case found != version:
		return "", &NewerError{File: name, Version: found}
	}
	payload := b[smallHead:]
	if uint32(len(payload)) != binary.LittleEndian.Uint32(b[12:]) {
		return "", damage(int64(len(b)), "the file has not the length it should have")
	}
	if checksum(payload) != binary.LittleEndian.Uint32(b[16:]) {
		return "", damage(smallHead, "what the file holds does not match its checksum")
	}
	return text(payload), nil
}

// replaceFile puts a small file in the place of an older one: one of the two is there, in whole.
func (l *Ledger) replaceFile(name string, b []byte) error {
	f, err := placeFile(l.disk, name, func(f file) error {
		_, err := f.WriteAt(b, 0)
		return err
	})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w%s", name, err, cure(err))
	}
	return nil
}

// readAllOf checks that a payload was read to its end without a fault.
func readAllOf(name string, d *reader) error {
	if d.err == nil && len(d.s) > 0 {
		d.err = errNotCanonical
	}
	if d.err != nil {
		return &DamageError{File: name, Offset: smallHead, What: "what the file holds " + d.err.Error()}
	}
	return nil
}
