package bootstrap

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/banger-vm/banger/internal/operation"
)

// progressWriter reads how far mmdebstrap is out of what it, apt and dpkg say.
type progressWriter struct {
	report operation.Report
	line   []byte

	packages   int64 // to install, as far as known
	downloaded int64
	installed  int64
}

var newlyRE = regexp.MustCompile(`^\d+ upgraded, (\d+) newly installed`)

func (w *progressWriter) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		line, rest, ok := bytes.Cut(w.line, []byte("\n"))
		if !ok {
			break
		}
		w.line = rest
		w.read(line)
	}
	if len(w.line) > 4096 { // nothing of interest is that long
		w.line = w.line[:0]
	}
	return len(p), nil
}

func (w *progressWriter) read(line []byte) {
	has := func(prefix string) bool { return bytes.HasPrefix(line, []byte(prefix)) }
	switch {
	case has("I: running apt-get update"):
		w.report(operation.Progress{Phase: "image: reading package lists"})
	case has("Get:") && w.packages > 0:
		w.downloaded++
		w.count("image: downloading", w.downloaded)
	case has("Unpacking "), has("I: extracting archives"):
		w.count("image: installing", w.installed)
	case has("Setting up "):
		w.installed++
		w.count("image: installing", w.installed)
	case has("I: cleaning package lists"):
		w.report(operation.Progress{Phase: "image: cleaning up"})
	default:
		if m := newlyRE.FindSubmatch(line); m != nil {
			if n, err := strconv.ParseInt(string(m[1]), 10, 32); err == nil {
				w.packages += n
			}
		}
	}
}

func (w *progressWriter) count(phase string, done int64) {
	w.report(operation.Progress{Phase: phase, Done: min(done, w.packages), Total: w.packages, Unit: "packages"})
}
