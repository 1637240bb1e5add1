package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ingest"
)

// testNow is the clock of these tests: 2026-06-01T00:00:00Z.
const testNow = 1780272000000

// result is what one reading gave.
type result struct {
	ingest.Summary
	records []whosaw.Record
	rejects []reject
}

// reject is a line of the reject file.
type reject struct {
	ingest.Reject
	Raw    string `json:"raw"`
	Base64 []byte `json:"raw_base64"`
	Cut    bool   `json:"cut"`
}

// read plans and reads, and checks what must hold of every reading.
func read(t testing.TB, o ingest.Options, paths ...string) result {
	t.Helper()
	ctx := context.Background()
	if o.Now == 0 {
		o.Now = testNow
	}
	if o.RejectFile == "" {
		o.RejectFile = filepath.Join(t.TempDir(), "rejects.jsonl")
	}
	p, err := ingest.NewPlan(ctx, paths, o)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Errorf("close plan: %v", err)
		}
	}()
	return readPlan(t, p, o)
}

func readPlan(t testing.TB, p *ingest.Plan, o ingest.Options) result {
	t.Helper()
	var got result
	var err error
	got.Summary, err = ingest.Read(context.Background(), p, o, func(batch []whosaw.Record) error {
		for i := range batch {
			got.records = append(got.records, batch[i].Clone())
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	got.rejects = rejectFile(t, o.RejectFile)
	checkResult(t, &got)
	return got
}

// checkResult holds what a summary promises.
func checkResult(t testing.TB, got *result) {
	t.Helper()
	s := &got.Summary
	if s.Lines != s.Accepted+s.Rejected {
		t.Errorf("lines %d, accepted %d, rejected %d do not add up", s.Lines, s.Accepted, s.Rejected)
	}
	if int64(len(got.records)) != s.Emitted || s.Emitted != s.Accepted+s.Derived {
		t.Errorf("%d records emitted; accepted %d, derived %d", len(got.records), s.Accepted, s.Derived)
	}
	var lines, accepted, rejected, counted int64
	for _, in := range s.Inputs {
		lines, accepted, rejected = lines+in.Lines, accepted+in.Accepted, rejected+in.Rejected
	}
	if lines != s.Lines || accepted != s.Accepted || rejected != s.Rejected {
		t.Errorf("the inputs' counts do not add up to the whole")
	}
	for _, r := range s.Rejects {
		counted += r.Count
	}
	if counted != s.Rejected || int64(len(got.rejects))+s.Unkept != s.Rejected {
		t.Errorf("rejected %d, by reason %d, in the reject file %d", s.Rejected, counted, len(got.rejects))
	}
	for i := range got.records {
		r := &got.records[i]
		if r.Method != "" || r.Path != "" {
			t.Errorf("record %d keeps a raw request", i)
		}
		if i > 0 && less(r, &got.records[i-1]) {
			t.Errorf("record %d is out of order", i)
		}
		if c := r.Clone(); c.Validate(1<<52) != nil {
			t.Errorf("record %d is not valid: %v", i, c.Validate(1<<52))
		}
	}
}

// less is the promised order.
func less(a, b *whosaw.Record) bool {
	if a.Time != b.Time {
		return a.Time < b.Time
	}
	if x, y := a.Type == whosaw.TypeAccess, b.Type == whosaw.TypeAccess; x != y {
		return y
	}
	if a.Source != b.Source {
		return a.Source < b.Source
	}
	return a.Position < b.Position
}

func rejectFile(t testing.TB, path string) []reject {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []reject
	d := json.NewDecoder(bytes.NewReader(data))
	for d.More() {
		var r reject
		if err := d.Decode(&r); err != nil {
			t.Fatalf("reject file: %v", err)
		}
		all = append(all, r)
	}
	return all
}

// file writes a file into a directory of its own.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	write(t, path, content)
	return path
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// stdin reads text as standard input.
func stdin(t testing.TB, o ingest.Options, text string) result {
	t.Helper()
	o.Stdin = bytes.NewReader([]byte(text))
	if o.Source == "" {
		o.Source = "test"
	}
	return read(t, o, ingest.Stdin)
}

// ip parses an address; "" is none.
func ip(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}
