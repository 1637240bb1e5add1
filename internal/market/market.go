package market

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
)

const (
	second    int64 = 1000
	minute          = 60 * second
	hour            = 60 * minute
	dayMillis       = 24 * hour
)

// Config says which shop, for how long. The zero value is not a shop; Example is.
type Config struct {
	Seed      uint64
	Customers int   // 1 to 10,000,000
	Days      int   // 1 to 3,660
	Start     int64 // midnight UTC, milliseconds since 1970; the shop's clocks show nine hours more

	// Honest leaves the theft out: the same shop, the same days, nobody stealing.
	Honest bool

	// Combined takes, if not nil, the same accesses as a proxy writes them down: combined log format, in
	// which nobody says whose data it was.
	Combined io.Writer
}

// Example is the shop in examples/shop: 2,000 customers, the week from Monday 2 March 2026, a stolen key.
func Example() Config {
	return Config{Seed: 1, Customers: 2000, Days: 7, Start: 1772409600000}
}

func (c *Config) check() error {
	switch {
	case c.Customers < 1 || c.Customers > 10_000_000:
		return fmt.Errorf("check customers: %d is not between 1 and 10000000", c.Customers)
	case c.Days < 1 || c.Days > 3660:
		return fmt.Errorf("check days: %d is not between 1 and 3660", c.Days)
	case c.Start < 946684800000 || c.Start > 4102444800000 || c.Start%dayMillis != 0:
		return fmt.Errorf("check start: %d is not a midnight (UTC, in milliseconds) from 2000 to 2100", c.Start)
	}
	return nil
}

// Run writes the shop's records to w in the order of their arrival, one JSON object a line, and says what is true of
// them. On an error of a writer it stops and gives that error.
func Run(cfg Config, w io.Writer) (*Truth, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	r := &run{shop: newShop(cfg), out: out, tally: newTally(), next: 1}
	if cfg.Combined != nil {
		r.combined = bufio.NewWriterSize(cfg.Combined, 1<<16)
	}
	r.opening()
	for day := range cfg.Days {
		r.honestDay(day)
		if !cfg.Honest {
			r.attackDay(day)
		}
		if err := r.flush(cfg.Start + int64(day+1)*dayMillis); err != nil {
			return nil, err
		}
	}
	if err := r.flush(1 << 62); err != nil {
		return nil, err
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("write records: %w", err)
	}
	if r.combined != nil {
		if err := r.combined.Flush(); err != nil {
			return nil, fmt.Errorf("write combined log: %w", err)
		}
	}
	return r.tally.truth(r.shop), nil
}

// run is one call of Run.
type run struct {
	*shop
	out, combined *bufio.Writer
	tally         *tally
	pending       []event // made, not yet written
	line          []byte
	next          int // the next record id

	again     []event  // written once, to come a second time
	orders    []uint32 // customers who ordered since the last night's invoices
	delivered []uint32 // those whose orders go out with the couriers next
}

// event is one record on its way out.
type event struct {
	kind   kind
	id     int
	time   int64 // when it happened
	at     int64 // when its line arrives
	double int64 // 0, or how much later the same line comes again

	page     page
	status   int
	subjects []uint32
	others   int
	number   uint32 // stands in the path

	principal  string
	credential uint64 // 0: none
	key        string
	client     string
	agent      string
	from       origin

	state       string // of a subject, person or key; the kind of a reason
	since, till int64
	list        []string // keys of a person, readers of a key
	attack      bool
}

// kind is the type of a record.
type kind uint8

const (
	kindAccess kind = iota
	kindIssuance
	kindSubject
	kindPerson
	kindKey
	kindReason
)

// add takes an event that arrives when it happens, a little later, or, once in thousands, hours later or twice.
func (r *run) add(e event) {
	if e.at == 0 {
		e.at = e.time
	}
	if e.kind == kindAccess {
		d := newDraw(r.cfg.Seed, forDelay, int(e.time%dayMillis), int((e.time-r.cfg.Start)/dayMillis))
		switch {
		case d.OneIn(3000):
			e.at += int64(d.Between(20, 300)) * minute
		case d.OneIn(2500):
			e.double = int64(d.Between(2_000, 90_000))
		}
	}
	r.pending = append(r.pending, e)
}

func (e *event) subject() uint32 {
	if len(e.subjects) == 0 {
		return 0
	}
	return e.subjects[0]
}

// flush writes what arrives before until. What arrives at the same instant keeps the order in which it was made, so a
// log-in stays before its use.
func (r *run) flush(until int64) error {
	slices.SortStableFunc(r.pending, byArrival)
	n := 0
	for ; n < len(r.pending) && r.pending[n].at < until; n++ {
		e := &r.pending[n]
		if err := r.repeat(e.at); err != nil {
			return err
		}
		e.id = r.next
		r.next++
		if err := r.write(e); err != nil {
			return err
		}
		r.tally.add(e)
		if e.double > 0 {
			again := *e
			again.at += e.double
			r.again = append(r.again, again)
			slices.SortStableFunc(r.again, byArrival)
		}
	}
	clear(r.pending[copy(r.pending, r.pending[n:]):])
	r.pending = r.pending[:len(r.pending)-n]
	return r.repeat(until - 1)
}

// repeat writes the doubled lines that are due: the same bytes as before.
func (r *run) repeat(until int64) error {
	for len(r.again) > 0 && r.again[0].at <= until {
		if err := r.writeRecord(&r.again[0]); err != nil {
			return err
		}
		r.tally.duplicates++
		r.again = r.again[1:]
	}
	return nil
}

func byArrival(a, b event) int { return cmp.Compare(a.at, b.at) }
