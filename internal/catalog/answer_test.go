package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/catalog"
)

func TestAnswerPlaces(t *testing.T) {
	c, err := catalog.Parse("c.yaml", []byte(`catalog: 1
routes:
    GET /api/orders:
      answer:
        subject: orders[].buyer
        others: orders[].to[]
        fields: {name: ['orders[].name', title], phone: 'orders[].phone'}
      fields: [name]
      masked: [phone]
    GET /plain: [name]
`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.At(1_800_000_000_000).Route("GET /api/orders").Answer.Scan([]byte(`{"title":"t","orders":[{"buyer":7,"to":[1,2]},{"phone":"010"}]}`))
	if err != nil || fmt.Sprint(f.Subjects, f.Others, f.Fields) != "[7] 2 [name phone]" {
		t.Errorf("%+v, %v", f, err)
	}
	if c.At(1_800_000_000_000).Route("GET /plain").Answer != nil {
		t.Error("a route without places is looked into")
	}
	for name, bad := range map[string]string{
		"place":   "answer: {subject: 'a..b'}",
		"field":   "answer: {fields: {phone: a}}",
		"unknown": "answer: {subjects: a}",
	} {
		_, err := catalog.Parse("c.yaml", []byte("catalog: 1\nroutes:\n    GET /a:\n      fields: [name]\n      "+bad+"\n"))
		if err == nil || !strings.Contains(err.Error(), "c.yaml:5") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
