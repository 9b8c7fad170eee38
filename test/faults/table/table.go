// Package table is the fault table as it is kept: what became of a VM when the
// daemon or its monitor was ended, or the operation cancelled, at every step of
// every verb. test/e2e makes one for each VMM; those of real VMMs take hours and
// are committed.
package table

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Table is one whole run.
type Table struct {
	Date string `json:"date"` // of its end: 2006-01-02
	VMM  string `json:"vmm"`  // and its accelerator: qemu/tcg
	Rows []Row  `json:"rows"`
}

// Row is one fault and what became of it.
type Row struct {
	Verb  string `json:"verb"`
	Step  string `json:"step"`
	Fault string `json:"fault"` // who was hit and when
	// Ended is how the operation did: succeeded, canceled, failed with a reason.
	Ended   string `json:"ended"`
	Resumed int    `json:"resumed,omitempty"` // so often a new daemon took it up
	Failed  bool   `json:"failed,omitempty"`  // it was not as it must be
}

// Attr is the key of the attribute by which a test tells a row.
const Attr = "fault"

// Tell tells the row in the output of the test that it is of.
func (r Row) Tell(t testing.TB) {
	value, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr(Attr, string(value))
}

// Read makes a table of what go test -json printed; verbs and steps keep the
// order in which they ended.
func Read(events io.Reader, date, vmm string) (Table, error) {
	t := Table{Date: date, VMM: vmm}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Key, Value string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action != "attr" || e.Key != Attr {
			continue // a compiler's words, and other events
		}
		var r Row
		if err := json.Unmarshal([]byte(e.Value), &r); err != nil {
			return t, fmt.Errorf("a row is not one: %w", err)
		}
		t.Rows = append(t.Rows, r)
	}
	slices.SortStableFunc(t.Rows, func(a, b Row) int { return strings.Compare(a.Verb, b.Verb) }) // verbs ran beside each other
	return t, lines.Err()
}

// Load reads the tables that are kept in dir, by their names.
func Load(dir string) (map[string]Table, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	all := make(map[string]Table, len(files))
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var t Table
		if err := json.Unmarshal(data, &t); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = t
	}
	return all, nil
}

// Write keeps the table.
func (t Table) Write(path string) error {
	data, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// Lacks names the steps of a verb that the table does not prove: at which the
// daemon was not ended, its monitor was not, the operation was not cancelled, or
// one of these did not go as it must.
func (t Table) Lacks(verb string, steps []string) []string {
	return slices.DeleteFunc(slices.Clone(steps), func(step string) bool {
		hit := map[string]bool{}
		for _, r := range t.Rows {
			if r.Verb != verb || r.Step != step {
				continue
			}
			if r.Failed {
				return false
			}
			who, _, _ := strings.Cut(r.Fault, " ")
			hit[who] = true
		}
		return hit["daemon"] && hit["monitor"] && hit["cancel"]
	})
}
