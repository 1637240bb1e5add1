package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// maxSocket is the longest path of a unix socket that every system takes.
const maxSocket = 100

// listenUnix makes a socket that only its owner can use.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocket {
		return nil, fmt.Errorf("listen on %s: the path is longer than %d bytes, which is too long for a socket: name a shorter data directory, or a relative one", path, maxSocket)
	}
	// The directory is 0700: nobody else can come between making the socket and setting its mode.
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("close the data directory to others: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("close the socket to others: %w", err)
	}
	return l, nil
}
