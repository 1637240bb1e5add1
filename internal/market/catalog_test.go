package market_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/market"
)

// The example's catalog says of every page what the records of the example say of it.
func TestExampleCatalogAgreesWithTheRecords(t *testing.T) {
	c, err := catalog.Load(exampleDir + "/catalog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data, _, truth := generate(t, market.Example())
	records, _ := readLines(t, data)
	v := c.At(1772409600000)
	same := cmpopts.EquateEmpty()
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	shown := map[string]bool{}
	seen := map[string]bool{}
	for _, r := range records {
		if r.Type != "" || r.Status != 200 || seen[r.Route] {
			continue
		}
		seen[r.Route] = true
		e := v.Route(r.Route)
		if e == nil {
			t.Errorf("the catalog does not know %s", r.Route)
			continue
		}
		if diff := cmp.Diff([2][]string{r.Fields, r.Masked}, [2][]string{e.Fields, e.Masked}, same, sorted); diff != "" {
			t.Errorf("%s (-records +catalog):\n%s", r.Route, diff)
		}
		for _, f := range append(r.Fields, r.Masked...) {
			shown[f] = true
		}
	}
	for _, f := range c.Known() {
		if !shown[f] && !slices.Contains(truth.Attack.NotReached, f) {
			t.Errorf("%s is shown by no page and not in the truth's not_reached", f)
		}
	}
}
