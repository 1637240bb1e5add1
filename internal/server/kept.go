package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/rules"
)

// StateName is where a data directory keeps what the server knows beside the ledger.
const StateName = "state.db"

// CatalogName is where a data directory keeps the catalog it was read with, so that later questions
// are asked with the same one.
const CatalogName = "catalog.yaml"

// LoadCatalog gives the catalog of --catalog, else the kept one of dir, else the rules.
func LoadCatalog(file, dir string) (*catalog.Catalog, error) {
	if file != "" {
		return catalog.Load(file)
	}
	if dir != "" {
		if file, err := keptPath(dir, CatalogName); err != nil {
			return nil, err
		} else if file != "" {
			return catalog.Load(file)
		}
	}
	return catalog.Rules(), nil
}

// keptPath gives the path of what a data directory keeps under a name, "" if it keeps none.
func keptPath(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	switch _, err := os.Stat(path); {
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, syscall.ENOTDIR):
		return "", fmt.Errorf("%s is a file: name a directory with --data", dir)
	default:
		return "", fmt.Errorf("look into the data directory: %w; run whosaw as the account that it belongs to, or name another with --data", err)
	}
}

// RulesName is where a data directory keeps the rules that its server goes by, so that later questions are asked with them.
const RulesName = "rules.yaml"

// EngineConfig gives the detectors' configuration, with the rules that it names: laid over the shipped ones. Where it
// names none, those kept in the data directory hold.
func EngineConfig(cfg *config.Config, dir string) (detect.Config, error) {
	dc := cfg.Engine()
	path := cfg.Path(cfg.Rules)
	if path == "" && dir != "" {
		var err error
		if path, err = keptPath(dir, RulesName); err != nil {
			return dc, err
		}
	}
	if path != "" {
		set, err := rules.Load(path)
		if err != nil {
			return dc, err
		}
		dc.Rules = set
	}
	return dc, dc.Check()
}

// KeepCatalog copies the catalog into the data directory, in whole or not at all.
func KeepCatalog(file, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("keep the catalog: %w", err)
	}
	kept := filepath.Join(dir, CatalogName)
	if old, err := os.ReadFile(kept); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return WriteWhole(kept, data)
}

// WriteWhole replaces a file: it has the old content or the new, and is readable by its owner only.
func WriteWhole(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}

// ruleFiles joins the files of a rules directory to one, as the data directory keeps them.
func ruleFiles(path string) ([]byte, error) {
	files, err := rules.Files(path)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("keep the rules: %w", err)
		}
		all = append(append(append(all, "---\n# "+filepath.Base(file)+"\n"...), data...), '\n')
	}
	return all, nil
}

// KeepRules copies rules, a file or a directory of them, into the data directory, in whole or not at all.
func KeepRules(path, dir string) error {
	all, err := ruleFiles(path)
	if err != nil {
		return err
	}
	kept := filepath.Join(dir, RulesName)
	if old, err := os.ReadFile(kept); err == nil && bytes.Equal(old, all) {
		return nil
	}
	return WriteWhole(kept, all)
}

// keepRules keeps the rules in the data directory, so that commands without the configuration ask by the same ones. Whoever changes
// what the detectors go by is in the ledger, before it is so.
func (s *Server) keepRules(ctx context.Context) error {
	path, kept := s.cfg.Path(s.cfg.Rules), filepath.Join(s.dir, RulesName)
	if path == "" || filepath.Clean(path) == kept {
		return nil
	}
	all, err := ruleFiles(path)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(kept); err == nil && bytes.Equal(old, all) {
		return nil
	}
	who := "staff:" + s.own.Operator
	act := whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &whosaw.Reference{Kind: "rules_changed", Person: who, Note: fmt.Sprintf("SHA-256 %x", sha256.Sum256(all))}}
	if _, err := s.live.Write(ctx, act); err != nil {
		return fmt.Errorf("record that the rules changed: %w", err)
	}
	return WriteWhole(kept, all)
}
