package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/detect"
)

// week35 is five weeks of a page at eleven hours of the day. At three in the morning six tries in a hundred are for nobody, by day one in three hundred; in the
// last week twelve in a hundred, at that hour or at another.
func week35(at int) *world {
	w := newWorld(90)
	for d := range 35 {
		for h := range 11 {
			for i := range 22 * 30 {
				rate := 0.003
				if h == 1 {
					rate = 0.06
				}
				if d >= 28 && h == at {
					rate = 0.12
				}
				r := get(start+int64(d)*day+int64(3*h%24+h/8)*hour+int64(i)*5*second, 0, w.rng.Float64() >= rate)
				r.Subjects, r.IP, r.Client = []string{fmt.Sprintf("c%d-%d-%d", d, h, i)}, ip(i%22<<8), "web"
				w.add(r)
			}
		}
	}
	return w
}

// What is usual at an hour of the week is no finding at that hour, and one at another.
func TestHourOfWeek(t *testing.T) {
	w := week35(1)
	e := quiet(t, w)
	b := baselines(e, "nonexistent")
	if len(b) != 1 || b[0].P0 != 0.02 || !strings.Contains(b[0].Says, "up to 8 %") || !strings.Contains(b[0].Says, "03:00") {
		t.Errorf("%+v", b)
	}
	cold, _ := run(detect.Config{}, w.sorted()[:1000])
	if b := baselines(cold, "nonexistent"); len(b) != 1 || !strings.Contains(b[0].Says, "no hour of the week is known") {
		t.Errorf("cold: %+v", b)
	}
	_, fs := run(detect.Config{}, week35(4).sorted())
	if len(by(fs, "nonexistent")) == 0 {
		t.Error("the same at noon is no finding: the test shows nothing")
	}
}

// A log-in's hours are those of its own tries, not the hour in which it was first met.
func TestHourOfLogIns(t *testing.T) {
	w := newWorld(94)
	for d := range 28 {
		for h := range 3 {
			for i := range 22 * 6 {
				r := login(start+int64(d)*day+int64(8*h)*hour+int64(i)*20*second, i%22<<8+i/22, w.rng.IntN(30) != 0)
				r.ASN, r.Agent = 0, ""
				w.add(r)
			}
		}
	}
	e, _ := run(detect.Config{}, w.sorted())
	if b := baselines(e, "refused"); len(b) != 1 || !strings.Contains(b[0].Says, "; 21 of 168 hours of the week are known") {
		t.Errorf("%+v", b)
	}
}
