package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/shop"
)

// languages are those in which the shop speaks to people and authorities.
var languages = []string{"en", "ko"}

func (w *world) workReport(ctx context.Context) error  { return w.work(ctx, partDraft) }
func (w *world) workNotices(ctx context.Context) error { return w.work(ctx, partNotice) }

// state says something in the incident, in each language.
func (w *world) state(ctx context.Context, content string, text func(lang string) string) error {
	for _, lang := range languages {
		if err := w.record(ctx, incident.Stated, incident.Body{Statement: &incident.Statement{Content: content, Lang: lang, Text: text(lang)}}); err != nil {
			return err
		}
	}
	return nil
}

// said is a sentence of the shop's: words/, said.*.
func (w *world) said(key string, values ...any) func(lang string) string {
	return func(lang string) string { return w.words.In(lang).T(key, values...) }
}

// draftReport says what leaked as it was said in the case, beside what is right; the server does not let it be signed.
func (w *world) draftReport(ctx context.Context) error {
	b := w.after()
	a := &b.incident.Versions[len(b.incident.Versions)-1].Answer
	if a.First == nil || a.Last == nil {
		return errors.New("the scope is empty, so there is nothing to report: start again, and let the harvest run for longer")
	}
	day := func(at whosaw.Time) string { return time.UnixMilli(int64(at)).In(w.zone).Format("2006-01-02 15:04") }
	for content, text := range map[string]func(string) string{
		"what_leaked":  w.said("draft.what_leaked"),
		"measures":     w.said("draft.measures"),
		"when_and_how": w.said("said.when_and_how", day(*a.First), day(*a.Last)),
		"people":       w.said("said.people"),
		"cause":        w.said("said.cause"),
		"impact":       w.said("said.impact"),
		"consequences": w.said("said.consequences"),
		"advice":       w.said("said.advice"),
		"remedy":       w.said("said.remedy"),
		"rights":       w.said("said.rights"),
		"contact":      w.said("said.contact"),
	} {
		if err := w.state(ctx, content, text); err != nil {
			return err
		}
	}
	docs, err := w.documents(ctx, pipa, "authority")
	if err != nil {
		return err
	}
	says, err := w.refused(ctx, second, "POST", w.of("/sign"), signature(docs["en"]))
	if err != nil {
		return err
	}
	w.put(func(b *breach) { b.draft = &drafted{docs, says} })
	return nil
}

// documents are those of a duty, by language, on the newest scope version.
func (w *world) documents(ctx context.Context, law, duty string) (map[string]incident.Document, error) {
	out := map[string]incident.Document{}
	for _, lang := range languages {
		var doc incident.Document
		if err := w.call(ctx, officer, "GET", w.of(fmt.Sprintf("/document?law=%s&duty=%s&lang=%s", law, duty, lang)), nil, &doc); err != nil {
			return nil, err
		}
		out[lang] = doc
	}
	return out, nil
}

func signature(d incident.Document) api.Signature {
	return api.Signature{Law: d.Law, Duty: d.Duty, Lang: d.Lang, Version: d.Scope, Hash: d.Hash}
}

// signOff has the second person sign the documents of a duty.
func (w *world) signOff(ctx context.Context, law, duty string) (map[string]incident.Document, error) {
	docs, err := w.documents(ctx, law, duty)
	if err != nil {
		return nil, err
	}
	for _, lang := range languages {
		if err := w.call(ctx, second, "POST", w.of("/sign"), signature(docs[lang]), nil); err != nil {
			return nil, fmt.Errorf("sign %s/%s off: %w", law, duty, err)
		}
	}
	return docs, nil
}

// rightReport says what leaked, has the reports signed off, and notes that they went out.
func (w *world) rightReport(ctx context.Context) error {
	b := w.after()
	a := &b.incident.Versions[len(b.incident.Versions)-1].Answer
	err := w.state(ctx, "what_leaked", func(lang string) string {
		text := w.said("said.leaked")(lang)
		if a.Fields["phone"] > 0 {
			text += " " + w.said("said.leaked.book")(lang)
		}
		if a.Fields["door_code"] > 0 {
			text += " " + w.said("said.leaked.door")(lang)
		}
		return text
	})
	if err == nil {
		measures := "said.measures"
		if w.killed() {
			measures = "said.measures.killed" // nobody is told of what was not done
		}
		err = w.state(ctx, "measures", w.said(measures))
	}
	if err != nil {
		return err
	}
	var reports []report
	for _, law := range []string{networkAct, pipa, gdpr} {
		docs, err := w.signOff(ctx, law, "authority")
		if err != nil {
			return err
		}
		if err := w.told(ctx, law, "authority", docs["en"]); err != nil {
			return err
		}
		d := docs["en"]
		reports = append(reports, report{law: law, duty: "authority", name: d.Name, whom: d.Whom, docs: docs, signer: second, at: w.cfg.Now()})
	}
	if err := w.lookAgain(ctx); err != nil { // the clocks beside the reports are those after them
		return err
	}
	w.put(func(b *breach) { b.reports = reports })
	return nil
}

// told notes that a duty was fulfilled, now.
func (w *world) told(ctx context.Context, law, duty string, doc incident.Document) error {
	now := w.cfg.Now()
	return w.record(ctx, incident.Told, incident.Body{Law: law, Duty: duty, When: &now, Document: fmt.Sprintf("%s/%s", law, duty), Hash: doc.Hash, Version: doc.Scope})
}

// bookRoute shows address books.
const bookRoute = "GET /me/addresses"

// makeNotice fixes who gets a notice, tries it out on everybody, mails samples to a test address, and lets whoever made it try to send it alone.
func (w *world) makeNotice(ctx context.Context) error {
	n := new(notice.Notice)
	if err := w.call(ctx, officer, "POST", w.of("/notices"), api.NoticeSpec{Books: true, Routes: []string{bookRoute}}, n); err != nil {
		return err
	}
	path := w.letters(n)
	dry := new(notice.DryRun)
	if err := w.call(ctx, officer, "POST", path+"/dry", map[string]int64{"people": n.People}, dry); err != nil {
		return err
	}
	samples, sampled := map[string]notice.Message{}, map[string]int{}
	for _, lang := range languages {
		var m notice.Message
		if err := w.call(ctx, officer, "POST", path+"/preview", api.PreviewSpec{Lang: lang}, &m); err != nil {
			return err
		}
		samples[lang] = m
		if err := w.call(ctx, officer, "POST", path+"/acts", api.NoticeAct{Do: "sample", To: sampleMail, Lang: lang}, nil); err != nil {
			return err
		}
		sampled[lang] = w.room.box(sampleMail)[0] // the server says that it went out when the mail room has it
	}
	alone, err := w.refused(ctx, officer, "POST", path+"/approve", map[string]string{"hash": n.Hash})
	if err != nil {
		return err
	}
	w.put(func(b *breach) { b.notice, b.dry, b.samples, b.sampled, b.alone = n, dry, samples, sampled, alone })
	return nil
}

func (w *world) letters(n *notice.Notice) string {
	return "/v1/notices/" + strconv.FormatInt(n.Number, 10)
}

// sendNotice has the second person approve the words, and the mails go out.
func (w *world) sendNotice(ctx context.Context) error {
	n := new(notice.Notice)
	if err := w.call(ctx, officer, "GET", w.letters(w.after().notice), nil, n); err != nil {
		return err
	}
	if n.State == notice.Made {
		if err := w.call(ctx, second, "POST", w.letters(n)+"/approve", map[string]string{"hash": n.Hash}, nil); err != nil {
			return err
		}
	}
	sent := new(notice.Notice)
	if err := w.call(ctx, officer, "POST", w.letters(n)+"/send", api.WaveSpec{}, sent); err != nil {
		return err
	}
	w.put(func(b *breach) { b.notice, b.sending = sent, true })
	return nil
}

// postNotice puts the notice onto the public pages, for those whom no mail reaches, and lets customers look themselves up.
func (w *world) postNotice(ctx context.Context) error {
	if _, err := w.signOff(ctx, pipa, "posted"); err != nil {
		return err
	}
	title := "Leak of customer data, " + w.cfg.Now().In(w.zone).Format(time.DateOnly)
	ask := api.PostingAsk{Law: pipa, PostingSpec: incident.PostingSpec{Duty: "posted", Langs: languages, Title: title}}
	if err := w.call(ctx, officer, "POST", w.of("/post"), ask, nil); err != nil {
		return err
	}
	return w.record(ctx, incident.Offered, incident.Body{Title: title})
}

// follow looks how far the notices are, while they are sent; when everybody has an outcome the people have been told.
func (w *world) follow(ctx context.Context) error {
	b := w.after()
	if !b.sending {
		return nil
	}
	n := new(notice.Notice)
	if err := w.call(ctx, officer, "GET", w.letters(b.notice), nil, n); err != nil {
		return err
	}
	w.put(func(b *breach) { b.notice = n })
	if n.State != notice.Done {
		return nil
	}
	for _, law := range []string{pipa, gdpr} {
		if slices.ContainsFunc(b.incident.Told, func(e incident.Event) bool { return e.Law == law && e.Duty == "people" }) {
			continue
		}
		if err := w.told(ctx, law, "people", incident.Document{Hash: n.Hash, Scope: n.Version}); err != nil {
			return err
		}
	}
	examples, err := w.someMails(ctx)
	if err != nil {
		return err
	}
	if err := w.lookAgain(ctx); err != nil {
		return err
	}
	w.put(func(b *breach) { b.sending, b.examples = false, examples })
	return nil
}

// example is a mail that is worth opening.
type example struct {
	kind   string // visitor, plain, book, door, other
	number int
}

// someMails finds a mail of each kind of person.
func (w *world) someMails(ctx context.Context) ([]example, error) {
	truth := w.truth()
	var out []example
	add := func(kind, email string) bool {
		if box := w.room.box(email); email != "" && len(box) > 0 {
			out = append(out, example{kind, box[0]})
			return true
		}
		return false
	}
	add("visitor", w.visitor.Email)
	for _, kind := range []struct {
		name   string
		fields int
	}{{"plain", 2}, {"book", 4}, {"door", 5}} {
		for _, id := range slices.Sorted(maps.Keys(truth)) {
			if len(truth[id]) != kind.fields || id == w.visitor.ID {
				continue
			}
			email, err := w.shop.EmailOf(ctx, id)
			if err != nil {
				return nil, err
			}
			if add(kind.name, email) {
				break
			}
		}
	}
	if number, ok := w.room.first(func(e *envelope) bool { return e.from == noticeFrom && strings.HasSuffix(e.to, shop.OthersAt) }); ok {
		out = append(out, example{"other", number})
	}
	return out, nil
}

// act does what the visitor chose to be done, and gives the step where it shows.
func (w *world) act(what string) (step string, err error) {
	w.moving.Lock()
	defer w.moving.Unlock()
	b := w.after()
	switch what {
	case "deny", "kill":
		return "key", w.cut(what)
	case "day":
		w.put(func(b *breach) { b.days = min(b.days+1, mostDays) })
		return "incident", nil
	case "today":
		w.put(func(b *breach) { b.days = 0 })
		return "incident", nil
	case "sign":
		return "report", w.further(b.done >= partDraft && b.done < partReport, partReport)
	case "send":
		return "notices", w.further(b.done >= partNotice && b.done < partSent, partSent)
	}
	return "", errors.New("there is nothing of that name to be done")
}

// further has the office work up to a part, if it is its turn. moving must be held.
func (w *world) further(turn bool, to int) error {
	if !turn {
		return nil // done already, or not yet to be done
	}
	w.stop()
	w.begin(func(w *world, ctx context.Context) error { return w.work(ctx, to) })
	return nil
}
