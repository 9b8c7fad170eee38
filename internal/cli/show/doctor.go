package show

import (
	"bufio"
	"fmt"
	"io"

	"github.com/banger-vm/banger/api"
)

// Looks is how the checks of a host are shown.
type Looks struct {
	Terminal bool // signs instead of plain words
	All      bool // also what is well or does not apply
}

// marks by state, on a terminal and elsewhere.
var marks = map[string][2]string{
	api.DoctorOK: {"✓", "ok  "}, api.DoctorWarn: {"!", "warn"}, api.DoctorFail: {"✗", "FAIL"}, api.DoctorSkip: {"-", "skip"},
}

// Checks writes checks below their themes, what mends one below it, and how many
// there were.
func Checks(w io.Writer, checks []api.DoctorCheck, l Looks) error {
	out := bufio.NewWriter(w)
	theme, counts := "", map[string]int{}
	for _, c := range themed(checks) {
		counts[c.State]++
		if !l.All && (c.State == api.DoctorOK || c.State == api.DoctorSkip) {
			continue
		}
		if c.Theme != theme {
			theme = c.Theme
			fmt.Fprintln(out, Safe(theme))
		}
		writeCheck(out, c, l)
	}
	fmt.Fprintf(out, "%d checks: %d well, %d to look at, %d failed, %d do not apply\n",
		len(checks), counts[api.DoctorOK], counts[api.DoctorWarn], counts[api.DoctorFail], counts[api.DoctorSkip])
	return out.Flush() // keeps the first error of the writes above
}

func writeCheck(out io.Writer, c api.DoctorCheck, l Looks) {
	mark, indent := marks[c.State][1], "         "
	if l.Terminal {
		mark, indent = marks[c.State][0], "      "
	}
	fmt.Fprintf(out, "  %s  %s: %s\n", mark, Safe(c.Name), SafeLines(c.Found, indent))
	if c.Command != "" {
		fmt.Fprintf(out, "%s$ %s\n", indent, Safe(c.Command))
	}
	if c.Hint != "" {
		fmt.Fprintf(out, "%s%s\n", indent, Safe(c.Hint))
	}
}

// themed brings the checks of a theme together, in the order of the first ones.
func themed(checks []api.DoctorCheck) []api.DoctorCheck {
	var order []string
	by := map[string][]api.DoctorCheck{}
	for _, c := range checks {
		if by[c.Theme] == nil {
			order = append(order, c.Theme)
		}
		by[c.Theme] = append(by[c.Theme], c)
	}
	all := make([]api.DoctorCheck, 0, len(checks))
	for _, theme := range order {
		all = append(all, by[theme]...)
	}
	return all
}

// Strays writes what belongs to no VM any more, and what removes it.
func Strays(w io.Writer, strays []api.Stray) error {
	out := bufio.NewWriter(w)
	for _, s := range strays {
		fmt.Fprintf(out, "%s  %s: %s\n", Safe(s.Kind), Safe(s.What), Safe(s.Why))
		if s.Command != "" {
			fmt.Fprintf(out, "      $ %s\n", Safe(s.Command))
		}
	}
	return out.Flush() // keeps the first error of the writes above
}
