package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// print writes the figures as tables of Markdown.
func (f *figures) print(w io.Writer, asks, names []string) {
	fmt.Fprintf(w, "\n%s accesses; %d answers compared, all equal.\n\n", grouped(f.Accesses), f.Compared)
	fmt.Fprint(w, "| loaded | accesses/s | bytes an access | peak memory |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		l := f.Load[name]
		fmt.Fprintf(w, "| %s | %s | %.1f | %.1f GB |\n", name, rate(float64(l.Accesses)/l.Busy), float64(l.Bytes)/float64(l.Accesses), float64(l.Peak)/1e9)
	}
	if l, ok := f.Load["whosaw"]; ok {
		fmt.Fprintf(w, "\nwhosaw holds %s records: the accesses, and an issuance for each token that was given out.\n", grouped(l.Records))
		fmt.Fprintf(w, "Of its bytes, %.1f an access are of the index, which is derived and can be built again.\n", float64(l.Index)/float64(l.Accesses))
	}
	head, rule := "\n| seconds, warm median; of processors; (cold) |", "| --- |"
	for _, name := range names {
		head += " " + name + " |"
		rule += " --- |"
	}
	peers := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "whosaw" })
	if len(peers) == len(names) {
		peers = nil
	}
	for _, p := range peers {
		head += " " + p + " / whosaw |"
		rule += " --- |"
	}
	fmt.Fprintf(w, "%s\n%s\n", head, rule)
	for _, q := range asks {
		fmt.Fprintf(w, "| %s |", saysOf(q))
		for _, name := range names {
			fmt.Fprintf(w, " %s; %s; (%s) |", seconds(f.warm(q, name)), seconds(f.cpu(q, name)), seconds(f.Cold[q][name].median()))
		}
		for _, p := range peers {
			fmt.Fprintf(w, " **%s**; %s; (%s) |", times(f.warm(q, p), f.warm(q, "whosaw")), times(f.cpu(q, p), f.cpu(q, "whosaw")), times(f.Cold[q][p].median(), f.Cold[q]["whosaw"].median()))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "| to open; peak memory |")
	for _, name := range names {
		fmt.Fprintf(w, " %s; %.1f GB |", seconds(f.Warm[name].Open), float64(f.Warm[name].Peak)/1e9)
	}
	fmt.Fprintln(w, strings.Repeat(" |", len(peers)))
	if len(f.Lines) == 0 {
		return
	}
	fmt.Fprint(w, "\n| reading JSON lines | lines/s | a processor-second | bytes a line |\n| --- | --- | --- | --- |\n")
	for _, r := range f.Lines {
		fmt.Fprintf(w, "| %s | %s | %s | %.0f |\n", r.Says, rate(float64(r.Lines)/r.Seconds), rate(float64(r.Lines)/r.CPU), float64(r.Bytes)/float64(r.Lines))
	}
}

// warm is the median of a question's runs behind the first.
func (f *figures) warm(question, name string) float64 {
	return f.over(question, name, func(a *timed) float64 { return a.Seconds })
}

func (f *figures) cpu(question, name string) float64 {
	return f.over(question, name, func(a *timed) float64 { return a.CPU })
}

func (f *figures) over(question, name string, of func(*timed) float64) float64 {
	var s series
	for i := range f.Warm[name].Answers {
		if a := &f.Warm[name].Answers[i]; a.Question == question && a.Variant > 0 {
			s = append(s, of(a))
		}
	}
	return s.median()
}

func seconds(s float64) string {
	switch {
	case s == 0:
		return "-"
	case s < 0.001:
		return fmt.Sprintf("%.5f", s)
	case s < 0.1:
		return fmt.Sprintf("%.4f", s)
	case s < 10:
		return fmt.Sprintf("%.2f", s)
	}
	return fmt.Sprintf("%.1f", s)
}

func times(peer, own float64) string {
	switch r := peer / own; {
	case peer == 0 || own == 0:
		return "-"
	case r < 10:
		return fmt.Sprintf("%.1f", r)
	default:
		return grouped(int64(r + 0.5))
	}
}

func rate(perSecond float64) string { return fmt.Sprintf("%.2f M", perSecond/1e6) }

// grouped writes a number with commas.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
