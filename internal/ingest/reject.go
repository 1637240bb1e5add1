package ingest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"
)

// Reject says where a line is that could not be read, and why. It holds nothing of the line.
type Reject struct {
	Source   string `json:"source"`
	File     string `json:"file"`
	Line     int64  `json:"line"`     // from 1; in a JSON array the number of the element
	Position int64  `json:"position"` // byte offset in decompressed data
	Reason   string `json:"reason"`
	Hint     string `json:"hint"`
}

// RejectCount is how many lines were rejected for one reason.
type RejectCount struct {
	Reason string
	Hint   string
	Count  int64
	First  Reject
}

// maxReasons bounds the reasons that are counted apart; they are texts of ours and far fewer.
const maxReasons = 1000

// rejectLine is a line of the reject file.
type rejectLine struct {
	Reject
	Raw    string `json:"raw"`
	Base64 []byte `json:"raw_base64,omitempty"` // instead of raw where the line is not UTF-8
	Cut    bool   `json:"cut,omitempty"`        // the line was longer
}

// rejects counts rejected lines and keeps them in the reject file.
type rejects struct {
	path    string
	room    int64
	file    *os.File
	buf     []byte
	reasons map[string]*RejectCount
	unkept  int64
	err     error
}

func newRejects(o *Options) *rejects {
	return &rejects{path: o.RejectFile, room: o.RejectBytes, reasons: map[string]*RejectCount{}}
}

// prepare removes what an earlier run left, so that the file is always this run's, and refuses to touch anything else.
func (k *rejects) prepare() error {
	if k.path == "" {
		return nil
	}
	info, err := os.Lstat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at reject file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("write rejects to %s: it is not a file; name another", k.path)
	}
	f, err := os.Open(k.path)
	if err != nil {
		return fmt.Errorf("look at reject file: %w", err)
	}
	head := make([]byte, len(rejectHead))
	n, _ := f.Read(head)
	f.Close()
	if n > 0 && !bytes.Equal(head, []byte(rejectHead)) {
		return fmt.Errorf("write rejects to %s: there is a file that is not one of rejects; name another, or remove it", k.path)
	}
	if err := os.Remove(k.path); err != nil {
		return fmt.Errorf("remove old rejects: %w", err)
	}
	return nil
}

// rejectHead begins every reject file.
const rejectHead = `{"source":"`

// add counts a rejected line and writes it. An error is kept in err: a line that cannot be kept must stop the run,
// or it would be lost.
func (k *rejects) add(r Reject, raw []byte) {
	c := k.reasons[r.Reason]
	if c == nil {
		key := r.Reason
		if len(k.reasons) >= maxReasons {
			key = "another reason"
		}
		if c = k.reasons[key]; c == nil {
			c = &RejectCount{Reason: key, Hint: r.Hint, First: r}
			k.reasons[key] = c
		}
	}
	c.Count++
	if k.path == "" || k.err != nil {
		return
	}
	data := encodeReject(r, raw)
	if int64(len(data)) > k.room {
		k.unkept++
		k.room = 0 // the file is a beginning, not a selection
		return
	}
	k.room -= int64(len(data))
	if k.buf = append(k.buf, data...); len(k.buf) >= 64<<10 {
		k.flush()
	}
}

// encodeReject gives a line of the reject file.
func encodeReject(r Reject, raw []byte) []byte {
	line := rejectLine{Reject: r, Cut: len(raw) >= headSize}
	if raw = cutHead(raw); utf8.Valid(raw) {
		line.Raw = string(raw)
	} else {
		line.Base64 = raw
	}
	data, err := json.Marshal(&line)
	if err != nil {
		panic("BUG: encode reject: " + err.Error())
	}
	return append(data, '\n')
}

func (k *rejects) flush() {
	if len(k.buf) == 0 || k.err != nil {
		return
	}
	if k.file == nil {
		f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			k.err = fmt.Errorf("make reject file: %w", err)
			return
		}
		k.file = f
	}
	if _, err := k.file.Write(k.buf); err != nil {
		k.err = fmt.Errorf("write reject file: %w%s", err, diskFull(err))
	}
	k.buf = k.buf[:0]
}

func (k *rejects) close() error {
	k.flush()
	if k.file != nil {
		if err := k.file.Close(); err != nil && k.err == nil {
			k.err = fmt.Errorf("close reject file: %w", err)
		}
		k.file = nil
	}
	return k.err
}

// counts lists the reasons, the most frequent first.
func (k *rejects) counts() []RejectCount {
	var all []RejectCount
	for _, c := range k.reasons {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b RejectCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
