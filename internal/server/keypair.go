package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// KeyPair reads a certificate again when its file has changed.
type KeyPair struct {
	Cert, Key string // files, PEM

	mu     sync.Mutex
	at     time.Time
	loaded *tls.Certificate
}

// Get gives the certificate, for a tls.Config.
func (k *KeyPair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.Cert)
	if err == nil && k.loaded != nil && info.ModTime().Equal(k.at) {
		return k.loaded, nil
	}
	var c tls.Certificate
	if err == nil {
		c, err = tls.LoadX509KeyPair(k.Cert, k.Key)
	}
	if err != nil {
		if k.loaded != nil {
			return k.loaded, nil // it is being replaced
		}
		return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	k.loaded, k.at = &c, info.ModTime()
	return k.loaded, nil
}
