package detect

import "github.com/whosaw/whosaw/internal/rules"

// Config sizes the engine. The zero value works; a value of zero or less means the default.
type Config struct {
	// Rules are what the detectors go by: units, rates, settings. Default those that come with whosaw.
	Rules *rules.Set
	// TrialsPerMonth is the load that the false-alarm bound is stated for. Default 3e9: 100 million accesses
	// a day for 30 days. Twice the load with the same setting doubles the bound, no more.
	TrialsPerMonth float64
	// AlarmsPerMonth is how many false alarms of the sequential tests a month at that load may bring. Default 1.
	AlarmsPerMonth float64
	// MaxUnits is how many units are held. Beyond it the coldest without suspicion are dropped. Default 1,048,576
	// (about 200 MB).
	MaxUnits int
	// MaxIDs is how many blocks of 64 neighbouring subject numbers the traversal test holds for the current day,
	// 16 to 32 bytes each. Default 8,388,608.
	MaxIDs int
	// MaxPending is how many accesses wait for their issuance, or for a reason; a list of n subjects counts as n. Default 131,072.
	MaxPending int
	// MaxEvidence is how many accesses are held as evidence over all units. Default 1,048,576 (about 100 MB).
	MaxEvidence int
	// MaxIssued is how many issuances of each realm are held whole, some 70 bytes each. Older ones lie in sorted runs of
	// 24 bytes each: that a credential was issued is never forgotten, nor taken for granted, but whose it is. Default 4,194,304.
	MaxIssued int
	// Budgets cap the new customers of some actors. Default none: what an actor is shown without a reason is held
	// against its own past.
	Budgets []Budget
	// Networks are classes of networks that the house knows. What is in none is of the class of its AS number, where records state it.
	Networks []NetworkClass
	// MaxPairs is how many pairs of an actor and a customer it was shown are held for the budgets, 10 to 21 bytes each.
	// Default 8,388,608.
	MaxPairs int
	// MaxHistory is how many facts about the past are held, 12 to 16 bytes each: that a customer came, from which networks, with which
	// classes of agents, and, for a day, sessions. Default 16,777,216 (about 200 MB).
	MaxHistory int
	// FeedLag is how long, in milliseconds of event time, an issuance may come after the access where no feed record
	// says so. Default 60,000: log shippers flush within seconds, clocks of one house agree within a minute.
	FeedLag int64
	// RetiredGrace is how long, in milliseconds, credentials signed with a key may be met after it was retired. Default
	// one day. Give the longest life of your credentials where issuances are not recorded.
	RetiredGrace int64
}

// Budget is a cap of new customers.
type Budget = rules.Budget

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

func (c Config) withDefaults() Config {
	if c.Rules == nil {
		c.Rules = rules.Shipped()
	}
	positive(&c.TrialsPerMonth, 3e9)
	positive(&c.AlarmsPerMonth, 1)
	positive(&c.MaxUnits, 1<<20)
	positive(&c.MaxIDs, 1<<23)
	positive(&c.MaxPending, 1<<17)
	positive(&c.MaxEvidence, 1<<20)
	positive(&c.MaxIssued, 1<<22)
	positive(&c.MaxPairs, 1<<23)
	positive(&c.MaxHistory, 1<<24)
	positive(&c.FeedLag, minute)
	positive(&c.RetiredGrace, day)
	return c
}

func positive[T int | int64 | float64](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}
