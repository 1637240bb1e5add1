package notice_test

import (
	"fmt"
	"testing"

	"github.com/whosaw/whosaw/internal/notice"
)

// BenchmarkSend sends to a relay in the same process: look-up, words, signature, rows and SMTP with TLS.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b)
	n := max(b.N, 100)
	w.showAll(n, func(i int) []string { return []string{fieldNames[i%12], fieldNames[(i/5)%12]} })
	for i := range n {
		w.contact(fmt.Sprint(i+1), fmt.Sprintf("c%d@customer.example", i+1), []string{"en", "ko", "ar", "bn"}[i%4])
	}
	w.cfg.Lookup.Batch, w.cfg.Mail.Connections, w.cfg.Mail.PerConnection = 500, 8, 100
	w.open()
	made := w.made(notice.Spec{})
	b.ResetTimer()
	check(b, w.book.Send(b.Context(), made.Number, "staff:kim", 0, 0))
	w.until(made.Number, inState(notice.Done))
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()*3600, "notices/h")
}
