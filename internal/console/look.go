package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// What takes long comes in turns: a part of a page shows what is known and asks for the next turn by itself. A person asked once, so the
// ledger has one question: a turn brings the pass that the turn before it handed out. A pass is good once, for the same person, question
// and part, and none is handed out with an answer that is whole: whoever wants to know more has asked again, and is recorded again.

const (
	// lookPause is how long after a turn the next may come: browsers let a tab behind others ask once a minute.
	lookPause = 2 * time.Minute
	// lookLife is how long a look may last: one that takes longer is on record again.
	lookLife = 10 * time.Minute
	// maxLooks bounds the passes. What was handed out longest ago goes first, and its next turn is on record.
	maxLooks = 1024
)

// look is a question that is on record and whose answer is not whole yet.
type look struct {
	who, question string
	part          string // path and query of the next turn, without its pass
	began, turned time.Time
}

func (l *look) over(now time.Time) bool {
	return now.Sub(l.turned) > lookPause || now.Sub(l.began) > lookLife
}

// looks are those that go on, by pass. The zero value has none.
type looks struct {
	mu   sync.Mutex
	open map[string]look
}

// take gives the look that a pass was handed out for, which is not good any more.
func (l *looks) take(pass string) (look, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.open[pass]
	delete(l.open, pass)
	return x, ok
}

// put keeps a look under a new pass.
func (l *looks) put(x look) (pass string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]look{}
	}
	if len(l.open) >= maxLooks {
		oldest := ""
		for k, y := range l.open {
			if y.over(x.turned) {
				delete(l.open, k)
			} else if o, ok := l.open[oldest]; !ok || y.turned.Before(o.turned) {
				oldest = k
			}
		}
		if len(l.open) >= maxLooks {
			delete(l.open, oldest)
		}
	}
	pass = rand.Text()
	l.open[pass] = x
	return pass
}

// ask begins the work on a part of a page that may come in turns. It is on record first, unless it is the next turn of a look that is. end
// must be called.
func (c *Console) ask(r *http.Request, who api.Who, kind string, f whosaw.Filter) (ctx context.Context, q *pipeline.Question, l look, end func(), err error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, nil, l, nil, fmt.Errorf("write filter: %w", err)
	}
	now, query := c.cfg.Now(), r.URL.Query()
	pass := query.Get("look")
	query.Del("look")
	l = look{who: who.Name, question: kind + " " + string(text), part: part(r.URL.Path, query), began: now, turned: now}
	begin := func() { ctx, q, end, err = c.cfg.API.Ask(r, who, kind, f) }
	if x, ok := c.looks.take(pass); ok && x.who == l.who && x.question == l.question && x.part == l.part && !x.over(now) {
		l.began = x.began
		begin = func() { ctx, q, end, err = c.cfg.API.Again(r, who) }
	}
	begin()
	return ctx, q, l, end, err
}

// again gives the address of the next turn of a look.
func (c *Console) again(l look, path string, query url.Values) string {
	l.part, l.turned = part(path, query), c.cfg.Now()
	if query == nil {
		query = url.Values{}
	}
	query.Set("look", c.looks.put(l))
	return part(path, query)
}

func part(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
