package browsertest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/browsertest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// serve serves a body, under a policy that lets only its own script run.
func serve(t *testing.T, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src *")
			fmt.Fprintf(w, `<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>%s</main></html>`, body)
		case "/next":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, `<!doctype html><title>Next</title><p>the next page</p>`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSwapped clicks and types while the page puts other elements in the place of those that were there, all the time.
func TestSwapped(t *testing.T) {
	b := browsertest.Open(t, serve(t, `<div id="part"></div><script>
		let clicks = 0;
		const part = document.getElementById("part");
		const swap = () => {
			const old = part.querySelector("input"), has = document.activeElement === old;
			part.innerHTML = '<button>Go</button><input aria-label="name">';
			if (old) part.querySelector("input").value = old.value;
			if (has) part.querySelector("input").focus();
		};
		document.addEventListener("click", e => { if (e.target.closest("button")) document.title = "clicked " + ++clicks; });
		swap();
		setInterval(swap, 7);
	</script>`))
	b.Visit("/")
	for i := 1; i <= 20; i++ {
		b.Click("#part button")
		if got, want := b.Eval("document.title"), fmt.Sprint("clicked ", i); got != want {
			t.Fatalf("after %d clicks the page says %q", i, got)
		}
	}
	b.Type("//input", "a name")
	b.Type("//input", "another")
	if got := b.Eval(`document.querySelector("input").value`); got != "another" {
		t.Errorf("what was typed is %q", got)
	}
}

// TestMoved: what has come to where the element was, between the look at the page and the click, is not clicked.
func TestMoved(t *testing.T) {
	b := browsertest.Open(t, serve(t, `<div id="space"></div><p style="margin: 0; line-height: 40px"><button>Another</button></p><p style="margin: 0; line-height: 40px"><button id="go">Go</button></p><script>
		let looks = 0, last, clicks = 0, missed = 0;
		document.addEventListener("click", e => { document.title = e.target.id === "go" ? "clicked " + ++clicks + ", missed " + missed : "missed " + ++missed; });
		const channel = new MessageChannel();
		channel.port1.onmessage = () => {
			if (window.clicked !== last) {
				last = window.clicked;
				if (++looks === 2) space.style.height = "40px"; // the second look at one place is followed by the click
			}
			channel.port2.postMessage(0);
		};
		channel.port2.postMessage(0);
	</script>`))
	b.Visit("/")
	b.Click("#go")
	if got := b.Eval("document.title"); got != "clicked 1, missed 0" {
		t.Errorf("the page says %q", got)
	}
}

// TestComing clicks on what is hidden, then covered, then on its way, and only where it is.
func TestComing(t *testing.T) {
	b := browsertest.Open(t, serve(t, `<style>#go {position: absolute; left: 900px; top: 10px; transition: left 200ms} #go.there {left: 200px} #cover {position: fixed; inset: 0; background: #fff}</style>
		<button id="go" hidden>Go</button><div id="cover"></div><script>
		const go = document.getElementById("go"), cover = document.getElementById("cover");
		let missed = 0;
		document.addEventListener("click", e => { document.title = e.target === go ? "clicked, missed " + missed : "missed " + ++missed; });
		setTimeout(() => { go.hidden = false; }, 150);
		setTimeout(() => { go.classList.add("there"); }, 300);
		setTimeout(() => { cover.remove(); }, 350);
	</script>`))
	b.Look(1000, 700, false)
	b.Visit("/")
	b.Click("#go")
	if got := b.Eval("document.title"); got != "clicked, missed 0" {
		t.Errorf("the page says %q", got)
	}
}

// TestAway: a click that leads to another page is one click, and what stands there is waited for.
func TestAway(t *testing.T) {
	b := browsertest.Open(t, serve(t, `<a href="/next">Go</a>`))
	for range 5 {
		b.Visit("/")
		b.Click("//a[text()='Go']")
		b.Shows("the next page")
		b.Back()
		b.Shows("A page")
	}
	if b.Is(`document.querySelector("p")`) {
		t.Error("the page before is not there")
	}
}

// TestClean: what axe-core and the other looks at a page say of a good one, and of a bad one.
func TestClean(t *testing.T) {
	good := browsertest.Open(t, serve(t, `<p>words</p>`))
	good.Visit("/")
	good.Axe("good")
	good.Wide("good", "")
	good.Lacks("good", "undefined")
	said, _ := outcome(t, func(t testing.TB) {
		bad := browsertest.Open(t, serve(t.(*witness).t, `<img src="/x.png"><div style="width: 3000px">undefined</div>`))
		bad.Visit("/")
		bad.Axe("bad")
		bad.Wide("bad", "")
		bad.Lacks("bad", "undefined")
	})
	for _, want := range []string{"bad: axe-core finds\nimage-alt", "bad: the page is wider than the window: <div", `bad: the page holds "undefined"`} {
		if !strings.Contains(said, want) {
			t.Errorf("it is not said: %q\nsaid: %s", want, said)
		}
	}
}

// TestFailures: who reads a failure knows the page, what was looked for, and what was there.
func TestFailures(t *testing.T) {
	const page = `<button id="off" disabled>Off</button><button id="under">Under</button><div style="position: fixed; inset: 0" id="cover"></div>`
	for name, c := range map[string]struct {
		do   func(*browsertest.Tab)
		says []string
	}{
		"none":     {func(b *browsertest.Tab) { b.Click("#none") }, []string{"click #none", "there is no such element", "A page"}},
		"disabled": {func(b *browsertest.Tab) { b.Click("#off") }, []string{"click #off", "it is disabled"}},
		"covered":  {func(b *browsertest.Tab) { b.Click("//button[text()='Under']") }, []string{"it is covered by <div", `id="cover"`}},
		"text":     {func(b *browsertest.Tab) { b.Shows("what is not there") }, []string{"what is not there", "http://127.0.0.1:"}},
		"no field": {func(b *browsertest.Tab) { b.Type("h1", "x") }, []string{"type into h1", "does not take the focus"}},
		"syntax":   {func(b *browsertest.Tab) { b.Wait("1 +") }, []string{"SyntaxError"}},
		"nowhere":  {func(b *browsertest.Tab) { b.Visit("http://127.0.0.1:1/") }, []string{"open http://127.0.0.1:1/", "ERR_"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			said, ended := outcome(t, func(w testing.TB) {
				b := browsertest.Open(w, serve(t, page))
				b.Visit("/")
				browsertest.Impatient(b)
				c.do(b)
			})
			if !ended {
				t.Error("the test went on")
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it is not said: %q\nsaid: %s", want, said)
				}
			}
		})
	}
}

// TestVerdict: a page that throws, that does what its policy forbids, or that asks another host, fails the test.
func TestVerdict(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	said, _ := outcome(t, func(w testing.TB) {
		b := browsertest.Open(w, serve(t, `<img alt="" src="`+other.URL+`/x.png"><script>fetch("`+other.URL+`/y").catch(() => {}); setTimeout(() => { throw new Error("a fault of the page") })</script>`))
		b.Visit("/")
		b.Wait(`document.readyState === "complete"`)
	})
	for _, want := range []string{"a fault of the page", "Content Security Policy", other.URL + "/x.png was asked for"} {
		if !strings.Contains(said, want) {
			t.Errorf("it is not said: %q\nsaid: %s", want, said)
		}
	}
}

// witness is a test that may fail: it keeps what it is told.
type witness struct {
	testing.TB
	t     *testing.T
	said  []string
	after []func()
	ended bool
}

func (w *witness) Helper()          {}
func (w *witness) Cleanup(f func()) { w.after = append(w.after, f) }
func (w *witness) Errorf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	w.ended = true
	runtime.Goexit()
}

// outcome runs a test that may fail, and gives what it said and whether it was ended.
func outcome(t *testing.T, f func(testing.TB)) (string, bool) {
	t.Helper()
	browsertest.Need(t)
	w := &witness{TB: t, t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(w)
	}()
	<-done
	for i := len(w.after) - 1; i >= 0; i-- {
		w.after[i]()
	}
	return strings.Join(w.said, "\n"), w.ended
}
