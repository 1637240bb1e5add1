package scope

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
)

// WriteCSV writes the list of a filter as a ListWriter would, row by row the same, but makes the lines on all workers.
func (e *Engine) WriteCSV(ctx context.Context, filter whosaw.Filter, w io.Writer) error {
	q, err := e.ask(filter)
	if err != nil {
		return err
	}
	defer q.done()
	people, dense, err := q.lines(ctx)
	if err != nil {
		return err
	}
	l := lister{question: q, fields: make(map[uint32][]string)}
	l.sort(people)
	l.order()
	rows := NewListWriter(w, true)
	x := l.before(dense)
	if x == nil {
		l.dense(dense)
		l.order()
	}
	if err := rows.Flush(); err != nil {
		return err
	}
	if x != nil {
		p := printer{lister: &l, lines: x, w: w, cells: l.cells()}
		if err := p.print(ctx); err != nil {
			return err
		}
	}
	if err := l.each(ctx, rows.Row); err != nil {
		return err
	}
	return rows.Flush()
}

// before gives the lines of subjects that are small integers if they are of one realm and come before all other rows; else nil.
func (l *lister) before(dense map[uint32]*lines) *lines {
	if len(dense) != 1 {
		return nil
	}
	for _, x := range dense {
		last, ok := x.last()
		if ok && (len(l.heap) == 0 || compareID(l.ids.subject(l.heap[0].head().key), strconv.FormatUint(last, 10)) > 0) {
			return x
		}
	}
	return nil
}

// last gives the last subject that has a line.
func (l *lines) last() (uint64, bool) {
	for at := len(l.pages) - 1; at >= 0; at-- {
		if p := l.pages[at]; p != nil {
			for i := linePage - 1; i >= 0; i-- {
				if p[i].first != 0 {
					return uint64(at<<lineShift | i), true
				}
			}
		}
	}
	return 0, false
}

// cells gives the last cell of a row for each set.
func (l *lister) cells() []string {
	out := make([]string, len(l.sets.list))
	for set := range out {
		out[set] = cell(strings.Join(l.sets.clear(uint32(set)), "|"))
	}
	return out
}

// printer writes lines: each worker makes the text of a page, then waits until the pages before are written.
type printer struct {
	*lister
	lines *lines
	w     io.Writer
	cells []string

	next atomic.Int64 // page to be made
	mu   sync.Mutex
	cond sync.Cond
	turn int // page to be written
	err  error
}

func (p *printer) print(ctx context.Context) error {
	p.cond.L = &p.mu
	var pages []int
	for at, page := range p.lines.pages {
		if page != nil {
			pages = append(pages, at)
		}
	}
	var wg sync.WaitGroup
	for range max(1, min(p.workers, len(pages))) {
		wg.Go(func() {
			text := make([]byte, 0, linePage*lineText)
			var days dayTexts
			for {
				n := int(p.next.Add(1) - 1)
				if n >= len(pages) {
					return
				}
				text = p.page(text[:0], pages[n], &days)
				if !p.write(ctx, n, text) {
					return
				}
			}
		})
	}
	wg.Wait()
	return p.err
}

// write writes the text of a page when its turn has come. It reports false if the list is given up.
func (p *printer) write(ctx context.Context, n int, text []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.turn != n && p.err == nil {
		p.cond.Wait()
	}
	if p.err == nil && ctx.Err() != nil {
		p.err = context.Cause(ctx)
	}
	if p.err == nil {
		if _, err := p.w.Write(text); err != nil {
			p.err = fmt.Errorf("write the list: %w", err)
		}
	}
	p.turn++
	p.cond.Broadcast()
	return p.err == nil
}

// page appends the rows of a page.
func (p *printer) page(b []byte, at int, days *dayTexts) []byte {
	lines := p.lines.pages[at]
	var x entry
	for i := range lines {
		if lines[i].first == 0 {
			continue
		}
		p.lines.entry(&lines[i], &x)
		cell := p.cells[x.set]
		if cap(b)-len(b) < lineText+len(cell) {
			b = slices.Grow(b, linePage*lineText)
		}
		b = appendNumber(b, uint64(at<<lineShift|i))
		b = days.append(append(b, ','), x.first)
		b = days.append(append(b, ','), x.last)
		b = appendNumber(append(b, ','), uint64(x.accesses))
		b = append(b, ',')
		n := len(b)
		b = b[:n+len(cell)+1]
		copy(b[n:], cell)
		b[n+len(cell)] = '\n'
	}
	return b
}

// lineText is room for the text of a row as most are, and for any but for its last cell.
const lineText = 128

// digits are the numbers below 100.
const digits = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849" +
	"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// appendNumber is strconv.AppendUint, faster for the numbers of lines.
func appendNumber(b []byte, n uint64) []byte {
	if n < 10 {
		return append(b, byte('0'+n))
	}
	if n >= 100_000_000 {
		return strconv.AppendUint(b, n, 10)
	}
	// Eight digits at once, from the left: two halves, four pairs, each pair from a table.
	high, low := uint32(n)/10_000, uint32(n)%10_000
	var text [8]byte
	twoDigits(text[0:], high/100)
	twoDigits(text[2:], high%100)
	twoDigits(text[4:], low/100)
	twoDigits(text[6:], low%100)
	skip := 0
	for text[skip] == '0' {
		skip++
	}
	return append(b, text[skip:]...)
}

// twoDigits writes the two digits of a number below 100.
func twoDigits(b []byte, n uint32) {
	_ = b[1]
	b[0], b[1] = digits[2*n], digits[2*n+1]
}

// dayTexts remembers what days look like, because the calendar is most of what a time costs.
type dayTexts [256]struct {
	day  int64 // and 1 more
	text [len("2006-01-02T")]byte
}

const dayMS = 86_400_000

// append appends a time as whosaw.Time writes it.
func (d *dayTexts) append(b []byte, ms int64) []byte {
	day := ms / dayMS
	if ms < dayMS || day > 1<<20 {
		b, _ = whosaw.Time(ms).AppendText(b)
		return b
	}
	x := &d[day&255]
	if x.day != day+1 {
		text, _ := whosaw.Time(day * dayMS).AppendText(nil)
		copy(x.text[:], text)
		x.day = day + 1
	}
	n := uint32(ms - day*dayMS)
	sec, milli := n/1000, n%1000
	minute, hour := sec/60, sec/3600
	from := len(b)
	if cap(b)-from < dayText {
		b = slices.Grow(b, dayText)
	}
	b = b[:from+dayText]
	t := b[from:]
	copy(t, x.text[:])
	twoDigits(t[11:], hour)
	t[13] = ':'
	twoDigits(t[14:], minute%60)
	t[16] = ':'
	twoDigits(t[17:], sec%60)
	t[19] = '.'
	twoDigits(t[20:], milli/10)
	t[22], t[23] = byte('0'+milli%10), 'Z'
	return b
}

// dayText is the length of a time's text.
const dayText = len("2006-01-02T15:04:05.000Z")
