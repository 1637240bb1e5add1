package alarm

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret bounds what is read: a name of the wrong file must not fill the memory.
const maxSecret = 64 << 10

// secret is where a secret lies: never in the configuration itself, which is shown, copied and backed up. It is read for each
// message, so that a new one holds without a restart.
type secret struct{ file, env string }

func (s secret) given() bool { return s.file != "" || s.env != "" }

// check says what is wrong with a secret, naming the key it was configured by.
func (s secret) check(key string) error {
	if s.file != "" && s.env != "" {
		return fmt.Errorf("%s_file, %s_env: give one of them", key, key)
	}
	if !s.given() {
		return nil
	}
	if _, err := s.read(); err != nil {
		return fmt.Errorf("%s: %w", s.key(key), err)
	}
	return nil
}

func (s secret) key(key string) string {
	if s.file != "" {
		return key + "_file"
	}
	return key + "_env"
}

func (s secret) read() (string, error) {
	var v string
	if s.file != "" {
		b, err := readSmall(s.file)
		if err != nil {
			return "", fmt.Errorf("read secret: %w; give whosaw's user the right to read it", err)
		}
		v = string(b)
	} else {
		v = os.Getenv(s.env)
	}
	if v = strings.TrimSpace(v); v == "" {
		return "", errors.New("the secret is empty; write it to the file or set the variable")
	}
	return v, nil
}

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s is larger than 64 KiB", name)
	}
	return b, nil
}

// minKey is the least length of a signing key: Standard Webhooks asks for 24 to 64 bytes.
const minKey, maxKey = 24, 64

// signingKeys reads one or more keys, as Standard Webhooks writes them: the one to come beside the one to go. Its errors never hold
// a byte of them.
func signingKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for _, word := range strings.Fields(text) {
		encoded, ok := strings.CutPrefix(word, "whsec_")
		if !ok {
			return nil, errors.New("a signing secret begins with whsec_; make one with: echo \"whsec_$(openssl rand -base64 32)\"")
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errors.New("what follows whsec_ is not base64; make a secret with: echo \"whsec_$(openssl rand -base64 32)\"")
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("a signing secret holds %d to %d bytes; make one with: echo \"whsec_$(openssl rand -base64 32)\"", minKey, maxKey)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > 4 {
		return nil, errors.New("give one signing secret, or up to four while they are exchanged")
	}
	return keys, nil
}

// authorities reads the certificates that may sign a server's, nil for those of the system.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate; give certificates in PEM", file)
	}
	return pool, nil
}
