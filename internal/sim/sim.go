package sim

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
)

// Config says which shop, for how long, and who steals. The zero value is not a shop.
type Config struct {
	// Scenario is the name of one of Scenarios; "" and "honest" are the same shop and days with nobody stealing.
	Scenario  string
	Seed      uint64
	Customers int   // 10 to 10,000,000
	Days      int   // 1 to 3,660, after the warm-up days
	Start     int64 // midnight UTC after the warm-up days, milliseconds since 1970; the shop's clocks show nine hours more

	// Share is the part of the watched days' accesses that is the attack, per million; 0: what shop.yaml says.
	Share int

	// Observe, if not nil, is called with each record line in the order of arrival, repeats too: without the newline,
	// valid only during the call. An error stops the run and is given back.
	Observe func(line []byte, label Label) error

	// Attacks takes, if not nil, a line for each access of an attack: its id, the attack, subjects, disclosed or not.
	Attacks io.Writer

	// Progress, if not nil, is called after each day. An error stops the run and is given back.
	Progress func(day, of int, lines int64) error

	// Workers is how many goroutines make records; 0: one for each processor. The bytes are the same.
	Workers int
}

// Label is what the generator knows about a record line and the line does not say.
type Label struct {
	Attack    string   // the attacker's name; "": honest
	Event     string   // the awkward thing that made the record, one of Events; "": nothing special
	Subjects  []string // whose data was asked for; valid only during the call
	Disclosed bool     // data of them was shown
}

// Example is the shop in examples/shop: two calm weeks of 620 customers, and the one from Monday 2 March 2026, in which a key is
// used that was stolen.
func Example() Config {
	return Config{Scenario: stolenKey.name, Seed: 7, Customers: 620, Days: 7, Start: 1772409600000, Share: 300_000}
}

// WarmUpDays is how many days of honest traffic come before Config.Start.
func WarmUpDays() int { return shopParams().WarmUpDays }

// TokenDays is how many days a customer's app keeps its credential.
func TokenDays() int { return shopParams().Devices.TokenDays }

// Check says what is wrong with a Config; Run does so too.
func (c *Config) Check() error {
	switch {
	case c.Customers < 10 || c.Customers > 10_000_000:
		return fmt.Errorf("check customers: %d is not between 10 and 10000000", c.Customers)
	case c.Days < 1 || c.Days > 3660:
		return fmt.Errorf("check days: %d is not between 1 and 3660", c.Days)
	case c.Start < 946684800000+31*dayMillis || c.Start > 4102444800000 || c.Start%dayMillis != 0:
		return fmt.Errorf("check start: %d is not a midnight (UTC, in milliseconds) from February 2000 to 2100", c.Start)
	case c.Share < 0 || c.Share > 500_000:
		return fmt.Errorf("check share: %d per million is not between 0 and 500000", c.Share)
	case c.Workers < 0:
		return fmt.Errorf("check workers: %d is below zero", c.Workers)
	}
	if c.Scenario != "" && !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.Name == c.Scenario }) {
		return fmt.Errorf("check scenario: there is none named %q; there are %s", c.Scenario, scenarioNames())
	}
	return nil
}

// Run writes the shop's records to w (unless it is nil) in the order of their arrival, one JSON object a line, and says what
// is true of them. On an error of a writer or observer it stops and gives that error.
func Run(cfg Config, w io.Writer) (*Truth, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := newRun(cfg)
	o := &output{run: r, w: w, tally: newTally(r, cfg.Attacks)}
	if err := r.produce(o); err != nil {
		return nil, err
	}
	if o.tally.list != nil {
		if err := o.tally.list.Flush(); err != nil {
			return nil, fmt.Errorf("write truth: %w", err)
		}
	}
	return o.tally.truth(), nil
}

// run is one call of Run.
type run struct {
	*shop
	workers int
	attacks []*attack
	orders  []uint32 // customers, by index, who ordered yesterday
	warm    int64    // accesses of the warm-up days
}

func newRun(cfg Config) *run {
	r := &run{shop: newShop(cfg, shopParams()), workers: cfg.Workers}
	if r.workers == 0 {
		r.workers = runtime.GOMAXPROCS(0)
	}
	r.attacks = r.planAttacks()
	return r
}

// output takes the lines in order: counts them, writes them, shows them.
type output struct {
	run   *run
	w     io.Writer
	tally *tally

	one   [1]uint32
	names []string
}

// take takes a slot's lines.
func (o *output) take(b *batch) error {
	if o.w != nil {
		if _, err := o.w.Write(b.text); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
	}
	from := 0
	for i := range b.lines {
		l := &b.lines[i]
		subjects := l.sink.subjects(l.event, &o.one)
		if l.repeat {
			o.tally.duplicates++
		} else if err := o.tally.add(l.event, subjects); err != nil {
			return err
		}
		if observe := o.run.cfg.Observe; observe != nil {
			if err := observe(b.text[from:l.end-1], o.label(l.event, subjects)); err != nil {
				return err
			}
		}
		from = l.end
	}
	return nil
}

func (o *output) label(e *event, subjects []uint32) Label {
	l := Label{Event: whatNames[e.what], Disclosed: e.disclosed()}
	if e.attack > 0 {
		l.Attack = o.run.attacks[e.attack-1].name
	}
	o.names = o.names[:0]
	for _, s := range subjects {
		o.names = append(o.names, strconv.FormatUint(uint64(s), 10))
	}
	l.Subjects = o.names
	return l
}
