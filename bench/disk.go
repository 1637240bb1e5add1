package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sizeOf gives the bytes of the files below a path.
func sizeOf(path string) (int64, error) {
	n := int64(0)
	err := eachFile(path, func(_ string, info fs.FileInfo) error {
		n += info.Size()
		return nil
	})
	return n, err
}

// forget makes the system drop what it holds of the files below a path, so that the next reading is from disk.
func forget(path string) error {
	return eachFile(path, func(name string, _ fs.FileInfo) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// remember reads the files below a path, so that the system has them in memory, unless they would take more than half of that.
func remember(path string) error {
	var all unix.Sysinfo_t
	if err := unix.Sysinfo(&all); err != nil {
		return fmt.Errorf("ask for the size of memory: %w", err)
	}
	n, err := sizeOf(path)
	if err != nil || uint64(n) > uint64(all.Totalram)*uint64(all.Unit)/2 {
		return err
	}
	return eachFile(path, func(name string, _ fs.FileInfo) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(io.Discard, f)
		return err
	})
}

func eachFile(path string, fn func(name string, info fs.FileInfo) error) error {
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return fn(name, info)
	})
	if err != nil {
		return fmt.Errorf("look through %s: %w", path, err)
	}
	return nil
}

// peak is the most memory that this process has had, in bytes; 0 where the system does not say.
func peak() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
