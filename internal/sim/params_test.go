package sim

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// Every number of the shop file says where it is from.
func TestEveryNumberHasASource(t *testing.T) {
	heading := regexp.MustCompile(`^ *[a-z_]+: *(#.*)?$`)
	said := regexp.MustCompile(`assumed|CASE|DERIVED|DESIGN|RFC [0-9]+|T-Mobile`)
	numbers, above := 0, ""
	for n, line := range strings.Split(string(shopFile), "\n") {
		rest := strings.TrimSpace(line)
		if rest == "" || strings.HasPrefix(rest, "#") || heading.MatchString(line) {
			above = rest
			continue
		}
		numbers++
		_, comment, ok := strings.Cut(line, "#")
		// The entries of a list share what is said above them.
		if strings.HasPrefix(rest, "- ") || strings.HasPrefix(rest, "steps:") {
			comment, ok = above, true
		}
		if ok && said.MatchString(comment) {
			continue
		}
		t.Errorf("shop.yaml:%d has no source: %s", n+1, line)
	}
	if numbers < 100 {
		t.Errorf("only %d lines with numbers", numbers)
	}
}

func TestLoadParamsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown member", "warm_up_days:", "warm_up_weeks:", "warm_up_weeks"},
		{"a missing member", "join_permille: 10 ", "# ", "shop.numbers.join_permille"},
		{"a negative number", "customers: 13 ", "customers: -13 ", "shop.numbers.customers"},
		{"a range the wrong way round", "pages: [3, 14]", "pages: [14, 3]", "shop.pages"},
		{"shares that are no whole", "{share: 250, ", "{share: 251, ", "1001"},
		{"a block too small", "withdrawn: 2 ", "withdrawn: 20 ", "block"},
		{"a long repeat", "double_seconds: [2, 90]", "double_seconds: [2, 900]", "double_seconds"},
		{"too few hours", "hours: [18, ", "hours: [", ""},
	} {
		data := bytes.Replace(shopFile, []byte(tt.old), []byte(tt.new), 1)
		if bytes.Equal(data, shopFile) {
			t.Fatalf("%s: %q is not in the shop file", tt.name, tt.old)
		}
		if _, err := loadParams(data); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// In a shop of nine million all 3,000 agents sit behind the one address, and the carriers' first address has a great many.
func TestBigShop(t *testing.T) {
	s := newShop(Config{Seed: 1, Customers: 9_000_000, Days: 1, Start: 1772409600000}, shopParams())
	if got := s.agents(); got != 3000 {
		t.Errorf("%d agents, want 3000", got)
	}
	if exists := 1000 * len(s.numbers) / s.lastNumber(); exists < 425 || exists > 440 {
		t.Errorf("%d of 1000 numbers belong to a customer, want 433", exists)
	}
	d := s.draw(forDay, 1, 1)
	for range 1000 {
		i := d.Below(len(s.numbers))
		if got, ok := s.index(s.numbers[i], s.leaves(i)-1); got != i || !ok {
			t.Fatalf("number %d of customer %d is found as %d, %v", s.numbers[i], i, got, ok)
		}
	}
}

func TestAppendShare(t *testing.T) {
	for n, want := range map[int64]string{1: "0.00001", 10: "0.0001", 250: "0.0025", 99_999: "0.99999", 50_000: "0.5"} {
		if got := string(appendShare(nil, n)); got != want {
			t.Errorf("%d in 100,000 is written %s, want %s", n, got, want)
		}
	}
}

func TestCivil(t *testing.T) {
	for ms, want := range map[int64]string{
		1772409600000: "2026-03-02T00:00:00.000Z", 1709164799999: "2024-02-28T23:59:59.999Z", 1709164800000: "2024-02-29T00:00:00.000Z",
		4102444800001: "2100-01-01T00:00:00.001Z", 951782400000: "2000-02-29T00:00:00.000Z",
	} {
		if got := instant(ms); got != want {
			t.Errorf("%d is written %s, want %s", ms, got, want)
		}
	}
}
