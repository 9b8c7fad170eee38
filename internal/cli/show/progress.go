package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// Progress tells of something long under way: on a terminal as one line that
// changes, elsewhere as a line per phase, not too often.
type Progress struct {
	w     io.Writer
	live  bool // a terminal
	width int
	now   func() time.Time

	began time.Time
	last  time.Time
	phase string
	drawn bool
}

const (
	quiet     = 700 * time.Millisecond // what ends within is not worth a word
	lineEvery = time.Second
	sayAgain  = 15 * time.Second // a phase that takes long, not on a terminal
	barWidth  = 24
)

// NewProgress makes a Progress; width is the terminal's, 0 where w is none.
func NewProgress(w io.Writer, width int, now func() time.Time) *Progress {
	return &Progress{w: w, live: width > 0, width: width, now: now, began: now()}
}

// Update tells how far op is.
func (p *Progress) Update(op api.Operation) {
	if op.State.Final() || op.Progress.Phase == "" {
		return
	}
	phase, now := op.Progress.Phase, p.now()
	if op.State == api.OpCanceling {
		phase = "taking it back: " + phase
	}
	if p.live {
		p.draw(phase, op.Progress)
		return
	}
	since := now.Sub(p.last)
	switch {
	case now.Sub(p.began) < quiet, since < lineEvery, phase == p.phase && since < sayAgain:
		return
	}
	p.phase, p.last = phase, now
	fmt.Fprintf(p.w, "%s\n", strings.TrimSpace(Safe(phase)+" "+amount(op.Progress)))
}

// Copy tells how far a copy is.
func (p *Progress) Copy(files, bytes int64) {
	text, now := fmt.Sprintf("copying: %d files, %s", files, size.Format(bytes)), p.now()
	switch {
	case now.Sub(p.began) < quiet:
	case p.live:
		p.draw(text, api.Progress{})
	case now.Sub(p.last) >= sayAgain:
		p.last = now
		fmt.Fprintln(p.w, text)
	}
}

// Clear removes the line that changes; call it before anything else is
// written to the same terminal.
func (p *Progress) Clear() {
	if p.drawn {
		io.WriteString(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *Progress) draw(phase string, g api.Progress) {
	line := Safe(phase)
	if g.Total > 0 {
		done := min(max(g.Done, 0), g.Total)
		full := int(float64(done) / float64(g.Total) * barWidth)
		line = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] " + line
	}
	line = strings.TrimSpace(line + " " + amount(g))
	if runes := []rune(line); len(runes) >= p.width {
		line = string(runes[:max(p.width-1, 0)])
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	p.drawn = true
}

// Amount writes how far an operation is: its phase and its numbers.
func Amount(g api.Progress) string { return strings.TrimSpace(Safe(g.Phase) + " " + amount(g)) }

func amount(g api.Progress) string {
	switch {
	case g.Done == 0 && g.Total == 0:
		return ""
	case g.Unit == "bytes" && g.Total > 0:
		return fmt.Sprintf("%s of %s", size.Format(g.Done), size.Format(g.Total))
	case g.Unit == "bytes":
		return size.Format(g.Done)
	case g.Total > 0:
		return strings.TrimSpace(fmt.Sprintf("%d of %d %s", g.Done, g.Total, Safe(g.Unit)))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", g.Done, Safe(g.Unit)))
}
