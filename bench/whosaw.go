package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/scope"
)

// shopCatalog is the catalog that such a shop would have written.
func shopCatalog() (*catalog.Catalog, error) {
	var b strings.Builder
	b.WriteString("name: bench\nroutes:\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "  %s: [%s]\n", r.name, strings.Join(fieldsOf(r.fields), ", "))
	}
	c, err := catalog.Parse("catalog.yaml", []byte(b.String()))
	if err != nil {
		return nil, fmt.Errorf("make catalog: %w", err)
	}
	return c, nil
}

// loadWhosaw appends everything as the product's importer does, and seals.
func loadWhosaw(ctx context.Context, s *shop, dir string) (loaded, error) {
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		return loaded{}, err
	}
	blocks := index.Attach(led, false)
	out, err := appendAll(ctx, s, led)
	if err := errors.Join(err, led.Close(), blocks.Failure(), blocks.Close()); err != nil {
		return loaded{}, err
	}
	for _, part := range []string{"ledger", index.Dir} {
		n, err := sizeOf(filepath.Join(dir, part))
		if err != nil {
			return out, err
		}
		out.Bytes += n
		out.Index = n // the last
	}
	return out, nil
}

func appendAll(ctx context.Context, s *shop, led *ledger.Ledger) (loaded, error) {
	stop := make(chan struct{})
	defer close(stop)
	began := time.Now()
	out := loaded{Accesses: s.n}
	batches, give := s.stream(stop)
	for b := range batches {
		before := time.Now()
		if _, err := led.Append(ctx, b.records); err != nil {
			return out, err
		}
		out.Busy += time.Since(before).Seconds()
		out.Records += int64(len(b.records))
		give(b)
	}
	before := time.Now()
	if err := led.Seal(ctx); err != nil {
		return out, err
	}
	out.Busy += time.Since(before).Seconds()
	out.Seconds = time.Since(began).Seconds()
	return out, nil
}

// whosawEngine asks a ledger as the product does.
type whosawEngine struct {
	shop   *shop
	dir    string
	ledger *ledger.Ledger
	index  *index.Store
	view   *ledger.View
	engine *scope.Engine
	text   *text
}

func openWhosaw(s *shop, dir string) (*whosawEngine, error) {
	cat, err := shopCatalog()
	if err != nil {
		return nil, err
	}
	led, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	view, err := led.View(0)
	if err != nil {
		return nil, errors.Join(err, led.Close())
	}
	blocks := index.Open(index.Config{Dir: dir})
	return &whosawEngine{
		shop: s, dir: dir, ledger: led, index: blocks, view: view, engine: scope.New(view, cat, scope.Config{Index: blocks}), text: newText(),
	}, nil
}

func (w *whosawEngine) Close() error {
	return errors.Join(w.view.Close(), w.ledger.Close(), w.index.Close())
}

func (w *whosawEngine) filter(a *asked) whosaw.Filter {
	var t whosaw.Term
	for _, k := range a.Keys {
		t.Key = append(t.Key, keyName(k))
	}
	for _, ip := range a.Addrs {
		t.IP = append(t.IP, addr(ip).String())
	}
	t.From, t.To = whosaw.Time(a.From), whosaw.Time(a.To)
	if a.Abroad {
		t.Country = []string{"!" + home}
	}
	for _, n := range a.Agents {
		t.Agent = append(t.Agent, w.text.agents[n])
	}
	if a.Unissued {
		no := false
		t.Issued = &no
	}
	return whosaw.Filter{t}
}

func keyName(n int) string {
	if n < keyCount {
		return keyNames[n]
	}
	return "nobody-" + strconv.Itoa(n)
}

func (w *whosawEngine) ask(ctx context.Context, a *asked) (answer, cost, error) {
	f := w.filter(a)
	began := startWatch()
	switch a.Question {
	case "q3":
		name := filepath.Join(w.dir, "list.csv")
		if err := removed(name); err != nil {
			return answer{}, cost{}, err
		}
		began = startWatch()
		if err := w.list(ctx, f, name); err != nil {
			return answer{}, cost{}, err
		}
		took := began.stop()
		out, err := hashList(name)
		return out, took, err
	case "q4":
		page, err := w.engine.Subject(ctx, nil, strconv.FormatUint(uint64(a.Customer), 10), f, 1<<20, "")
		took := began.stop()
		if err != nil {
			return answer{}, cost{}, err
		}
		return hashRecords(page.Accesses), took, nil
	case "q5-ip", "q5-principal", "q5-credential", "q5-off":
		rows, err := w.engine.Top(ctx, a.By, f, 20)
		took := began.stop()
		var out answer
		for _, r := range rows {
			out.Top = append(out.Top, topRow{r.Day, r.Value, r.Subjects})
		}
		return out, took, err
	}
	c, err := w.engine.Count(ctx, f)
	took := began.stop()
	if err != nil {
		return answer{}, cost{}, err
	}
	out := answer{Accesses: c.Accesses, Disclosures: c.Disclosures, Subjects: c.Subjects, Fields: c.Fields}
	if c.First != nil {
		out.First, out.Last = int64(*c.First), int64(*c.Last)
	}
	return out, took, nil
}

// removed removes what the run before wrote: cutting a file that is still on its way to the disk takes longer than some questions, and is no part of one.
func removed(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the list of the run before: %w", err)
	}
	return nil
}

// list writes what `whosaw scope --list csv` writes, in the same way.
func (w *whosawEngine) list(ctx context.Context, f whosaw.Filter, name string) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("make list: %w", err)
	}
	return errors.Join(w.engine.WriteCSV(ctx, f, file), file.Close())
}

// hashList reads a list of whosaw's back and hashes its rows as numbers.
func hashList(name string) (answer, error) {
	file, err := os.Open(name)
	if err != nil {
		return answer{}, fmt.Errorf("read list: %w", err)
	}
	defer file.Close()
	masks := make(map[string]uint16)
	h, out := sha256.New(), answer{}
	var line []byte
	lines := bufio.NewScanner(file)
	for first := true; lines.Scan(); first = false {
		if first {
			continue // the names of the columns
		}
		cells := strings.Split(lines.Text(), ",")
		if len(cells) != 5 {
			return answer{}, fmt.Errorf("read list: row %d has %d cells", out.Rows+1, len(cells))
		}
		mask, ok := masks[cells[4]]
		if !ok {
			mask = maskOf(strings.Split(cells[4], "|"))
			masks[cells[4]] = mask
		}
		line = append(append(line[:0], cells[0]...), ',')
		for _, cell := range cells[1:3] {
			ms, err := whosaw.ParseTime(cell)
			if err != nil {
				return answer{}, fmt.Errorf("read list: %w", err)
			}
			line = append(strconv.AppendInt(line, ms, 10), ',')
		}
		line = append(append(line, cells[3]...), ',')
		line = append(strconv.AppendUint(line, uint64(mask), 10), '\n')
		h.Write(line)
		out.Rows++
	}
	out.Hash = hex.EncodeToString(h.Sum(nil))
	return out, lines.Err()
}

func maskOf(names []string) uint16 {
	mask := uint16(0)
	for bit, name := range fieldNames {
		for _, n := range names {
			if n == name {
				mask |= 1 << bit
			}
		}
	}
	return mask
}

// hashRecords hashes accesses as numbers, in their order.
func hashRecords(records []whosaw.Record) answer {
	h := sha256.New()
	for i := range records {
		r := &records[i]
		fmt.Fprintln(h, r.Time, r.Credential, r.Principal, r.IP, r.Route, r.Status, maskOf(r.Fields), r.Key, r.ASN, r.Country, r.Agent)
	}
	return answer{Rows: int64(len(records)), Hash: hex.EncodeToString(h.Sum(nil))}
}
