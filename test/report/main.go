// Command report reads the output of go test -json, prints failures whole, the
// skipped tests with their reasons, the slowest tests, and a closing count. A
// skip that test/skips.txt does not permit is a failure, and so is a run of no
// test.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// slowest is how many of the slow tests are told.
const slowest = 10

func main() {
	skips := flag.String("skips", "test/skips.txt", "the permitted skips: PACKAGE TEST reason, a line each")
	out := flag.String("results", "", "write the outcomes, for docs/matrix.md, to this file")
	flag.Parse()
	if err := run(os.Stdout, flag.Arg(0), *skips, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, path, skipsPath, resultsPath string) error {
	permitted, err := readSkips(skipsPath)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := read(f)
	if err != nil {
		return err
	}
	if resultsPath != "" {
		if err := r.writeResults(resultsPath, permitted); err != nil {
			return err
		}
	}
	return r.print(out, permitted)
}

// print tells all, with the counts alone on the last line.
func (r *results) print(out io.Writer, permitted map[string]string) error {
	for _, line := range r.noise {
		fmt.Fprintln(out, line)
	}
	for _, key := range r.failed {
		fmt.Fprintf(out, "--- FAIL %s\n%s\n", key, r.outputs[key])
	}
	failed := len(r.failed)
	slices.Sort(r.skipped)
	for _, key := range r.skipped {
		reason, ok := permitted[key]
		if !ok {
			failed++
			reason = "NOT PERMITTED by the list of skips"
		}
		fmt.Fprintf(out, "skipped: %s (%s)\n", key, reason)
	}
	for _, t := range r.slowest(slowest) {
		fmt.Fprintf(out, "slow: %6.2f s %s\n", t.seconds, t.key)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, failed, len(r.skipped))
	if failed > 0 {
		return fmt.Errorf("%d failed", failed)
	}
	if r.passed == 0 {
		return fmt.Errorf("no test ran")
	}
	return nil
}
