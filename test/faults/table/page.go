package table

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Sum is how many of a table's faults there are.
type Sum struct{ Faults, Failed, Resumed, TakenBack int }

// Sum counts the rows.
func (t Table) Sum() (s Sum) {
	for _, r := range t.Rows {
		s.Faults++
		if r.Failed {
			s.Failed++
		}
		switch {
		case r.Resumed > 0 && strings.HasPrefix(r.Ended, "succeeded"):
			s.Resumed++
		case r.Resumed > 0:
			s.TakenBack++
		}
	}
	return s
}

const head = `# Faults

What becomes of a VM when the daemon, or the VM's monitor, is ended with SIGKILL before, in and after every step of
every verb, when the operation is cancelled there, and when the daemon is ended in the undoing of each step. After each
fault: the operation has ended, taken up or taken back by the next daemon, and the command that had asked for it says
the same; the VM is in the state that belongs to that; what its guest had written, to its root and to its home, is
there; it can run commands; and ` + "`banger doctor --residue`" + ` finds nothing that is left over.

` + "`make faults`" + ` makes the tables, ` + "`make test-long`" + ` runs the same on a fake VMM and fails where a step is newer than they are.
All rows are in [test/faults](../test/faults).

`

// Page writes the tables for people.
func Page(w io.Writer, tables map[string]Table) {
	fmt.Fprint(w, head)
	if len(tables) == 0 {
		fmt.Fprintln(w, "No table of a real VMM is kept yet: parts of them were run, all rows of the fake VMM are with each `make test-long`.")
		return
	}
	fmt.Fprintln(w, "| VMM | of | faults | went on with the next daemon | taken back by it | went wrong |\n|---|---|---|---|---|---|")
	names := slices.Sorted(maps.Keys(tables))
	for _, name := range names {
		t := tables[name]
		s := t.Sum()
		fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %d |\n", t.VMM, t.Date, s.Faults, s.Resumed, s.TakenBack, s.Failed)
	}
	for _, name := range names {
		t := tables[name]
		fmt.Fprintf(w, "\n## %s\n\n| verb | step | daemon | monitor | cancelled | daemon, while it is undone |\n|---|---|---|---|---|---|\n", t.VMM)
		for _, line := range t.lines() {
			fmt.Fprintln(w, line)
		}
	}
}

// lines are a line for each step: what became of the faults at it.
func (t Table) lines() (lines []string) {
	var order []string
	cells := map[string]map[string][]string{}
	for _, r := range t.Rows {
		key := "| " + r.Verb + " | " + r.Step
		if cells[key] == nil {
			cells[key] = map[string][]string{}
			order = append(order, key)
		}
		who, at, _ := strings.Cut(r.Fault, " ")
		if who == "daemon" && (at == "undoing" || at == "reversed") {
			who = "undo"
		}
		cells[key][who] = append(cells[key][who], r.end())
	}
	for _, key := range order {
		line := key
		for _, who := range []string{"daemon", "monitor", "cancel", "undo"} {
			line += " | " + strings.Join(slices.Compact(cells[key][who]), ", ")
		}
		lines = append(lines, line+" |")
	}
	return lines
}

// end is the end of a fault in a few words.
func (r Row) end() string {
	state, more, _ := strings.Cut(r.Ended, "; ")
	state, _, _ = strings.Cut(state, ": ")
	switch {
	case r.Failed:
		return "**wrong**"
	case more != "":
		return more
	}
	return state
}
