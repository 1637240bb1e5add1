package scope

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/whosaw/whosaw"
)

// WriteCSV writes the list of a filter as a ListWriter would, row by row the same, but makes the lines on all workers.
func (e *Engine) WriteCSV(ctx context.Context, filter whosaw.Filter, w io.Writer) error {
	q, people, dense, err := e.lines(ctx, filter)
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

// lastCell is the last cell of a row, with the line feed behind it.
type lastCell struct {
	text string
	room [cellText]byte // its text, if it has room for that
}

// cellText is what most cells have room in: copying all of it costs less than to copy as much as there is.
const cellText = 64

// cells gives the last cell of a row for each set.
func (l *lister) cells() []lastCell {
	out := make([]lastCell, len(l.sets.list))
	for set := range out {
		x := &out[set]
		x.text = cell(strings.Join(l.sets.clear(uint32(set)), "|")) + "\n"
		if len(x.text) <= cellText {
			copy(x.room[:], x.text)
		}
	}
	return out
}

// printer writes lines: the workers make the texts of pages. The one that has the page whose turn it is writes it, and those behind it that are
// made by then; nobody waits for it but who is far ahead.
type printer struct {
	*lister
	lines *lines
	w     io.Writer
	cells []lastCell

	mu    sync.Mutex
	freed sync.Cond       // there is a free text, or the list is given up
	free  []*[]byte       // texts that nobody uses
	next  int             // page to be made
	made  map[int]*[]byte // pages that wait for their turn
	turn  int             // page to be written
	busy  bool            // somebody writes
	err   error
}

// textsAhead is how many texts there are for each worker: the more, the less who makes them waits for who writes them.
const textsAhead = 4

func (p *printer) print(ctx context.Context) error {
	p.freed.L = &p.mu
	p.made = map[int]*[]byte{}
	var pages []int
	for at, page := range p.lines.pages {
		if page != nil {
			pages = append(pages, at)
		}
	}
	workers := max(1, min(p.workers, len(pages)))
	for range min(textsAhead*workers, len(pages)) {
		p.free = append(p.free, textRoom.Get().(*[]byte))
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var days dayTexts
			for {
				n, text := p.take(len(pages))
				if text == nil {
					return
				}
				*text = p.page((*text)[:0], pages[n], &days)
				p.lines.drop(pages[n])
				p.give(ctx, n, text)
			}
		})
	}
	wg.Wait()
	for _, text := range p.free {
		textRoom.Put(text)
	}
	return p.err
}

// take gives the next of n pages and room for its text; nil if there is none, or the list is given up.
func (p *printer) take(n int) (int, *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && p.next < n && len(p.free) == 0 {
		p.freed.Wait()
	}
	if p.err != nil || p.next == n {
		return 0, nil
	}
	last := len(p.free) - 1
	text := p.free[last]
	p.free = p.free[:last]
	p.next++
	return p.next - 1, text
}

// give hands over the text of a page, and writes what can be written unless somebody does.
func (p *printer) give(ctx context.Context, n int, text *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made[n] = text
	if p.busy {
		return
	}
	p.busy = true
	for text := p.made[p.turn]; text != nil && p.err == nil; text = p.made[p.turn] {
		delete(p.made, p.turn)
		p.mu.Unlock()
		err := context.Cause(ctx)
		if err == nil {
			if _, err = p.w.Write(*text); err != nil {
				err = fmt.Errorf("write the list: %w", err)
			}
		}
		p.mu.Lock()
		p.err, p.free = err, append(p.free, text)
		p.turn++
		p.freed.Broadcast()
	}
	p.busy = false
}

// textRoom has room for the text of a page.
var textRoom = sync.Pool{New: func() any {
	b := make([]byte, 0, linePage*lineText)
	return &b
}}

// page appends the rows of a page.
func (p *printer) page(b []byte, at int, days *dayTexts) []byte {
	lines := p.lines.pages[at]
	var x entry
	for i := range lines {
		if lines[i].first == 0 {
			continue
		}
		p.lines.entry(&lines[i], &x)
		cell := &p.cells[x.set]
		if cap(b)-len(b) < lineText+len(cell.text) {
			b = slices.Grow(b, linePage*lineText+len(cell.text))
		}
		row := b[len(b):cap(b)]
		n := putNumber(row, uint64(at<<lineShift|i))
		row[n] = ','
		n += 1 + days.put(row[n+1:], x.first)
		row[n] = ','
		n += 1 + days.put(row[n+1:], x.last)
		row[n] = ','
		n += 1 + putNumber(row[n+1:], uint64(x.accesses))
		row[n] = ','
		n++
		if len(cell.text) <= cellText {
			copy(row[n:n+cellText], cell.room[:])
		} else {
			copy(row[n:], cell.text)
		}
		b = b[:len(b)+n+len(cell.text)]
	}
	return b
}

// lineText is room for the text of a row as most are, and for any but for its last cell.
const lineText = 192

// pairs has the digits of the numbers below 100, the first one in the low byte.
var pairs = func() (t [100]uint16) {
	for n := range t {
		t[n] = uint16('0'+n/10) | uint16('0'+n%10)<<8
	}
	return t
}()

const zeros = 0x3030303030303030 // "00000000"

// putNumber writes what strconv.AppendUint appends, and gives its length. It may write 20 bytes whatever that is.
func putNumber(b []byte, n uint64) int {
	if n >= 100_000_000 {
		return len(strconv.AppendUint(b[:0], n, 10))
	}
	// Eight digits at once, in a word: two halves, four pairs, each pair from a table.
	high, low := uint32(n)/10_000, uint32(n)%10_000
	text := uint64(pairs[high/100]) | uint64(pairs[high%100])<<16 | uint64(pairs[low/100])<<32 | uint64(pairs[low%100])<<48
	skip := min(bits.TrailingZeros64(text^zeros)/8, 7)
	binary.LittleEndian.PutUint64(b, text>>(8*skip))
	return 8 - skip
}

// dayTexts remembers what days look like, because the calendar is most of what a time costs.
type dayTexts [256]struct {
	day        int64  // and 1 more
	head, tail uint64 // "2006-01-", and "02T" in the low bytes
}

const dayMS = 86_400_000

// put writes a time as whosaw.Time does, and gives its length. It may write 40 bytes whatever that is.
func (d *dayTexts) put(b []byte, ms int64) int {
	day := ms / dayMS
	if ms < dayMS || day > 1<<20 {
		text, _ := whosaw.Time(ms).AppendText(b[:0])
		return len(text)
	}
	x := &d[day&255]
	if x.day != day+1 {
		var text [16]byte
		long, _ := whosaw.Time(day * dayMS).AppendText(make([]byte, 0, dayText))
		copy(text[:], long[:len("2006-01-02T")])
		x.day, x.head, x.tail = day+1, binary.LittleEndian.Uint64(text[:]), binary.LittleEndian.Uint64(text[8:])
	}
	n := uint32(ms - day*dayMS)
	minutes := n / 60_000
	n -= minutes * 60_000
	seconds := n / 1000
	n -= seconds * 1000
	t := b[:dayText]
	binary.LittleEndian.PutUint64(t, x.head)
	binary.LittleEndian.PutUint64(t[8:], x.tail|uint64(pairs[minutes/60])<<24|':'<<40|uint64(pairs[minutes%60])<<48)
	binary.LittleEndian.PutUint64(t[16:], ':'|uint64(pairs[seconds])<<8|'.'<<24|uint64(pairs[n/10])<<32|uint64('0'+n%10)<<48|'Z'<<56)
	return dayText
}

// dayText is the length of a time's text.
const dayText = len("2006-01-02T15:04:05.000Z")
