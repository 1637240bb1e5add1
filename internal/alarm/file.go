package alarm

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// appender writes each message as a line at the end of a file, for what ships logs. The file is opened for each message, so it
// may be rotated.
type appender struct {
	path   string
	format func(*Message) ([]byte, error)
}

// Send returns once the line is on disk.
func (a *appender) Send(ctx context.Context, m *Message) error {
	line, err := a.format(m)
	if err != nil {
		return refused("%w", err)
	}
	if err := a.append(line); err != nil {
		return retry("append to the file: %w", err)
	}
	return nil
}

func (a *appender) append(line []byte) (err error) {
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size > 0 { // what a crash cut off must not swallow this line
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if size > 0 {
		return nil
	}
	d, err := os.Open(filepath.Dir(a.path))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync its directory: %w", err)
	}
	return nil
}
