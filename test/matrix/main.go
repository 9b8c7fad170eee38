// Command matrix makes docs/matrix.md of the results of test runs: which
// feature was seen to work on which VMM, disk driver and user.
//
// usage: matrix -write docs/matrix.md build/results/*-results.json
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/banger-vm/banger/test/matrix/result"
)

func main() {
	write := flag.String("write", "", "write the page to this file")
	flag.Parse()
	if err := run(*write, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(write string, paths []string) error {
	var all []result.Result
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var part []result.Result
		if err := json.Unmarshal(data, &part); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, part...)
	}
	if len(all) == 0 {
		return fmt.Errorf("there are no results: run make test and make test-host first")
	}
	page := render(all)
	if write == "" {
		_, err := os.Stdout.WriteString(page)
		return err
	}
	return os.WriteFile(write, []byte(page), 0o644)
}

const head = `# What works where

Made by ` + "`make matrix`" + ` from the results of the tests that booted real VMs (` + "`build/results/*-results.json`" + `); do not edit.
A feature is a test of the end-to-end suite, or of a driver's conformance suite. An empty cell was not run there.

`

// render makes the page. Of several results for one cell the worst counts.
func render(all []result.Result) string {
	cells := make(map[string]map[result.Variant]result.Result)
	columns := make(map[result.Variant]bool)
	for _, r := range all {
		if cells[r.Feature] == nil {
			cells[r.Feature] = make(map[result.Variant]result.Result)
		}
		if old, ok := cells[r.Feature][r.Variant]; !ok || badness[r.Result] > badness[old.Result] {
			cells[r.Feature][r.Variant] = r
		}
		columns[r.Variant] = true
	}
	variants := slices.SortedFunc(maps.Keys(columns), func(a, b result.Variant) int {
		return cmp.Or(cmp.Compare(a.VMM, b.VMM), cmp.Compare(a.Disk, b.Disk), cmp.Compare(a.User, b.User))
	})
	var b strings.Builder
	b.WriteString(head + "| feature |")
	for _, v := range variants {
		fmt.Fprintf(&b, " %s, %s, %s |", v.VMM, v.Disk, v.User)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(variants)) + "\n")
	var notes []string
	for _, feature := range slices.Sorted(maps.Keys(cells)) {
		fmt.Fprintf(&b, "| %s |", feature)
		for _, v := range variants {
			text, note := cell(cells[feature][v])
			if note != "" {
				at := slices.Index(notes, note)
				if at < 0 {
					notes, at = append(notes, note), len(notes)
				}
				text += fmt.Sprintf(" [%d]", at+1)
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteByte('\n')
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "\n[%d] %s\n", i+1, note)
	}
	return b.String()
}

var badness = map[string]int{result.Pass: 1, result.Skip: 2, result.Fail: 3}

func cell(r result.Result) (text, note string) {
	switch r.Result {
	case result.Pass:
		return "works", ""
	case result.Fail:
		return "**fails**", ""
	case result.Skip:
		return "not run", cmp.Or(r.Reason, "the test did not say why")
	}
	return "", ""
}
