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

Made by ` + "`make matrix`" + ` from the results of the tests (` + "`build/results/*-results.json`" + `); do not edit.
"–" was not run: it is not among the tests chosen for that column. Of the columns with KVM, all but the fakes' are of the
test host, where everything is emulated twice and slow; its table, ` + "`test/host/suite.go`" + `, says which tests run there.

`

// groups are the tables of the page.
var groups = []struct{ prefix, title, text string }{
	{"", "End to end", "A feature is a test of the end-to-end suite (`test/e2e`): the real programs, as a user runs them."},
	{result.GroupVMM, "VMM drivers", "A feature is a part of the conformance suite of VMM drivers (`internal/vmm/vmmtest`)."},
	{result.GroupDisk, "Disk drivers", "A feature is a part of the conformance suite of disk drivers (`internal/disk/disktest`)."},
}

// render makes the page. Of several results for one cell the worst counts.
func render(all []result.Result) string {
	var b strings.Builder
	b.WriteString(head)
	var notes []string
	for _, g := range groups {
		var part []result.Result
		for _, r := range all {
			if name, ok := within(g.prefix, r.Feature); ok {
				r.Feature = name
				part = append(part, r)
			}
		}
		if len(part) > 0 {
			fmt.Fprintf(&b, "## %s\n\n%s\n\n", g.title, g.text)
			notes = table(&b, part, notes)
		}
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "[%d] %s\n\n", i+1, note)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// within is the name of a feature in a group.
func within(prefix, feature string) (string, bool) {
	if prefix == "" {
		return feature, !strings.HasPrefix(feature, result.GroupVMM) && !strings.HasPrefix(feature, result.GroupDisk)
	}
	return strings.CutPrefix(feature, prefix)
}

// table makes one table, and adds the notes that it needs.
func table(b *strings.Builder, all []result.Result, notes []string) []string {
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
	b.WriteString("| feature |")
	for _, v := range variants {
		names := slices.DeleteFunc([]string{v.VMM, v.Disk, v.User}, func(name string) bool { return name == "" })
		fmt.Fprintf(b, " %s |", strings.Join(names, ", "))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(variants)) + "\n")
	for _, feature := range slices.Sorted(maps.Keys(cells)) {
		fmt.Fprintf(b, "| %s |", feature)
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
	b.WriteByte('\n')
	return notes
}

var badness = map[string]int{result.Pass: 1, result.Skip: 2, result.Fail: 3}

// cell is what stands in a cell, and the note to it.
func cell(r result.Result) (text, note string) {
	switch {
	case r.Result == result.Pass && r.Reason != "":
		return "reduced", r.Reason
	case r.Result == result.Pass:
		return "works", ""
	case r.Result == result.Fail:
		return "**fails**", ""
	case r.Result == result.Skip:
		return "not run", cmp.Or(r.Reason, "the test did not say why")
	}
	return "–", ""
}
