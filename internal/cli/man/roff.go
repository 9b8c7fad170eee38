package man

import (
	"fmt"
	"strings"
)

// writer writes roff.
type writer struct{ strings.Builder }

func (w *writer) line(s string) {
	w.WriteString(s)
	w.WriteByte('\n')
}

func (w *writer) linef(format string, args ...any) { w.line(fmt.Sprintf(format, args...)) }

func (w *writer) section(name string) { w.linef(`.SH "%s"`, escape(name)) }

// text writes paragraphs, which empty lines divide.
func (w *writer) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 || !strings.HasSuffix(w.String(), "\"\n") { // a section begins one
			w.line(".PP")
		}
		for line := range strings.Lines(paragraph) {
			w.line(escape(strings.TrimSpace(line)))
		}
	}
}

// item writes a term, a macro or text that is roff already, and what it means.
func (w *writer) item(heading, text string) {
	w.line(".TP")
	w.line(heading)
	w.line(escape(text))
}

// verbatim writes lines as they are.
func (w *writer) verbatim(s string) {
	w.line(".nf")
	for line := range strings.Lines(s) {
		w.line(escape(strings.TrimSuffix(line, "\n")))
	}
	w.line(".fi")
}

// synopsisLine writes how a command is called: its words bold, what stands for
// others in italics.
func (w *writer) synopsisLine(use string) {
	words := strings.Fields(use)
	for i, word := range words {
		font := "B"
		if strings.ContainsFunc(word, func(r rune) bool { return r >= 'A' && r <= 'Z' || r == '[' || r == '…' }) {
			font = "I"
		}
		words[i] = `\f` + font + escape(word) + `\fR`
	}
	w.line(strings.Join(words, " "))
}

// special are the characters that roff reads in another way.
var special = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, `…`, `...`)

// escape makes a line of text one of roff, and all of it ASCII.
func escape(s string) string {
	var b strings.Builder
	for _, r := range special.Replace(s) {
		if r > '~' {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		} else {
			b.WriteRune(r)
		}
	}
	text := b.String()
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
