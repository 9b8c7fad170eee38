package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/banger-vm/banger/test/matrix/result"
)

// event is a line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Key, Value                                string // of an attribute
	Elapsed                                   float64
}

// key names a test, or a package, as test/skips.txt does.
func (e event) key() string {
	return strings.TrimSpace(strings.TrimPrefix(cmp.Or(e.Package, e.ImportPath), "github.com/banger-vm/banger/") + " " + e.Test)
}

type timing struct {
	key     string
	seconds float64
}

// results are what a run of tests came to.
type results struct {
	passed  int
	passes  []string
	failed  []string // tests and packages
	skipped []string
	outputs map[string]string
	timings []timing
	noise   []string // lines that are no events
	ranOn   map[string][]result.RanOn

	running map[string]bool
}

func read(from io.Reader) (*results, error) {
	r := &results{outputs: make(map[string]string), running: make(map[string]bool), ranOn: make(map[string][]result.RanOn)}
	outputs := make(map[string]*strings.Builder)
	scan := bufio.NewScanner(from)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if json.Unmarshal(scan.Bytes(), &e) != nil {
			r.noise = append(r.noise, scan.Text()) // an error of go itself
			continue
		}
		if e.Output != "" {
			if outputs[e.key()] == nil {
				outputs[e.key()] = new(strings.Builder)
			}
			outputs[e.key()].WriteString(e.Output)
		}
		r.count(e)
		if e.Action == "attr" && e.Key == result.AttrRanOn {
			var on result.RanOn
			if err := json.Unmarshal([]byte(e.Value), &on); err != nil {
				return nil, fmt.Errorf("what %s ran on: %w", e.key(), err)
			}
			r.ranOn[e.key()] = append(r.ranOn[e.key()], on)
		}
	}
	// A run that is cut short (by its time-out, say) ends its package alone.
	r.failed = append(r.failed, slices.Sorted(maps.Keys(r.running))...)
	for _, key := range r.failed {
		if out := outputs[key]; out != nil {
			r.outputs[key] = out.String()
		}
	}
	return r, scan.Err()
}

func (r *results) count(e event) {
	switch e.Action {
	case "run":
		r.running[e.key()] = true
	case "pass", "fail", "skip":
		delete(r.running, e.key())
	}
	switch e.Action {
	case "fail", "build-fail":
		if !slices.Contains(r.failed, e.key()) {
			r.failed = append(r.failed, e.key())
		}
	case "pass":
		if e.Test != "" {
			r.passed++
			r.passes = append(r.passes, e.key())
		}
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, e.key())
		}
	}
	// A subtest's time is in its parent's.
	if e.Test != "" && e.Elapsed > 0 && !strings.Contains(e.Test, "/") {
		r.timings = append(r.timings, timing{e.key(), e.Elapsed})
	}
}

// slowest returns the n tests that took longest.
func (r *results) slowest(n int) []timing {
	slices.SortStableFunc(r.timings, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	return r.timings[:min(n, len(r.timings))]
}

// readSkips reads "PACKAGE TEST reason" lines; # begins a comment. A row
// permits its own test alone: none of its subtests.
func readSkips(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	permitted := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q has no reason", path, strings.TrimSpace(line))
		}
		permitted[fields[0]+" "+fields[1]] = strings.Join(fields[2:], " ")
	}
	return permitted, nil
}
