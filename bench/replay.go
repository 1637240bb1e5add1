package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/scope"
)

// The case at full size: a billion accesses, 226 million of them the attack's, of which 182 million show somebody, 33.7 million people.
const (
	caseAccesses = 1_000_000_000
	caseAttack   = 226 // of a thousand accesses
	caseAbsent   = 44  // of 226 of the attack
	caseMembers  = 41_850_000
)

// newCase is a shop in which the attack has the case's share, at n accesses of the billion.
func newCase(n int64) *shop {
	return makeShop(n, max(uint64(n)*caseMembers/caseAccesses, 4096), share{caseAttack, 1000}, share{caseAbsent, caseAttack})
}

// replayed is what the question of the case came to.
type replayed struct {
	Segments    int
	Open        float64 // seconds, of ledger and index
	First       float64 // scope by the key, first time in a new process
	Warm, CPU   float64 // again
	Accesses    int64
	Disclosures int64
	Subjects    int64
	List        float64 // seconds to the end
	FirstRow    float64
	Rows        int64
	Peak        int64 // bytes of memory at most
	Heap        int64 // bytes that are kept for each segment
	Maps, Files int   // memory maps and open files at the end
}

// askCase asks what the stolen key showed, and lists it.
func (o *options) askCase(ctx context.Context, s *shop) (out replayed, err error) {
	before := heap()
	began := time.Now()
	w, err := openWhosaw(s, filepath.Join(o.dir, "whosaw"))
	if err != nil {
		return out, err
	}
	defer w.Close()
	out.Open = time.Since(began).Seconds()
	parts := w.view.Parts()
	out.Segments = len(parts)
	for run := range 4 {
		// The upper bound differs, so that no question was asked before.
		f := whosaw.Filter{{Key: []string{keyNames[keyStolen]}, To: whosaw.Time(endMS + int64(run) + 1)}}
		clock := startWatch()
		c, err := w.engine.Count(ctx, f)
		took := clock.stop()
		if err != nil {
			return out, err
		}
		if run == 0 {
			out.First, out.Accesses, out.Disclosures, out.Subjects = took.wall.Seconds(), c.Accesses, c.Disclosures, c.Subjects
		} else if out.Accesses != c.Accesses || out.Disclosures != c.Disclosures || out.Subjects != c.Subjects {
			return out, fmt.Errorf("scope by key: %d accesses of %d subjects, then %d of %d", out.Accesses, out.Subjects, c.Accesses, c.Subjects)
		} else if t := took.wall.Seconds(); run == 1 || t < out.Warm {
			out.Warm, out.CPU = t, took.cpu.Seconds()
		}
	}
	out.Heap = (heap() - before) / int64(len(parts))
	name := filepath.Join(o.dir, "case.csv")
	defer os.Remove(name)
	file, err := os.Create(name)
	if err != nil {
		return out, fmt.Errorf("make list: %w", err)
	}
	began = time.Now()
	rows := scope.NewListWriter(file, true)
	err = w.engine.List(ctx, whosaw.Filter{{Key: []string{keyNames[keyStolen]}}}, func(r whosaw.ListRow) error {
		if out.Rows++; out.Rows == 1 {
			out.FirstRow = time.Since(began).Seconds()
		}
		return rows.Row(r)
	})
	if err == nil {
		err = rows.Flush()
	}
	if err == nil {
		err = file.Close()
	}
	out.List = time.Since(began).Seconds()
	out.Peak, out.Maps, out.Files = peak(), countLines("/proc/self/maps"), countFiles("/proc/self/fd")
	return out, err
}

// heap is what the process keeps.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func countLines(name string) (n int) {
	f, err := os.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
	}
	return n
}

func countFiles(dir string) int {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(list)
}

// expected counts by going through all accesses what the stolen key showed.
func (s *shop) expected() (accesses, disclosures, subjects int64) {
	seen := make([]uint64, s.members/64+1)
	var a access
	for i := range s.n {
		if s.at(i, &a); a.key != keyStolen {
			continue
		}
		accesses++
		if a.fields == 0 || a.status != 200 {
			continue
		}
		disclosures++
		if bit := uint64(1) << (a.customer & 63); seen[a.customer/64]&bit == 0 {
			seen[a.customer/64] |= bit
			subjects++
		}
	}
	return accesses, disclosures, subjects
}

// replay loads the case, asks, and compares with what the generator says.
func (o *options) replay(ctx context.Context) error {
	if o.engines != "whosaw" {
		return fmt.Errorf("the case is asked of whosaw alone: give -engines whosaw")
	}
	out := figures{Accesses: o.n, Load: make(map[string]loaded)}
	if err := o.loadAll(ctx, []string{"whosaw"}, &out); err != nil {
		return err
	}
	if err := forget(o.files("whosaw")); err != nil {
		return err
	}
	var r replayed
	if err := o.process(ctx, &r, "case", "whosaw"); err != nil {
		return err
	}
	accesses, disclosures, subjects := newCase(o.n).expected()
	if r.Accesses != accesses || r.Disclosures != disclosures || r.Subjects != subjects || r.Rows != subjects {
		return fmt.Errorf("the key has %d accesses, %d disclosures of %d subjects and a list of %d: the accesses made have %d, %d, %d",
			r.Accesses, r.Disclosures, r.Subjects, r.Rows, accesses, disclosures, subjects)
	}
	printCase(os.Stdout, o.n, out.Load["whosaw"], &r)
	return nil
}

// printCase writes the table. What is not at full size is said beside the figure to reach, which is of the full one.
func printCase(w io.Writer, n int64, l loaded, r *replayed) {
	size := "the case at full size"
	if n != caseAccesses {
		size = fmt.Sprintf("the case at 1:%.4g", float64(caseAccesses)/float64(n))
	}
	fmt.Fprintf(w, "\n%s: %s accesses, %s of the key, %s disclosures of %s subjects; equal to what was made.\n\n", size, grouped(n), grouped(r.Accesses), grouped(r.Disclosures), grouped(r.Subjects))
	rows := [][3]string{
		{"scope by key, warm", seconds(r.Warm) + " s; " + seconds(r.CPU) + " of processors", "< 0.5 s"},
		{"scope by key, first in a new process, nothing cached", seconds(r.First) + " s", ""},
		{"the list, written", fmt.Sprintf("%s s, %s rows; first row after %s s", seconds(r.List), grouped(r.Rows), seconds(r.FirstRow)), "< 10 s for 33.7 M"},
		{"memory of the process that asks, at most", gigabytes(r.Peak), "<= 4 GB"},
		{"memory of the process that loads, at most", gigabytes(l.Peak), "<= 4 GB"},
		{"to open", seconds(r.Open) + " s", "no scan"},
		{"segments; kept in memory for each", fmt.Sprintf("%d; %s bytes", r.Segments, grouped(r.Heap)), ""},
		{"memory maps; open files", fmt.Sprintf("%d; %d", r.Maps, r.Files), "65,530; 1,024 as systems come"},
		{"bytes an access; of them index", fmt.Sprintf("%.1f; %.1f", float64(l.Bytes)/float64(n), float64(l.Index)/float64(n)), "<= 24"},
		{"loaded, accesses/s", rate(float64(l.Accesses) / l.Busy), ""},
	}
	fmt.Fprint(w, "| what | figure | to reach |\n| --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight("| "+r[0]+" | "+r[1]+" | "+r[2], " ")+" |")
	}
}

func gigabytes(n int64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }
