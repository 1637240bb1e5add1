package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/report"
)

func pageOf(t testing.TB, d report.Data) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.WriteHTML(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// element is a start tag with its attributes.
type element struct {
	name  string
	attrs map[string]string
}

// parse gives the page's elements and its text outside of style. It fails on tags that do not match.
func parse(t *testing.T, page string) (elements []element, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = true
	d.AutoClose = xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	var b strings.Builder
	var open []string
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch v := tok.(type) {
		case xml.StartElement:
			e := element{v.Name.Local, map[string]string{}}
			for _, a := range v.Attr {
				if _, twice := e.attrs[a.Name.Local]; twice {
					t.Errorf("<%s> has %s twice", e.name, a.Name.Local)
				}
				e.attrs[a.Name.Local] = a.Value
			}
			elements = append(elements, e)
			open = append(open, v.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && open[len(open)-1] != "style" {
				b.Write(v)
				b.WriteByte(' ')
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("still open at the end: %v", open)
	}
	return elements, b.String()
}

// Elements and attributes that a page may have. What is not here could fetch, run or navigate.
var (
	allowedElements = strings.Fields("html head meta title style body header div strong span h1 h2 h3 p b main section article ul li code " +
		"table thead tbody tr th td footer svg path defs pattern line rect text g")
	allowedAttrs = strings.Fields("lang charset http-equiv content name class role title data-u aria-label aria-hidden id width height viewBox fill " +
		"stroke stroke-width stroke-linejoin opacity d x y x1 x2 y1 y2 dx text-anchor patternUnits patternTransform")
)

func TestPageHoldsNothingActive(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			page := pageOf(t, story())
			elements, text := parse(t, strings.Replace(page, "<!DOCTYPE html>", "", 1))
			for _, e := range elements {
				if !slices.Contains(allowedElements, e.name) {
					t.Errorf("<%s> has no place in the page", e.name)
				}
				for a, v := range e.attrs {
					if !slices.Contains(allowedAttrs, a) {
						t.Errorf("<%s %s> has no place in the page", e.name, a)
					}
					if strings.Contains(v, "url(") && !strings.HasPrefix(v, "url(#") {
						t.Errorf("<%s %s> refers to something outside", e.name, a)
					}
				}
			}
			if name != "hostile" && strings.Contains(page, "://") {
				t.Error("the page names an address of another host")
			}
			for _, r := range text {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Errorf("the page shows the character %U", r)
				}
			}
			if len(page) > 600_000 {
				t.Errorf("the page has %d bytes: it must stay bounded", len(page))
			}
		})
	}
}

func TestPolicyNamesTheStyle(t *testing.T) {
	page := pageOf(t, harvest())
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("the page has no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	elements, _ := parse(t, strings.Replace(page, "<!DOCTYPE html>", "", 1))
	policy := ""
	for i, e := range elements {
		if e.attrs["http-equiv"] == "Content-Security-Policy" {
			policy = e.attrs["content"]
			if slices.ContainsFunc(elements[:i], func(e element) bool { return e.name == "style" || e.name == "body" }) {
				t.Error("the policy comes after what it rules")
			}
		}
	}
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	if policy != want {
		t.Errorf("policy %q, want %q", policy, want)
	}
	for _, word := range []string{"@import", "url(", "expression", "http"} {
		if strings.Contains(style[1], word) {
			t.Errorf("the style has %q", word)
		}
	}
}

func TestPageHasTheExactFigures(t *testing.T) {
	for _, tt := range []struct {
		story string
		want  []string
		not   []string
	}{
		{"harvest", []string{"This looks like a harvest.", "= 1,879 customers", "= 5,637 disclosures", "1,956 entries of others", "door code, only masked = 1,830",
			"Tue 3 Mar 14:22:47 to Fri 6 Mar 2026 22:21:45 UTC", "25.77", "threshold 24.80", "order history", "8,317", "2,661", "whosaw scope --data ./case --key backup-2024",
			"Read 46,769 lines", "21 lines came again and count once", "None was rejected"}, []string{"≥ 1", "1.00"}},
		{"gaps", []string{"≥ 33,673,817 customers", "At least 33,673,817 customers", "≥ 182,123,456 disclosures", "14,330,000 entries", "At least, because of 2 gaps:", "gap, 11.0 days", "Mon 9 Nov 2026 00:00:00 KST"}, []string{"= 33", "≥ 14"}},
		{"calm", []string{"No finding.", "Blind", "3 of 5 detectors", "Unissued, canary and key state could not judge: they are blind here.", "line 8,899", "No catalog was given", "≥ 214 customers; which of their data is not known"}, []string{"Quiet"}},
		{"quiet", []string{"No finding.", "Quiet", "= 412,077 customers"}, []string{"Blind"}},
		{"nothing", []string{"Nothing could be read", "Blind"}, []string{"Quiet", "under Next"}},
		{"tried", []string{"Somebody tried: 2,661 accesses", "No customer's data was shown."}, []string{"looks like a harvest"}},
		{"one", []string{"1 access showed = 1 customer: e-mail and name.", "payment"}, []string{"1 customers"}},
		{"many", []string{"This looks like 31 harvests.", "Attack 12 of 31", "19 more attacks", "And 488 more gaps."}, []string{"Attack 13"}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			_, text := parse(t, strings.Replace(pageOf(t, stories[tt.story]()), "<!DOCTYPE html>", "", 1))
			text = strings.Join(strings.Fields(text), " ")
			for _, w := range tt.want {
				if !strings.Contains(text, w) {
					t.Errorf("the page does not say %q", w)
				}
			}
			for _, w := range tt.not {
				if strings.Contains(text, w) {
					t.Errorf("the page says %q", w)
				}
			}
		})
	}
}

func TestWriteHTMLGivesTheWritersError(t *testing.T) {
	if err := report.WriteHTML(closed{}, harvest()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the writer's error", err)
	}
	if err := report.WriteText(closed{}, harvest(), report.TextOptions{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }

// The timeline shows every new subject once, however many steps are joined into a bar.
func TestTimelineKeepsTheSum(t *testing.T) {
	seoul := time.FixedZone("KST", 9*3600)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.UTC
	}
	for _, zone := range []*time.Location{time.UTC, seoul, berlin} {
		for _, n := range []int{1, 2, 23, 168, 239, 240, 241, 5_000, 30_000} {
			for _, step := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
				if int64(n)*step.Milliseconds() > 30*365*24*3600*1000 {
					continue
				}
				d := harvest()
				d.Zone = zone
				s := &d.Scopes[0]
				start := time.Date(2026, 3, 1, 0, 0, 0, 0, zone)
				s.Timeline = report.Timeline{Step: step}
				sum := int64(0)
				for i := range n {
					at := start.Add(time.Duration(i) * step)
					if step == 24*time.Hour {
						at = start.AddDate(0, 0, i) // midnights, across changes of the clock
					}
					s.Timeline.Buckets = append(s.Timeline.Buckets, report.Bucket{At: at.UnixMilli(), N: int64(1 + i%3)})
					sum += int64(1 + i%3)
				}
				checkBars(t, fmt.Sprintf("%v, %d times %v", zone, n, step), pageOf(t, d), sum)
			}
		}
	}
}

var (
	barTitle  = regexp.MustCompile(`<rect class="b" x="([-0-9.]+)%" y="(\d+)" width="([0-9.]+)%" height="(\d+)"><title>[^<]*: ([0-9,]+)</title>`)
	plotLabel = regexp.MustCompile(`aria-label="Customers first disclosed [^"]*: ([0-9,]+) in all`)
)

func checkBars(t *testing.T, name, page string, want int64) {
	t.Helper()
	bars := barTitle.FindAllStringSubmatch(page, -1)
	if len(bars) == 0 || len(bars) > 240 {
		t.Errorf("%s: %d bars", name, len(bars))
	}
	sum, before := int64(0), -10.0
	for _, b := range bars {
		n, _ := strconv.ParseInt(strings.ReplaceAll(b[5], ",", ""), 10, 64)
		x, _ := strconv.ParseFloat(b[1], 64)
		if x < before || x < -0.01 || x > 100 {
			t.Errorf("%s: a bar stands at %v %% after one at %v %%", name, x, before)
		}
		before = x
		sum += n
	}
	label := plotLabel.FindStringSubmatch(page)
	if sum != want || label == nil || strings.ReplaceAll(label[1], ",", "") != strconv.FormatInt(want, 10) {
		t.Errorf("%s: the bars show %d, the label %v, want %d", name, sum, label, want)
	}
}

func TestOddTimelines(t *testing.T) {
	for _, timeline := range []report.Timeline{
		{}, {Step: time.Hour}, {Step: -1, Buckets: []report.Bucket{{N: 1}}}, {Step: time.Nanosecond, Buckets: []report.Bucket{{N: 1}}},
		{Step: time.Hour, Buckets: []report.Bucket{{At: 5, N: -4}}},
		{Step: time.Hour, Buckets: []report.Bucket{{At: 0, N: math.MaxInt64 / 2}, {At: 3600_000, N: 1}}},
		{Step: time.Hour, Buckets: []report.Bucket{{At: 4_000_000_000_000, N: 1}, {At: 946684800000, N: 1}}},
	} {
		d := harvest()
		d.Scopes[0].Timeline = timeline
		parse(t, strings.Replace(pageOf(t, d), "<!DOCTYPE html>", "", 1))
	}
	d := harvest()
	d.Scopes[0].Answer.Gaps = []whosaw.Gap{{Kind: whosaw.GapSilent}, {Kind: whosaw.GapPurged, From: ptr(ms("2027-01-01T00:00:00")), To: ptr(ms("2020-01-01T00:00:00"))}}
	d.Findings[1].Statistic, d.Findings[1].Threshold = math.Inf(1), math.NaN()
	d.Findings[2].Statistic, d.Findings[2].Threshold = math.MaxFloat64, 1e-300
	parse(t, strings.Replace(pageOf(t, d), "<!DOCTYPE html>", "", 1))
}

// Text and what carries meaning stand out from their ground as WCAG 2.2 AA asks.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("page.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	token := regexp.MustCompile(`--([a-z0-9-]+): #([0-9A-F]{6})`)
	for i, scheme := range []string{"light", "dark"} {
		colour := map[string]float64{}
		for _, m := range token.FindAllStringSubmatch(blocks[i][1], -1) {
			v, _ := strconv.ParseUint(m[2], 16, 32)
			colour[m[1]] = luminance(v)
		}
		for _, p := range []struct {
			fore, back string
			least      float64
		}{
			{"ink", "ground", 4.5}, {"ink", "surface", 4.5}, {"ink2", "ground", 4.5}, {"ink2", "surface", 4.5}, {"ink3", "ground", 4.5},
			{"taken", "ground", 4.5}, {"on-taken", "taken-fill", 4.5}, {"watch", "ground", 4.5}, {"watch", "surface", 4.5}, {"watch", "watch-wash", 4.5}, {"ink", "watch-wash", 4.5},
			{"edge", "ground", 3}, {"bar", "ground", 3}, {"taken-fill", "ground", 3}, {"watch-fill", "ground", 3},
		} {
			a, b := colour[p.fore], colour[p.back]
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < p.least {
				t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, p.fore, p.back, got, p.least)
			}
		}
	}
}

func luminance(rgb uint64) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb>>(16-8*i)&255) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
