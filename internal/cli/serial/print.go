package serial

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

// maxLine bounds a line of a guest that ends none.
const maxLine = 64 << 10

// printer prints a console, part by part.
type printer struct {
	out         io.Writer
	screen      *show.Screen
	times, json bool
	dropped     func(bytes uint64)

	begun  bool
	next   uint64    // the offset of the next byte
	latest time.Time // of the byte before it
	time   time.Time // when the present line began
	line   []byte    // what there is of it; for JSON only
	open   bool      // it has begun
}

func (p *printer) print(part api.VMLogs) error {
	if p.begun && part.Offset > p.next {
		p.dropped(part.Offset - p.next)
	}
	p.begun, p.next = true, part.Offset
	stamps := part.Times
	for line := range bytes.Lines(part.Data) {
		for len(stamps) > 0 && stamps[0].Offset <= p.next {
			p.latest, stamps = stamps[0].Time, stamps[1:]
		}
		if err := p.piece(line); err != nil {
			return err
		}
		p.next += uint64(len(line))
	}
	if len(stamps) > 0 { // within a line that goes on
		p.latest = stamps[len(stamps)-1].Time
	}
	return nil
}

// piece prints a line, or a part of one.
func (p *printer) piece(text []byte) error {
	begins := !p.open
	if begins {
		p.time = p.latest
	}
	p.open = text[len(text)-1] != '\n'
	if p.json {
		p.line = append(p.line, text...)
		if p.open && len(p.line) < maxLine {
			return nil
		}
		return p.object()
	}
	if begins && p.times {
		stamp := "-"
		if !p.time.IsZero() {
			stamp = p.time.Local().Format("2006-01-02T15:04:05.000Z07:00")
		}
		if _, err := io.WriteString(p.out, stamp+" "); err != nil {
			return err
		}
	}
	_, err := p.screen.Write(text)
	return err
}

// jsonLine is a line as programs get it.
type jsonLine struct {
	Time time.Time `json:"time,omitzero"` // when it began, to the second
	Line string    `json:"line"`          // without its end; bytes that are no UTF-8 are replaced
}

func (p *printer) object() error {
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	text := strings.TrimSuffix(strings.TrimSuffix(string(p.line), "\n"), "\r")
	p.line = p.line[:0]
	return enc.Encode(jsonLine{p.time, text})
}

// finish prints what has not ended.
func (p *printer) finish() error {
	if p.json && len(p.line) > 0 {
		return p.object()
	}
	if err := p.screen.Flush(); err != nil || !p.open || p.json {
		return err
	}
	_, err := io.WriteString(p.out, "\n")
	return err
}
