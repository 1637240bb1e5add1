package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/whosaw/whosaw"
)

// KeyMap says where key material lies and who is who there, so that the audit logs of Vault, OpenBao and AWS tell who read
// which signing key.
type KeyMap struct {
	// Where each key lies.
	Material []KeyPlace `yaml:"material"`
	// Under which names the audit logs know people, where it is not their own.
	People []Alias `yaml:"people"`
}

// KeyPlace is where the material of one key lies.
type KeyPlace struct {
	// The key's id (kid), as credentials and records name it.
	Key string `yaml:"key"`
	// Its realm, where there are several.
	Realm string `yaml:"realm"`
	// Paths in Vault or OpenBao, as the API names them, without v1 before and with the namespace where there is one: transit/keys/NAME for a
	// key of the transit engine, secret/data/PATH (version 2) or secret/PATH (version 1) for one that is kept as a secret.
	Vault []string `yaml:"vault"`
	// In AWS: the ARN of the KMS key that signs, or under which the key's material is encrypted; the name or ARN of a secret of Secrets
	// Manager or of a parameter of Systems Manager.
	AWS []string `yaml:"aws"`
}

// Alias is a person and the names under which audit logs know them.
type Alias struct {
	// The id under which the house knows the person, or service:NAME where it is a program.
	Person string `yaml:"person"`
	// Vault display names, user names and entity ids; AWS ARNs and session names.
	As []string `yaml:"as"`
}

// LoadKeyMap reads a YAML file with material and people, as they stand under keys in whosaw.yaml.
func LoadKeyMap(file string) (m *KeyMap, err error) {
	// The YAML library panics on some tags.
	defer func() {
		if recover() != nil {
			m, err = nil, fmt.Errorf("read %s: it is no YAML that can be read; see docs/keys.md", file)
		}
	}()
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read where keys lie: %w", err)
	}
	m = &KeyMap{}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.DisallowUnknownField()).Decode(m); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %s; it has material and people, see docs/keys.md", file, strings.TrimRight(yaml.FormatError(err, false, false), "\n"))
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return m, nil
}

// Check finds what cannot work.
func (m *KeyMap) Check() error {
	_, err := m.compile()
	return err
}

// keyPlaces is a KeyMap to look things up in. A nil one knows nothing.
type keyPlaces struct {
	vault, aws map[string]*KeyPlace
	people     map[string]string
}

func (m *KeyMap) compile() (*keyPlaces, error) {
	if m == nil {
		return nil, nil
	}
	p := &keyPlaces{map[string]*KeyPlace{}, map[string]*KeyPlace{}, map[string]string{}}
	for i := range m.Material {
		k := &m.Material[i]
		if k.Key == "" || len(k.Vault)+len(k.AWS) == 0 {
			return nil, fmt.Errorf("material[%d]: give the key and at least one place in vault or aws", i)
		}
		for _, at := range []struct {
			in    map[string]*KeyPlace
			names []string
		}{{p.vault, k.Vault}, {p.aws, k.AWS}} {
			for _, name := range at.names {
				if name = strings.Trim(name, "/ "); name == "" {
					return nil, fmt.Errorf("material[%d]: a place is empty", i)
				}
				if other := at.in[name]; other != nil {
					return nil, fmt.Errorf("material[%d]: %s is the place of key %s too: one place holds one key", i, name, other.Key)
				}
				at.in[name] = k
			}
		}
	}
	for i, a := range m.People {
		if a.Person == "" || len(a.As) == 0 {
			return nil, fmt.Errorf("people[%d]: give the person and at least one name in as", i)
		}
		for _, name := range a.As {
			if was, ok := p.people[name]; ok && was != a.Person {
				return nil, errors.New("people: " + name + " is " + was + " and " + a.Person + ": one name is one person")
			}
			p.people[name] = a.Person
		}
	}
	return p, nil
}

// person gives whom a KeyMap knows by one of the names, "" if nobody.
func (p *keyPlaces) person(names ...string) string {
	if p == nil {
		return ""
	}
	for _, name := range names {
		if who := p.people[name]; who != "" && name != "" {
			return who
		}
	}
	return ""
}

const servicePrefix = "service:"

// keyRecord turns what was read of a line into the record of what happened to a key. who is a person or service:NAME.
func keyRecord(r *whosaw.Record, k *KeyPlace, kind, who string) {
	*r = whosaw.Record{
		Type: whosaw.TypeKey, ID: r.ID, Time: r.Time, Realm: k.Realm, Key: k.Key, Principal: r.Principal, IP: r.IP, Request: r.Request,
		Ref: &whosaw.Reference{Kind: kind},
	}
	// No state: an audit log tells what was done to the material. That a killed key's material was made anew does not make it live.
	if who != "" && (kind == keyRead || kind == keyExported) {
		r.Ref.Readers = []string{who}
	}
}

// What happens to keys.
const (
	keyCreated  = "created"
	keyRead     = "read"
	keyExported = "exported"
	keyUsed     = "used"
	keyRotated  = "rotated"
	keyDisposed = "disposed"
)

// tells reports whether what happened to a key is worth a record of its own. A program signs with its key a thousand times a
// second: that is an access like others.
func tells(kind, who string) bool {
	return kind != "" && (kind != keyUsed || !strings.HasPrefix(who, servicePrefix))
}
