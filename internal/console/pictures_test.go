package console_test

import (
	"bytes"
	"context"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

var pictures = flag.String("console.pictures", "", "make the pictures of docs/ again, in this directory")

// TestPictures makes the pictures of docs/console.md, of a shop with some hundred thousand accesses.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("only with -console.pictures=DIR")
	}
	calm := newSite(t)
	calm.tell(story{days: 4, busy: 24, pool: 3_000_000})
	calm.keepOn()
	b := calm.open()
	take := func(b *tab, name string, width int64, dark bool, path string, shows ...string) {
		b.look(width, dark)
		b.Visit(path)
		for _, s := range shows {
			b.Shows(s)
		}
		b.Wait(`document.body.dataset.ready && !document.querySelector(".load")`)
		check(t, os.WriteFile(filepath.Join(*pictures, name+".png"), small(t, b.Picture()), 0o644))
	}
	take(b, "console-now-calm-dark", 1440, true, "/", "No finding is open")
	guard := &stopper{}
	s := newSite(t, func(c *console.Config) { c.Contain, guard.now = guard, c.Now })
	s.tell(story{days: 4, busy: 24, pool: 3_000_000, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	s.keepOn()
	b = s.open()
	take(b, "console-now-harvest-light", 1440, false, "/", "customers shown so far")
	take(b, "console-now-harvest-390-dark", 390, true, "/", "customers shown so far")
	last := "/findings/3"
	take(b, "console-finding-light", 1440, false, last, "customers were shown", "threshold", "Origin", "Deny")
	b.Click(`button[name=lang][value=ko].lnk`)
	b.Wait(`document.documentElement.lang === "ko"`) // else what is opened next is overtaken by the page that the click brings
	take(b, "console-finding-ko-dark", 1440, true, last, "표시되었습니다", "임계값", "출처", "거부")
	b.Click(`.rail button[value=en]`)
	b.Wait(`document.documentElement.lang === "en"`)
	kim := api.Who{Name: "staff:kim", Role: auth.RoleAdmin}
	found, _, err := s.alarms.Findings(t.Context(), alarmAll)
	check(t, err)
	n, err := s.api.OpenIncident(t.Context(), kim, api.IncidentSpec{Title: "Tokens signed with the backup key", Findings: []string{found[0].Finding.ID}})
	check(t, err)
	at := s.now()
	check(t, s.api.RecordEvent(t.Context(), kim, n, api.EventSpec{Kind: incident.Marked, Body: incident.Body{Moment: "aware", When: &at, Note: "the responder read the finding"}}))
	check(t, s.api.RecordEvent(t.Context(), kim, n, api.EventSpec{Kind: incident.Owned, Body: incident.Body{Person: "staff:kim"}}))
	b.Visit("/incidents/1")
	b.Type("#vreason", "first count, by cause")
	b.Click(`button[data-key=v]`)
	b.Shows("scope version 1")
	take(b, "console-incident-light", 1440, false, "/incidents/1", "scope version 1")
	id, err := s.console.HandleOf(t.Context(), whosaw.Filter{{Key: []string{"login-2024-b"}, Outcome: []string{"disclosed"}}})
	check(t, err)
	take(b, "console-scope-light", 1440, false, "/scope/"+id, "Counted in", "1 – 20 of", "GET /me")
	b.Visit("/subject")
	b.Type("#subject", s.honest+"\r")
	b.Shows("Every access")
	path := b.Eval(`location.pathname`)
	take(b, "console-subject-dark", 1440, true, path, "Every access")
	take(b, "console-keys-light", 1440, false, "/keys", "Signing keys")
}

// keepOn has honest customers come for as long as the test runs, and waits until the pace is a pace.
func (s *site) keepOn() {
	r := rand.New(rand.NewPCG(3, 4))
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	s.t.Cleanup(func() { cancel(); <-done })
	settled := time.Now().Add(13 * time.Second)
	at := int64(1 << 40)
	once := func() {
		var list []whosaw.Record
		add := func(rec whosaw.Record) {
			at++
			rec.Source, rec.Position = "gateway-1", at
			list = append(list, rec)
		}
		for range 4 {
			s.visit(&shopPages[r.IntN(len(shopPages))], r, s.now(), int(at), 3_000_000, add)
		}
		b := &ingest.Batch{Lines: int64(len(list)), Records: list, LineOf: make([]int64, len(list))}
		_, err := s.live.Take(ctx, b, pipeline.Sender{Name: "token:gateway-1", Types: pipeline.AllTypes})
		if err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
	}
	go func() {
		defer close(done)
		for tick := time.NewTicker(250 * time.Millisecond); ctx.Err() == nil; {
			once()
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	s.eventually("the pace has settled", func() bool { return time.Now().After(settled) })
}

// small gives the picture with the 256 colours that it has most of.
func small(t *testing.T, data []byte) []byte {
	t.Helper()
	src, err := png.Decode(bytes.NewReader(data))
	check(t, err)
	counts := map[color.RGBA]int{}
	r := src.Bounds()
	at := func(x, y int) color.RGBA {
		c := color.RGBAModel.Convert(src.At(x, y)).(color.RGBA)
		return c
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	var all []color.RGBA
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return counts[b] - counts[a] })
	palette := color.Palette{}
	for _, c := range all[:min(256, len(all))] {
		palette = append(palette, c)
	}
	out := image.NewPaletted(r, palette)
	near := map[color.RGBA]uint8{}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := at(x, y)
			i, ok := near[c]
			if !ok {
				i = uint8(palette.Index(c))
				near[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var buf bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	check(t, enc.Encode(&buf, out))
	return buf.Bytes()
}
