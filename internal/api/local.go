package api

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// openAPI describes every route.
//
//go:embed openapi.yaml
var openAPI []byte

func (a *API) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(openAPI) // whoever asked has gone
	return nil
}

// Records of an import come in frames: their number, then for each its length and canonical bytes, little-endian.
const (
	importFrame  = 8192
	maxCanonical = 8 << 20
)

// Ack is what became of an imported record, one byte each in the answer: '+' accepted, '=' a repeat, '!' a conflict.
var acks = map[ledger.Ack]byte{ledger.Accepted: '+', ledger.Repeat: '=', ledger.Conflict: '!'}

// ReadAcks reads the answer to an import of n records.
func ReadAcks(r io.Reader, n int) ([]ledger.Ack, error) {
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("read what became of the records: %w", err)
	}
	out := make([]ledger.Ack, n)
	for i, c := range data {
		switch c {
		case '+':
			out[i] = ledger.Accepted
		case '=':
			out[i] = ledger.Repeat
		case '!':
			out[i] = ledger.Conflict
		default:
			return nil, errors.New("read what became of the records: the server is of another version")
		}
	}
	return out, nil
}

// AppendImport appends records to buf as an import carries them.
func AppendImport(buf []byte, records []whosaw.Record) ([]byte, error) {
	for i := range records {
		start := len(buf)
		b, err := ledger.Encode(append(buf, 0, 0, 0, 0), &records[i])
		if err != nil {
			return nil, fmt.Errorf("encode record %d of %d: %w", i+1, len(records), err)
		}
		buf = b
		binary.LittleEndian.PutUint32(buf[start:], uint32(len(buf)-start-4))
	}
	return buf, nil
}

// postImport takes records that the owner of the data directory has read and sorted from logs, with their source and position, and
// answers with a byte for each.
func (a *API) postImport(w http.ResponseWriter, r *http.Request) error {
	in := bufio.NewReaderSize(r.Body, 1<<20)
	w.Header().Set("Content-Type", "application/octet-stream")
	var records []whosaw.Record
	var out []byte
	for end := false; !end; {
		rec, err := readCanonical(in)
		switch {
		case errors.Is(err, io.EOF):
			end = true
		case err != nil:
			return invalid("send the import again", "the import cannot be read: %v", err)
		default:
			records = append(records, rec)
		}
		if len(records) == 0 || !end && len(records) < importFrame {
			continue
		}
		receipts, err := a.cfg.Live.TakeRecords(r.Context(), records)
		if err != nil {
			return err
		}
		for i := range receipts {
			out = append(out, acks[receipts[i].Ack])
		}
		records = nil // they are the pipeline's
	}
	_, err := w.Write(out)
	return err
}

func readCanonical(in *bufio.Reader) (whosaw.Record, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return whosaw.Record{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxCanonical {
		return whosaw.Record{}, fmt.Errorf("a record of %d bytes", n)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(in, data); err != nil {
		return whosaw.Record{}, io.ErrUnexpectedEOF
	}
	return ledger.Decode(data)
}

func (a *API) postRejected(w http.ResponseWriter, r *http.Request) error {
	var in []pipeline.SourceTotal
	if err := readBody(w, r, 16<<20, &in); err != nil {
		return err
	}
	if err := a.cfg.Live.RecordRejects(r.Context(), in); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// Study is an investigation with what a report draws.
type Study struct {
	Investigation whosaw.Investigation `json:"investigation"`
	All           pipeline.Picture     `json:"all"`
	Scopes        []pipeline.Picture   `json:"scopes"`
}

func (a *API) getStudy(w http.ResponseWriter, r *http.Request) error {
	result, err := a.investigate(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, Study{result.Investigation, result.All, result.Scopes})
	return nil
}

// BackupSpec is where a backup goes, on the server's machine.
type BackupSpec struct {
	To string `json:"to"` // absolute
}

func (a *API) postBackup(w http.ResponseWriter, r *http.Request) error {
	var in BackupSpec
	if err := readBody(w, r, 1<<16, &in); err != nil {
		return err
	}
	if a.cfg.Backup == nil || !filepath.IsAbs(in.To) {
		return invalid("give an absolute path", "to: no directory")
	}
	if err := a.note(r, whosaw.Reference{Kind: "backup", Of: in.To, Person: whoOf(r).Name}); err != nil {
		return err
	}
	made, err := a.cfg.Backup(r.Context(), in.To)
	if err != nil {
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Says: err.Error()} // the owner may read paths
	}
	writeJSON(w, http.StatusOK, made)
	return nil
}

// Link is a one-time link for an administrator.
type Link struct {
	URL  string `json:"url"`  // of the server; "" if it listens to nobody
	Path string `json:"path"` // below it
}

func (a *API) postLink(w http.ResponseWriter, r *http.Request) error {
	who := whoOf(r).Name
	code, err := a.cfg.Auth.NewLink(r.Context(), who)
	if err != nil {
		return err
	}
	if err := a.note(r, whosaw.Reference{Kind: "link_made", Person: who}); err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, Link{a.cfg.URL, "/login#" + code})
	return nil
}
